//! What happens between two steps of a chore: commits, other chores, failed calls, the end of the handle.

use crate::oracle::{self, State, Write, commit};
use bowerbird::{
    io::{
        Append, Dir, Lock, Memory, Source,
        fault::{Failure, Fault},
    },
    *,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

fn put(key: u64, number: i64) -> Write {
    Write::Put { key, number, tags: vec![], vector: Some([1.0, 2.0]) }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A directory in which something happens, once, when a file of some kind is created.
#[derive(Default)]
struct Watched {
    inner: Memory,
    hook: Mutex<Option<(&'static str, Hook)>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Watched {
    /// Runs `hook` when the next file is created whose path begins so.
    fn at(&self, begin: &'static str, hook: impl FnOnce() + Send + 'static) {
        *self.hook.lock() = Some((begin, Box::new(hook)));
    }
}

impl Dir for Watched {
    fn location(&self) -> PathBuf {
        self.inner.location()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn open(&self, path: &str, map: bool) -> Result<Arc<dyn Source>> {
        self.inner.open(path, map)
    }

    fn create(&self, path: &str) -> Result<Box<dyn Append>> {
        let due = |hook: &mut (&'static str, Hook)| path.starts_with(hook.0);
        let hook = self.hook.lock().take_if(due);
        hook.into_iter().for_each(|(_, hook)| hook());
        self.inner.create(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn link_into(&self, path: &str, other: &dyn Dir) -> Result<()> {
        self.inner.link_into(path, other)
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.inner.remove(path)
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        self.inner.make_folder(folder)
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        self.inner.sync_folder(folder)
    }

    fn lock(&self) -> Result<Box<dyn Lock>> {
        self.inner.lock()
    }

    fn nonce(&self) -> Result<u64> {
        self.inner.nonce()
    }
}

/// Goal: a copy has every item, whatever is replaced and merged while it is made (D5).
/// Method: while the copy's own flush writes, replace item 1, and have another thread wait to merge
/// the part of which that was all; a merge between the flush and the copy leaves item 1 out.
// checks: D5 I1
#[test]
fn a_checkpoint_has_every_item_whatever_is_merged_meanwhile() {
    let dir = Arc::new(Watched::default());
    let db = Db::create_in(dir.clone(), oracle::schema(), manual()).unwrap();
    for key in 1..4 {
        commit(&db, &[put(key, 1)]).unwrap();
        db.flush().unwrap();
    }
    commit(&db, &[put(4, 1)]).unwrap();
    let then = State::read(&db.snapshot()).unwrap();
    let (other, (tell, merged)) = (db.clone(), mpsc::channel());
    dir.at("segments/", move || {
        commit(&other, &[put(1, 7)]).unwrap();
        thread::spawn(move || tell.send(other.maintain()).unwrap());
        // Until it waits; then it is its turn as soon as the flush lets go.
        thread::sleep(ms(100));
    });
    let copy = Memory::new();
    db.checkpoint_in(&copy, &mut Progress::silent()).unwrap();
    assert_eq!(merged.recv().unwrap().unwrap(), Some(Chore::Merged { parts: 1 }));
    assert!(verify_dir(&copy).unwrap().is_sound());
    let copy = Db::open_in(Arc::new(copy), manual()).unwrap();
    assert_eq!(State::read(&copy.snapshot()).unwrap(), then);
    assert_eq!(State::read(&db.snapshot()).unwrap().items[&1].0, 7);
}

const MANY: u64 = 150_000;

fn many(db: &Db, keys: impl Iterator<Item = u64>, number: i64) {
    let mut batch = db.batch();
    keys.for_each(|key| {
        batch.put(Item::new(key).attr("number", number));
    });
    batch.commit().unwrap();
}

/// Every key once, and no file that nobody needs.
fn check_many(db: &Db, dir: &Fault, place: &str) {
    while db.maintain().unwrap_or_else(|e| panic!("{place}: {e}")).is_some() {}
    let keys: BTreeSet<Key> =
        db.snapshot().keys(&Where::all(), 1_000_000).unwrap().into_iter().collect();
    assert_eq!((db.snapshot().len(), keys.len() as u64), (MANY, MANY), "{place}");
    let number = db.snapshot().get(&Key::Id(7)).unwrap().unwrap();
    assert_eq!(number.get("number"), Some(&Value::Int(9)), "{place}");
    let segments = dir.paths().iter().filter(|path| path.contains(".seg")).count();
    assert_eq!(segments, db.stats().disk_parts, "{place}: {:?}", dir.paths());
}

/// Goal: a read that fails late in a flush or a merge costs that chore, and nothing else: memory and
/// MANIFEST go on agreeing (V5, D5), and nothing is left of it.
/// Method: segments too large to be held, files that are read and not mapped; while a chore writes, an
/// item is replaced, so that its death must be carried over by reading. Fail each of the last calls of
/// the chore in turn; do something else, as the thread would; compare, and open again.
// checks: A2 D5
#[test]
fn a_failed_read_at_the_end_of_a_chore_leaves_memory_and_root_in_agreement() {
    let options = || manual().io_mode(IoMode::Pread).durability(Durability::None);
    let schema = Schema::new().attr("number", AttrType::Int);
    let base = Fault::new();
    let db = Db::create_in(Arc::new(base.clone()), schema, options()).unwrap();
    for part in 0..2 {
        many(&db, (0..MANY).filter(|key| key % 2 == part), 1);
        db.flush().unwrap();
    }
    db.close().unwrap();
    let mut harmless = 0;
    for merge in [true, false] {
        let run = |fail: Option<u64>| {
            let dir = base.fork();
            let db = Db::open_in(Arc::new(dir.clone()), options()).unwrap();
            if !merge {
                many(&db, 0..MANY, 2);
            }
            let mut done = false;
            let before = dir.all_calls();
            fail.into_iter().for_each(|at| dir.fail_at(before + at, Failure::Eio, false));
            let mut during = |_, _| {
                if !std::mem::replace(&mut done, true) {
                    many(&db, 7..8, 9);
                }
                true
            };
            let progress = &mut Progress::to(&mut during);
            let outcome = match merge {
                true => db.compact_with(progress),
                false => db.flush_with(progress).map(drop),
            };
            (dir.clone(), db.clone(), outcome, dir.all_calls() - before)
        };
        let (dir, db, outcome, calls) = run(None);
        outcome.unwrap();
        check_many(&db, &dir, "nothing fails");
        for at in calls - 14..calls {
            let place = format!("merge: {merge}, call {at} of {calls}");
            let (dir, db, outcome, _) = run(Some(at));
            dir.heal();
            match outcome {
                Err(Error::Indeterminate { .. }) => assert!(db.flush().is_err(), "{place}"),
                outcome => {
                    harmless += u64::from(outcome.is_err());
                    db.flush().unwrap_or_else(|e| panic!("{place}: {e}"));
                    check_many(&db, &dir, &place);
                }
            }
            drop(db);
            let dir = dir.fork();
            let db = Db::open_in(Arc::new(dir.clone()), options()).unwrap();
            check_many(&db, &dir, &format!("{place}, opened again"));
        }
    }
    assert!(harmless >= 2, "reads have failed: {harmless}");
}

/// That many parts on disk, of an item each.
fn parts(count: u64) -> (Fault, Db) {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), oracle::schema(), manual()).unwrap();
    for key in 0..count {
        commit(&db, &[put(key, 1)]).unwrap();
        db.flush().unwrap();
    }
    (dir, db)
}

fn segments(dir: &Fault) -> Vec<String> {
    dir.paths().into_iter().filter(|path| path.starts_with("segments/")).collect()
}

/// Goal: a flush for which there is no space leaves no file behind.
/// Method: a new list of what is dead and a new segment; fill the disk at each call in turn.
#[test]
fn nothing_is_left_of_a_flush_without_space() {
    let base = Fault::new();
    let db = Db::create_in(Arc::new(base.clone()), oracle::schema(), manual()).unwrap();
    commit(&db, &(1..9).map(|key| put(key, 1)).collect::<Vec<_>>()).unwrap();
    db.close().unwrap();
    let mut refused = 0;
    for at in 0.. {
        let dir = base.fork();
        let db = Db::open_in(Arc::new(dir.clone()), manual()).unwrap();
        commit(&db, &[put(1, 2)]).unwrap();
        let (before, calls) = (segments(&dir), dir.calls());
        dir.fail_change_at(calls + at, Failure::Enospc, false);
        match db.flush() {
            Ok(_) if dir.calls() <= calls + at => break,
            // It was a removal, for which there is always space.
            Ok(_) => {}
            Err(Error::NoSpace { .. }) => {
                refused += 1;
                assert_eq!(segments(&dir), before, "no space at {at}");
            }
            // A sync or a rename: nobody knows what MANIFEST is now, so nothing is removed.
            Err(error) => assert!(matches!(error, Error::Indeterminate { .. }), "{at}: {error}"),
        }
    }
    assert!(refused >= 6, "{refused}");
}

/// Goal: a merge that is cancelled, at whatever report, leaves no file behind.
#[test]
fn nothing_is_left_of_a_merge_that_was_cancelled() {
    let (dir, db) = parts(3);
    let before = segments(&dir);
    for last in 0.. {
        let mut reports = 0;
        let cancelled = db.compact_with(&mut Progress::to(|_, _| {
            reports += 1;
            reports <= last
        }));
        match cancelled {
            Ok(()) => break,
            Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
        }
        assert_eq!(segments(&dir), before, "cancelled at report {last}");
    }
    assert_eq!((segments(&dir).len(), db.snapshot().len()), (1, 3));
}

/// Goal: a merge that leaves out what a commit has replaced says that it needs that commit: without
/// it the database is damaged, and not short of an item in silence (D5).
/// Method: replace an item, merge its old part away, cut the WAL.
// checks: D5 C6
#[test]
fn a_merge_names_the_commits_that_it_needs() {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), oracle::schema(), manual()).unwrap();
    commit(&db, &[put(1, 1)]).unwrap();
    db.flush().unwrap();
    commit(&db, &[put(1, 2)]).unwrap();
    assert_eq!(db.maintain().unwrap(), Some(Chore::Merged { parts: 1 }));
    drop(db);
    let whole = Db::open_in(Arc::new(dir.fork()), manual()).unwrap();
    assert_eq!(State::read(&whole.snapshot()).unwrap().items[&1].0, 2);
    let wal = dir.paths().into_iter().rfind(|path| path.ends_with(".wal")).unwrap();
    let bytes = dir.read_file(&wal);
    dir.write_file(&wal, bytes[..128].to_vec());
    let opened = Db::open_in(Arc::new(dir), manual());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
}

/// Goal: what was buffered becomes durable in time, however long another chore takes (D3).
/// Method: a flush that does not go on until it is told to, and a commit after it began.
// checks: D3
#[test]
fn a_long_chore_does_not_keep_buffered_commits_unsynced() {
    let dir = Arc::new(Watched::default());
    let options = Options::default().durability(Durability::Buffered { max_delay: ms(50) });
    let db = Db::create_in(dir.clone(), oracle::schema(), options).unwrap();
    commit(&db, &[put(1, 1)]).unwrap();
    let ((tell, begun), (go_on, told)) = (mpsc::channel(), mpsc::channel::<()>());
    dir.at("segments/", move || {
        tell.send(()).unwrap();
        let _ = told.recv_timeout(Duration::from_secs(60));
    });
    // What is erased is flushed at once.
    commit(&db, &[Write::EraseUser(1)]).unwrap();
    begun.recv().unwrap();
    commit(&db, &[put(2, 1)]).unwrap();
    let since = Instant::now();
    while db.stats().unsynced_commits > 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "still unsynced");
        thread::sleep(ms(5));
    }
    go_on.send(()).unwrap();
    db.close().unwrap();
}

/// Goal: the end of a handle does not wait for a merge, and nothing is left of the merge.
/// Method: four parts, and a merge of them that begins to write just before the handle closes.
#[test]
fn closing_ends_a_merge_early() {
    for close in [true, false] {
        let dir = Arc::new(Watched::default());
        let db = Db::create_in(dir.clone(), oracle::schema(), manual()).unwrap();
        for key in 0..4 {
            commit(&db, &[put(key, 1)]).unwrap();
            db.flush().unwrap();
        }
        drop(db);
        let (tell, begun) = mpsc::channel();
        dir.at("segments/", move || {
            tell.send(()).unwrap();
            thread::sleep(ms(300));
        });
        let db = Db::open_in(dir.clone(), Options::default()).unwrap();
        begun.recv().unwrap();
        match close {
            true => db.close().unwrap(),
            false => drop(db),
        }
        let segments = dir.list("segments").unwrap();
        assert_eq!(segments.len(), 4, "{segments:?}");
        let db = Db::open_in(dir, manual()).unwrap();
        assert_eq!((db.stats().disk_parts, db.snapshot().len()), (4, 4));
    }
}

/// Goal: a merge that cannot succeed rests, is in `stats`, and keeps nobody from other chores.
/// Method: no file can be created; then one can again.
#[test]
fn a_merge_that_fails_rests_while_other_chores_go_on() {
    let (dir, db) = parts(4);
    dir.fail_change_at(dir.calls(), Failure::Emfile, true);
    let error = db.maintain().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(db.maintain().unwrap(), None, "it rests");
    assert_eq!(db.stats().maintenance_error, Some(error.to_string()));
    dir.heal();
    // Whoever asks for it is not kept waiting.
    db.compact().unwrap();
    assert_eq!((db.stats().disk_parts, db.stats().maintenance_error), (1, None));
}

/// Goal: a batch that was refused for want of space or memory can be committed again, as the error says.
// checks: A2
#[test]
fn a_batch_that_had_no_effect_can_be_committed_again() {
    let dir = Fault::new();
    let schema = Schema::new().space("text", 1024, Metric::Dot);
    let options = manual().memory_limit_bytes(64 << 20);
    let db = Db::create_in(Arc::new(dir.clone()), schema, options).unwrap();
    let mut batch = db.batch();
    batch.put(Item::new(1u64)).put(Item::new(2u64));
    dir.fail_change_at(dir.calls(), Failure::Enospc, false);
    let error = batch.commit().unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
    assert_eq!((batch.len(), db.snapshot().len()), (2, 0));
    batch.put(Item::new(3u64));
    assert_eq!(batch.commit().unwrap(), Seq(1));
    assert_eq!((batch.len(), db.snapshot().len()), (0, 3));
    (0..8000u64).for_each(|id| {
        batch.put(Item::new(id).vector("text", vec![1.0; 1024]));
    });
    for _ in 0..2 {
        let error = batch.commit().unwrap_err();
        assert!(matches!(error, Error::MemoryLimit { .. }), "{error:?}");
        assert_eq!(batch.len(), 8000);
    }
    // What can never work is not kept: it would be in the way of all that follows.
    let mut batch = db.batch();
    let refused = batch.put(Item::new(4u64)).put(Item::new(5u64).vector("text", [1.0])).commit();
    assert!(matches!(refused, Err(Error::Invalid { .. })) && batch.is_empty(), "{refused:?}");
}

/// Goal: a delay that no clock can count to is refused, and does not end the process (L1).
// checks: L1
#[test]
fn a_wait_for_company_without_an_end_is_refused() {
    let group = |max_delay| manual().durability(Durability::Group { max_delay, max_ops: 2 });
    let made = Db::create_in(Arc::new(Memory::new()), Schema::new(), group(Duration::MAX));
    let error = made.unwrap_err().to_string();
    assert!(error.contains("max_delay"), "{error}");
    let db = Db::create_in(Arc::new(Memory::new()), Schema::new(), group(ms(1))).unwrap();
    db.batch().put(Item::new(1u64)).commit().unwrap();
    // This one only means that nobody syncs unless asked to.
    for maintenance in [Maintenance::Manual, Maintenance::Thread] {
        let never = Durability::Buffered { max_delay: Duration::MAX };
        let options = Options::default().durability(never).maintenance(maintenance);
        let db = Db::create_in(Arc::new(Memory::new()), Schema::new(), options).unwrap();
        db.batch().put(Item::new(1u64)).commit().unwrap();
        assert_eq!(db.stats().unsynced_commits, 1);
        db.close().unwrap();
    }
}

/// Goal: weights as large as they may be give scores that are finite (L3).
// checks: L3
#[test]
fn the_largest_weights_give_finite_scores() {
    let schema = Schema::new().space("v", 1, Metric::Dot).attr("title", AttrType::Text);
    let db = Db::in_memory(schema).unwrap();
    for (key, title) in [(1u64, "star"), (2, "star wars"), (3, "paris")] {
        db.batch().put(Item::new(key).attr("title", title).vector("v", [1.0])).commit().unwrap();
    }
    let snapshot = db.snapshot();
    let words = || {
        let matching = snapshot.matching("title", "star star wars");
        matching.also("title", f32::MAX).also("title", f32::MAX)
    };
    let near = || snapshot.near("v", &[1.0]);
    let hybrid = |fusion| {
        let both = snapshot.hybrid().add(f32::MAX, words()).add(f32::MAX, near());
        both.add(f32::MAX, near()).fuse(fusion).run().unwrap()
    };
    let found = [
        words().run().unwrap(),
        hybrid(Fusion::Scores),
        hybrid(Fusion::Ranks { k: -0.99 }),
        hybrid(Fusion::default()),
    ];
    for hits in found {
        assert!(hits.len() >= 2 && hits.iter().all(|hit| hit.score.is_finite()), "{hits:?}");
    }
}
