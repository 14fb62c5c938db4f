//! Any calls in any order, beside a model that keeps everything in a map.

use super::{attack::Choices, base};
use bowerbird::{io::fault::Fault, *};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Default)]
struct Model {
    items: BTreeMap<u64, i64>,
    events: Vec<(u64, u64, i64)>,
}

/// Each call: one byte that says which, then its arguments.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let dir = Fault::new();
    let schema =
        Schema::new().space("text", 2, Metric::L2).attr("year", AttrType::Int).event("view");
    let options = base::options(if choices.byte() & 1 == 0 { IoMode::Mmap } else { IoMode::Pread });
    let db = Db::create_in(Arc::new(dir.clone()), schema, options.clone());
    let mut db = db.expect("the directory is empty");
    let mut model = Model::default();
    for _ in 0..200 {
        if choices.is_empty() {
            break;
        }
        match choices.byte() % 12 {
            0..=3 => batch(&db, &mut model, &mut choices),
            4 => drop(db.flush().expect("the disk is fine")),
            5 => db.compact().expect("the disk is fine"),
            6 => drop(db.maintain().expect("the disk is fine")),
            7 => {
                drop(db);
                db = Db::open_in(Arc::new(dir.clone()), options.clone()).expect("it is sound");
            }
            8 => search(&db, &model, &mut choices),
            9 => histories(&db, &model, &mut choices),
            10 => wrong(&db, &mut choices),
            _ => items(&db, &model, &mut choices),
        }
    }
    items(&db, &model, &mut choices);
    assert!(db.verify().expect("the disk is fine").is_sound());
}

/// The vector of an item is made of its attribute, so one number is all there is to know of it.
fn vector(year: i64) -> [f32; 2] {
    [(year % 64) as f32, 1.0]
}

fn batch(db: &Db, model: &mut Model, choices: &mut Choices<'_>) {
    let mut batch = db.batch();
    for _ in 0..choices.byte() % 6 {
        let (id, year) = (u64::from(choices.byte() % 32), i64::from(choices.byte()));
        match choices.byte() % 6 {
            0..=2 => {
                batch.put(Item::new(id).vector("text", vector(year)).attr("year", year));
                model.items.insert(id, year);
            }
            3 => {
                batch.delete(id);
                model.items.remove(&id);
            }
            4 => {
                batch.event(Event::new(id % 4, id, "view", Timestamp(year)));
                model.events.push((id % 4, id, year));
            }
            _ if year % 2 == 0 => {
                batch.erase_user(UserId(id % 4));
                model.events.retain(|event| event.0 != id % 4);
            }
            _ => {
                batch.erase_item(id);
                model.items.remove(&id);
                model.events.retain(|event| event.1 != id);
            }
        }
    }
    batch.commit().expect("the batch is fine");
}

fn items(db: &Db, model: &Model, choices: &mut Choices<'_>) {
    let snapshot = db.snapshot();
    let keys = snapshot.keys(&Where::all(), 1000).expect("it is sound");
    let expected: Vec<Key> = model.items.keys().map(|id| Key::Id(*id)).collect();
    assert_eq!(keys, expected);
    let (low, high) = (i64::from(choices.byte()), i64::from(choices.byte()));
    let filter = attr("year").between(low, high);
    let within = model.items.values().filter(|year| (low..=high).contains(year)).count();
    assert_eq!(snapshot.count(&filter).expect("it is sound"), within as u64);
    let id = u64::from(choices.byte() % 32);
    let item = snapshot.get(&Key::Id(id)).expect("it is sound");
    let year = item.and_then(|item| item.get("year").cloned());
    assert_eq!(year, model.items.get(&id).map(|year| Value::Int(*year)));
}

fn search(db: &Db, model: &Model, choices: &mut Choices<'_>) {
    let (query, limit) = (vector(choices.byte().into()), 1 + usize::from(choices.byte() % 40));
    let hits = db.snapshot().near("text", &query).limit(limit).run().expect("it is sound");
    let mut expected: Vec<(f32, u64)> = Vec::new();
    for (id, year) in &model.items {
        let row = vector(*year);
        expected.push((-(row[0] - query[0]).powi(2), *id));
    }
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    expected.truncate(limit);
    let found: Vec<Key> = hits.iter().map(|hit| hit.key.clone()).collect();
    let expected: Vec<Key> = expected.iter().map(|(_, id)| Key::Id(*id)).collect();
    assert_eq!(found, expected);
}

fn histories(db: &Db, model: &Model, choices: &mut Choices<'_>) {
    let (user, at) = (u64::from(choices.byte() % 4), i64::from(choices.byte()));
    let query = HistoryQuery::default().as_of(Timestamp(at));
    let history = db.snapshot().history(UserId(user), &query).expect("it is sound");
    let mut found: Vec<(i64, u64)> = Vec::new();
    for deed in &history.deeds {
        let Key::Id(id) = deed.item else { panic!("a name") };
        found.push((deed.at.0, id));
    }
    assert!(found.is_sorted_by_key(|deed| deed.0));
    found.sort_unstable();
    let known = model.events.iter().filter(|event| event.0 == user && event.2 <= at);
    let mut expected: Vec<(i64, u64)> = known.map(|event| (event.2, event.1)).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let items: BTreeSet<u64> = model.events.iter().map(|event| event.1).collect();
    for item in items {
        let seen = db.snapshot().item_history(&Key::Id(item), Timestamp::MAX, 1000);
        let count = model.events.iter().filter(|event| event.1 == item).count();
        assert_eq!(seen.expect("it is sound").len(), count);
    }
}

/// What cannot work is refused and changes nothing.
fn wrong(db: &Db, choices: &mut Choices<'_>) {
    let (snapshot, seq) = (db.snapshot(), db.snapshot().seq());
    let number = f32::from_bits(choices.number() as u32);
    let put = |item| db.batch().put(item).commit();
    let refused = match choices.byte() % 8 {
        0 => put(Item::new("name")).is_err(),
        1 => put(Item::new(1u64).vector("text", [1.0])).is_err(),
        2 => put(Item::new(1u64).attr("year", "text")).is_err(),
        3 => snapshot.near("text", &[f32::NAN, 1.0]).run().is_err(),
        4 => snapshot.near("text", &[1.0, 1.0]).limit(0).run().is_err(),
        5 => snapshot.history(UserId(1), &HistoryQuery::default().limit(0)).is_err(),
        6 => snapshot.keys(&attr("genre").is("a"), 1).is_err(),
        _ => match snapshot.near("text", &[number, 1.0]).run() {
            Ok(hits) => hits.iter().all(|hit| hit.score.is_finite()),
            Err(_) => number.is_nan() || number.abs() > bowerbird::limits::COMPONENT_MAX,
        },
    };
    assert!(refused);
    assert_eq!(db.snapshot().seq(), seq);
}
