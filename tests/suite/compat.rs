//! Files of other versions: older ones are read for good, newer ones are refused and left alone.

use bowerbird::{io::fault::Fault, *};
use std::{path::Path, sync::Arc};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1");

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

/// What the fixture of format 1 holds: every type of attribute and encoding, both kinds of parts.
fn write(db: &Db) {
    db.batch()
        .put(
            Item::new("a")
                .vector("f32", [1.5, -2.0])
                .vector("f16", [0.5, 0.25])
                .vector("i8", [1.0, -1.0])
                .vector("binary", [1.0, -1.0])
                .attr("bool", true)
                .attr("int", -7)
                .attr("float", 2.5)
                .attr("time", Timestamp(1_000))
                .attr("tag", "jazz")
                .attr("tags", ["x", "y"])
                .attr("text", "a longer text"),
        )
        .put(Item::new("b").attr("int", 8))
        .event(Event::new(7, "a", "view", Timestamp(5)).recorded(Timestamp(9)).value(0.5))
        .commit()
        .unwrap();
    db.flush().unwrap();
    db.batch().put(Item::new("b").attr("int", 9)).commit().unwrap();
    db.flush().unwrap();
    let event = Event::new(7, "c", "buy", Timestamp(6)).request(3).position(2);
    db.batch().put(Item::new("c").vector("f32", [3.0, 4.0])).event(event).commit().unwrap();
    db.sync().unwrap();
}

fn schema() -> Schema {
    Schema::new()
        .keys(KeyKind::Name)
        .space("f32", 2, Metric::L2)
        .space_as("f16", 2, Metric::Dot, Encoding::F16)
        .space_as("i8", 2, Metric::Cosine, Encoding::I8)
        .space_as("binary", 2, Metric::Dot, Encoding::Binary)
        .attr("bool", AttrType::Bool)
        .attr("int", AttrType::Int)
        .attr("float", AttrType::Float)
        .attr("time", AttrType::Time)
        .attr("tag", AttrType::Tag)
        .attr("tags", AttrType::Tags)
        .attr("text", AttrType::Text)
        .event("view")
        .event("buy")
}

/// Everything in a database, as text.
fn everything(db: &Db) -> String {
    let snapshot = db.snapshot();
    let mut text = format!("{:?}\n", snapshot.seq());
    for key in snapshot.keys(&Where::all(), 100).unwrap() {
        text.push_str(&format!("{:?}\n", snapshot.get(&key).unwrap().unwrap()));
    }
    let history = snapshot.history(UserId(7), &HistoryQuery::default()).unwrap();
    text.push_str(&format!("{history:?}\n"));
    for hit in snapshot.near("f32", &[1.0, 1.0]).run().unwrap() {
        text.push_str(&format!("{} {}\n", hit.key, hit.score));
    }
    text
}

#[allow(clippy::disallowed_methods)] // The test moves files between the disk and memory.
fn load() -> Option<Fault> {
    let mut files = Vec::new();
    for folder in ["", "wal", "segments", "artifacts", "derived"] {
        let Ok(entries) = std::fs::read_dir(Path::new(FIXTURE).join(folder)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                files.push((path, std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    (!files.is_empty()).then(|| Fault::from_files(files))
}

/// Goal: a database written by format 1 is read for good, written on, and upgraded by a merge.
/// Method: a fixture that is never written again. `BOWERBIRD_WRITE_FIXTURE=1` makes it where there is
/// none, once per format.
// checks: F4
#[test]
#[allow(clippy::disallowed_methods)] // A knob of the test, and files seen from outside.
fn databases_of_format_1_are_read() {
    let expected = {
        let db = Db::create_in(Arc::new(Fault::new()), schema(), manual()).unwrap();
        write(&db);
        everything(&db)
    };
    if std::env::var("BOWERBIRD_WRITE_FIXTURE").is_ok() && load().is_none() {
        let db = Db::create_with(FIXTURE, schema(), manual()).unwrap();
        write(&db);
        drop(db);
        std::fs::remove_file(Path::new(FIXTURE).join("LOCK")).unwrap();
    }
    let fixture = load().expect("tests/fixtures/v1 is part of the repository");
    assert!(verify_dir(&fixture).unwrap().is_sound());
    for io in [IoMode::Mmap, IoMode::Pread] {
        let dir = Arc::new(fixture.fork());
        let reader = Db::open_read_only_in(dir.clone(), manual().io_mode(io)).unwrap();
        assert_eq!(everything(&reader), expected);
        let db = Db::open_in(dir.clone(), manual().io_mode(io)).unwrap();
        assert_eq!(everything(&db), expected);
        db.compact().unwrap();
        assert_eq!(everything(&db), expected);
        db.batch().put(Item::new("d")).commit().unwrap();
        db.close().unwrap();
        assert_eq!(Db::open_in(dir, manual()).unwrap().snapshot().len(), 4);
    }
}
