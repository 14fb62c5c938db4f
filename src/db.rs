//! Db and Batch: the handle.

use crate::{
    artifact::{Artifact, ArtifactRef, Provenance},
    error::{Error, Result},
    format::batch::Op,
    io::{Dir, Disk, Memory},
    item::{Event, Item},
    key::{Key, Seq, UserId},
    maintain::{Chore, Keeper},
    options::{Maintenance, Options},
    progress::Progress,
    schema::{AttrType, Encoding, Metric, Schema},
    store::{Report, Snapshot, Stats, Store, verify_dir},
};
use std::{path::Path, sync::Arc};

/// An open database. Cheap to clone; all clones are the same database.
///
/// ```
/// use bowerbird::*;
/// # fn main() -> Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("shop.bower");
/// let db = Db::create(&path, Schema::new().space("text", 2, Metric::Cosine))?;
/// db.batch().put(Item::new(1u64).vector("text", [0.6, 0.8])).commit()?;
/// db.close()?;
///
/// let db = Db::open(&path)?;
/// assert_eq!(db.snapshot().near("text", &[0.6, 0.8]).run()?[0].key, Key::Id(1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Db {
    // The keeper first: its thread ends before the store goes away.
    keeper: Arc<Option<Keeper>>,
    store: Arc<Store>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (location, seq) = (self.store.location(), self.store.current().seq);
        f.debug_struct("Db").field("location", &location).field("seq", &seq).finish()
    }
}

impl Db {
    /// Makes a database in a directory that is empty or does not exist yet.
    ///
    /// # Errors
    /// `Exists` if there is a database already; `Invalid` if the directory holds something else or
    /// the schema cannot work; `Locked` if another handle is creating it.
    pub fn create(path: impl AsRef<Path>, schema: Schema) -> Result<Db> {
        Db::create_with(path, schema, Options::default())
    }

    /// The same, with options.
    pub fn create_with(path: impl AsRef<Path>, schema: Schema, options: Options) -> Result<Db> {
        Db::create_in(Arc::new(Disk::create(path)?), schema, options)
    }

    /// The same, in any [`Dir`].
    pub fn create_in(dir: Arc<dyn Dir>, schema: Schema, options: Options) -> Result<Db> {
        Db::start(Store::create(dir, schema, options)?)
    }

    /// A database that lives in memory, for tests and small catalogues.
    pub fn in_memory(schema: Schema) -> Result<Db> {
        Db::create_in(Arc::new(Memory::new()), schema, Options::default())
    }

