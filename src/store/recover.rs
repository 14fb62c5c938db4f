//! From a directory to a version. FORMAT.md chapter 10.
//!
//! Reading never changes anything. A writer then takes over: what was only in WAL files is written
//! into a segment and made durable, and only when MANIFEST names it are the old files removed. It can
//! be cut short at any point, any number of times.

use crate::{
    defects::{self, Defect},
    error::{Corruption, Error, Result},
    format::{
        Kind,
        batch::Op,
        codec,
        envelope::{FileKind, OpenMode, Sections},
        manifest::{Manifest, PartEntry, WalEntry},
        names,
        record::{self, WAL_HEADER_BYTES, WalId},
        sink::remove_if_there,
    },
    io::Dir,
    key::Seq,
    limits::{NUMBER_MAX, WAL_BYTES_MAX},
    options::{IoMode, Options, Verify},
    segment::{Segment, dead::Dead},
    store::{
        HEAP_FIRST, Store,
        apply::{self, Erased},
        by_item, encode, graphs, seeds, semantic,
        version::{Part, Version},
        wal::Wal,
        words,
    },
};
use std::{cell::Cell, collections::BTreeSet, sync::Arc};

/// How far the WAL has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    generation: u64,
    wal: u64,
    offset: usize,
    pub(crate) next_lsn: u64,
}

/// What was found in a directory.
pub(crate) struct Loaded {
    pub(crate) db: [u8; 16],
    pub(crate) manifest: Manifest,
    pub(crate) version: Version,
    pub(crate) tail: Tail,
    pub(crate) next_id: u64,
    pub(crate) next_heap: u64,
    /// Something was erased in what was replayed.
    pub(crate) erased: bool,
}

/// Tries before a reader believes that a file is missing or damaged: a writer may be replacing it.
const TRIES: u32 = 16;

/// A directory in which a database may be created: empty, or left by a creation that was cut short.
pub(crate) fn refuse_unless_new(dir: &dyn Dir) -> Result<()> {
    let names = dir.list("")?;
    if names.iter().any(|name| name == names::MANIFEST) {
        let name = dir.location().display().to_string();
        return Err(Error::Exists { kind: "database", name });
    }
    for name in names {
        let ours = [names::LOCK, names::MANIFEST_TMP].contains(&name.as_str());
        let empty_folder = names::FOLDERS.contains(&name.as_str()) && dir.list(&name)?.is_empty();
        if !ours && !empty_folder {
            let what = dir.location().display().to_string();
            return Err(Error::invalid(what, format!("holds {name:?}; choose an empty directory")));
        }
    }
    remove_if_there(dir, names::MANIFEST_TMP)
}

/// A directory that has a MANIFEST.
pub(crate) fn refuse_unless_there(dir: &dyn Dir) -> Result<()> {
    match dir.list("")?.iter().any(|name| name == names::MANIFEST) {
        true => Ok(()),
        false => Err(Error::missing("database", dir.location().display())),
    }
}

/// Reads the root into memory of our own.
pub(crate) fn read_root(dir: &dyn Dir, mode: &OpenMode) -> Result<([u8; 16], Manifest)> {
    let mode = OpenMode { io: IoMode::Pread, verify: Verify::Open, ..mode.clone() };
    let file = Sections::open(dir, names::MANIFEST, FileKind::Manifest, None, &mode)?;
    let section = file.need(Kind::MANIFEST, 0)?;
    let manifest = Manifest::load(&section.all()?)?;
    match file.header {
        Some(header) if header.id == manifest.generation => Ok((header.db, manifest)),
        _ => Err(Corruption::new(names::MANIFEST, 40, "generation").into()),
    }
}

/// Reads the whole database. `previous` lends the segments it has open already.
///
/// A reader may lose a race with a writer that replaces and removes files; it then reads the new
/// root. Only an error that stays while the root stays is reported.
pub(crate) fn load(
    dir: &dyn Dir,
    mode: &OpenMode,
    options: &Options,
    previous: Option<&Version>,
    read_only: bool,
) -> Result<Loaded> {
    let mut seen = None;
    for attempt in 1.. {
        let (db, manifest) = read_root(dir, mode)?;
        let generation = manifest.generation;
        match load_root(dir, mode, options, previous, (db, manifest)) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => {
                let settled = seen == Some(generation) && attempt > 2;
                let race = matches!(error, Error::Corrupt(_)) || error.is_absent();
                if !read_only || !race || settled || attempt == TRIES {
                    return Err(missing_is_corrupt(error));
                }
                seen = Some(generation);
            }
        }
    }
    Err(Error::Cancelled)
}

