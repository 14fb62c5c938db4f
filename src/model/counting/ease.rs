//! Ease: every item predicted from all others at once, in closed form.

use super::{
    inverse::{SIDE, Symmetric},
    rows::{Rows, heaviest},
    steps::different,
    table::{Table, Voices},
};
use crate::{
    error::{Error, Result},
    model::{Model, Sequences, Train, Training},
    store::spread,
};

pub(crate) const NAME: &str = "ease";

/// Embarrassingly shallow autoencoder (Steck, 2019): weights between items that best rebuild what
/// users have from the other things they have, under a squared penalty, with no item predicting
/// itself. Unlike neighbours, weights know of each other: two items that say the same share it.
///
/// Exact: one inverse of a matrix of items by items. That bounds its size: memory grows with the
/// square, time with the cube. 12,101 items took 30 to 60 seconds on two busy cores; 20,000 need 0.8 GB.
///
/// ```
/// use bowerbird::model::Ease;
/// let stiff = Ease { penalty: Some(1_000.0), ..Ease::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ease {
    /// The weight of the penalty (lambda); `None` for one that follows from the data.
    pub penalty: Option<f32>,
    /// Most weights kept of an item: the largest, whatever their sign.
    pub keep: usize,
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// How many of the last different items of a sequence are counted.
    pub latest: usize,
    /// Most items; more are an error.
    pub items_max: usize,
}

impl Default for Ease {
    fn default() -> Ease {
        Ease { penalty: None, keep: 200, recent: 20, decay: 0.8, latest: 1_000, items_max: 20_000 }
    }
}

impl Train for Ease {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("Ease", self.recent, self.decay)?;
        let items = sequences.vocabulary().len();
        let sound = |penalty: f32| penalty.is_finite() && penalty > 0.0;
        if self.keep == 0 || self.latest == 0 || !self.penalty.is_none_or(sound) {
            let why = "needs a penalty of more than 0, and a keep and a latest of at least 1";
            return Err(Error::invalid("Ease", why));
        }
        if items > self.items_max {
            let gigabytes = items as f64 * items as f64 * 2.0 / 1e9;
            let why = format!(
                "has a limit of {} items, and there are {items}: they would take {gigabytes:.1} GB. \
                 Leave out rare items, raise items_max, or use another method",
                self.items_max
            );
            return Err(Error::invalid("Ease", why));
        }
        let mut matrix = Symmetric::new(items, SIDE);
        how.begin(matrix.steps() + 2)?;
        let mut counted = 0u64;
        for items in sequences.iter() {
            let set = different(items, self.latest);
            for (at, item) in set.iter().enumerate() {
                set[..=at].iter().for_each(|other| {
                    *matrix.at_mut(*item as usize, *other as usize) += 1.0;
                });
            }
            let before = counted >> 24;
            counted += (set.len() * set.len()) as u64;
            if counted >> 24 != before {
                how.progress.check()?;
            }
        }
        let events: f64 = (0..items).map(|item| f64::from(matrix.at(item, item))).sum();
        let penalty = self.penalty.unwrap_or_else(|| penalty(events, items));
        (0..items).for_each(|item| *matrix.at_mut(item, item) += penalty);
        how.progress.advance(1)?;
        matrix.invert(how.threads, &mut how.progress)?;
        let rows = self.weights(&matrix, items, how.threads)?;
        how.progress.advance(1)?;
        let options = vec![
            ("penalty".into(), penalty.to_string()),
            ("keep".into(), self.keep.to_string()),
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("latest".into(), self.latest.to_string()),
        ];
        let table = Table { name: NAME, voices, shrink: None, rows };
        Ok(Model::trained(table, options, sequences, how))
    }
}

impl Ease {
    /// From the inverse to rows: `-inverse(i, j) / inverse(j, j)`, the largest of each row.
    fn weights(&self, inverse: &Symmetric, items: usize, threads: usize) -> Result<Rows> {
        let piece = |piece: usize| -> Result<Vec<Vec<(u32, f32)>>> {
            let mut row = vec![0f32; items];
            let of = |item: usize| {
                inverse.row(item, &mut row);
                row[item] = 0.0;
                let weigh = |(to, number): (usize, &f32)| (to as u32, -number / inverse.at(to, to));
                heaviest(row.iter().enumerate().map(weigh).collect(), self.keep)
            };
            Ok((piece * SIDE..items.min((piece + 1) * SIDE)).map(of).collect())
        };
        let mut rows = Rows::empty();
        for row in spread(items.div_ceil(SIDE), threads, piece)?.into_iter().flatten() {
            let total: f32 = row.iter().map(|(_, weight)| weight.abs()).sum();
            rows.push(&row, total);
        }
        Ok(rows)
    }
}

/// Four times how many sequences an item has in the mean: the best of a grid, or near it, on
/// validation splits of MovieLens-1M (1,200), Amazon Beauty (50) and clicks of Yoochoose (80).
fn penalty(events: f64, items: usize) -> f32 {
    (4.0 * events / items.max(1) as f64).max(1.0) as f32
}
