//! Outcomes: what was foretold, and what came true.

use crate::error::{Error, Result};

/// Scores of examples and how true each turned out to be: how good is a classifier?
///
/// A label is 1 for true, 0 for false, or between: an example with the label 0.8 counts as 0.8 of a true
/// one and 0.2 of a false one, in every metric. [`Outcomes::auc`] and [`Outcomes::average_precision`] ask
/// for the order only; the others take scores as probabilities, and are `None` if one is not 0 to 1.
/// Definitions are those of scikit-learn. What has no answer is `None`.
///
/// ```
/// use bowerbird::eval::Outcomes;
/// let outcomes = Outcomes::new(&[0.9, 0.6, 0.2, 0.1], &[1.0, 0.0, 1.0, 0.0])?;
/// assert_eq!(outcomes.auc(), Some(0.75));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// Score, weight that is true, weight that is false; by score, larger first.
    rows: Vec<(f64, f64, f64)>,
}

impl Outcomes {
    /// All examples weigh the same.
    ///
    /// # Errors
    /// `Invalid` for lists of two lengths, a score that is NaN, or a label outside 0..=1.
    pub fn new(scores: &[f32], labels: &[f32]) -> Result<Outcomes> {
        Outcomes::weighted(scores, labels, &vec![1.0; labels.len()])
    }

    /// Each example weighs what it says.
    ///
    /// # Errors
    /// As for [`Outcomes::new`], and for a weight that is negative or not finite.
    pub fn weighted(scores: &[f32], labels: &[f32], weights: &[f32]) -> Result<Outcomes> {
        if scores.len() != labels.len() || weights.len() != labels.len() {
            let (scores, labels, weights) = (scores.len(), labels.len(), weights.len());
            let why = format!("are {labels} for {scores} scores and {weights} weights");
            return Err(Error::invalid("labels", why));
        }
        let mut rows = Vec::with_capacity(labels.len());
        for (at, ((score, label), weight)) in scores.iter().zip(labels).zip(weights).enumerate() {
            let fine = !score.is_nan() && (0.0..=1.0).contains(label);
            if !fine || !weight.is_finite() || *weight < 0.0 {
                let why = format!("has the score {score}, the label {label}, the weight {weight}");
                return Err(Error::invalid(format!("example {at}"), why));
            }
            let (label, weight) = (f64::from(*label), f64::from(*weight));
            // Adding zero makes -0.0 tie with 0.0.
            rows.push((f64::from(*score) + 0.0, weight * label, weight * (1.0 - label)));
        }
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(Outcomes { rows })
    }

    /// The weight of what was true, and of what was false.
    pub fn weight(&self) -> (f64, f64) {
        self.rows.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.1, sum.1 + row.2))
    }

    /// The chance that what is true has a larger score than what is false; a tie counts half. `None`
    /// unless there are both.
    pub fn auc(&self) -> Option<f64> {
        let (mut above, mut won) = (0.0, 0.0);
        for tied in self.tied() {
            let (yes, no) = sums(tied);
            won += no * (above + 0.5 * yes);
            above += yes;
        }
        let (yes, no) = self.weight();
        (yes > 0.0 && no > 0.0).then(|| won / (yes * no))
    }

    /// The mean of the precision at each score, weighed by how much recall rises there; tied scores are
    /// one step. `None` if nothing is true.
    pub fn average_precision(&self) -> Option<f64> {
        let (mut yes, mut all, mut sum) = (0.0, 0.0, 0.0);
        for tied in self.tied() {
            let (here, not) = sums(tied);
            yes += here;
            all += here + not;
            sum += if all > 0.0 { here * yes / all } else { 0.0 };
        }
        let total = self.weight().0;
        (total > 0.0).then(|| sum / total)
    }

    /// The mean squared difference of probability and truth.
    ///
    /// ```
    /// use bowerbird::eval::Outcomes;
    /// let outcomes = Outcomes::new(&[1.0, 0.5], &[1.0, 0.0])?;
    /// assert_eq!(outcomes.brier(), Some(0.125));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn brier(&self) -> Option<f64> {
        self.mean(|chance, yes, no| yes * (1.0 - chance).powi(2) + no * chance.powi(2))
    }

    /// The mean surprise, in nats; infinite if what had no chance came true.
    pub fn log_loss(&self) -> Option<f64> {
        let surprise =
            |weight: f64, chance: f64| if weight > 0.0 { -weight * chance.ln() } else { 0.0 };
        self.mean(|chance, yes, no| surprise(yes, chance) + surprise(no, 1.0 - chance))
    }

    /// By how much probabilities differ from shares that come true (Guo et al., 2017): the mean over
    /// `bins` bins of equal width of |mean probability - share that is true|, by the weight of each bin.
    ///
    /// ```
    /// use bowerbird::eval::Outcomes;
    /// let sure = Outcomes::new(&[0.9, 0.9, 0.9, 0.9], &[1.0, 1.0, 0.0, 0.0])?;
    /// assert!((sure.expected_calibration_error(10).unwrap() - 0.4).abs() < 1e-6);
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn expected_calibration_error(&self, bins: usize) -> Option<f64> {
        let bins = self.reliability(bins)?;
        let total: f64 = bins.iter().map(|bin| bin.2).sum();
        Some(bins.iter().map(|bin| bin.2 * (bin.0 - bin.1).abs()).sum::<f64>() / total)
    }

    /// Of each bin of equal width that is not empty: the mean probability, the share that is true, and
    /// the weight. What lies on a bound is in the lower bin.
    pub fn reliability(&self, bins: usize) -> Option<Vec<(f64, f64, f64)>> {
        if bins == 0 || bins > BINS_MAX || !self.are_probabilities() {
            return None;
        }
        let mut found = vec![(0.0, 0.0, 0.0); bins];
        for (chance, yes, no) in &self.rows {
            let bin = ((chance * bins as f64).ceil() as usize).clamp(1, bins) - 1;
            found[bin].0 += chance * (yes + no);
            found[bin].1 += yes;
            found[bin].2 += yes + no;
        }
        found.retain(|bin| bin.2 > 0.0);
        found.iter_mut().for_each(|bin| (bin.0, bin.1) = (bin.0 / bin.2, bin.1 / bin.2));
        Some(found).filter(|found| !found.is_empty())
    }

    fn mean(&self, loss: impl Fn(f64, f64, f64) -> f64) -> Option<f64> {
        let (yes, no) = self.weight();
        let sum = self.rows.iter().map(|row| loss(row.0, row.1, row.2)).sum::<f64>();
        (yes + no > 0.0 && self.are_probabilities()).then(|| sum / (yes + no))
    }

    fn are_probabilities(&self) -> bool {
        self.rows.iter().all(|row| (0.0..=1.0).contains(&row.0))
    }

    fn tied(&self) -> impl Iterator<Item = &[(f64, f64, f64)]> {
        self.rows.chunk_by(|a, b| a.0 == b.0)
    }
}

/// Most bins.
const BINS_MAX: usize = 1 << 16;

fn sums(rows: &[(f64, f64, f64)]) -> (f64, f64) {
    rows.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.1, sum.1 + row.2))
}
