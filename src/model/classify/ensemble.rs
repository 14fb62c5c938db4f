//! Ensemble: trees whose sum is the log-odds.

use crate::{
    error::{Error, Result},
    model::tree::Tree,
};
use serde::{Deserialize, Serialize};

/// What is summed up for a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ensemble {
    base: f64,
    trees: Vec<Tree>,
    /// By how much the splits on each column made the loss smaller, in all.
    gains: Vec<f64>,
    /// The mean of each column, of those values that were there; 0 if none was.
    means: Vec<f32>,
}

impl Ensemble {
    #[cfg(feature = "boosting")]
    pub(super) fn new(
        base: f64,
        trees: Vec<Tree>,
        (gains, means): (Vec<f64>, Vec<f32>),
        width: usize,
    ) -> Result<Ensemble> {
        Ensemble { base, trees, gains, means }.checked(width)
    }

    /// One that was read as it was written: its parts may not fit.
    pub(super) fn checked(self, width: usize) -> Result<Ensemble> {
        let Ensemble { base, trees, gains, means } = self;
        let numbers = base.is_finite() && gains.iter().all(|gain| gain.is_finite());
        let numbers = numbers && means.iter().all(|mean| mean.is_finite());
        if !numbers || gains.len() != width || means.len() != width {
            let why = "have a number that is not finite, or are of another number of columns";
            return Err(Error::invalid("trees of a classifier", why));
        }
        let check = |(at, tree): (usize, Tree)| {
            tree.checked(width)
                .map_err(|why| Error::invalid("trees of a classifier", format!("tree {at} {why}")))
        };
        let trees = trees.into_iter().enumerate().map(check).collect::<Result<_>>()?;
        Ok(Ensemble { base, trees, gains, means })
    }

    /// The log-odds of a row, which is as wide as it should be.
    pub(super) fn margin(&self, row: &[f32]) -> f64 {
        self.base + self.trees.iter().map(|tree| tree.leaf(row)).sum::<f64>()
    }

    pub(super) fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// By how much the log-odds are more than with the mean in each column, one by one.
    pub(super) fn shares(&self, row: &[f32]) -> Vec<f64> {
        let (all, mut other) = (self.margin(row), row.to_vec());
        let share = |at: usize| {
            other[at] = self.means[at];
            let share = all - self.margin(&other);
            other[at] = row[at];
            share
        };
        (0..row.len()).map(share).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.trees.len()
    }
}
