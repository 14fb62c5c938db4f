//! Gradients against finite differences: every layer, order, activation and loss.

use super::{
    architecture::{Activation, Architecture, Order, Tag},
    attention::Tokens,
    layer::Drop,
    pass::{HeadTrace, Trace},
    trained::Transformer,
};
use crate::model::train::{
    dice::Dice,
    loss::{Against, Negatives, Predicted, Rows, full, pairs, sampled},
};

const ITEMS: usize = 23;

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Full,
    Sampled(Against),
    Pairs,
}

/// Everything that is random is the same in every call.
struct Trial {
    kind: Kind,
    tokens: Tokens,
    asked: Vec<u32>,
    targets: Vec<u32>,
    drop: Drop,
}

impl Trial {
    fn new(net: &Transformer, kind: Kind) -> Trial {
        let mut tokens = Tokens::default();
        tokens.clear();
        // One longer than a block of queries, some short.
        for (count, first) in [(70usize, 3u32), (1, 4), (5, 8), (17, 1)] {
            tokens.items.extend((0..count as u32).map(|at| (at * 7 + first) % ITEMS as u32));
            net.place(&mut tokens);
        }
        let asked: Vec<u32> = (0..tokens.len() as u32).filter(|at| at % 3 != 1).collect();
        let targets = asked.iter().map(|at| (at * 5 + 2) % ITEMS as u32).collect();
        Trial { kind, tokens, asked, targets, drop: Drop { share: 0.2, key: 99 } }
    }

    /// The loss, and the gradients of the network's numbers and of the item table.
    fn run(&self, net: &Transformer) -> (f64, Vec<f32>, Vec<f32>) {
        let dim = net.architecture.dim as usize;
        let (mut trace, mut head) = (Trace::default(), HeadTrace::default());
        net.net().forward(&self.tokens, self.drop, &mut trace);
        let state = |at: &u32| trace.states[*at as usize * dim..][..dim].to_vec();
        let mut states: Vec<f32> = self.asked.iter().flat_map(state).collect();
        net.net().head(&mut states, &mut head);
        let mut d_states = vec![0.0; states.len()];
        let weight = 1.0 / self.targets.len() as f32;
        let (targets, items) = (&self.targets[..], &net.items[..]);
        let p = Predicted { states: &states, targets, items, count: ITEMS, dim, weight };
        let mut rows = Rows::new(net.architecture.rows(), dim, true);
        let (mut dice, mut logits) = (Dice::new(5, 5), Vec::new());
        let loss = match self.kind {
            Kind::Full => full(p, &mut d_states, &mut rows, &mut logits),
            Kind::Sampled(against) => {
                let mut negatives = Negatives::default();
                negatives.draw(ITEMS, 9, |n| dice.below(n));
                negatives.gather(&net.items, dim);
                let to = (&mut rows, &mut logits);
                let loss = sampled(p, &mut negatives, against, &mut d_states, to);
                negatives.give(&mut rows);
                loss
            }
            Kind::Pairs => {
                let draw = |target: u32| (target + 1 + dice.below(ITEMS - 1) as u32) % ITEMS as u32;
                pairs(p, draw, &mut d_states, &mut rows)
            }
        };
        let mut grad = vec![0.0; net.theta.len()];
        net.net().head_back(&mut d_states, &mut head, &mut grad);
        trace.d_states = vec![0.0; self.tokens.len() * dim];
        for (at, d) in self.asked.iter().zip(d_states.chunks_exact(dim)) {
            trace.d_states[*at as usize * dim..][..dim].copy_from_slice(d);
        }
        net.net().backward(&self.tokens, self.drop, &mut trace, &mut grad);
        for (item, d) in self.tokens.items.iter().zip(trace.d_items.chunks_exact(dim)) {
            rows.add(*item, d, 1.0);
        }
        let Rows::All { grad: items, .. } = rows else { panic!("all rows were asked for") };
        (loss / self.targets.len() as f64, grad, items)
    }
}

