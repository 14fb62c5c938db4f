//! Exact search at memory speed: whole queries through the public API, against reading the same bytes.
//!
//! `cargo bench --bench scan`. The answer is checked against 64-bit arithmetic before it is timed.
#![allow(missing_docs)]

mod timing;

use bowerbird::*;
use std::hint::black_box;
use timing::{Dice, gbps, pair, quick};

const DIMS: [u32; 4] = [64, 128, 384, 768];
const ENCODINGS: [(Encoding, &str); 4] =
    [(Encoding::F32, "f32"), (Encoding::F16, "f16"), (Encoding::I8, "i8"), (Encoding::U8, "u8")];

fn build(dim: u32, encoding: Encoding, rows: u64) -> (tempfile::TempDir, Db, Vec<Vec<f32>>) {
    let folder = tempfile::tempdir().unwrap();
    let schema =
        Schema::new().space_as("v", dim, Metric::Dot, encoding).attr("known", AttrType::Bool);
    let options = Options::default().durability(Durability::None);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(dim.into());
    let mut sample = Vec::new();
    for first in (0..rows).step_by(2000) {
        let mut batch = db.batch();
        for key in first..rows.min(first + 2000) {
            let mut vector = dice.vector(dim as usize);
            if encoding == Encoding::U8 {
                vector.iter_mut().for_each(|x| *x = (x.abs() * 100.0).round().min(255.0));
            }
            let mut item = Item::new(key);
            if key < 2000 {
                sample.push(vector.clone());
                item = item.attr("known", true);
            }
            batch.put(item.vector("v", vector));
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    (folder, db, sample)
}

/// Checks the scores of the rows that are known against exact arithmetic.
fn check(db: &Db, query: &[f32], sample: &[Vec<f32>], encoding: Encoding) {
    let snapshot = db.snapshot();
    let known = attr("known").is(true);
    let hits = snapshot.near("v", query).filter(known).limit(10_000).run().unwrap();
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let tolerance = match encoding {
        Encoding::F32 => 1e-4,
        Encoding::F16 => 2e-2,
        _ => 0.2,
    };
    let mut checked = 0;
    for hit in hits {
        let Key::Id(id) = hit.key else { continue };
        let Some(vector) = sample.get(id as usize) else { continue };
        let exact: f64 = vector.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((exact - f64::from(hit.score)).abs() < tolerance, "{exact} {}", hit.score);
        checked += 1;
    }
    assert_eq!(checked, sample.len());
}

/// Reads every byte and does as little as possible with it.
fn read(numbers: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for chunk in numbers.chunks_exact(16) {
        for (sum, n) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*n);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

fn main() {
    let bytes = if quick() { 8 << 20 } else { 256 << 20 };
    println!("exact top-10 by dot product, one thread, {} MiB of vectors\n", bytes >> 20);
    println!("| space | rows | query ms | GB/s | read GB/s | ratio |\n|---|---|---|---|---|---|");
    let plain = vec![1u64; bytes / 8];
    for (encoding, name) in ENCODINGS {
        for dim in DIMS {
            let rows = bytes / encoding.row_bytes(dim);
            let (_folder, db, sample) = build(dim, encoding, rows as u64);
            let query = Dice(99).vector(dim as usize);
            check(&db, &query, &sample, encoding);
            let snapshot = db.snapshot();
            let search = || drop(black_box(snapshot.near("v", &query).limit(10).run().unwrap()));
            let (scan, raw) = pair(15, search, || {
                black_box(read(black_box(&plain)));
            });
            let (fast, raw) = (gbps(bytes, scan), gbps(bytes, raw));
            let ms = scan.as_secs_f64() * 1e3;
            println!(
                "| {name} x {dim} | {rows} | {ms:.2} | {fast:.1} | {raw:.1} | {:.2} |",
                fast / raw
            );
        }
    }
}
