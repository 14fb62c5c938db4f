//! Recommending over 10,000 items with 100,000 events: one request through all five verbs.
//!
//! `cargo bench --bench recommend`.
#![allow(missing_docs)]

mod timing;

use bowerbird::{recommend::*, *};
use std::hint::black_box;
use timing::{Dice, median, quick};

fn filled(items: u64, users: u64) -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let schema =
        Schema::new().space("v", 128, Metric::Cosine).attr("genre", AttrType::Tag).event("view");
    let options = Options::default().durability(Durability::None);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    let mut batch = db.batch();
    for key in 0..items {
        batch.put(
            Item::new(key).vector("v", dice.vector(128)).attr("genre", format!("g{}", key % 20)),
        );
    }
    batch.commit().unwrap();
    for round in 0..20i64 {
        let mut batch = db.batch();
        for user in 0..users {
            // Squared, so that few items get many views.
            let place = (dice.next() % 1000) as f64 / 1000.0;
            let item = (place * place * items as f64) as u64;
            batch.event(Event::new(
                user,
                item,
                "view",
                Timestamp(round * 1000 + user as i64 % 1000),
            ));
        }
        batch.commit().unwrap();
    }
    (folder, db)
}

fn main() {
    let (items, users) = if quick() { (1_000, 200) } else { (10_000, 5_000) };
    let (_folder, db) = filled(items, users);
    let hybrid = Recommender::new()
        .summarize(Decayed::new("v", ms(5_000)))
        .filter(Seen::new(["view"]))
        .filter(!attr("genre").is("g7"))
        .retrieve(NearInterests::new("v", 200))
        .retrieve(CoVisited::new(["view"], 200))
        .retrieve(Popular::new(["view"], ms(5_000), 100))
        .score(
            Weighted::new()
                .scaled(0.5, Rrf::default())
                .scaled(0.3, Similarity::new("v"))
                .scaled(0.2, Popularity::new(["view"], ms(5_000))),
        )
        .select(Diverse::new("v", 0.3));
    let popular =
        Recommender::new().filter(Seen::new(["view"])).retrieve(Popular::ever(["view"], 100));
    for compacted in [false, true] {
        if compacted {
            db.compact().unwrap();
        }
        let (snapshot, now) = (db.snapshot(), Timestamp(100_000));
        for user in 0..50 {
            let slate = hybrid.run(&snapshot, &Request::new(20, now).user(user)).unwrap();
            let seen = snapshot.history(UserId(user), &HistoryQuery::default()).unwrap().deeds;
            assert_eq!(slate.items.len(), 20);
            assert!(slate.items.iter().all(|item| seen.iter().all(|deed| deed.item != item.key)));
        }
        for (name, made) in [("popular", &popular), ("hybrid of five verbs", &hybrid)] {
            let mut user = 0;
            let mut ask = || {
                user = (user + 7919) % users;
                black_box(made.run(&snapshot, &Request::new(20, now).user(user)).unwrap());
            };
            (0..users).for_each(|_| ask());
            let time = median(2001, ask);
            let parts = db.stats().disk_parts + db.stats().heap_parts;
            println!("{name}: {time:?} per slate of 20 over {items} items in {parts} parts");
        }
        // One more event, and what its user is shown right after it.
        let mut user = 0;
        let fresh = median(101, || {
            user = (user + 7919) % users;
            let event = Event::new(user, user % items, "view", Timestamp(90_000));
            db.batch().event(event).commit().unwrap();
            black_box(hybrid.run(&db.snapshot(), &Request::new(20, now).user(user)).unwrap());
        });
        println!("hybrid with a commit before each slate: {fresh:?}");
        let slate = hybrid.run(&snapshot, &Request::new(20, now).user(3)).unwrap();
        for stage in slate.trace.stages {
            println!(
                "  {} {}: {} of {}, {} us",
                stage.verb, stage.name, stage.kept, stage.seen, stage.micros
            );
        }
    }
}
