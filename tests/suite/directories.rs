//! Directories that lie: links, pipes and devices for files, strangers, forks, second writers.

#![allow(clippy::disallowed_methods)]

use crate::hostile::{refused, schema, small};
use bowerbird::{io::Disk, *};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

fn on_disk(place: &Path) -> PathBuf {
    let path = place.join("a.bower");
    let db = Db::create(&path, schema(KeyKind::Id)).unwrap();
    db.batch().put(Item::new(1u64).vector("dot", [1.0; 3])).commit().unwrap();
    db.flush().unwrap();
    db.batch().delete(7u64).put(Item::new(2u64)).commit().unwrap();
    path
}

/// Every file and folder: its bytes and when it changed.
fn contents(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u32)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        let stamp = |bytes| (bytes, meta.mtime(), meta.mtime_nsec(), meta.mode());
        if meta.is_dir() {
            found.extend(contents(&entry.path()));
            found.insert(entry.path(), stamp(Vec::new()));
        } else {
            found.insert(entry.path(), stamp(fs::read(entry.path()).unwrap()));
        }
    }
    found
}

fn file_in(path: &Path, folder: &str) -> PathBuf {
    fs::read_dir(path.join(folder)).unwrap().next().unwrap().unwrap().path()
}

/// Goal: what is not a regular file inside the directory is refused, never followed nor waited for
/// (S1). Method: links to the file itself, to /dev/zero and /dev/full, a pipe and a folder, in place
/// of each file; a link in place of each folder.
// checks: S1 C3
#[cfg(target_os = "linux")]
#[test]
fn links_pipes_and_devices_in_place_of_files_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = on_disk(place.path());
    let aside = place.path().join("aside");
    let refuse = |what: &Path| {
        for mode in [IoMode::Mmap, IoMode::Pread] {
            let options = || Options::default().io_mode(mode);
            assert!(Db::open_read_only_with(&path, options()).is_err(), "{what:?}");
            assert!(Db::open_with(&path, options()).is_err(), "{what:?}");
        }
        let report = verify_dir(&Disk::at(&path).unwrap());
        assert!(!report.is_ok_and(|report| report.is_sound()), "{what:?}");
    };
    for file in [path.join("MANIFEST"), file_in(&path, "segments"), file_in(&path, "wal")] {
        fs::rename(&file, &aside).unwrap();
        for target in [&*aside, Path::new("/dev/zero"), Path::new("/dev/full"), Path::new("none")] {
            symlink(target, &file).unwrap();
            refuse(&file);
            fs::remove_file(&file).unwrap();
        }
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
        refuse(&file);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        refuse(&file);
        fs::remove_dir(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
    }
    for folder in ["segments", "wal"] {
        let folder = path.join(folder);
        fs::rename(&folder, &aside).unwrap();
        symlink(&aside, &folder).unwrap();
        refuse(&folder);
        fs::remove_file(&folder).unwrap();
        fs::rename(&aside, &folder).unwrap();
    }
    // A link where the lock is would let a writer write through it.
    fs::rename(path.join("LOCK"), &aside).unwrap();
    symlink(&aside, path.join("LOCK")).unwrap();
    assert!(Db::open(&path).is_err());
    assert_eq!(Db::open_read_only(&path).unwrap().snapshot().len(), 2);
    fs::remove_file(path.join("LOCK")).unwrap();
    assert_eq!(Db::open(&path).unwrap().snapshot().len(), 2);
}

/// Goal: reading changes no byte, no name and no time, and works where nothing may be written (C8).
// checks: C8 I3
#[test]
fn opening_read_only_changes_nothing_in_the_directory() {
    let place = tempfile::tempdir().unwrap();
    let path = on_disk(place.path());
    fs::write(path.join("segments/notes.txt"), "mine").unwrap();
    let set = |mode| {
        for folder in ["", "wal", "segments", "artifacts", "derived"] {
            fs::set_permissions(path.join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o500);
    let before = contents(&path);
    for mode in [IoMode::Mmap, IoMode::Pread] {
        let db = Db::open_read_only_with(&path, Options::default().io_mode(mode)).unwrap();
        let snapshot = db.snapshot();
        assert_eq!(snapshot.near("dot", &[1.0; 3]).run().unwrap().len(), 1);
        assert!(!db.refresh().unwrap() && db.verify().unwrap().is_sound());
        let refusals = [
            db.batch().put(Item::new(9u64)).commit().map(drop),
            db.flush().map(drop),
            db.compact(),
            db.sync(),
            db.add_event("buy"),
            db.deactivate("a"),
        ];
        assert!(refusals.iter().all(|r| matches!(r, Err(Error::ReadOnly))), "{refusals:?}");
        db.close().unwrap();
    }
    assert_eq!(contents(&path), before);
    set(0o700);
    let db = Db::open(&path).unwrap();
    assert_eq!(db.verify().unwrap().strangers, ["segments/notes.txt"]);
    db.close().unwrap();
    assert_eq!(fs::read(path.join("segments/notes.txt")).unwrap(), b"mine");
}

/// Goal: files are the owner's alone, whatever the umask lets through (S1). Method: the mode bits of
/// what a process makes whose umask is 0.
// checks: S1
#[test]
fn files_and_folders_are_private_to_their_owner() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.bower");
    assert_eq!(in_child(&format!("create {}", place.path().display())), "created");
    assert_eq!(contents(&path).len(), 8, "MANIFEST, LOCK, a segment, a WAL and four folders");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0);
    for (name, (_, _, _, mode)) in contents(&path) {
        assert_eq!(mode & 0o077, 0, "{name:?} has mode {mode:o}");
    }
}

