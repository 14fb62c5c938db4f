//! Many segments over time: the one place where the database changes.
//!
//! | file | it owns |
//! |---|---|
//! | `version` | Part and Version: the immutable list that is the database at one commit |
//! | `apply` | operations to the next version; the same code for a commit and for replay |
//! | `commit` | the queue, group commit, when a commit is acknowledged |
//! | `wal` | the active log file |
//! | `root` | replacing MANIFEST: the one commit point of everything else |
//! | `flush`, `compact` | many parts into one, carrying over what died meanwhile |
//! | `failure`, `setback` | what could not be done, and rests; merges among it |
//! | `recover` | from a directory to a version, for writers and readers |
//! | `derived`, `origin`, `by_item`, `memo`, `held`, `weight` | what can be computed again: on disk, in memory, and how much of it |
//! | `semantic` | the semantic IDs of the parts: kept, carried along, on disk |
//! | `words`, `matching`, `hybrid` | which words the parts have; asking for them, alone and beside vectors |
//! | `graphs`, `index`, `heat` | which graphs there are; building one; what of them is in memory |
//! | `seeds`, `sow` | what the next graphs grow from: kept while one is built; left by a merge |
//! | `snapshot`, `near`, `nearest`, `history`, `item_history` | what a reader holds and asks |
//! | `artifacts`, `checkpoint`, `verify`, `stats` | one capability each |
//!
//! Locks are taken in this order: `building` or `heating`, `chores`, `writer`, `root`, `current`; then
//! `failures`, `cold`, `setbacks`, `unnamed` and `garbage`, under which no other is taken. `building` and
//! `heating` are held for as long as a graph takes, so nobody waits for them but others who would do the
//! same. No lock is on the read path but the one that
//! guards the pointer to the current version.

mod apply;
mod artifacts;
mod by_item;
mod checkpoint;
mod commit;
pub(crate) mod compact;
pub(crate) mod derived;
mod encode;
mod failure;
mod flush;
mod graphs;
mod heat;
mod held;
mod history;
mod hybrid;
mod index;
mod item_history;
pub(crate) mod knobs;
mod matching;
mod memo;
mod near;
mod near_batch;
pub(crate) mod nearest;
mod origin;
mod recall;
mod recover;
mod root;
mod seeds;
mod selection;
mod semantic;
mod setback;
pub(crate) mod sieve;
mod snapshot;
mod sow;
mod spread;
mod stats;
mod verify;
pub(crate) mod version;
mod wal;
pub(crate) mod weight;
mod words;

pub use history::{Deed, History, HistoryQuery};
pub use hybrid::{Fusion, Hybrid, Leg};
pub use item_history::Interaction;
pub(crate) use knobs::check_number;
pub use matching::Matching;
pub use near::{Like, Near, Page};
pub use near_batch::NearBatch;
pub use nearest::{Cursor, Hit};
pub use recall::{RecallCheck, RecallReport};
pub use selection::Selection;
pub use snapshot::Snapshot;
pub(crate) use spread::spread;
pub use stats::{Debt, Stats};
pub use verify::{Report, verify_dir};
pub(crate) use version::{Part, Version};

use crate::{
    error::{Error, Result},
    format::{batch::Op, envelope::OpenMode, manifest::Manifest, section::BlockCache},
    io::{Dir, Lock, hot::Budget},
    item::{Event, Item},
    key::Key,
    options::{Durability, Options},
    schema::Schema,
    store::{apply::Erased, commit::Ticket, wal::Wal},
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// One open database.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) options: Options,
    mode: OpenMode,
    db: [u8; 16],
    current: RwLock<Arc<Version>>,
    queue: Mutex<Vec<Arc<Ticket>>>,
    writer: Mutex<Writer>,
    root: Mutex<Manifest>,
    /// One chore at a time: flush, compaction, checkpoint, artifacts, schema.
    chores: Mutex<()>,
    /// One graph at a time is built.
    building: Mutex<()>,
    /// Graphs that could not be built, by segment and space.
    failures: Mutex<BTreeMap<(u64, u16), failure::Failure>>,
    /// One graph at a time is brought into memory.
    heating: Mutex<()>,
    /// Graphs that could not be.
    cold: Mutex<BTreeMap<(u64, u16), failure::Failure>>,
    /// Memory that graphs hold, those of older versions as well.
    heat: Arc<Budget>,
    next_id: AtomicU64,
    next_heap: AtomicU64,
    /// Artifacts that snapshots have opened.
    opened: Arc<memo::Memo>,
    /// How much memory is held, beside that of files.
    held: Arc<held::Held>,
    garbage: Mutex<Vec<root::Garbage>>,
    /// Files that the chore in progress has published and that nobody names yet.
    unnamed: Mutex<Vec<String>>,
    /// Merges that could not be done.
    setbacks: Mutex<Vec<setback::Setback>>,
    /// How far a read-only handle has read.
    tail: Mutex<recover::Tail>,
    read_only: bool,
    pid: u32,
    _lock: Option<Box<dyn Lock>>,
}

