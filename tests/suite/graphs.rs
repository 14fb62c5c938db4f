//! Graphs as files: found, built beside everything else, and never missed when they are lost.

use bowerbird::{
    io::{
        Memory,
        fault::{Failure, Fault},
    },
    *,
};
use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual).graph_rows_min(50)
}

fn schema() -> Schema {
    Schema::new().space("v", 4, Metric::Dot).space_as("bits", 8, Metric::Dot, Encoding::Binary)
}

fn vector(n: u64) -> [f32; 4] {
    [1, 2, 3, 4].map(|i| ((n * 7919 + i * 104_729) % 1009) as f32 / 1009.0)
}

fn put(db: &Db, ids: std::ops::Range<u64>) {
    let mut batch = db.batch();
    for n in ids {
        batch.put(Item::new(n).vector("v", vector(n)).vector("bits", [1.0; 8]));
    }
    batch.commit().unwrap();
}

/// Two hundred items on disk, and no graph yet.
fn filled(dir: &Fault) -> Db {
    let db = Db::create_in(Arc::new(dir.clone()), schema(), manual()).unwrap();
    put(&db, 0..200);
    db.flush().unwrap();
    db
}

fn open(dir: &Fault, options: Options) -> Result<Db> {
    Db::open_in(Arc::new(dir.clone()), options)
}

fn derived(dir: &Fault) -> Vec<String> {
    dir.paths().into_iter().filter(|path| path.starts_with("derived/")).collect()
}

/// Graphs there, and graphs owed.
fn counts(db: &Db) -> (usize, usize) {
    let stats = db.stats();
    (stats.graph_parts, stats.debt.unindexed_parts)
}

/// Whether all items are found, with and without a search.
fn check(db: &Db, items: u64) {
    let snapshot = db.snapshot();
    for n in 0..items {
        let item = snapshot.get(&n.into()).unwrap().unwrap();
        assert_eq!(item.vectors[0].1, vector(n));
    }
    assert_eq!(snapshot.near("v", &vector(7)).limit(20).run().unwrap().len(), 20);
    assert!(db.verify().unwrap().is_sound());
}

/// Goal: a graph is built when it is asked for, kept, and not missed when it is gone.
/// Method: build one, reopen, compare the file; remove it, ask, build it again; the same in a copy.
// checks: V6
#[test]
fn graphs_are_built_once_kept_and_not_missed() {
    let dir = Fault::new();
    let db = filled(&dir);
    assert_eq!((derived(&dir).len(), counts(&db), db.stats().debt.is_none()), (0, (0, 1), false));
    db.index().unwrap();
    check(&db, 200);
    let files = derived(&dir);
    assert_eq!((files.len(), counts(&db)), (1, (1, 0)), "none for bits: {files:?}");
    assert!(files[0].ends_with(".000000.graph"), "{files:?}");
    assert!(db.stats().debt.is_none());
    let bytes = dir.read_file(&files[0]);
    drop(db);
    let db = open(&dir, manual()).unwrap();
    db.index().unwrap();
    assert!(db.maintain().unwrap().is_none());
    assert_eq!((counts(&db), dir.read_file(&files[0])), ((1, 0), bytes), "adopted, not built");
    let copy = Fault::new();
    db.checkpoint_in(&copy, &mut Progress::silent()).unwrap();
    drop(db);
    dir.remove_file(&files[0]);
    for lost in [dir, copy] {
        let db = open(&lost, manual()).unwrap();
        assert_eq!(counts(&db), (0, 1));
        check(&db, 200);
        assert_eq!(db.maintain().unwrap(), Some(Chore::Indexed { rows: 200 }));
        assert_eq!((counts(&db), db.maintain().unwrap()), ((1, 0), None));
        check(&db, 200);
    }
}