    /// Opens for writing. What a crash left behind is cleaned up.
    ///
    /// # Errors
    /// `NotFound` if there is no database; `Locked` if another handle has it open for writing;
    /// `Corrupt` if a file is damaged; `Incompatible` if it was written by a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Db> {
        Db::open_with(path, Options::default())
    }

    /// The same, with options.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Db> {
        Db::open_in(Arc::new(folder(path.as_ref())?), options)
    }

    /// The same, in any [`Dir`].
    pub fn open_in(dir: Arc<dyn Dir>, options: Options) -> Result<Db> {
        Db::start(Store::open(dir, options)?)
    }

    /// Opens for reading, beside a writer or without one. Changes no byte and no name (C8).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Db> {
        Db::open_read_only_with(path, Options::default())
    }

    /// The same, with options.
    pub fn open_read_only_with(path: impl AsRef<Path>, options: Options) -> Result<Db> {
        Db::open_read_only_in(Arc::new(folder(path.as_ref())?), options)
    }

    /// The same, in any [`Dir`].
    pub fn open_read_only_in(dir: Arc<dyn Dir>, options: Options) -> Result<Db> {
        let options = options.maintenance(Maintenance::Manual);
        Db::start(Store::open_read_only(dir, options)?)
    }

    fn start(store: Store) -> Result<Db> {
        let store = Arc::new(store);
        let keeper = match store.options.maintenance {
            Maintenance::Thread => Some(Keeper::start(&store)?),
            Maintenance::Manual => None,
        };
        Ok(Db { keeper: Arc::new(keeper), store })
    }

    /// Begins a batch: operations that are committed together or not at all.
    pub fn batch(&self) -> Batch<'_> {
        let schema = self.store.current().schema.clone();
        Batch { db: self, schema, ops: Vec::new(), failed: None, added: 0 }
    }

    /// The database as of the last commit.
    pub fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// Makes a read-only handle see what was committed since; says whether there was anything.
    /// A writer always sees its own commits.
    pub fn refresh(&self) -> Result<bool> {
        match self.store.may_write() {
            Err(Error::ReadOnly) => self.store.refresh(),
            other => other.map(|()| false),
        }
    }

    /// Makes every commit that returned durable, whatever its durability level (D4).
    pub fn sync(&self) -> Result<()> {
        self.store.sync()
    }

    /// Writes what is on the heap to a segment on disk; says whether there was anything.
    pub fn flush(&self) -> Result<bool> {
        self.flush_with(&mut Progress::silent())
    }

    /// The same, with progress; cancelled, it has no effect.
    pub fn flush_with(&self, progress: &mut Progress<'_>) -> Result<bool> {
        self.store.flush(progress)
    }

    /// Flushes and merges everything into one segment without anything dead. What was erased is
    /// then gone from every file. It takes memory for the places of all rows and events, some 120 bytes for
    /// each event, and for all texts of one attribute at a time, whatever the memory limit.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&mut Progress::silent())
    }

    /// The same, with progress; cancelled, it has no effect beyond the flush.
    pub fn compact_with(&self, progress: &mut Progress<'_>) -> Result<()> {
        self.store.flush(&mut Progress::silent())?;
        self.store.compact_all(progress)?;
        self.store.sweep();
        Ok(())
    }

    /// Builds every graph that is lacking: of segments on disk that have enough vectors, see
    /// [`Options`]. A thread does this by default; search works meanwhile, and scans.
    ///
    /// ```
    /// # use bowerbird::*;
    /// # use std::sync::Arc;
    /// # fn main() -> Result<()> {
    /// let schema = Schema::new().space("text", 2, Metric::Dot);
    /// let options = Options::default().graph_rows_min(2);
    /// let db = Db::create_in(Arc::new(io::Memory::new()), schema, options)?;
    /// db.batch()
    ///     .put(Item::new(1u64).vector("text", [1.0, 0.0]))
    ///     .put(Item::new(2u64).vector("text", [0.0, 1.0]))
    ///     .commit()?;
    /// db.flush()?;
    /// db.index()?;
    /// assert_eq!(db.stats().graph_parts, 1);
    /// # Ok(()) }
    /// ```
    pub fn index(&self) -> Result<()> {
        self.index_with(&mut Progress::silent())
    }

    /// The same, with the progress of each graph in turn; cancelled, it keeps the graphs that are
    /// finished. Of one that takes longer than some ten seconds it keeps what was done, now and then, and
    /// goes on from there when asked again, also after a restart; the graph is the same as without.
    ///
    /// Commits, flushes and merges go on meanwhile. If somebody else is building, this waits.
    pub fn index_with(&self, progress: &mut Progress<'_>) -> Result<()> {
        self.store.index(progress)
    }

    /// Brings into memory what searches by graphs read most, now, where a thread would do it after some
    /// hundred searches; says how many bytes that is. It takes some microseconds for each item, and never more
    /// memory than graphs may take, see [`Options::memory_limit_bytes`]. Snapshots from now on are faster; those
    /// that there are go on as they were, since a walk over what is in memory may miss other items.
    ///
    /// ```
    /// # use bowerbird::*;
    /// # use std::sync::Arc;
    /// # fn main() -> Result<()> {
    /// # let schema = Schema::new().space("text", 2, Metric::Dot);
    /// # let dir = Arc::new(io::Memory::new());
    /// # let options = Options::default().graph_rows_min(2);
    /// # let db = Db::create_in(dir.clone(), schema, options.clone())?;
    /// # db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0])).commit()?;
    /// # db.batch().put(Item::new(2u64).vector("text", [0.0, 1.0])).commit()?;
    /// # db.flush()?;
    /// # db.index()?;
    /// # drop(db);
    /// let db = Db::open_in(dir, options)?;
    /// assert_eq!(db.stats().graph_memory_bytes, 0);
    /// assert_eq!(db.warm()?, db.stats().graph_memory_bytes);
    /// # Ok(()) }
    /// ```
    pub fn warm(&self) -> Result<u64> {
        self.warm_with(&mut Progress::silent())
    }

    /// The same, with the progress of each graph in turn; cancelled, it keeps what is there already.
    pub fn warm_with(&self, progress: &mut Progress<'_>) -> Result<u64> {
        let mut bytes = 0;
        while let Some(more) = self.store.heat_next(true, progress)? {
            bytes += more;
        }
        Ok(bytes)
    }

    /// Does one unit of housekeeping, the most useful one; `None` if nothing is owed.
    ///
    /// A merge or a graph that fails is the error once, and then rests, two seconds at first and five minutes
    /// at most, while this does what else there is; until it works it is in [`Stats::maintenance_error`].
    ///
    /// A thread does this by default; see [`Maintenance`].
    pub fn maintain(&self) -> Result<Option<Chore>> {
        crate::maintain::once(&self.store, &mut Progress::silent())
    }

    /// What the database holds, and what housekeeping is owed.
    pub fn stats(&self) -> Stats {
        let mut stats = self.store.stats();
        if let Some(keeper) = &*self.keeper {
            stats.maintenance_error = keeper.last_error().or(stats.maintenance_error);
        }
        stats
    }

    /// Reads every byte of every file and lists everything that is wrong. Writers wait meanwhile only
    /// for flushes and merges, not for commits. See also [`verify_dir`] for a directory that does not
    /// open.
    pub fn verify(&self) -> Result<Report> {
        self.store.quiet(|dir| verify_dir(dir))
    }

    /// Makes `path` a database of its own with everything committed so far: hard links where
    /// possible, so it is cheap on the same file system.
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        self.checkpoint_in(&Disk::create(path)?, &mut Progress::silent())
    }

    /// The same, in any [`Dir`], with progress in files.
    pub fn checkpoint_in(&self, target: &dyn Dir, progress: &mut Progress<'_>) -> Result<()> {
        self.store.checkpoint(target, progress)
    }

    /// Adds a space to a live database; items written before have no vector in it.
    pub fn add_space(
        &self,
        name: &str,
        dim: u32,
        metric: Metric,
        encoding: Encoding,
    ) -> Result<()> {
        self.store.change_schema(|schema| {
            *schema = std::mem::take(schema).space_as(name, dim, metric, encoding);
            Ok(())
        })
    }

    /// Drops a space: its vectors are gone for readers at once, and from disk with the next merges.
    pub fn drop_space(&self, name: &str) -> Result<()> {
        self.store.change_schema(|schema| schema.drop_space(name))
    }

    /// Adds an attribute to a live database; it is missing from items written before.
    pub fn add_attr(&self, name: &str, ty: AttrType) -> Result<()> {
        self.store.change_schema(|schema| {
            *schema = std::mem::take(schema).attr(name, ty);
            Ok(())
        })
    }

    /// Drops an attribute, as [`Db::drop_space`] drops a space.
    pub fn drop_attr(&self, name: &str) -> Result<()> {
        self.store.change_schema(|schema| schema.drop_attr(name))
    }

    /// Adds a kind of event.
    pub fn add_event(&self, name: &str) -> Result<()> {
        self.store.change_schema(|schema| {
            *schema = std::mem::take(schema).event(name);
            Ok(())
        })
    }

    /// Saves an artifact as the next version of its name and returns the version. See [`Artifact`].
    pub fn publish<A: Artifact>(&self, name: &str, artifact: &A, from: Provenance) -> Result<u32> {
        self.store.publish(name, artifact, from)
    }

    /// Computes the semantic IDs of all items by a version of a codebook, active or not.
    ///
    /// [`Db::activate`] does the same first; this can be watched and cancelled, and is the way to
    /// try a codebook beside the active one: see [`Snapshot::trie_version`]. Counts parts.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it is not a codebook, or reads spaces that are not there; `Cancelled`.
    pub fn assign(&self, codebook: &str, version: u32, progress: &mut Progress<'_>) -> Result<()> {
        self.store.assign_all(codebook, version, progress)
    }

    /// Makes a version active: snapshots taken from now on use it. Also the way back to an older one.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` if it, or something active, was trained on what is not active.
    pub fn activate(&self, name: &str, version: u32) -> Result<()> {
        self.store.activate(&[(name, version)])
    }

    /// Makes several versions active in one step: a codebook and the ranker trained on it.
    pub fn activate_all(&self, wanted: &[(&str, u32)]) -> Result<()> {
        self.store.activate(wanted)
    }

    /// Makes no version of a name active.
    pub fn deactivate(&self, name: &str) -> Result<()> {
        self.store.deactivate(name)
    }

    /// All artifacts.
    pub fn artifacts(&self) -> Vec<ArtifactRef> {
        self.snapshot().artifacts()
    }

    /// Flushes, makes everything durable and says whether that went well; dropping the last handle
    /// promises nothing (D6). Other clones may go on; without any, a merge that a thread is doing is given
    /// up and not waited for, as it is when the last handle drops.
    pub fn close(mut self) -> Result<()> {
        // Nobody else can come by a handle any more.
        if let Some(Some(keeper)) = Arc::get_mut(&mut self.keeper) {
            keeper.stop();
        }
        match self.store.may_write() {
            Err(Error::ReadOnly) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.store.flush(&mut Progress::silent())?;
                self.store.sync()?;
                self.store.sweep();
                Ok(())
            }
        }
    }
}

