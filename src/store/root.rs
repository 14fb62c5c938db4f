//! Replacing MANIFEST, rotating the WAL, removing what nobody names any more.

use crate::{
    error::{Error, Result},
    format::{
        Kind,
        envelope::{FileKind, Header},
        manifest::{Manifest, WalEntry},
        names,
        sink::{self, remove_if_there},
    },
    io::Dir,
    schema::Schema,
    segment::Segment,
    store::{Store, Writer, wal::Wal},
};
use parking_lot::MutexGuard;
use std::{
    io,
    sync::{Weak, atomic::Ordering},
};

/// A file that MANIFEST no longer names, and who may still be reading it.
#[derive(Debug)]
pub(crate) struct Garbage {
    pub(crate) path: String,
    pub(crate) reader: Option<Weak<Segment>>,
}

/// The first MANIFEST of a new database: folders first, so that it names nothing that is not durable.
pub(crate) fn create(dir: &dyn Dir, schema: &Schema) -> Result<()> {
    for folder in names::FOLDERS {
        dir.make_folder(folder)?;
    }
    dir.sync_folder("")?;
    let mut db = [0; 16];
    db[..8].copy_from_slice(&dir.nonce()?.to_le_bytes());
    db[8..].copy_from_slice(&dir.nonce()?.to_le_bytes());
    let manifest = Manifest {
        generation: 1,
        flushed: 0,
        synced: 0,
        next_id: 1,
        schema: schema.clone(),
        parts: Vec::new(),
        wals: Vec::new(),
        artifacts: Vec::new(),
    };
    write(dir, db, &manifest)
}

/// Writes a MANIFEST in place of the one there.
pub(crate) fn write(dir: &dyn Dir, db: [u8; 16], manifest: &Manifest) -> Result<()> {
    let bytes = manifest.save().map_err(|why| Error::invalid("MANIFEST", why))?;
    let header = Header::new(FileKind::Manifest, db, manifest.generation, dir.nonce()?);
    sink::publish(dir, names::MANIFEST, header, |sink| sink.section(Kind::MANIFEST, 0, &bytes))?;
    Ok(())
}

/// Whether a judged error leaves everything as it was. Otherwise MANIFEST may be the one before or
/// the one after, and a file that either names must stay.
pub(crate) fn had_no_effect(error: &Error) -> bool {
    !matches!(error, Error::Indeterminate { .. } | Error::Poisoned { .. })
}

/// MANIFEST does not have what the version in memory is made of. Nothing more may be written by who
/// sees this: it is judged like a failed rename.
pub(crate) fn disagreement(why: impl Into<String>) -> Error {
    Error::io("changing", names::MANIFEST, io::Error::other(why.into()))
}

impl Store {
    /// Changes the root: the one commit point of everything but commits. On return the change is
    /// durable; on an error before the rename nothing happened.
    ///
    /// What can fail comes before it, under the same lock of the writer where commits matter: an error
    /// between the root and the version would leave memory and MANIFEST in disagreement.
    pub(crate) fn change_root(
        &self,
        change: impl FnOnce(&mut Manifest) -> Result<()>,
    ) -> Result<()> {
        let mut root = self.root.lock();
        let mut next = root.clone();
        change(&mut next)?;
        next.generation += 1;
        next.next_id = self.next_id.load(Ordering::Relaxed).max(next.next_id);
        write(&*self.dir, self.db, &next)?;
        *root = next;
        Ok(())
    }

    /// Starts a new WAL file, and makes MANIFEST say so before anything is written to it.
    pub(crate) fn rotate(&self, writer: &mut Writer) -> Result<()> {
        if writer.wal.is_some() {
            // A finished file must be wholly durable: MANIFEST will say that it is.
            Store::sync_wal(writer)?;
        }
        let old = writer.wal.as_ref().map(|wal| wal.entry(true));
        let id = self.new_id();
        match self.rotate_files(id, writer.next_lsn, old) {
            Ok(wal) => {
                writer.wal = Some(wal);
                Ok(())
            }
            Err(error) => {
                let error = self.judge(writer, error);
                if had_no_effect(&error) {
                    self.discard(names::wal(id), None);
                }
                Err(error)
            }
        }
    }

