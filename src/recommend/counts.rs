//! How often items were acted on, older events counting less. Sums per part are kept with the part.

use crate::{
    error::Result,
    key::{Addr, Key, Row, Timestamp},
    store::{Part, Snapshot},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// Kinds of events as numbers; none means all.
    pub(crate) kinds: Vec<u8>,
    /// Without one, every event counts 1.
    pub(crate) half_life: Option<Duration>,
}

/// Decayed counts as of a reference time.
pub(crate) struct Counts {
    by_key: HashMap<Key, f64>,
    /// Live items with a count, best first, equal ones by key.
    pub(crate) ranked: Vec<(Addr, f64)>,
    reference: Timestamp,
    half_life: Option<Duration>,
}

/// The sums of one part, by the number of the item, as of its latest clock.
struct PartCounts {
    sums: Vec<f64>,
    reference: Timestamp,
}

impl Counting {
    /// Of kinds by name.
    pub(crate) fn new(
        snapshot: &Snapshot,
        kinds: &[String],
        half_life: Option<Duration>,
    ) -> Result<Counting> {
        let number = |kind: &String| snapshot.schema().find_event(kind);
        let mut kinds: Vec<u8> = kinds.iter().map(number).collect::<Result<_>>()?;
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Counting { kinds, half_life })
    }

    /// The counts of a snapshot as of a time.
    ///
    /// Decay shrinks all counts alike, so while nothing in the snapshot is later than `now` the ranking
    /// does not depend on it, and what was computed once is good for every request.
    pub(crate) fn counts(&self, snapshot: &Snapshot, now: Timestamp) -> Result<Arc<Counts>> {
        let bites = snapshot.version.parts.iter().any(|part| known_later(part, now));
        let recipe = format!("counts {self:?} {:?}", bites.then_some(now));
        snapshot.version.memo.get(&recipe, || self.compute(snapshot, now))
    }

    fn compute(&self, snapshot: &Snapshot, now: Timestamp) -> Result<Counts> {
        let mut counts = Vec::new();
        for part in &snapshot.version.parts {
            let as_of = known_later(part, now).then_some(now);
            let recipe = format!("counts {self:?} {as_of:?}");
            counts.push((part, part.memo.get(&recipe, || self.part(part, as_of))?));
        }
        let latest =
            counts.iter().filter(|(p, _)| p.segment.meta.events > 0).map(|(_, c)| c.reference);
        let reference = latest.max().unwrap_or_default();
        let mut by_key: HashMap<Key, f64> = HashMap::new();
        for (part, counts) in &counts {
            let Some(events) = part.segment.events()? else { continue };
            let (items, scale) = (events.items()?, self.decay(counts.reference, reference));
            for (code, sum) in (0u32..).zip(&counts.sums).filter(|(_, sum)| **sum > 0.0) {
                *by_key.entry(items.key(code)?).or_default() += sum * scale;
            }
        }
        let mut ranked = Vec::with_capacity(by_key.len());
        for (key, sum) in &by_key {
            if let Some((part, row)) = snapshot.version.find(key)? {
                ranked.push((key, Addr { part, row: Row(row) }, *sum));
            }
        }
        ranked.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.cmp(b.0)));
        let ranked = ranked.into_iter().map(|(_, addr, sum)| (addr, sum)).collect();
        Ok(Counts { by_key, ranked, reference, half_life: self.half_life })
    }

    /// One pass over the events of a part.
    fn part(&self, part: &Part, as_of: Option<Timestamp>) -> Result<PartCounts> {
        let meta = &part.segment.meta;
        let last = Timestamp(meta.clock_max);
        let reference = as_of.map_or(last, |as_of| as_of.min(last));
        let mut sums = vec![0.0; meta.event_items as usize];
        let Some(events) = part.segment.events()? else {
            return Ok(PartCounts { sums, reference });
        };
        let block = events.block(0..events.count)?;
        let by = as_of.unwrap_or(Timestamp::MAX).0;
        for at in 0..events.count as usize {
            let known = block.at[at] <= by && block.recorded[at] <= by;
            let dead = !part.dead.events.is_empty() && part.dead.events.contains(at as u32);
            let kind = self.kinds.is_empty() || self.kinds.contains(&block.kinds[at]);
            if known && kind && !dead {
                // A number beyond the list would be a forged file, which has no such item.
                if let Some(sum) = sums.get_mut(block.items[at] as usize) {
                    *sum += self.decay(Timestamp(block.at[at]), reference);
                }
            }
        }
        Ok(PartCounts { sums, reference })
    }

    /// How much an event at a time counts at a reference time.
    pub(crate) fn decay(&self, at: Timestamp, reference: Timestamp) -> f64 {
        self.half_life.map_or(1.0, |h| super::summarize::decay(at, reference, h))
    }
}

impl Counts {
    /// The count of an item as of `now`.
    pub(crate) fn get(&self, key: &Key, now: Timestamp) -> f64 {
        self.by_key.get(key).copied().unwrap_or(0.0) * self.scale(now)
    }

    /// From the reference time to `now`.
    pub(crate) fn scale(&self, now: Timestamp) -> f64 {
        self.half_life.map_or(1.0, |h| super::summarize::decay(self.reference, now, h))
    }
}

/// Whether a part holds events that had not happened, or were not known, at a time.
pub(crate) fn known_later(part: &Part, now: Timestamp) -> bool {
    part.segment.meta.events > 0 && part.segment.meta.clock_max > now.0
}
