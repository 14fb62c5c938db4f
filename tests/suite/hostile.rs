//! Inputs that cannot work, names that lead elsewhere, directories that lie: typed errors, no effect.

#![allow(clippy::disallowed_methods)]

use bowerbird::{io::Disk, limits::*, *};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

fn schema(keys: KeyKind) -> Schema {
    Schema::new()
        .keys(keys)
        .space("cosine", 3, Metric::Cosine)
        .space("dot", 3, Metric::Dot)
        .space_as("half", 3, Metric::L2, Encoding::F16)
        .space_as("int8", 3, Metric::Dot, Encoding::I8)
        .space_as("sign", 3, Metric::Cosine, Encoding::Binary)
        .attr("live", AttrType::Bool)
        .attr("year", AttrType::Int)
        .attr("price", AttrType::Float)
        .attr("brand", AttrType::Tag)
        .attr("genre", AttrType::Tags)
        .attr("title", AttrType::Text)
        .event("view")
}

fn small(keys: KeyKind) -> Db {
    Db::in_memory(schema(keys)).unwrap()
}

/// Asserts that an error names what is wrong as the caller's fault, and says something.
fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    match result {
        Err(Error::Invalid { .. } | Error::NotFound { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Goal: a vector that cannot be scored is never stored nor asked for, and names its place in the
/// batch; one that can be is, however odd (L1, L3). Method: a table, over all spaces.
// checks: L1 L3
#[test]
fn vectors_are_finite_and_fit_or_are_refused() {
    let db = small(KeyKind::Id);
    let spaces = ["cosine", "dot", "half", "int8", "sign"];
    for space in spaces {
        let mut bad: Vec<Vec<f32>> = BAD.iter().map(|x| vec![0.5, *x, 1.0]).collect();
        bad.extend([vec![], vec![1.0; 2], vec![1.0; 4], vec![1e38, 1.0, 1.0], vec![f32::MAX; 3]]);
        if matches!(space, "cosine" | "sign") {
            bad.extend([vec![0.0; 3], vec![-0.0; 3]]);
        }
        for vector in bad {
            let what = format!("{space} {vector:?}");
            let mut batch = db.batch();
            batch.put(Item::new(1u64)).put(Item::new(2u64).vector(space, vector.clone()));
            let error = batch.commit().unwrap_err();
            assert!(error.to_string().contains("operation 1"), "{what}: {error}");
            let snapshot = db.snapshot();
            refused(&what, snapshot.near(space, &vector).run());
            refused(&what, snapshot.near("dot", &[1.0; 3]).also(space, &vector, 1.0).run());
            refused(&what, snapshot.examples(space, &[Like::vector(vector, 1.0)]).run());
            assert_eq!((snapshot.len(), snapshot.seq()), (0, Seq(0)), "{what}");
        }
    }
    let odd = [
        [f32::MIN_POSITIVE, 0.0, -0.0],
        [f32::from_bits(1), 0.0, 0.0],
        [60_000.0, -60_000.0, 1e-30],
        [-0.0, -0.0, 1.0],
    ];
    for (id, vector) in (0u64..).zip(odd) {
        let item = spaces.iter().fold(Item::new(id), |item, space| item.vector(space, vector));
        db.batch().put(item).commit().unwrap();
    }
    for space in spaces {
        for query in odd {
            let hits = db.snapshot().near(space, &query).run().unwrap();
            assert!(hits.len() == 4 && hits.iter().all(|hit| hit.score.is_finite()), "{hits:?}");
        }
    }
}

/// Goal: sums of weights never leave the finite, and equal scores are ordered by key (L3).
// checks: L1 L3
#[test]
fn weights_and_limits_at_their_ends_are_refused_or_finite() {
    let db = small(KeyKind::Id);
    for id in [0, 1, u64::MAX - 1, u64::MAX] {
        db.batch()
            .put(Item::new(id).vector("dot", [COMPONENT_MAX; 3]).attr("brand", "a"))
            .commit()
            .unwrap();
    }
    let snapshot = db.snapshot();
    let near = || snapshot.near("dot", &[COMPONENT_MAX; 3]);
    for weight in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 0.0, -0.0] {
        let hits = near().also("dot", &[COMPONENT_MAX; 3], weight).run().unwrap();
        assert!(hits.iter().all(|hit| hit.score.is_finite()), "{weight}: {hits:?}");
        let keys: Vec<_> = hits.iter().map(|hit| hit.key.clone()).collect();
        assert_eq!(keys, [0, 1, u64::MAX - 1, u64::MAX].map(Key::Id), "{weight}");
        let examples = [Like::item(0u64, weight), Like::item(u64::MAX, weight)];
        match snapshot.examples("dot", &examples).run() {
            Ok(hits) => assert!(hits.iter().all(|hit| hit.score.is_finite()), "{weight}"),
            Err(error) => refused::<()>("examples", Err(error)),
        }
    }
    for weight in BAD {
        refused("also", near().also("dot", &[1.0; 3], weight).run());
        refused("examples", snapshot.examples("dot", &[Like::item(0u64, weight)]).run());
    }
    for number in [0, usize::MAX, LIMIT_MAX + 1] {
        refused("limit", near().limit(number).run());
        refused("threads", near().threads(number).run());
        refused("group", near().group_by("brand", number).run());
        refused("history", snapshot.history(UserId(1), &HistoryQuery::default().limit(number)));
        refused("item history", snapshot.item_history(&Key::Id(1), Timestamp::MAX, number));
    }
    assert_eq!(near().limit(LIMIT_MAX).threads(THREADS_MAX).run().unwrap().len(), 4);
    refused("no examples", snapshot.examples("dot", &[]).run());
    let many = vec![Like::vector([1.0; 3], 1.0); EXAMPLES_MAX + 1];
    refused("too many examples", snapshot.examples("dot", &many).run());
    refused("no such item", snapshot.like("dot", 17u64).run());
    refused("no such vector", snapshot.like("half", 0u64).run());
    let all_weights = [Like::item(0u64, 1.0), Like::item(1u64, -1.0)];
    refused("cancelled out", snapshot.examples("half", &all_weights).run());
    assert_eq!(snapshot.keys(&Where::all(), 0).unwrap(), []);
    assert_eq!(snapshot.keys(&Where::all(), usize::MAX).unwrap().len(), 4);
}

/// Goal: every key that fits is its own item, byte for byte; others are refused (L1, L2).
// checks: L1 L2
#[test]
fn keys_are_kept_exactly_or_refused() {
    let db = small(KeyKind::Name);
    let long = "x".repeat(KEY_BYTES_MAX);
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "\0",
        "a\0b",
        "..",
        "/",
        "../../etc/passwd",
        "CON",
        "NUL",
        "a:b",
        "a\\b",
        "\u{fdd0}",
        "\u{202e}abc",
        "e\u{301}",
        "\u{e9}",
        "\u{1f4a9}",
        "\n",
        "%s%n",
        "'; --",
        &long,
    ];
    for (at, name) in (0i64..).zip(names) {
        db.batch()
            .put(Item::new(name).attr("year", at))
            .event(Event::new(1, name, "view", Timestamp(at)))
            .commit()
            .unwrap();
    }
    db.flush().unwrap();
    let snapshot = db.snapshot();
    assert_eq!(snapshot.len(), names.len() as u64);
    for (at, name) in (0i64..).zip(names) {
        let item = snapshot.get(&name.into()).unwrap().unwrap();
        assert_eq!(item.get("year"), Some(&Value::Int(at)), "{name:?}");
        assert_eq!(snapshot.item_history(&name.into(), Timestamp::MAX, 9).unwrap().len(), 1);
    }
    let too_long = format!("{long}x");
    for key in [Key::from(""), too_long.as_str().into(), Key::Id(1)] {
        refused("put", db.batch().put(Item::new(&key)).commit());
        refused("delete", db.batch().delete(&key).commit());
        refused("erase", db.batch().erase_item(&key).commit());
        refused("event", db.batch().event(Event::new(1, &key, "view", Timestamp(1))).commit());
        refused("get", snapshot.get(&key));
        refused("like", snapshot.like("dot", &key).run());
        refused("exclude", snapshot.near("dot", &[1.0; 3]).exclude([key.clone()]).run());
        refused("item history", snapshot.item_history(&key, Timestamp::MAX, 9));
    }
    refused("a name where keys are numbers", small(KeyKind::Id).batch().delete("a").commit());
    assert_eq!(db.snapshot().seq(), snapshot.seq());
}

/// Goal: attributes fit their type and limit, each field is known and set once; nothing of a batch
/// with one wrong operation stays (L1, A1).
// checks: L1 A1
#[test]
fn fields_that_do_not_fit_are_refused_with_their_batch() {
    let db = small(KeyKind::Id);
    let (long, tag) = ("x".repeat(TEXT_BYTES_MAX + 1), "x".repeat(TAG_BYTES_MAX + 1));
    let tags = |n: usize| Value::Tags((0..n).map(|n| n.to_string()).collect());
    let cases: Vec<(&str, Value)> = vec![
        ("none", 1.into()),
        ("", 1.into()),
        ("live", 1.into()),
        ("year", 1.5.into()),
        ("year", "1".into()),
        ("price", f64::NAN.into()),
        ("price", f64::INFINITY.into()),
        ("brand", tag.as_str().into()),
        ("brand", ["a", "b"].into()),
        ("genre", Value::Tags(vec![tag.clone()])),
        ("genre", tags(TAGS_MAX + 1)),
        ("title", long.as_str().into()),
        ("title", ["a"].into()),
    ];
    for (name, value) in cases {
        let mut batch = db.batch();
        batch.put(Item::new(1u64).attr("year", 1)).put(Item::new(2u64).attr(name, value));
        refused(name, batch.commit());
    }
    let twice = [
        Item::new(1u64).attr("year", 1).attr("year", 2),
        Item::new(1u64).vector("dot", [1.0; 3]).vector("dot", [1.0; 3]),
        Item::new(1u64).vector("none", [1.0; 3]),
    ];
    for item in twice {
        refused("a field twice or unknown", db.batch().put(item).commit());
    }
    for value in BAD {
        let event = Event::new(1, 1u64, "view", Timestamp(1)).value(value);
        refused("the value of an event", db.batch().event(event).commit());
    }
    refused("kind of event", db.batch().event(Event::new(1, 1u64, "none", Timestamp(1))).commit());
    assert_eq!((db.snapshot().len(), db.snapshot().seq()), (0, Seq(0)));
    let most = Item::new(1u64)
        .attr("genre", tags(TAGS_MAX))
        .attr("title", &long[1..])
        .attr("brand", &tag[1..]);
    db.batch().put(most.attr("price", -0.0)).commit().unwrap();
    let item = db.snapshot().get(&Key::Id(1)).unwrap().unwrap();
    assert!(matches!(item.get("price"), Some(Value::Float(x)) if x.is_sign_positive()));
    assert!(matches!(item.get("genre"), Some(Value::Tags(tags)) if tags.len() == TAGS_MAX));
    assert_eq!(db.batch().commit().unwrap(), Seq(1), "an empty batch is no commit");
    let mut huge = db.batch();
    for id in 0..=BATCH_OPS_MAX as u64 {
        huge.delete(id);
    }
    refused("a batch of too many operations", huge.commit());
    assert_eq!(db.snapshot().seq(), Seq(1));
}

/// Goal: any time is a time; windows and `as_of` saturate instead of wrapping.
// checks: L1 L2
#[test]
fn times_at_their_ends_are_times() {
    let db = small(KeyKind::Id);
    let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let mut batch = db.batch();
    for at in times {
        batch.event(Event::new(u64::MAX, u64::MAX, "view", Timestamp(at)));
    }
    batch.commit().unwrap();
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let snapshot = db.snapshot();
        for as_of in times {
            let known = times.iter().filter(|at| **at <= as_of).count();
            let query = HistoryQuery::default().as_of(Timestamp(as_of));
            let deeds =
                |query: &HistoryQuery| snapshot.history(UserId(u64::MAX), query).unwrap().deeds;
            assert_eq!(deeds(&query).len(), known);
            let seen = snapshot.item_history(&Key::Id(u64::MAX), Timestamp(as_of), 99).unwrap();
            assert_eq!(seen.len(), known);
            for window in [Duration::ZERO, ms(1), ms(2), ms(i64::MAX as u64), Duration::MAX] {
                let age = |at: i64| (i128::from(as_of) - i128::from(at)) as u128;
                let inside = |at: &&i64| **at <= as_of && age(**at) < window.as_millis();
                let expected = times.iter().filter(inside).count();
                let found = deeds(&query.clone().window(window)).len();
                assert_eq!(found, expected, "as of {as_of}, window {window:?}");
            }
        }
    }
}

