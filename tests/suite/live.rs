//! A live database: schema changes, artifacts, checkpoints, readers, threads, forks of the road.

use crate::oracle::{State, Write, commit};
use bowerbird::{
    io::{Dir, Memory, fault::Fault},
    *,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

/// Goal: spaces and attributes come and go while the database lives.
/// Method: write before and after each change, in the WAL, on the heap and on disk, and reopen.
// checks: F2
#[test]
fn fields_are_added_and_dropped_on_a_live_database() {
    for flush in [false, true] {
        let dir = Arc::new(Memory::new());
        let schema = Schema::new().space("old", 2, Metric::Dot).attr("year", AttrType::Int);
        let db = Db::create_in(dir.clone(), schema, manual()).unwrap();
        db.batch()
            .put(Item::new(1u64).vector("old", [1.0, 2.0]).attr("year", 1959))
            .commit()
            .unwrap();
        let settle = || {
            if flush {
                db.compact().unwrap()
            }
        };
        settle();
        db.add_space("new", 3, Metric::Cosine, Encoding::I8).unwrap();
        db.add_attr("tags", AttrType::Tags).unwrap();
        db.add_event("view").unwrap();
        db.batch()
            .put(Item::new(2u64).vector("new", [1.0, 0.0, 0.0]).attr("tags", ["a"]))
            .event(Event::new(1, 2u64, "view", Timestamp(1)))
            .commit()
            .unwrap();
        settle();
        let waiting = db.snapshot();
        let mut early = db.batch();
        early.put(Item::new(3u64).attr("year", 1960));
        db.drop_attr("year").unwrap();
        db.drop_space("old").unwrap();
        assert!(matches!(early.commit(), Err(Error::Invalid { .. })), "the field is gone");
        assert_eq!(
            waiting.get(&1u64.into()).unwrap().unwrap().get("year"),
            Some(&Value::Int(1959))
        );
        // The same names again are other fields: old values do not come back.
        db.add_attr("year", AttrType::Text).unwrap();
        db.add_space("old", 1, Metric::L2, Encoding::F32).unwrap();
        db.batch()
            .put(Item::new(4u64).vector("old", [5.0]).attr("year", "MCMLX"))
            .commit()
            .unwrap();
        settle();
        let check = |db: &Db| {
            let snapshot = db.snapshot();
            assert_eq!(snapshot.get(&1u64.into()).unwrap(), Some(Item::new(1u64)));
            let four = snapshot.get(&4u64.into()).unwrap().unwrap();
            assert_eq!(four, Item::new(4u64).vector("old", [5.0]).attr("year", "MCMLX"));
            assert_eq!(snapshot.count(&attr("year").exists()).unwrap(), 1);
            assert_eq!(snapshot.near("old", &[0.0]).run().unwrap().len(), 1);
            assert_eq!(snapshot.near("new", &[1.0, 0.0, 0.0]).run().unwrap()[0].key, Key::Id(2));
            assert_eq!(
                snapshot.history(UserId(1), &HistoryQuery::default()).unwrap().deeds.len(),
                1
            );
        };
        check(&db);
        drop(db);
        let db = Db::open_in(dir, manual()).unwrap();
        check(&db);
        db.compact().unwrap();
        check(&db);
        assert!(db.verify().unwrap().is_sound());
    }
}

struct Number(u32);

impl Artifact for Number {
    const KIND: &'static str = "number";
    const FORMAT: u16 = 1;
    fn save(&self, out: &mut Saved) -> Result<()> {
        out.section(0, &self.0.to_le_bytes())
    }
    fn open(from: &Opened) -> Result<Number> {
        let bytes: [u8; 4] = from.section(0)?[..].try_into().map_err(|_| from.damage("length"))?;
        Ok(Number(u32::from_le_bytes(bytes)))
    }
}

/// Goal: what is active was trained on what is active, for every reader, through every restart.
/// Method: publish parents and children, activate, roll back, and try what must be refused.
// checks: I1 S2
#[test]
fn artifacts_are_published_activated_and_rolled_back() {
    let dir = Arc::new(Memory::new());
    let db = Db::create_in(dir.clone(), Schema::new(), manual()).unwrap();
    let from =
        |parent| Provenance { parents: vec![("sid".into(), parent)], ..Provenance::default() };
    for n in [10, 20] {
        db.publish("sid", &Number(n), Provenance::default()).unwrap();
    }
    assert_eq!(db.publish("ranker", &Number(30), from(2)).unwrap(), 1);
    assert!(matches!(db.publish("x", &Number(0), from(9)), Err(Error::NotFound { .. })));
    assert!(matches!(db.publish("A/b", &Number(0), from(1)), Err(Error::Invalid { .. })));
    db.activate("sid", 1).unwrap();
    // An artifact is data of one kind; nothing in it chooses what reads it.
    let other = db.snapshot().artifact::<crate::crash::Blob>("sid");
    assert!(matches!(other.map(drop), Err(Error::Invalid { .. })));
    let refused = db.activate("ranker", 1).unwrap_err().to_string();
    assert!(refused.contains("ranker@1: was trained on sid@2; sid@1 is active"), "{refused}");
    let before = db.snapshot();
    db.activate_all(&[("sid", 2), ("ranker", 1)]).unwrap();
    assert!(db.activate("sid", 1).is_err(), "the ranker needs sid@2");
    let check = |db: &Db| {
        assert_eq!(db.snapshot().artifact::<Number>("sid").unwrap().0, 20);
        assert_eq!(db.snapshot().artifact::<Number>("ranker").unwrap().0, 30);
        assert_eq!(db.snapshot().provenance("ranker", 1).unwrap(), from(2));
    };
    check(&db);
    assert_eq!(before.artifact::<Number>("sid").unwrap().0, 10, "a snapshot keeps its versions");
    drop((db, before));
    let db = Db::open_in(dir, manual()).unwrap();
    check(&db);
    db.deactivate("ranker").unwrap();
    db.activate("sid", 1).unwrap();
    assert_eq!(db.snapshot().artifact::<Number>("sid").unwrap().0, 10);
    assert!(matches!(db.snapshot().artifact::<Number>("ranker"), Err(Error::NotFound { .. })));
}

/// Goal: a checkpoint is a database of its own that later writes to the source do not change.
// checks: I1 D1
#[test]
fn a_checkpoint_is_a_consistent_copy() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::create_with(folder.path().join("a"), crate::oracle::schema(), manual()).unwrap();
    let mut dice = crate::oracle::Dice(3);
    let mut state = State::default();
    for _ in 0..50 {
        let batch = dice.batch(5);
        commit(&db, &batch).unwrap();
        state.apply(&batch);
        if dice.roll(9) == 0 {
            db.flush().unwrap();
        }
    }
    db.publish("n", &Number(7), Provenance::default()).unwrap();
    db.activate("n", 1).unwrap();
    db.checkpoint(folder.path().join("b")).unwrap();
    let memory = Memory::new();
    db.checkpoint_in(&memory, &mut Progress::silent()).unwrap();
    assert!(db.checkpoint(folder.path().join("b")).is_err(), "a target must be empty");
    commit(&db, &[Write::EraseUser(1), Write::EraseItem(1)]).unwrap();
    db.compact().unwrap();
    drop(db);
    let copies = [
        Db::open_with(folder.path().join("b"), manual()).unwrap(),
        Db::open_in(Arc::new(memory), manual()).unwrap(),
    ];
    for copy in copies {
        assert_eq!(State::read(&copy.snapshot()).unwrap(), state);
        assert_eq!(copy.snapshot().artifact::<Number>("n").unwrap().0, 7);
        assert!(copy.verify().unwrap().is_sound());
        commit(&copy, &dice.batch(5)).unwrap();
    }
}

