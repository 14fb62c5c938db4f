//! What flows from operator to operator: interests, allowed rows, candidates, a ranked order, a slate.

use crate::{
    error::Result,
    filter::Where,
    key::{Addr, Key, Row},
    store::Snapshot,
};
use roaring::RoaringBitmap;
use std::collections::HashMap;

/// A vector that a user seems to want to be near, in one space.
///
/// ```
/// use bowerbird::recommend::Interest;
/// let interest = Interest::new("text", vec![0.6, 0.8], 1.0);
/// assert_eq!(interest.weight, 1.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interest {
    /// The space.
    pub space: String,
    /// As many numbers as the space has.
    pub vector: Vec<f32>,
    /// How much it matters beside the others.
    pub weight: f32,
}

impl Interest {
    /// An interest with a weight.
    pub fn new(space: &str, vector: Vec<f32>, weight: f32) -> Interest {
        Interest { space: space.into(), vector, weight }
    }
}

/// The items a request may return. It can only shrink.
///
/// ```
/// use bowerbird::{recommend::Allowed, Result, Snapshot, attr};
/// fn only_jazz(snapshot: &Snapshot, allowed: &mut Allowed) -> Result<()> {
///     allowed.keep_where(snapshot, &attr("genre").is("jazz"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Allowed {
    parts: Vec<RoaringBitmap>,
}

impl Allowed {
    /// Every live item.
    pub(crate) fn all(snapshot: &Snapshot) -> Result<Allowed> {
        Ok(Allowed { parts: snapshot.allowed(&Where::all())? })
    }

    /// One bitmap of rows per part of the snapshot.
    pub(crate) fn rows(&self) -> &[RoaringBitmap] {
        &self.parts
    }

    /// Whether an item may be returned.
    pub fn contains(&self, addr: Addr) -> bool {
        self.parts.get(addr.part as usize).is_some_and(|rows| rows.contains(addr.row.0))
    }

    /// How many items may be returned.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(RoaringBitmap::len).sum()
    }

    /// Whether none may.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(RoaringBitmap::is_empty)
    }

    /// Takes away one item.
    pub fn remove(&mut self, addr: Addr) {
        if let Some(rows) = self.parts.get_mut(addr.part as usize) {
            rows.remove(addr.row.0);
        }
    }

    /// Takes away the item with a key, if there is one.
    pub fn remove_key(&mut self, snapshot: &Snapshot, key: &Key) -> Result<()> {
        if let Some(addr) = snapshot.find(key)? {
            self.remove(addr);
        }
        Ok(())
    }

    /// Keeps only what a predicate allows.
    pub fn keep_where(&mut self, snapshot: &Snapshot, filter: &Where) -> Result<()> {
        for (mine, allowed) in self.parts.iter_mut().zip(snapshot.allowed(filter)?) {
            *mine &= allowed;
        }
        Ok(())
    }

    /// Keeps only some rows of a part.
    pub(crate) fn keep_rows(&mut self, part: u32, rows: &RoaringBitmap) {
        if let Some(mine) = self.parts.get_mut(part as usize) {
            *mine &= rows;
        }
    }

    /// Takes away some rows of a part.
    pub(crate) fn remove_rows(&mut self, part: u32, rows: &RoaringBitmap) {
        if let Some(mine) = self.parts.get_mut(part as usize) {
            *mine -= rows;
        }
    }

    /// Every allowed item, by part and row.
    pub fn iter(&self) -> impl Iterator<Item = Addr> + '_ {
        (0u32..)
            .zip(&self.parts)
            .flat_map(|(part, rows)| rows.iter().map(move |row| Addr { part, row: Row(row) }))
    }
}

/// No rank: a source has not found the candidate.
const ABSENT: u32 = u32::MAX;

/// What one retriever found.
#[derive(Clone, Debug, Default)]
struct Finds {
    name: String,
    /// By candidate; `ABSENT` or short where it has not found it.
    ranks: Vec<u32>,
    hints: Vec<f32>,
    count: u32,
}

/// Distinct candidates in the order in which they were first found, and who found them.
///
/// ```
/// use bowerbird::recommend::Candidates;
/// assert!(Candidates::default().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    addrs: Vec<Addr>,
    keys: Vec<Key>,
    places: HashMap<Addr, u32>,
    finds: Vec<Finds>,
}

