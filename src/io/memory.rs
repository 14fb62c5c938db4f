//! A directory in RAM, with the rules of one on a disk and nothing to lose but itself.

use super::{
    AlignedBytes, Append, Dir, Lock, Source,
    rules::{self, fill},
};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, path::Path, path::PathBuf, process, sync::Arc};

/// A directory in RAM.
///
/// A clone is the same directory. It keeps the rules of a disk, so that code which works here works
/// there: a folder is made before files are put in it, a file that was renamed or removed stays
/// readable by those who opened it, and one writer at a time holds the lock.
///
/// ```
/// use bowerbird::io::{Append, Dir, Memory};
/// let dir = Memory::new();
/// dir.make_folder("wal").unwrap();
/// dir.create("wal/000001.wal").unwrap().append(b"abc").unwrap();
/// assert_eq!(dir.list("wal").unwrap(), ["000001.wal"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tree: Arc<Mutex<Tree>>,
}

/// The bytes of one file. Those who mapped it share the inner `Arc`; appending then copies first.
type Content = Arc<Mutex<Arc<AlignedBytes>>>;

#[derive(Debug, Default)]
struct Tree {
    root: BTreeMap<String, Content>,
    folders: BTreeMap<String, BTreeMap<String, Content>>,
    locked: bool,
}

impl Tree {
    fn folder(&mut self, folder: &str) -> io::Result<&mut BTreeMap<String, Content>> {
        match folder {
            "" => Ok(&mut self.root),
            _ => self.folders.get_mut(folder).ok_or_else(not_found),
        }
    }

    fn is_folder(&self, folder: &str, name: &str) -> bool {
        folder.is_empty() && self.folders.contains_key(name)
    }

    fn find(&mut self, (folder, name): (&str, &str)) -> io::Result<Content> {
        self.folder(folder)?.get(name).cloned().ok_or_else(not_found)
    }

    fn create(&mut self, (folder, name): (&str, &str)) -> io::Result<Content> {
        let taken = self.is_folder(folder, name);
        let files = self.folder(folder)?;
        if taken || files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        files.insert(name.to_owned(), content.clone());
        Ok(content)
    }

    fn rename(&mut self, from: (&str, &str), to: (&str, &str)) -> io::Result<()> {
        let content = self.find(from)?;
        if self.is_folder(to.0, to.1) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // The target folder first: if it is missing, nothing has changed.
        self.folder(to.0)?.insert(to.1.to_owned(), content);
        if from != to {
            self.folder(from.0)?.remove(from.1);
        }
        Ok(())
    }
}

impl Memory {
    /// An empty directory.
    ///
    /// ```
    /// use bowerbird::io::{Dir, Memory};
    /// assert!(Memory::new().list("").unwrap().is_empty());
    /// ```
    pub fn new() -> Memory {
        Memory::default()
    }
}

impl Dir for Memory {
    fn location(&self) -> PathBuf {
        PathBuf::from("memory")
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let tree = self.tree.lock();
        if folder.is_empty() {
            let mut names: Vec<_> = tree.root.keys().chain(tree.folders.keys()).cloned().collect();
            names.sort();
            return Ok(names);
        }
        rules::check_folder("listing", folder)?;
        let files = tree.folders.get(folder);
        Ok(files.map_or_else(Vec::new, |files| files.keys().cloned().collect()))
    }

