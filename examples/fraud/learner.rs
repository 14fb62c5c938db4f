//! Logistic regression and trees by the library, and their figures.

use super::Outcome;
use bowerbird::model::{
    Training,
    classify::{Classifier, FitClassifier, Quality, Rows},
};

/// Learns from rows with labels.
pub(crate) fn fit(
    how: &FitClassifier,
    names: &[String],
    rows: &[Vec<f32>],
    labels: &[f32],
) -> Outcome<Classifier> {
    let rows = Rows::new(names.to_vec(), rows.concat(), labels.to_vec())?;
    Ok(how.train(&rows, &mut Training::new(7))?)
}

/// Area under the curve, average precision and calibration of scores.
pub(crate) fn judge(scores: &[f32], labels: &[f32]) -> Outcome<Quality> {
    Ok(Quality::of(scores, labels, &vec![1.0; labels.len()])?)
}