impl Candidates {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.addrs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addrs.is_empty()
    }

    /// Where they live.
    pub fn addrs(&self) -> &[Addr] {
        &self.addrs
    }

    /// Their keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The names of the retrievers, in their order.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.finds.iter().map(|finds| finds.name.as_str())
    }

    /// At which place, from 0, and with which hint a retriever found a candidate.
    pub fn find(&self, source: usize, candidate: usize) -> Option<(u32, f32)> {
        let finds = self.finds.get(source)?;
        let rank = finds.ranks.get(candidate).filter(|rank| **rank != ABSENT)?;
        Some((*rank, finds.hints[candidate]))
    }

    /// The best of a candidate's places.
    pub fn best_rank(&self, candidate: usize) -> u32 {
        let rank = |source| self.find(source, candidate).map(|found| found.0);
        (0..self.finds.len()).filter_map(rank).min().unwrap_or(ABSENT)
    }

    /// Which candidate lives at an address.
    pub(crate) fn place(&self, addr: Addr) -> Option<usize> {
        self.places.get(&addr).map(|place| *place as usize)
    }

    /// Resolves keys, once all are found.
    pub(crate) fn resolve(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.keys = self.addrs.iter().map(|addr| snapshot.key(*addr)).collect::<Result<_>>()?;
        Ok(())
    }

    /// Only some of them, in their order; ranks stay what they were.
    pub(crate) fn only(&self, keep: &[bool]) -> Candidates {
        let kept: Vec<usize> = (0..self.len()).filter(|at| keep[*at]).collect();
        let addrs: Vec<Addr> = kept.iter().map(|at| self.addrs[*at]).collect();
        let keys = kept.iter().filter_map(|at| self.keys.get(*at).cloned()).collect();
        let places = (0u32..).zip(&addrs).map(|(place, addr)| (*addr, place)).collect();
        let some = |finds: &Finds| {
            let rank = |at: &usize| finds.ranks.get(*at).copied().unwrap_or(ABSENT);
            let ranks: Vec<u32> = kept.iter().map(rank).collect();
            let hint = |at: &usize| finds.hints.get(*at).copied().unwrap_or(0.0);
            let count = ranks.iter().filter(|rank| **rank != ABSENT).count() as u32;
            let hints = kept.iter().map(hint).collect();
            Finds { name: finds.name.clone(), ranks, hints, count }
        };
        let finds = self.finds.iter().map(some).collect();
        Candidates { addrs, keys, places, finds }
    }

    /// The names of the sources that found a candidate.
    pub(crate) fn sources_of(&self, candidate: usize) -> Vec<String> {
        let found = |source: &usize| self.find(*source, candidate).is_some();
        (0..self.finds.len()).filter(found).map(|s| self.finds[s].name.clone()).collect()
    }

    /// How many candidates the last source found.
    pub(crate) fn last_count(&self) -> u32 {
        self.finds.last().map_or(0, |finds| finds.count)
    }
}

/// Where a retriever puts what it finds. Repeats and what is not allowed are dropped here, once.
///
/// See [`crate::recommend::Retrieve`] for an example.
///
/// ```
/// use bowerbird::{recommend::Found, Addr};
/// fn all(addrs: &[Addr], found: &mut Found<'_>) {
///     addrs.iter().for_each(|addr| found.push(*addr, 0.0));
/// }
/// ```
#[derive(Debug)]
pub struct Found<'a> {
    allowed: &'a Allowed,
    into: &'a mut Candidates,
}

