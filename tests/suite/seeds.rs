//! Seeds: what a graph grows from survives a restart, and a build that was cut short goes on.

use crate::fuzz_bodies::bodies::seal;
use bowerbird::{
    io::{Dir, Memory, fault::Fault},
    *,
};
use std::sync::Arc;

const DIM: usize = 8;

fn options() -> Options {
    Options::default()
        .maintenance(Maintenance::Manual)
        .graph_rows_min(50)
        .flush_bytes(8 << 20)
        .keep_every_step()
}

fn vector(n: u64) -> Vec<f32> {
    // No two are the same, or one of them would not be linked by what is near.
    let number = |i: u64| {
        let mixed = (n * DIM as u64 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)) >> 40) as f32
            / (1 << 24) as f32
            - 0.5
    };
    (0..DIM as u64).map(number).collect()
}

fn commit(db: &Db, ids: std::ops::Range<u64>) -> Result<Seq> {
    let mut batch = db.batch();
    for n in ids {
        batch.put(Item::new(n).vector("v", vector(n)));
    }
    batch.commit()
}

fn put(db: &Db, ids: std::ops::Range<u64>) {
    commit(db, ids).unwrap();
    db.flush().unwrap();
}

fn create(dir: Arc<dyn Dir>) -> Db {
    let schema = Schema::new().space("v", DIM as u32, Metric::L2);
    Db::create_in(dir, schema, options()).unwrap()
}

fn open(dir: &Fault) -> Db {
    Db::open_in(Arc::new(dir.clone()), options()).unwrap()
}

fn ending(dir: &Fault, ending: &str) -> Vec<String> {
    dir.paths().into_iter().filter(|path| path.ends_with(ending)).collect()
}

/// The only graph, but for what says which file it is.
fn graph(dir: &Fault) -> Vec<Vec<u8>> {
    let [path] = &ending(dir, ".graph")[..] else { panic!("{:?}", dir.paths()) };
    let envelope = seal::Envelope::open(&dir.read_file(path)).unwrap();
    let origin = 70;
    envelope.sections.into_iter().filter(|s| s.0 != origin).map(|s| s.2).collect()
}

/// Builds until it was asked so many times whether to go on; says whether it was done before, and how
/// often it was asked, which tells how much work it was.
fn index(db: &Db, most: usize) -> (bool, usize) {
    let mut asked = 0;
    let mut told = |_, _| {
        asked += 1;
        asked <= most
    };
    let done = match db.index_with(&mut Progress::to(&mut told)) {
        Ok(()) => true,
        Err(Error::Cancelled) => false,
        Err(error) => panic!("{error}"),
    };
    (done, asked)
}

/// Answers are exact where no graph is, and all that is there is found.
fn check(db: &Db, items: u64) {
    let snapshot = db.snapshot();
    assert_eq!(snapshot.len(), items);
    for n in (0..items).step_by(37) {
        let hits = snapshot.near("v", &vector(n)).limit(5).exact().run().unwrap();
        assert!(hits[0].key == Key::Id(n) || hits[0].score == hits[1].score, "{n}: {hits:?}");
    }
    let report = snapshot.measure_recall("v", 50).run().unwrap();
    assert!(report.recall > 0.95, "{report:?}");
    assert!(db.verify().unwrap().is_sound());
}

/// Two parts, one with a graph, merged into one without.
fn merged(dir: &Fault) -> Db {
    let db = create(Arc::new(dir.clone()));
    put(&db, 0..400);
    assert!(index(&db, usize::MAX).0);
    put(&db, 400..500);
    db.compact().unwrap();
    assert_eq!((ending(dir, ".seed").len(), ending(dir, ".graph").len()), (1, 0));
    db
}

/// Goal: a build that was cut short, again and again, ends with the graph that it would have had, and
/// each time has less to do. Method: cancel builds after any number of questions, and open the
/// directory anew; from nothing and from a seed.
#[test]
fn a_build_that_was_cut_short_goes_on_to_the_same_bytes() {
    for seeded in [false, true] {
        let begun = Fault::new();
        match seeded {
            true => drop(merged(&begun)),
            false => put(&create(Arc::new(begun.clone())), 0..500),
        }
        let whole = begun.fork();
        let (_, work) = index(&open(&whole), usize::MAX);
        assert_eq!(ending(&whole, ".seed").len(), 0, "it goes when the graph is there");
        let expected = graph(&whole);
        let mut rests = vec![work];
        for at in [1, work / 5, work / 2, work - 3] {
            let dir = begun.fork();
            assert!(!index(&open(&dir), at).0);
            assert_eq!(ending(&dir, ".graph").len(), 0);
            // A writer keeps what it finds, and answers without it.
            check(&open(&dir), 500);
            rests.push(index(&open(&dir), usize::MAX).1);
            assert!(graph(&dir) == expected, "cut at {at} of {work}");
            assert_eq!(ending(&dir, ".seed").len(), 0);
            check(&open(&dir), 500);
        }
        // The later it was cut, the less is left; what comes after the last step is always to be done.
        assert!(rests.is_sorted_by(|a, b| a >= b) && rests[4] < rests[1], "{rests:?}");
        assert!(seeded || rests[4] * 2 < work, "{rests:?}");
        // Again and again, a little farther each time.
        let (dir, mut times) = (begun.fork(), 0);
        while !index(&open(&dir), 16 + 4 * times).0 {
            times += 1;
        }
        assert!(graph(&dir) == expected && times >= 3, "cut {times} times");
    }
}

