//! GateModel: a classifier and the features that the engine computes for it.

use super::{classifier::Classifier, fit::FitClassifier, lessons::Lessons};
use crate::{
    artifact::{Artifact, Opened, Provenance, Saved, shelf},
    error::{Error, Result},
    key::Seq,
    model::{
        Training,
        ranker::{Features, Scalar},
    },
};

/// What a [`Gate`](super::Gate) goes by: which scalars to compute, and the classifier over them.
///
/// It says how likely it is that the answer to the question of its labels is yes. For a gate the question is
/// whether this is a bad match.
///
/// See [`Lessons`] for how it comes about.
///
/// ```
/// use bowerbird::model::classify::GateModel;
/// fn report(model: &GateModel) -> String {
///     format!("AUC {:.3} on pairs not learned from", model.classifier().quality().auc)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GateModel {
    features: Features,
    classifier: Classifier,
}

const FEATURES: u16 = 1;

impl GateModel {
    /// Learns from lessons.
    ///
    /// # Errors
    /// As [`FitClassifier::train`].
    pub fn train(
        fit: &FitClassifier,
        lessons: &Lessons,
        how: &mut Training<'_>,
    ) -> Result<GateModel> {
        GateModel::new(lessons.features().clone(), fit.train(&lessons.rows()?, how)?)
    }

    /// Of a classifier that was trained on the rows of such features.
    ///
    /// # Errors
    /// `Invalid` for features that contradict themselves, have [`Scalar::Previous`] (before scoring there
    /// are no scores), or are not those that the classifier has learned from.
    pub fn new(features: Features, classifier: Classifier) -> Result<GateModel> {
        check(&features)?;
        let names = features.scalars().iter().map(Scalar::to_string);
        match names.eq(classifier.names().iter().cloned()) {
            true => Ok(GateModel { features, classifier }),
            false => {
                let why = format!("has learned from {:?}, other scalars", classifier.names());
                Err(Error::invalid("classifier of a gate", why))
            }
        }
    }

    /// What is computed of each candidate.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// What has learned.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Where it came from, to publish it with: trained on the snapshot of a commit.
    pub fn provenance(&self, trained_at: Seq) -> Provenance {
        self.classifier.provenance(trained_at)
    }
}

/// Whether a gate can go by these features.
pub(super) fn check(features: &Features) -> Result<()> {
    features.check()?;
    let refuse = |why: &str| Err(Error::invalid("features of a gate", why));
    if features.scalars().is_empty() {
        return refuse("have no scalar: a classifier reads numbers, not vectors");
    }
    match features.scalars().contains(&Scalar::Previous) {
        true => refuse("have the score that came before: gates stand before scorers"),
        false => Ok(()),
    }
}

impl Artifact for GateModel {
    const KIND: &'static str = "gate";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        self.classifier.save(out)?;
        shelf::put(out, FEATURES, &self.features)
    }

    fn open(from: &Opened) -> Result<GateModel> {
        let (features, classifier) = (shelf::take(from, FEATURES)?, Classifier::open(from)?);
        GateModel::new(features, classifier).map_err(|why| from.damage(&why.to_string()))
    }
}
