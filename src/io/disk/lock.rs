//! The writer's lock: a lock on a file for other processes, a list for this one.

use crate::io::Lock;
use parking_lot::Mutex;
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::{collections::BTreeMap, io, process};

/// Directories locked by this process, by device and inode, and the process that did it: after a
/// fork the child finds its parent's entries here.
static LOCKED: Mutex<BTreeMap<(u64, u64), u32>> = Mutex::new(BTreeMap::new());

/// Why there is no lock.
pub(super) enum Refused {
    /// Another handle has it, maybe of this process.
    Held(Option<u32>),
    /// The system cannot say.
    Failed(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Failed(error)
    }
}

/// Locks a directory by a file in it, and writes into the file who did.
pub(super) fn take(directory: &File, file: File) -> Result<Held, Refused> {
    let stat = rustix::fs::fstat(directory).map_err(io::Error::from)?;
    // These have other widths on other systems.
    #[allow(clippy::unnecessary_cast)]
    let id = (stat.st_dev as u64, stat.st_ino as u64);
    let mut locked = LOCKED.lock();
    let pid = process::id();
    // What a parent had locked when it forked, it may have given back since: the file knows.
    if locked.get(&id) == Some(&pid) {
        return Err(Refused::Held(Some(pid)));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Refused::Held(read_pid(&file))),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // Only messages need it, and a full disk must not keep anyone from opening a database.
    let _ = file.set_len(0).and_then(|()| file.write_all_at(format!("{pid}\n").as_bytes(), 0));
    locked.insert(id, pid);
    Ok(Held { file, id, pid })
}

/// The lock, given back when this drops.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    id: (u64, u64),
    pid: u32,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // A forked child shares the lock with its parent, so here it may only close its own handle.
        if self.pid == process::id() {
            let mut locked = LOCKED.lock();
            locked.remove(&self.id);
            // If this fails, closing the file does the same.
            let _ = self.file.unlock();
        }
    }
}

/// As if the list had been copied from a parent.
#[cfg(test)]
pub(super) fn inherit(directory: &File) {
    let stat = rustix::fs::fstat(directory).unwrap();
    #[allow(clippy::unnecessary_cast)]
    let id = (stat.st_dev as u64, stat.st_ino as u64);
    LOCKED.lock().insert(id, process::id() + 1);
}

fn read_pid(file: &File) -> Option<u32> {
    let mut text = [0; 16];
    let len = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}