/// Goal: only a graph that was made from this segment, in this style, is used; others go.
#[test]
fn a_graph_that_does_not_fit_is_removed_and_strangers_stay() {
    let dir = Fault::new();
    let db = filled(&dir);
    db.index().unwrap();
    put(&db, 200..260);
    db.flush().unwrap();
    drop(db);
    let [path] = &derived(&dir)[..] else { panic!() };
    let bytes = dir.read_file(path);
    let next = dir.paths().into_iter().rfind(|path| path.ends_with(".seg")).unwrap();
    let number = next.trim_start_matches("segments/").trim_end_matches(".seg");
    for wrong in [
        format!("derived/{number}.000000.graph"),
        path.replace(".000000.", ".000001."),
        path.replace(".000000.", ".000077."),
        "derived/000099.000000.graph".into(),
        format!("{path}.tmp"),
    ] {
        dir.write_file(&wrong, bytes.clone());
    }
    dir.write_file("derived/mine.graph", bytes.clone());
    let db = open(&dir, manual()).unwrap();
    assert_eq!(derived(&dir), [path.as_str(), "derived/mine.graph"]);
    assert_eq!(counts(&db), (1, 1));
    assert_eq!(db.verify().unwrap().strangers, ["derived/mine.graph"]);
    drop(db);
    dir.remove_file("derived/mine.graph");
    // Files are the same whether they may have rows in memory or not.
    let db = open(&dir, manual().graphs(Graphs::Compact)).unwrap();
    assert_eq!((derived(&dir).len(), counts(&db)), (1, (1, 1)));
    db.index().unwrap();
    assert_eq!(counts(&db), (2, 0));
    check(&db, 260);
    drop(db);
    let reader = |graphs| {
        let options = manual().graphs(graphs);
        counts(&Db::open_read_only_in(Arc::new(dir.clone()), options).unwrap()).0
    };
    assert_eq!([Graphs::Fast, Graphs::Compact, Graphs::Off].map(reader), [2, 2, 0]);
    let db = open(&dir, manual().graphs(Graphs::Off)).unwrap();
    db.index().unwrap();
    assert_eq!((derived(&dir).len(), counts(&db)), (0, (0, 0)));
    check(&db, 260);
}

/// Goal: two spaces that look the same do not take each other's graphs.
// checks: C3
#[test]
fn a_graph_of_another_space_does_not_fit() {
    let dir = Fault::new();
    let schema = Schema::new().space("a", 4, Metric::Dot).space("b", 4, Metric::Dot);
    let db = Db::create_in(Arc::new(dir.clone()), schema, manual()).unwrap();
    let mut batch = db.batch();
    for n in 0..60 {
        batch.put(Item::new(n).vector("a", vector(n)).vector("b", vector(n + 60)));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    db.index().unwrap();
    drop(db);
    let [a, b] = &derived(&dir)[..] else { panic!() };
    let (bytes_a, bytes_b) = (dir.read_file(a), dir.read_file(b));
    dir.write_file(a, bytes_b);
    dir.write_file(b, bytes_a);
    let db = open(&dir, manual()).unwrap();
    assert_eq!((counts(&db), derived(&dir).len()), ((0, 1), 0));
}

/// Goal: damage to a graph is reported, and repaired where that was asked for.
// checks: C4
#[test]
fn a_damaged_graph_is_an_error_or_is_built_again() {
    let dir = Fault::new();
    let db = filled(&dir);
    db.index().unwrap();
    drop(db);
    let path = derived(&dir)[0].clone();
    let mut bytes = dir.read_file(&path);
    bytes[70] ^= 4;
    dir.write_file(&path, bytes.clone());
    let opened = open(&dir, manual());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
    let report = verify_dir(&dir).unwrap();
    assert_eq!((report.faults.len(), &report.faults[0].path), (1, &path));
    let db = open(&dir, manual().rebuild_derived(true)).unwrap();
    assert_eq!(counts(&db), (0, 1));
    db.index().unwrap();
    check(&db, 200);
    assert!(dir.read_file(&path) != bytes);
}

/// Goal: nothing waits for a build: no commit, flush, merge, or other chore.
/// Method: do all of these while a build of another thread stands still.
#[test]
fn commits_flushes_and_merges_go_on_during_a_build() {
    let dir = Fault::new();
    let db = filled(&dir);
    let (begun, wait_until_begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let ours = db.clone();
        scope.spawn(move || {
            let mut first = true;
            let mut stand_still = |_, _| {
                if std::mem::replace(&mut first, false) {
                    begun.send(()).unwrap();
                    wait.recv().unwrap();
                }
                true
            };
            ours.index_with(&mut Progress::to(&mut stand_still)).unwrap();
        });
        wait_until_begun.recv().unwrap();
        put(&db, 200..210);
        db.flush().unwrap();
        db.add_space("more", 2, Metric::L2, Encoding::F32).unwrap();
        db.sync().unwrap();
        assert_eq!(db.maintain().unwrap(), None, "somebody else is building");
        assert_eq!(counts(&db), (0, 1));
        // A second builder waits for the first, and may be told not to.
        let impatient = db.index_with(&mut Progress::to(|_, _| false));
        assert!(matches!(impatient, Err(Error::Cancelled)), "{impatient:?}");
        check(&db, 210);
        // Now the part goes away: what is being built is of no use.
        db.compact().unwrap();
        go_on.send(()).unwrap();
    });
    while db.maintain().unwrap().is_some() {}
    assert_eq!((derived(&dir).len(), counts(&db)), (1, (1, 0)));
    check(&db, 210);
    drop(db);
    let db = open(&dir, manual()).unwrap();
    assert_eq!(counts(&db), (1, 0), "the graph is that of the new part");
}