/// Goal: threads that write, readers that refresh, and housekeeping do not disturb each other.
/// Method: each writer counts up its own item and event list in one batch; every reader must always
/// see both equal, never going back, and everything that was acknowledged before it looked.
// checks: D2 I1 I3 I5 A1
#[test]
fn writers_readers_and_housekeeping_run_side_by_side() {
    const WRITERS: u64 = 3;
    let group = Durability::Group { max_delay: ms(1), max_ops: 3 };
    let options = Options::default().durability(group).flush_bytes(20_000);
    let dir: Arc<dyn Dir> = Arc::new(Fault::new());
    let db = Db::create_in(dir.clone(), crate::oracle::schema(), options).unwrap();
    let acked: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let look = |snapshot: &Snapshot, user: u64, seen: &mut u64, least: u64| {
        let item = snapshot.get(&user.into()).unwrap();
        let number = item.map_or(0, |item| match item.get("number") {
            Some(Value::Int(n)) => *n as u64,
            other => panic!("{other:?}"),
        });
        let query = HistoryQuery::default().limit(100_000);
        let events = snapshot.history(UserId(user), &query).unwrap().deeds.len() as u64;
        assert_eq!(number, events, "an item and its event are together or absent");
        assert!(number >= least, "acknowledged {least}, seen {number}");
        assert!(number >= *seen, "went back from {seen} to {number}");
        *seen = number;
    };
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for user in 0..WRITERS {
            let (db, acked) = (db.clone(), &acked);
            writers.push(scope.spawn(move || {
                for n in 1..=400u64 {
                    let tags = vec![format!("t{}", n % 5)];
                    let (number, vector) = (n as i64, Some([n as f32, 0.0]));
                    let put = Write::Put { key: user, number, tags, vector };
                    let at = n as i64;
                    let event = Write::Event { user, item: n % 50, at, recorded: at, value: None };
                    commit(&db, &[put, event]).unwrap();
                    acked[user as usize].store(n, Ordering::SeqCst);
                }
            }));
        }
        for own in [true, false] {
            let (db, dir, acked, stop) = (db.clone(), dir.clone(), &acked, &stop);
            scope.spawn(move || {
                let reader = match own {
                    true => db,
                    false => Db::open_read_only_in(dir, Options::default()).unwrap(),
                };
                let mut seen = [0; WRITERS as usize];
                while !stop.load(Ordering::SeqCst) {
                    let least: Vec<u64> = acked.iter().map(|a| a.load(Ordering::SeqCst)).collect();
                    reader.refresh().unwrap();
                    let snapshot = reader.snapshot();
                    for user in 0..WRITERS {
                        look(&snapshot, user, &mut seen[user as usize], least[user as usize]);
                    }
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, Ordering::SeqCst);
    });
    let stats = db.stats();
    assert_eq!((stats.items, stats.events), (WRITERS, WRITERS * 400));
    assert!(stats.disk_parts > 0, "housekeeping has flushed: {stats:?}");
    assert_eq!(stats.maintenance_error, None);
    db.close().unwrap();
    let db = Db::open_in(dir, manual()).unwrap();
    assert_eq!(db.snapshot().len(), WRITERS);
    assert!(db.verify().unwrap().is_sound());
}

/// Goal: long work says how far it is and stops when told to, without effect.
// checks: A2
#[test]
fn flush_and_compaction_report_and_can_be_cancelled() {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), crate::oracle::schema(), manual()).unwrap();
    let mut dice = crate::oracle::Dice(5);
    let mut state = State::default();
    for round in 0..3 {
        let batch = dice.batch(400);
        commit(&db, &batch).unwrap();
        state.apply(&batch);
        let mut steps = 0;
        let cancelled = db.flush_with(&mut Progress::to(|_, _| {
            steps += 1;
            steps < 2
        }));
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert_eq!(State::read(&db.snapshot()).unwrap(), state);
        let (mut last, mut total) = (0, 0);
        db.flush_with(&mut Progress::to(|done, all| {
            assert!(done >= last && done <= all);
            (last, total) = (done, all);
            true
        }))
        .unwrap();
        assert!(total > 0 && last == total, "round {round}: {last} of {total}");
        let cancelled = db.compact_with(&mut Progress::to(|_, _| false));
        assert!(round == 0 || matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert_eq!(State::read(&db.snapshot()).unwrap(), state);
    }
    assert!(verify_dir(&dir).unwrap().is_sound());
    drop(db);
    let db = Db::open_in(Arc::new(dir), manual()).unwrap();
    assert_eq!(State::read(&db.snapshot()).unwrap(), state);
}

