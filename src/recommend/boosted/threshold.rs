//! Threshold: the best rows of a part without looking at all of them (Fagin, Lotem and Naor, 2001).
//!
//! Every space and every boost is a list of rows, best first. The lists are read deeper and deeper, and
//! each row that comes up is scored whole. What has not come up cannot score more than the sum of what
//! the lists have reached; when the last of the best rows is above that, they are certain.
//!
//! A list of a space is a walk over its graph, which may miss rows: so may this, those and no others.
//! Where a walk would take longer than a scan, or reading has cost half of what a pass over all rows
//! would, there is no answer here, and the pass is made.

use super::{ask::Ask, list::List, quality::Quality};
use crate::{
    error::Result,
    key::{Addr, Row},
    search::{blocks::Rows, choose, scan, top::Top},
    store::{nearest::Depth, sieve::Sieve},
};
use roaring::RoaringBitmap;

/// Of the cost of a pass, how much may be spent before it is made after all.
const SPENT_MAX: f64 = 0.5;

/// The best rows of a part; `None` if a pass would be as fast.
pub(super) fn search(
    ask: &Ask<'_>,
    at: usize,
    sieve: &Sieve<'_>,
    qualities: &[Quality<'_>],
    looked: &mut super::Looked,
) -> Result<Option<Vec<(f32, Addr)>>> {
    // Nothing leads to what is farthest.
    if ask.depth == Depth::Exact || ask.sum.weights.iter().any(|weight| *weight < 0.0) {
        return Ok(None);
    }
    let mut hunt = Hunt::new(ask, at, sieve, qualities)?;
    let mut deepen: Vec<usize> = (0..hunt.lists.len()).collect();
    loop {
        let mut fresh = RoaringBitmap::new();
        for list in &deepen {
            let Some(cost) = hunt.lists[*list].deepen(ask, at, sieve, qualities, &mut fresh)?
            else {
                return Ok(None);
            };
            looked.steps += 1;
            looked.walked += cost.walked;
            hunt.spent_ns += cost.ns;
        }
        fresh -= &hunt.seen;
        looked.scored += fresh.len();
        hunt.score(&fresh, qualities)?;
        hunt.seen |= fresh;
        if hunt.is_certain(qualities) {
            let addr = |row| Addr { part: at as u32, row: Row(row) };
            let best = hunt.best.into_iter().map(|(score, row)| (score, addr(row)));
            return Ok(Some(best.collect()));
        }
        deepen = hunt.promising();
        if deepen.is_empty() || hunt.spent_ns > SPENT_MAX * hunt.pass_ns {
            return Ok(None);
        }
    }
}

struct Hunt<'a> {
    ask: &'a Ask<'a>,
    at: usize,
    lists: Vec<List>,
    seen: RoaringBitmap,
    /// The best rows that have come up, best first, at most as many as are wanted.
    best: Vec<(f32, u32)>,
    /// Numbers per row of all spaces.
    numbers: u64,
    spent_ns: f64,
    pass_ns: f64,
}

impl<'a> Hunt<'a> {
    fn new(
        ask: &'a Ask<'a>,
        at: usize,
        sieve: &Sieve<'_>,
        qualities: &[Quality<'_>],
    ) -> Result<Hunt<'a>> {
        let numbers = ask.sum.queries.iter().map(|query| u64::from(query.space.dim)).sum();
        let allowed = sieve.estimate()?.about;
        let some = u64::from(ask.snapshot.version.parts[at].segment.rows()).max(1);
        let pass_ns = match allowed as f64 / some as f64 > 0.3 {
            true => choose::rows_ns(allowed, numbers),
            false => choose::scattered_ns(allowed, numbers),
        };
        let lists = List::all(ask, qualities);
        let (seen, best) = (RoaringBitmap::new(), Vec::new());
        Ok(Hunt { ask, at, lists, seen, best, numbers, spent_ns: 0.0, pass_ns })
    }

    /// Scores rows that have just come up.
    fn score(&mut self, fresh: &RoaringBitmap, qualities: &[Quality<'_>]) -> Result<()> {
        let (ask, mut top) = (self.ask, Top::new(self.ask.limit));
        let segment = &ask.snapshot.version.parts[self.at].segment;
        self.best.iter().for_each(|(score, row)| top.push(*score, *row));
        let rows: Vec<u32> = fresh.iter().collect();
        let all = 0..segment.rows();
        scan::apart(segment, &ask.sum.queries, Rows::List(&rows), all, &mut |rows, scores| {
            ask.sum.offer((rows, scores), qualities, &mut top);
            Ok(())
        })?;
        self.best = top.into_sorted();
        self.spent_ns += choose::scattered_ns(fresh.len(), self.numbers);
        Ok(())
    }

    /// Whether no row that has not come up can be among the best.
    fn is_certain(&self, qualities: &[Quality<'_>]) -> bool {
        if self.lists.iter().any(|list| list.holds_all(self.ask.sum, qualities)) {
            return true;
        }
        let Some(last) = self.best.last().filter(|_| self.best.len() == self.ask.limit) else {
            return false;
        };
        let sum = &self.ask.sum;
        let of_near = |near: usize| self.lists.iter().find_map(|l| l.most_of_near(near, sum));
        let of_boost = |boost: usize| {
            let most = self.lists.iter().find_map(|l| l.most_of_boost(boost, qualities));
            most.or_else(|| qualities[boost].missing())
        };
        // A weight of 0 has no list, and anything times 0 is 0.
        let near = |near: usize| of_near(near).unwrap_or(0.0);
        let most = sum.add(near, |boost| of_boost(boost).unwrap_or(0.0));
        // An equal score may go to a smaller key.
        last.0 > most
    }

    /// The lists to read deeper: the one whose last step has lowered the sum most for its cost.
    fn promising(&self) -> Vec<usize> {
        let open = || (0..self.lists.len()).filter(|list| !self.lists[*list].over);
        let gain = |list: &usize| self.lists[*list].gain();
        match open().max_by(|a, b| gain(a).total_cmp(&gain(b)).then(b.cmp(a))) {
            Some(best) if gain(&best) > 0.0 => vec![best],
            // On plateaus nothing says which.
            _ => open().collect(),
        }
    }
}
