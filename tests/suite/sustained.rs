//! Inserts that do not end, and searches that go on meanwhile.

use bowerbird::*;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

const DIM: usize = 24;
/// Items that there are at first, and in the end.
const FIRST: u64 = 5_000;
const ITEMS: u64 = 13_000;
const BATCH: u64 = 100;
/// Of the items that there are, which one a search looks for.
const CENTERS: u64 = 60;

/// Vectors around some centers, the same for the same number.
fn vector(n: u64) -> Vec<f32> {
    let mut dice = crate::oracle::Dice(n + 1);
    let mut far = crate::oracle::Dice(1_000_000 + n % CENTERS);
    let unit = |dice: &mut crate::oracle::Dice| dice.roll(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
    (0..DIM).map(|_| 2.0 * unit(&mut far) + unit(&mut dice)).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Goal: while items come in, are flushed, merged and indexed by threads of their own, a search at the
/// default effort finds at least .95 of the ten nearest, and what was inserted is found at once.
/// Method: a thread inserts; ours asks for an item that was just inserted, and for vectors near others,
/// and compares with all vectors that were there. In the end all graphs are built, and it is still so.
// checks: I5
#[test]
fn searches_keep_their_recall_while_items_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("v", DIM as u32, Metric::L2);
    // Little is enough to be flushed, so that there are merges of merges.
    let options =
        Options::default().durability(Durability::None).flush_bytes(128 << 10).graph_rows_min(500);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let (written, ended) = (AtomicU64::new(FIRST), AtomicBool::new(false));
    let vectors: Vec<Vec<f32>> = (0..ITEMS).map(vector).collect();
    put(&db, &vectors, 0..FIRST);
    db.flush().unwrap();
    db.index().unwrap();
    let (mut hits, mut asked, mut walked) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (FIRST..ITEMS).step_by(BATCH as usize) {
                put(&db, &vectors, first..first + BATCH);
                written.store(first + BATCH, Ordering::Release);
                std::thread::sleep(Duration::from_millis(60));
            }
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) {
            let before = written.load(Ordering::Acquire);
            let snapshot = db.snapshot();
            assert!(snapshot.len() >= before);
            let newest = &vectors[before as usize - 1];
            let hit = &snapshot.near("v", newest).limit(1).run().unwrap()[0];
            assert_eq!(hit.key, Key::Id(before - 1), "inserted, and not found");
            walked += u64::from(db.stats().graph_parts > 0);
            hits += found(&snapshot, &vectors, asked);
            asked += 1;
        }
    });
    let recall = hits as f32 / (10 * asked) as f32;
    println!("{asked} searches, {walked} of them with a graph, recall {recall}");
    assert!(asked >= 20 && walked >= 10 && recall >= 0.95, "{recall} of {asked}, {walked}");
    let begun = Instant::now();
    while !db.stats().debt.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", db.stats());
        std::thread::sleep(Duration::from_millis(20));
    }
    let snapshot = db.snapshot();
    let hits: usize = (0..100).map(|n| found(&snapshot, &vectors, n)).sum();
    let measured = snapshot.measure_recall("v", 20).run().unwrap();
    assert!(hits >= 950 && measured.expanded > 0.0, "{hits} of 1000 in the end, {measured:?}");
    assert_eq!(snapshot.len(), ITEMS);
}

fn put(db: &Db, vectors: &[Vec<f32>], ids: std::ops::Range<u64>) {
    let mut batch = db.batch();
    for n in ids {
        batch.put(Item::new(n).vector("v", vectors[n as usize].clone()));
    }
    batch.commit().unwrap();
}

/// How many of the ten nearest to a vector of its own a search at the default effort finds.
fn found(snapshot: &Snapshot, vectors: &[Vec<f32>], number: u64) -> usize {
    let query = vector(ITEMS + number);
    let there = &vectors[..snapshot.len() as usize];
    let mut all: Vec<(f32, u64)> =
        there.iter().zip(0..).map(|(vector, n)| (distance(vector, &query), n)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nearest: Vec<Key> = all[..10].iter().map(|pair| Key::Id(pair.1)).collect();
    let hits = snapshot.near("v", &query).limit(10).run().unwrap();
    hits.iter().filter(|hit| nearest.contains(&hit.key)).count()
}