/// What only one thread at a time may touch.
#[derive(Debug)]
pub(crate) struct Writer {
    /// None in a read-only handle.
    wal: Option<Wal>,
    next_lsn: u64,
    poison: Option<Arc<Error>>,
    /// How many leading parts a flush in progress is reading; they stay as they are.
    frozen: usize,
    /// What was erased since the flush in progress began.
    erased: Erased,
    /// Erased bytes are in the WAL or on the heap.
    erase_pending: bool,
    /// When the oldest unsynced commit was written.
    unsynced_since: Option<Instant>,
}

/// Heap segments are numbered from here, files below.
const HEAP_FIRST: u64 = 1 << 63;

impl Store {
    /// Makes a new database in an empty directory. MANIFEST is written last, so a creation that was
    /// cut short leaves a directory in which the next creation succeeds.
    pub(crate) fn create(dir: Arc<dyn Dir>, schema: Schema, options: Options) -> Result<Store> {
        schema.check()?;
        options.check()?;
        let lock = dir.lock()?;
        recover::refuse_unless_new(&*dir)?;
        root::create(&*dir, &schema)?;
        Store::open_locked(dir, options, Some(lock))
    }

    /// Opens for writing.
    pub(crate) fn open(dir: Arc<dyn Dir>, options: Options) -> Result<Store> {
        options.check()?;
        recover::refuse_unless_there(&*dir)?;
        let lock = dir.lock()?;
        Store::open_locked(dir, options, Some(lock))
    }

    /// Opens for reading: changes no byte and no name, and needs no lock.
    pub(crate) fn open_read_only(dir: Arc<dyn Dir>, options: Options) -> Result<Store> {
        options.check()?;
        recover::refuse_unless_there(&*dir)?;
        Store::open_locked(dir, options, None)
    }

    fn open_locked(
        dir: Arc<dyn Dir>,
        options: Options,
        lock: Option<Box<dyn Lock>>,
    ) -> Result<Store> {
        let cache = BlockCache::new(options.memory_limit_bytes / 8);
        let read_only = lock.is_none();
        let (io, verify, write) = (options.io_mode, options.verify, !read_only);
        let mode = OpenMode { io, verify, cache, write };
        let loaded = recover::load(&*dir, &mode, &options, None, read_only)?;
        let writer = Writer {
            wal: None,
            next_lsn: loaded.tail.next_lsn,
            poison: None,
            frozen: 0,
            erased: Erased::default(),
            erase_pending: loaded.erased,
            unsynced_since: None,
        };
        let held = Arc::new(held::Held::new(options.memory_limit_bytes));
        let store = Store {
            next_id: AtomicU64::new(loaded.next_id),
            next_heap: AtomicU64::new(loaded.next_heap),
            opened: Arc::default(),
            current: RwLock::new(Arc::new(counted(loaded.version, &held))),
            held,
            db: loaded.db,
            root: Mutex::new(loaded.manifest),
            tail: Mutex::new(loaded.tail),
            writer: Mutex::new(writer),
            queue: Mutex::default(),
            chores: Mutex::default(),
            building: Mutex::default(),
            failures: Mutex::default(),
            heating: Mutex::default(),
            cold: Mutex::default(),
            heat: Arc::default(),
            garbage: Mutex::default(),
            unnamed: Mutex::default(),
            setbacks: Mutex::default(),
            pid: std::process::id(),
            _lock: lock,
            dir,
            options,
            mode,
            read_only,
        };
        if !read_only {
            store.take_over()?;
        }
        Ok(store)
    }