/// MANIFEST names only files that exist (V2), so one that does not was removed by somebody else.
fn missing_is_corrupt(error: Error) -> Error {
    match &error {
        Error::Io { path, .. } if error.is_absent() => {
            let what = "a file that MANIFEST names is missing";
            Corruption::new(path.display().to_string(), 0, what).into()
        }
        _ => error,
    }
}

fn load_root(
    dir: &dyn Dir,
    mode: &OpenMode,
    options: &Options,
    previous: Option<&Version>,
    (db, manifest): ([u8; 16], Manifest),
) -> Result<Loaded> {
    let mut parts = Vec::with_capacity(manifest.parts.len());
    for entry in &manifest.parts {
        parts.push(open_part(dir, mode, options, previous, (&db, &manifest, entry))?);
    }
    let mut version = Version {
        seq: Seq(manifest.flushed),
        schema: Arc::new(manifest.schema.clone()),
        parts,
        artifacts: Arc::new(manifest.artifacts.clone()),
        erasures: 0,
        memo: Arc::default(),
    };
    let heap = Cell::new(HEAP_FIRST);
    let mut tail = Tail { generation: manifest.generation, ..Tail::default() };
    tail.next_lsn = manifest.wals.first().map_or(manifest.flushed + 1, |wal| wal.first_lsn);
    let mut erased = false;
    for wal in &manifest.wals {
        if tail.next_lsn > manifest.flushed + 1 && version.seq.0 == manifest.flushed {
            let what = format!("commits {} to {}", manifest.flushed + 1, tail.next_lsn - 1);
            return Err(Corruption::new(names::MANIFEST, 64, what)
                .found("no WAL with them")
                .into());
        }
        (tail.wal, tail.offset) = (wal.id, 0);
        erased |=
            replay((dir, mode.write), (db, wal, manifest.synced), &mut version, &mut tail, &heap)?;
    }
    if version.seq.0 < manifest.synced {
        let what = format!("commits up to {}", manifest.synced);
        return Err(Corruption::new(names::MANIFEST, 64, what).found("none in any WAL").into());
    }
    tail.next_lsn = version.seq.0 + 1;
    let next_id = manifest.next_id;
    Ok(Loaded { db, manifest, version, tail, next_id, next_heap: heap.get(), erased })
}

fn open_part(
    dir: &dyn Dir,
    mode: &OpenMode,
    options: &Options,
    previous: Option<&Version>,
    (db, manifest, entry): (&[u8; 16], &Manifest, &PartEntry),
) -> Result<Part> {
    let file = entry.segment;
    let same = |part: &&Part| part.segment.file() == Some(file);
    let old = previous.and_then(|version| version.parts.iter().find(same));
    let segment = match old {
        Some(part) => part.segment.clone(),
        None => {
            let path = names::segment(file.id);
            let sections = Sections::open(dir, &path, FileKind::Segment, Some((db, file)), mode)?;
            Arc::new(Segment::open(sections, file.id)?)
        }
    };
    let key_kind = u32::from(manifest.schema.key_kind() == crate::key::KeyKind::Name);
    if segment.meta.key_kind != key_kind || segment.meta.last_seq > manifest.flushed {
        return Err(segment.damage("META does not fit MANIFEST").into());
    }
    let mut dead = Dead::default();
    if let Some(dead_file) = entry.dead {
        let path = names::dead(file.id, dead_file.id);
        let sections = Sections::open(dir, &path, FileKind::Dead, Some((db, dead_file)), mode)?;
        dead = Dead::load(&sections, segment.rows(), segment.meta.events)?;
    }
    let by_item = match old.and_then(|part| part.by_item.clone()) {
        Some(by_item) => Some(by_item),
        None => by_item::adopt(dir, mode, db, &segment, options.rebuild_derived)?,
    };
    let saved = (dead.rows.len(), dead.events.len());
    let mut part = Part { erasing: entry.erasing, by_item, saved, ..Part::new(segment, dead) };
    if let Some(old) = old {
        part.graphs = old.graphs.clone();
        part.drop_graphs(&manifest.schema);
        (part.ids, part.id_files) = (old.ids.clone(), old.id_files.clone());
        (part.words, part.texts) = (old.words.clone(), old.texts.clone());
        part.drop_words(&manifest.schema);
    }
    graphs::adopt_all(dir, mode, db, (&mut part, &manifest.schema), options)?;
    seeds::adopt_all(dir, mode, db, (&mut part, &manifest.schema), options)?;
    semantic::adopt_all(dir, mode, db, (&mut part, &manifest.artifacts), options)?;
    words::adopt_all(dir, mode, db, (&mut part, &manifest.schema), options)?;
    if let Some(old) = old.filter(|old| old.dead.events == part.dead.events) {
        part.memo = old.memo.clone();
    }
    Ok(part)
}

