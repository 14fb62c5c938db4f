//! What running code sees of it.

use super::failure::Call;
use super::{Failure, Fault, LOCATION, failed};
use crate::error::{Error, Result};
use crate::io::{Append, Dir, Lock, Source};
use crate::io::{memory::Frozen, rules};
use std::{path::PathBuf, process, sync::Arc};

impl Dir for Fault {
    fn location(&self) -> PathBuf {
        PathBuf::from(LOCATION)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        if !folder.is_empty() {
            rules::check_folder("listing", folder)?;
        }
        self.call(Call::Read, "listing", folder, |state| Ok(state.list(folder)))
    }

    fn open(&self, path: &str, map: bool) -> Result<Arc<dyn Source>> {
        let parts = rules::split("opening", path)?;
        let (inode, bytes) = self.call(Call::Read, "opening", path, |state| {
            let inode = state.find(parts)?;
            Ok((inode, state.inodes[inode].live.clone()))
        })?;
        if map {
            let path = self.location().join(path);
            return Ok(Arc::new(Frozen { bytes, path }));
        }
        let (dir, path) = (self.clone(), path.to_owned());
        Ok(Arc::new(Reading { dir, inode, path }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn Append>> {
        let parts = rules::split("creating", path)?;
        let inode = self.call(Call::Change, "creating", path, |state| state.create(parts))?;
        let (dir, path) = (self.clone(), path.to_owned());
        Ok(Box::new(Writing { dir, inode, path }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (rules::split("renaming", from)?, rules::split("renaming", to)?);
        self.call(Call::Change, "renaming", from, |state| state.rename(source, target))
    }

    /// Always a copy, and one call here; what the other directory counts, it counts itself.
    fn link_into(&self, path: &str, other: &dyn Dir) -> Result<()> {
        let parts = rules::split("opening", path)?;
        let bytes = self.call(Call::Change, "opening", path, |state| {
            let inode = state.find(parts)?;
            Ok(state.inodes[inode].live.clone())
        })?;
        let path_here = self.location().join(path);
        rules::copy(&Frozen { bytes, path: path_here }, path, other)
    }

    fn remove(&self, path: &str) -> Result<()> {
        let parts = rules::split("removing", path)?;
        self.call(Call::Remove, "removing", path, |state| state.remove(parts))
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        rules::check_folder("making", folder)?;
        self.call(Call::Change, "making", folder, |state| state.make_folder(folder))
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        if !folder.is_empty() {
            rules::check_folder("syncing", folder)?;
        }
        self.call(Call::Change, "syncing", folder, |state| state.sync_folder(folder))
    }

    fn lock(&self) -> Result<Box<dyn Lock>> {
        let mut state = self.state.lock();
        state.powered().map_err(|error| failed("locking", "LOCK", error))?;
        if std::mem::replace(&mut state.locked, true) {
            let (path, pid) = (self.location(), Some(process::id()));
            return Err(Error::Locked { path, pid });
        }
        Ok(Box::new(Held(self.clone())))
    }

    fn nonce(&self) -> Result<u64> {
        Ok(self.state.lock().nonce())
    }
}

#[derive(Debug)]
struct Held(Fault);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().locked = false;
    }
}

#[derive(Debug)]
struct Writing {
    dir: Fault,
    inode: usize,
    path: String,
}

impl Append for Writing {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.dir.state.lock();
        let failure =
            state.arrive(Call::Change).map_err(|error| failed("writing", &self.path, error))?;
        let (kept, failure) = match failure {
            Some(Failure::ShortWrite(kept)) => (kept, Some(Failure::Eio)),
            Some(Failure::ShortWriteFull(kept)) => (kept, Some(Failure::Enospc)),
            None | Some(Failure::EioAfter) => (bytes.len(), failure),
            Some(_) => (0, failure),
        };
        state.append(self.inode, &bytes[..kept.min(bytes.len())]);
        match failure {
            None => Ok(()),
            Some(failure) => Err(failed("writing", &self.path, failure.error())),
        }
    }

    fn sync(&mut self) -> Result<()> {
        let mut state = self.dir.state.lock();
        let failure =
            state.arrive(Call::Change).map_err(|error| failed("syncing", &self.path, error))?;
        let inode = &mut state.inodes[self.inode];
        match failure {
            None | Some(Failure::EioAfter) => inode.sync(),
            Some(Failure::SyncDropsPages) => inode.drop_pages(),
            Some(_) => {}
        }
        match failure {
            None => Ok(()),
            Some(failure) => Err(failed("syncing", &self.path, failure.error())),
        }
    }
}

#[derive(Debug)]
struct Reading {
    dir: Fault,
    inode: usize,
    path: String,
}

impl Source for Reading {
    fn len(&self) -> u64 {
        self.dir.state.lock().inodes[self.inode].live.len() as u64
    }

    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.dir.call(Call::Read, "reading", &self.path, |state| {
            rules::fill(&state.inodes[self.inode].live, offset, into)
        })
    }
}