impl<'a> Found<'a> {
    pub(crate) fn begin(allowed: &'a Allowed, into: &'a mut Candidates, name: String) -> Found<'a> {
        into.finds.push(Finds { name, ..Finds::default() });
        Found { allowed, into }
    }

    /// Offers a candidate; the first offered ranks first. A hint that is not finite counts as 0.
    pub fn push(&mut self, addr: Addr, hint: f32) {
        if !self.allowed.contains(addr) {
            return;
        }
        let Candidates { addrs, places, finds, .. } = &mut *self.into;
        let place = *places.entry(addr).or_insert_with(|| {
            addrs.push(addr);
            addrs.len() as u32 - 1
        }) as usize;
        let Some(finds) = finds.last_mut() else { return };
        if finds.ranks.len() <= place {
            finds.ranks.resize(place + 1, ABSENT);
            finds.hints.resize(place + 1, 0.0);
        }
        if finds.ranks[place] == ABSENT {
            finds.ranks[place] = finds.count;
            finds.hints[place] = if hint.is_finite() { hint } else { 0.0 };
            finds.count += 1;
        }
    }

    /// Lets another retriever find, within a smaller set.
    pub(crate) fn within<T>(
        &mut self,
        narrow: &Allowed,
        find: impl FnOnce(&mut Found<'_>) -> T,
    ) -> T {
        find(&mut Found { allowed: narrow, into: self.into })
    }

    /// How many this retriever has found.
    pub fn len(&self) -> usize {
        self.into.last_count() as usize
    }

    /// Whether it has found none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Candidates in the order of their scores, equal ones by key.
///
/// ```
/// use bowerbird::recommend::Ranked;
/// fn best(ranked: &Ranked<'_>) -> Option<f32> {
///     (0..ranked.len()).next().map(|place| ranked.score(place))
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    pub(crate) candidates: &'a Candidates,
    pub(crate) scores: &'a [f32],
    pub(crate) order: &'a [u32],
}

impl Ranked<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Which candidate is at a place of the order.
    pub fn candidate(&self, place: usize) -> usize {
        self.order[place] as usize
    }

    /// Where the candidate at a place lives.
    pub fn addr(&self, place: usize) -> Addr {
        self.candidates.addrs()[self.candidate(place)]
    }

    /// The score of the candidate at a place; finite.
    pub fn score(&self, place: usize) -> f32 {
        self.scores[self.candidate(place)]
    }

    /// The candidates.
    pub fn candidates(&self) -> &Candidates {
        self.candidates
    }
}

/// A place of the order that a selector chose.
///
/// ```
/// assert_eq!(bowerbird::recommend::Chosen::surely(3).propensity, 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Chosen {
    /// The place.
    pub place: usize,
    /// How likely it was to be chosen for just this position of the slate: above 0, at most 1.
    pub propensity: f32,
}

impl Chosen {
    /// Chosen whatever lots say.
    pub fn surely(place: usize) -> Chosen {
        Chosen { place, propensity: 1.0 }
    }

    /// Chosen with a probability.
    pub fn with(place: usize, propensity: f32) -> Chosen {
        Chosen { place, propensity }
    }
}

/// One item of a slate.
///
/// ```
/// use bowerbird::recommend::Recommended;
/// fn show(item: &Recommended) -> String {
///     format!("{} because of {}", item.key, item.sources.join(", "))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recommended {
    /// The item.
    pub key: Key,
    /// Where it lives in the snapshot.
    pub addr: Addr,
    /// Its score; finite.
    pub score: f32,
    /// The retrievers that found it.
    pub sources: Vec<String>,
    /// How likely it was to be shown at this position; 1 where no lots were drawn. See [`Chosen`].
    pub propensity: f32,
}

/// What one operator did.
///
/// ```
/// use bowerbird::recommend::Stage;
/// fn dropped(stage: &Stage) -> u64 {
///     stage.seen.saturating_sub(stage.kept)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// "summarize", "filter", "retrieve", "screen", "score" or "select".
    pub verb: &'static str,
    /// The operator.
    pub name: String,
    /// How many items it had before it.
    pub seen: u64,
    /// How many it left, found or chose; for a summarizer, how many interests it has said.
    pub kept: u64,
    /// How long it took.
    pub micros: u64,
}

/// How a slate came about.
///
/// ```
/// assert!(bowerbird::recommend::Trace::default().stages.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// Every operator, in order.
    pub stages: Vec<Stage>,
    /// What screens took away, and left although it is not good enough; in order.
    pub screened: Vec<super::Screened>,
    /// What did not go as it should and was put up with: scores that were not finite, items that a
    /// model does not know, what else operators said by [`Context::degraded`](super::Context::degraded).
    pub degraded: Vec<String>,
    /// Which of several [`Profiles`](super::Profiles) answered, if any.
    pub profile: Option<String>,
}

/// The answer of a recommender.
///
/// ```
/// assert!(bowerbird::recommend::Slate::default().items.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Slate {
    /// The items, best first.
    pub items: Vec<Recommended>,
    /// How they came about.
    pub trace: Trace,
}
