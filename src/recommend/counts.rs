//! How often items were acted on, older events counting less. Sums per part are kept with the part.

use crate::{
    error::Result,
    key::{Addr, Key, Row, Timestamp},
    recommend::{Allowed, AsOf},
    store::{
        Part, Snapshot, Version,
        weight::{Weight, alone, block},
    },
};
use std::{cmp::Ordering, collections::HashMap, sync::Arc, time::Duration};

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// Kinds of events as numbers; none means all.
    pub(crate) kinds: Vec<u8>,
    /// Without one, every event counts 1.
    pub(crate) half_life: Option<Duration>,
}

/// Decayed counts as of a reference time: of the parts on disk, put together once and kept with the
/// last of them, and of what has come since. So a commit costs what it has changed, not a catalogue.
pub(crate) struct Counts {
    base: Arc<Base>,
    base_scale: f64,
    /// Of the parts on the heap, and of what lies beyond the cuts of parts.
    since: HashMap<Key, f64>,
    /// Items that have come since, with their whole count, best first, equal ones by key.
    changed: Vec<Place>,
    reference: Timestamp,
    half_life: Option<Duration>,
}

/// The counts of the parts on disk.
#[derive(Default)]
struct Base {
    by_key: HashMap<Key, f64>,
    /// Best first, equal ones by key.
    ranked: Vec<Place>,
    reference: Timestamp,
}

/// An item with a count, and where it was when it was counted.
struct Place {
    key: Key,
    addr: Option<Addr>,
    sum: f64,
}

/// The sums of one part, by the number of the item, as of its latest clock.
struct PartCounts {
    sums: Vec<f64>,
    reference: Timestamp,
}

impl Weight for Counts {
    fn weight(&self) -> u64 {
        alone(&self.base) + self.since.weight() + ranked(&self.changed)
    }
}

impl Weight for Base {
    fn weight(&self) -> u64 {
        self.by_key.weight() + ranked(&self.ranked)
    }
}

impl Weight for PartCounts {
    fn weight(&self) -> u64 {
        block(&self.sums)
    }
}

