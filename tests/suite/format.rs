//! FORMAT.md says enough: a reader in another language, written from it, sees what we see.
//!
//! The reader is `tests/reader/bowerbird.py`. Without Python 3 or numpy these tests are skipped, loudly;
//! with BOWERBIRD_REQUIRE_PYTHON in the environment they fail instead.

use bowerbird::{
    Artifact, AttrType, Db, Durability, Encoding, Event, HistoryQuery, Item, Key, KeyKind,
    Maintenance, Metric, Opened, Options, Provenance, Result, Saved, Schema, Seq, Snapshot,
    Timestamp, UserId, Value, Where,
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const USERS: u64 = 12;

/// The same numbers every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }

    fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.roll(2001) as f32 / 300.0 - 3.3).collect()
    }
}

/// Bytes and nothing else.
struct Weights(Vec<u8>);

impl Artifact for Weights {
    const KIND: &'static str = "weights";
    const FORMAT: u16 = 3;
    fn save(&self, out: &mut Saved) -> Result<()> {
        out.section(0, &self.0)?;
        out.section(7, b"more")
    }
    fn open(from: &Opened) -> Result<Weights> {
        Ok(Weights(from.section(0)?.to_vec()))
    }
}

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

/// A space in each encoding, an attribute of each type, and two fields that will be dropped.
fn schema(keys: KeyKind) -> Schema {
    Schema::new()
        .keys(keys)
        .space("text", 3, Metric::Cosine)
        .space_as("half", 5, Metric::L2, Encoding::F16)
        .space_as("gone", 2, Metric::Dot, Encoding::F32)
        .space_as("bytes", 7, Metric::Dot, Encoding::I8)
        .space_as("bits", 11, Metric::L2, Encoding::Binary)
        .attr("flag", AttrType::Bool)
        .attr("count", AttrType::Int)
        .attr("weight", AttrType::Float)
        .attr("since", AttrType::Time)
        .attr("past", AttrType::Tag)
        .attr("brand", AttrType::Tag)
        .attr("genres", AttrType::Tags)
        .attr("title", AttrType::Text)
        .space_as("counts", 6, Metric::L2, Encoding::U8)
        .event("view")
        .event("buy")
}

