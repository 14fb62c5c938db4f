//! Questions: the pairs that are worth labelling, as JSON lines for people and models outside.

use super::{
    gate::Gate,
    labels::Labels,
    lines::{LineKey, LineQuery},
    pair::Pair,
};
use crate::{
    error::{Error, Result},
    item::Value,
    key::{Addr, Key},
    limits::LIMIT_MAX,
    recommend::{Recommender, Request},
    store::{History, Snapshot},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Chooses pairs that are worth labelling among those that a recommender would show (active learning; Lewis
/// and Gale, 1994): those that the gate is unsure of and those that teachers disagree on, unlike each other.
///
/// Pairs that a person has labelled are not asked about again.
///
/// ```
/// use bowerbird::{*, model::classify::*, recommend::*};
/// fn ask(db: &Db, labels: &Labels) -> Result<String> {
///     let shown = Recommender::new().retrieve(Popular::ever(["view"], 200));
///     let users = (0..100).map(|user| Request::new(20, Timestamp(9)).user(user)).collect::<Vec<_>>();
///     let questions = Questions::new(500).threshold(0.3).unlike("text", 0.3).texts(["title", "plot"]);
///     questions.ask(&db.snapshot(), (&Gate::by("bad_match"), &shown), &users, labels)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Questions {
    limit: usize,
    threshold: f32,
    unlike: Option<(String, f32)>,
    texts: Vec<String>,
}

/// A line of the export.
#[derive(Serialize)]
struct Question {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<LineQuery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<LineKey>,
    item: LineKey,
    /// What the gate says.
    probability: f32,
    /// How much teachers disagree: 0 if not at all, 1 if they are divided.
    disagreement: f32,
    texts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    source_texts: BTreeMap<String, String>,
    /// What the user acted on last, the latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<BTreeMap<String, String>>,
}

/// A pair that may be asked about.
struct Open {
    request: usize,
    key: Key,
    addr: Addr,
    probability: f32,
    disagreement: f32,
    worth: f32,
}

/// Pairs looked at for each that is chosen.
const POOL: usize = 10;
/// Longest text of an attribute, in bytes.
const TEXT_MAX: usize = 2000;
/// Items of a history whose texts are shown.
const HISTORY: usize = 10;

impl Questions {
    /// At most so many.
    pub fn new(limit: usize) -> Questions {
        Questions { limit, threshold: 0.5, unlike: None, texts: Vec::new() }
    }

    /// Most unsure is the gate at this probability, where it decides; 0.5 unless set.
    pub fn threshold(mut self, probability: f32) -> Questions {
        self.threshold = probability;
        self
    }

    /// Items that are unlike those chosen before, by the cosine in a space, with a weight of 0 to 1.
    pub fn unlike(mut self, space: &str, weight: f32) -> Questions {
        self.unlike = Some((space.into(), weight));
        self
    }

    /// Shows these attributes of items: texts and tags, each cut at 2,000 bytes.
    pub fn texts<'t>(mut self, attrs: impl IntoIterator<Item = &'t str>) -> Questions {
        self.texts = attrs.into_iter().map(str::to_owned).collect();
        self
    }

    /// The questions, most worth first, as JSON lines: the pair as [`Labels::read`] wants it, what the gate
    /// says, and texts. Candidates are what the recommender finds for the requests.
    ///
    /// # Errors
    /// `Invalid` for options out of range; those of the gate and of the recommender.
    pub fn ask(
        &self,
        snapshot: &Snapshot,
        (gate, recommender): (&Gate, &Recommender),
        requests: &[Request],
        labels: &Labels,
    ) -> Result<String> {
        let share = |x: f32| (0.0..=1.0).contains(&x);
        let unlike = self.unlike.as_ref().map_or(0.0, |(_, weight)| *weight);
        if !share(self.threshold) || !share(unlike) || !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Error::invalid("questions", format!("are out of range: {self:?}")));
        }
        for attr in &self.texts {
            snapshot.schema().find_attr(attr)?;
        }
        let (mut open, mut histories) = (Vec::new(), Vec::new());
        let known = labels.latest();
        for (number, request) in requests.iter().enumerate() {
            let runs = recommender.run_to_end(snapshot, std::slice::from_ref(request))?;
            for run in runs {
                let cx = run.context(snapshot, request);
                let chances = gate.probabilities(&cx, &run.candidates)?;
                for (at, key) in run.candidates.keys().iter().enumerate() {
                    let asker = Pair::asked(request, key).asker();
                    let said = known.get(&(asker, key));
                    if said.is_some_and(|said| said.keys().any(|by| by.is_person())) {
                        continue;
                    }
                    let disagreement = said.map_or(0.0, |said| {
                        let yes = said.values().filter(|label| label.is_yes()).count() as f32;
                        let yes = yes / said.len() as f32;
                        4.0 * yes * (1.0 - yes)
                    });
                    let probability = chances[at];
                    let far = (probability - self.threshold).abs();
                    let unsure = 1.0 - far / self.threshold.max(1.0 - self.threshold);
                    let (request, addr) = (number, run.candidates.addrs()[at]);
                    let (key, worth) = (key.clone(), unsure + disagreement);
                    open.push(Open { request, key, addr, probability, disagreement, worth });
                }
                histories.push(run.history);
            }
        }
        let chosen = self.choose(snapshot, open)?;
        let mut text = String::new();
        for open in &chosen {
            let (request, history) = (&requests[open.request], &histories[open.request]);
            text += &self.line(snapshot, open, request, history)?;
            text.push('\n');
        }
        Ok(text)
    }

    /// By worth, less likeness to those chosen before; ties by request and key.
    fn choose(&self, snapshot: &Snapshot, mut open: Vec<Open>) -> Result<Vec<Open>> {
        open.sort_by(|a, b| {
            let ties = (a.request, &a.key).cmp(&(b.request, &b.key));
            b.worth.total_cmp(&a.worth).then(ties)
        });
        let Some((space, weight)) = &self.unlike else {
            open.truncate(self.limit);
            return Ok(open);
        };
        open.truncate(self.limit.saturating_mul(POOL));
        let mut left = Vec::with_capacity(open.len());
        for one in open {
            let mut vector = Vec::new();
            snapshot.vector(one.addr, space, &mut vector)?;
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|x| *x /= length.max(f32::MIN_POSITIVE));
            left.push((one, vector, 0f32));
        }
        let mut chosen = Vec::new();
        while chosen.len() < self.limit && !left.is_empty() {
            let value = |(one, _, like): &(Open, Vec<f32>, f32)| one.worth - weight * like;
            let mut best = 0;
            for at in 1..left.len() {
                if value(&left[at]) > value(&left[best]) {
                    best = at;
                }
            }
            let (one, vector, _) = left.remove(best);
            for (_, other, like) in &mut left {
                let cosine = vector.iter().zip(other.iter()).map(|(a, b)| a * b).sum::<f32>();
                *like = like.max(cosine);
            }
            chosen.push(one);
        }
        Ok(chosen)
    }

    fn line(
        &self,
        snapshot: &Snapshot,
        open: &Open,
        request: &Request,
        history: &History,
    ) -> Result<String> {
        let of = |key: &Key| match snapshot.find(key)? {
            Some(addr) => self.texts_of(snapshot, addr),
            None => Ok(BTreeMap::new()),
        };
        let Pair { user, query, source, item } = Pair::asked(request, &open.key);
        let lived =
            history.deeds.iter().rev().take(if self.texts.is_empty() { 0 } else { HISTORY });
        let question = Question {
            user: user.map(|user| user.0),
            query: query.as_ref().map(LineQuery::of),
            source: source.as_ref().map(LineKey::of),
            item: LineKey::of(&item),
            probability: open.probability,
            disagreement: open.disagreement,
            texts: self.texts_of(snapshot, open.addr)?,
            source_texts: source.as_ref().map(of).transpose()?.unwrap_or_default(),
            history: lived.map(|deed| of(&deed.item)).collect::<Result<_>>()?,
        };
        serde_json::to_string(&question).map_err(|why| Error::invalid("question", why.to_string()))
    }

    fn texts_of(&self, snapshot: &Snapshot, addr: Addr) -> Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        for attr in &self.texts {
            let mut text = match snapshot.value(addr, attr)? {
                Some(Value::Text(text)) => text,
                Some(Value::Tags(tags)) => tags.join(", "),
                _ => continue,
            };
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            texts.insert(attr.clone(), text);
        }
        Ok(texts)
    }
}
