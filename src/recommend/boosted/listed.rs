//! Listed: what events say of every item, counted and sorted once for a version of the database.

use super::boost::{Boost, What};
use crate::{
    error::Result,
    key::{Key, Timestamp},
    recommend::{AsOf, Counting},
    store::{
        Snapshot,
        weight::{Weight, block},
    },
};
use std::sync::Arc;

/// A boost of every row of every part, dead ones among them.
pub(super) struct Listed {
    parts: Vec<Sorted>,
}

/// Of one part: by row, and the rows from worst to best.
struct Sorted {
    values: Vec<f32>,
    order: Vec<u32>,
}

impl Weight for Listed {
    fn weight(&self) -> u64 {
        self.parts.iter().map(|part| block(&part.values) + block(&part.order)).sum()
    }
}

impl Listed {
    /// What is kept with the version, or made: it takes a look-up for each item.
    pub(super) fn of(boost: &Boost, snapshot: &Snapshot, now: Timestamp) -> Result<Arc<Listed>> {
        // It depends on what was known by `now`, and not on how long ago that was.
        let recipe = format!("listed {boost:?} {:?}", AsOf::of(&snapshot.version, now)?.at);
        snapshot.version.memo.get(&recipe, || Listed::make(boost, snapshot, now))
    }

    fn make(boost: &Boost, snapshot: &Snapshot, now: Timestamp) -> Result<Listed> {
        match &boost.what {
            What::Rate { of, among, prior } => {
                let counts =
                    |kinds: &[String]| Counting::new(snapshot, kinds, None)?.counts(snapshot, now);
                let (hits, shown) = (counts(of)?, counts(among)?);
                let all = pairs(snapshot, |key| (hits.get(key, now), shown.get(key, now)))?;
                let sum = |which: fn(&(f64, f64)) -> f64| -> f64 {
                    all.iter().flatten().map(which).sum()
                };
                let (hits, shown) = (sum(|pair| pair.0), sum(|pair| pair.1));
                let mean = if shown > 0.0 { hits / shown } else { 0.0 };
                Ok(Listed::sorted(all, |(hits, shown)| {
                    if shown <= 0.0 {
                        return boost.missing.map_or(mean, f64::from);
                    }
                    (hits + prior * mean) / (shown + prior)
                }))
            }
            What::Popular { kinds, half_life } => {
                let counts = Counting::new(snapshot, kinds, *half_life)?.counts(snapshot, now)?;
                let all = pairs(snapshot, |key| (counts.relative(key), 0.0))?;
                let most = all.iter().flatten().map(|pair| pair.0).fold(0.0, f64::max).ln_1p();
                Ok(Listed::sorted(all, |(count, _)| match count > 0.0 {
                    true => count.ln_1p() / most,
                    false => boost.missing.map_or(0.0, f64::from),
                }))
            }
            What::Number { .. } | What::Fresh { .. } => Ok(Listed { parts: Vec::new() }),
        }
    }

    fn sorted(all: Vec<Vec<(f64, f64)>>, value: impl Fn((f64, f64)) -> f64) -> Listed {
        let part = |pairs: Vec<(f64, f64)>| {
            let values: Vec<f32> =
                pairs.into_iter().map(|pair| value(pair).clamp(0.0, 1.0) as f32).collect();
            let mut order: Vec<u32> = (0..values.len() as u32).collect();
            let by = |row: u32| values[row as usize];
            order.sort_unstable_by(|a, b| by(*a).total_cmp(&by(*b)).then(b.cmp(a)));
            Sorted { values, order }
        };
        Listed { parts: all.into_iter().map(part).collect() }
    }

    pub(super) fn get(&self, part: usize, row: u32) -> f32 {
        self.parts[part].values[row as usize]
    }

    pub(super) fn count(&self, part: usize) -> u32 {
        self.parts[part].order.len() as u32
    }

    pub(super) fn row(&self, part: usize, place: u32, best_first: bool) -> u32 {
        let order = &self.parts[part].order;
        order[if best_first { order.len() - 1 - place as usize } else { place as usize }]
    }
}

/// Two numbers of every row; nothing of dead ones, whose keys live on elsewhere or nowhere.
fn pairs(snapshot: &Snapshot, get: impl Fn(&Key) -> (f64, f64)) -> Result<Vec<Vec<(f64, f64)>>> {
    let mut all = Vec::with_capacity(snapshot.version.parts.len());
    for part in &snapshot.version.parts {
        let keys = part.segment.keys()?;
        let pair = |row: u32| match part.dead.rows.contains(row) {
            true => Ok((0.0, 0.0)),
            false => Ok(get(&keys.key(row)?)),
        };
        all.push((0..part.segment.rows()).map(pair).collect::<Result<_>>()?);
    }
    Ok(all)
}