/// A network whose attention is far from even and whose numbers are all in use.
fn network(change: impl Fn(&mut Architecture)) -> Transformer {
    let mut architecture = Architecture::new(Tag::PreLn, ITEMS, 12, 80).unwrap();
    (architecture.heads, architecture.inner) = (3, 20);
    change(&mut architecture);
    let mut dice = Dice::new(11, 3);
    let mut net = Transformer::fresh(architecture, &mut dice).unwrap();
    for (name, shape, at) in &net.layout.parts {
        let base = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        let part = &mut net.theta[*at..at + shape.iter().product::<usize>()];
        part.iter_mut().for_each(|number| *number = base + 0.3 * dice.normal());
    }
    net.items.iter_mut().for_each(|number| *number = 0.5 * dice.normal());
    net
}

/// The slope of the loss along a direction, by differences whose error falls with the fourth power
/// of `step`.
fn slope(trial: &Trial, net: &Transformer, step: f32, walk: impl Fn(&mut Transformer, f32)) -> f64 {
    let at = |steps: f32| {
        let mut moved = net.clone();
        walk(&mut moved, steps * step);
        trial.run(&moved).0
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * f64::from(step))
}

/// Walks each part of the network, and the item table, in the direction that the gradient says is
/// steepest, with some signs turned, and compares how steep it was. Numbers whose gradient is zero
/// are walked along, too.
fn check(net: &Transformer, kind: Kind) {
    let trial = Trial::new(net, kind);
    let (_, theta, items) = trial.run(net);
    let mut dice = Dice::new(17, 1);
    let parts = net.layout.parts.iter();
    let mut all: Vec<(&str, std::ops::Range<usize>, &[f32])> = parts
        .map(|(name, shape, at)| (&name[..], *at..at + shape.iter().product::<usize>(), &theta[..]))
        .collect();
    all.push(("items", 0..items.len(), &items));
    for (name, range, grad) in all {
        let grad = &grad[range.clone()];
        for turned in [0.0, 0.25] {
            let sign = |g: &f32| if *g >= 0.0 { 1.0f32 } else { -1.0 };
            let way: Vec<f32> = grad
                .iter()
                .map(|g| if dice.unit() < turned { -sign(g) } else { sign(g) })
                .collect();
            let want: f64 = grad.iter().zip(&way).map(|(g, w)| f64::from(g * w)).sum();
            let walk = |net: &mut Transformer, by: f32| {
                let numbers = if name == "items" { &mut net.items } else { &mut net.theta };
                numbers[range.clone()].iter_mut().zip(&way).for_each(|(n, w)| *n += by * w);
            };
            // Beside what the part does in all: a key's bias moves all logits of a row alike, so its
            // slope is 0 but for rounding.
            let size = grad.iter().map(|g| f64::from(g.abs())).sum::<f64>().max(1e-2);
            let error = |step: f32| (slope(&trial, net, step, walk) - want).abs() / size;
            let errors = [1e-4, 3e-4, 1e-3, 3e-3].map(error);
            let least = errors.iter().copied().fold(f64::MAX, f64::min);
            assert!(least < 1e-3, "{name}, {kind:?}: off by {errors:?}, slope {want}");
        }
    }
}

/// Goal: gradients of every layer in every order of blocks are right, and with every activation
/// that has no corner. Method: four-point differences along directions, at several step sizes.
#[test]
fn gradients_of_all_layers_are_those_of_differences() {
    for order in [Order::Pre, Order::Kang, Order::Post] {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Linear] {
            let net = network(|a| {
                (a.order, a.activation, a.scale) = (order, activation, 1.7);
                (a.projection, a.final_norm) = (order != Order::Kang, order != Order::Post);
            });
            check(&net, Kind::Full);
        }
    }
    check(
        &network(|a| {
            (a.causal, a.head, a.embed_norm, a.activation) = (false, true, true, Activation::Gelu);
        }),
        Kind::Full,
    );
}

/// Goal: as above, for the activation with a corner; few numbers lie near it.
#[test]
fn gradients_through_a_corner_are_those_of_differences() {
    check(&network(|a| (a.layers, a.activation) = (1, Activation::Relu)), Kind::Full);
}

/// Goal: gradients of every loss are right.
#[test]
fn gradients_of_all_losses_are_those_of_differences() {
    let net = network(|a| (a.layers, a.activation) = (1, Activation::Gelu));
    for kind in [
        Kind::Full,
        Kind::Sampled(Against::Softmax { shift: 0.0 }),
        Kind::Sampled(Against::Softmax { shift: 1.3 }),
        Kind::Sampled(Against::Logistic { power: 0.4, share: 0.1 }),
        Kind::Pairs,
    ] {
        check(&net, kind);
    }
}
