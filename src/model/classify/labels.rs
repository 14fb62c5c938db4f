//! Labels: who says what of which pair.

use super::{
    lines::line,
    pair::{Asker, Pair},
    teacher::Teacher,
};
use crate::{
    artifact::{Artifact, Opened, Saved, shelf},
    error::{Error, Result},
    key::{Key, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One answer to one question: is this a bad match, for a gate; or whatever else was asked of all.
///
/// ```
/// use bowerbird::{Timestamp, UserId, model::classify::*};
/// let pair = Pair { user: Some(UserId(7)), ..Pair::of(42u64) };
/// let by = Teacher::Person("ann".into());
/// let label = Label { pair, label: 1.0, by, confidence: 1.0, at: Timestamp(0) };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Of what.
    pub pair: Pair,
    /// 1 for yes, 0 for no, or between.
    pub label: f32,
    /// Who says so.
    pub by: Teacher,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// When it was said.
    pub at: Timestamp,
}

impl Label {
    pub(super) fn check(&self) -> Result<(), String> {
        self.pair.check()?;
        self.by.check()?;
        if !(0.0..=1.0).contains(&self.label) || !(0.0..=1.0).contains(&self.confidence) {
            let Label { label, confidence, .. } = self;
            return Err(format!("has the label {label}, confidence {confidence}; 0 to 1 each"));
        }
        Ok(())
    }

    /// Whether it is a yes rather than a no.
    pub fn is_yes(&self) -> bool {
        self.label >= 0.5
    }
}

/// What all teachers together say of a pair.
///
/// ```
/// fn clear(verdict: &bowerbird::model::classify::Verdict) -> bool {
///     verdict.label < 0.2 || verdict.label > 0.8
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// Of what.
    pub pair: Pair,
    /// The mean of their labels, by trust times confidence.
    pub label: f32,
    /// The sum of trust times confidence.
    pub weight: f32,
    /// How many teachers there are.
    pub teachers: usize,
    /// The time of the latest label.
    pub at: Timestamp,
}

/// How consistent labels are. Nothing of it is mended: which of two to believe is for people to say.
///
/// ```
/// fn fine(report: &bowerbird::model::classify::LabelReport) -> bool {
///     report.contradictions.is_empty()
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LabelReport {
    /// How many labels there are.
    pub labels: usize,
    /// Of how many pairs.
    pub pairs: usize,
    /// Of how many pairs teachers say yes, by [`Labels::verdicts`] with equal trust.
    pub yes: usize,
    /// Labels that repeat an earlier one of the same teacher and pair, and say the same.
    pub duplicates: usize,
    /// Places, from 0, of labels that say the opposite of an earlier one of the same teacher and pair.
    pub contradictions: Vec<usize>,
    /// Pairs of which one teacher says yes and another no, by their latest labels.
    pub disagreements: usize,
}

/// Labels as data: they come and go as JSON lines, so that anyone and anything can label outside, and are
/// kept in the database as an artifact.
///
/// A text in a label is data. It is compared and handed out again, never executed, never a path, and its
/// length is bounded.
///
/// ```
/// use bowerbird::model::classify::Labels;
/// # fn main() -> bowerbird::Result<()> {
/// let lines = r#"{"user":7,"item":42,"label":"yes","by":{"person":"ann"},"at":1700000000000}
/// {"query":{"text":"bees"},"item":8,"label":0.2,"by":{"model":"llm","prompt":"9f86"},"confidence":0.7,"at":5}"#;
/// let labels = Labels::read(lines)?;
/// assert_eq!((labels.len(), labels.report().pairs), (2, 2));
/// assert_eq!(Labels::read(&labels.write())?, labels);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    all: Vec<Label>,
}

/// Most labels of one artifact.
const LABELS_MAX: usize = 10_000_000;

impl Labels {
    /// Of labels that were made elsewhere.
    ///
    /// # Errors
    /// `Invalid` for a label, a name or a text that is out of range, by its place.
    pub fn new(all: Vec<Label>) -> Result<Labels> {
        check_count(all.len())?;
        for (at, label) in all.iter().enumerate() {
            label.check().map_err(|why| Error::invalid(format!("label {at}"), why))?;
        }
        Ok(Labels { all })
    }