/// The directory of a database that should be there.
fn folder(path: &Path) -> Result<Disk> {
    Disk::at(path).map_err(|error| match error.is_absent() {
        true => Error::missing("database", path.display()),
        false => error,
    })
}

/// Operations that are committed together or not at all (A1).
///
/// An operation that cannot work (an unknown field, a NaN) makes `commit` fail without effect; the
/// error names the operation.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("buy"))?;
/// let mut batch = db.batch();
/// for id in 0..10u64 {
///     batch.put(Item::new(id));
/// }
/// batch.event(Event::new(7, 3u64, "buy", Timestamp(1_000)));
/// batch.delete(4u64);
/// assert_eq!(batch.commit()?, Seq(1));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is written before `commit`"]
pub struct Batch<'db> {
    db: &'db Db,
    schema: Arc<Schema>,
    ops: Vec<Op>,
    failed: Option<Error>,
    added: usize,
}

impl Batch<'_> {
    /// Inserts an item, or replaces the one with its key, all of it.
    pub fn put(&mut self, item: Item) -> &mut Self {
        let op = self.store().op_put(&self.schema, &item);
        self.add(op)
    }

    /// Removes the item with a key, if there is one. Its events stay.
    pub fn delete(&mut self, key: impl Into<Key>) -> &mut Self {
        let key = key.into();
        let op = self.store().op_key(&self.schema, &key).map(|()| Op::Delete(key));
        self.add(op)
    }

    /// Adds an event.
    pub fn event(&mut self, event: Event) -> &mut Self {
        let op = self.store().op_event(&self.schema, &event);
        self.add(op)
    }

    /// Forgets every event of a user: at once for readers, from every file with the next merge.
    pub fn erase_user(&mut self, user: UserId) -> &mut Self {
        self.add(Ok(Op::EraseUser(user)))
    }

    /// Forgets an item and every event about it, in the same way.
    pub fn erase_item(&mut self, key: impl Into<Key>) -> &mut Self {
        let key = key.into();
        let op = self.store().op_key(&self.schema, &key).map(|()| Op::EraseItem(key));
        self.add(op)
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Commits, and leaves the batch empty. What an `Ok` means is [`crate::Durability`].
    ///
    /// # Errors
    /// `NoSpace`, `MemoryLimit`, `Io`: no effect, and the batch is as it was: commit it again once there is
    /// room. `Invalid`: no effect, but the batch is empty, since it can never work; make it again without
    /// what the error names. `Indeterminate`: the batch is empty; reopen to know. `Poisoned`: an earlier
    /// write failed.
    pub fn commit(&mut self) -> Result<Seq> {
        if let Some(error) = self.failed.take() {
            (self.ops, self.added) = (Vec::new(), 0);
            return Err(error);
        }
        self.store().may_write()?;
        self.added = 0;
        let ops = Arc::new(std::mem::take(&mut self.ops));
        let done = self.store().commit(&ops);
        match &done {
            Ok(_) => {
                if let Some(keeper) = &*self.db.keeper {
                    keeper.notice(&self.db.store);
                }
            }
            // Perhaps it is there, or it is sure to fail again.
            Err(Error::Indeterminate { .. } | Error::Invalid { .. }) => {}
            Err(_) => {
                self.added = ops.len();
                self.ops = Arc::unwrap_or_clone(ops);
            }
        }
        done
    }

    fn store(&self) -> &Store {
        &self.db.store
    }

    fn add(&mut self, op: Result<Op>) -> &mut Self {
        match op {
            Ok(op) if self.failed.is_none() => self.ops.push(op),
            Ok(_) => {}
            Err(error) => {
                let at = self.added;
                self.failed.get_or_insert(match error {
                    Error::Invalid { what, why } => {
                        Error::Invalid { what: format!("operation {at}: {what}"), why }
                    }
                    other => other,
                });
            }
        }
        self.added += 1;
        self
    }
}
