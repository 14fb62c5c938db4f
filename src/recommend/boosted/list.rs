//! List: the rows of a part by one space or one boost, best first, read as deep as needed.

use super::{ask::Ask, quality::Quality, sum::Sum};
use crate::{
    error::Result,
    search::{
        choose::{self, Task},
        scan::Blend,
    },
    store::{
        nearest::{self, Question, Way},
        sieve::Sieve,
    },
};
use roaring::RoaringBitmap;

/// How much deeper each step goes.
const GROWTH: usize = 4;
/// A walk goes this much farther than it must, since it is the last of its finds that count here.
const FARTHER: f64 = 1.5;
/// To read a place of an order, in nanoseconds: rows that are not allowed are passed over.
const PLACE_NS: f64 = 20.0;

/// A list and how far it was read.
pub(super) struct List {
    of: Of,
    weight: f32,
    depth: usize,
    /// The places of an order that were read.
    places: u32,
    /// What the last row that was read has; those after it have no more (or no less, if little is
    /// wanted).
    front: f32,
    /// Whether all that it has was read.
    pub(super) over: bool,
    /// How much the last step has lowered the front, and what it cost.
    drop: f64,
    cost_ns: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Near(usize),
    Boost(usize),
}

/// What a step took.
pub(super) struct Cost {
    pub(super) walked: u64,
    pub(super) ns: f64,
}

impl List {
    /// A list for everything that has a weight, and rows in an order.
    pub(super) fn all(ask: &Ask<'_>, qualities: &[Quality<'_>]) -> Vec<List> {
        let first = (2 * ask.limit).max(32);
        let list = |of, weight| List {
            of,
            weight,
            depth: first,
            places: 0,
            front: f32::NAN,
            over: false,
            drop: 0.0,
            cost_ns: 1.0,
        };
        let sum = &ask.sum;
        let nears = sum.weights.iter().enumerate();
        let nears =
            nears.filter(|(_, weight)| **weight > 0.0).map(|(at, w)| list(Of::Near(at), *w));
        let boosts = sum.boost_weights.iter().enumerate();
        let boosts = boosts.filter(|(at, weight)| **weight != 0.0 && qualities[*at].count() > 0);
        nears.chain(boosts.map(|(at, w)| list(Of::Boost(at), *w))).collect()
    }

    /// Reads on, and adds what comes up to `rows`; `None` if a scan would be as fast.
    pub(super) fn deepen(
        &mut self,
        ask: &Ask<'_>,
        at: usize,
        sieve: &Sieve<'_>,
        qualities: &[Quality<'_>],
        rows: &mut RoaringBitmap,
    ) -> Result<Option<Cost>> {
        let cost = match self.of {
            Of::Near(near) => self.walk(ask, at, (sieve, near), rows)?,
            Of::Boost(boost) => Some(self.read(sieve, &qualities[boost], rows)?),
        };
        self.depth = self.depth.saturating_mul(GROWTH);
        self.cost_ns = cost.as_ref().map_or(1.0, |cost| cost.ns.max(1.0));
        Ok(cost)
    }

    fn walk(
        &mut self,
        ask: &Ask<'_>,
        at: usize,
        (sieve, near): (&Sieve<'_>, usize),
        rows: &mut RoaringBitmap,
    ) -> Result<Option<Cost>> {
        let queries = &ask.sum.queries[near..=near];
        let (limit, blend) = (self.depth, Blend::Sum);
        let question = Question { queries, blend, limit, depth: ask.depth, after: None };
        // Rows are few where they are skimmed: then they are scored, all of them.
        let Some((graph, Way::Walk(effort))) = nearest::plan(ask.snapshot, at, sieve, &question)?
        else {
            return Ok(None);
        };
        let effort = effort.max((limit as f64 * FARTHER) as u32);
        let way = (graph, Way::Walk(effort));
        let (found, _) = nearest::by_graph(ask.snapshot, at, sieve, way, &question)?;
        let task = Task {
            rows: ask.snapshot.version.parts[at].segment.rows().into(),
            allowed: sieve.estimate()?.about,
            dim: queries[0].space.dim,
            queries: 1,
            k: limit,
            effort,
        };
        rows.extend(found.iter().map(|(_, addr)| addr.row.0));
        self.over = found.len() < limit;
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            let before = if self.front.is_nan() { first.0 } else { self.front };
            self.drop = f64::from(before) - f64::from(last.0);
            self.front = last.0;
        }
        Ok(Some(Cost { walked: limit as u64, ns: choose::walk_ns(&task) }))
    }

    fn read(
        &mut self,
        sieve: &Sieve<'_>,
        quality: &Quality<'_>,
        rows: &mut RoaringBitmap,
    ) -> Result<Cost> {
        let (count, best_first, from) = (quality.count(), self.weight > 0.0, self.places);
        let (mut fresh, mut last) = (0, None);
        while self.places < count && fresh < self.depth {
            let row = quality.row(self.places, best_first)?;
            self.places += 1;
            last = Some(row);
            if sieve.allows(row)? {
                rows.insert(row);
                fresh += 1;
            }
        }
        self.over = self.places == count;
        if let Some(last) = last {
            let front = quality.get(last);
            let best = if best_first { 1.0 } else { 0.0 };
            let before = if self.front.is_nan() { best } else { self.front };
            self.drop = (f64::from(before) - f64::from(front)).abs();
            self.front = front;
        }
        Ok(Cost { walked: 0, ns: f64::from(self.places - from) * PLACE_NS })
    }

    /// How much the last step has lowered the sum for its cost, with what the next will cost.
    pub(super) fn gain(&self) -> f64 {
        self.drop * f64::from(self.weight).abs() / self.cost_ns
    }

    /// Whether every row that can be found has come up.
    pub(super) fn holds_all(&self, sum: &Sum, qualities: &[Quality<'_>]) -> bool {
        self.over
            && match self.of {
                Of::Near(near) => sum.missing[near].is_none(),
                Of::Boost(boost) => qualities[boost].missing().is_none(),
            }
    }

    /// The most similar that a row can be that has not come up, if this is a list of that space.
    pub(super) fn most_of_near(&self, near: usize, sum: &Sum) -> Option<f32> {
        if self.of != Of::Near(near) {
            return None;
        }
        let front = if self.over { f32::MIN } else { self.front };
        Some(front.max(sum.missing[near].unwrap_or(f32::MIN)))
    }

    /// The boost with which a row would score most that has not come up, if this is its list.
    pub(super) fn most_of_boost(&self, boost: usize, qualities: &[Quality<'_>]) -> Option<f32> {
        if self.of != Of::Boost(boost) {
            return None;
        }
        let missing = qualities[boost].missing();
        // A power is not quite as monotone as its exponent: a little is added for its last bits.
        let (slack, most_wanted) = (3e-7, self.weight > 0.0);
        let front = match most_wanted {
            true => self.front * (1.0 + slack),
            false => self.front * (1.0 - slack),
        };
        Some(match (missing, self.over) {
            (Some(missing), true) => missing,
            (Some(missing), false) if most_wanted => missing.max(front),
            (Some(missing), false) => missing.min(front),
            (None, _) => front,
        })
    }
}
