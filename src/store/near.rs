//! Asking for the nearest items: by vector, by key, by examples; in one space or several.

use crate::{
    error::{Error, Result},
    item::Value,
    key::Key,
    limits::{EXAMPLES_MAX, LIMIT_MAX},
    schema::{AttrType, Metric, Space},
    search::{
        graph::walk::Cost,
        scan::{Blend, Query},
    },
    store::{
        knobs::{self, Knobs, check_number},
        nearest::{self, Cursor, Depth, Groups, Hit, Question},
        sieve::Sieve,
        snapshot::Snapshot,
    },
    vector::probe::Probe,
};
use std::{collections::HashMap, sync::Arc};

/// Some hits, and where the next ones begin.
///
/// See [`Cursor`] for an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

/// An example of what to look for, or to stay away from.
///
/// ```
/// use bowerbird::Like;
/// let wanted = [Like::item(1u64, 1.0), Like::item(2u64, -0.5), Like::vector(vec![0.1, 0.2], 1.0)];
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Like {
    /// An item, which itself is not found.
    Item(Key, f32),
    /// A vector.
    Vector(Vec<f32>, f32),
}

impl Like {
    /// An item with a weight; negative to stay away from it.
    pub fn item(key: impl Into<Key>, weight: f32) -> Like {
        Like::Item(key.into(), weight)
    }

    /// A vector with a weight.
    pub fn vector(vector: impl Into<Vec<f32>>, weight: f32) -> Like {
        Like::Vector(vector.into(), weight)
    }
}

/// A question for the nearest items, put together by chaining and answered by [`Near::run`].
///
/// Where there are graphs they are walked, which takes a small part of the time of a scan and may
/// miss an item: how rarely is up to [`Near::effort`] or [`Near::recall`], and [`Near::exact`] does
/// without. Scores are exact either way.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).attr("genre", AttrType::Tag))?;
/// let hits = db.snapshot()
///     .near("text", &[0.6, 0.8])
///     .filter(attr("genre").is("jazz"))
///     .group_by("genre", 3)
///     .effort(100)
///     .limit(10)
///     .run()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is searched before `run` or `page`"]
pub struct Near<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) queries: Result<Vec<Query>>,
    pub(super) blend: Blend,
    pub(super) knobs: Knobs<'s>,
    pub(super) group: Option<(String, usize)>,
}

knobs::setters!(Near);

