//! Derived files: found, not listed; losing one costs time, never data.

use bowerbird::{io::fault::Fault, *};
use std::sync::Arc;

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

fn filled(dir: &Fault) -> Db {
    let db = Db::create_in(Arc::new(dir.clone()), Schema::new().event("view"), manual()).unwrap();
    let mut batch = db.batch();
    for n in 0..6000u64 {
        let at = Timestamp((n * 7919 % 6000) as i64);
        batch.event(Event::new(n % 97, n * n % 51, "view", at).value(n as f32));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    db
}

fn answers(db: &Db) -> Vec<Vec<Interaction>> {
    let read = |item: u64| {
        let limit = 1 + item as usize * 10;
        db.snapshot().item_history(&item.into(), Timestamp(5000), limit).unwrap()
    };
    (0..52).map(read).collect()
}

fn derived(dir: &Fault) -> Vec<String> {
    dir.paths().into_iter().filter(|path| path.starts_with("derived/")).collect()
}

/// Goal: a derived file changes how fast an answer comes, never what it is.
/// Method: compare answers before there is one, with one, after reopening, after removing it and
/// after a merge, and with one that belongs to another segment.
// checks: V6
#[test]
fn removing_derived_files_changes_no_answer() {
    let dir = Fault::new();
    let db = filled(&dir);
    let expected = answers(&db);
    assert!(expected.iter().map(Vec::len).sum::<usize>() > 1000);
    assert_eq!(db.stats().debt.underived_parts, 1);
    while db.maintain().unwrap().is_some() {}
    assert_eq!((derived(&dir).len(), db.stats().debt.underived_parts), (1, 0));
    assert_eq!(answers(&db), expected);
    drop(db);
    let reopened = Db::open_in(Arc::new(dir.clone()), manual()).unwrap();
    assert_eq!((derived(&dir).len(), reopened.stats().debt.underived_parts), (1, 0), "adopted");
    assert_eq!(answers(&reopened), expected);
    reopened.batch().erase_user(UserId(13)).commit().unwrap();
    let erased = answers(&reopened);
    assert_ne!(erased, expected);
    while reopened.maintain().unwrap().is_some() {}
    assert_eq!(answers(&reopened), erased);
    drop(reopened);
    let old = derived(&dir)[0].clone();
    let bytes = dir.read_file(&old);
    dir.remove_file(&old);
    let without = Db::open_in(Arc::new(dir.clone()), manual()).unwrap();
    assert_eq!(answers(&without), erased);
    drop(without);
    // One that says it was made from another segment is not believed, and is removed by a writer.
    dir.write_file("derived/000099.items", bytes);
    let db = Db::open_in(Arc::new(dir.clone()), manual()).unwrap();
    assert_eq!((answers(&db), derived(&dir)), (erased, vec![]));
}

/// Goal: damage to a derived file is reported, and repaired where that was asked for.
// checks: C4
#[test]
fn a_damaged_derived_file_is_an_error_or_is_built_again() {
    let dir = Fault::new();
    let db = filled(&dir);
    let expected = answers(&db);
    while db.maintain().unwrap().is_some() {}
    drop(db);
    let path = derived(&dir)[0].clone();
    let mut bytes = dir.read_file(&path);
    bytes[300] ^= 4;
    dir.write_file(&path, bytes.clone());
    let opened = Db::open_in(Arc::new(dir.clone()), manual());
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
    let report = verify_dir(&dir).unwrap();
    assert_eq!((report.faults.len(), &report.faults[0].path), (1, &path));
    let db = Db::open_in(Arc::new(dir.clone()), manual().rebuild_derived(true)).unwrap();
    while db.maintain().unwrap().is_some() {}
    assert_eq!(answers(&db), expected);
    assert!(db.verify().unwrap().is_sound() && dir.read_file(&path) != bytes);
}
