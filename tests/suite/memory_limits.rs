//! Memory: the limit that callers set is kept, and hostile files do not get around it.

// A counting allocator cannot be written without; it adds numbers and leaves the rest to the system.
#![allow(unsafe_code)]

use bowerbird::{io::Memory, *};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

/// Counts what each thread holds; what is given back by another thread counts there.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // A thread that is ending has no numbers any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed on as it is, so what `System` promises holds; counting allocates
// nothing, since the thread's numbers are constants at first and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise about `layout` is the one asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: `place` came from `System` with this layout, since all come from there.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it moves, both are there.
        count(size as i64);
        count(-(layout.size() as i64));
        // SAFETY: as above, and the caller's promise about `size` is the one asked for.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The most bytes that this thread held while `run` ran, beyond what it held before.
pub(crate) fn peak_of<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let answer = run();
    (answer, u64::try_from(PEAK.get() - before).unwrap_or(0))
}

/// The bytes that this thread holds after `run`, beyond what it held before.
pub(crate) fn held_after<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    let answer = run();
    (answer, u64::try_from(HELD.get() - before).unwrap_or(0))
}

const LIMIT: u64 = 64 << 20;
const DIM: u32 = 1024;

fn small() -> Options {
    Options::default()
        .memory_limit_bytes(LIMIT)
        .flush_bytes(4 << 20)
        .maintenance(Maintenance::Manual)
        .durability(Durability::None)
        .io_mode(IoMode::Pread)
}

fn batch_of(db: &Db, ids: std::ops::Range<u64>) -> Result<Seq> {
    let mut batch = db.batch();
    for id in ids {
        batch.put(Item::new(id).vector("text", vec![id as f32 % 97.0 + 1.0; DIM as usize]));
    }
    batch.commit()
}

/// Goal: the heap stays below the limit however much is written, without anybody's housekeeping.
/// Method: import 96 MiB under a limit of 64 MiB, look after every batch, then read it all.
// checks: L1
#[test]
fn an_import_larger_than_the_memory_limit_stays_below_it() {
    let place = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("text", DIM, Metric::Dot);
    let db = Db::create_with(place.path().join("a.bower"), schema, small()).unwrap();
    let (per_batch, batches) = (512, 48);
    let mut most = 0;
    let (_, peak) = peak_of(|| {
        for at in 0..batches {
            batch_of(&db, at * per_batch..(at + 1) * per_batch).unwrap();
            most = most.max(db.stats().heap_bytes);
        }
    });
    println!("heap at most {most} bytes in stats, {peak} by the allocator");
    assert!(most <= LIMIT && peak <= LIMIT, "{most} {peak}");
    assert_eq!(db.snapshot().len(), per_batch * batches);
    let (hits, peak) =
        peak_of(|| db.snapshot().near("text", &[1.0; DIM as usize]).limit(3).run().unwrap());
    assert!(hits.len() == 3 && peak <= LIMIT, "{peak}");
}

/// Goal: a batch that cannot fit is refused without effect, and the handle goes on (A2).
/// Method: a batch of half the limit in vectors, then a small one.
// checks: A1 A2
#[test]
fn a_batch_beyond_the_memory_limit_has_no_effect() {
    let dir = Arc::new(Memory::new());
    let schema = Schema::new().space("text", DIM, Metric::Dot);
    let db = Db::create_in(dir.clone(), schema, small()).unwrap();
    batch_of(&db, 0..10).unwrap();
    let error = batch_of(&db, 10..8_010).unwrap_err();
    assert!(matches!(error, Error::MemoryLimit { limit: LIMIT, .. }), "{error}");
    assert!(error.to_string().contains("memory_limit_bytes"), "{error}");
    assert_eq!((db.snapshot().len(), db.snapshot().seq()), (10, Seq(1)));
    assert_eq!(batch_of(&db, 10..20).unwrap(), Seq(2));
    db.close().unwrap();
    let db = Db::open_in(dir, small()).unwrap();
    assert_eq!(db.snapshot().len(), 20);
    assert!(db.verify().unwrap().is_sound());
}