/// Goal: one writer, by whatever spelling of the path, in this process or another (I2); a reader
/// beside it, killed, leaves nothing (I3).
// checks: I2 I3
#[test]
fn a_second_writer_is_told_who_is_first() {
    let place = tempfile::tempdir().unwrap();
    let path = on_disk(place.path());
    let link = place.path().join("link");
    symlink(&path, &link).unwrap();
    let db = Db::open(&path).unwrap();
    for spelling in [path.clone(), link.clone(), path.join("../a.bower/."), link.join("wal/..")] {
        let Err(Error::Locked { pid, .. }) = Db::open(&spelling) else { panic!("{spelling:?}") };
        assert_eq!(pid, Some(std::process::id()), "{spelling:?}");
        assert_eq!(Db::open_read_only(&spelling).unwrap().snapshot().len(), 2);
    }
    let other = in_child(&format!("open {}", path.display()));
    assert_eq!(other, "Locked");
    let before = contents(&path);
    let killed = in_child(&format!("read {}", path.display()));
    assert_eq!(killed, "killed");
    assert_eq!(contents(&path), before);
    drop(db);
    assert_eq!(in_child(&format!("open {}", path.display())), "open");
    assert_eq!(Db::open(&link).unwrap().snapshot().len(), 2);
}

/// What a process of its own says to an order. It is this test binary, running the test below.
fn in_child(order: &str) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "directories::the_child_of_other_tests",
        "--nocapture",
        "--test-threads=1",
    ]);
    let output = child.env("BOWERBIRD_ORDER", order).output().unwrap();
    if !output.status.success() {
        return "killed".into();
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = text.lines().find_map(|line| line.split_once("answer: "));
    answer.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

/// Does what another test orders; on its own, nothing.
#[test]
fn the_child_of_other_tests() {
    let Ok(order) = std::env::var("BOWERBIRD_ORDER") else { return };
    let (what, path) = order.split_once(' ').unwrap();
    if what == "read" {
        let db = Db::open_read_only(path).unwrap();
        assert_eq!(db.snapshot().len(), 2);
        // A kill without warning: nothing is dropped.
        std::process::abort();
    }
    if what == "create" {
        rustix::process::umask(rustix::fs::Mode::empty());
        on_disk(Path::new(path));
        println!("\nanswer: created");
        return;
    }
    match Db::open(path) {
        Ok(_) => println!("\nanswer: open"),
        Err(Error::Locked { .. }) => println!("\nanswer: Locked"),
        Err(error) => println!("\nanswer: {error}"),
    }
}

// Declared here for one test, since a whole crate for two functions of the C library is too much.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod c {
    unsafe extern "C" {
        pub(super) safe fn fork() -> i32;
        pub(super) safe fn _exit(code: i32) -> !;
        pub(super) fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    }

    /// How a child ended.
    pub(super) fn wait(pid: i32) -> i32 {
        let mut status = -1;
        // SAFETY: `status` is an `i32` of this frame, to which the call may write one.
        unsafe { waitpid(pid, &mut status, 0) };
        status
    }
}

/// Goal: a handle that crossed a fork cannot write, and the parent's goes on (I4).
// checks: I4
#[cfg(target_os = "linux")]
#[test]
fn a_forked_handle_cannot_write() {
    let place = tempfile::tempdir().unwrap();
    let path = on_disk(place.path());
    let options = Options::default().maintenance(Maintenance::Manual);
    let db = Db::open_with(&path, options).unwrap();
    let pid = c::fork();
    if pid == 0 {
        // Only what takes no memory: another thread may have held the allocator's lock.
        let forked = [db.flush().map(drop), db.sync(), db.compact(), db.batch().commit().map(drop)];
        c::_exit(i32::from(!forked.iter().all(|done| matches!(done, Err(Error::Forked)))));
    }
    assert_eq!(c::wait(pid), 0, "the child's handle did not say Forked");
    db.batch().put(Item::new(3u64)).commit().unwrap();
    assert!(matches!(Db::open(&path), Err(Error::Locked { .. })));
    drop(db);
    assert_eq!(Db::open(&path).unwrap().snapshot().len(), 3);
}

