//! Labels: who says what of which pair.

use crate::{
    artifact::{Artifact, Opened, Saved, shelf},
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
    limits::{COMPONENT_MAX, DIM_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What somebody typed: a text, a vector, or both.
///
/// ```
/// use bowerbird::model::classify::Asked;
/// let asked = Asked { text: Some("films about bees".into()), ..Asked::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// As it was typed, at most 4,096 bytes.
    pub text: Option<String>,
    /// The space of the vector.
    pub space: Option<String>,
    /// What an embedding model made of it.
    pub vector: Option<Vec<f32>>,
}

/// An item, and what it is to match: a user, a query, an item, or several of them.
///
/// ```
/// use bowerbird::{Key, UserId, model::classify::Pair};
/// let pair = Pair { user: Some(UserId(7)), ..Pair::of(Key::Id(42)) };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// For whom.
    pub user: Option<UserId>,
    /// For which query.
    pub query: Option<Asked>,
    /// Beside which item.
    pub source: Option<Key>,
    /// What may match it.
    pub item: Key,
}

/// What two pairs have in common that ask the same: user, query, source. A query is its text, or without
/// one its space and the bits of its vector.
pub(super) type Asker = (Option<UserId>, Option<(String, Vec<u32>)>, Option<Key>);

impl Pair {
    /// An item, to match nothing yet.
    pub fn of(item: impl Into<Key>) -> Pair {
        Pair { user: None, query: None, source: None, item: item.into() }
    }

    pub(super) fn asker(&self) -> Asker {
        let query = self.query.as_ref().map(|query| match (&query.text, &query.vector) {
            (Some(text), _) => (text.clone(), Vec::new()),
            (None, vector) => {
                let bits = vector.iter().flatten().map(|x| x.to_bits()).collect();
                (query.space.clone().unwrap_or_default(), bits)
            }
        });
        (self.user, query, self.source.clone())
    }

    fn check(&self) -> Result<(), String> {
        if self.user.is_none() && self.query.is_none() && self.source.is_none() {
            return Err("has no user, no query and no source: an item matches something".into());
        }
        for key in self.source.iter().chain([&self.item]) {
            if let Key::Name(name) = key
                && !(1..=KEY_BYTES_MAX).contains(&name.len())
            {
                return Err(format!("has a key of {} bytes; 1 to {KEY_BYTES_MAX}", name.len()));
            }
        }
        let Some(Asked { text, space, vector }) = &self.query else { return Ok(()) };
        if text.is_none() && vector.is_none() {
            return Err("has a query of no text and no vector".into());
        }
        if text.as_ref().is_some_and(|text| text.len() > TEXT_MAX) {
            return Err(format!("has a query of more than {TEXT_MAX} bytes"));
        }
        if space.is_some() != vector.is_some() {
            return Err("has a vector without a space, or a space without a vector".into());
        }
        if space.as_ref().is_some_and(|space| space.len() > NAME_BYTES_MAX) {
            return Err(format!("has a space of more than {NAME_BYTES_MAX} bytes"));
        }
        let fine = |vector: &Vec<f32>| {
            (1..=DIM_MAX as usize).contains(&vector.len())
                && vector.iter().all(|x| x.abs() <= COMPONENT_MAX)
        };
        match vector.as_ref().is_none_or(fine) {
            true => Ok(()),
            false => Err(format!("has a vector that is not 1 to {DIM_MAX} finite numbers")),
        }
    }
}

/// Who says so.
///
/// ```
/// use bowerbird::model::classify::Teacher;
/// let teacher = Teacher::Model { name: "some-llm".into(), prompt: "9f86d081".into() };
/// assert_eq!(teacher.to_string(), "some-llm (prompt 9f86d081)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Teacher {
    /// A person, by name.
    Person(String),
    /// A model: with another prompt it is another teacher.
    Model {
        /// Its name and version.
        name: String,
        /// A hash of what it was asked, in letters and digits.
        prompt: String,
    },
}

impl fmt::Display for Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Teacher::Person(name) => f.write_str(name),
            Teacher::Model { name, prompt } => write!(f, "{name} (prompt {prompt})"),
        }
    }
}

impl Teacher {
    fn check(&self) -> Result<(), String> {
        let (Teacher::Person(name) | Teacher::Model { name, .. }) = self;
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(format!("is by a name that is not 1 to {NAME_BYTES_MAX} plain bytes"));
        }
        match self {
            Teacher::Model { prompt, .. }
                if !(1..=PROMPT_MAX).contains(&prompt.len())
                    || !prompt.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Err(format!("has a prompt hash that is not 1 to {PROMPT_MAX} letters and digits"))
            }
            _ => Ok(()),
        }
    }
}

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

/// Longest text of a query, in bytes.
const TEXT_MAX: usize = 4096;
/// Longest hash of a prompt, in bytes.
const PROMPT_MAX: usize = 128;
/// Most labels of one artifact.
const LABELS_MAX: usize = 10_000_000;

impl Labels {
    /// Of labels that were made elsewhere.
    ///
    /// # Errors
    /// `Invalid` for a label, a name or a text that is out of range, by its place.
    pub fn new(all: Vec<Label>) -> Result<Labels> {
        if all.len() > LABELS_MAX {
            let why = format!("are {}; {LABELS_MAX} are the most", all.len());
            return Err(Error::invalid("labels", why));
        }
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
    /// `Invalid` for too many.
    pub fn merge(&mut self, more: Labels) -> Result<usize> {
        let line = |label: &Label| super::lines::line(label);
        let mut known: BTreeSet<String> = self.all.iter().map(line).collect();
        let mut all = std::mem::take(&mut self.all);
        let before = all.len() + more.all.len();
        all.extend(more.all.into_iter().filter(|label| known.insert(line(label))));
        let same = before - all.len();
        *self = Labels::new(all)?;
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