fn ranked(places: &Vec<Place>) -> u64 {
    block(places) + places.iter().map(|place| place.key.weight()).sum::<u64>()
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
    /// Decay shrinks all counts alike, so the ranking depends on what was known by `now`, and not on how
    /// long ago that was: what was computed once is good for every request until something becomes known.
    pub(crate) fn counts(&self, snapshot: &Snapshot, now: Timestamp) -> Result<Arc<Counts>> {
        let version = &snapshot.version;
        let as_of = AsOf::of(version, now)?;
        let recipe = format!("counts {self:?} {:?}", as_of.at);
        version.memo.get(&recipe, || self.compute(version, &as_of))
    }

    fn compute(&self, version: &Version, as_of: &AsOf) -> Result<Counts> {
        let on_disk = as_of.kept_parts(version);
        let base = match version.parts[..on_disk].last() {
            Some(last) => {
                let (prefix, cuts) = (prefix(version, on_disk), as_of.cuts_of(on_disk));
                let recipe = format!("base {self:?} {prefix} {cuts:?}");
                last.memo.get(&recipe, || self.base(version, on_disk, as_of))?
            }
            None => Arc::new(Base { reference: Timestamp(i64::MIN), ..Base::default() }),
        };
        let (mut since, latest) = self.sums(&version.parts[on_disk..], &as_of.cuts[on_disk..])?;
        let reference = base.reference.max(latest).max(as_of.at.unwrap_or(latest));
        let scale = self.decay(latest, reference);
        since.values_mut().for_each(|sum| *sum *= scale);
        self.add_between(version, as_of, reference, &mut since)?;
        let base_scale = self.decay(base.reference, reference);
        let whole = |(key, sum): (&Key, &f64)| {
            let before = base.by_key.get(key).copied().unwrap_or(0.0) * base_scale;
            Place { key: key.clone(), addr: None, sum: before + sum }
        };
        let mut changed: Vec<Place> = since.iter().map(whole).collect();
        changed.sort_unstable_by(Place::compare);
        let half_life = self.half_life;
        Ok(Counts { base, base_scale, since, changed, reference, half_life })
    }

    /// The counts of the first parts, with addresses that are good while those are the first parts.
    fn base(&self, version: &Version, on_disk: usize, as_of: &AsOf) -> Result<Base> {
        let (by_key, reference) = self.sums(&version.parts[..on_disk], &as_of.cuts[..on_disk])?;
        let mut ranked = Vec::with_capacity(by_key.len());
        for (key, sum) in &by_key {
            ranked.push(Place {
                key: key.clone(),
                addr: find_in(version, on_disk, key)?,
                sum: *sum,
            });
        }
        ranked.sort_unstable_by(Place::compare);
        Ok(Base { by_key, ranked, reference })
    }

    /// Adds what was known beyond the cuts of parts.
    fn add_between(
        &self,
        version: &Version,
        as_of: &AsOf,
        reference: Timestamp,
        sums: &mut HashMap<Key, f64>,
    ) -> Result<()> {
        for (part, at) in as_of.between(version)? {
            let part = &version.parts[part];
            let Some(events) = part.segment.events()? else { continue };
            let event = events.get(at)?;
            let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
            if kind && !part.dead.events.contains(at) {
                let key = events.items()?.key(event.item)?;
                *sums.entry(key).or_default() += self.decay(event.at, reference);
            }
        }
        Ok(())
    }

    /// The counts of some parts up to their cuts by key, and the time that they are decayed to.
    fn sums(
        &self,
        parts: &[Part],
        cuts: &[Option<Timestamp>],
    ) -> Result<(HashMap<Key, f64>, Timestamp)> {
        let mut counts = Vec::new();
        for (part, cut) in parts.iter().zip(cuts) {
            if part.segment.meta.events > 0 {
                let recipe = format!("counts {self:?} {cut:?}");
                counts.push((part, part.memo.get(&recipe, || self.part(part, *cut))?));
            }
        }
        let reference = counts.iter().map(|(_, counts)| counts.reference).max();
        let reference = reference.unwrap_or(Timestamp(i64::MIN));
        let mut by_key: HashMap<Key, f64> = HashMap::new();
        for (part, counts) in &counts {
            let Some(events) = part.segment.events()? else { continue };
            let (items, scale) = (events.items()?, self.decay(counts.reference, reference));
            for (code, sum) in (0u32..).zip(&counts.sums).filter(|(_, sum)| **sum > 0.0) {
                *by_key.entry(items.key(code)?).or_default() += sum * scale;
            }
        }
        Ok((by_key, reference))
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

impl Place {
    fn compare(a: &Place, b: &Place) -> Ordering {
        b.sum.total_cmp(&a.sum).then_with(|| a.key.cmp(&b.key))
    }
}

impl Counts {
    /// The count of an item as of `now`.
    pub(crate) fn get(&self, key: &Key, now: Timestamp) -> f64 {
        let base = self.base.by_key.get(key).copied().unwrap_or(0.0) * self.base_scale;
        (base + self.since.get(key).copied().unwrap_or(0.0)) * self.scale(now)
    }

    /// The time that all counts are decayed to: no event that counts is later.
    pub(crate) fn reference(&self) -> Timestamp {
        self.reference
    }

    /// The items that have a count, ascending.
    pub(crate) fn keys(&self) -> Vec<&Key> {
        let new = self.since.keys().filter(|key| !self.base.by_key.contains_key(*key));
        let mut keys: Vec<&Key> = self.base.by_key.keys().chain(new).collect();
        keys.sort_unstable();
        keys
    }

    /// The count of an item as of the time that all counts are decayed to, whenever that is: for
    /// comparing items with each other.
    pub(crate) fn relative(&self, key: &Key) -> f64 {
        self.get(key, self.reference)
    }

    /// The allowed items with the largest counts as of `now`, equal ones by key.
    pub(crate) fn top(
        &self,
        snapshot: &Snapshot,
        allowed: &Allowed,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(Addr, f64)>> {
        let unchanged = |place: &&Place| !self.since.contains_key(&place.key);
        let mut old = self.base.ranked.iter().filter(unchanged).peekable();
        let mut new = self.changed.iter().peekable();
        let mut best = Vec::with_capacity(limit.min(1000));
        while best.len() < limit {
            let (place, sum) = match (old.peek().copied(), new.peek().copied()) {
                (None, None) => break,
                (Some(a), Some(b)) => {
                    let scaled = a.sum * self.base_scale;
                    let order = b.sum.total_cmp(&scaled).then_with(|| a.key.cmp(&b.key));
                    if order.is_lt() { (old.next(), scaled) } else { (new.next(), b.sum) }
                }
                (Some(a), None) => (old.next(), a.sum * self.base_scale),
                (None, Some(b)) => (new.next(), b.sum),
            };
            let Some(place) = place else { break };
            if let Some(addr) = resolve(&snapshot.version, &place.key, place.addr)?
                && allowed.contains(addr)
            {
                best.push((addr, sum * self.scale(now)));
            }
        }
        Ok(best)
    }

    /// From the reference time to `now`.
    fn scale(&self, now: Timestamp) -> f64 {
        self.half_life.map_or(1.0, |h| super::summarize::decay(self.reference, now, h))
    }
}

/// How many parts are on disk; they come first.
pub(crate) fn disk_parts(version: &Version) -> usize {
    version.parts.iter().take_while(|part| !part.on_heap()).count()
}

/// What the first parts are, and that nothing was erased from them since.
pub(crate) fn prefix(version: &Version, parts: usize) -> String {
    let uids: Vec<u64> = version.parts[..parts].iter().map(|part| part.segment.uid).collect();
    format!("{uids:?} {}", version.erasures)
}

/// Where an item lives in the first parts.
pub(crate) fn find_in(version: &Version, parts: usize, key: &Key) -> Result<Option<Addr>> {
    for (part, at) in (0u32..).zip(&version.parts[..parts]) {
        if let Some(row) = at.segment.find(key)?
            && !at.dead.rows.contains(row)
        {
            return Ok(Some(Addr { part, row: Row(row) }));
        }
    }
    Ok(None)
}

/// Where an item lives now, given where it was: rows die, but do not move while their part is there.
pub(crate) fn resolve(version: &Version, key: &Key, was: Option<Addr>) -> Result<Option<Addr>> {
    let alive = |addr: &Addr| !version.parts[addr.part as usize].dead.rows.contains(addr.row.0);
    match was.filter(alive) {
        Some(addr) => Ok(Some(addr)),
        None => Ok(version.find(key)?.map(|(part, row)| Addr { part, row: Row(row) })),
    }
}