/// Goal: a filter that cannot be is refused wherever one is taken; one at its limits works.
// checks: L1 C5
#[test]
fn filters_beyond_limits_or_types_are_refused() {
    let db = small(KeyKind::Id);
    db.batch().put(Item::new(1u64).attr("year", 1).vector("dot", [1.0; 3])).commit().unwrap();
    let deep = |n: usize| {
        let next = |w: Where, at: usize| match at % 2 {
            0 => w & attr("year").is(1),
            _ => w | attr("year").is(1),
        };
        (1..n).fold(attr("year").is(1), next)
    };
    let wide = |n: usize| (0..n).fold(Where::all(), |w, _| w | attr("year").is(1));
    let list = |n: usize| attr("year").is_in((0..n).map(|n| n as i64));
    let bad = [
        ("deep", deep(FILTER_DEPTH_MAX + 1)),
        ("very deep", deep(100_000)),
        ("long", list(FILTER_IN_MAX + 1)),
        ("unknown", attr("none").exists()),
        ("type", attr("year").is("a")),
        ("order of bools", attr("live").at_least(true)),
        ("order of tags", attr("genre").between("a", "b")),
        ("NaN", attr("price").is(f64::NAN)),
        ("infinite", attr("price").at_most(f64::INFINITY)),
        ("wide", !wide(FILTER_NODES_MAX + 1) & attr("year").exists()),
    ];
    let snapshot = db.snapshot();
    for (what, filter) in bad {
        refused(what, snapshot.keys(&filter, 9));
        refused(what, snapshot.count(&filter));
        refused(what, snapshot.near("dot", &[1.0; 3]).filter(filter).run());
    }
    for filter in [deep(FILTER_DEPTH_MAX), list(FILTER_IN_MAX)] {
        assert_eq!(snapshot.count(&filter).unwrap(), 1);
    }
}

