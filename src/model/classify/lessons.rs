//! Lessons: labelled pairs with the features that the engine computes for them.

use super::{gate_model::check, labels::Labels, pair::Pair, rows::Rows, teacher::Teacher};
use crate::{
    error::{Error, Result},
    key::{Key, Timestamp},
    model::ranker::{Examples, Features, Role, Scalar},
    recommend::Request,
    store::Snapshot,
};
use std::collections::{BTreeMap, BTreeSet};

/// Labelled pairs with features as serving computes them: what a gate learns from.
///
/// ```
/// use bowerbird::{*, model::{Training, classify::*, ranker::*}, recommend::*};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().attr("stars", AttrType::Float).event("view"))?;
/// for id in 0..100u64 {
///     db.batch().put(Item::new(id).attr("stars", (id % 10) as f64)).commit()?;
/// }
/// let stars = Scalar::Attr { name: "stars".into(), otherwise: 0.0 };
/// let mut lessons = Lessons::new(Features::new().scalar(stars), &db.snapshot())?;
/// for user in 0..10 {
///     let bad = |id: u64| f32::from(u8::from(id % 10 < 4));
///     let pairs: Vec<(Key, f32, f32)> = (0..100).map(|id| (Key::Id(id), bad(id), 1.0)).collect();
///     lessons.push(&Request::new(1, Timestamp(9)).user(user), &pairs)?;
/// }
/// let gate = GateModel::train(&FitClassifier::logistic(), &lessons, &mut Training::new(7))?;
/// let version = db.publish("bad_match", &gate, gate.provenance(db.snapshot().seq()))?;
/// db.activate("bad_match", version)?;
/// let fair = Recommender::new()
///     .retrieve(Popular::ever(["view"], 10))
///     .screen(Gate::by("bad_match").below(0.5));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Lessons {
    features: Features,
    snapshot: Snapshot,
    examples: Examples,
    weights: Vec<f32>,
    groups: Vec<u64>,
    passed_over: usize,
}

impl Lessons {
    /// None yet, of a snapshot.
    ///
    /// # Errors
    /// As declared features that do not fit the schema, contradict themselves, or are none for a gate.
    pub fn new(features: Features, snapshot: &Snapshot) -> Result<Lessons> {
        check(&features)?;
        let examples = Examples::new(features.clone(), snapshot)?;
        let snapshot = snapshot.clone();
        let (weights, groups) = (Vec::new(), Vec::new());
        Ok(Lessons { features, snapshot, examples, weights, groups, passed_over: 0 })
    }

    /// Adds a request and items with a label and a weight each, as of the request's `now`. Items that are
    /// not there, and repeats, are passed over. Requests of a user are one group of [`Rows`]; those
    /// without a user are groups of their own.
    ///
    /// # Errors
    /// `Invalid` for a label outside 0..=1, or a weight that is negative or not finite; and whatever serving
    /// such a request would return.
    pub fn push(&mut self, request: &Request, items: &[(Key, f32, f32)]) -> Result<()> {
        let mut seen = BTreeSet::new();
        let (mut fresh, mut weights) = (Vec::with_capacity(items.len()), Vec::new());
        for (key, label, weight) in items {
            if !(0.0..=1.0).contains(label) || !weight.is_finite() || *weight < 0.0 {
                let why = format!("has the label {label} and the weight {weight}");
                return Err(Error::invalid(format!("item {key}"), why));
            }
            if seen.insert(key) && self.snapshot.find(key)?.is_some() {
                fresh.push((key.clone(), *label));
                weights.push(*weight);
            } else {
                self.passed_over += 1;
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let list = self.examples.len() as u64;
        self.examples.push(request, &fresh)?;
        // Users and lists must not have the same number: one is even, the other odd.
        let group = request.user.map_or(list << 1 | 1, |user| user.0 << 1);
        self.groups.extend(vec![group; weights.len()]);
        self.weights.extend(weights);
        Ok(())
    }

    /// Adds labels: those of one pair as one, by [`Labels::verdicts`]. Each is as of its own time, unless
    /// `as_of` says when. `embed` gives the vector of a query that has a text only: the space and the
    /// numbers. Where it has none, the pair is passed over if the features look at a vector of the query;
    /// else the text will do.
    ///
    /// # Errors
    /// As for [`Lessons::push`], and those of `embed`.
    pub fn add(
        &mut self,
        labels: &Labels,
        as_of: Option<Timestamp>,
        trust: impl Fn(&Teacher) -> f32,
        mut embed: impl FnMut(&str) -> Result<Option<(String, Vec<f32>)>>,
    ) -> Result<()> {
        let mut requests: BTreeMap<_, (Request, Vec<Labelled>)> = BTreeMap::new();
        for verdict in labels.verdicts(trust)? {
            let now = as_of.unwrap_or(verdict.at);
            let asker = (verdict.pair.asker(), now);
            if let Some((_, items)) = requests.get_mut(&asker) {
                items.push((verdict.pair.item, verdict.label, verdict.weight));
                continue;
            }
            let request = request(&verdict.pair, now, &mut embed)?;
            let lacks = verdict.pair.query.is_some() && request.query.is_none();
            if lacks && self.features.context.iter().any(|slot| slot.role == Role::Query) {
                self.passed_over += 1;
                continue;
            }
            let items = vec![(verdict.pair.item, verdict.label, verdict.weight)];
            requests.insert(asker, (request, items));
        }
        requests.values().try_for_each(|(request, items)| self.push(request, items))
    }

    /// What is computed of each pair.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// How many pairs were passed over: of items that are not there, repeated, or of queries without a
    /// vector.
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// The table that a classifier learns from: a column for each scalar.
    ///
    /// # Errors
    /// As [`Rows::new`]: two scalars of one name, for example.
    pub fn rows(&self) -> Result<Rows> {
        let names = self.features.scalars().iter().map(Scalar::to_string);
        let values = self.examples.batch().scalars().to_vec();
        let rows = Rows::new(names, values, self.examples.labels().to_vec())?;
        rows.weighted(self.weights.clone())?.grouped(self.groups.clone())
    }
}

/// An item, its label, its weight.
type Labelled = (Key, f32, f32);

/// What a pair asks.
fn request(
    pair: &Pair,
    now: Timestamp,
    embed: &mut impl FnMut(&str) -> Result<Option<(String, Vec<f32>)>>,
) -> Result<Request> {
    let mut request = Request::new(1, now);
    (request.user, request.item) = (pair.user, pair.source.clone());
    if let Some(query) = &pair.query {
        request.text = query.text.clone().unwrap_or_default();
        request.query = match (&query.vector, &query.text) {
            (Some(vector), _) => Some((query.space.clone().unwrap_or_default(), vector.clone())),
            (None, Some(text)) => embed(text)?,
            (None, None) => None,
        };
    }
    Ok(request)
}
