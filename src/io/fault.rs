//! A directory that loses power, fails calls and flips bits, the same way every time.
//!
//! It knows what a disk has promised. The bytes of a file are durable once the file was synced, and
//! a name once its folder was; neither implies the other. Whatever else happened is pending: after
//! a power failure any of it may be there and any of it not, torn anywhere. [`Fault::survivors`]
//! lists what may be left, and each answer is a directory to open and check.

mod dir;
mod failure;
mod state;
mod survivors;

pub use failure::Failure;

use super::{AlignedBytes, rules};
use crate::error::{Error, Result};
use failure::{Call, Rule};
use parking_lot::Mutex;
use state::{Image, State};
use std::{fmt, io, path::PathBuf, sync::Arc};

/// Where `Fault` says it is.
const LOCATION: &str = "fault";

/// A directory that loses power, fails calls and flips bits.
///
/// A clone is the same directory. Calls are counted, so that a test can run the same steps again
/// and again and fail, or cut the power before, each call in turn.
///
/// ```
/// use bowerbird::io::{Append, Dir, fault::Fault};
/// let dir = Fault::new();
/// let mut file = dir.create("a").unwrap();
/// file.append(b"abc").unwrap();
/// file.sync().unwrap();
/// // The bytes are safe, but the name is not yet.
/// let left = dir.survivors(1, 100);
/// assert!(left.iter().any(|dir| dir.paths().is_empty()));
/// dir.sync_folder("").unwrap();
/// let left = dir.survivors(1, 100);
/// assert!(left.iter().all(|dir| dir.read_file("a") == b"abc"));
/// ```
#[derive(Clone)]
pub struct Fault {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        write!(f, "Fault({} calls, {} reads, off: {})", state.calls, state.reads, state.off)
    }
}

impl Default for Fault {
    fn default() -> Fault {
        Fault::new()
    }
}

impl Fault {
    /// An empty directory, with the power on.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// assert!(Fault::new().paths().is_empty());
    /// ```
    pub fn new() -> Fault {
        Fault::from_image(Image::new(), 0)
    }

    /// A directory with these files in it, all durable.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("wal/1".into(), vec![7])]);
    /// assert_eq!(dir.files(), [("wal/1".to_string(), vec![7])]);
    /// ```
    pub fn from_files(files: Vec<(String, Vec<u8>)>) -> Fault {
        let mut image = Image::new();
        for (path, bytes) in files {
            let (folder, name) = parts(&path);
            let files = image.entry(folder.to_owned()).or_default();
            files.insert(name.to_owned(), aligned(&bytes));
        }
        let seed = survivors::hash_image(&image);
        Fault::from_image(image, seed)
    }

    fn from_image(image: Image, seed: u64) -> Fault {
        Fault { state: Arc::new(Mutex::new(State::new(image, seed))) }
    }

    /// How many calls that change something were made, failed ones too: create, append, sync,
    /// rename, link, remove, make and sync of folders.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// dir.make_folder("wal").unwrap();
    /// dir.list("wal").unwrap();
    /// assert_eq!((dir.calls(), dir.reads(), dir.all_calls()), (1, 1, 2));
    /// ```
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// How many calls that read were made: open, list, and reading at an offset.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// assert!(dir.open("a", true).is_err());
    /// assert_eq!(dir.reads(), 1);
    /// ```
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// How many calls were made: changes and reads.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// assert_eq!(Fault::new().all_calls(), 0);
    /// ```
    pub fn all_calls(&self) -> u64 {
        let state = self.state.lock();
        state.calls + state.reads
    }

    /// Makes a call fail, or it and all that follow. The next call has the number `all_calls()`.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::{Failure, Fault}};
    /// let dir = Fault::new();
    /// dir.fail_at(1, Failure::Eio, true);
    /// assert!(dir.list("").is_ok() && dir.list("").is_err() && dir.create("a").is_err());
    /// ```
    pub fn fail_at(&self, call: u64, failure: Failure, forever: bool) {
        self.rule(call, failure, forever, false);
    }

    /// As `fail_at`, but reads neither count nor fail. The next change has the number `calls()`.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::{Failure, Fault}};
    /// let dir = Fault::new();
    /// dir.fail_change_at(0, Failure::Enospc, true);
    /// assert!(dir.list("").is_ok() && dir.create("a").is_err());
    /// ```
    pub fn fail_change_at(&self, call: u64, failure: Failure, forever: bool) {
        self.rule(call, failure, forever, true);
    }

    fn rule(&self, at: u64, failure: Failure, forever: bool, changes_only: bool) {
        let rule = Rule { at, changes_only, forever, failure };
        self.state.lock().rules.push(rule);
    }

