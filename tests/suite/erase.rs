//! What was erased is gone: from every answer at once, from every byte after the next merge.

use bowerbird::*;
use std::path::Path;

const USER: u64 = 0x5ec2_e7a1_d1b2_c3d4;
const ITEM: &str = "the-item-that-must-be-forgotten";
const TEXT: &str = "a text that nobody may find again";

fn schema() -> Schema {
    Schema::new()
        .keys(KeyKind::Name)
        .space("v", 2, Metric::L2)
        .attr("text", AttrType::Text)
        .attr("tag", AttrType::Tag)
        .event("view")
}

/// Whether some bytes are anywhere in the files of a directory.
#[allow(clippy::disallowed_methods)] // The test looks at files from outside.
fn found(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut places = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            places.extend(found(&path, bytes));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|w| w == bytes) {
            places.push(path.display().to_string());
        }
    }
    places
}

fn fill(db: &Db) {
    let mut batch = db.batch();
    for n in 0..200u64 {
        let name = if n == 100 { ITEM.into() } else { format!("item{n:03}") };
        let text = if n == 100 { TEXT.into() } else { format!("text {n}") };
        let tag = if n == 100 { "forgotten-tag".into() } else { format!("tag{}", n % 7) };
        batch.put(
            Item::new(name.as_str())
                .vector("v", [n as f32, 1.0])
                .attr("text", text)
                .attr("tag", tag),
        );
        let user = if n % 10 == 0 { USER } else { n };
        batch.event(Event::new(user, name.as_str(), "view", Timestamp(n as i64)));
        batch.event(Event::new(n, ITEM, "view", Timestamp(n as i64)));
    }
    batch.commit().unwrap();
}

/// Goal: erasing a user and an item removes every trace.
/// Method: look for their bytes in all files: there before, whether in the WAL, in a segment or in a
/// derived file; nowhere after housekeeping has come to rest.
// checks: D5 V7
#[test]
fn erased_bytes_are_in_no_file_after_the_next_merge() {
    for flushed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let options = Options::default().maintenance(Maintenance::Manual);
        let db = Db::create_with(&path, schema(), options).unwrap();
        (0..12).for_each(|_| fill(&db));
        if flushed {
            db.flush().unwrap();
            while db.maintain().unwrap().is_some() {}
        }
        let traces: [&[u8]; 4] =
            [&USER.to_le_bytes(), ITEM.as_bytes(), TEXT.as_bytes(), b"forgotten-tag"];
        for trace in traces {
            assert!(!found(&path, trace).is_empty(), "the search finds what is there");
        }
        db.batch().erase_user(UserId(USER)).erase_item(ITEM).commit().unwrap();
        let snapshot = db.snapshot();
        let everything = HistoryQuery::default();
        assert!(snapshot.history(UserId(USER), &everything).unwrap().deeds.is_empty());
        assert!(snapshot.item_history(&ITEM.into(), Timestamp::MAX, 10).unwrap().is_empty());
        assert!(snapshot.get(&ITEM.into()).unwrap().is_none());
        assert_eq!(snapshot.len(), 199);
        drop(snapshot);
        while db.maintain().unwrap().is_some() {}
        for trace in traces {
            assert_eq!(found(&path, trace), Vec::<String>::new(), "flushed before: {flushed}");
        }
        let others = db.snapshot().history(UserId(7), &everything).unwrap().deeds;
        assert_eq!(others.len(), 12, "other users keep their other events");
        assert!(db.verify().unwrap().is_sound());
    }
}
