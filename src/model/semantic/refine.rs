//! Refine: a codebook that has learned from what users do.

use super::fit::{Fit, points};
use crate::{
    error::{Error, Result},
    key::Key,
    model::{
        Sequences, Training,
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            exp::{exp_sub_sum, row_max, scale},
            gemm::{Matrix, gemm},
        },
    },
    semantic::{Codebook, Encoder},
    store::Snapshot,
};
use points::Points;

/// How to make a codebook in which items that users consume together fall together.
///
/// A linear map of the content is learned from pairs of items that are near each other in sequences:
/// of a batch of pairs, each item's partner is to be nearer than the partners of the others (InfoNCE, van
/// den Oord et al. 2018, with squared distances, and popular partners discounted by logQ). What is mapped,
/// and beside it some of the content as it is, is quantized as [`Fit`] does. The map is part of the codebook
/// (its [`Encoder`]), so a new item gets its ID from its content alone: this is the collaborative signal of
/// LETTER (Wang et al. 2024) and M3CSR (Chen et al. 2024), learned in front of the codes. With several
/// inputs, the map weighs them too.
///
/// ```no_run
/// use bowerbird::{*, model::{*, semantic::*}};
/// fn refined(snapshot: &Snapshot) -> Result<Codebook> {
///     let sequences = Sequences::read(snapshot, &Reading::default())?;
///     let fit = Fit { balanced: true, ..Fit::of(["text"]) };
///     Refine::of(fit).fit(snapshot, &sequences, &mut Training::new(7).threads(2))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Refine {
    /// How the mapped vectors are quantized, and of which spaces they are.
    pub fit: Fit,
    /// How many numbers the map says.
    pub dim: usize,
    /// How much the content counts as it is, beside 1 for what was learned; 0 for not at all.
    pub content: f32,
    /// Items so far apart in a sequence are a pair, at most.
    pub window: usize,
    /// Passes over all pairs.
    pub epochs: usize,
    /// Pairs in a batch.
    pub batch: usize,
    /// Adam's step.
    pub learning_rate: f32,
}

impl Refine {
    /// With the settings that did well on validation items of data like ours.
    pub fn of(fit: Fit) -> Refine {
        Refine {
            fit,
            dim: 128,
            content: 0.5,
            window: 3,
            epochs: 8,
            batch: 512,
            learning_rate: 1e-3,
        }
    }

    /// Learns from the items of a snapshot and from sequences of them; of `how` it takes seed, threads
    /// and progress. Items of sequences that are not there, or have no vector, are passed over.
    ///
    /// # Errors
    /// As [`Fit::fit`]; `Invalid` for options out of range or if no two items are a pair.
    pub fn fit(
        &self,
        snapshot: &Snapshot,
        sequences: &Sequences,
        how: &mut Training<'_>,
    ) -> Result<Codebook> {
        self.check()?;
        how.progress.begin((self.epochs + self.fit.levels.len() * self.fit.iterations) as u64)?;
        let items = points::read(snapshot, &self.fit.spaces(), &mut how.progress)?;
        let inputs = self.fit.centre(&items)?;
        let mut prepared = points::prepared(&inputs, &items)?;
        let rows = rows_of(snapshot, &self.fit.spaces(), sequences.vocabulary().keys())?;
        let map = self.learn(&prepared, &pairs(sequences, &rows, self.window), how)?;
        let encoder = self.encoder(&map, prepared.dim)?;
        let rows = prepared.rows.chunks_exact(prepared.dim);
        let mapped: Vec<f32> = rows.flat_map(|row| encoder.encode(row.to_vec())).collect();
        prepared = Points { dim: encoder.output(), rows: mapped };
        let levels = self.fit.quantize(prepared, how)?;
        Codebook::with_encoder(inputs, encoder, levels)
    }

