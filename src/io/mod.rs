//! The only door to the operating system.
//!
//! A [`Dir`] is one database directory. Files in it are created under a new name, appended to, made
//! durable, and from then on only read (V1); the one exception, the active WAL, only grows. Paths are
//! relative, come from a fixed grammar in `format::names`, and never from user or file content (S1).
//!
//! `disk` is real; `memory` is the same in RAM; `fault` (feature "testing") loses power, fails calls
//! and flips bits. Nothing above this folder names `std::fs` or memmap2.

mod bytes;
pub(crate) mod disk;
#[cfg(feature = "testing")]
pub mod fault;
pub(crate) mod hot;
pub(crate) mod memory;
pub(crate) mod room;
mod rules;

pub use bytes::AlignedBytes;
pub use disk::Disk;
pub use memory::Memory;

use crate::error::Result;
use std::{fmt::Debug, ops::Range, sync::Arc};

/// One database directory.
///
/// Paths have at most one folder: `MANIFEST`, `wal/000041.wal`. Implement it to keep a database
/// somewhere else than on a disk; `Disk` and `Memory` are the two that come with the crate.
///
/// ```
/// use bowerbird::io::{Append, Dir, Memory};
/// let dir = Memory::new();
/// let mut file = dir.create("hello").unwrap();
/// file.append(b"world").unwrap();
/// file.sync().unwrap();
/// assert_eq!(dir.open("hello", false).unwrap().len(), 5);
/// ```
pub trait Dir: Debug + Send + Sync {
    /// Where it is, for messages to people.
    fn location(&self) -> std::path::PathBuf;
    /// The names in a folder ("" is the directory itself), sorted. A missing folder is empty.
    fn list(&self, folder: &str) -> Result<Vec<String>>;
    /// Opens a regular file for reading; `map` asks for its bytes to be mapped.
    fn open(&self, path: &str, map: bool) -> Result<Arc<dyn Source>>;
    /// Creates a file that must not exist.
    fn create(&self, path: &str) -> Result<Box<dyn Append>>;
    /// Renames within the directory, replacing the target atomically.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Makes `path` of this directory appear as `path` in `other`: a hard link where possible, else
    /// a copy. The file is not yet durable there: sync its folder (a copy syncs its bytes itself).
    fn link_into(&self, path: &str, other: &dyn Dir) -> Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> Result<()>;
    /// Creates a folder; one that exists is fine.
    fn make_folder(&self, folder: &str) -> Result<()>;
    /// Makes the names in a folder durable ("" is the directory itself).
    fn sync_folder(&self, folder: &str) -> Result<()>;
    /// Takes the one writer's lock, held until the answer drops.
    fn lock(&self) -> Result<Box<dyn Lock>>;
    /// Random bits for new files.
    fn nonce(&self) -> Result<u64>;
    /// The absolute path, where the directory is on a disk and so can be a target of hard links.
    fn disk_path(&self) -> Option<std::path::PathBuf> {
        None
    }
}

/// Holds the writer's lock until it drops.
///
/// ```
/// use bowerbird::io::{Dir, Memory};
/// let dir = Memory::new();
/// let lock = dir.lock().unwrap();
/// assert!(dir.lock().is_err());
/// ```
pub trait Lock: Debug + Send + Sync {}

/// A file being written.
///
/// ```
/// # use bowerbird::io::{Append, Dir, Memory};
/// let mut file = Memory::new().create("a").unwrap();
/// file.append(&[1, 2, 3]).unwrap();
/// ```
pub trait Append: Debug + Send {
    /// Appends all bytes, or fails; after a failure nothing is known about the file's end.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Makes every byte appended so far durable.
    fn sync(&mut self) -> Result<()>;
}

/// A file being read.
///
/// ```
/// # use bowerbird::io::{Append, Dir, Memory};
/// let dir = Memory::new();
/// dir.create("a").unwrap().append(&[1, 2, 3]).unwrap();
/// let mut two = [0; 2];
/// dir.open("a", false).unwrap().read_at(1, &mut two).unwrap();
/// assert_eq!(two, [2, 3]);
/// ```
pub trait Source: Debug + Send + Sync {
    /// Its length when it was opened, or now if it is a growing file opened without `map`.
    fn len(&self) -> u64;
    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All its bytes, 64-byte aligned, where they are mapped or in RAM.
    fn bytes(&self) -> Option<&[u8]>;
    /// Fills `into` from `offset`; reading past the end is an error.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()>;
    /// Advice: these bytes are read here and there, so what lies around them need not be fetched.
    fn scattered(&self, _range: Range<u64>) {}
    /// Advice: these bytes are read next, all of them.
    fn ask(&self, _range: Range<u64>) {}
}