/// Goal: what a merge left for the next graph is there after a restart, also after another merge.
#[test]
fn a_seed_survives_a_restart_and_the_next_merge() {
    let dir = Fault::new();
    let db = merged(&dir);
    let other = dir.fork();
    let (_, work) = index(&db, usize::MAX);
    let expected = graph(&dir);
    drop(db);
    let db = open(&other);
    assert_eq!(ending(&other, ".seed").len(), 1);
    assert_eq!((index(&db, usize::MAX).1, graph(&other)), (work, expected));
    // From nothing it is more work.
    let bare = Fault::new();
    put(&create(Arc::new(bare.clone())), 0..500);
    let (_, nothing) = index(&open(&bare), usize::MAX);
    assert!(work * 4 < nothing * 3, "{work} of {nothing}");
    // Merged again before the graph is built, and in between closed.
    put(&db, 500..530);
    db.compact().unwrap();
    drop(db);
    let db = open(&other);
    put(&db, 530..560);
    db.compact().unwrap();
    assert_eq!((ending(&other, ".seed").len(), ending(&other, ".graph").len()), (1, 0));
    drop(db);
    let db = open(&other);
    let (_, again) = index(&db, usize::MAX);
    assert!(again * 4 < nothing * 3, "{again} of {nothing}");
    check(&db, 560);
}

/// Goal: the same in memory, where nothing is ever closed.
#[test]
fn seeds_work_in_memory_too() {
    let dir = Memory::new();
    let db = create(Arc::new(dir.clone()));
    put(&db, 0..400);
    let (_, work) = index(&db, usize::MAX);
    put(&db, 400..440);
    db.compact().unwrap();
    assert_eq!(dir.list("derived").unwrap().len(), 1);
    let (done, some) = index(&db, 20);
    assert!(!done && dir.list("derived").unwrap()[0].ends_with(".seed"), "{some}");
    let (_, rest) = index(&db, usize::MAX);
    assert!(rest < work, "{rest} of {work}");
    check(&db, 440);
}

/// Goal: a seed costs no reader anything, and one whose graph or space is not wanted goes.
// checks: C8
#[test]
fn seeds_are_left_alone_by_readers_and_go_when_nobody_wants_them() {
    let dir = Fault::new();
    drop(merged(&dir));
    let [path] = &ending(&dir, ".seed")[..] else { panic!() };
    let bytes = dir.read_file(path);
    let mut damaged = bytes.clone();
    damaged[80] ^= 1;
    dir.write_file(path, damaged);
    check_read(&dir);
    dir.write_file(path, bytes.clone());
    check_read(&dir);
    let without = |options: Options| {
        let dir = dir.fork();
        let db = Db::open_in(Arc::new(dir.clone()), options).unwrap();
        let seeds = ending(&dir, ".seed").len();
        drop(db);
        seeds
    };
    assert_eq!(without(options()), 1);
    assert_eq!(without(options().graphs(Graphs::Compact)), 1, "links serve either");
    assert_eq!(without(options().graphs(Graphs::Off)), 0);
    assert_eq!(without(options().graph_rows_min(501)), 0);
    // Of another segment, of another space, and beside its graph.
    for wrong in [path.replace("derived/", "derived/9"), path.replace(".000000.", ".000001.")] {
        dir.write_file(&wrong, bytes.clone());
    }
    let db = open(&dir);
    assert_eq!(ending(&dir, ".seed"), [path.as_str()]);
    assert!(index(&db, usize::MAX).0);
    drop(db);
    dir.write_file(path, bytes);
    assert_eq!((drop(open(&dir)), ending(&dir, ".seed").len()), ((), 0));
    let dir = Fault::new();
    let db = merged(&dir);
    db.drop_space("v").unwrap();
    while db.maintain().unwrap().is_some() {}
    assert_eq!(ending(&dir, ".seed").len(), 0);
}

fn check_read(dir: &Fault) {
    let (calls, paths) = (dir.calls(), dir.paths());
    let reader = Db::open_read_only_in(Arc::new(dir.clone()), options()).unwrap();
    assert_eq!(reader.snapshot().len(), 500);
    assert!(!reader.refresh().unwrap());
    assert_eq!((dir.calls(), dir.paths()), (calls, paths));
}

