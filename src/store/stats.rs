//! What the database holds, and what housekeeping is owed.

use crate::store::{
    Store,
    compact::{self, Shape},
    knobs::EFFORT,
    version::Part,
};

/// What a database holds.
///
/// ```
/// # use bowerbird::*;
/// let stats = Db::in_memory(Schema::new()).unwrap().stats();
/// assert_eq!(stats.items, 0);
/// assert!(stats.debt.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The last commit.
    pub seq: u64,
    /// Live items.
    pub items: u64,
    /// Live events.
    pub events: u64,
    /// Segments on disk.
    pub disk_parts: usize,
    /// Bytes of segments on disk.
    pub disk_bytes: u64,
    /// Segments with a graph of at least one space.
    pub graph_parts: usize,
    /// Bytes of graphs on disk.
    pub graph_bytes: u64,
    /// The mean share of the ten nearest items that the default effort found when the graphs were
    /// built, of the graph with the least; none without graphs. `Snapshot::measure_recall` says more.
    pub graph_recall: Option<f32>,
    /// Segments on the heap.
    pub heap_parts: usize,
    /// Bytes of memory that segments and lists of dead rows take, and what is kept to be computed only
    /// once: semantic IDs, words, counts, co-visits, tables of rankers. At most the memory limit.
    pub heap_bytes: u64,
    /// Bytes of memory that graphs take beside that, to be searched faster: those of large parts, after
    /// some hundred searches, or after `Db::warm`. At most half of the memory limit.
    pub graph_memory_bytes: u64,
    /// Bytes in the active WAL.
    pub wal_bytes: u64,
    /// Commits that a power failure could take away now.
    pub unsynced_commits: u64,
    /// What housekeeping is owed.
    pub debt: Debt,
    /// The first write that failed, if one did: the database must be reopened to be written.
    pub poisoned: Option<String>,
    /// What the last round of housekeeping failed with, if it did; it is tried again.
    pub maintenance_error: Option<String>,
}

/// Housekeeping that is owed. See [`Stats`].
///
/// ```
/// assert!(bowerbird::Debt::default().is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Debt {
    /// Bytes on the heap beyond which a flush begins are exceeded.
    pub flush: bool,
    /// Parts that the next merge would take.
    pub merge_parts: usize,
    /// And their bytes.
    pub merge_bytes: u64,
    /// Dead rows and events that still take room.
    pub dead: u64,
    /// Parts that hold erased bytes.
    pub erasing_parts: usize,
    /// Parts without a derived file that would serve them.
    pub underived_parts: usize,
    /// Parts without a graph that would serve them.
    pub unindexed_parts: usize,
    /// Files that nobody uses and that are still there.
    pub unused_files: usize,
}

impl Debt {
    /// Whether there is nothing to do. Dead rows below the policy's threshold are not a debt.
    pub fn is_none(&self) -> bool {
        let lacks = self.underived_parts + self.unindexed_parts;
        !self.flush && self.merge_parts + self.erasing_parts + lacks + self.unused_files == 0
    }
}

impl Store {
    pub(crate) fn stats(&self) -> Stats {
        let (wal_bytes, unsynced_commits, poisoned) = {
            let writer = self.writer.lock();
            let wal = writer.wal.as_ref();
            let poisoned = writer.poison.as_ref().map(ToString::to_string);
            let unsynced = wal.map_or(0, |wal| wal.last_lsn - wal.synced_lsn);
            (wal.map_or(0, |wal| wal.len), unsynced, poisoned)
        };
        let version = self.current();
        let on_disk = |part: &&Part| !part.on_heap();
        let sum = |f: &dyn Fn(&Part) -> u64| version.parts.iter().map(f).sum();
        let graphs = || version.parts.iter().flat_map(|part| part.graphs.values());
        let events = |p: &Part| u64::from(p.segment.meta.events) - p.dead.events.len();
        Stats {
            seq: version.seq.0,
            items: sum(&Part::live_rows),
            events: sum(&events),
            disk_parts: version.parts.iter().filter(on_disk).count(),
            disk_bytes: version.parts.iter().filter(on_disk).map(|p| p.segment.bytes()).sum(),
            graph_parts: version.parts.iter().filter(|part| !part.graphs.is_empty()).count(),
            graph_recall: graphs().map(|graph| graph.recall_at(EFFORT)).reduce(f32::min),
            graph_bytes: sum(&|part| part.graphs.values().map(|graph| graph.bytes()).sum()),
            heap_parts: version.heap_parts().count(),
            graph_memory_bytes: graphs().map(|graph| graph.hot_bytes()).sum(),
            heap_bytes: version.heap_bytes() + self.held.kept(),
            wal_bytes,
            unsynced_commits,
            debt: self.debt(),
            poisoned,
            maintenance_error: self.index_error().or_else(|| self.merge_error()),
        }
    }

    /// What is owed. A read-only handle owes nothing.
    pub(crate) fn debt(&self) -> Debt {
        if self.read_only {
            return Debt::default();
        }
        let version = self.current();
        let shapes = compact::shapes(&version);
        let range = self.next_merge(&version).unwrap_or(0..0);
        let unindexed = |part: &&Part| part.lacks_graph(&version.schema, &self.options);
        let underived = |p: &&Part| p.lacks_by_item() || p.lacks_words(&version.schema);
        let dead = |part: &Part| part.dead.rows.len() + part.dead.events.len();
        Debt {
            flush: self.flush_is_due(),
            merge_parts: range.len(),
            merge_bytes: shapes[range].iter().map(|shape: &Shape| shape.bytes).sum(),
            dead: version.parts.iter().map(dead).sum(),
            erasing_parts: version.parts.iter().filter(|part| part.erasing).count(),
            underived_parts: version.parts.iter().filter(underived).count(),
            unindexed_parts: version.parts.iter().filter(unindexed).count(),
            unused_files: self.garbage_len(),
        }
    }

    /// Whether the heap or the WAL is full enough, or holds something erased.
    pub(crate) fn flush_is_due(&self) -> bool {
        let (wal, erased) = {
            let writer = self.writer.lock();
            (writer.wal.as_ref().map_or(0, |wal| wal.len), writer.erase_pending)
        };
        let heap = |part: &Part| if part.on_heap() { part.heap_bytes() } else { 0 };
        let heap: u64 = self.current().parts.iter().map(heap).sum();
        let wal_max =
            crate::limits::WAL_FLUSH_BYTES.min(self.options.flush_bytes.saturating_mul(4));
        erased || heap >= self.options.flush_bytes || wal >= wal_max
    }
}
