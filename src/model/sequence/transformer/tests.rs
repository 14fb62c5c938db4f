//! Transformers against a plain twin, and the manners of their training.

use super::{
    architecture::{Activation, Architecture, Dense, Norm, Order, Padding, Place, Tag},
    fit::{Fit, Recipe},
    sasrec::{Loss, Sasrec},
    trained::Transformer,
};
use crate::{
    Key,
    error::Error,
    model::{
        Bert4Rec, Cases, Sequences, Train, method::Method, train::dice::Dice, training::Training,
    },
};

const ITEMS: usize = 17;

fn random(tag: Tag, change: impl Fn(&mut Architecture)) -> Transformer {
    let mut architecture = Architecture::new(tag, ITEMS, 8, 10).unwrap();
    architecture.heads = 2;
    change(&mut architecture);
    let bias = architecture.bias;
    let mut dice = Dice::new(3, 1);
    let base = Transformer::fresh(architecture.clone(), &mut dice).unwrap();
    let mut numbers = |count: usize| (0..count).map(|_| 0.5 * dice.normal()).collect::<Vec<f32>>();
    let mut parts = vec![("items".to_owned(), numbers(base.items.len()))];
    if bias {
        parts.push(("bias".to_owned(), numbers(ITEMS)));
    }
    for (name, shape, _) in &base.layout.parts {
        parts.push((name.clone(), numbers(shape.iter().product())));
    }
    Transformer::from_parts(architecture, parts).unwrap()
}

/// What a network says, in `f64`, one vector at a time, for a window that is padded in front.
struct Plain<'a>(&'a Transformer);

type Rows = Vec<Vec<f64>>;

impl Plain<'_> {
    fn theta(&self, at: usize, count: usize) -> Vec<f64> {
        self.0.theta[at..at + count].iter().map(|x| f64::from(*x)).collect()
    }

    fn dense(&self, d: Dense, x: &Rows) -> Rows {
        let (w, b) = (self.theta(d.weight, d.inputs * d.outputs), self.theta(d.bias, d.outputs));
        let one = |x: &Vec<f64>| {
            let sum = |o: usize| (0..d.inputs).map(|i| x[i] * w[i * d.outputs + o]).sum::<f64>();
            (0..d.outputs).map(|o| b[o] + sum(o)).collect()
        };
        x.iter().map(one).collect()
    }

    fn norm(&self, n: Norm, x: &Rows) -> Rows {
        let one = |x: &Vec<f64>| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let by = 1.0 / (variance + f64::from(self.0.architecture.eps)).sqrt();
            let (w, b) = (self.theta(n.0, x.len()), self.theta(n.1, x.len()));
            (0..x.len()).map(|i| (x[i] - mean) * by * w[i] + b[i]).collect()
        };
        x.iter().map(one).collect()
    }

    fn activate(&self, x: &Rows) -> Rows {
        let one = |x: f64| match self.0.architecture.activation {
            Activation::Linear => x,
            Activation::Relu => x.max(0.0),
            // The integral of the bell, by rectangles.
            Activation::Gelu => {
                let step = x / 4000.0;
                let bell = |at: i32| (-0.5 * ((f64::from(at) + 0.5) * step).powi(2)).exp() * step;
                let area: f64 = (0..4000).map(bell).sum();
                x * (0.5 + area / (2.0 * std::f64::consts::PI).sqrt())
            }
            Activation::GeluTanh => {
                let c = (2.0 / std::f64::consts::PI).sqrt();
                0.5 * x * (1.0 + (c * (x + 0.044715 * x.powi(3))).tanh())
            }
        };
        x.iter().map(|row| row.iter().map(|x| one(*x)).collect()).collect()
    }

    /// `absent` first rows of the window are padding.
    fn attend(&self, d: Dense, (asks, keys): (&Rows, &Rows), absent: usize) -> Rows {
        let a = &self.0.architecture;
        let (dim, each) = (a.dim as usize, (a.dim / a.heads) as usize);
        let (q, kv) = (self.dense(d, asks), self.dense(d, keys));
        let mut out = vec![vec![0.0; dim]; q.len()];
        for i in 0..q.len() {
            for h in (0..dim).step_by(each) {
                let seen =
                    |j: usize| (!a.causal || j <= i) && (j >= absent || a.padding == Padding::Zero);
                let logit = |j: usize| {
                    (h..h + each).map(|c| q[i][c] * kv[j][dim + c]).sum::<f64>()
                        / (each as f64).sqrt()
                };
                let weights: Vec<f64> =
                    (0..q.len()).map(|j| if seen(j) { logit(j).exp() } else { 0.0 }).collect();
                let total = weights.iter().sum::<f64>().max(1e-300);
                for c in h..h + each {
                    out[i][c] = (0..q.len()).map(|j| weights[j] / total * kv[j][2 * dim + c]).sum();
                }
            }
        }
        out
    }

    fn scores(&self, history: &[u32]) -> Vec<f64> {
        let (a, layout) = (&self.0.architecture, &self.0.layout);
        let (dim, length) = (a.dim as usize, a.positions as usize);
        let mut window: Vec<usize> = history.iter().map(|item| *item as usize).collect();
        window.extend((!a.causal).then_some(ITEMS));
        let window = &window[window.len().saturating_sub(length)..];
        let absent = length - window.len();
        let mut x: Rows = vec![vec![0.0; dim]; length];
        for (at, item) in window.iter().enumerate() {
            let place = at + if a.place == Place::Right { absent } else { 0 };
            let position = self.theta(layout.positions + place * dim, dim);
            x[absent + at] = (0..dim)
                .map(|i| f64::from(self.0.items[item * dim + i] * a.scale) + position[i])
                .collect();
        }
        if let Some(norm) = layout.embed_norm {
            x = self.norm(norm, &x);
        }
        let add = |a: &Rows, b: &Rows| -> Rows {
            let row =
                |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
            a.iter().zip(b).map(row).collect()
        };
        for block in &layout.blocks {
            let n = block.norm1.map_or(x.clone(), |norm| self.norm(norm, &x));
            let keys = if a.order == Order::Kang { &x } else { &n };
            let mut mixed = self.attend(block.attention, (&n, keys), absent);
            if let Some(output) = block.output {
                mixed = self.dense(output, &mixed);
            }
            let s = add(if a.order == Order::Kang { &n } else { &x }, &mixed);
            let f = self.norm(block.norm2, &s);
            let fed = self.dense(block.outer, &self.activate(&self.dense(block.inner, &f)));
            x = add(if a.order == Order::Pre { &s } else { &f }, &fed);
            if let Some(norm) = block.norm3 {
                x = self.norm(norm, &x);
            }
            if a.order == Order::Kang {
                x[..absent].iter_mut().for_each(|row| row.fill(0.0));
            }
        }
        let mut last = vec![x.pop().unwrap()];
        if let Some(norm) = layout.final_norm {
            last = self.norm(norm, &last);
        }
        if let Some((dense, norm)) = layout.head {
            last = self.norm(norm, &self.activate(&self.dense(dense, &last)));
        }
        let mut all = vec![0f32; 0];
        all.extend(self.0.vectors().unwrap().out);
        let width = all.len() / ITEMS;
        let one = |row: &[f32]| {
            let dots: f64 = (0..dim).map(|i| f64::from(row[i]) * last[0][i]).sum();
            dots + row.get(dim).map_or(0.0, |bias| f64::from(*bias))
        };
        all.chunks_exact(width).map(one).collect()
    }
}

