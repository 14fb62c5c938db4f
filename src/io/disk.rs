//! A directory on a disk. Everything is opened relative to it, and nothing leads out of it.

// The one file that talks to the system: the map below is its only unsafe block, and the functions
// that are banned elsewhere are the ones it is here to wrap.
#![allow(unsafe_code, clippy::disallowed_methods, clippy::disallowed_types)]

mod lock;

use super::{
    Append, Dir, Lock, Source,
    rules::{self, check_folder, random, split},
};
use crate::error::{Error, Result};
use lock::Refused;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::{io, io::Write, ops::Range, sync::Arc};

/// The mode of files and of directories: the owner's alone.
const FILE: Mode = Mode::from_raw_mode(0o600);
const FOLDER: Mode = Mode::from_raw_mode(0o700);

/// A directory on a disk.
///
/// It holds the directory open, so it stays the same one when that is renamed. Files are private to
/// the owner; links, pipes and devices in it are refused, never followed. Reading changes nothing
/// in it and works on a file system mounted read-only.
///
/// ```
/// use bowerbird::io::{Append, Dir, Disk};
/// # let somewhere = tempfile::tempdir().unwrap();
/// let dir = Disk::create(somewhere.path().join("shop.bower")).unwrap();
/// let mut file = dir.create("hello").unwrap();
/// file.append(b"world").unwrap();
/// file.sync().unwrap();
/// dir.sync_folder("").unwrap();
/// assert_eq!(dir.open("hello", true).unwrap().bytes(), Some(&b"world"[..]));
/// ```
#[derive(Debug)]
pub struct Disk {
    root: Arc<File>,
    given: PathBuf,
    absolute: PathBuf,
}

impl Disk {
    /// Opens a directory that exists.
    ///
    /// ```
    /// use bowerbird::io::Disk;
    /// assert!(Disk::at("/no/such/directory").is_err());
    /// ```
    pub fn at(path: impl AsRef<Path>) -> Result<Disk> {
        let given = path.as_ref().to_owned();
        let root = open_directory(&given).map_err(|error| Error::io("opening", &given, error))?;
        let absolute =
            std::fs::canonicalize(&given).map_err(|error| Error::io("opening", &given, error))?;
        Ok(Disk { root: Arc::new(root), given, absolute })
    }

    /// Opens a directory, after making it and those above it where they are missing. Its name is
    /// durable when this returns.
    ///
    /// ```
    /// use bowerbird::io::Disk;
    /// # let somewhere = tempfile::tempdir().unwrap();
    /// let path = somewhere.path().join("shops/one.bower");
    /// Disk::create(&path).unwrap();
    /// Disk::create(&path).unwrap();
    /// ```
    pub fn create(path: impl AsRef<Path>) -> Result<Disk> {
        make_directory(path.as_ref())?;
        Disk::at(path)
    }