    fn check(&self) -> Result<()> {
        self.fit.check()?;
        let refuse = |why: String| Err(Error::invalid("options of Refine", why));
        if !(1..=4096).contains(&self.dim) {
            return refuse(format!("have a map of {} numbers; 1 to 4,096", self.dim));
        }
        if !(2..=65_536).contains(&self.batch) || self.window == 0 || self.epochs == 0 {
            return refuse("have no epoch, no window, or a batch outside of 2 to 65,536".into());
        }
        let rate = self.learning_rate > 0.0 && self.learning_rate < 1.0;
        match rate && self.content.is_finite() && self.content >= 0.0 {
            true => Ok(()),
            false => refuse("have a learning rate outside of 0 to 1, or no content".into()),
        }
    }

    /// The map, and the content beside it.
    fn encoder(&self, map: &[f32], dim: usize) -> Result<Encoder> {
        let mut weights = map.to_vec();
        if self.content > 0.0 {
            for at in 0..dim {
                weights.extend((0..dim).map(|other| if at == other { self.content } else { 0.0 }));
            }
        }
        let outputs = weights.len() / dim;
        Encoder::new(dim).layer(weights, vec![0.0; outputs])
    }

    /// The rows of the map: `dim` of as many numbers as a point has.
    fn learn(
        &self,
        points: &Points,
        pairs: &[(u32, u32)],
        how: &mut Training<'_>,
    ) -> Result<Vec<f32>> {
        if pairs.is_empty() {
            let why = "have no two items with vectors beside each other: there is nothing to learn";
            return Err(Error::invalid("sequences of Refine", why));
        }
        let mut dice = Dice::new(how.seed, 77);
        let size = (1.0 / self.dim as f32).sqrt();
        let mut map: Vec<f32> = (0..self.dim * points.dim).map(|_| dice.normal() * size).collect();
        let mut counts = vec![0u32; points.len()];
        pairs.iter().for_each(|(_, to)| counts[*to as usize] += 1);
        let pace = Pace { rate: self.learning_rate, keep: (0.9, 0.999) };
        let (mut adam, mut order) = (Adam::new(pace, map.len()), pairs.to_vec());
        for _ in 0..self.epochs {
            dice.shuffle(&mut order);
            for batch in order.chunks(self.batch).filter(|batch| batch.len() > 1) {
                how.progress.advance(0)?;
                let (loss, grad) = batch_loss(&map, self.dim, points, batch, &counts);
                if !loss.is_finite() {
                    let why = "diverged: the loss is not finite. Try a smaller learning rate.";
                    return Err(Error::invalid("training of Refine", why));
                }
                adam.begin(self.learning_rate);
                adam.all(&mut map, &[&grad], how.threads);
            }
            how.progress.advance(1)?;
        }
        Ok(map)
    }
}

/// The place among the points of every item of a vocabulary that has one: as [`points::read`] reads them.
fn rows_of(snapshot: &Snapshot, spaces: &[&str], keys: &[Key]) -> Result<Vec<Option<u32>>> {
    let all = snapshot.keys(&crate::filter::Where::all(), usize::MAX)?;
    let mut rows: Vec<(Key, u32)> = Vec::with_capacity(all.len());
    for key in all {
        let Some(addr) = snapshot.find(&key)? else { continue };
        let mut has = false;
        for space in spaces {
            has |= snapshot.vector(addr, space, &mut Vec::new())?;
        }
        if has {
            let row = rows.len() as u32;
            rows.push((key, row));
        }
    }
    let find =
        |key: &Key| rows.binary_search_by(|(other, _)| other.cmp(key)).ok().map(|at| rows[at].1);
    Ok(keys.iter().map(find).collect())
}

/// Different items that are near each other, both ways.
fn pairs(sequences: &Sequences, rows: &[Option<u32>], window: usize) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    for codes in sequences.iter() {
        let known: Vec<u32> = codes.iter().filter_map(|code| rows[*code as usize]).collect();
        for (at, from) in known.iter().enumerate() {
            for to in known[at + 1..].iter().take(window).filter(|to| *to != from) {
                pairs.extend([(*from, *to), (*to, *from)]);
            }
        }
    }
    pairs
}