/// Goal: every architecture computes what its formulas say, for short, full and long histories, one
/// by one and many at once. Method: a plain twin with explicit padding.
#[test]
fn every_architecture_agrees_with_its_plain_twin() {
    let mut nets = Vec::new();
    for tag in [Tag::PreLn, Tag::Kang, Tag::Gsasrec, Tag::Bert4rec] {
        nets.push(random(tag, |_| {}));
    }
    nets.push(random(Tag::PreLn, |a| {
        (a.activation, a.place, a.causal) = (Activation::GeluTanh, Place::Left, false);
    }));
    nets.push(random(Tag::PreLn, |a| (a.inner, a.layers, a.bias) = (24, 1, true)));
    for net in nets {
        let long: Vec<u32> = (0..25).map(|at| at * 5 % ITEMS as u32).collect();
        let histories: Vec<&[u32]> =
            vec![&long[..1], &long[..3], &long[..9], &long[..10], &long, &long[..2]];
        let mut all = vec![0f32; ITEMS * histories.len()];
        net.scores_all(&histories, &mut all).unwrap();
        for (history, together) in histories.iter().zip(all.chunks_exact(ITEMS)) {
            let mut alone = vec![0f32; ITEMS];
            net.scores(history, &mut alone).unwrap();
            for ((want, alone), together) in
                Plain(&net).scores(history).iter().zip(&alone).zip(together)
            {
                let tag = net.architecture.tag;
                assert!((want - f64::from(*alone)).abs() < 2e-5, "{tag:?}: {alone} for {want}");
                assert!(
                    (want - f64::from(*together)).abs() < 2e-5,
                    "{tag:?}: {together} for {want}"
                );
            }
        }
        let mut empty = vec![f32::NAN; ITEMS];
        net.scores(&[], &mut empty).unwrap();
        assert!(empty.iter().all(|score| score.is_finite()));
    }
}

fn recipe(loss: Loss) -> Recipe {
    Recipe {
        loss,
        rate: 0.01,
        batch: 32,
        epochs: 2,
        patience: 1,
        dropout: 0.2,
        mask: (0.3, 0.2),
        repeats: 0.0,
    }
}

