//! Which parts on disk to merge next, as arithmetic; and the merge.

use crate::{
    defects::{self, Defect},
    error::Result,
    format::{manifest::PartEntry, names},
    progress::Progress,
    segment::dead::Dead,
    store::{
        Store, by_item, flush, semantic,
        version::{Part, Version},
    },
};
use std::{ops::Range, sync::Arc};

/// What the policy sees of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) bytes: u64,
    /// Share of rows and events that are dead, 0 to 1.
    pub(crate) dead: f64,
    pub(crate) erasing: bool,
}

/// Parts of about the same size that make a merge worth while.
const TIER_PARTS: usize = 4;
/// Sizes within this factor are about the same.
const TIER_RATIO: u64 = 4;
/// The smallest tier: everything up to here is the same size.
const TIER_FIRST_BYTES: u64 = 1 << 20;
/// A part this dead is rewritten on its own.
const DEAD_SHARE: f64 = 0.25;

fn tier(bytes: u64) -> u32 {
    (bytes / TIER_FIRST_BYTES).checked_ilog(TIER_RATIO).map_or(0, |log| log + 1)
}

/// Chooses parts to merge, neighbours always, so that events stay in order of arrival.
///
/// Erased bytes first; then parts that are a quarter dead; then, smallest tier first, a run of
/// neighbours with at least four of one tier and none of a larger one. So there are at most three
/// parts of a tier side by side, and a byte is rewritten about once per tier.
pub(crate) fn pick(parts: &[Shape]) -> Option<Range<usize>> {
    if let Some(at) = parts.iter().position(|part| part.erasing) {
        return Some(at..at + 1);
    }
    if let Some(at) = parts.iter().position(|part| part.dead >= DEAD_SHARE) {
        return Some(at..at + 1);
    }
    let tiers: Vec<u32> = parts.iter().map(|part| tier(part.bytes)).collect();
    let mut sizes = tiers.clone();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        let mut start = 0;
        for end in 1..=tiers.len() {
            if end < tiers.len() && tiers[end] <= size && tiers[end - 1] <= size {
                continue;
            }
            let run = start..end;
            if tiers[run.clone()].iter().filter(|tier| **tier == size).count() >= TIER_PARTS {
                return Some(run);
            }
            start = end;
        }
    }
    None
}

/// The parts on disk, as the policy sees them.
pub(crate) fn shapes(version: &Version) -> Vec<Shape> {
    let shape = |part: &Part| {
        let all = u64::from(part.segment.rows()) + u64::from(part.segment.meta.events);
        let dead = part.dead.rows.len() + part.dead.events.len();
        let dead = if all == 0 { 1.0 } else { dead as f64 / all as f64 };
        Shape { bytes: part.segment.bytes(), dead, erasing: part.erasing }
    };
    version.parts.iter().filter(|part| !part.on_heap()).map(shape).collect()
}

impl Store {
    /// Does the merge that is most worth while; says how many parts became one.
    pub(crate) fn compact(&self, progress: &mut Progress<'_>) -> Result<Option<usize>> {
        self.chore(|| match pick(&shapes(&self.current())) {
            Some(range) => self.merge_parts(range, progress).map(Some),
            None => Ok(None),
        })
    }

    /// Merges all parts on disk into one without anything dead; says whether that changed anything.
    pub(crate) fn compact_all(&self, progress: &mut Progress<'_>) -> Result<bool> {
        self.chore(|| {
            let shapes = shapes(&self.current());
            let clean = shapes.iter().all(|shape| shape.dead == 0.0 && !shape.erasing);
            if shapes.is_empty() || (shapes.len() == 1 && clean) {
                return Ok(false);
            }
            self.merge_parts(0..shapes.len(), progress).map(|_| true)
        })
    }

