//! Flush: everything on the heap becomes one segment on disk, and its WAL goes away.
//!
//! 1. Under the writer's lock: a new WAL begins; the parts of this moment are frozen.
//! 2. Without a lock: one segment is written from the frozen heap parts, and `.dead` files for the
//!    parts on disk as of that moment. Commits go on meanwhile.
//! 3. Under the writer's lock: what died since step 1 is carried over, which may have to read; MANIFEST
//!    names the new files, and no longer the old WAL; the version is swapped.
//!
//! Nothing can fail after MANIFEST: the root and the version change together or not at all.

use crate::{
    defects::{self, Defect},
    error::Result,
    format::{
        envelope::{FileKind, Header, Sections},
        manifest::{FileRef, Manifest, PartEntry},
        names,
        sink::{self, remove_if_there},
    },
    key::{Key, Seq},
    progress::Progress,
    segment::{Segment, dead::Dead, merge},
    store::{
        Store, Writer,
        apply::{self, seqs},
        root::disagreement,
        semantic,
        version::{Part, Version},
        wal::Wal,
    },
};
use parking_lot::MutexGuard;
use std::sync::Arc;

/// For each row of a merged segment, the part that it came from and its row there.
type Moved = Vec<(u32, u32)>;

/// What a flush has written.
#[derive(Default)]
pub(crate) struct Flushed {
    segment: Option<(Arc<Segment>, Moved)>,
    /// For parts on disk by segment: the new `.dead` file and what is in it.
    dead: Vec<(u64, FileRef, (u64, u64))>,
    /// Segments that hold erased bytes.
    erasing: Vec<u64>,
}

impl Flushed {
    /// Puts it into the root.
    pub(crate) fn enter(&self, root: &mut Manifest, seq: Seq) -> Result<()> {
        let named = |id: u64| root.parts.iter().any(|entry| entry.segment.id == id);
        if let Some((id, ..)) = self.dead.iter().find(|(id, ..)| !named(*id)) {
            // What died there would come back with the next opening.
            return Err(disagreement(format!("it does not name segment {id}, whose dead are new")));
        }
        for entry in &mut root.parts {
            if let Some((_, file, _)) = self.dead.iter().find(|d| d.0 == entry.segment.id) {
                entry.dead = Some(*file);
            }
            entry.erasing |= self.erasing.contains(&entry.segment.id);
        }
        let file = self.segment.as_ref().and_then(|(segment, _)| segment.file());
        root.parts.extend(file.map(|segment| PartEntry { segment, dead: None, erasing: false }));
        root.flushed = seq.0;
        Ok(())
    }
}

impl Store {
    /// Writes what is on the heap to disk; says whether there was anything.
    pub(crate) fn flush(&self, progress: &mut Progress<'_>) -> Result<bool> {
        self.may_write()?;
        self.flush_within(&self.chores.lock(), progress)
    }

    /// The same for who holds `chores`, and goes on holding it.
    pub(crate) fn flush_within(
        &self,
        chores: &MutexGuard<'_, ()>,
        progress: &mut Progress<'_>,
    ) -> Result<bool> {
        self.chore_within(chores, || {
            let flushed = self.flush_now(progress);
            self.writer.lock().frozen = 0;
            flushed
        })
    }

    fn flush_now(&self, progress: &mut Progress<'_>) -> Result<bool> {
        let (version, old_wals) = {
            let mut writer = self.writer.lock();
            let version = self.current();
            let flushed = self.root.lock().flushed;
            if version.seq.0 == flushed {
                return Ok(false);
            }
            let mut old: Vec<u64> = self.root.lock().wals.iter().map(|wal| wal.id).collect();
            // A flush that failed has left an empty WAL behind: one is enough.
            match writer.wal.as_ref().is_some_and(Wal::is_empty) {
                true => drop(old.pop()),
                false => self.rotate(&mut writer)?,
            }
            writer.frozen = version.parts.len();
            writer.erased = Default::default();
            (version, old)
        };
        let flushed = self.write_flushed(&version, progress)?;
        if defects::on(Defect::WalRemovedBeforeManifest) {
            old_wals.iter().try_for_each(|id| remove_if_there(&*self.dir, &names::wal(*id)))?;
        }
        let old_dead = self.dead_files();
        let mut writer = self.writer.lock();
        let next = self.with_flushed(&writer, &version, &flushed)?;
        let changed = self.change_root(|root| {
            root.wals.retain(|wal| !old_wals.contains(&wal.id));
            flushed.enter(root, version.seq)
        });
        changed.map_err(|error| self.judge(&mut writer, error))?;
        self.swap(next);
        writer.erase_pending = !writer.erased.is_empty();
        drop(writer);
        let kept = self.dead_files();
        let gone = old_dead.into_iter().filter(|path| !kept.contains(path));
        gone.chain(old_wals.into_iter().map(names::wal)).for_each(|path| self.discard(path, None));
        self.sweep();
        Ok(true)
    }

