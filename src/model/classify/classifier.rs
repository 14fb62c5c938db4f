//! Classifier: what was trained, as an artifact.

use super::{
    calibration::{Calibrate, Calibration},
    ensemble::Ensemble,
    fit::held,
    linear::{Linear, sigmoid},
    quality::Quality,
    rows::{Rows, check_names},
};
use crate::{
    artifact::{Artifact, Opened, Provenance, Saved, shelf},
    error::{Error, Result},
    key::Seq,
};
use serde::{Deserialize, Serialize};

/// What gives a row its log-odds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Scorer {
    Linear(Linear),
    Trees(Ensemble),
}

impl Scorer {
    pub(super) fn margin(&self, row: &[f32]) -> f64 {
        match self {
            Scorer::Linear(linear) => linear.margin(row),
            Scorer::Trees(trees) => trees.margin(row),
        }
    }
}

/// A trained classifier: the names of its columns, what it has learned, and its calibration.
///
/// See [`FitClassifier`](super::FitClassifier) for how it comes about.
///
/// ```
/// use bowerbird::{*, model::{Training, classify::*}};
/// # fn main() -> Result<()> {
/// # let values: Vec<f32> = (0..200).map(|at| (at % 20) as f32).collect();
/// # let labels: Vec<f32> = values.iter().map(|x| f32::from(u8::from(*x > 9.0))).collect();
/// # let rows = Rows::new(["amount"], values, labels)?;
/// # let db = Db::in_memory(Schema::new())?;
/// let classifier = FitClassifier::logistic().train(&rows, &mut Training::new(7))?;
/// let version = db.publish("risk", &classifier, classifier.provenance(db.snapshot().seq()))?;
/// db.activate("risk", version)?;
/// let risk = db.snapshot().artifact::<Classifier>("risk")?;
/// assert!(risk.probability(&[15.0])? > risk.probability(&[2.0])?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    card: Card,
}

/// What it consists of, as it is saved; FORMAT.md chapter 8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Card {
    names: Vec<String>,
    scorer: Scorer,
    calibration: Calibration,
    /// What is added to the log-odds of probabilities, where another share of yes is expected.
    shift: f64,
    /// The share of yes that it was calibrated on.
    share: f64,
    quality: Quality,
    notes: Vec<(String, String)>,
    seed: u64,
}

const CARD: u16 = 0;

impl Classifier {
    /// Of parts that must fit each other.
    pub(super) fn new(
        names: Vec<String>,
        scorer: Scorer,
        calibration: Calibration,
        quality: Quality,
        (notes, seed): (Vec<(String, String)>, u64),
    ) -> Result<Classifier> {
        check_names(&names)?;
        let refuse = |why: &str| Err(Error::invalid("classifier", why));
        let scorer = match scorer {
            Scorer::Linear(linear) if linear.width() != names.len() || !linear.is_sound() => {
                return refuse("has weights that are not finite, or of other columns");
            }
            Scorer::Linear(linear) => Scorer::Linear(linear),
            Scorer::Trees(trees) => Scorer::Trees(trees.checked(names.len())?),
        };
        if !calibration.is_sound() {
            return refuse("has a calibration that gives no probabilities");
        }
        let (shift, share) = (0.0, quality.share);
        let card = Card { names, scorer, calibration, shift, share, quality, notes, seed };
        Ok(Classifier { card })
    }

    /// The names of the columns, in the order of a row.
    pub fn names(&self) -> &[String] {
        &self.card.names
    }

    /// How good it was on rows that it had not learned from, when it was trained.
    pub fn quality(&self) -> &Quality {
        &self.card.quality
    }

    /// How many trees it has; `None` of a logistic regression.
    pub fn trees(&self) -> Option<usize> {
        match &self.card.scorer {
            Scorer::Linear(_) => None,
            Scorer::Trees(trees) => Some(trees.len()),
        }
    }

    /// The probability that a row is a yes; NaN is a value that is missing.
    ///
    /// # Errors
    /// `Invalid` for another number of values than there are columns, or one that is infinite.
    pub fn probability(&self, row: &[f32]) -> Result<f32> {
        self.check(row)?;
        Ok(self.chance(row))
    }

    /// The same for rows that lie end to end.
    ///
    /// # Errors
    /// As for [`Classifier::probability`].
    pub fn probabilities(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let width = self.card.names.len();
        if !rows.len().is_multiple_of(width) {
            let why = format!("have {} values, which is no multiple of {width}", rows.len());
            return Err(Error::invalid("rows to classify", why));
        }
        rows.chunks_exact(width).map(|row| self.probability(row)).collect()
    }

    /// What it says of rows of the same columns, beside their labels.
    ///
    /// # Errors
    /// `Invalid` for rows of other columns.
    pub fn judge(&self, rows: &Rows) -> Result<Quality> {
        self.check_columns(rows)?;
        Quality::of(&self.probabilities(rows.values())?, rows.labels(), rows.weights())
    }

    /// The same classifier, calibrated on rows that it has not learned from: later ones, where the world
    /// changes. The quality it was trained with stays as it is.
    ///
    /// # Errors
    /// `Invalid` for rows of other columns, and for fewer than 30 of the rarer label.
    pub fn calibrated(mut self, how: Calibrate, rows: &Rows) -> Result<Classifier> {
        self.check_columns(rows)?;
        rows.check_both(30)?;
        let width = self.card.names.len();
        let margins: Vec<f64> =
            rows.values().chunks_exact(width).map(|row| self.card.scorer.margin(row)).collect();
        self.card.calibration = Calibration::fit(how, &held(rows, &margins, |_| true))?;
        let all: f64 = rows.weights().iter().map(|w| f64::from(*w)).sum();
        let yes =
            rows.labels().iter().zip(rows.weights()).map(|(y, w)| f64::from(*y) * f64::from(*w));
        (self.card.share, self.card.shift) = (yes.sum::<f64>() / all, 0.0);
        Ok(self)
    }

