//! FitClassifier: trains a classifier, and calibrates it on what it has not learned from.

#[cfg(feature = "boosting")]
use super::boosting::Boosting;
use super::{
    calibration::{Calibrate, Calibration, Held},
    classifier::{Classifier, Scorer},
    linear::Logistic,
    quality::Quality,
    rows::Rows,
};
use crate::{
    error::{Error, Result},
    model::{Training, train::dice::Dice},
    progress::Progress,
};
use std::collections::HashMap;

/// What learns.
///
/// ```
/// use bowerbird::model::classify::{Learner, Logistic};
/// let learner = Learner::Logistic(Logistic { l2: 3.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Learner {
    /// Logistic regression: fast, and hard to fool.
    Logistic(Logistic),
    /// Gradient-boosted trees: what depends on several columns at once.
    #[cfg(feature = "boosting")]
    Boosting(Boosting),
}

/// How to train a classifier.
///
/// Rows are dealt into folds, those of a group together. For each fold a classifier learns from the others;
/// what these say of the rows that they have not seen is what the calibration is fitted on, and what the
/// [`Quality`] is of: each fold with a calibration of the others, too. What is kept is a classifier that
/// has learned from all rows.
///
/// ```
/// use bowerbird::model::{Training, classify::*};
/// # fn main() -> bowerbird::Result<()> {
/// let numbers = (0..400).map(|at| ((at * 37) % 400) as f32);
/// let labels = numbers.clone().map(|x| f32::from(u8::from(x > 180.0 && x as u32 % 7 != 0)));
/// let rows = Rows::new(["x"], numbers.clone().collect(), labels.collect())?;
/// let classifier = FitClassifier::logistic().train(&rows, &mut Training::new(7))?;
/// assert!(classifier.quality().auc > 0.9);
/// assert!(classifier.probability(&[399.0])? > 0.8);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitClassifier {
    /// What learns.
    pub learner: Learner,
    /// How its log-odds become probabilities.
    pub calibrate: Calibrate,
    /// How many folds, 2 to 100.
    pub folds: usize,
}

/// Fewest rows of the rarer label: of fewer, neither weights nor a calibration mean anything.
const RARER_MIN: usize = 30;

impl FitClassifier {
    /// Logistic regression, five folds, Platt's calibration.
    pub fn logistic() -> FitClassifier {
        FitClassifier::of(Learner::Logistic(Logistic::default()))
    }

    /// Gradient-boosted trees, the same way.
    #[cfg(feature = "boosting")]
    pub fn boosting() -> FitClassifier {
        FitClassifier::of(Learner::Boosting(Boosting::default()))
    }

    /// Any learner, the same way.
    pub fn of(learner: Learner) -> FitClassifier {
        FitClassifier { learner, calibrate: Calibrate::Platt, folds: 5 }
    }

    /// Learns from rows.
    ///
    /// # Errors
    /// `Invalid` for options out of range, for fewer than 30 rows of the rarer label, for groups that leave
    /// a fold without one of the labels to learn from; `Cancelled` when the progress function says so.
    pub fn train(&self, rows: &Rows, how: &mut Training<'_>) -> Result<Classifier> {
        if !(2..=100).contains(&self.folds) {
            let why = format!("are {}; 2 to 100 can be made", self.folds);
            return Err(Error::invalid("folds", why));
        }
        rows.check_both(RARER_MIN)?;
        how.begin(self.folds + 1)?;
        let fold = self.deal(rows, how.seed);
        let mut margins = vec![0f64; rows.len()];
        for held in 0..self.folds {
            let learned = rows.some((0..rows.len()).filter(|at| fold[*at] != held));
            learned.check_both(1)?;
            let scorer = self.fit(&learned, how.seed, &mut how.progress)?;
            let held = (0..rows.len()).filter(|at| fold[*at] == held);
            for at in held {
                margins[at] = rows.row(at).map_or(0.0, |row| scorer.margin(row));
            }
            how.progress.advance(1)?;
        }
        let quality = self.judge(rows, &fold, &margins)?;
        let calibration = Calibration::fit(self.calibrate, &held(rows, &margins, |_| true))?;
        let scorer = self.fit(rows, how.seed, &mut how.progress)?;
        how.progress.advance(1)?;
        let notes = vec![
            ("learner".to_owned(), format!("{:?}", self.learner)),
            ("calibration".to_owned(), calibration.name().to_owned()),
            ("folds".to_owned(), self.folds.to_string()),
        ];
        Classifier::new(rows.names().to_vec(), scorer, calibration, quality, (notes, how.seed))
    }

    #[cfg_attr(not(feature = "boosting"), expect(unused_variables, reason = "only trees draw"))]
    fn fit(&self, rows: &Rows, seed: u64, progress: &mut Progress<'_>) -> Result<Scorer> {
        progress.check()?;
        match &self.learner {
            Learner::Logistic(how) => Ok(Scorer::Linear(how.fit(rows, progress)?)),
            #[cfg(feature = "boosting")]
            Learner::Boosting(how) => Ok(Scorer::Trees(how.fit(rows, seed)?)),
        }
    }

    /// The fold of each row: groups in any order, dealt one by one; of rows without groups, those of yes
    /// and of no apart, so that each fold has its share of both.
    fn deal(&self, rows: &Rows, seed: u64) -> Vec<usize> {
        let mut dice = Dice::new(seed, 0xf01d);
        let mut fold = vec![0; rows.len()];
        if let Some(groups) = rows.groups() {
            let mut all: Vec<u64> = groups.to_vec();
            all.sort_unstable();
            all.dedup();
            dice.shuffle(&mut all);
            let dealt: HashMap<u64, usize> =
                all.into_iter().enumerate().map(|(at, group)| (group, at % self.folds)).collect();
            fold.iter_mut().zip(groups).for_each(|(fold, group)| *fold = dealt[group]);
            return fold;
        }
        let (mut yes, mut no): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|at| rows.labels()[*at] >= 0.5);
        dice.shuffle(&mut yes);
        dice.shuffle(&mut no);
        for (place, at) in yes.into_iter().chain(no).enumerate() {
            fold[at] = place % self.folds;
        }
        fold
    }

    /// Each fold by a classifier and by a calibration that have not seen it.
    fn judge(&self, rows: &Rows, fold: &[usize], margins: &[f64]) -> Result<Quality> {
        let mut chances = vec![0f32; rows.len()];
        for number in 0..self.folds {
            let others = held(rows, margins, |at| fold[at] != number);
            let calibration = Calibration::fit(self.calibrate, &others)?;
            for at in (0..rows.len()).filter(|at| fold[*at] == number) {
                chances[at] = calibration.chance(margins[at]) as f32;
            }
        }
        Quality::of(&chances, rows.labels(), rows.weights())
    }
}

/// Some of the rows, as a calibration reads them.
pub(super) fn held(rows: &Rows, margins: &[f64], some: impl Fn(usize) -> bool) -> Vec<Held> {
    let at = (0..rows.len()).filter(|at| some(*at));
    at.map(|at| (margins[at], rows.labels()[at], rows.weights()[at])).collect()
}