    fn dead_files(&self) -> Vec<String> {
        let root = self.root.lock();
        let name = |p: &PartEntry| p.dead.map(|dead| names::dead(p.segment.id, dead.id));
        root.parts.iter().filter_map(name).collect()
    }

    /// Writes one segment from the heap parts of a version, and `.dead` files for the others.
    pub(crate) fn write_flushed(
        &self,
        version: &Version,
        progress: &mut Progress<'_>,
    ) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        for part in version.parts.iter().filter(|part| !part.on_heap()) {
            if part.erasing {
                flushed.erasing.push(part.segment.uid);
            }
            let counts = (part.dead.rows.len(), part.dead.events.len());
            if counts != part.saved {
                let file = self.write_dead(part)?;
                flushed.dead.push((part.segment.uid, file, counts));
            }
        }
        let heap: Vec<&Part> = version.heap_parts().collect();
        flushed.segment = self.write_segment(version, &heap, progress)?;
        Ok(flushed)
    }

    fn write_dead(&self, part: &Part) -> Result<FileRef> {
        let (id, nonce) = (self.new_id(), self.dir.nonce()?);
        let header = Header::new(FileKind::Dead, self.db, id, nonce);
        let path = names::dead(part.segment.uid, id);
        let file = sink::publish(&*self.dir, &path, header, |sink| part.dead.save(sink))?;
        self.published(path);
        Ok(file)
    }

    /// Merges parts into a new file, and says for each row of it from which part and row it came;
    /// nothing if all of them is dead.
    pub(crate) fn write_segment(
        &self,
        version: &Version,
        parts: &[&Part],
        progress: &mut Progress<'_>,
    ) -> Result<Option<(Arc<Segment>, Moved)>> {
        let sources = apply::sources(parts);
        let plan = merge::plan(&sources, progress)?;
        if plan.rows.is_empty() && plan.events.is_empty() {
            return Ok(None);
        }
        let (id, nonce) = (self.new_id(), self.dir.nonce()?);
        let header = Header::new(FileKind::Segment, self.db, id, nonce);
        let (path, seqs) = (names::segment(id), seqs(parts.iter().copied()));
        let file = sink::publish(&*self.dir, &path, header, |sink| {
            merge::write(&version.schema, &sources, &plan, seqs, (sink, progress))
        })?;
        self.published(path.clone());
        let expected = Some((&self.db, file));
        let sections = Sections::open(&*self.dir, &path, FileKind::Segment, expected, &self.mode)?;
        Ok(Some((Arc::new(Segment::open(sections, id)?), plan.rows)))
    }

    /// The current version, but with the new segment in place of the heap parts it was made from.
    pub(crate) fn with_flushed(
        &self,
        writer: &Writer,
        then: &Version,
        flushed: &Flushed,
    ) -> Result<Version> {
        let now = self.current();
        let mut parts: Vec<Part> = Vec::with_capacity(now.parts.len());
        for part in now.parts.iter().filter(|part| !part.on_heap()) {
            let mut part = part.clone();
            if let Some((_, _, counts)) = flushed.dead.iter().find(|d| d.0 == part.segment.uid) {
                part.saved = *counts;
            }
            parts.push(part);
        }
        let frozen: Vec<&Part> = then.heap_parts().collect();
        if let Some((segment, rows)) = &flushed.segment {
            let part = Part::new(segment.clone(), Dead::default());
            semantic::carry(&part, &frozen, rows);
            parts.push(carry(part, &frozen, &now, writer)?);
        }
        let was_frozen = |part: &&Part| frozen.iter().any(|f| f.segment.uid == part.segment.uid);
        parts.extend(now.heap_parts().filter(|part| !was_frozen(part)).cloned());
        Ok(Version { parts, ..(*now).clone() })
    }
}

/// Carries over to a merged part what died in its inputs since they were read.
pub(crate) fn carry(
    merged: Part,
    inputs: &[&Part],
    now: &Version,
    writer: &Writer,
) -> Result<Part> {
    if defects::on(Defect::DeathsNotCarried) {
        return Ok(merged);
    }
    let mut keys: Vec<Key> = Vec::new();
    for then in inputs {
        let same = |part: &&Part| part.segment.uid == then.segment.uid;
        let Some(part) = now.parts.iter().find(same) else { continue };
        for row in &part.dead.rows - &then.dead.rows {
            keys.push(part.segment.key(row)?);
        }
    }
    let killed = apply::kill(&merged, keys.iter(), &writer.erased)?;
    Ok(killed.unwrap_or(merged))
}