    /// The folder a path is in, opened, and its name there.
    fn enter<'a>(&self, doing: &'static str, path: &'a str) -> Result<(Arc<File>, &'a str)> {
        let (folder, name) = split(doing, path)?;
        Ok((self.folder(doing, folder)?, name))
    }

    fn folder(&self, doing: &'static str, folder: &str) -> Result<Arc<File>> {
        if folder.is_empty() {
            return Ok(self.root.clone());
        }
        check_folder(doing, folder)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.root, folder, flags, Mode::empty());
        fd.map(|fd| Arc::new(File::from(fd))).map_err(self.failed(doing, folder))
    }

    /// Opens a regular file; whatever else has that name is refused, and never waited for.
    fn file(&self, doing: &'static str, path: &str, how: OFlags) -> Result<File> {
        let (folder, name) = self.enter(doing, path)?;
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let file = match rustix::fs::openat(&*folder, name, flags, FILE) {
            Ok(fd) => File::from(fd),
            Err(Errno::LOOP) => {
                let error = refused("it is a symbolic link, which is not followed");
                return Err(self.failed(doing, path)(error));
            }
            Err(error) => return Err(self.failed(doing, path)(error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(self.failed(doing, path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.failed(doing, path)(refused("it is not a regular file")));
        }
        Ok(file)
    }

    fn failed<E: Into<io::Error>>(
        &self,
        doing: &'static str,
        path: &str,
    ) -> impl FnOnce(E) -> Error {
        let path = self.given.join(path);
        move |error| Error::io(doing, path, error.into())
    }
}

impl Dir for Disk {
    fn location(&self) -> PathBuf {
        self.given.clone()
    }

    fn disk_path(&self) -> Option<PathBuf> {
        Some(self.absolute.clone())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let opened = match self.folder("listing", folder) {
            Err(error) if error.is_absent() => return Ok(Vec::new()),
            opened => opened?,
        };
        let entries =
            rustix::fs::Dir::read_from(&*opened).map_err(self.failed("listing", folder))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(self.failed("listing", folder))?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(String::from_utf8_lossy(name).into_owned()),
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &str, map: bool) -> Result<Arc<dyn Source>> {
        let file = self.file("opening", path, OFlags::RDONLY)?;
        let len = file_len(&file).map_err(self.failed("opening", path))?;
        let full = self.given.join(path);
        if !map {
            return Ok(Arc::new(Reading { file, len, path: full }));
        }
        let bytes = map_file(&file, len).map_err(self.failed("mapping", path))?;
        Ok(Arc::new(Mapped { bytes, path: full }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn Append>> {
        let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = self.file("creating", path, how)?;
        let path = self.given.join(path);
        Ok(Box::new(Writing { file, path }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, from_name) = self.enter("renaming", from)?;
        let (target, to_name) = self.enter("renaming", to)?;
        let renamed = rustix::fs::renameat(&*source, from_name, &*target, to_name);
        renamed.map_err(self.failed("renaming", from))
    }

    fn link_into(&self, path: &str, other: &dyn Dir) -> Result<()> {
        // Opening it first refuses what is not a regular file: a link to a link would be followed
        // by whoever reads the other directory.
        let source = self.open(path, false)?;
        let Some(there) = other.disk_path() else {
            return rules::copy(&*source, path, other);
        };
        let there = Disk::at(there)?;
        let (from, name) = self.enter("creating", path)?;
        let (to, _) = there.enter("creating", path)?;
        match rustix::fs::linkat(&*from, name, &*to, name, AtFlags::empty()) {
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::NOTSUP | Errno::NOSYS) => {
                rules::copy(&*source, path, other)
            }
            linked => linked.map_err(there.failed("creating", path)),
        }
    }

    fn remove(&self, path: &str) -> Result<()> {
        let (folder, name) = self.enter("removing", path)?;
        let removed = rustix::fs::unlinkat(&*folder, name, AtFlags::empty());
        removed.map_err(self.failed("removing", path))
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        check_folder("making", folder)?;
        match rustix::fs::mkdirat(&self.root, folder, FOLDER) {
            Err(Errno::EXIST) => self.folder("making", folder).map(drop),
            made => made.map_err(self.failed("making", folder)),
        }
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        let opened = self.folder("syncing", folder)?;
        opened.sync_all().map_err(self.failed("syncing", folder))
    }

    fn lock(&self) -> Result<Box<dyn Lock>> {
        let file = self.file("locking", "LOCK", OFlags::CREATE | OFlags::RDWR)?;
        match lock::take(&self.root, file) {
            Ok(held) => Ok(Box::new(held)),
            Err(Refused::Held(pid)) => {
                let path = self.given.clone();
                Err(Error::Locked { path, pid })
            }
            Err(Refused::Failed(error)) => Err(self.failed("locking", "LOCK")(error)),
        }
    }

    fn nonce(&self) -> Result<u64> {
        random()
    }
}

#[derive(Debug)]
struct Writing {
    file: File,
    path: PathBuf,
}

impl Append for Writing {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io("writing", &self.path, error))
    }

    /// `fdatasync`, which also makes the length durable; on Apple systems std asks for
    /// `F_FULLFSYNC`.
    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("syncing", &self.path, error))
    }
}

#[derive(Debug)]
struct Reading {
    file: File,
    len: u64,
    path: PathBuf,
}

impl Source for Reading {
    fn len(&self) -> u64 {
        file_len(&self.file).unwrap_or(self.len)
    }

    fn bytes(&self) -> Option<&[u8]> {
        None
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact_at(into, offset);
        read.map_err(|error| Error::io("reading", &self.path, error))
    }
}

/// A file in the address space; an empty one cannot be mapped and has no bytes to map.
#[derive(Debug)]
struct Mapped {
    bytes: Option<memmap2::Mmap>,
    path: PathBuf,
}

impl Source for Mapped {
    fn len(&self) -> u64 {
        self.bytes.as_deref().map_or(0, <[u8]>::len) as u64
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(self.bytes.as_deref().unwrap_or_default())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        rules::fill(bytes, offset, into).map_err(|error| Error::io("reading", &self.path, error))
    }

    fn scattered(&self, range: Range<u64>) {
        self.advise(memmap2::Advice::Random, range);
    }

    fn ask(&self, range: Range<u64>) {
        self.advise(memmap2::Advice::WillNeed, range);
    }
}

impl Mapped {
    /// Advice: a system that does not take it is slower, not wrong.
    fn advise(&self, advice: memmap2::Advice, range: Range<u64>) {
        let Some(bytes) = self.bytes.as_ref().filter(|bytes| range.end <= bytes.len() as u64)
        else {
            return;
        };
        let (from, len) = (range.start as usize, range.end.saturating_sub(range.start) as usize);
        let _ = bytes.advise_range(advice, from, len);
    }
}

fn map_file(file: &File, len: u64) -> io::Result<Option<memmap2::Mmap>> {
    let len = usize::try_from(len).map_err(|_| io::Error::from(Errno::FBIG))?;
    if len == 0 {
        return Ok(None);
    }
    // SAFETY: the condition is that the mapped bytes neither change nor end while the map lives.
    // This crate only appends to a file it is creating and never truncates or rewrites one (V1),
    // and the map covers just the `len` bytes that were there when `fstat` was asked. Others who
    // change files of an open database are outside the contract, which the documentation of the
    // crate states.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file) }?;
    Ok(Some(map))
}

fn file_len(file: &File) -> io::Result<u64> {
    let stat = rustix::fs::fstat(file)?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn make_directory(path: &Path) -> Result<()> {
    let failed = |error| Error::io("making", path, error);
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    let make = || DirBuilder::new().mode(0o700).create(path);
    let made = match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent != Path::new(".") => {
            make_directory(parent)?;
            make()
        }
        made => made,
    };
    let synced = open_directory(parent).and_then(|parent| parent.sync_all());
    match made {
        Ok(()) => synced.map_err(failed),
        // It may be there since a moment before a power failure, so the sync is worth a try; but
        // the directory above someone's home is not ours to open.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Memory;
    use std::process;

    fn scratch() -> (tempfile::TempDir, Disk) {
        let place = tempfile::tempdir().unwrap();
        let disk = Disk::create(place.path().join("a/b")).unwrap();
        disk.make_folder("wal").unwrap();
        (place, disk)
    }

    fn write(dir: &dyn Dir, path: &str, bytes: &[u8]) -> Box<dyn Append> {
        let mut file = dir.create(path).unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
        file
    }

    /// Goal: after a fork, the child opens what its parent has given back (I4), and no one else does.
    /// Method: the list of what is locked as a child finds it.
    #[test]
    fn what_a_parent_had_locked_is_asked_of_the_file() {
        let (_place, disk) = scratch();
        lock::inherit(&disk.root);
        let held = disk.lock().unwrap();
        assert!(matches!(disk.lock(), Err(Error::Locked { .. })));
        drop(held);
        drop(disk.lock().unwrap());
    }

    /// Goal: only regular files are opened, and nothing is waited for (S1). Method: the other
    /// kinds.
    #[cfg(target_os = "linux")]
    #[test]
    fn links_pipes_and_folders_are_refused() {
        let (_place, disk) = scratch();
        write(&disk, "real", b"x");
        rustix::fs::symlinkat("real", &disk.root, "link").unwrap();
        rustix::fs::symlinkat("wal", &disk.root, "folder").unwrap();
        rustix::fs::mkfifoat(&disk.root, "pipe", FILE).unwrap();
        for path in ["link", "pipe", "wal", "folder/x"] {
            assert!(disk.open(path, true).is_err(), "{path}");
            assert!(disk.create(path).is_err(), "{path}");
        }
        assert!(disk.make_folder("folder").is_err());
        rustix::fs::symlinkat("real", &disk.root, "LOCK").unwrap();
        assert!(disk.lock().is_err());
        let text = disk.open("link", false).unwrap_err().to_string();
        assert!(text.contains("a/b/link: it is a symbolic link"), "{text}");
    }

    /// Goal: no path leads out of the directory (S1). Method: a table of those that might.
    #[test]
    fn escapes_are_refused() {
        let (_place, disk) = scratch();
        for path in ["", ".", "..", "../a", "wal/..", "/a", "wal/", "wal//a", "wal/a/b", "a\0b"] {
            let error = disk.create(path).unwrap_err();
            let Error::Io { source, .. } = &error else { panic!("{path:?}: {error}") };
            assert_eq!(source.kind(), io::ErrorKind::InvalidInput, "{path:?}");
            assert!(disk.open(path, false).is_err() && disk.remove(path).is_err(), "{path:?}");
            assert!(disk.rename("wal", path).is_err(), "{path:?}");
        }
        assert!(disk.make_folder("..").is_err() && disk.list("../a").is_err());
    }

    /// Goal: one writer, in this process or another (I2). Method: lock twice, by two spellings;
    /// then hold the file as another process would.
    #[test]
    fn a_second_lock_names_the_first_holder() {
        let (place, disk) = scratch();
        let again = Disk::at(place.path().join("a/../a/b")).unwrap();
        let lock = disk.lock().unwrap();
        let holder = |result| match result {
            Err(Error::Locked { pid, .. }) => pid,
            _ => panic!("not locked"),
        };
        assert_eq!(holder(again.lock()), Some(process::id()));
        drop(lock);
        drop(again.lock().unwrap());
        let file = File::options().write(true).open(place.path().join("a/b/LOCK")).unwrap();
        file.lock().unwrap();
        assert_eq!(holder(disk.lock()), Some(process::id()));
        file.set_len(0).unwrap();
        file.write_all_at(b"4121\n", 0).unwrap();
        assert_eq!(holder(disk.lock()), Some(4121));
    }

    /// Goal: both ways of reading agree. Method: read while a file grows, and an empty one.
    #[test]
    fn maps_are_fixed_and_reads_follow_growth() {
        let (_place, disk) = scratch();
        let mut file = write(&disk, "wal/1", b"0123456789");
        assert!(disk.create("wal/1").is_err());
        let (map, read) = (disk.open("wal/1", true).unwrap(), disk.open("wal/1", false).unwrap());
        file.append(b"ab").unwrap();
        assert_eq!((map.len(), read.len(), read.bytes()), (10, 12, None));
        let (mut one, mut two) = ([0; 4], [0; 4]);
        map.read_at(3, &mut one).unwrap();
        read.read_at(3, &mut two).unwrap();
        assert_eq!((one, two), (*b"3456", *b"3456"));
        assert!(map.read_at(7, &mut one).is_err() && read.read_at(9, &mut one).is_err());
        assert!(map.read_at(u64::MAX, &mut one).is_err());
        write(&disk, "empty", b"");
        assert_eq!(disk.open("empty", true).unwrap().bytes(), Some(&b""[..]));
        assert_eq!(disk.list("").unwrap(), ["empty", "wal"]);
        disk.rename("wal/1", "wal/2").unwrap();
        disk.sync_folder("wal").unwrap();
        assert_eq!(disk.list("wal").unwrap(), ["2"]);
        assert!(disk.open("wal/1", false).unwrap_err().is_absent());
        assert_ne!(disk.nonce().unwrap(), disk.nonce().unwrap());
    }

    /// Goal: a backup holds the same bytes wherever it is. Method: one on the disk, one in RAM.
    #[test]
    fn a_link_or_else_a_copy_has_the_same_bytes() {
        let (place, disk) = scratch();
        let bytes: Vec<u8> = (0..3_000_000).map(|at| (at % 251) as u8).collect();
        write(&disk, "wal/1", &bytes);
        let beside = Disk::create(place.path().join("c")).unwrap();
        let others: [&dyn Dir; 2] = [&beside, &Memory::new()];
        for other in others {
            assert!(disk.link_into("wal/1", other).unwrap_err().is_absent());
            other.make_folder("wal").unwrap();
            disk.link_into("wal/1", other).unwrap();
            assert_eq!(other.open("wal/1", true).unwrap().bytes(), Some(&bytes[..]));
            assert!(disk.link_into("wal/1", other).is_err());
        }
        let links = rustix::fs::stat(place.path().join("c/wal/1")).unwrap().st_nlink;
        assert_eq!(links, 2);
    }
}