    /// The labels, in their order.
    pub fn all(&self) -> &[Label] {
        &self.all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// These and others, in this order. What is the same in every field is kept once; how many were is
    /// returned.
    ///
    /// # Errors
    /// `Invalid` for too many; then nothing is added.
    pub fn merge(&mut self, more: Labels) -> Result<usize> {
        let mut known: BTreeSet<String> = self.all.iter().map(line).collect();
        let mut fresh = more.all;
        let before = fresh.len();
        fresh.retain(|label| known.insert(line(label)));
        check_count(self.all.len() + fresh.len())?;
        let same = before - fresh.len();
        self.all.extend(fresh);
        Ok(same)
    }

    /// The latest label of each teacher for each pair, by pair; of equally late ones the last.
    pub(super) fn latest(&self) -> BTreeMap<(Asker, &Key), BTreeMap<&Teacher, &Label>> {
        let mut pairs: BTreeMap<_, BTreeMap<&Teacher, &Label>> = BTreeMap::new();
        for label in &self.all {
            let teachers = pairs.entry((label.pair.asker(), &label.pair.item)).or_default();
            let kept = teachers.entry(&label.by).or_insert(label);
            if label.at >= kept.at {
                *kept = label;
            }
        }
        pairs
    }

    /// What all teachers together say of each pair: of each teacher the latest label counts, by how much
    /// the teacher is trusted times how sure they were. Pairs of no weight are left out.
    ///
    /// # Errors
    /// `Invalid` for a trust that is negative or not finite.
    pub fn verdicts(&self, trust: impl Fn(&Teacher) -> f32) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for teachers in self.latest().into_values() {
            let (mut sum, mut weight, mut last) = (0.0, 0.0, None);
            for (teacher, label) in &teachers {
                let trusted = trust(teacher);
                if !trusted.is_finite() || trusted < 0.0 {
                    let why = format!("is {trusted}; it must be finite, 0 or more");
                    return Err(Error::invalid(format!("trust in {teacher}"), why));
                }
                let weighs = f64::from(trusted) * f64::from(label.confidence);
                sum += weighs * f64::from(label.label);
                weight += weighs;
                last = last.filter(|last: &&Label| last.at >= label.at).or(Some(*label));
            }
            if let Some(last) = last.filter(|_| weight > 0.0) {
                let (pair, at) = (last.pair.clone(), last.at);
                let label = (sum / weight).clamp(0.0, 1.0) as f32;
                let teachers = teachers.len();
                verdicts.push(Verdict { pair, label, weight: weight as f32, teachers, at });
            }
        }
        Ok(verdicts)
    }

    /// How consistent they are.
    pub fn report(&self) -> LabelReport {
        let (mut duplicates, mut contradictions) = (0, Vec::new());
        let mut said: BTreeMap<_, BTreeSet<bool>> = BTreeMap::new();
        for (at, label) in self.all.iter().enumerate() {
            let of = (label.pair.asker(), &label.pair.item, &label.by);
            let before = said.entry(of).or_default();
            if before.contains(&!label.is_yes()) {
                contradictions.push(at);
            } else if before.contains(&label.is_yes()) {
                duplicates += 1;
            }
            before.insert(label.is_yes());
        }
        let latest = self.latest();
        let differ = |teachers: &&BTreeMap<&Teacher, &Label>| {
            let yes = teachers.values().filter(|label| label.is_yes()).count();
            yes > 0 && yes < teachers.len()
        };
        let verdicts = self.verdicts(|_| 1.0).unwrap_or_default();
        LabelReport {
            labels: self.all.len(),
            pairs: latest.len(),
            yes: verdicts.iter().filter(|verdict| verdict.label >= 0.5).count(),
            duplicates,
            contradictions,
            disagreements: latest.values().filter(differ).count(),
        }
    }
}

fn check_count(count: usize) -> Result<()> {
    match count > LABELS_MAX {
        true => Err(Error::invalid("labels", format!("are {count}; {LABELS_MAX} are the most"))),
        false => Ok(()),
    }
}

const ALL: u16 = 0;

impl Artifact for Labels {
    const KIND: &'static str = "labels";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, ALL, &self.all)
    }

    fn open(from: &Opened) -> Result<Labels> {
        let all: Vec<Label> = shelf::take(from, ALL)?;
        Labels::new(all).map_err(|why| from.damage(&why.to_string()))
    }
}