/// The mean loss of a batch, and its gradient by the map.
fn batch_loss(
    map: &[f32],
    dim: usize,
    points: &Points,
    batch: &[(u32, u32)],
    counts: &[u32],
) -> (f64, Vec<f32>) {
    let (count, wide) = (batch.len(), points.dim);
    let gather = |of: fn(&(u32, u32)) -> u32| -> Vec<f32> {
        batch.iter().flat_map(|pair| points.row(of(pair) as usize).to_vec()).collect()
    };
    let (from, to) = (gather(|pair| pair.0), gather(|pair| pair.1));
    let mapped = |rows: &[f32]| {
        let mut out = vec![0f32; count * dim];
        let map = Matrix::new(map, dim, wide);
        gemm(1.0, Matrix::new(rows, count, wide), map.t(), 0.0, &mut out);
        out
    };
    let (a, b) = (mapped(&from), mapped(&to));
    // -|a - b|^2 / 2 up to what all logits of a row share, sharper, less the log of how common b is.
    let mut logits = vec![0f32; count * count];
    gemm(SHARP, Matrix::new(&a, count, dim), Matrix::new(&b, count, dim).t(), 0.0, &mut logits);
    let square = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    let halves: Vec<f32> = b.chunks_exact(dim).map(|row| SHARP * square(row) / 2.0).collect();
    let common: Vec<f32> = batch.iter().map(|pair| (counts[pair.1 as usize] as f32).ln()).collect();
    let mut loss = 0f64;
    for (at, row) in logits.chunks_exact_mut(count).enumerate() {
        for (column, logit) in row.iter_mut().enumerate() {
            *logit -= halves[column] + common[column];
            // The same partner again, or the item itself, is no wrong answer.
            let twin =
                column != at && (batch[column].1 == batch[at].1 || batch[column].1 == batch[at].0);
            if twin {
                *logit = f32::NEG_INFINITY;
            }
        }
        let own = row[at];
        let max = row_max(row);
        let sum = exp_sub_sum(row, max);
        loss += f64::from(max) + f64::from(sum).ln() - f64::from(own);
        // From here on the gradient by the logits.
        scale(row, 1.0 / (sum * count as f32));
        row[at] -= 1.0 / count as f32;
    }
    let mut grad_a = vec![0f32; count * dim];
    let grads = || Matrix::new(&logits, count, count);
    gemm(SHARP, grads(), Matrix::new(&b, count, dim), 0.0, &mut grad_a);
    let mut grad_b = vec![0f32; count * dim];
    gemm(SHARP, grads().t(), Matrix::new(&a, count, dim), 0.0, &mut grad_b);
    let mut columns = vec![0f32; count];
    for row in logits.chunks_exact(count) {
        columns.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    for ((grad, row), sum) in grad_b.chunks_exact_mut(dim).zip(b.chunks_exact(dim)).zip(&columns) {
        grad.iter_mut().zip(row).for_each(|(grad, x)| *grad -= SHARP * sum * x);
    }
    let mut grad = vec![0f32; dim * wide];
    let back = |grads: &[f32], rows: &[f32], beta: f32, out: &mut [f32]| {
        gemm(1.0, Matrix::new(grads, count, dim).t(), Matrix::new(rows, count, wide), beta, out);
    };
    back(&grad_a, &from, 0.0, &mut grad);
    back(&grad_b, &to, 1.0, &mut grad);
    (loss / count as f64, grad)
}

/// How sharply distances are told apart: points have about length one.
const SHARP: f32 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Item, Metric, Schema, model::semantic::Figures};

    fn points(count: usize, dim: usize, seed: u64) -> Points {
        let mut dice = Dice::new(seed, 1);
        Points { dim, rows: (0..count * dim).map(|_| dice.normal() * 0.5).collect() }
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (points, mut dice) = (points(9, 6, 3), Dice::new(4, 2));
        let batch = [(0, 1), (2, 3), (4, 1), (3, 2), (7, 8), (5, 6)];
        let counts = [1, 2, 1, 4, 1, 1, 3, 1, 2];
        let map: Vec<f32> = (0..4 * 6).map(|_| dice.normal() * 0.5).collect();
        let loss = |map: &[f32]| batch_loss(map, 4, &points, &batch, &counts).0;
        let (_, grad) = batch_loss(&map, 4, &points, &batch, &counts);
        let norm = grad.iter().map(|x| x * x).sum::<f32>().sqrt();
        for at in 0..map.len() {
            let moved = |by: f32| {
                let mut map = map.clone();
                map[at] += by;
                loss(&map)
            };
            let slope = ((moved(1e-2) - moved(-1e-2)) / 2e-2) as f32;
            assert!((slope - grad[at]).abs() < 2e-3 * norm, "{at}: {slope} and {}", grad[at]);
        }
    }

    /// Goal: content says nothing of who goes with whom, but one direction of it, and that is what is
    /// learned; new items follow it.
    #[test]
    fn what_goes_together_falls_together() {
        let db = Db::in_memory(Schema::new().space("x", 8, Metric::Dot)).unwrap();
        let (mut dice, mut batch) = (Dice::new(5, 1), db.batch());
        let kind = |key: u64| key % 4;
        for key in 0..240u64 {
            let mut vector: Vec<f32> = (0..8).map(|_| dice.normal()).collect();
            vector[6] = if kind(key) & 1 == 1 { 0.7 } else { -0.7 };
            vector[7] = if kind(key) & 2 == 2 { 0.7 } else { -0.7 };
            batch.put(Item::new(key).vector("x", vector));
        }
        batch.commit().unwrap();
        // Users keep to one kind; items from 200 on are new.
        let lists = (0..300u64).map(|user| {
            let item = |_| Key::Id(dice.below(50) as u64 * 4 + kind(user));
            (user, (0..6).map(item).zip(0i64..).collect::<Vec<_>>())
        });
        let sequences = Sequences::new(lists.collect::<Vec<_>>()).unwrap();
        let fit = Fit { levels: vec![4, 4], ..Fit::of(["x"]) };
        let refine = Refine { dim: 4, content: 0.1, batch: 64, ..Refine::of(fit.clone()) };
        let snapshot = db.snapshot();
        let make = |threads| {
            refine.fit(&snapshot, &sequences, &mut Training::new(3).threads(threads)).unwrap()
        };
        let (plain, refined) = (fit.fit(&snapshot, &mut Training::new(3)).unwrap(), make(1));
        assert_eq!(refined, make(2));
        // The share of pairs of new items of one kind that share their first code.
        let together = |book: &Codebook| {
            let code = |key: u64| {
                let vector = snapshot.get(&Key::Id(key)).unwrap().unwrap().vectors[0].1.clone();
                book.encode(&[Some(&vector)]).unwrap().unwrap().codes()[0]
            };
            let codes: Vec<u16> = (200..240).map(code).collect();
            let pairs = (0..40).flat_map(|a| (0..a).map(move |b| (a, b)));
            let same: Vec<_> = pairs.filter(|(a, b)| a % 4 == b % 4).collect();
            same.iter().filter(|(a, b)| codes[*a] == codes[*b]).count() as f64 / same.len() as f64
        };
        let (before, after) = (together(&plain), together(&refined));
        println!("{before:.2} before, {after:.2} after");
        assert!(after > before + 0.25, "{before} before, {after} after");
        let ids: Vec<_> = (0..240)
            .map(|key| {
                let vector = snapshot.get(&Key::Id(key)).unwrap().unwrap().vectors[0].1.clone();
                refined.encode(&[Some(&vector)]).unwrap().unwrap()
            })
            .collect();
        assert!(Figures::of(&ids).unique > 10);
        let none = Sequences::new([(1, vec![(Key::Id(1), 0)])]).unwrap();
        assert!(refine.fit(&snapshot, &none, &mut Training::new(3)).is_err());
        let wrong = Refine { batch: 1, ..refine.clone() };
        assert!(wrong.fit(&snapshot, &sequences, &mut Training::new(3)).is_err());
    }
}