/// Goal: a buffered commit becomes durable on its own after its delay, and `sync` makes all durable.
// checks: D3 D4
#[test]
fn what_was_buffered_becomes_durable_in_time() {
    let late = |durability: Durability, settle: &dyn Fn(&Db)| {
        let dir = Fault::new();
        let options = manual().durability(durability);
        let db = Db::create_in(Arc::new(dir.clone()), crate::oracle::schema(), options).unwrap();
        commit(&db, &[Write::EraseUser(1)]).unwrap();
        let unsynced = db.stats().unsynced_commits;
        settle(&db);
        let images = dir.survivors(1, 64);
        let open =
            |image: Fault| Db::open_in(Arc::new(image), manual()).unwrap().snapshot().seq().0;
        (unsynced, images.into_iter().map(open).min().unwrap())
    };
    // Long enough that a busy machine does not sync within the commit itself.
    let buffered = Durability::Buffered { max_delay: ms(200) };
    let wait = |db: &Db| {
        std::thread::sleep(ms(250));
        assert_eq!(db.maintain().unwrap(), Some(Chore::Synced));
    };
    assert_eq!(late(buffered, &wait), (1, 1));
    assert_eq!(late(Durability::None, &|db| db.sync().unwrap()), (1, 1));
    assert_eq!(late(Durability::None, &|_| ()), (1, 0), "D4 promises nothing before `sync`");
    assert_eq!(late(Durability::Immediate, &|_| ()).1, 1);
}
