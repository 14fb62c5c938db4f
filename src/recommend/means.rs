//! Means: how items are valued, and how users value.

use crate::{
    error::{Error, Result},
    key::{Key, Timestamp},
    recommend::{AsOf, Candidates, Context, Score, counts::prefix},
    store::{
        Part, Snapshot, Version,
        weight::{Weight, alone},
    },
};
use std::{collections::HashMap, sync::Arc};

/// Sums of values and how many there are: of each item, and of all.
#[derive(Default)]
struct Sums {
    by_key: HashMap<Key, (f64, f64)>,
    all: (f64, f64),
}

/// The values of events as of a time: of the parts on disk, summed up once and kept with the last of
/// them, and of what has come since.
struct Means {
    base: Arc<Sums>,
    since: Sums,
}

impl Weight for Sums {
    fn weight(&self) -> u64 {
        self.by_key.weight()
    }
}

impl Weight for Means {
    fn weight(&self) -> u64 {
        alone(&self.base) + self.since.weight()
    }
}

impl Means {
    fn of(snapshot: &Snapshot, kinds: &[u8], now: Timestamp) -> Result<Arc<Means>> {
        let version = &snapshot.version;
        let as_of = AsOf::of(version, now)?;
        version.memo.get(&format!("means {kinds:?} {:?}", as_of.at), || {
            let on_disk = as_of.kept_parts(version);
            let (before, after) = as_of.cuts.split_at(on_disk);
            let base = match version.parts[..on_disk].last() {
                Some(last) => {
                    let (prefix, cuts) = (prefix(version, on_disk), as_of.cuts_of(on_disk));
                    last.memo.get(&format!("means {kinds:?} {prefix} {cuts:?}"), || {
                        Sums::of(&version.parts[..on_disk], before, kinds)
                    })?
                }
                None => Arc::default(),
            };
            let mut since = Sums::of(&version.parts[on_disk..], after, kinds)?;
            since.add_between(version, &as_of, kinds)?;
            Ok(Means { base, since })
        })
    }

    /// The sum of an item's values, and how many there are.
    fn get(&self, key: &Key) -> (f64, f64) {
        let of = |sums: &Sums| sums.by_key.get(key).copied().unwrap_or_default();
        add(of(&self.base), of(&self.since))
    }

