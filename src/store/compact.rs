//! Which parts on disk to merge next, as arithmetic; and the merge.

use crate::{
    defects::{self, Defect},
    error::Result,
    format::{
        manifest::{FileRef, PartEntry},
        names,
    },
    key::Seq,
    progress::Progress,
    segment::{cost, dead::Dead},
    store::{
        Store, by_item, flush,
        root::disagreement,
        semantic,
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
    /// Heap memory that a merge needs for it, about.
    pub(crate) memory: u64,
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
///
/// Of a run that needs more than `memory`, the first neighbours that do not and are still four of the
/// tier: many small parts become few, and of large ones there may be more. A part on its own is always
/// rewritten: it was written before.
fn pick(parts: &[Shape], memory: u64) -> Option<Range<usize>> {
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
            let enough = |some: &[u32]| some.iter().filter(|t| **t == size).count() >= TIER_PARTS;
            let fitting = (start..end).map(|from| from..from + fit(&parts[from..end], memory));
            if let Some(some) = fitting.into_iter().find(|some| enough(&tiers[some.clone()])) {
                return Some(some);
            }
            start = end;
        }
    }
    None
}

/// How many of the first parts need no more memory together.
fn fit(parts: &[Shape], memory: u64) -> usize {
    let sums = parts.iter().scan(0u64, |sum, part| {
        *sum = sum.saturating_add(part.memory);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= memory).count()
}

/// The same without parts that rest, and never across one.
fn pick_between(parts: &[Shape], resting: &[bool], memory: u64) -> Option<Range<usize>> {
    let mut start = 0;
    for run in resting.split(|rests| *rests) {
        let end = start + run.len();
        if let Some(range) = pick(&parts[start..end], memory) {
            return Some(start + range.start..start + range.end);
        }
        start = end + 1;
    }
    None
}

/// The parts on disk, as the policy sees them.
pub(crate) fn shapes(version: &Version) -> Vec<Shape> {
    let shape = |part: &Part| {
        let all = u64::from(part.segment.rows()) + u64::from(part.segment.meta.events);
        let dead = part.dead.rows.len() + part.dead.events.len();
        let dead = if all == 0 { 1.0 } else { dead as f64 / all as f64 };
        let memory = cost::merge_bytes(&part.segment);
        Shape { bytes: part.segment.bytes(), dead, erasing: part.erasing, memory }
    };
    version.parts.iter().filter(|part| !part.on_heap()).map(shape).collect()
}

impl Store {
    /// Does the merge that is most worth while; says how many parts became one.
    pub(crate) fn compact(&self, progress: &mut Progress<'_>) -> Result<Option<usize>> {
        let mut tried = Vec::new();
        let done = self.chore(|| {
            let version = self.current();
            let Some(range) = self.next_merge(&version) else { return Ok(None) };
            tried.extend(version.parts[range.clone()].iter().map(|part| part.segment.uid));
            drop(version);
            self.merge_parts(range, progress).map(Some)
        });
        if !tried.is_empty() {
            self.remember(tried, &done);
        }
        done
    }

    /// The merge that is most worth while, of parts that do not rest and within the memory limit.
    pub(crate) fn next_merge(&self, version: &Version) -> Option<Range<usize>> {
        let on_disk = version.parts.iter().filter(|part| !part.on_heap());
        let ids: Vec<u64> = on_disk.map(|part| part.segment.uid).collect();
        let memory = self.options.memory_limit_bytes;
        pick_between(&shapes(version), &self.resting(&ids), memory)
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
        let count = inputs.len();
        self.adopt_merged(&version, range, merged)?;
        Ok(count)
    }

    /// Puts a merged part in place of its inputs: in MANIFEST, then in memory, with no commit in
    /// between and nothing that can fail.
    fn adopt_merged(
        &self,
        then: &Version,
        range: Range<usize>,
        merged: Option<Part>,
    ) -> Result<()> {
        let inputs: Vec<&Part> = then.parts[range.clone()].iter().collect();
        let mut writer = self.writer.lock();
        let now = self.current();
        let merged = match merged {
            Some(part) => Some(flush::carry(part, &inputs, &now, &writer)?),
            None => None,
        };
        let file = merged.as_ref().and_then(|part| part.segment.file());
        let mut parts = now.parts.clone();
        // As they are now: a build may have kept something since the merge began.
        let gone: Vec<Part> = parts.splice(range, merged).collect();
        let ids: Vec<u64> = inputs.iter().map(|part| part.segment.uid).collect();
        let replaced = self
            .replace_in_root((&ids, then.seq), file)
            .map_err(|error| self.judge(&mut writer, error))?;
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
        Ok(())
    }

    /// In MANIFEST, one part in place of those with these ids, as the database was at a commit.
    fn replace_in_root(
        &self,
        (ids, then): (&[u64], Seq),
        file: Option<FileRef>,
    ) -> Result<Vec<PartEntry>> {
        let mut replaced = Vec::new();
        self.change_root(|root| {
            let named: Vec<u64> = root.parts.iter().map(|part| part.segment.id).collect();
            let at = named.windows(ids.len()).position(|some| some == ids);
            let Some(at) = at else {
                return Err(disagreement(format!(
                    "it names segments {named:?}, merged are {ids:?}"
                )));
            };
            let new = file.map(|segment| PartEntry { segment, dead: None, erasing: false });
            replaced = root.parts.splice(at..at + ids.len(), new).collect();
            // What commits up to then have replaced is left out: without them it would be missing.
            if !defects::on(Defect::MergeAheadOfWal) {
                root.synced = root.synced.max(then.0);
            }
            Ok(())
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
            assert_eq!(pick(&sized(sizes), u64::MAX), expected, "{sizes:?}");
        }
        let mut parts = sized(&[16, 64, 16]);
        parts[1].dead = 0.3;
        assert_eq!(pick(&parts, 0), Some(1..2));
        parts[2].erasing = true;
        assert_eq!(pick(&parts, 0), Some(2..3));
    }

    /// Goal: no merge needs more memory than there is, and small parts are still merged.
    #[test]
    fn merges_fit_into_memory() {
        let of = |memory: &[u64]| -> Vec<Shape> {
            let shape =
                |memory: &u64| Shape { bytes: 16 << 20, memory: *memory, ..Shape::default() };
            memory.iter().map(shape).collect()
        };
        let cases: [(&[u64], Option<Range<usize>>); 7] = [
            (&[1, 1, 1, 1, 1], Some(0..5)),
            (&[25, 25, 25, 25, 1], Some(0..4)),
            (&[30, 30, 30, 30], None),
            (&[30, 30, 30, 30, 1, 1, 1], Some(1..7)),
            (&[101, 1, 1, 1, 1, 101], Some(1..5)),
            (&[u64::MAX, u64::MAX, 1, 1, 1, 1], Some(2..6)),
            (&[30, 1, 30, 30, 30, 30], Some(0..4)),
        ];
        for (memory, expected) in cases {
            assert_eq!(pick(&of(memory), 100), expected, "{memory:?}");
        }
    }

    /// Goal: no merge takes a part that rests, or parts on both sides of it.
    #[test]
    fn what_rests_is_left_out() {
        let (parts, all) = (sized(&[16; 9]), |at: &[usize]| {
            let mut resting = vec![false; 9];
            at.iter().for_each(|at| resting[*at] = true);
            resting
        });
        let cases: [(&[usize], Option<Range<usize>>); 6] = [
            (&[], Some(0..9)),
            (&[0], Some(1..9)),
            (&[8], Some(0..8)),
            (&[3], Some(4..9)),
            (&[4, 5], Some(0..4)),
            (&[2, 3, 6], None),
        ];
        for (at, expected) in cases {
            assert_eq!(pick_between(&parts, &all(at), u64::MAX), expected, "{at:?}");
        }
    }

    /// Goal: however flushes come, parts stay few and a byte is rewritten a logarithmic number of times.
    #[test]
    fn parts_stay_few_and_rewrites_logarithmic() {
        let (mut parts, mut written, mut flushed) = (Vec::new(), 0, 0);
        for round in 0..4096u64 {
            parts.push(Shape { bytes: (1 + round % 20) << 20, ..Shape::default() });
            flushed += parts[parts.len() - 1].bytes;
            while let Some(range) = pick(&parts, u64::MAX) {
                let bytes = parts[range.clone()].iter().map(|p| p.bytes).sum();
                written += bytes;
                parts.splice(range, [Shape { bytes, ..Shape::default() }]);
            }
            assert!(parts.len() <= 24, "{} parts after {round} flushes", parts.len());
        }
        assert!(written < 10 * flushed, "{} times", written / flushed);
    }
}