/// Goal: rows that die during a build stay dead.
#[test]
fn what_dies_during_a_build_stays_dead() {
    let db = filled(&Fault::new());
    let mut kill = |_, _| {
        db.batch().delete(3u64).commit().unwrap();
        true
    };
    db.index_with(&mut Progress::to(&mut kill)).unwrap();
    assert_eq!(counts(&db), (1, 0));
    assert!(db.snapshot().get(&3u64.into()).unwrap().is_none());
    let found = db.snapshot().near("v", &vector(3)).limit(200).run().unwrap();
    assert!(found.len() == 199 && found.iter().all(|hit| hit.key != Key::Id(3)));
}

/// Goal: a graph may hold something of every vector, so what was erased goes from it too (D5).
/// Method: erase an item of an indexed part, before and during a build; the old file must be gone.
#[test]
fn what_was_erased_is_in_no_graph() {
    for during in [false, true] {
        let dir = Fault::new();
        let db = filled(&dir);
        let erase = || {
            if db.snapshot().get(&3u64.into()).unwrap().is_some() {
                db.batch().erase_item(3u64).commit().unwrap();
            }
        };
        let mut told = |_, _| {
            during.then(erase);
            true
        };
        db.index_with(&mut Progress::to(&mut told)).unwrap();
        let old = derived(&dir);
        assert_eq!(old.len(), 1);
        erase();
        while db.maintain().unwrap().is_some() {}
        let new = derived(&dir);
        assert_eq!((new.len(), counts(&db)), (1, (1, 0)));
        assert_ne!(new, old, "during a build: {during}");
        assert!(dir.files().iter().all(|(path, _)| !old.contains(path)));
    }
}

#[test]
fn a_cancelled_build_leaves_nothing() {
    let dir = Fault::new();
    let db = filled(&dir);
    let before = dir.paths();
    let cancelled = db.index_with(&mut Progress::to(|_, _| false));
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    assert_eq!((dir.paths(), counts(&db)), (before, (0, 1)));
    assert_eq!(db.stats().maintenance_error, None, "who cancels need not be told");
    db.index().unwrap();
    assert_eq!(counts(&db), (1, 0));
}

/// Goal: graphs go with their space, also one that is being built.
#[test]
fn a_dropped_space_takes_its_graphs_along() {
    for during in [false, true] {
        let dir = Fault::new();
        let db = filled(&dir);
        let mut drop_it = |_, _| {
            if during && db.snapshot().schema().find_space("v").is_ok() {
                db.drop_space("v").unwrap();
            }
            true
        };
        db.index_with(&mut Progress::to(&mut drop_it)).unwrap();
        if !during {
            assert_eq!(counts(&db), (1, 0));
            db.drop_space("v").unwrap();
        }
        while db.maintain().unwrap().is_some() {}
        assert_eq!((derived(&dir).len(), counts(&db)), (0, (0, 0)), "during a build: {during}");
        drop(db);
        assert_eq!(counts(&open(&dir, manual()).unwrap()), (0, 0));
    }
}