fn key(keys: KeyKind, n: u64) -> Key {
    match keys {
        KeyKind::Id => Key::Id(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        KeyKind::Name => format!("k\u{e9}y-{n}").into(),
    }
}

/// An item in which each field is missing one time in four.
fn item(schema: &Schema, key: Key, dice: &mut Dice) -> Item {
    let mut item = Item::new(key);
    for space in schema.spaces() {
        if dice.roll(4) > 0 {
            let mut vector = dice.vector(space.dim as usize);
            if space.encoding == Encoding::U8 {
                vector.iter_mut().for_each(|x| *x = (x.abs() * 100.0).round().min(255.0));
            }
            item = item.vector(&space.name, vector);
        }
    }
    for attr in schema.attrs() {
        if dice.roll(4) == 0 {
            continue;
        }
        let n = dice.roll(9) as i64 - 4;
        let words = ["jazz", "live", "\u{e9}t\u{e9}", "a"].map(String::from);
        let value = match attr.ty {
            AttrType::Bool => Value::Bool(n > 0),
            AttrType::Int => Value::Int(n * 0x0fff_ffff_ffff_ffff),
            AttrType::Float => Value::Float(n as f64 / 3.0 * 1e200),
            AttrType::Time => Value::Time(Timestamp(n * 1_700_000_000_123)),
            AttrType::Tag => Value::Text(words[dice.roll(4) as usize].clone()),
            AttrType::Tags => Value::Tags(words[..dice.roll(5) as usize].to_vec()),
            AttrType::Text => Value::Text("x\"\n\u{1f426}".repeat(n.unsigned_abs() as usize)),
        };
        item = item.attr(&attr.name, value);
    }
    item
}

fn event(keys: KeyKind, dice: &mut Dice) -> Event {
    let at = Timestamp(dice.roll(40) as i64 - 20);
    let kind = ["view", "buy"][dice.roll(2) as usize];
    let mut event = Event::new(dice.roll(USERS), key(keys, dice.roll(60)), kind, at);
    if dice.roll(2) == 0 {
        event = event.recorded(Timestamp(at.0 + dice.roll(3) as i64));
    }
    if dice.roll(3) == 0 {
        event = event.value(dice.roll(1000) as f32 / 7.0);
    }
    if dice.roll(3) == 0 {
        event = event.request(u64::MAX - dice.roll(5));
    }
    if dice.roll(3) == 0 {
        event = event.position(dice.roll(65_536) as u16);
    }
    event
}

fn commits(db: &Db, keys: KeyKind, n: usize, dice: &mut Dice) {
    for _ in 0..n {
        let (snapshot, mut batch) = (db.snapshot(), db.batch());
        for _ in 0..1 + dice.roll(6) {
            match dice.roll(8) {
                0 => batch.delete(key(keys, dice.roll(60))),
                1..4 => batch.event(event(keys, dice)),
                _ => batch.put(item(snapshot.schema(), key(keys, dice.roll(60)), dice)),
            };
        }
        batch.commit().unwrap();
    }
}

fn erase(db: &Db, keys: KeyKind, dice: &mut Dice) {
    let mut batch = db.batch();
    let user = UserId(dice.roll(USERS));
    batch.event(Event::new(user.0, key(keys, 1), "view", Timestamp(7)));
    batch.erase_user(user).erase_item(key(keys, dice.roll(60)));
    batch.event(Event::new(user.0, key(keys, 2), "buy", Timestamp(7)));
    batch.commit().unwrap();
}

/// A database with everything that a file can hold, and a WAL that is not flushed.
fn rich(path: &Path, keys: KeyKind) -> Db {
    let (dice, options) = (&mut Dice(0x51f3 + keys as u64), manual());
    let db = Db::create_with(path, schema(keys), options).unwrap();
    for round in 0..6 {
        commits(&db, keys, 12, dice);
        db.flush().unwrap();
        if round == 2 {
            erase(&db, keys, dice);
            db.compact().unwrap();
        }
    }
    db.drop_space("gone").unwrap();
    db.drop_attr("past").unwrap();
    let from = Provenance { trained_at: Seq(9), seed: u64::MAX, ..Provenance::default() };
    db.publish("codes", &Weights(vec![1; 100_000]), from).unwrap();
    let notes = vec![("quality".into(), "\u{bd}".into())];
    let from = Provenance { parents: vec![("codes".into(), 1)], notes, ..Provenance::default() };
    db.publish("rank-2", &Weights(Vec::new()), from).unwrap();
    db.activate_all(&[("codes", 1), ("rank-2", 1)]).unwrap();
    db.publish("codes", &Weights(vec![2]), Provenance::default()).unwrap();
    commits(&db, keys, 10, dice);
    db.flush().unwrap();
    db.add_space("late", 1, Metric::Dot, Encoding::F16).unwrap();
    db.add_attr("fresh", AttrType::Float).unwrap();
    commits(&db, keys, 10, dice);
    erase(&db, keys, dice);
    commits(&db, keys, 5, dice);
    db
}

/// Enough rows for every kind of container in a bitmap, and enough events for a derived file.
fn large(path: &Path) -> Db {
    let schema = Schema::new().attr("even", AttrType::Bool).attr("third", AttrType::Int);
    let db = Db::create_with(path, schema.event("view"), manual()).unwrap();
    let mut batch = db.batch();
    for n in 0..70_000u64 {
        let item = Item::new(n).attr("even", n % 2 == 0);
        batch.put(if n % 3 == 0 { item.attr("third", n as i64) } else { item });
    }
    for n in 0..9_000 {
        batch.event(Event::new(n % 7, n, "view", Timestamp(0)));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    while db.maintain().unwrap().is_some() {}
    let mut batch = db.batch();
    for n in (20_000..35_000u64).chain(66_000..67_000) {
        batch.delete(n);
    }
    batch.erase_user(UserId(3));
    batch.commit().unwrap();
    db.flush().unwrap();
    db
}

/// A few commits that nobody has synced.
fn buffered(path: &Path) -> Db {
    let options = manual().durability(Durability::None);
    let db = Db::create_with(path, schema(KeyKind::Id), options).unwrap();
    commits(&db, KeyKind::Id, 5, &mut Dice(1));
    db
}

/// What the reader's document says, from our side.
fn document(db: &Db) -> Json {
    let snapshot = db.snapshot();
    let schema = snapshot.schema();
    let types = schema.attrs().iter().map(|a| (a.name.clone(), json!(a.ty)));
    let types: std::collections::HashMap<String, Json> = types.collect();
    let keys = snapshot.keys(&Where::all(), 1_000_000).unwrap();
    let items: Vec<Json> = keys.iter().map(|key| item_json(&snapshot, key, &types)).collect();
    let attr = |a: &bowerbird::Attr| json!({ "id": a.id, "name": a.name, "type": a.ty });
    json!({
        "seq": snapshot.seq().0,
        "schema": {
            "keys": if schema.key_kind() == KeyKind::Id { "id" } else { "name" },
            "spaces": schema.spaces(),
            "attrs": schema.attrs().iter().map(attr).collect::<Vec<_>>(),
            "events": schema.events(),
        },
        "items": items,
        "events": (0..USERS).flat_map(|user| events_json(&snapshot, user)).collect::<Vec<_>>(),
        "artifacts": artifacts_json(&snapshot),
    })
}

fn key_json(key: &Key) -> Json {
    match key {
        Key::Id(id) => json!(id),
        Key::Name(name) => json!(**name),
    }
}

fn item_json(
    snapshot: &Snapshot,
    key: &Key,
    types: &std::collections::HashMap<String, Json>,
) -> Json {
    let item = snapshot.get(key).unwrap().unwrap();
    let vectors: serde_json::Map<_, _> =
        item.vectors.into_iter().map(|(n, v)| (n, json!(v))).collect();
    let mut attrs = serde_json::Map::new();
    for (name, value) in item.attrs {
        let value = match value {
            Value::Bool(yes) => json!(yes),
            Value::Int(n) => json!(n),
            Value::Float(x) => json!(format!("{x:?}")),
            Value::Time(t) => json!(t.0),
            Value::Text(text) => json!(text),
            Value::Tags(tags) => json!(tags),
            other => panic!("{other:?}"),
        };
        attrs.insert(name.clone(), json!({ types[&name].as_str().unwrap(): value }));
    }
    json!({ "key": key_json(key), "vectors": vectors, "attrs": attrs })
}

fn events_json(snapshot: &Snapshot, user: u64) -> Vec<Json> {
    let all = HistoryQuery::default().limit(1_000_000);
    let deeds = snapshot.history(UserId(user), &all).unwrap().deeds;
    let event = |e: &bowerbird::Deed| {
        json!({
            "user": user, "item": key_json(&e.item), "kind": e.kind, "at": e.at.0,
            "recorded": e.recorded.0, "value": e.value, "request": e.request,
            "position": e.position,
        })
    };
    deeds.iter().map(event).collect()
}

fn artifacts_json(snapshot: &Snapshot) -> Vec<Json> {
    let artifact = |a: bowerbird::ArtifactRef| {
        let from = snapshot.provenance(&a.name, a.version).unwrap();
        json!({
            "name": a.name, "version": a.version, "kind": a.kind, "active": a.active,
            "parents": a.parents, "trained_at": from.trained_at.0, "seed": from.seed,
            "notes": from.notes,
        })
    };
    snapshot.artifacts().into_iter().map(artifact).collect()
}

/// Replaces every float by its bits, so that equal documents have equal floats.
fn exact(mut document: Json) -> Json {
    let single = |number: &mut Json| {
        if let Some(x) = number.as_f64() {
            *number = json!((x as f32).to_bits());
        }
    };
    for item in document["items"].as_array_mut().unwrap() {
        for (_, vector) in item["vectors"].as_object_mut().unwrap() {
            vector.as_array_mut().unwrap().iter_mut().for_each(single);
        }
        for (_, value) in item["attrs"].as_object_mut().unwrap() {
            if let Some(text) = value.get("float") {
                let float: f64 = text.as_str().unwrap().parse().unwrap();
                *value = json!({ "float": float.to_bits() });
            }
        }
    }
    for event in document["events"].as_array_mut().unwrap() {
        single(&mut event["value"]);
    }
    document
}

/// Whether the reader can run. Says so if not, or panics where it must.
fn python() -> bool {
    let found = Command::new("python3").args(["-c", "import numpy"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    // Our own switch, for machines on which a skipped test would go unseen.
    #[allow(clippy::disallowed_methods)]
    let required = std::env::var("BOWERBIRD_REQUIRE_PYTHON").is_ok();
    assert!(!required, "python3 with numpy is required here and is not there");
    eprintln!("SKIPPED: the reader in tests/reader needs python3 with numpy");
    false
}

fn run(script: &str, directory: &Path, input: &str) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reader").join(script);
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn assert_same_document(db: &Db, directory: &Path) {
    let output = run("bowerbird.py", directory, "");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", directory.display());
    let (ours, theirs) = (exact(document(db)), serde_json::from_slice(&output.stdout).unwrap());
    let theirs = exact(theirs);
    for part in ["seq", "schema", "artifacts"] {
        assert_eq!(ours[part], theirs[part], "{part}");
    }
    for part in ["items", "events"] {
        let (ours, theirs) = (ours[part].as_array().unwrap(), theirs[part].as_array().unwrap());
        assert_eq!(ours.len(), theirs.len(), "{part}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours, theirs, "{part}");
        }
    }
}

/// Goal: FORMAT.md suffices to write a reader. Method: write databases with everything that a file can
/// hold, and compare what the reader in Python prints with what our own API answers.
// checks: F1 F2
#[test]
fn a_reader_in_another_language_sees_what_we_see() {
    if !python() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let empty = Db::create_with(at("empty"), Schema::new(), manual()).unwrap();
    assert_same_document(&empty, &at("empty"));
    for (name, keys) in [("ids", KeyKind::Id), ("names", KeyKind::Name)] {
        let db = rich(&at(name), keys);
        assert_same_document(&db, &at(name));
        db.compact().unwrap();
        assert_same_document(&db, &at(name));
        db.checkpoint(at(&format!("{name}-copy"))).unwrap();
        assert_same_document(&db, &at(&format!("{name}-copy")));
    }
    assert_same_document(&large(&at("large")), &at("large"));
    assert_same_document(&buffered(&at("buffered")), &at("buffered"));
}

/// Every file of a database, with its length.
fn files(directory: &Path) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for folder in ["", "wal", "segments", "artifacts", "derived"] {
        for entry in fs::read_dir(directory.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() {
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                files.push((path, entry.metadata().unwrap().len()));
            }
        }
    }
    files.sort();
    files
}

/// Goal: the checks that FORMAT.md describes catch damage, whoever makes them. Method: change one
/// byte at 240 places, at least eight in each file, and let the reader in Python look: it says that
/// the file is damaged, or nothing that it reads has changed.
// checks: C1 F1
#[test]
fn a_flipped_byte_is_damage_or_changes_nothing() {
    if !python() {
        return;
    }
    let folder = TempDir::new().unwrap();
    for (name, keys) in [("ids", KeyKind::Id), ("names", KeyKind::Name)] {
        let path = folder.path().join(name);
        let db = rich(&path, keys);
        let (files, mut dice, mut flips) = (files(&path), Dice(0xf11b), Vec::new());
        for (file, len) in
            files.iter().cycle().filter(|(_, len)| *len > 0).take(120.max(8 * files.len()))
        {
            flips.push((file.clone(), dice.roll(*len), 1u8 << dice.roll(8)));
        }
        let output = run("flips.py", &path, &json!(flips).to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
        let wrong = flips.iter().zip(&answers).find(|(_, answer)| *answer == "different");
        assert_eq!(wrong, None, "a flip went unseen");
        let seen = answers.iter().filter(|a| a.starts_with("damaged")).count();
        // Not seen: flips in LOCK, and in the seal at the end of the WAL.
        assert!(seen * 10 > answers.len() * 8, "{seen} of {} flips were seen", answers.len());
        drop(db);
    }
}
