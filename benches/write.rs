//! Writing: batches, single durable commits against the disk's own rate of syncs, and what a million
//! updates leave on disk.
//!
//! `cargo bench --bench write`.
#![allow(missing_docs, clippy::disallowed_methods)]

mod timing;

use bowerbird::*;
use std::{io::Write, path::Path, time::Instant};
use timing::{Dice, quick};

fn folder_bytes(path: &Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        // A file may go away while it is counted.
        let Ok(meta) = entry.metadata() else { return 0 };
        if meta.is_dir() { folder_bytes(&entry.path()) } else { meta.len() }
    };
    std::fs::read_dir(path).unwrap().map(size).sum()
}

fn schema() -> Schema {
    Schema::new().space("v", 128, Metric::L2).attr("year", AttrType::Int).attr("tag", AttrType::Tag)
}

fn item(key: u64, vector: &[f32]) -> Item {
    Item::new(key)
        .vector("v", vector)
        .attr("year", (key % 60) as i64)
        .attr("tag", format!("t{}", key % 20))
}

/// Batches of a thousand items, each acknowledged when it is durable.
fn batches(path: &Path) {
    let total = if quick() { 20_000 } else { 1_000_000u64 };
    let group = Durability::Group { max_delay: ms(2), max_ops: 1000 };
    let db = Db::create_with(path, schema(), Options::default().durability(group)).unwrap();
    let vectors: Vec<Vec<f32>> = (0..1000).map(|n| Dice(n).vector(128)).collect();
    let start = Instant::now();
    for first in (0..total).step_by(1000) {
        let mut batch = db.batch();
        for n in 0..1000 {
            batch.put(item(first + n, &vectors[n as usize]));
        }
        batch.commit().unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    assert_eq!(db.snapshot().len(), total);
    println!("batches of 1,000, d=128 f32 + 2 attributes, D2: {:.0} items/s", total as f64 / took);
    let start = Instant::now();
    db.close().unwrap();
    println!("  closing took {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let db = Db::open(path).unwrap();
    let opened = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(db.snapshot().len(), total);
    println!("opening {total} x 128: {opened:.2} ms, {:?} parts", db.stats().disk_parts);
    let query = Dice(1).vector(128);
    assert_eq!(db.snapshot().near("v", &query).run().unwrap()[0].key, Key::Id(1));
}

/// Commits of one item, in turns with writes and syncs of a bare file.
fn singles(path: &Path) {
    let rounds = if quick() { 50 } else { 2_000 };
    let db = Db::create_with(path.join("db"), schema(), Options::default()).unwrap();
    let mut file = std::fs::File::create(path.join("bare")).unwrap();
    let vector = Dice(1).vector(128);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for key in 0..rounds {
        let start = Instant::now();
        db.batch().put(item(key, &vector)).commit().unwrap();
        ours.push(start.elapsed());
        let start = Instant::now();
        file.write_all(&[7; 640]).unwrap();
        file.sync_data().unwrap();
        bare.push(start.elapsed());
    }
    assert_eq!(db.snapshot().len(), rounds);
    ours.sort_unstable();
    bare.sort_unstable();
    let (ours, bare) = (ours[rounds as usize / 2], bare[rounds as usize / 2]);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!(
        "single durable commits: {ours:?} each; a bare append and sync: {bare:?}; ratio {ratio:.2}"
    );
}

/// Single-item updates of a small catalogue, unsynced, with housekeeping on its thread.
fn churn(path: &Path) {
    let (items, updates) = if quick() { (2_000, 20_000) } else { (100_000, 1_000_000u64) };
    let options = Options::default().durability(Durability::Buffered { max_delay: ms(50) });
    let db = Db::create_with(path, schema(), options).unwrap();
    let mut dice = Dice(3);
    for key in 0..items {
        db.batch().put(item(key, &dice.vector(128))).commit().unwrap();
    }
    let start = Instant::now();
    let mut peak = 0;
    for n in 0..updates {
        db.batch().put(item(dice.next() % items, &dice.vector(128))).commit().unwrap();
        if n % 20_000 == 0 {
            peak = peak.max(folder_bytes(path));
        }
    }
    let rate = updates as f64 / start.elapsed().as_secs_f64();
    // Nobody asks for anything: the housekeeping thread comes to rest by itself.
    while !db.stats().debt.is_none() {
        std::thread::sleep(ms(20));
    }
    assert_eq!(db.snapshot().len(), items);
    let live = items * (128 * 4 + 8 + 8 + 4);
    let (now, stats) = (folder_bytes(path), db.stats());
    println!(
        "{updates} single updates of {items} items: {rate:.0}/s; on disk {:.2} x live bytes at rest, \
         {:.2} x at most meanwhile; {} parts",
        now as f64 / live as f64,
        peak as f64 / live as f64,
        stats.disk_parts
    );
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    batches(&folder.path().join("batches"));
    let bare = folder.path().join("singles");
    std::fs::create_dir(&bare).unwrap();
    singles(&bare);
    churn(&folder.path().join("churn"));
}