/// Goal: a reader uses graphs that are there, or come, and builds none.
// checks: C8
#[test]
fn a_reader_takes_up_graphs_and_builds_none() {
    let dir = Fault::new();
    let db = filled(&dir);
    let reader = Db::open_read_only_in(Arc::new(dir.clone()), manual()).unwrap();
    assert!(matches!(reader.index(), Err(Error::ReadOnly)));
    assert_eq!((counts(&reader), derived(&dir).len()), ((0, 0), 0));
    db.index().unwrap();
    assert_eq!(counts(&reader), (0, 0));
    assert!(!reader.refresh().unwrap(), "no commit");
    assert_eq!(counts(&reader), (1, 0));
    check(&reader, 200);
    // The writer merges; the old graph serves the reader until it looks again.
    put(&db, 200..300);
    db.compact().unwrap();
    check(&reader, 200);
    assert!(reader.refresh().unwrap());
    assert_eq!(counts(&reader), (0, 0));
    db.index().unwrap();
    put(&db, 300..301);
    assert!(reader.refresh().unwrap());
    assert_eq!(counts(&reader), (1, 0));
    check(&reader, 301);
}

/// Goal: a build that fails is reported, keeps nothing else from being done, and is tried again later.
// checks: A2
#[test]
fn a_failed_build_is_reported_and_rests() {
    let dir = Fault::new();
    let db = filled(&dir);
    db.add_space("w", 2, Metric::L2, Encoding::F32).unwrap();
    let mut batch = db.batch();
    for n in 300..360u64 {
        batch.put(Item::new(n).vector("w", [n as f32, 1.0]));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    assert_eq!(counts(&db), (0, 2));
    dir.fail_at(dir.all_calls(), Failure::Enospc, true);
    let failed = db.maintain();
    assert!(matches!(failed, Err(Error::NoSpace { .. })), "{failed:?}");
    dir.heal();
    assert!(db.stats().maintenance_error.is_some());
    // The other one is built; the first has to wait, unless somebody insists.
    assert_eq!(db.maintain().unwrap(), Some(Chore::Indexed { rows: 60 }));
    assert_eq!((db.maintain().unwrap(), counts(&db)), (None, (1, 1)));
    assert!(db.stats().maintenance_error.is_some());
    db.index().unwrap();
    assert_eq!((counts(&db), db.stats().maintenance_error), ((2, 0), None));
}

/// Goal: by default a thread builds graphs, and ends with the handle, whatever it is doing.
#[test]
fn a_thread_builds_graphs_and_ends_with_the_handle() {
    let options = Options::default().graph_rows_min(50);
    let dir = Memory::new();
    let db = Db::create_in(Arc::new(dir.clone()), schema(), options.clone()).unwrap();
    put(&db, 0..200);
    db.flush().unwrap();
    let begun = Instant::now();
    while !db.stats().debt.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", db.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counts(&db), (1, 0));
    drop(db);
    for round in 0..5 {
        let db = Db::open_in(Arc::new(dir.clone()), options.clone()).unwrap();
        put(&db, 0..5000);
        db.compact().unwrap();
        std::thread::sleep(Duration::from_millis(round * 90));
        let begun = Instant::now();
        drop(db);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let db = Db::open_in(Arc::new(dir.clone()), manual()).unwrap();
        check(&db, 5000);
        let names = bowerbird::io::Dir::list(&dir, "derived").unwrap();
        let whole = |name: &String| name.ends_with(".graph") || name.ends_with(".seed");
        assert!(names.iter().all(whole), "{names:?}");
    }
}

#[test]
fn options_of_graphs_that_cannot_work_are_refused() {
    for threads in [0, 257] {
        let options = manual().build_threads(threads);
        let made = Db::create_in(Arc::new(Memory::new()), schema(), options);
        assert!(matches!(made, Err(Error::Invalid { .. })), "{made:?}");
    }
}