/// Goal: a WAL that was made longer than memory is an error, not the end of the process (C5).
/// Method: a hole of a terabyte at the end of the WAL and of each other file.
// checks: C5
#[test]
fn a_sparse_file_of_a_terabyte_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.bower");
    let schema = Schema::new().space("text", DIM, Metric::Dot);
    let db = Db::create_with(&path, schema, small()).unwrap();
    batch_of(&db, 0..10).unwrap();
    db.flush().unwrap();
    batch_of(&db, 10..20).unwrap();
    drop(db);
    for file in ["wal", "segments", ""] {
        let folder = path.join(file);
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let len = entry.metadata().unwrap().len();
            if !entry.file_type().unwrap().is_file() || entry.file_name() == "LOCK" {
                continue;
            }
            let resize = |len| {
                let file = std::fs::File::options().write(true).open(entry.path()).unwrap();
                file.set_len(len).unwrap();
            };
            resize(1 << 40);
            for mode in [IoMode::Pread, IoMode::Mmap] {
                let (opened, peak) =
                    peak_of(|| Db::open_read_only_with(&path, small().io_mode(mode)).map(drop));
                let error = opened.unwrap_err();
                assert!(peak <= LIMIT, "{:?}: {peak} bytes, {error}", entry.path());
            }
            assert!(!verify_dir(&io::Disk::at(&path).unwrap()).is_ok_and(|r| r.is_sound()));
            resize(len);
        }
    }
    assert_eq!(Db::open_with(&path, small()).unwrap().snapshot().len(), 20);
}

/// Goal: semantic IDs on the heap count, and stay below the limit with all else: the ones used last are
/// kept, others are computed again and are the same; a commit that needs the room gets it.
/// Method: IDs of a hundred thousand items by codebooks of eight levels, more of them than have room.
// checks: L1
#[test]
fn ids_on_the_heap_stay_below_the_memory_limit() {
    use bowerbird::semantic::{Codebook, Input, Level};
    let place = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("x", 1, Metric::Dot).space("text", DIM, Metric::Dot);
    let db = Db::create_with(place.path().join("a.bower"), schema, small()).unwrap();
    let items = 100_000u64;
    for from in (0..items).step_by(5000) {
        let mut batch = db.batch();
        (from..from + 5000).for_each(|id| {
            batch.put(Item::new(id).vector("x", vec![(id * 7919 % items) as f32]));
        });
        batch.commit().unwrap();
    }
    db.flush().unwrap();
    let before = db.stats().heap_bytes;
    let book = |shift: u64| {
        // A number below 2^17, three bits at a time.
        let level = |at: i32| {
            let (size, base) = (2f32.powi(14 - 3 * at), if at == 0 { 65_536 + shift } else { 0 });
            Level::new(1, (0..8).map(|code| (code as f32 - 3.5) * size + base as f32).collect())
        };
        let input = Input { normalize: false, ..Input::new("x", 1) };
        Codebook::new(vec![input], (0..8).map(level).collect()).unwrap()
    };
    let ids = |version: u32| {
        let trie = db.snapshot().trie_version("sid", version, &Where::all()).unwrap();
        let ids: Vec<_> = trie.items(&trie.root()).filter_map(|addr| trie.id(addr)).collect();
        assert_eq!(ids.len() as u64, items);
        ids
    };
    let mut first = Vec::new();
    let (mut most, mut counted) = (0, 0);
    for at in 0..12 {
        let version = db.publish("sid", &book(at), Provenance::default()).unwrap();
        let said = ids(version);
        if at == 0 {
            first = said;
            counted = db.stats().heap_bytes - before;
            assert!(counted > items * 30, "{counted} bytes are counted for {items} IDs");
        }
        most = most.max(db.stats().heap_bytes);
        assert!(most <= LIMIT, "{most}");
    }
    println!("{counted} bytes for one codebook, {most} of {LIMIT} at most");
    assert!(counted * 12 > LIMIT && most > LIMIT / 2, "{counted} {most}");
    assert_eq!(ids(1), first, "what was forgotten is computed again");
    // As much as there may be beside them: they make room, and the batch fits.
    batch_of(&db, items..items + 4000).unwrap();
    assert!(db.stats().heap_bytes <= LIMIT);
    let error = batch_of(&db, items..items + 8000).unwrap_err();
    assert!(matches!(error, Error::MemoryLimit { limit: LIMIT, .. }), "{error}");
    // An old snapshot keeps its own, which are counted while somebody holds it.
    let old = db.snapshot();
    old.trie_version("sid", 2, &Where::all()).unwrap();
    db.batch().delete(3u64).commit().unwrap();
    db.flush().unwrap();
    assert!(db.stats().heap_bytes > counted / 2);
}