    /// The same classifier where another share of yes is expected than it was calibrated on, as when labels
    /// come from a time, or of a choice, in which there were more: odds are multiplied by how much more
    /// likely a yes is now (Saerens et al., 2002). The order stays the same.
    ///
    /// # Errors
    /// `Invalid` for a share that is not between 0 and 1.
    ///
    /// ```
    /// use bowerbird::{Result, model::classify::Classifier};
    /// fn in_shops(trained: Classifier) -> Result<Classifier> {
    ///     // Every second pair was labelled bad, since those were looked for; in the shop it is one in ten.
    ///     trained.expecting(0.1)
    /// }
    /// ```
    pub fn expecting(mut self, share: f64) -> Result<Classifier> {
        if !(share > 0.0 && share < 1.0) {
            let why = format!("is {share}; it must be between 0 and 1");
            return Err(Error::invalid("expected share of yes", why));
        }
        let odds = |share: f64| (share / (1.0 - share)).ln();
        self.card.shift = odds(share) - odds(self.card.share.clamp(1e-9, 1.0 - 1e-9));
        Ok(self)
    }

    /// How much each column matters, the largest first: of a logistic regression, the size of its weight
    /// for values of deviation 1; of trees, by how much its splits made the loss smaller.
    pub fn importance(&self) -> Vec<(&str, f64)> {
        let sizes: Vec<f64> = match &self.card.scorer {
            Scorer::Linear(linear) => linear.weights().iter().map(|w| w.abs()).collect(),
            Scorer::Trees(trees) => trees.gains().to_vec(),
        };
        let mut all: Vec<(&str, f64)> =
            self.card.names.iter().map(String::as_str).zip(sizes).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }

    /// What each column adds to a row's log-odds before calibration, the largest first: by how much they are
    /// more than with the mean of that column instead. Of trees these do not add up: what columns do
    /// together is each one's.
    ///
    /// # Errors
    /// As for [`Classifier::probability`].
    pub fn explain(&self, row: &[f32]) -> Result<Vec<(&str, f64)>> {
        self.check(row)?;
        let shares = match &self.card.scorer {
            Scorer::Linear(linear) => linear.shares(row),
            Scorer::Trees(trees) => trees.shares(row),
        };
        let mut all: Vec<(&str, f64)> =
            self.card.names.iter().map(String::as_str).zip(shares).collect();
        all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(b.0)));
        Ok(all)
    }

    /// Where it came from, to publish it with: trained on the snapshot of a commit.
    pub fn provenance(&self, trained_at: Seq) -> Provenance {
        let mut notes = self.card.notes.clone();
        let Quality { rows, auc, expected_calibration_error: error, .. } = self.card.quality;
        notes.push(("rows".to_owned(), rows.to_string()));
        notes.push(("held_out_auc".to_owned(), format!("{auc:.4}")));
        notes.push(("held_out_calibration_error".to_owned(), format!("{error:.4}")));
        Provenance { trained_at, seed: self.card.seed, parents: Vec::new(), notes }
    }

    /// Of a row that is as wide as it should be.
    pub(super) fn chance(&self, row: &[f32]) -> f32 {
        let margin = self.card.scorer.margin(row);
        // Finite weights and values may still add up to infinity on both sides.
        let margin = if margin.is_nan() { 0.0 } else { margin.clamp(-f64::MAX, f64::MAX) };
        let chance = self.card.calibration.chance(margin);
        match self.card.shift == 0.0 {
            true => chance as f32,
            // An odds of 0 or infinity stays what it is.
            false => sigmoid((chance / (1.0 - chance)).ln() + self.card.shift) as f32,
        }
    }

    fn check(&self, row: &[f32]) -> Result<()> {
        let (is, width) = (row.len(), self.card.names.len());
        if is != width {
            return Err(Error::invalid("row", format!("has {is} values; {width} are needed")));
        }
        match row.iter().position(|value| value.is_infinite()) {
            Some(at) => {
                Err(Error::invalid("row", format!("has an infinite {:?}", self.card.names[at])))
            }
            None => Ok(()),
        }
    }

    fn check_columns(&self, rows: &Rows) -> Result<()> {
        match rows.names() == self.card.names {
            true => Ok(()),
            false => {
                let why =
                    format!("have {:?}; the classifier has {:?}", rows.names(), self.card.names);
                Err(Error::invalid("columns of the rows", why))
            }
        }
    }
}

impl Artifact for Classifier {
    const KIND: &'static str = "classifier";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, CARD, &self.card)
    }

    fn open(from: &Opened) -> Result<Classifier> {
        let card: Card = shelf::take(from, CARD)?;
        let Card { names, scorer, calibration, shift, share, quality, notes, seed } = card;
        if !shift.is_finite() || !(0.0..=1.0).contains(&share) {
            return Err(from.damage("share of yes that is expected"));
        }
        let mut classifier = Classifier::new(names, scorer, calibration, quality, (notes, seed))
            .map_err(|why| from.damage(&why.to_string()))?;
        (classifier.card.shift, classifier.card.share) = (shift, share);
        Ok(classifier)
    }
}
