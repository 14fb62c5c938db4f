//! Serving a model over many items: one request, with and without a graph over its vectors.
//!
//! `cargo bench --bench models [-- ITEMS]`. The items lie in groups of fifty; sessions walk within a group, and
//! item2vec learns from them what a shop's log would teach it.
#![allow(missing_docs)]

mod timing;

use bowerbird::{
    model::*,
    recommend::{Recommender, Request, Seen},
    *,
};
use std::{collections::BTreeSet, time::Instant};
use timing::{Dice, quick};

const GROUP: u64 = 50;

/// Sessions of eight items, each within a group.
fn sequences(items: u64) -> Sequences {
    let mut dice = Dice(3);
    let session = |user: u64| {
        let group = user % (items / GROUP);
        let step = |at: i64| (Key::Id(group * GROUP + dice.next() % GROUP), at);
        (user, (0..8).map(step).collect::<Vec<_>>())
    };
    Sequences::new((0..items).map(session)).unwrap()
}

/// A database with all items and a few users.
fn shop(items: u64) -> Db {
    let options = Options::default().graphs(Graphs::Off).memory_limit_bytes(4 << 30);
    let schema = Schema::new().attr("stock", AttrType::Bool).event("view");
    let db = Db::create_in(std::sync::Arc::new(io::Memory::new()), schema, options).unwrap();
    let mut batch = db.batch();
    for item in 0..items {
        batch.put(Item::new(item).attr("stock", item % 10 != 0));
        if batch.len() == 100_000 {
            batch.commit().unwrap();
        }
    }
    let mut dice = Dice(5);
    for user in 0..1_000u64 {
        let group = dice.next() % (items / GROUP);
        for step in 0..10 {
            let item = group * GROUP + dice.next() % GROUP;
            batch.event(Event::new(user, item, "view", Timestamp(step)));
        }
    }
    batch.commit().unwrap();
    drop(batch);
    db.compact().unwrap();
    db
}

fn main() {
    let said = std::env::args().find_map(|word| word.parse().ok());
    let items = said.unwrap_or(if quick() { 20_000 } else { 200_000 });
    let start = Instant::now();
    let sequences = sequences(items);
    let options = Item2Vec { epochs: Some(if quick() { 2 } else { 3 }), ..Item2Vec::default() };
    let model = options.train(&sequences, &mut Training::new(1).threads(2)).unwrap();
    println!("item2vec over {items} items, {} events: {:.1?}", sequences.events(), start.elapsed());
    let start = Instant::now();
    let indexed = model.clone().indexed(2, &mut Progress::silent()).unwrap();
    println!("graph over its vectors, two threads: {:.1?}", start.elapsed());
    let db = shop(items);
    for (name, model) in [("all", &model), ("graph", &indexed)] {
        let version = db.publish(name, model, model.provenance(Seq(0))).unwrap();
        db.activate(name, version).unwrap();
    }
    let snapshot = db.snapshot();
    let served = |name: &str, filtered: bool| {
        let mut recommender = Recommender::new().filter(Seen::new(["view"]));
        if filtered {
            recommender = recommender.filter(attr("stock").is(true));
        }
        recommender.retrieve(NextItems::by(name, 20))
    };
    for filtered in [false, true] {
        let (all, graph) = (served("all", filtered), served("graph", filtered));
        let ask = |made: &Recommender, user: u64| {
            let slate = made.run(&snapshot, &Request::new(20, Timestamp(100)).user(user)).unwrap();
            slate.items.into_iter().map(|item| item.key).collect::<BTreeSet<Key>>()
        };
        // The answers first: what the graph finds of the best twenty.
        let recall = |user: u64| ask(&all, user).intersection(&ask(&graph, user)).count();
        let users = if quick() { 50 } else { 200 };
        let found: usize = (0..users).map(recall).sum();
        let recall = found as f64 / (20 * users) as f64;
        // Of fifty items that hardly differ, which are the best twenty is nearly chance.
        assert!(recall > 0.6, "the graph finds {recall} of the best");
        for (name, made) in [("scored whole", &all), ("by graph", &graph)] {
            let mut times: Vec<f64> = (0..users)
                .map(|user| {
                    let start = Instant::now();
                    ask(made, user);
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[(times.len() as f64 * share) as usize];
            let what = if filtered { "90 % of items allowed" } else { "all items" };
            println!("{what}, {name}: p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
        }
        println!("  recall@20 of the graph {recall:.3}");
    }
}