/// Goal: words that have no file count like all else on the heap, and go with their part.
// checks: L1
#[test]
fn words_on_the_heap_count_towards_the_memory_limit() {
    let schema = Schema::new().attr("title", AttrType::Text);
    let db = Db::create_in(Arc::new(Memory::new()), schema, small()).unwrap();
    let mut batch = db.batch();
    for id in 0..20_000u64 {
        let title = format!("word{} word{} word{}", id % 997, id % 613, id);
        batch.put(Item::new(id).attr("title", title.as_str()));
    }
    batch.commit().unwrap();
    let before = db.stats().heap_bytes;
    let found = |db: &Db| db.snapshot().matching("title", "word7").limit(5).run().unwrap().len();
    assert_eq!(found(&db), 5);
    let counted = db.stats().heap_bytes - before;
    assert!(counted > 20_000 * 3 * 4, "{counted}");
    assert_eq!((found(&db), db.stats().heap_bytes - before), (5, counted), "made once");
    db.flush().unwrap();
    while db.maintain().unwrap().is_some() {}
    assert_eq!(found(&db), 5);
    assert!(db.stats().heap_bytes < counted, "a file is mapped or read, not held");
}

/// Goal: merges that housekeeping chooses stay below the limit too, and small parts still become few.
/// Method: four parts of long texts, which do not fit together, and many small ones; then merge them all.
// checks: L1
#[test]
fn merges_that_housekeeping_chooses_stay_below_the_memory_limit() {
    let place = tempfile::tempdir().unwrap();
    let schema = Schema::new().attr("text", AttrType::Text);
    let db = Db::create_with(place.path().join("a.bower"), schema, small()).unwrap();
    let long = "x".repeat(1 << 19);
    for part in 0..4 {
        let mut batch = db.batch();
        for id in 0..36u64 {
            batch.put(Item::new(id * 10 + part).attr("text", long.as_str()));
        }
        batch.commit().unwrap();
        db.flush().unwrap();
    }
    for id in 1000..1008u64 {
        db.batch().put(Item::new(id).attr("text", "short")).commit().unwrap();
        db.flush().unwrap();
    }
    assert_eq!(db.stats().debt.merge_parts, 8);
    let (_, peak) = peak_of(|| while db.maintain().unwrap().is_some() {});
    println!("housekeeping took {peak} bytes");
    assert!(peak <= LIMIT, "{peak}");
    assert_eq!((db.stats().disk_parts, db.snapshot().len()), (5, 152));
    db.compact().unwrap();
    assert_eq!((db.stats().disk_parts, db.snapshot().len()), (1, 152));
}

/// Counts the tables that it is given, and says of each score whether rows or vectors came.
struct Offered(Arc<std::sync::atomic::AtomicUsize>);

impl model::ranker::Ranker for Offered {
    fn name(&self) -> String {
        "offered".into()
    }
    fn rank(&self, batch: &model::ranker::RankBatch, scores: &mut [f32]) -> Result<()> {
        scores.fill(if batch.rows().is_some() { 1.0 } else { 2.0 });
        Ok(())
    }
    fn hold(&self, _: &Arc<model::ranker::Table>) -> Result<bool> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(true)
    }
}

/// Goal: vectors that are to be kept with a ranker, and have no room under the limit, are sent with each
/// request instead: they are not gathered again for each of them, in front of it or behind its back.
/// Method: vectors of 80 MB under a limit of 64 MiB, and what requests hold while they run.
// checks: L1
#[test]
fn a_table_that_has_no_room_is_made_once() {
    use bowerbird::{model::ranker::*, recommend::*};
    let place = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("text", DIM, Metric::Dot);
    let db = Db::create_with(place.path().join("a.bower"), schema, small()).unwrap();
    for at in 0..20 {
        batch_of(&db, at * 1000..(at + 1) * 1000).unwrap();
    }
    db.flush().unwrap();
    let (snapshot, query) = (db.snapshot(), vec![1.0; DIM as usize]);
    for hurried in [false, true] {
        let offers = Arc::default();
        let features = Features::new().query("text").item("text");
        let rank = Rank::with(features, Offered(Arc::clone(&offers))).resident();
        let rank = if hurried { rank.deadline(days(1)) } else { rank };
        let near = NearInterests::new("text", 10);
        let recommender = Recommender::new().summarize(Query).retrieve(near).score(rank);
        for again in 0..4 {
            let request = Request::new(5, Timestamp(0)).query("text", query.clone());
            let (slate, peak) = peak_of(|| recommender.run(&snapshot, &request).unwrap());
            assert_eq!(slate.items[0].score, 2.0);
            assert!((again == 0 && !hurried) || peak < LIMIT / 2, "{peak} bytes, again: {again}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(offers.load(std::sync::atomic::Ordering::Relaxed), 0, "hurried: {hurried}");
    }
}