    /// Turns the power off when the change with this number is called: that call and all later
    /// ones, reads too, fail and have no effect. `survivors` then says what may be left.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// dir.cut_power_at(1);
    /// assert!(dir.create("a").is_ok() && dir.create("b").is_err() && dir.list("").is_err());
    /// assert!(dir.power_is_off());
    /// ```
    pub fn cut_power_at(&self, call: u64) {
        self.state.lock().cut_at = Some(call);
    }

    /// Whether the power went off.
    ///
    /// ```
    /// assert!(!bowerbird::io::fault::Fault::new().power_is_off());
    /// ```
    pub fn power_is_off(&self) -> bool {
        self.state.lock().off
    }

    /// Forgets all failures asked for, and gives the power back as if it had never been off.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::{Failure, Fault}};
    /// let dir = Fault::new();
    /// dir.fail_at(0, Failure::Eio, true);
    /// dir.heal();
    /// assert!(dir.create("a").is_ok());
    /// ```
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.rules.clear();
        (state.cut_at, state.off) = (None, false);
    }

    /// The directories that may be left if the power fails now: different ones, at most `max`.
    ///
    /// None of what is pending survives, all of it, each alone, all but each, every prefix; every
    /// subset if there is little, and a draw of them if not; and each pending append is torn, with
    /// what is missing cut off, zeros, garbage or a hole. Of more than `max`, `seed` draws, but the
    /// first four (none, all, names without bytes, bytes without names) always come first. Each is
    /// a directory of its own, unlocked, with everything in it durable.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// dir.create("a").unwrap();
    /// let left: Vec<_> = dir.survivors(1, 100).iter().map(Fault::paths).collect();
    /// assert_eq!(left, [vec![], vec!["a".to_string()]]);
    /// ```
    pub fn survivors(&self, seed: u64, max: usize) -> Vec<Fault> {
        let mut state = self.state.lock();
        let images = state.survivors(seed, max);
        let fork = |(image, hash)| Fault::from_image(image, state.fork_seed(hash));
        images.into_iter().map(fork).collect()
    }

    /// All files, as `name` or `folder/name`, sorted.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// dir.create("a").unwrap();
    /// assert_eq!(dir.paths(), ["a"]);
    /// ```
    pub fn paths(&self) -> Vec<String> {
        self.files().into_iter().map(|(path, _)| path).collect()
    }

    /// All files and what running code reads in them, sorted.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("b".into(), vec![]), ("a".into(), vec![1])]);
    /// assert_eq!(dir.files(), [("a".into(), vec![1]), ("b".into(), vec![])]);
    /// ```
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for (folder, files) in self.state.lock().image() {
            for (name, bytes) in files {
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                all.push((path, bytes.to_vec()));
            }
        }
        all.sort();
        all
    }

    /// What running code reads in a file. Panics if there is none; this and what follows is for
    /// tests, and neither counts as a call nor fails as one.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("a".into(), vec![1])]);
    /// assert_eq!(dir.read_file("a"), [1]);
    /// ```
    pub fn read_file(&self, path: &str) -> Vec<u8> {
        let mut state = self.state.lock();
        let inode = state.find(parts(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        state.inodes[inode].live.to_vec()
    }

    /// Puts other bytes into a file, or makes it; they, and the names in its folder, are durable.
    /// Those who mapped it keep what they see; those who read it see the new bytes.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::new();
    /// dir.write_file("wal/1", vec![1, 2]);
    /// assert!(dir.survivors(0, 9).iter().all(|dir| dir.read_file("wal/1") == [1, 2]));
    /// ```
    pub fn write_file(&self, path: &str, bytes: Vec<u8>) {
        self.state.lock().write_file(parts(path), aligned(&bytes));
    }

    /// Flips one bit of a file, counted from its start.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("a".into(), vec![0, 0])]);
    /// dir.flip_bit("a", 11);
    /// assert_eq!(dir.read_file("a"), [0, 8]);
    /// ```
    pub fn flip_bit(&self, path: &str, bit: u64) {
        let mut bytes = self.read_file(path);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        self.write_file(path, bytes);
    }

    /// Removes a file for good. Panics if there is none.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("a".into(), vec![1])]);
    /// dir.remove_file("a");
    /// assert!(dir.paths().is_empty());
    /// ```
    pub fn remove_file(&self, path: &str) {
        let (folder, name) = parts(path);
        let mut state = self.state.lock();
        let removed = state.remove((folder, name)).and_then(|()| state.sync_folder(folder));
        removed.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A directory of its own with what running code sees in this one, all durable: what a process
    /// that was killed leaves behind. Its lock is free and its nonces are others.
    ///
    /// ```
    /// use bowerbird::io::{Dir, fault::Fault};
    /// let dir = Fault::new();
    /// dir.create("a").unwrap();
    /// let left = dir.fork();
    /// left.remove("a").unwrap();
    /// assert_eq!((dir.paths().len(), left.paths().len()), (1, 0));
    /// ```
    pub fn fork(&self) -> Fault {
        let mut state = self.state.lock();
        let image = state.image();
        let seed = state.fork_seed(survivors::hash_image(&image));
        Fault::from_image(image, seed)
    }

    /// A hash of all names and bytes that running code sees.
    ///
    /// ```
    /// use bowerbird::io::fault::Fault;
    /// let dir = Fault::from_files(vec![("a".into(), vec![1])]);
    /// let before = dir.image_hash();
    /// dir.flip_bit("a", 0);
    /// assert_ne!(dir.image_hash(), before);
    /// ```
    pub fn image_hash(&self) -> u64 {
        survivors::hash_image(&self.state.lock().image())
    }

    /// Counts a call, and does it or fails as asked for.
    fn call<T>(
        &self,
        call: Call,
        doing: &'static str,
        path: &str,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T> {
        let mut state = self.state.lock();
        let result = state.arrive(call).and_then(|failure| match failure {
            None => effect(&mut state),
            Some(Failure::EioAfter) => effect(&mut state).and(Err(Failure::Eio.error())),
            Some(failure) => Err(failure.error()),
        });
        result.map_err(|error| failed(doing, path, error))
    }
}

/// Bytes aligned as a map's would be.
fn aligned(bytes: &[u8]) -> Arc<AlignedBytes> {
    let mut aligned = AlignedBytes::default();
    aligned.extend(bytes);
    Arc::new(aligned)
}

fn failed(doing: &'static str, path: &str, error: io::Error) -> Error {
    Error::io(doing, PathBuf::from(LOCATION).join(path), error)
}

/// Folder and name of a path that a test wrote.
fn parts(path: &str) -> (&str, &str) {
    rules::split("opening", path).unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Append, Dir};

    fn put(dir: &Fault, path: &str, bytes: &[u8], sync: bool) -> Box<dyn Append> {
        let mut file = dir.create(path).unwrap();
        file.append(bytes).unwrap();
        if sync {
            file.sync().unwrap();
        }
        file
    }

    fn has(left: &[Fault], files: &[(&str, &[u8])]) -> bool {
        let files: Vec<_> =
            files.iter().map(|(path, bytes)| (path.to_string(), bytes.to_vec())).collect();
        left.iter().any(|dir| dir.files() == files)
    }

    /// Goal: what was not synced may vanish, names and bytes apart. Method: one file, by stages.
    #[test]
    fn a_name_and_its_bytes_survive_apart() {
        let dir = Fault::new();
        let mut file = put(&dir, "a", b"xy", false);
        let left = dir.survivors(1, 1000);
        let wanted: [&[(&str, &[u8])]; 5] =
            [&[], &[("a", b"")], &[("a", b"x")], &[("a", b"\0\0")], &[("a", b"xy")]];
        assert!(wanted.iter().all(|files| has(&left, files)));
        file.sync().unwrap();
        let left = dir.survivors(1, 1000);
        assert!(left.len() == 2 && has(&left, &[]) && has(&left, &[("a", b"xy")]));
        dir.sync_folder("").unwrap();
        file.append(b"z").unwrap();
        let left = dir.survivors(1, 1000);
        assert!(left.iter().all(|dir| dir.read_file("a").starts_with(b"xy")));
        assert!(has(&left, &[("a", b"xy")]) && has(&left, &[("a", b"xyz")]));
    }

    /// Goal: a rename is atomic, and carries only bytes that were synced. Method: with and without.
    #[test]
    fn a_rename_leaves_the_old_file_or_the_new_one() {
        for synced in [true, false] {
            let dir = Fault::from_files(vec![("M".into(), b"old".to_vec())]);
            put(&dir, "tmp", b"new", synced);
            dir.rename("tmp", "M").unwrap();
            let left = dir.survivors(1, 1000);
            let whole = |dir: &Fault| matches!(&dir.read_file("M")[..], b"old" | b"new");
            assert_eq!(left.iter().all(whole), synced);
            assert!(has(&left, &[("M", b"old")]) && has(&left, &[("M", b"new")]));
            assert_eq!(has(&left, &[("M", b"")]), !synced);
            dir.sync_folder("").unwrap();
            let old = dir.survivors(1, 1000).iter().any(|dir| dir.read_file("M") == b"old");
            assert!(!old && dir.paths() == ["M"]);
        }
    }

    /// Goal: a file is lost with its folder. Method: sync the folder, but not the directory.
    #[test]
    fn a_folder_that_was_not_synced_takes_its_files_along() {
        let dir = Fault::new();
        dir.make_folder("wal").unwrap();
        put(&dir, "wal/1", b"x", true);
        dir.sync_folder("wal").unwrap();
        assert!(has(&dir.survivors(1, 9), &[]));
        dir.sync_folder("").unwrap();
        assert_eq!(dir.survivors(1, 9).len(), 1);
        dir.remove("wal/1").unwrap();
        let left = dir.survivors(1, 9);
        assert!(left.len() == 2 && has(&left, &[]) && has(&left, &[("wal/1", b"x")]));
        assert!(left.iter().all(|dir| dir.list("").unwrap() == ["wal"]));
    }

    /// Goal: a failed sync loses what it says. Method: both kinds, then a sync that succeeds.
    #[test]
    fn a_failed_sync_drops_pages_or_keeps_them() {
        for (failure, after) in
            [(Failure::SyncDropsPages, b"a\0c"), (Failure::SyncKeepsPages, b"abc")]
        {
            let dir = Fault::new();
            let mut file = put(&dir, "f", b"a", true);
            dir.sync_folder("").unwrap();
            file.append(b"b").unwrap();
            dir.fail_change_at(dir.calls(), failure, false);
            assert!(file.sync().is_err());
            file.append(b"c").unwrap();
            file.sync().unwrap();
            assert_eq!(dir.read_file("f"), b"abc");
            let left = dir.survivors(1, 100);
            assert!(left.len() == 1 && left[0].read_file("f") == after);
        }
    }

    /// Goal: failures come when and how they were asked for. Method: a table of them.
    #[test]
    fn calls_fail_as_asked() {
        let dir = Fault::new();
        let mut file = put(&dir, "a", b"12", true);
        dir.fail_change_at(3, Failure::ShortWriteFull(1), false);
        assert!(file.append(b"34").unwrap_err().is_full());
        assert_eq!(dir.read_file("a"), b"123");
        dir.fail_change_at(4, Failure::EioAfter, false);
        assert!(dir.rename("a", "b").is_err() && dir.paths() == ["b"]);
        dir.fail_change_at(5, Failure::ShortWrite(1), false);
        assert!(dir.rename("b", "a").is_err() && dir.paths() == ["b"]);
        let source = dir.open("b", false).unwrap();
        dir.fail_at(dir.all_calls(), Failure::Eio, false);
        assert!(source.read_at(0, &mut [0; 3]).is_err() && source.read_at(0, &mut [0; 3]).is_ok());
        dir.fail_at(0, Failure::Enospc, true);
        assert!(dir.make_folder("wal").unwrap_err().is_full());
        assert!(dir.list("").is_ok() && dir.remove("b").is_ok());
        dir.heal();
        let lock = dir.lock().unwrap();
        dir.cut_power_at(dir.calls());
        assert!(dir.lock().is_err() && dir.list("").is_ok());
        assert!(dir.make_folder("x").is_err() && dir.list("").is_err() && dir.lock().is_err());
        drop(lock);
        assert!(dir.survivors(1, 9).iter().all(|dir| dir.lock().is_ok()));
    }

    /// Goal: the same seed gives the same directories, all different, and new nonces in each (V9).
    /// Method: more pending than can be listed, twice.
    #[test]
    fn survivors_are_drawn_by_seed() {
        let build = || {
            let dir = Fault::new();
            for at in 0..20 {
                put(&dir, &format!("f{at}"), &[at; 3000], at % 2 == 0);
            }
            dir
        };
        let hashes = |seed| -> Vec<u64> {
            build().survivors(seed, 300).iter().map(Fault::image_hash).collect()
        };
        let (one, again, other) = (hashes(1), hashes(1), hashes(2));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let distinct: std::collections::BTreeSet<_> = one.iter().collect();
        assert_eq!((one.len(), distinct.len()), (300, 300));
        let dir = build();
        let mut left = dir.survivors(1, 300);
        left.extend([dir.fork(), dir.fork(), dir]);
        let nonces: std::collections::BTreeSet<_> =
            left.iter().map(|dir| dir.nonce().unwrap()).collect();
        assert_eq!(nonces.len(), left.len());
    }
}
