//! Reading: histories, items, filters.
//!
//! `cargo bench --bench read`.
#![allow(missing_docs)]

mod timing;

use bowerbird::*;
use std::hint::black_box;
use timing::{Dice, median, quick};

fn main() {
    let users = if quick() { 200 } else { 5_000u64 };
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new().attr("n", AttrType::Int).attr("tag", AttrType::Tag).event("view");
    let options = Options::default().durability(Durability::None);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    // 400 events per user, arriving out of order over the whole time.
    for round in 0..400i64 {
        let mut batch = db.batch();
        for user in 0..users {
            let at = Timestamp(round * 1000 + (dice.next() % 50_000) as i64);
            batch.event(Event::new(user, dice.next() % 50_000, "view", at).value(1.0));
        }
        batch.commit().unwrap();
    }
    let mut batch = db.batch();
    for key in 0..50_000u64 {
        let tag = format!("t{}", dice.next() % 30);
        batch.put(Item::new(key).attr("n", (dice.next() % 1000) as i64).attr("tag", tag));
    }
    batch.commit().unwrap();
    for compacted in [false, true] {
        if compacted {
            db.compact().unwrap();
        }
        let (snapshot, stats) = (db.snapshot(), db.stats());
        let query = HistoryQuery::default().limit(200);
        for user in 0..users.min(50) {
            let deeds = snapshot.history(UserId(user), &query).unwrap().deeds;
            assert!(deeds.len() == 200 && deeds.is_sorted_by_key(|deed| deed.at));
        }
        let mut user = 0;
        let history = median(2001, || {
            user = (user + 7919) % users;
            black_box(snapshot.history(UserId(user), &query).unwrap());
        });
        let get = median(2001, || {
            user = (user + 7919) % 50_000;
            black_box(snapshot.get(&user.into()).unwrap());
        });
        let filter = attr("tag").is("t3") & attr("n").between(100, 400);
        let count = median(101, || {
            black_box(snapshot.count(&filter).unwrap());
        });
        println!(
            "{} parts: the last 200 of 400 events {history:?}; an item {get:?}; counting a filter of two {count:?}",
            stats.disk_parts + stats.heap_parts
        );
    }
}