/// Goal: names that look like ours with numbers that we never reach are left alone (C8, S1), and do
/// not use up the numbers there are.
// checks: C8 S1
#[test]
fn a_file_with_the_largest_number_is_a_strangers() {
    let place = tempfile::tempdir().unwrap();
    let path = on_disk(place.path());
    let names = [
        "18446744073709551615.seg",
        "9223372036854775807.seg",
        "99999999999999999999.seg",
        // The last number that counting could reach: there would be none after it.
        "4611686018427387903.seg",
    ];
    for name in names {
        fs::write(path.join("segments").join(name), "").unwrap();
    }
    for at in 0..3u64 {
        let db = Db::open(&path).unwrap();
        db.batch().put(Item::new(10 + at)).commit().unwrap();
        assert_eq!(db.verify().unwrap().strangers.len(), names.len());
        db.close().unwrap();
    }
    assert_eq!(Db::open(&path).unwrap().snapshot().len(), 5);
    assert!(names.iter().all(|name| path.join("segments").join(name).exists()));
}

/// A directory behind an `Arc` is what several handles of one process share.
#[test]
fn empty_and_foreign_directories_are_told_apart() {
    let place = tempfile::tempdir().unwrap();
    refused("missing", Db::open(place.path()).map(drop));
    assert!(Db::open(place.path().join("none")).is_err());
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    refused("foreign", Db::create(place.path(), Schema::new()).map(drop));
    fs::write(place.path().join("file"), "").unwrap();
    assert!(Db::create(place.path().join("file"), Schema::new()).is_err());
    let path = on_disk(place.path());
    let again = Db::create(&path, Schema::new());
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    let dir: Arc<dyn io::Dir> = Arc::new(Disk::at(&path).unwrap());
    let db = Db::open_in(dir.clone(), Options::default()).unwrap();
    assert!(matches!(Db::open_in(dir, Options::default()), Err(Error::Locked { .. })));
    drop(db);
}

/// Goal: a field that no item of a segment has is no damage when it is merged with one that has it;
/// merging tags once failed so. Method: one batch with every field, one with none, both orders, on
/// the heap and on disk.
// checks: A1 C6
#[test]
fn segments_with_and_without_a_field_merge() {
    let full = |id: u64| {
        let item = Item::new(id).attr("live", true).attr("year", 1).attr("price", 1.5);
        let item = item.attr("brand", "a").attr("genre", ["b", "c"]).attr("title", "d");
        ["cosine", "dot", "half", "int8", "sign"].iter().fold(item, |i, s| i.vector(s, [1.0; 3]))
    };
    for (first, second) in [(full(1), Item::new(2u64)), (Item::new(1u64), full(2))] {
        for flushed in [false, true] {
            let db = small(KeyKind::Id);
            for item in [first.clone(), second.clone()] {
                db.batch().put(item).commit().unwrap();
                if flushed {
                    db.flush().unwrap();
                }
            }
            db.compact().unwrap();
            let fields = [db.snapshot().get(&Key::Id(1)), db.snapshot().get(&Key::Id(2))]
                .map(|item| item.unwrap().unwrap().attrs.len());
            assert_eq!(fields, [first.attrs.len(), second.attrs.len()]);
        }
    }
}

/// Goal: what is in a directory is data (S2), and is read only as what it was saved as. Method: open
/// an artifact as another kind and in another format; and look for the doors through which bytes
/// become code in the sources, where there are none.
// checks: S2
#[test]
fn artifacts_are_data_and_nothing_is_executed() {
    struct Saver<const FORMAT: u16>;
    impl<const FORMAT: u16> Artifact for Saver<FORMAT> {
        const KIND: &'static str = "program";
        const FORMAT: u16 = FORMAT;
        fn save(&self, out: &mut Saved) -> Result<()> {
            out.section(0, b"#!/bin/sh\nexit 1\n")
        }
        fn open(_: &Opened) -> Result<Self> {
            Ok(Saver)
        }
    }
    struct Other;
    impl Artifact for Other {
        const KIND: &'static str = "other";
        const FORMAT: u16 = 1;
        fn save(&self, _: &mut Saved) -> Result<()> {
            Ok(())
        }
        fn open(_: &Opened) -> Result<Other> {
            panic!("bytes of another kind were handed over")
        }
    }
    let db = small(KeyKind::Id);
    let version = db.publish("a", &Saver::<1>, Provenance::default()).unwrap();
    db.activate("a", version).unwrap();
    refused("another kind", db.snapshot().artifact::<Other>("a").map(drop));
    let newer = db.snapshot().artifact::<Saver<2>>("a").map(drop);
    assert!(matches!(newer, Err(Error::Incompatible { .. })), "{newer:?}");
    assert!(db.snapshot().artifact::<Saver<1>>("a").is_ok());

    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // The one door to code: the host program names a library to it, never a directory.
            if path.ends_with("model/ranker/plugin/library.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for door in ["process::Command", "dlopen", "libloading", "map_exec", "execv", "asm!"] {
                assert!(!text.contains(door), "{path:?} names {door}");
            }
        }
    }
}