    fn merge_parts(&self, range: Range<usize>, progress: &mut Progress<'_>) -> Result<usize> {
        let version = {
            let mut writer = self.writer.lock();
            // The merge leaves out rows that a commit has replaced. If that commit were lost, they
            // would be missing: make it durable first.
            if !defects::on(Defect::MergeAheadOfWal) {
                Store::sync_wal(&mut writer)?;
            }
            writer.erased = Default::default();
            self.current()
        };
        let inputs: Vec<&Part> = version.parts[range.clone()].iter().collect();
        let merged = match self.write_segment(&version, &inputs, progress)? {
            Some((segment, rows)) => {
                let mut part = Part::new(segment, Dead::default());
                semantic::carry(&part, &inputs, &rows);
                self.sow(&mut part, &inputs, &rows, &version)?;
                Some(part)
            }
            None => None,
        };
        let ids: Vec<u64> = inputs.iter().map(|part| part.segment.uid).collect();
        let file = merged.as_ref().and_then(|part| part.segment.file());
        let replaced = self.replace_in_root(&ids, file)?;
        let writer = self.writer.lock();
        let now = self.current();
        let merged = match merged {
            Some(part) => Some(flush::carry(part, &inputs, &now, &writer)?),
            None => None,
        };
        let mut parts = now.parts.clone();
        // As they are now: a build may have kept something since the merge began.
        let gone: Vec<Part> = parts.splice(range, merged).collect();
        self.swap(Version { parts, ..(*now).clone() });
        drop(writer);
        for (part, entry) in gone.iter().zip(replaced) {
            let id = entry.segment.id;
            self.discard(names::segment(id), Some(Arc::downgrade(&part.segment)));
            entry.dead.into_iter().for_each(|dead| self.discard(names::dead(id, dead.id), None));
            if part.by_item.is_some() {
                self.discard(names::derived(id, by_item::BY_ITEM), None);
            }
            let graphs = part.graph_files().chain(part.seed_files());
            let derived = graphs.chain(part.id_paths()).chain(part.word_files());
            derived.for_each(|path| self.discard(path, None));
        }
        Ok(ids.len())
    }

    fn replace_in_root(
        &self,
        ids: &[u64],
        file: Option<crate::format::manifest::FileRef>,
    ) -> Result<Vec<PartEntry>> {
        let mut replaced = Vec::new();
        self.change_root(|root| {
            let at =
                root.parts.iter().position(|p| ids.first() == Some(&p.segment.id)).unwrap_or(0);
            let end = (at + ids.len()).min(root.parts.len());
            let new = file.map(|segment| PartEntry { segment, dead: None, erasing: false });
            replaced = root.parts.splice(at..end, new).collect();
            root.synced = root.synced.max(root.flushed);
        })?;
        Ok(replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(mib: &[u64]) -> Vec<Shape> {
        mib.iter().map(|n| Shape { bytes: n << 20, ..Shape::default() }).collect()
    }

    #[test]
    fn the_policy_as_a_table() {
        let cases: [(&[u64], Option<Range<usize>>); 8] = [
            (&[], None),
            (&[16], None),
            (&[16, 16, 16], None),
            (&[16, 16, 16, 16], Some(0..4)),
            (&[64, 16, 16, 16, 16], Some(1..5)),
            (&[64, 1, 16, 16, 1, 16, 16], Some(1..7)),
            (&[64, 64, 64, 16, 16, 16], None),
            (&[64, 64, 64, 64, 16], Some(0..5)),
        ];
        for (sizes, expected) in cases {
            assert_eq!(pick(&sized(sizes)), expected, "{sizes:?}");
        }
        let mut parts = sized(&[16, 64, 16]);
        parts[1].dead = 0.3;
        assert_eq!(pick(&parts), Some(1..2));
        parts[2].erasing = true;
        assert_eq!(pick(&parts), Some(2..3));
    }

    /// Goal: however flushes come, parts stay few and a byte is rewritten a logarithmic number of times.
    #[test]
    fn parts_stay_few_and_rewrites_logarithmic() {
        let (mut parts, mut written, mut flushed) = (Vec::new(), 0, 0);
        for round in 0..4096u64 {
            parts.push(Shape { bytes: (1 + round % 20) << 20, ..Shape::default() });
            flushed += parts[parts.len() - 1].bytes;
            while let Some(range) = pick(&parts) {
                let bytes = parts[range.clone()].iter().map(|p| p.bytes).sum();
                written += bytes;
                parts.splice(range, [Shape { bytes, ..Shape::default() }]);
            }
            assert!(parts.len() <= 24, "{} parts after {round} flushes", parts.len());
        }
        assert!(written < 10 * flushed, "{} times", written / flushed);
    }
}
