//! Boosted search beside plain search: 100,000 vectors of 128 numbers, with and without a graph.
//!
//! `cargo bench --bench boosts`. Answers are checked against scoring every item before they are timed.
#![allow(missing_docs)]

mod timing;

use bowerbird::{recommend::*, *};
use std::{collections::BTreeSet, hint::black_box};
use timing::{Dice, median, quick};

const DIM: usize = 128;
const NOW: Timestamp = Timestamp(1_000_000_000);

/// Vectors around centres, as embeddings are.
fn filled(rows: u64) -> (tempfile::TempDir, Db, Vec<Vec<f32>>) {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new()
        .space("v", DIM as u32, Metric::Cosine)
        .attr("stars", AttrType::Float)
        .attr("published", AttrType::Time)
        .event("view")
        .event("click");
    let options = Options::default().durability(Durability::None);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    let centres: Vec<Vec<f32>> = (0..500).map(|_| dice.vector(DIM)).collect();
    let near = |dice: &mut Dice| -> Vec<f32> {
        let centre = &centres[(dice.next() % 500) as usize];
        centre.iter().zip(dice.vector(DIM)).map(|(c, s)| c + 1.5 * s).collect()
    };
    for first in (0..rows).step_by(5000) {
        let mut batch = db.batch();
        for key in first..rows.min(first + 5000) {
            let stars = f64::from(dice.unit()) * 2.5 + 2.5;
            let at = Timestamp(NOW.0 - (dice.next() % 1_000_000) as i64);
            let item = Item::new(key).attr("stars", stars).attr("published", at);
            batch.put(item.vector("v", near(&mut dice)));
            let kind = if dice.next().is_multiple_of(4) { "click" } else { "view" };
            batch.event(Event::new(dice.next() % 1000, key, kind, Timestamp(key as i64)));
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    let queries = (0..50).map(|_| near(&mut dice)).collect();
    (folder, db, queries)
}

fn boosted<'s>(snapshot: &'s Snapshot, query: &[f32], norm: f32) -> Boosted<'s> {
    let near = snapshot.boosted(NOW).near("v", query, 1.0).norm_max(norm);
    near.boost(Boost::number("stars", 0.0, 5.0), norm * 0.4)
        .boost(Boost::fresh("published", std::time::Duration::from_secs(200)), norm * 0.3)
        .boost(Boost::rate(["click"], ["view"], 5.0), norm * 0.3)
}

fn main() {
    let rows = if quick() { 5_000 } else { 100_000 };
    let (_folder, db, queries) = filled(rows);
    println!("top 10 of {rows} vectors of {DIM}, one thread\n");
    println!(
        "| | norm of boosts | time | recall | scored of a query | passes |\n|---|---|---|---|---|---|"
    );
    for graph in [false, true] {
        if graph {
            db.index().unwrap();
        }
        let (snapshot, name) = (db.snapshot(), if graph { "graph" } else { "scan" });
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % queries.len();
            &queries[at]
        };
        let plain = median(501, || {
            black_box(snapshot.near("v", next()).limit(10).run().unwrap());
        });
        println!("| {name}, plain `near` | | {plain:?} | | | |");
        for norm in [0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0] {
            let (mut found, mut scored, mut passed) = (0, 0, 0);
            for query in &queries {
                let all = boosted(&snapshot, query, norm).exact().run().unwrap();
                let all: BTreeSet<Key> = all.into_iter().map(|hit| hit.key).collect();
                let (hits, looked) = boosted(&snapshot, query, norm).run_counted().unwrap();
                found += hits.iter().filter(|hit| all.contains(&hit.key)).count();
                scored += looked.scored;
                passed += looked.passed;
            }
            let time = median(201, || {
                black_box(boosted(&snapshot, next(), norm).run().unwrap());
            });
            let share = found as f64 / (10 * queries.len()) as f64;
            let scored = scored / queries.len() as u64;
            println!("| {name} | {norm} | {time:?} | {share:.3} | {scored} | {passed} |");
        }
    }
}
