//! How a database is opened.

use crate::{
    error::{Error, Result},
    limits::{GRAPH_ROWS_MIN, GROUP_DELAY_MAX, MEMORY_LIMIT_MIN, THREADS_MAX},
};
use std::time::Duration;

/// What an `Ok` from `commit` means.
///
/// At every level, what is recovered is the state after some prefix of the commits (D5).
///
/// ```
/// use bowerbird::{Durability, Options, ms};
/// let options = Options::default().durability(Durability::Group { max_delay: ms(2), max_ops: 1000 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// D1: it survives a kill, a crash of the system and a power failure.
    #[default]
    Immediate,
    /// D2: the same, but the answer waits for a sync shared with other commits.
    Group {
        /// Longest wait for company, an hour at most.
        max_delay: Duration,
        /// Operations that need no more company.
        max_ops: usize,
    },
    /// D3: it survives a kill. A power failure may lose the last `max_delay` and one sync.
    Buffered {
        /// Longest time that a commit stays unsynced. A thread keeps it, whatever else is going on; with
        /// [`Maintenance::Manual`], the next commit or `Db::maintain` does.
        max_delay: Duration,
    },
    /// D4: nothing survives until `sync`, which then promises D1 for everything before it.
    None,
}

/// How files are read.
///
/// ```
/// use bowerbird::{IoMode, Options};
/// let options = Options::default().io_mode(IoMode::Pread);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoMode {
    /// Files are mapped: fastest; a device error or a file truncated by others kills the process.
    #[default]
    Mmap,
    /// Files are read: every device error is an [`Error`].
    Pread,
}

/// When the checksums of large sections are checked. Small ones are checked on open.
///
/// ```
/// use bowerbird::{Options, Verify};
/// let options = Options::default().verify(Verify::Open);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// All of them, when a file is opened.
    Open,
    /// Each block of 64 KiB when it is first read.
    #[default]
    FirstTouch,
    /// Never. For files that were just verified.
    Trust,
}

/// Who does the housekeeping: flushes, merges, removals.
///
/// ```
/// use bowerbird::{Maintenance, Options};
/// let options = Options::default().maintenance(Maintenance::Manual);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maintenance {
    /// Threads of the open writer: one for flushes and merges, one for graphs, and one that keeps the time
    /// of [`Durability::Buffered`]. They end with the last handle, a merge or build in the middle of it.
    #[default]
    Thread,
    /// The caller, through `Db::maintain`.
    Manual,
}

/// Which graphs are kept for approximate search: derived files, one for each segment and space.
///
/// A graph makes search faster and lets it miss a near item now and then. Spaces of bits have none.
/// Its file has links, and one bit per number of each vector, for which neighbours are worth a look: some 200
/// bytes for a vector of 384 numbers, whatever it is stored as. Opening for writing with `Off` removes it.
///
/// ```
/// use bowerbird::{Graphs, Options};
/// let options = Options::default().graphs(Graphs::Compact);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Graphs {
    /// A graph that is searched often has rows in memory that hold small codes of neighbours too, so that
    /// one read serves a whole step. They take 1.4 times as much as vectors of 384 numbers as `f32`, 2.9 times for
    /// 128, and no more than [`Options::memory_limit_bytes`] says; see [`Db::warm`](crate::Db::warm).
    #[default]
    Fast,
    /// Graphs are walked as they are in their files: with .6 of the speed for 100,000 vectors of 384 numbers,
    /// an eighth for 1,000,000 of 128.
    Compact,
    /// None: every search scans, and is exact.
    Off,
}