    /// The mean of all values; 0 if there is none.
    fn mean(&self) -> f64 {
        let (sum, count) = add(self.base.all, self.since.all);
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

impl Sums {
    /// Of the events of some parts up to their cuts.
    fn of(parts: &[Part], cuts: &[Option<Timestamp>], kinds: &[u8]) -> Result<Sums> {
        let mut sums = Sums::default();
        for (part, cut) in parts.iter().zip(cuts) {
            let Some(events) = part.segment.events()? else { continue };
            let by = cut.unwrap_or(Timestamp::MAX).0;
            let (details, items) = (events.details(0..events.count)?, events.items()?);
            let block = &details.block;
            let mut here = vec![(0.0, 0.0); part.segment.meta.event_items as usize];
            for at in 0..events.count as usize {
                let known = block.at[at] <= by && block.recorded[at] <= by;
                let dead = part.dead.events.contains(at as u32);
                if !known || dead || !(kinds.is_empty() || kinds.contains(&block.kinds[at])) {
                    continue;
                }
                // A number beyond the list would be a forged file, which has no such item.
                let Some(sum) = here.get_mut(block.items[at] as usize) else { continue };
                if let Some(value) = details.get(at).value.filter(|value| value.is_finite()) {
                    *sum = add(*sum, (f64::from(value), 1.0));
                }
            }
            for (code, sum) in (0u32..).zip(here).filter(|(_, sum)| sum.1 > 0.0) {
                sums.put(items.key(code)?, sum);
            }
        }
        Ok(sums)
    }

    /// Adds what was known beyond the cuts of parts.
    fn add_between(&mut self, version: &Version, as_of: &AsOf, kinds: &[u8]) -> Result<()> {
        for (part, at) in as_of.between(version)? {
            let part = &version.parts[part];
            let Some(events) = part.segment.events()? else { continue };
            let event = events.get(at)?;
            let kind = kinds.is_empty() || kinds.contains(&event.kind);
            if let Some(value) = event.value.filter(|value| value.is_finite())
                && kind
                && !part.dead.events.contains(at)
            {
                self.put(events.items()?.key(event.item)?, (f64::from(value), 1.0));
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, sum: (f64, f64)) {
        let entry = self.by_key.entry(key).or_default();
        *entry = add(*entry, sum);
        self.all = add(self.all, sum);
    }
}

pub(super) fn add(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0 + b.0, a.1 + b.1)
}

/// The mean, pulled towards `mean` as if `prior` more values had been that.
pub(super) fn shrunk((sum, count): (f64, f64), prior: f64, mean: f64) -> f64 {
    let all = count + prior;
    if all > 0.0 { (sum + prior * mean) / all } else { mean }
}

pub(super) fn kinds_of(cx: &Context<'_>, kinds: &[String]) -> Result<Vec<u8>> {
    let mut numbers = kinds
        .iter()
        .map(|kind| cx.snapshot.schema().find_event(kind))
        .collect::<Result<Vec<u8>>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

pub(super) fn check_prior(name: &str, prior: f32) -> Result<f64> {
    match prior.is_finite() && prior >= 0.0 {
        true => Ok(f64::from(prior)),
        false => {
            let why = format!("is {prior}; it must be finite, 0 or more");
            Err(Error::invalid(format!("prior of {name}"), why))
        }
    }
}

/// The mean value of the events of a candidate, as ratings are, pulled towards the mean of all values as
/// if it had `prior` more of those.
///
/// ```
/// let liked = bowerbird::recommend::ItemMean::new(["rate"], 5.0);
/// ```
#[derive(Clone, Debug)]
pub struct ItemMean {
    kinds: Vec<String>,
    prior: f32,
}

impl ItemMean {
    /// Of the values of events of these kinds; none means all.
    pub fn new<'k>(kinds: impl IntoIterator<Item = &'k str>, prior: f32) -> ItemMean {
        ItemMean { kinds: kinds.into_iter().map(str::to_owned).collect(), prior }
    }
}

impl Score for ItemMean {
    fn name(&self) -> String {
        format!("ItemMean({})", self.kinds.join(", "))
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let prior = check_prior("ItemMean", self.prior)?;
        let means = Means::of(cx.snapshot, &kinds_of(cx, &self.kinds)?, cx.request.now)?;
        let mean = means.mean();
        for (score, key) in scores.iter_mut().zip(candidates.keys()) {
            *score = shrunk(means.get(key), prior, mean) as f32;
        }
        Ok(())
    }
}

/// The mean value of the user's own events, pulled towards the mean of all values; the same for all
/// candidates.
///
/// ```
/// let generous = bowerbird::recommend::UserMean::new(["rate"], 5.0);
/// ```
#[derive(Clone, Debug)]
pub struct UserMean {
    kinds: Vec<String>,
    prior: f32,
}

impl UserMean {
    /// Of the values of events of these kinds; none means all.
    pub fn new<'k>(kinds: impl IntoIterator<Item = &'k str>, prior: f32) -> UserMean {
        UserMean { kinds: kinds.into_iter().map(str::to_owned).collect(), prior }
    }
}

impl Score for UserMean {
    fn name(&self) -> String {
        format!("UserMean({})", self.kinds.join(", "))
    }

    fn score(&self, cx: &Context<'_>, _: &Candidates, scores: &mut [f32]) -> Result<()> {
        let prior = check_prior("UserMean", self.prior)?;
        let kinds = kinds_of(cx, &self.kinds)?;
        let means = Means::of(cx.snapshot, &kinds, cx.request.now)?;
        let values = valued(cx, &kinds)?;
        let sum = values.iter().fold((0.0, 0.0), |sum, (_, value)| add(sum, (*value, 1.0)));
        scores.fill(shrunk(sum, prior, means.mean()) as f32);
        Ok(())
    }
}

/// The latest events of these kinds that have a value.
pub(super) fn valued(cx: &Context<'_>, kinds: &[u8]) -> Result<Vec<(Key, f64)>> {
    let past = cx.past_of(kinds)?;
    let valued = past.iter().filter_map(|deed| Some((deed.item.clone(), f64::from(deed.value?))));
    Ok(valued.collect())
}
