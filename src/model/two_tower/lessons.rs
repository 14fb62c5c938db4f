//! Lessons: which question had which item for an answer, and what else would have been right.

use super::{
    TwoTower,
    shape::{Input, Shape},
};
use crate::{
    error::{Error, Result},
    filter::Where,
    key::Key,
    model::Sequences,
    store::Snapshot,
};
use std::{collections::HashMap, sync::Arc};

/// What is asked by, by number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A sequence, up to a place in it.
    User(u32, u32),
    Query(u32),
}

/// A question and its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) asker: Asker,
    pub(super) item: u32,
    /// All answers of this asker.
    group: u32,
}

/// Everything that is learned from. Items are those of the snapshot with a vector in some part.
pub(super) struct Lessons {
    pub(super) inputs: Arc<Vec<Input>>,
    /// The item of each code of the sequences' vocabulary, `NONE` if it has no vector.
    pub(super) by_code: Arc<Vec<u32>>,
    /// Items of each sequence, oldest first.
    pub(super) histories: Vec<Vec<u32>>,
    /// Query vectors, of length 1.
    pub(super) queries: Vec<Vec<f32>>,
    pub(super) lessons: Vec<Lesson>,
    /// The share of lessons that each item is the answer of.
    pub(super) shares: Vec<f32>,
    /// What others are drawn from.
    pub(super) others: Vec<u32>,
    groups: Vec<Vec<u32>>,
}

pub(super) const NONE: u32 = u32::MAX;

impl Lessons {
    pub(super) fn read(
        options: &TwoTower,
        shape: &Shape,
        snapshot: &Snapshot,
        sequences: &Sequences,
        queries: &[(Vec<f32>, Key)],
    ) -> Result<Lessons> {
        let (mut inputs, mut codes) = (Vec::new(), HashMap::new());
        for key in snapshot.keys(&Where::all(), usize::MAX)? {
            let Some(addr) = snapshot.find(&key)? else { continue };
            let input = shape.at(snapshot, addr)?;
            if input.there.contains(&true) {
                codes.insert(key, inputs.len() as u32);
                inputs.push(input);
            }
        }
        let code = |key: &Key| codes.get(key).copied().unwrap_or(NONE);
        let by_code: Vec<u32> = sequences.vocabulary().keys().iter().map(code).collect();
        let known = |items: &[u32]| -> Vec<u32> {
            let items = items.iter().map(|item| by_code[*item as usize]);
            items.filter(|item| *item != NONE).collect()
        };
        let mut all = Lessons {
            inputs: Arc::new(inputs),
            histories: sequences.iter().map(known).collect(),
            by_code: Arc::default(),
            queries: Vec::new(),
            lessons: Vec::new(),
            shares: Vec::new(),
            others: Vec::new(),
            groups: Vec::new(),
        };
        all.by_code = Arc::new(by_code);
        all.add_users(options.targets);
        all.add_queries(shape, queries, code)?;
        if all.lessons.is_empty() {
            let why = "has no user with two events and no query, of items with vectors: nothing to \
                       learn from";
            return Err(Error::invalid("TwoTower", why));
        }
        all.finish(options.negatives);
        Ok(all)
    }

    /// The latest items of each sequence, each asked for by those before it.
    fn add_users(&mut self, targets: usize) {
        for (user, history) in (0u32..).zip(&self.histories) {
            let first = history.len().saturating_sub(targets).max(1);
            for (place, item) in history.iter().enumerate().skip(first) {
                let asker = Asker::User(user, place as u32);
                self.lessons.push(Lesson { asker, item: *item, group: user });
            }
        }
        self.groups = self.histories.clone();
    }

    /// Queries; those with the same vector are one asker.
    fn add_queries(
        &mut self,
        shape: &Shape,
        queries: &[(Vec<f32>, Key)],
        code: impl Fn(&Key) -> u32,
    ) -> Result<()> {
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        for (at, (vector, key)) in queries.iter().enumerate() {
            let vector = unit(shape, vector, at)?;
            let item = code(key);
            if item == NONE {
                continue;
            }
            let bits = vector.iter().map(|x| x.to_bits()).collect();
            let next = self.queries.len() as u32;
            let query = *known.entry(bits).or_insert(next);
            if query == next {
                self.queries.push(vector);
                self.groups.push(Vec::new());
            }
            let group = self.histories.len() as u32 + query;
            self.groups[group as usize].push(item);
            self.lessons.push(Lesson { asker: Asker::Query(query), item, group });
        }
        Ok(())
    }

    fn finish(&mut self, negatives: usize) {
        for group in &mut self.groups {
            group.sort_unstable();
            group.dedup();
        }
        let mut counts = vec![0u32; self.inputs.len()];
        self.lessons.iter().for_each(|lesson| counts[lesson.item as usize] += 1);
        let all = self.lessons.len() as f32;
        self.shares = counts.into_iter().map(|count| count as f32 / all).collect();
        self.others = self.met(negatives);
    }

    /// The items of histories and answers, ascending: what somebody could have met and passed over.
    /// Others are told apart from nothing, for no lesson says anything for them: what is only ever wrong
    /// is learned to be wrong, and that is all that a new item would ever be. Where fewer than `least`
    /// are met, all items; so few would teach what these are and not what goes together.
    fn met(&self, least: usize) -> Vec<u32> {
        let mut met = vec![false; self.inputs.len()];
        self.groups.iter().flatten().for_each(|item| met[*item as usize] = true);
        let all = met.iter().filter(|met| **met).count() < least;
        (0u32..).zip(met).filter(|(_, met)| *met || all).map(|(item, _)| item).collect()
    }

    /// Whether an item is an answer of a lesson's asker, and so no other to be pushed away.
    pub(super) fn is_right(&self, lesson: &Lesson, item: u32) -> bool {
        self.groups[lesson.group as usize].binary_search(&item).is_ok()
    }
}

/// A query vector of length 1.
pub(super) fn unit(shape: &Shape, vector: &[f32], at: usize) -> Result<Vec<f32>> {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if shape.query == 0 {
        let why = "is there, but the towers have none for queries; name a space in `query`";
        return Err(Error::invalid(format!("query {at} of TwoTower"), why));
    }
    if vector.len() != shape.query as usize || !length.is_finite() || length <= 0.0 {
        let why = format!("must have {} finite numbers, not all 0", shape.query);
        return Err(Error::invalid(format!("query {at} of TwoTower"), why));
    }
    Ok(vector.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}