impl Snapshot {
    /// The items nearest to a vector in a space.
    ///
    /// Errors of the arguments are reported by `run`: `NotFound` for the space, `Invalid` for a
    /// vector of the wrong dimension or with numbers that are not finite.
    pub fn near(&self, space: &str, query: &[f32]) -> Near<'_> {
        let query = self.space(space).and_then(|space| nearest::prepare(&space, query, 1.0));
        self.ask(query.map(|query| vec![query]))
    }

    /// The items nearest to any of several vectors in a space: the score of an item is its best over
    /// the vectors. One walk serves them all.
    ///
    /// ```
    /// # use bowerbird::*;
    /// # fn main() -> Result<()> {
    /// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine))?;
    /// db.batch()
    ///     .put(Item::new(1u64).vector("text", [1.0, 0.0]))
    ///     .put(Item::new(2u64).vector("text", [0.0, 1.0]))
    ///     .put(Item::new(3u64).vector("text", [-1.0, -1.0]))
    ///     .commit()?;
    /// let hits = db.snapshot().near_any("text", &[[0.9, 0.1], [0.1, 0.9]]).limit(2).run()?;
    /// assert_eq!(hits.len(), 2);
    /// assert!(hits.iter().all(|hit| hit.key != Key::Id(3)));
    /// # Ok(()) }
    /// ```
    pub fn near_any(&self, space: &str, vectors: &[impl AsRef<[f32]>]) -> Near<'_> {
        let prepared = self.space(space).and_then(|space| {
            check_number("number of vectors", vectors.len(), EXAMPLES_MAX)?;
            vectors.iter().map(|v| nearest::prepare(&space, v.as_ref(), 1.0)).collect()
        });
        Near { blend: Blend::Best, ..self.ask(prepared) }
    }

    /// The items most like one that is there; that one is not among them.
    pub fn like(&self, space: &str, key: impl Into<Key>) -> Near<'_> {
        self.examples(space, &[Like::Item(key.into(), 1.0)])
    }

    /// The items that score best over weighted examples: the sum of weight times score.
    ///
    /// In an `L2` space the sum of the weights must be above zero: otherwise farthest is best.
    pub fn examples(&self, space: &str, examples: &[Like]) -> Near<'_> {
        let item = |like: &Like| match like {
            Like::Item(key, _) => Some(key.clone()),
            Like::Vector(..) => None,
        };
        let query = self.blend(space, examples);
        self.ask(query.map(|query| vec![query])).exclude(examples.iter().filter_map(item))
    }

    pub(crate) fn ask(&self, queries: Result<Vec<Query>>) -> Near<'_> {
        let (blend, knobs) = (Blend::Sum, Knobs::default());
        Near { snapshot: self, queries, blend, knobs, group: None }
    }

    /// A space, to be shared by queries.
    pub(crate) fn space(&self, name: &str) -> Result<Arc<Space>> {
        self.schema().find_space(name).map(|space| Arc::new(space.clone()))
    }

    /// One query that ranks like the sum over the examples. Dot products are linear in the query;
    /// a weighted sum of squared distances is the squared distance to the weighted mean, times the
    /// sum of the weights, plus a constant.
    fn blend(&self, name: &str, examples: &[Like]) -> Result<Query> {
        let space = self.space(name)?;
        if examples.is_empty() || examples.len() > EXAMPLES_MAX {
            let why = format!("has {}; it must have 1 to {EXAMPLES_MAX}", examples.len());
            return Err(Error::invalid("list of examples", why));
        }
        let (mut sum, mut weights) = (vec![0f64; space.dim as usize], 0f64);
        for (at, example) in examples.iter().enumerate() {
            let (vector, weight) = self.example(&space, example)?;
            if !weight.is_finite() {
                return Err(Error::invalid(format!("weight of example {at}"), "must be finite"));
            }
            let norm = match space.metric {
                Metric::Cosine => vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt(),
                Metric::Dot | Metric::L2 => 1.0,
            };
            weights += f64::from(weight);
            let scale = f64::from(weight) / norm;
            sum.iter_mut().zip(&vector).for_each(|(s, x)| *s += scale * f64::from(*x));
        }
        let mut factor = 1.0;
        if space.metric == Metric::L2 {
            if weights <= 0.0 {
                let why = "their sum must be above zero in an L2 space: farthest would be best";
                return Err(Error::invalid("weights of examples", why));
            }
            sum.iter_mut().for_each(|s| *s /= weights);
            factor = weights;
        }
        let sum: Vec<f32> = sum.into_iter().map(|s| s as f32).collect();
        nearest::prepare(&space, &sum, factor as f32)
    }

    fn example(&self, space: &Space, example: &Like) -> Result<(Vec<f32>, f32)> {
        match example {
            Like::Vector(vector, weight) => {
                Probe::new(space, vector)?;
                Ok((vector.clone(), *weight))
            }
            Like::Item(key, weight) => {
                let addr = self.find(key)?.ok_or_else(|| Error::missing("item", key))?;
                let mut vector = Vec::new();
                if !self.vector(addr, &space.name, &mut vector)? {
                    let why = format!("has no vector in space {:?}", space.name);
                    return Err(Error::invalid(format!("item {key}"), why));
                }
                Ok((vector, *weight))
            }
        }
    }
}