/// Goal: a graph that is damaged costs the next one its start, and never the merge (C4).
/// Method: a flipped bit where nothing looks when the database is opened.
// checks: C4
#[test]
fn a_damaged_graph_does_not_stop_a_merge() {
    let sound = Fault::new();
    let db = create(Arc::new(sound.clone()));
    put(&db, 0..9000);
    assert!(index(&db, usize::MAX).0);
    drop(db);
    let [path] = &ending(&sound, ".graph")[..] else { panic!() };
    let bytes = sound.read_file(path).len() as u64;
    assert!(bytes > 1 << 20);
    for mode in [IoMode::Mmap, IoMode::Pread] {
        let dir = sound.fork();
        dir.flip_bit(path, bytes * 4);
        let db = Db::open_in(Arc::new(dir.clone()), options().io_mode(mode)).unwrap();
        put(&db, 9000..9100);
        db.compact().unwrap();
        assert_eq!((ending(&dir, ".seed").len(), ending(&dir, ".graph").len()), (0, 0));
        assert_eq!(db.snapshot().len(), 9100);
        assert!(index(&db, usize::MAX).0 && db.verify().unwrap().is_sound());
    }
}

/// Goal: damage to a seed is reported, and the graph built from nothing where that was asked for (C4).
// checks: C4
#[test]
fn a_damaged_seed_is_an_error_or_is_done_without() {
    let dir = Fault::new();
    drop(merged(&dir));
    let [path] = &ending(&dir, ".seed")[..] else { panic!() };
    dir.flip_bit(path, dir.read_file(path).len() as u64 * 4);
    let opened = Db::open_in(Arc::new(dir.clone()), options());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
    let report = verify_dir(&dir).unwrap();
    assert_eq!((report.faults.len(), &report.faults[0].path), (1, path));
    let db = Db::open_in(Arc::new(dir.clone()), options().rebuild_derived(true)).unwrap();
    assert_eq!(ending(&dir, ".seed").len(), 0);
    assert!(index(&db, usize::MAX).0);
    check(&db, 500);
}

/// Goal: what was erased, or merged away, while its graph was built leaves no seed behind (D5).
/// Method: erase an item, merge, when some of the build was kept.
#[test]
fn a_build_whose_part_goes_away_leaves_no_seed_of_it() {
    let dir = Fault::new();
    let db = create(Arc::new(dir.clone()));
    put(&db, 0..300);
    let (mut first, mut asked) = (Vec::new(), 0);
    let mut merge = |_, _| {
        asked += 1;
        if asked == 60 {
            first = ending(&dir, ".seed");
            db.batch().erase_item(3u64).commit().unwrap();
            db.compact().unwrap();
        }
        true
    };
    db.index_with(&mut Progress::to(&mut merge)).unwrap();
    while db.maintain().unwrap().is_some() {}
    assert_eq!(first.len(), 1, "something was kept by then");
    assert_eq!((ending(&dir, ".seed").len(), ending(&dir, ".graph").len()), (0, 1));
    assert!(!dir.paths().contains(&first[0]));
    assert_eq!(db.snapshot().len(), 299);
}

/// Goal: a power failure at any moment of merging and building leaves a database that answers, and
/// whose graph ends with the same bytes (D5, A1). Method: cut before every call, and open some of what
/// can be left.
// checks: D5
#[test]
fn a_power_failure_at_any_moment_leaves_a_seed_or_none() {
    let steps = |dir: &Fault| -> Result<()> {
        let db = Db::open_in(Arc::new(dir.clone()), options())?;
        commit(&db, 60..80)?;
        db.compact()?;
        drop(db);
        Db::open_in(Arc::new(dir.clone()), options())?.index()
    };
    let begun = Fault::new();
    let db = create(Arc::new(begun.clone()));
    put(&db, 0..60);
    db.index().unwrap();
    drop(db);
    let whole = begun.fork();
    steps(&whole).unwrap();
    let (expected, calls) = (graph(&whole), whole.calls());
    let (mut seeds, mut states) = (0, 0);
    for call in 0..=calls {
        let dir = begun.fork();
        dir.cut_power_at(call);
        let _ = steps(&dir);
        for left in dir.survivors(call, 4) {
            let db = open(&left);
            let items = db.snapshot().len();
            assert!(items == 60 || items == 80, "call {call}: {items}");
            let hits = db.snapshot().near("v", &vector(7)).limit(3).exact().run().unwrap();
            assert_eq!(hits[0].key, Key::Id(7), "call {call}");
            seeds += ending(&left, ".seed").len();
            if items == 60 {
                put(&db, 60..80);
            }
            db.compact().unwrap();
            db.index().unwrap();
            assert_eq!(ending(&left, ".seed").len(), 0, "call {call}");
            assert!(graph(&left) == expected, "call {call}");
            assert!(db.verify().unwrap().is_sound(), "call {call}");
            states += 1;
        }
    }
    println!("{states} states, {seeds} with a seed");
    assert!(seeds > 20 && states > calls as usize, "{seeds} of {states}");
}
