//! Suggesting among 1,000,000 queries, for every key that is pressed.
//!
//! `cargo bench --bench suggest`. What is suggested is checked against what was typed before it is timed.
#![allow(missing_docs)]

mod timing;

use bowerbird::{model::suggest::*, recommend::*, *};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use timing::{Dice, quick};

const DIM: usize = 16;

fn filled(rows: u64, items: u64) -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Schema::new().space("v", DIM as u32, Metric::Cosine);
    let options = Options::default().durability(Durability::None).maintenance(Maintenance::Manual);
    let options = options.build_threads(2);
    let schema = schema(catalog.find_space("v").unwrap());
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    for first in (0..rows).step_by(10_000) {
        let mut batch = db.batch();
        for at in first..rows.min(first + 10_000) {
            let words: Vec<String> = (0..1 + dice.next() % 5).map(|_| dice.word()).collect();
            let about: Vec<String> = (0..5).map(|_| (dice.next() % items).to_string()).collect();
            let kind = if at % 3 == 0 { "known" } else { "exploratory" };
            let weight = (1e6 / (1.0 + (dice.next() % rows) as f64)).ln_1p();
            let text = words.join(" ");
            // Of the same words the last stays, as in a log of queries.
            let item = Item::new(text.as_str())
                .attr("query", text)
                .attr("kind", kind)
                .attr("source", "log")
                .attr("weight", weight)
                .attr("yield", 5)
                .attr("about", about);
            batch.put(item.vector("v", dice.vector(DIM)));
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    (folder, db)
}

fn main() {
    let (rows, items) = if quick() { (5_000, 500) } else { (1_500_000, 100_000) };
    let (_folder, db) = filled(rows, items);
    let start = Instant::now();
    while db.maintain().unwrap().is_some() {}
    let queries = db.snapshot();
    println!("{} queries; lists and graph in {:.0?}\n", queries.len(), start.elapsed());
    let mut dice = Dice(2);
    let suggest = Suggest::new("v");
    let mut times: Vec<(usize, Duration)> = Vec::new();
    for _ in 0..if quick() { 5 } else { 200 } {
        let items = (0..100).map(|at| (Key::Id(dice.next() % items), 1.0 / (10.0 + at as f32)));
        let wanted = Wanted::items(items.collect::<Vec<_>>());
        let wanted = wanted.interest(Interest::new("v", dice.vector(DIM), 1.0));
        let recommender = suggest.recommender(&Arc::new(wanted));
        let text = [dice.word(), dice.word()].join(" ");
        for end in 0..=text.len() {
            let request = Request::new(8, Timestamp(0)).text(&text[..end]);
            let start = Instant::now();
            let slate = black_box(recommender.run(&queries, &request).unwrap());
            times.push((end.min(3), start.elapsed()));
            let begun = text[..end].rsplit(' ').next().unwrap_or("");
            // Where nobody has written it, what is close will do.
            let exact = !queries.select_typed("query", &text[..end]).unwrap().is_empty();
            for item in slate.items.into_iter().filter(|_| exact) {
                let key = item.key.to_string();
                assert!(key.split(' ').any(|word| word.starts_with(begun)), "{key} for {begun}");
            }
        }
    }
    println!("| letters typed | median | p99 |\n|---|---|---|");
    for (name, from, to) in
        [("none", 0, 0), ("one", 1, 1), ("two", 2, 2), ("more", 3, 3), ("all", 0, 3)]
    {
        let these = times.iter().filter(|(letters, _)| (from..=to).contains(letters));
        let mut these: Vec<Duration> = these.map(|(_, time)| *time).collect();
        these.sort_unstable();
        let at = |share: usize| these[these.len() * share / 100];
        println!("| {name} | {:.2?} | {:.2?} |", at(50), at(99));
    }
}