    /// The database as of the last commit that a reader may see.
    pub(crate) fn current(&self) -> Arc<Version> {
        self.current.read().clone()
    }

    fn swap(&self, mut version: Version) {
        // Made from another version, whose results are not this one's.
        version.memo = Arc::default();
        *self.current.write() = Arc::new(counted(version, &self.held));
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn new_heap_uid(&self) -> u64 {
        self.next_heap.fetch_add(1, Ordering::Relaxed)
    }

    /// Refuses to write where it must not: read-only, or on the wrong side of a fork.
    pub(crate) fn may_write(&self) -> Result<()> {
        if std::process::id() != self.pid {
            return Err(Error::Forked);
        }
        if self.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Every later write fails with the first cause; nothing is tried again (A3).
    fn poison(writer: &mut Writer, cause: Error) -> Arc<Error> {
        writer.poison.get_or_insert_with(|| Arc::new(cause)).clone()
    }

    fn refuse_if_poisoned(writer: &Writer) -> Result<()> {
        match &writer.poison {
            Some(first_cause) => Err(Error::Poisoned { first_cause: first_cause.clone() }),
            None => Ok(()),
        }
    }

    /// Makes every acknowledged commit durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.may_write()?;
        let mut writer = self.writer.lock();
        Store::refuse_if_poisoned(&writer)?;
        Store::sync_wal(&mut writer)
    }

    /// Makes every byte of the WAL durable, if one is not.
    fn sync_wal(writer: &mut Writer) -> Result<()> {
        let Some(wal) = &mut writer.wal else { return Err(Error::ReadOnly) };
        if wal.is_synced() {
            return Ok(());
        }
        if let Err(error) = wal.sync() {
            if crate::defects::on(crate::defects::Defect::FailedSyncForgotten) {
                return Ok(());
            }
            let cause = Store::poison(writer, error);
            return Err(Error::Indeterminate { cause });
        }
        writer.unsynced_since = None;
        Ok(())
    }

    /// How long what `Durability::Buffered` has left unsynced may stay so; `None` if there is nothing.
    pub(crate) fn sync_due_in(&self) -> Option<Duration> {
        let Durability::Buffered { max_delay } = self.options.durability else { return None };
        let writer = self.writer.lock();
        let since = writer.unsynced_since.filter(|_| writer.poison.is_none())?;
        Some(max_delay.saturating_sub(since.elapsed()))
    }

    /// Syncs what `Durability::Buffered` has left unsynced for long enough.
    pub(crate) fn sync_if_due(&self) -> Result<bool> {
        let Durability::Buffered { max_delay } = self.options.durability else { return Ok(false) };
        let mut writer = self.writer.lock();
        let late = writer.unsynced_since.is_some_and(|since| since.elapsed() >= max_delay);
        let due = late && writer.poison.is_none();
        if due {
            Store::sync_wal(&mut writer)?;
        }
        Ok(due)
    }

    /// Runs with no flush, merge or other replacement of the root going on.
    pub(crate) fn quiet<T>(&self, run: impl FnOnce(&dyn Dir) -> T) -> T {
        let _chores = self.chores.lock();
        run(&*self.dir)
    }

    pub(crate) fn op_put(&self, schema: &Schema, item: &Item) -> Result<Op> {
        encode::put(schema, item)
    }

    pub(crate) fn op_event(&self, schema: &Schema, event: &Event) -> Result<Op> {
        encode::event(schema, event)
    }

    pub(crate) fn op_key(&self, schema: &Schema, key: &Key) -> Result<()> {
        encode::key(schema, key)
    }

    pub(crate) fn location(&self) -> PathBuf {
        self.dir.location()
    }
}

/// A version that is about to be the current one, and whose memory counts.
fn counted(version: Version, held: &Arc<held::Held>) -> Version {
    held.must_hold(version.heap_bytes());
    version.memo.count_in(held);
    for part in &version.parts {
        [&part.ids, &part.texts, &part.memo].iter().for_each(|memo| memo.count_in(held));
    }
    version
}