    fn open(&self, path: &str, map: bool) -> Result<Arc<dyn Source>> {
        let parts = rules::split("opening", path)?;
        let content = self.tree.lock().find(parts).map_err(at("opening", path))?;
        let path = self.location().join(path);
        if map {
            let bytes = content.lock().clone();
            return Ok(Arc::new(Frozen { bytes, path }));
        }
        Ok(Arc::new(Growing { content, path }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn Append>> {
        let parts = rules::split("creating", path)?;
        let content = self.tree.lock().create(parts).map_err(at("creating", path))?;
        Ok(Box::new(Writing { content }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (rules::split("renaming", from)?, rules::split("renaming", to)?);
        self.tree.lock().rename(source, target).map_err(at("renaming", from))
    }

    fn link_into(&self, path: &str, other: &dyn Dir) -> Result<()> {
        rules::copy(&*self.open(path, true)?, path, other)
    }

    fn remove(&self, path: &str) -> Result<()> {
        let (folder, name) = rules::split("removing", path)?;
        let mut tree = self.tree.lock();
        let removed =
            tree.folder(folder).and_then(|files| files.remove(name).ok_or_else(not_found));
        removed.map(drop).map_err(at("removing", path))
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        rules::check_folder("making", folder)?;
        let mut tree = self.tree.lock();
        if tree.root.contains_key(folder) {
            return Err(at("making", folder)(io::ErrorKind::AlreadyExists.into()));
        }
        tree.folders.entry(folder.to_owned()).or_default();
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        if !folder.is_empty() {
            rules::check_folder("syncing", folder)?;
        }
        self.tree.lock().folder(folder).map(drop).map_err(at("syncing", folder))
    }

    fn lock(&self) -> Result<Box<dyn Lock>> {
        let taken = std::mem::replace(&mut self.tree.lock().locked, true);
        if taken {
            return Err(Error::Locked { path: self.location(), pid: Some(process::id()) });
        }
        Ok(Box::new(Held(self.clone())))
    }

    fn nonce(&self) -> Result<u64> {
        rules::random()
    }
}

#[derive(Debug)]
struct Held(Memory);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.tree.lock().locked = false;
    }
}

#[derive(Debug)]
struct Writing {
    content: Content,
}

impl Append for Writing {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Arc::make_mut(&mut *self.content.lock()).extend(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // The file is complete. Growing took up to twice its size; a shared one was copied to size.
        if let Some(bytes) = Arc::get_mut(&mut *self.content.lock()) {
            bytes.shrink();
        }
    }
}

#[derive(Debug)]
struct Growing {
    content: Content,
    path: PathBuf,
}

impl Source for Growing {
    fn len(&self) -> u64 {
        self.content.lock().len() as u64
    }

    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        fill(&self.content.lock(), offset, into)
            .map_err(|error| Error::io("reading", &self.path, error))
    }
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) bytes: Arc<AlignedBytes>,
    pub(super) path: PathBuf,
}

impl Source for Frozen {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(&self.bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        fill(&self.bytes, offset, into).map_err(|error| Error::io("reading", &self.path, error))
    }
}

pub(super) fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn at(doing: &'static str, path: &str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::io(doing, Path::new("memory").join(path), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: who opened a file keeps what was in it. Method: rename over it, remove it, append to
    /// it.
    #[test]
    fn an_open_file_outlives_its_name() {
        let dir = Memory::new();
        dir.create("a").unwrap().append(b"old").unwrap();
        let mut file = dir.create("b").unwrap();
        file.append(b"new").unwrap();
        let (mapped, growing) = (dir.open("a", true).unwrap(), dir.open("b", false).unwrap());
        dir.rename("b", "a").unwrap();
        let renamed = dir.open("a", true).unwrap();
        dir.remove("a").unwrap();
        file.append(b"er").unwrap();
        assert_eq!(mapped.bytes(), Some(&b"old"[..]));
        assert_eq!(renamed.bytes(), Some(&b"new"[..]));
        assert_eq!((growing.len(), growing.bytes()), (5, None));
        assert!(dir.open("a", true).unwrap_err().is_absent());
        assert!(growing.read_at(4, &mut [0; 2]).is_err());
    }

    /// Goal: RAM is as strict as a disk. Method: each call that a disk would refuse.
    #[test]
    fn what_a_disk_refuses_is_refused() {
        let dir = Memory::new();
        assert!(dir.create("wal/a").unwrap_err().is_absent());
        dir.make_folder("wal").unwrap();
        dir.make_folder("wal").unwrap();
        assert!(dir.create("wal").is_err());
        dir.create("wal/a").unwrap();
        assert!(dir.create("wal/a").is_err());
        assert!(dir.rename("wal/a", "wal").is_err());
        assert!(dir.rename("wal/a", "none/a").unwrap_err().is_absent());
        assert_eq!(dir.list("wal").unwrap(), ["a"]);
        assert_eq!(dir.list("").unwrap(), ["wal"]);
        assert!(dir.remove("a").unwrap_err().is_absent());
        assert!(dir.sync_folder("none").unwrap_err().is_absent());
        assert!(dir.list("none").unwrap().is_empty());
        let lock = dir.lock().unwrap();
        assert!(matches!(dir.clone().lock(), Err(Error::Locked { .. })));
        drop(lock);
        dir.lock().unwrap();
    }
}