/// Goal: the same seed gives the same numbers for any count of threads, with every loss, and
/// another seed gives others.
#[test]
fn the_same_seed_gives_the_same_numbers_on_any_threads() {
    let lists: Vec<Vec<u32>> =
        (0..80).map(|u| (0..2 + u % 50).map(|at| (u + at * 3) % ITEMS as u32).collect()).collect();
    let run = |loss, causal, threads, seed| {
        let mut architecture = Architecture::new(Tag::PreLn, ITEMS, 8, 60).unwrap();
        architecture.causal = causal;
        let net = Transformer::fresh(architecture, &mut Dice::new(seed, 1)).unwrap();
        let windows = lists.iter().map(|list| &list[..]).collect();
        let fit = Fit::new(&net, windows, recipe(loss), (seed, threads));
        let net = fit.run(net, &mut Training::new(seed)).unwrap();
        (net.theta, net.items)
    };
    for loss in [
        Loss::Full,
        Loss::Sampled { negatives: 5, corrected: true },
        Loss::Gbce { negatives: 5, t: 0.75 },
        Loss::Bce,
    ] {
        let one = run(loss, true, 1, 7);
        assert_eq!(one, run(loss, true, 2, 7), "{loss:?}");
        assert_eq!(one, run(loss, true, 5, 7), "{loss:?}");
        assert_ne!(one, run(loss, true, 1, 8), "{loss:?}");
    }
    assert_eq!(run(Loss::Full, false, 1, 7), run(Loss::Full, false, 3, 7));
}

/// Goal: parts that do not make the architecture are refused, with their name.
#[test]
fn parts_that_do_not_fit_are_refused() {
    let net = random(Tag::Bert4rec, |_| {});
    let parts = || {
        let mut parts =
            vec![("items".to_owned(), net.items.clone()), ("bias".into(), vec![0.0; ITEMS])];
        for (name, shape, at) in &net.layout.parts {
            let count: usize = shape.iter().product();
            parts.push((name.clone(), net.theta[*at..at + count].to_vec()));
        }
        parts
    };
    let refused = |architecture: &Architecture, parts| {
        let why = Transformer::from_parts(architecture.clone(), parts).unwrap_err();
        assert!(matches!(why, Error::Invalid { .. }), "{why}");
        why.to_string()
    };
    assert!(Transformer::from_parts(net.architecture.clone(), parts()).is_ok());
    for at in 0..parts().len() {
        let name = parts()[at].0.clone();
        let mut wrong = parts();
        wrong.remove(at);
        assert!(refused(&net.architecture, wrong).contains(&name));
        let mut wrong = parts();
        wrong[at].1.push(0.0);
        assert!(refused(&net.architecture, wrong).contains(&name));
        let mut wrong = parts();
        wrong[at].1[0] = f32::NAN;
        assert!(refused(&net.architecture, wrong).contains(&name));
        let mut wrong = parts();
        wrong[at].0.push('x');
        refused(&net.architecture, wrong);
        let mut wrong = parts();
        wrong.push(parts()[at].clone());
        refused(&net.architecture, wrong);
    }
    for change in [
        (|a| a.heads = 3) as fn(&mut Architecture),
        |a| a.heads = 0,
        |a| a.dim = 0,
        |a| a.dim = u32::MAX,
        |a| a.layers = 1 << 30,
        |a| a.positions = u32::MAX,
        |a| a.eps = f32::NAN,
        |a| a.scale = f32::INFINITY,
        |a| a.padding = Padding::Zero,
    ] {
        let mut wrong = net.architecture.clone();
        change(&mut wrong);
        refused(&wrong, parts());
    }
}

/// Goal: validation cases of which there are none say no more than none at all: training has the end that it
/// has where nobody can tell what is better.
#[test]
fn no_cases_are_as_no_validation() {
    let list = |user: u64| (user, (0..3).map(|at| (Key::Id((user + at) % 5), at as i64)).collect());
    let sequences = Sequences::new((0..6).map(list).collect::<Vec<_>>()).unwrap();
    let (_, none) = sequences.hold_out_latest(0.01).unwrap();
    assert!(none.is_empty());
    let (_, some) = sequences.hold_out_latest(0.5).unwrap();
    let epochs = |cases: &Cases| {
        let how = Training::new(1).validate(cases);
        Sasrec::default().plan(&sequences, &how).unwrap().recipe.epochs
    };
    assert_eq!((epochs(&none), epochs(&some)), (40, 200));
    let small = Bert4Rec { dim: 4, layers: 1, heads: 1, ..Bert4Rec::default() };
    let mut how = Training::new(1).validate(&none);
    small.train(&sequences, &mut how).unwrap();
    assert_eq!(how.curve().len(), 40);
}