/// The bytes of a WAL. One longer than any that is ever written is a sparse file or a mistake, and is
/// refused before memory is taken for it.
pub(crate) fn read_wal(dir: &dyn Dir, path: &str) -> Result<Vec<u8>> {
    let source = dir.open(path, false)?;
    let len = source.len();
    let mut bytes = Vec::new();
    if len > WAL_BYTES_MAX || bytes.try_reserve_exact(len as usize).is_err() {
        let damage = Corruption::new(path, 0, "length of the WAL");
        return Err(damage.expected(format!("at most {WAL_BYTES_MAX}")).found(len).into());
    }
    bytes.resize(len as usize, 0);
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Applies the batches of one WAL that are not in segments yet. Says whether one erased anything.
fn replay(
    (dir, write): (&dyn Dir, bool),
    (db, entry, synced): ([u8; 16], &WalEntry, u64),
    version: &mut Version,
    tail: &mut Tail,
    heap: &Cell<u64>,
) -> Result<bool> {
    let path = names::wal(entry.id);
    let wal = WalId { id: entry.id, nonce: entry.nonce };
    let bytes = read_wal(dir, &path)?;
    if tail.offset == 0 {
        let header = record::check_wal_header(&path, &bytes, (db, wal, entry.first_lsn))?;
        header.allows(&path, write)?;
        if entry.first_lsn != tail.next_lsn {
            let damage = Corruption::new(&path, 64, "number of the first commit");
            return Err(damage.expected(tail.next_lsn).found(entry.first_lsn).into());
        }
        tail.offset = WAL_HEADER_BYTES;
    }
    let place = (tail.offset, tail.next_lsn);
    // What MANIFEST knows to be durable in later files says nothing about this one.
    let synced = if entry.sealed.is_some() { 0 } else { synced };
    let scan = record::scan((&path, wal), &bytes, place, entry.sealed, synced)?;
    let mut erased = false;
    for record in &scan.batches {
        let late = u64::from(defects::on(Defect::ReplayStartsLate));
        if record.lsn <= version.seq.0 + late {
            version.seq = version.seq.max(Seq(record.lsn));
            continue;
        }
        let damage = |why: String| {
            let what = format!("operations of commit {}", record.lsn);
            Error::from(Corruption::new(&path, record.payload.start as u64, what).found(why))
        };
        let ops: Vec<Op> = codec::decode(&bytes[record.payload.clone()]).map_err(damage)?;
        let schema = &version.schema;
        ops.iter().try_for_each(|op| encode::check(schema, op)).map_err(damage)?;
        let uid = || heap.replace(heap.get() + 1);
        *version = apply::apply(version, &ops, Seq(record.lsn), &uid)?;
        apply::tidy(version, 0, &uid)?;
        erased |= !Erased::of(&ops).is_empty();
    }
    (tail.offset, tail.next_lsn) = (scan.end, scan.next_lsn);
    Ok(erased)
}

impl Store {
    /// Makes a read-only handle see the latest commits; says whether there were any.
    pub(crate) fn refresh(&self) -> Result<bool> {
        let mut tail = self.tail.lock();
        let (db, manifest) = read_root(&*self.dir, &self.mode)?;
        let before = self.current();
        if db == self.db && manifest.generation == tail.generation {
            // The same root: only the last WAL can have grown, and derived files can have come.
            let (mut version, mut after) = ((*before).clone(), tail.clone());
            let derived = self.adopt_derived(&mut version)?;
            let Some(entry) = manifest.wals.last().filter(|wal| wal.id == tail.wal) else {
                derived.then(|| self.swap(version));
                return Ok(false);
            };
            let heap = Cell::new(self.new_heap_uid());
            let replayed =
                replay((&*self.dir, false), (db, entry, 0), &mut version, &mut after, &heap);
            self.next_heap.store(heap.get() + 1, std::sync::atomic::Ordering::Relaxed);
            if replayed.is_ok() {
                *tail = after;
                let grown = version.seq > before.seq;
                self.swap(version);
                return Ok(grown);
            }
        }
        let loaded = load(&*self.dir, &self.mode, &self.options, Some(&before), true)?;
        if loaded.db != self.db {
            return Err(
                Corruption::new(names::MANIFEST, 24, "another database took its place").into()
            );
        }
        let mut version = loaded.version;
        version.erasures += before.erasures + 1;
        let grown = version.seq > before.seq;
        *self.root.lock() = loaded.manifest;
        *tail = loaded.tail;
        self.swap(version);
        Ok(grown)
    }

    /// What a writer does before its first commit: everything that was replayed goes into a segment
    /// and a new WAL begins, in one change of the root; then files that nobody names are removed.
    pub(crate) fn take_over(&self) -> Result<()> {
        self.skip_used_ids()?;
        for folder in names::FOLDERS {
            self.dir.make_folder(folder)?;
        }
        self.dir.sync_folder("")?;
        let version = self.current();
        let next_lsn = version.seq.0 + 1;
        let flushed = self.write_flushed(&version, &mut crate::progress::Progress::silent())?;
        let wal = Wal::create(&*self.dir, self.db, self.new_id(), next_lsn)?;
        let mut writer = self.writer.lock();
        let next = self.with_flushed(&writer, &version, &flushed)?;
        self.change_root(|root| {
            root.wals = vec![wal.entry(false)];
            root.synced = version.seq.0;
            flushed.enter(root, version.seq)
        })?;
        self.swap(next);
        writer.wal = Some(wal);
        writer.erase_pending = false;
        drop(writer);
        self.remove_orphans()
    }

    /// Numbers are never reused, not even those of files that nobody named.
    fn skip_used_ids(&self) -> Result<()> {
        for folder in names::FOLDERS {
            for name in self.dir.list(folder)? {
                let Some((first, second, _)) = names::parse(&name) else { continue };
                let numbers = std::iter::once(first).chain(second);
                // A larger one is no orphan of ours, and to count on from it would leave too little.
                let last = numbers.filter(|number| *number < NUMBER_MAX / 2).max();
                let beyond = last.map_or(0, |last| last + 1);
                self.next_id.fetch_max(beyond, std::sync::atomic::Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Removes files of ours that MANIFEST does not name. Names that are not ours stay.
    fn remove_orphans(&self) -> Result<()> {
        let root = self.root.lock().clone();
        let mut named: BTreeSet<String> = root.files().map(|(path, _)| path).collect();
        named.extend(root.wals.iter().map(|wal| names::wal(wal.id)));
        let adopted = self.current();
        let with = adopted.parts.iter().filter(|part| part.by_item.is_some());
        named.extend(with.map(|part| names::derived(part.segment.uid, by_item::BY_ITEM)));
        named.extend(adopted.parts.iter().flat_map(Part::graph_files));
        named.extend(adopted.parts.iter().flat_map(Part::seed_files));
        named.extend(adopted.parts.iter().flat_map(Part::id_paths));
        named.extend(adopted.parts.iter().flat_map(Part::word_files));
        for folder in names::FOLDERS {
            for name in self.dir.list(folder)? {
                let path = format!("{folder}/{name}");
                if names::parse(&name).is_some() && !named.contains(&path) {
                    remove_if_there(&*self.dir, &path)?;
                }
            }
        }
        remove_if_there(&*self.dir, names::MANIFEST_TMP)
    }
}