/// Goal: names that are shown or become part of a path keep to their grammar (S1).
// checks: S1
#[test]
fn names_that_lead_elsewhere_are_refused() {
    struct Empty;
    impl Artifact for Empty {
        const KIND: &'static str = "empty";
        const FORMAT: u16 = 1;
        fn save(&self, _: &mut Saved) -> Result<()> {
            Ok(())
        }
        fn open(_: &Opened) -> Result<Empty> {
            Ok(Empty)
        }
    }
    let db = small(KeyKind::Id);
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let bad = [
        "", ".", "..", "a/b", "../a", "a\\b", "a:b", "CON", "a.b", "a@1", "a\0", "\u{e9}", " ",
        "A", &long,
    ];
    for name in bad {
        refused(name, db.publish(name, &Empty, Provenance::default()));
        refused(name, db.activate(name, 1));
    }
    assert_eq!(db.publish(&long[1..], &Empty, Provenance::default()).unwrap(), 1);
    let from = Provenance { parents: vec![("../a".into(), 1)], ..Provenance::default() };
    refused("parent", db.publish("a", &Empty, from));
    for name in ["", "a\n", "a\0", "\u{7f}", &long] {
        refused(name, db.add_space(name, 3, Metric::Dot, Encoding::F32));
        refused(name, db.add_attr(name, AttrType::Int));
        refused(name, db.add_event(name));
    }
    for dim in [0, DIM_MAX + 1, u32::MAX] {
        refused("dimension", db.add_space("new", dim, Metric::Dot, Encoding::F32));
    }
    refused("twice", db.add_space("dot", 3, Metric::Dot, Encoding::F32));
    db.add_space("../a/\u{1f4a9}", 3, Metric::Dot, Encoding::F32).unwrap();
    assert_eq!(db.snapshot().schema().spaces().len(), 6);
}

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
    child.args(["--exact", "hostile::the_child_of_other_tests", "--nocapture", "--test-threads=1"]);
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
    let names = ["18446744073709551615.seg", "9223372036854775807.seg", "99999999999999999999.seg"];
    for name in names {
        fs::write(path.join("segments").join(name), "").unwrap();
    }
    for at in 0..3u64 {
        let db = Db::open(&path).unwrap();
        db.batch().put(Item::new(10 + at)).commit().unwrap();
        assert_eq!(db.verify().unwrap().strangers.len(), 3);
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
            let text = fs::read_to_string(&path).unwrap();
            for door in ["process::Command", "dlopen", "libloading", "map_exec", "execv", "asm!"] {
                assert!(!text.contains(door), "{path:?} names {door}");
            }
        }
    }
}
