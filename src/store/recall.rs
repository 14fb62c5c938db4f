//! Measuring what approximate search misses, on one's own data.

use crate::{
    error::{Error, Result},
    key::{Addr, Row},
    store::{
        knobs::{self, Knobs, check_number},
        near::Near,
        nearest::Depth,
        snapshot::Snapshot,
    },
};
use std::time::{Duration, Instant};

/// Most items that are asked about: each costs a scan.
const SAMPLE_MAX: usize = 100_000;

/// A measurement of recall, put together by chaining and made by [`RecallCheck::run`].
///
/// Stored items, spread evenly and always the same, are taken as queries, and what is found is
/// compared with what a scan finds; the item itself does not count. Real queries may be unlike the
/// items, and then recall is another: compare [`Near::run`](crate::Near::run) with
/// [`Near::exact`](crate::Near::exact) for a few of them.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().space("text", 2, Metric::L2))?;
/// # for id in 0..20u64 { db.batch().put(Item::new(id).vector("text", [1.0, id as f32])).commit()?; }
/// let report = db.snapshot().measure_recall("text", 10).limit(5).effort(32).run()?;
/// assert!(report.recall >= 0.9 && report.queries == 10);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is measured before `run`"]
pub struct RecallCheck<'s> {
    snapshot: &'s Snapshot,
    space: String,
    sample: usize,
    knobs: Knobs<'s>,
}

knobs::setters!(RecallCheck);

/// How much of what is nearest was found, and what it took.
///
/// See [`RecallCheck`] for an example.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecallReport {
    /// Items that were asked about: as many as wanted, or all that have a vector.
    pub queries: usize,
    /// The mean share of the nearest items that was found, or items as near: 1 if nothing was missed.
    pub recall: f64,
    /// The smallest share over the queries.
    pub worst: f64,
    /// The time of the searches that were measured, all together.
    pub searching: Duration,
    /// The time of the scans that they were compared with.
    pub scanning: Duration,
    /// Items whose distance was computed or estimated by graphs, per query; 0 if none was used.
    pub scored: f64,
    /// Items whose neighbours were looked at on walks, per query; 0 if few were allowed, which are not
    /// walked to.
    pub expanded: f64,
}

impl Snapshot {
    /// Measures how much of what is nearest is found in a space, with so many stored items as
    /// queries.
    pub fn measure_recall(&self, space: &str, sample: usize) -> RecallCheck<'_> {
        RecallCheck { snapshot: self, space: space.into(), sample, knobs: Knobs::default() }
    }

    /// So many items that have a vector in a space, spread evenly over the rows.
    fn spread_items(&self, space: &str, sample: usize) -> Result<Vec<(Addr, Vec<f32>)>> {
        let parts = &self.version.parts;
        let total: u64 = parts.iter().map(|part| u64::from(part.segment.rows())).sum();
        let space = self.schema().find_space(space)?;
        let stretches = (sample as u64).min(total);
        let mut items = Vec::new();
        for stretch in 0..stretches {
            let end = (stretch + 1) * total / stretches;
            // The first of each stretch that is alive and has one.
            for at in stretch * total / stretches..end {
                let Some(addr) = self.addr_at(at) else { break };
                let part = &parts[addr.part as usize];
                let mut vector = Vec::new();
                if !part.dead.rows.contains(addr.row.0)
                    && part.segment.vector(addr.row.0, space, &mut vector)?
                {
                    items.push((addr, vector));
                    break;
                }
            }
        }
        Ok(items)
    }

    /// The row at a place, counting through all parts.
    fn addr_at(&self, mut at: u64) -> Option<Addr> {
        for (part, rows) in (0u32..).zip(self.version.parts.iter().map(|p| p.segment.rows())) {
            match u32::try_from(at) {
                Ok(row) if row < rows => return Some(Addr { part, row: Row(row) }),
                _ => at -= u64::from(rows),
            }
        }
        None
    }
}

impl RecallCheck<'_> {
    /// Searches and scans for each item of the sample, and compares.
    ///
    /// # Errors
    /// Those of [`Near::run`](crate::Near::run); `Invalid` for a sample of none.
    pub fn run(self) -> Result<RecallReport> {
        check_number("sample", self.sample, SAMPLE_MAX)?;
        self.knobs.check()?;
        let items = self.snapshot.spread_items(&self.space, self.sample)?;
        let (mut sum, mut worst, mut counted) = (0.0, 1.0f64, 0);
        let (mut scored, mut expanded) = (0, 0);
        let (mut searching, mut scanning) = (Duration::ZERO, Duration::ZERO);
        for (addr, vector) in &items {
            let mut near = self.near(*addr, vector)?;
            let begin = Instant::now();
            let (found, cost) = near.answer()?;
            searching += begin.elapsed();
            near.knobs.depth = Depth::Exact;
            let begin = Instant::now();
            let (exact, _) = near.answer()?;
            scanning += begin.elapsed();
            scored += cost.scored;
            expanded += cost.expanded;
            let Some(last) = exact.last() else { continue };
            // An item as near as the last is no worse an answer.
            let right = found.iter().filter(|hit| hit.score >= last.score).count();
            let share = right as f64 / exact.len() as f64;
            (sum, worst, counted) = (sum + share, worst.min(share), counted + 1);
        }
        let mean = |n: u64| n as f64 / items.len().max(1) as f64;
        let recall = if counted == 0 { 1.0 } else { sum / f64::from(counted) };
        let (queries, scored, expanded) = (items.len(), mean(scored), mean(expanded));
        Ok(RecallReport { queries, recall, worst, searching, scanning, scored, expanded })
    }

    fn near(&self, addr: Addr, vector: &[f32]) -> Result<Near<'_>> {
        let mut near = self.snapshot.near(&self.space, vector);
        if let Err(error) = &near.queries {
            return Err(Error::clone(error));
        }
        near.knobs = self.knobs.clone();
        Ok(near.exclude([self.snapshot.key(addr)?]))
    }
}
