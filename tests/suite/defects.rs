//! Tests of the tests: each seeded defect is caught by what should catch it.

use crate::{crash, io_errors, laws, oracle};
use bowerbird::{
    defects::Defect,
    io::fault::{Failure, Fault},
    *,
};
use std::{panic::AssertUnwindSafe, sync::Arc};

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

fn put(key: u64, number: i64) -> oracle::Write {
    oracle::Write::Put { key, number, tags: vec![], vector: Some([1.0, 2.0]) }
}

/// Goal: a commit between the beginning and the end of a flush is not undone by it (V5).
/// Method: the progress function, which is called in between, commits.
fn deaths_during_a_flush_are_carried_over() {
    let db = Db::create_in(Arc::new(Fault::new()), oracle::schema(), manual()).unwrap();
    oracle::commit(&db, &[put(1, 1), put(2, 2)]).unwrap();
    let mut done = false;
    let mut during = |_, _| {
        if !std::mem::replace(&mut done, true) {
            oracle::commit(&db, &[put(1, 7), oracle::Write::Delete(2)]).unwrap();
        }
        true
    };
    db.flush_with(&mut Progress::to(&mut during)).unwrap();
    let state = oracle::State::read(&db.snapshot()).unwrap();
    assert_eq!(state.items.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(state.items[&1].0, 7);
}

/// Goal: damage to an acknowledged commit is not taken for a torn tail (C6).
/// Method: flip a byte of the first of three commits in the WAL.
fn damage_to_an_acknowledged_commit_is_reported() {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), oracle::schema(), manual()).unwrap();
    for key in 1..4 {
        oracle::commit(&db, &[put(key, 1)]).unwrap();
    }
    drop(db);
    let wal = dir.paths().into_iter().find(|path| path.ends_with(".wal")).unwrap();
    let mut bytes = dir.read_file(&wal);
    bytes[200] ^= 1;
    dir.write_file(&wal, bytes);
    let opened = Db::open_in(Arc::new(dir), manual());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
}

/// Goal: a flipped byte in a segment is reported (C1, C3).
fn damage_to_a_segment_is_reported() {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), oracle::schema(), manual()).unwrap();
    oracle::commit(&db, &[put(1, 1)]).unwrap();
    db.close().unwrap();
    let segment = dir.paths().into_iter().find(|path| path.ends_with(".seg")).unwrap();
    let mut bytes = dir.read_file(&segment);
    // The first section holds the keys.
    bytes[64] ^= 1;
    dir.write_file(&segment, bytes);
    let opened = Db::open_in(Arc::new(dir), manual());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
}

/// Goal: numbers that are not finite are refused at the door (L1).
fn numbers_that_are_not_finite_are_refused() {
    let db = Db::in_memory(oracle::schema()).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let put = db.batch().put(Item::new(1u64).vector("v", [bad, 1.0])).commit();
        assert!(matches!(put, Err(Error::Invalid { .. })), "{put:?}");
        assert!(db.snapshot().near("v", &[1.0, bad]).run().is_err());
    }
}

/// Goal: equal scores are ordered by key, in whatever order and parts they were written (V8).
fn ties_are_ordered_by_key() {
    let db = Db::create_in(Arc::new(Fault::new()), oracle::schema(), manual()).unwrap();
    for key in [5, 3, 8, 1] {
        oracle::commit(&db, &[put(key, 1)]).unwrap();
        db.flush().unwrap();
    }
    let hits = db.snapshot().near("v", &[1.0, 1.0]).limit(3).run().unwrap();
    assert_eq!(hits.into_iter().map(|hit| hit.key).collect::<Vec<_>>(), [1u64, 3, 5].map(Key::Id));
}

fn explore(workload: &str) -> impl Fn() + '_ {
    move || {
        for durability in [Durability::Immediate, Durability::None] {
            crash::explore_one(workload, durability);
        }
    }
}

fn check_of(defect: Defect) -> Box<dyn Fn()> {
    let model = || Box::new(|| (0..5).for_each(|seed| laws::run(seed, 2_000)));
    match defect {
        Defect::AckBeforeSync => Box::new(explore("put")),
        Defect::FolderNotSynced | Defect::FileNotSynced => Box::new(explore("flush")),
        Defect::WalRemovedBeforeManifest => Box::new(explore("flush")),
        Defect::ReplayStartsLate => Box::new(explore("put")),
        Defect::MergeAheadOfWal => Box::new(explore("merge")),
        Defect::FailedSyncForgotten => Box::new(|| {
            io_errors::fail_every_call("put", &[Failure::SyncDropsPages]);
        }),
        Defect::DurableMarkIgnored => Box::new(damage_to_an_acknowledged_commit_is_reported),
        Defect::ChecksumNotChecked => Box::new(damage_to_a_segment_is_reported),
        Defect::DeathsNotCarried => Box::new(deaths_during_a_flush_are_carried_over),
        Defect::NotFinite => Box::new(numbers_that_are_not_finite_are_refused),
        Defect::TiesUnordered => Box::new(ties_are_ordered_by_key),
        Defect::EraseLeavesEvents
        | Defect::PartialBatchVisible
        | Defect::ReplacedRowStaysAlive
        | Defect::AsOfIgnoresRecorded => model(),
    }
}

/// Goal: the tests can fail, for the reasons they are there for.
/// Method: run the check of each defect without it, which must pass, and with it, which must not.
// checks: C1 C3 C6 L1 V5 V8
#[test]
fn every_seeded_defect_is_caught() {
    let mut missed = Vec::new();
    for defect in Defect::ALL {
        let check = check_of(defect);
        check();
        let run = AssertUnwindSafe(|| defect.during(&check));
        if std::panic::catch_unwind(run).is_ok() {
            missed.push(defect);
        }
    }
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
    println!("{} defects caught", Defect::ALL.len());
}
