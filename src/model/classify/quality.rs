//! Quality: how good a classifier is, on rows that it has not learned from.

use crate::{error::Result, eval::Outcomes};
use serde::{Deserialize, Serialize};

/// How good probabilities are on rows that were not learned from.
///
/// A figure that has no answer, as the AUC of rows of one kind, is NaN.
///
/// ```
/// use bowerbird::{eval::Outcomes, model::classify::Quality};
/// # fn main() -> bowerbird::Result<()> {
/// let quality = Quality::of(&[0.9, 0.2, 0.4], &[1.0, 0.0, 1.0], &[1.0, 1.0, 1.0])?;
/// assert_eq!((quality.rows, quality.auc), (3, 1.0));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quality {
    /// How many rows there were.
    pub rows: u64,
    /// The share of them that is yes, by weight.
    pub share: f64,
    /// The chance that a yes has a larger probability than a no.
    pub auc: f64,
    /// The mean precision at each yes.
    pub average_precision: f64,
    /// The mean squared error of probabilities.
    pub brier: f64,
    /// By how much probabilities differ from shares that come true, in 10 bins of equal width.
    pub expected_calibration_error: f64,
}

/// Bins of the calibration error.
const BINS: usize = 10;

impl Quality {
    /// Of probabilities, with a label and a weight for each.
    ///
    /// # Errors
    /// As [`Outcomes::weighted`].
    pub fn of(chances: &[f32], labels: &[f32], weights: &[f32]) -> Result<Quality> {
        let outcomes = Outcomes::weighted(chances, labels, weights)?;
        let (yes, no) = outcomes.weight();
        let or_nan = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
        Ok(Quality {
            rows: labels.len() as u64,
            share: yes / (yes + no),
            auc: or_nan(outcomes.auc()),
            average_precision: or_nan(outcomes.average_precision()),
            brier: or_nan(outcomes.brier()),
            expected_calibration_error: or_nan(outcomes.expected_calibration_error(BINS)),
        })
    }
}
