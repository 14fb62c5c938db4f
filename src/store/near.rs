//! Asking for the nearest items: by vector, by key, by examples; in one space or several.

use crate::{
    error::{Error, Result},
    filter::Where,
    item::Value,
    key::Key,
    limits::{EXAMPLES_MAX, LIMIT_MAX, THREADS_MAX},
    schema::{AttrType, Metric, Space},
    search::scan::Query,
    store::{
        nearest::{self, Cursor, Groups, Hit},
        snapshot::Snapshot,
    },
    vector::probe::Probe,
};
use roaring::RoaringBitmap;
use std::collections::HashMap;

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
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).attr("genre", AttrType::Tag))?;
/// let hits = db.snapshot()
///     .near("text", &[0.6, 0.8])
///     .filter(attr("genre").is("jazz"))
///     .group_by("genre", 3)
///     .threads(2)
///     .limit(10)
///     .run()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is searched before `run` or `page`"]
pub struct Near<'s> {
    snapshot: &'s Snapshot,
    queries: Result<Vec<(Space, Vec<f32>, f32)>>,
    exclude: Vec<Key>,
    filter: Where,
    limit: usize,
    threads: usize,
    group: Option<(String, usize)>,
}

impl Snapshot {
    /// The items nearest to a vector in a space.
    ///
    /// Errors of the arguments are reported by `run`: `NotFound` for the space, `Invalid` for a
    /// vector of the wrong dimension or with numbers that are not finite.
    pub fn near(&self, space: &str, query: &[f32]) -> Near<'_> {
        let queries = self.schema().find_space(space).cloned();
        self.ask(queries.map(|space| vec![(space, query.to_vec(), 1.0)]), Vec::new())
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
        self.ask(query.map(|query| vec![query]), examples.iter().filter_map(item).collect())
    }

    fn ask(&self, queries: Result<Vec<(Space, Vec<f32>, f32)>>, exclude: Vec<Key>) -> Near<'_> {
        let (filter, limit, threads) = (Where::all(), 10, 1);
        Near { snapshot: self, queries, exclude, filter, limit, threads, group: None }
    }

    /// One query that ranks like the sum over the examples. Dot products are linear in the query;
    /// a weighted sum of squared distances is the squared distance to the weighted mean, times the
    /// sum of the weights, plus a constant.
    fn blend(&self, name: &str, examples: &[Like]) -> Result<(Space, Vec<f32>, f32)> {
        let space = self.schema().find_space(name)?.clone();
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
        Ok((space, sum.into_iter().map(|s| s as f32).collect(), factor as f32))
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
    pub fn also(mut self, space: &str, query: &[f32], weight: f32) -> Self {
        let space = self.snapshot.schema().find_space(space).cloned();
        if let Ok(queries) = &mut self.queries {
            match space {
                Ok(_) if !weight.is_finite() => {
                    self.queries = Err(Error::invalid("weight", "must be finite"));
                }
                Ok(space) => queries.push((space, query.to_vec(), weight)),
                Err(error) => self.queries = Err(error),
            }
        }
        self
    }

    /// Only items that a filter allows; several calls mean all of them.
    pub fn filter(mut self, filter: Where) -> Self {
        self.filter = self.filter & filter;
        self
    }

    /// Not these items.
    pub fn exclude(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.exclude.extend(keys);
        self
    }

    /// At most this many; 10 unless set.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Searches with this many threads; 1 unless set. The answer is the same.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
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
        Ok(self.page(None)?.hits)
    }

    /// The next items after those of an earlier page of the same question and snapshot: over all
    /// pages no item comes twice and none is left out.
    pub fn page(self, after: Option<&Cursor>) -> Result<Page> {
        let queries = self.check(after)?;
        let rows = self.rows()?;
        let (snapshot, threads) = (self.snapshot, self.threads);
        let Some((attr, most)) = &self.group else {
            let mut hits =
                nearest::search(snapshot, &queries, &rows, (self.limit + 1, threads), after)?;
            let more = hits.len() > self.limit;
            hits.truncate(self.limit);
            return Ok(self.paged(hits, more, Vec::new()));
        };
        // The choice among the best so many is the beginning of the choice among all, so asking for
        // more and more is exact and usually stops at once.
        let total: u64 = rows.iter().map(RoaringBitmap::len).sum();
        let mut depth = self.limit.saturating_mul(4).max(64);
        loop {
            let hits = nearest::search(snapshot, &queries, &rows, (depth, threads), after)?;
            let all = hits.len() < depth || depth as u64 >= total;
            let (mut kept, groups) = self.choose(hits, (attr, *most), after)?;
            if kept.len() > self.limit || all {
                let more = kept.len() > self.limit;
                kept.truncate(self.limit);
                return Ok(self.paged(kept, more, groups));
            }
            depth = depth.saturating_mul(4);
        }
    }

    fn check(&self, after: Option<&Cursor>) -> Result<Vec<Query>> {
        let number = |what: &str, n: usize, most: usize| match n {
            n if (1..=most).contains(&n) => Ok(()),
            n => Err(Error::invalid(what, format!("is {n}; it must be 1 to {most}"))),
        };
        number("limit", self.limit, LIMIT_MAX)?;
        number("threads", self.threads, THREADS_MAX)?;
        if let Some((name, most)) = &self.group {
            number("items per group", *most, LIMIT_MAX)?;
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
        let queries = self.queries.as_ref().map_err(Error::clone)?;
        queries
            .iter()
            .map(|(space, vector, weight)| nearest::prepare(space, vector, *weight))
            .collect()
    }

    fn rows(&self) -> Result<Vec<RoaringBitmap>> {
        let mut rows = self.snapshot.allowed(&self.filter)?;
        for key in &self.exclude {
            if let Some(addr) = self.snapshot.find(key)? {
                rows[addr.part as usize].remove(addr.row.0);
            }
        }
        Ok(rows)
    }

    /// Walks down the hits and keeps those whose groups are not full, one more than asked for at
    /// most; also says how full groups were after the last one asked for.
    fn choose(
        &self,
        hits: Vec<Hit>,
        (attr, most): (&str, usize),
        after: Option<&Cursor>,
    ) -> Result<(Vec<Hit>, Groups)> {
        let before = after.map_or(&[][..], |cursor| &cursor.groups);
        let mut counts: HashMap<String, usize> = before.iter().cloned().collect();
        let mut kept = Vec::new();
        for hit in hits {
            let tags = match self.snapshot.value(hit.addr, attr)? {
                Some(Value::Text(tag)) => vec![tag],
                Some(Value::Tags(tags)) => tags,
                _ => Vec::new(),
            };
            if tags.iter().any(|tag| counts.get(tag).is_some_and(|n| *n >= most)) {
                continue;
            }
            kept.push(hit);
            if kept.len() > self.limit {
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
