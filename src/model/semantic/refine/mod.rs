//! Refine: a codebook that has learned from what users do.
//!
//! | file | it owns |
//! |---|---|
//! | `pairs` | which items users consume near each other |
//! | `map` | the loss of a map of their content, and its gradient |

mod map;
mod pairs;

use super::fit::{Fit, points};
use crate::{
    error::{Error, Result},
    model::{
        Sequences, Training,
        train::{
            adam::{Adam, Pace},
            dice::Dice,
        },
    },
    semantic::{Codebook, Encoder},
    store::Snapshot,
};
use map::Teacher;
use pairs::pairs;
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
/// fn refined(snapshot: &Snapshot) -> Result<bowerbird::semantic::Codebook> {
///     let sequences = Sequences::read(snapshot, &Reading::default())?;
///     let fit = Fit { balanced: true, ..Fit::of(["text"]) };
///     Refine::of(fit).fit(snapshot, &sequences, &mut Training::new(7).threads(2))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Refine {
    /// How the mapped vectors are quantized, and of which spaces they are. Its `items` bounds only what is
    /// quantized: the map is learned from all items, whose vectors are held.
    pub fit: Fit,
    /// How many numbers the map says.
    pub dim: usize,
    /// The factor of the content as it is, put beside what was learned; 0 for without. What was learned has
    /// the length that training gave it: with titles of Beauty a mean square of 2.1, while the content has
    /// .73 times the square of this.
    pub content: f32,
    /// Items so far apart in a sequence are a pair, at most.
    pub window: usize,
    /// Passes over all pairs.
    pub epochs: usize,
    /// Pairs in a batch, 2 to 8,192: each has as many logits as the batch has pairs.
    pub batch: usize,
    /// Adam's step.
    pub learning_rate: f32,
}

impl Refine {
    /// With settings that were tried once and not tuned: a map of 128 numbers, and half of the content.
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
        let spaces = self.fit.spaces();
        let (items, lists) = pairs::read(snapshot, &spaces, sequences, &mut how.progress)?;
        self.fit_vectors(&items, &lists, how)
    }

    /// The same of vectors that are in no database, as for [`Fit::fit_vectors`]; sequences are of places
    /// among the items, from 0.
    ///
    /// # Errors
    /// As [`Refine::fit`]; `Invalid` for a place where no item is.
    pub fn fit_vectors(
        &self,
        items: &[Vec<Option<Vec<f32>>>],
        sequences: &[Vec<u32>],
        how: &mut Training<'_>,
    ) -> Result<Codebook> {
        self.check()?;
        how.progress.begin((self.epochs + self.fit.levels.len() * self.fit.iterations) as u64)?;
        let inputs = self.fit.centre(items)?;
        let points = points::prepared(&inputs, items)?;
        let mut dice = Dice::new(how.seed, 77);
        let pairs = pairs(sequences, (items.len(), self.window), &mut dice)?;
        let map = self.learn(&points, pairs, &mut dice, how)?;
        let encoder = self.encoder(&map, points.dim)?;
        // What is not quantized need not be mapped.
        let points = points.sample(self.fit.items, how.seed);
        let rows = points.rows.chunks_exact(points.dim);
        let mapped: Vec<f32> = rows.flat_map(|row| encoder.encode(row.to_vec())).collect();
        let levels = self.fit.quantize(Points { dim: encoder.output(), rows: mapped }, how)?;
        Codebook::with_encoder(inputs, encoder, levels)
    }

    fn check(&self) -> Result<()> {
        self.fit.check()?;
        let refuse = |why: String| Err(Error::invalid("options of Refine", why));
        if !(1..=4096).contains(&self.dim) {
            return refuse(format!("have a map of {} numbers; 1 to 4,096", self.dim));
        }
        if !(2..=8_192).contains(&self.batch) || self.window == 0 || self.epochs == 0 {
            return refuse("have no epoch, no window, or a batch outside of 2 to 8,192".into());
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
        mut pairs: Vec<(u32, u32)>,
        dice: &mut Dice,
        how: &mut Training<'_>,
    ) -> Result<Vec<f32>> {
        let size = (1.0 / self.dim as f32).sqrt();
        let mut map: Vec<f32> = (0..self.dim * points.dim).map(|_| dice.normal() * size).collect();
        let mut counts = vec![0u32; points.len()];
        pairs.iter().for_each(|(_, to)| counts[*to as usize] += 1);
        let common: Vec<f32> = counts.iter().map(|n| (*n).max(1) as f32).map(f32::ln).collect();
        let teacher = Teacher { points, dim: self.dim, common: &common, threads: how.threads };
        let pace = Pace { rate: self.learning_rate, keep: (0.9, 0.999) };
        let mut adam = Adam::new(pace, map.len());
        for _ in 0..self.epochs {
            dice.shuffle(&mut pairs);
            for batch in pairs.chunks(self.batch).filter(|batch| batch.len() > 1) {
                how.progress.poll()?;
                let (_, grad) = teacher.loss(&map, batch)?;
                adam.begin(self.learning_rate);
                adam.all(&mut map, &[&grad], how.threads);
            }
            how.progress.advance(1)?;
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests;
