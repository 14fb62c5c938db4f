//! Table: what is co-visited with what, as of a version: the sum of the layers of its parts.

use super::{
    layer::{Builder, Layer},
    rows::Rows,
};
use crate::{
    error::Result,
    key::{Addr, Key, Timestamp},
    recommend::{
        AsOf, Context,
        counts::{Counting, find_in, prefix, resolve},
    },
    store::{
        Version,
        weight::{Weight, alone, block},
    },
};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// The table of one version: that of the parts on disk, kept with the last of them, and the layers
/// that have come since, or lie beyond the cuts of parts; and the rows that were asked for.
pub(super) struct Table {
    base: Option<Arc<Base>>,
    since: Vec<Arc<Layer>>,
    rows: Rows<Row>,
}

/// The table of the parts on disk.
struct Base {
    layers: Vec<Arc<Layer>>,
    on_disk: usize,
    reference: Timestamp,
    rows: Rows<RawRow>,
}

impl Weight for Table {
    fn weight(&self) -> u64 {
        let since: u64 = self.since.iter().map(alone).sum();
        since + self.base.as_ref().map_or(0, alone) + self.rows.weight()
    }
}

impl Weight for Base {
    fn weight(&self) -> u64 {
        self.layers.iter().map(alone).sum::<u64>() + self.rows.weight()
    }
}

/// Neighbours that are live items, normalized.
type Row = Vec<(Addr, f64)>;
/// Neighbours, where they were, and the sums of their co-visits.
type RawRow = Vec<(Key, Option<Addr>, f64)>;

impl Weight for Row {
    fn weight(&self) -> u64 {
        block(self)
    }
}

impl Weight for RawRow {
    fn weight(&self) -> u64 {
        block(self) + self.iter().map(|(key, ..)| key.weight()).sum::<u64>()
    }
}

/// The latest time that a layer counts to.
fn latest(layers: &[Arc<Layer>]) -> Timestamp {
    layers.iter().map(|layer| layer.reference).max().unwrap_or(Timestamp(i64::MIN))
}

impl Base {
    /// What is co-visited with an item on disk, summed at `self.reference`.
    fn row(&self, version: &Version, counting: &Counting, seed: &Key) -> Result<Arc<RawRow>> {
        if let Some(row) = self.rows.find(seed) {
            return Ok(row);
        }
        let mut row = RawRow::new();
        for (key, sum) in sums(&self.layers, counting, self.reference, seed) {
            row.push((key.clone(), find_in(version, self.on_disk, key)?, sum));
        }
        Ok(self.rows.keep(seed, row))
    }
}

/// The sums over some layers of what is co-visited with an item.
fn sums<'l>(
    layers: &'l [Arc<Layer>],
    counting: &Counting,
    reference: Timestamp,
    seed: &Key,
) -> HashMap<&'l Key, f64> {
    let mut sums: HashMap<&Key, f64> = HashMap::new();
    for layer in layers {
        let scale = counting.decay(layer.reference, reference);
        let add = |(key, weight): (&'l Key, f64)| *sums.entry(key).or_default() += weight * scale;
        layer.neighbours(seed).for_each(add);
    }
    sums
}

impl Table {
    pub(super) fn of(cx: &Context<'_>, counting: &Counting, reach: usize) -> Result<Arc<Table>> {
        let version = &cx.snapshot.version;
        let as_of = &AsOf::of(version, cx.request.now)?;
        let recipe = format!("covisits {counting:?} {reach} {:?}", as_of.at);
        version.memo.get(&recipe, || {
            let on_disk = as_of.kept_parts(version);
            let base = match version.parts[..on_disk].last() {
                Some(last) => {
                    let (prefix, cuts) = (prefix(version, on_disk), as_of.cuts_of(on_disk));
                    let recipe = format!("base {counting:?} {reach} {prefix} {cuts:?}");
                    let build = || -> Result<Base> {
                        let layers = layers(version, 0..on_disk, (counting, reach), as_of)?;
                        let (reference, rows) = (latest(&layers), Rows::beside(&layers));
                        Ok(Base { layers, on_disk, reference, rows })
                    };
                    Some(last.memo.get(&recipe, build)?)
                }
                None => None,
            };
            let rest = on_disk..version.parts.len();
            let mut since = layers(version, rest, (counting, reach), as_of)?;
            let between = as_of.between(version)?;
            if let Some(to) = as_of.at.filter(|_| !between.is_empty()) {
                let builder = Builder::new(&version.parts, counting, reach, &as_of.cuts)?;
                since.push(Arc::new(builder.late(&between, to)?));
            }
            let before = base.as_deref().map_or(&[][..], |base| &base.layers);
            let rows = Rows::beside(before.iter().chain(&since));
            Ok(Table { base, since, rows })
        })
    }

    /// What is co-visited with an item.
    pub(super) fn row(
        &self,
        cx: &Context<'_>,
        counting: &Counting,
        seed: &Key,
    ) -> Result<Arc<Row>> {
        if let Some(row) = self.rows.find(seed) {
            return Ok(row);
        }
        let version = &cx.snapshot.version;
        let before = self.base.as_ref().map_or(Timestamp(i64::MIN), |base| base.reference);
        let reference = latest(&self.since).max(before);
        let counts = counting.counts(cx.snapshot, cx.request.now)?;
        // Co-visits and counts from the same time: then the quotient does not depend on it.
        let own = counts.get(seed, reference);
        let mut row = Row::new();
        let mut add = |key: &Key, was: Option<Addr>, sum: f64| -> Result<()> {
            let norm = (own * counts.get(key, reference)).sqrt();
            // What one layer adds and another takes back leaves a trace of rounding.
            if sum > 1e-9
                && norm > 0.0
                && let Some(addr) = resolve(version, key, was)?
            {
                row.push((addr, sum / norm));
            }
            Ok(())
        };
        let mut since = sums(&self.since, counting, reference, seed);
        if let Some(base) = &self.base {
            let scale = counting.decay(base.reference, reference);
            for (key, was, sum) in base.row(version, counting, seed)?.iter() {
                add(key, *was, sum * scale + since.remove(key).unwrap_or(0.0))?;
            }
        }
        for (key, sum) in since {
            add(key, None, sum)?;
        }
        row.sort_unstable_by_key(|(addr, _)| *addr);
        Ok(self.rows.keep(seed, row))
    }
}

/// The layers of some parts up to their cuts, each kept with its part.
fn layers(
    version: &Version,
    parts: Range<usize>,
    (counting, reach): (&Counting, usize),
    as_of: &AsOf,
) -> Result<Vec<Arc<Layer>>> {
    let mut layers = Vec::with_capacity(parts.len());
    for at in parts {
        let (cuts, erasures) = (as_of.cuts_of(at + 1), version.erasures);
        let recipe = format!("covisits {counting:?} {reach} {erasures} {cuts:?}");
        let build = || {
            let (parts, cuts) = (&version.parts[..=at], &as_of.cuts[..=at]);
            Builder::new(parts, counting, reach, cuts)?.layer()
        };
        layers.push(version.parts[at].memo.get(&recipe, build)?);
    }
    Ok(layers)
}