impl Near<'_> {
    /// Also scores by another space: the answer is ordered by the weighted sum of scores, over items
    /// that have a vector in every space that is asked for. The first space has weight 1.
    ///
    /// Such a question is scanned: a graph knows of one space.
    pub fn also(mut self, space: &str, query: &[f32], weight: f32) -> Self {
        let space = self.snapshot.space(space);
        if let Ok(queries) = &mut self.queries {
            let query = space.and_then(|space| match (self.blend, weight.is_finite()) {
                (Blend::Best, _) => {
                    let why = "has several vectors; another space can be added to one only";
                    Err(Error::invalid("the question", why))
                }
                (Blend::Sum, false) => Err(Error::invalid("weight", "must be finite")),
                (Blend::Sum, true) => nearest::prepare(&space, query, weight),
            });
            match query {
                Ok(query) => queries.push(query),
                Err(error) => self.queries = Err(error),
            }
        }
        self
    }

    /// Searches with this many threads; 1 unless set. The answer is the same.
    ///
    /// Scans are shared among threads, and so are the parts of a database; what one graph does is not.
    pub fn threads(mut self, threads: usize) -> Self {
        self.knobs.threads = threads;
        self
    }

    /// At most `most` items per value of a tag attribute, the best ones. An item with several tags
    /// counts for each; one without is not limited.
    pub fn group_by(mut self, attr: &str, most: usize) -> Self {
        self.group = Some((attr.into(), most));
        self
    }

    /// The nearest items, best first; equal scores are ordered by key. If `limit` items match, that
    /// many are returned.
    pub fn run(self) -> Result<Vec<Hit>> {
        Ok(self.answer()?.0)
    }

    /// The next items after those of an earlier page of the same question and snapshot: over all
    /// pages no item comes twice and none is left out. For that, pages are always scanned.
    pub fn page(mut self, after: Option<&Cursor>) -> Result<Page> {
        self.knobs.depth = Depth::Exact;
        self.check(after)?;
        let sieves = self.knobs.sieves(self.snapshot)?;
        if self.group.is_some() {
            let (mut hits, groups, _) = self.grouped(&sieves, after)?;
            let more = hits.len() > self.knobs.limit;
            hits.truncate(self.knobs.limit);
            return Ok(self.paged(hits, more, groups));
        }
        let (mut hits, _) = self.search(&sieves, self.knobs.limit + 1, after)?;
        let more = hits.len() > self.knobs.limit;
        hits.truncate(self.knobs.limit);
        Ok(self.paged(hits, more, Vec::new()))
    }

    /// What `run` returns, and what it cost to find.
    pub(super) fn answer(&self) -> Result<(Vec<Hit>, Cost)> {
        self.check(None)?;
        let sieves = self.knobs.sieves(self.snapshot)?;
        if self.group.is_none() {
            return self.search(&sieves, self.knobs.limit, None);
        }
        let (mut hits, _, cost) = self.grouped(&sieves, None)?;
        hits.truncate(self.knobs.limit);
        Ok((hits, cost))
    }

    fn search(
        &self,
        sieves: &[Sieve<'_>],
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<(Vec<Hit>, Cost)> {
        let queries = self.queries.as_ref().map_err(Error::clone)?;
        let (blend, depth) = (self.blend, self.knobs.depth);
        let question = Question { queries, blend, limit, depth, after };
        nearest::search(self.snapshot, sieves, &question, self.knobs.threads)
    }

    /// The best through other sieves and by other knobs; groups are not looked at.
    pub(super) fn search_as(&self, sieves: &[Sieve<'_>], knobs: &Knobs<'_>) -> Result<Vec<Hit>> {
        let queries = self.queries.as_ref().map_err(Error::clone)?;
        let (blend, limit, depth) = (self.blend, knobs.limit, knobs.depth);
        let question = Question { queries, blend, limit, depth, after: None };
        Ok(nearest::search(self.snapshot, sieves, &question, knobs.threads)?.0)
    }

    /// The best items whose groups were not full, one more than asked for if there are as many.
    fn grouped(
        &self,
        sieves: &[Sieve<'_>],
        after: Option<&Cursor>,
    ) -> Result<(Vec<Hit>, Groups, Cost)> {
        let most = sieves.iter().map(|sieve| Ok(sieve.estimate()?.most));
        let most: u64 = most.sum::<Result<u64>>()?;
        // The choice among the best so many is the beginning of the choice among all, so asking for
        // more and more is right and usually stops at once.
        let mut depth = self.knobs.limit.saturating_mul(4).max(64);
        let mut sum = Cost::default();
        loop {
            let (hits, cost) = self.search(sieves, depth, after)?;
            sum.scored += cost.scored;
            sum.expanded += cost.expanded;
            let all = hits.len() < depth || depth as u64 >= most;
            let (kept, groups) = self.choose(hits, after)?;
            if kept.len() > self.knobs.limit || all {
                return Ok((kept, groups, sum));
            }
            depth = depth.saturating_mul(4);
        }
    }

    fn check(&self, after: Option<&Cursor>) -> Result<()> {
        self.knobs.check()?;
        if let Some((name, most)) = &self.group {
            check_number("items per group", *most, LIMIT_MAX)?;
            let ty = self.snapshot.schema().find_attr(name)?.ty;
            if !matches!(ty, AttrType::Tag | AttrType::Tags) {
                let why = format!("is a {ty:?}; only tags make groups");
                return Err(Error::invalid(format!("attribute {name:?}"), why));
            }
        }
        if after.is_some_and(|cursor| cursor.seq != self.snapshot.seq()) {
            let why = "is of another snapshot; keep the snapshot for as long as you page";
            return Err(Error::invalid("cursor", why));
        }
        Ok(())
    }

    /// Walks down the hits and keeps those whose groups are not full, one more than asked for at
    /// most; also says how full groups were after the last one asked for.
    fn choose(&self, hits: Vec<Hit>, after: Option<&Cursor>) -> Result<(Vec<Hit>, Groups)> {
        let Some((attr, most)) = &self.group else { return Ok((hits, Vec::new())) };
        let before = after.map_or(&[][..], |cursor| &cursor.groups);
        let mut counts: HashMap<String, usize> = before.iter().cloned().collect();
        let mut kept = Vec::new();
        for hit in hits {
            let tags = match self.snapshot.value(hit.addr, attr)? {
                Some(Value::Text(tag)) => vec![tag],
                Some(Value::Tags(tags)) => tags,
                _ => Vec::new(),
            };
            if tags.iter().any(|tag| counts.get(tag).is_some_and(|n| n >= most)) {
                continue;
            }
            kept.push(hit);
            if kept.len() > self.knobs.limit {
                break;
            }
            tags.into_iter().for_each(|tag| *counts.entry(tag).or_default() += 1);
        }
        let mut groups: Vec<_> = counts.into_iter().collect();
        groups.sort();
        Ok((kept, groups))
    }

    fn paged(&self, hits: Vec<Hit>, more: bool, groups: Groups) -> Page {
        let seq = self.snapshot.seq();
        let last = hits.last().filter(|_| more);
        let next = last.map(|hit| Cursor { seq, score: hit.score, key: hit.key.clone(), groups });
        Page { hits, next }
    }
}