    fn rotate_files(&self, id: u64, next_lsn: u64, old: Option<WalEntry>) -> Result<Wal> {
        let wal = Wal::create(&*self.dir, self.db, id, next_lsn)?;
        self.change_root(|root| {
            if let (Some(old), Some(last)) = (old, root.wals.last_mut()) {
                *last = old;
            }
            root.wals.push(wal.entry(false));
            root.synced = root.synced.max(next_lsn - 1);
            Ok(())
        })?;
        Ok(wal)
    }

    /// What a failed write outside the WAL means. A full disk or a failed read leaves everything as
    /// it was; a failed sync or rename leaves the disk in an unknown state and poisons the writer.
    pub(crate) fn judge(&self, writer: &mut Writer, error: Error) -> Error {
        let Error::Io { doing, path, .. } = &error else { return error };
        let clean = match *doing {
            "opening" | "reading" | "mapping" | "listing" | "removing" | "creating" => true,
            "writing" | "making" | "linking" => error.is_full(),
            _ => false,
        };
        if clean && error.is_full() {
            return Error::NoSpace { path: path.clone() };
        }
        if clean {
            return error;
        }
        let cause = Store::poison(writer, error);
        Error::Indeterminate { cause }
    }

    /// Runs a chore that writes files; see `judge` for what its failure means.
    pub(crate) fn chore<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.may_write()?;
        let one_at_a_time = self.chores.lock();
        self.chore_within(&one_at_a_time, run)
    }

    /// The same for who holds `chores`, and goes on holding it.
    pub(crate) fn chore_within<T>(
        &self,
        _one_at_a_time: &MutexGuard<'_, ()>,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        Store::refuse_if_poisoned(&self.writer.lock())?;
        self.unnamed.lock().clear();
        let done = run().map_err(|error| self.judge(&mut self.writer.lock(), error));
        let unnamed = std::mem::take(&mut *self.unnamed.lock());
        if done.as_ref().is_err_and(had_no_effect) {
            unnamed.into_iter().for_each(|path| self.discard(path, None));
            self.sweep();
        }
        done
    }

    /// A chore has published a file that MANIFEST does not name yet, or that no part knows of. If the
    /// chore fails, nobody ever will: it goes away, with all that may have to be erased from it.
    pub(crate) fn published(&self, path: String) {
        self.unnamed.lock().push(path);
    }

    /// A file that is no longer named. It is removed when its last reader is gone.
    pub(crate) fn discard(&self, path: String, reader: Option<Weak<Segment>>) {
        self.garbage.lock().push(Garbage { path, reader });
    }

    /// Removes what nobody names and nobody of this process reads. Readers in other processes hold
    /// their files open, or read MANIFEST again.
    pub(crate) fn sweep(&self) -> usize {
        let unused = |g: &Garbage| g.reader.as_ref().is_none_or(|r| r.strong_count() == 0);
        let files = std::mem::take(&mut *self.garbage.lock());
        let (mut removed, mut kept) = (0, Vec::new());
        for file in files {
            // A file that cannot be removed costs space, not safety: it is tried again.
            match unused(&file).then(|| remove_if_there(&*self.dir, &file.path)) {
                Some(Ok(())) => removed += 1,
                Some(Err(_)) | None => kept.push(file),
            }
        }
        self.garbage.lock().extend(kept);
        removed
    }

    pub(crate) fn garbage_len(&self) -> usize {
        let unused = |g: &&Garbage| g.reader.as_ref().is_none_or(|r| r.strong_count() == 0);
        self.garbage.lock().iter().filter(unused).count()
    }
}