/// How a database is opened. Start from `Options::default()` and change what matters.
///
/// ```
/// use bowerbird::{Durability, Options};
/// let options = Options::default().durability(Durability::Immediate).memory_limit_bytes(1 << 30);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What an `Ok` from `commit` means.
    pub durability: Durability,
    /// How files are read.
    pub io_mode: IoMode,
    /// When large sections are checked.
    pub verify: Verify,
    /// Who does the housekeeping.
    pub maintenance: Maintenance,
    /// Heap memory that the database may hold, in bytes, at least 64 MiB. Counted are segments that are
    /// not on disk yet, what is dead, and what is kept of semantic IDs, words, counts of events, co-visits,
    /// tables of rankers and rows of new items (`Stats::heap_bytes`). A commit that finds no room for its batch flushes, has these forgotten,
    /// and is refused if that does not help; what can be computed again and finds no room is computed for
    /// each question. Beside that, `IoMode::Pread` has a cache of an eighth of it, what graphs have in memory takes at
    /// most half of it, and not counted are mapped files, open models and what questions need while they run.
    ///
    /// A merge needs memory too, for texts, names and events more than for vectors. Housekeeping chooses none
    /// that needs more than this limit, about: parts with very many events or long texts stay more in number.
    /// `Db::compact` merges everything, whatever it needs.
    pub memory_limit_bytes: u64,
    /// Heap segments are flushed to disk when they reach this size together.
    pub flush_bytes: u64,
    /// A damaged derived file is rebuilt instead of reported.
    pub rebuild_derived: bool,
    /// Which graphs are kept.
    pub graphs: Graphs,
    /// Segments with fewer vectors in a space have no graph of it: they are scanned.
    pub graph_rows_min: u32,
    /// Threads that build one graph, 1 to 256. What is built does not depend on it.
    pub build_threads: usize,
    /// Whether builds are kept after every step, however little there is to lose. For tests.
    pub(crate) keep_every_step: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            durability: Durability::default(),
            io_mode: IoMode::default(),
            verify: Verify::default(),
            maintenance: Maintenance::default(),
            memory_limit_bytes: 4 << 30,
            flush_bytes: crate::limits::FLUSH_BYTES,
            rebuild_derived: false,
            graphs: Graphs::default(),
            graph_rows_min: GRAPH_ROWS_MIN,
            build_threads: 1,
            keep_every_step: false,
        }
    }
}

impl Options {
    /// Sets what an `Ok` from `commit` means.
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Sets how files are read.
    pub fn io_mode(mut self, mode: IoMode) -> Options {
        self.io_mode = mode;
        self
    }

    /// Sets when large sections are checked.
    pub fn verify(mut self, verify: Verify) -> Options {
        self.verify = verify;
        self
    }

    /// Sets who does the housekeeping.
    pub fn maintenance(mut self, maintenance: Maintenance) -> Options {
        self.maintenance = maintenance;
        self
    }

    /// Sets the memory limit.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Options {
        self.memory_limit_bytes = bytes;
        self
    }

    /// Sets how much stays on the heap before it is flushed.
    pub fn flush_bytes(mut self, bytes: u64) -> Options {
        self.flush_bytes = bytes;
        self
    }

    /// Rebuilds damaged derived files instead of reporting them.
    pub fn rebuild_derived(mut self, yes: bool) -> Options {
        self.rebuild_derived = yes;
        self
    }

    /// Sets which graphs are kept.
    pub fn graphs(mut self, graphs: Graphs) -> Options {
        self.graphs = graphs;
        self
    }

    /// Sets how many vectors a segment needs to get a graph of a space.
    pub fn graph_rows_min(mut self, rows: u32) -> Options {
        self.graph_rows_min = rows;
        self
    }

    /// Sets how many threads build a graph.
    pub fn build_threads(mut self, threads: usize) -> Options {
        self.build_threads = threads;
        self
    }

    /// Keeps the build of a graph after every step, and not only now and then, so that little work is
    /// enough to see one that was cut short go on.
    ///
    /// ```
    /// let options = bowerbird::Options::default().keep_every_step();
    /// ```
    #[cfg(feature = "testing")]
    pub fn keep_every_step(mut self) -> Options {
        self.keep_every_step = true;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.memory_limit_bytes < MEMORY_LIMIT_MIN {
            let why = format!("is {}; at least {MEMORY_LIMIT_MIN}", self.memory_limit_bytes);
            return Err(Error::invalid("memory_limit_bytes", why));
        }
        if self.flush_bytes == 0 || self.flush_bytes > self.memory_limit_bytes / 2 {
            let why = format!("is {}; it must be 1 to half the memory limit", self.flush_bytes);
            return Err(Error::invalid("flush_bytes", why));
        }
        if let Durability::Group { max_delay, .. } = self.durability
            && max_delay > GROUP_DELAY_MAX
        {
            let why = format!("is {max_delay:?}; a commit waits {GROUP_DELAY_MAX:?} at most");
            return Err(Error::invalid("max_delay of Durability::Group", why));
        }
        if !(1..=THREADS_MAX).contains(&self.build_threads) {
            let why = format!("is {}; it must be 1 to {THREADS_MAX}", self.build_threads);
            return Err(Error::invalid("build_threads", why));
        }
        Ok(())
    }
}
