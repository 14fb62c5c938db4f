//! Vectors, queries, and what a scan finds.

use crate::timing::{Dice, quick};
use bowerbird::*;
use std::{collections::BTreeSet, fs, ops::Range, path::Path};

/// How many are looked for.
pub(crate) const K: usize = 10;
const CENTERS: usize = 1000;

/// Vectors to put in, a twentieth more, and queries.
pub(crate) struct Data {
    pub(crate) name: String,
    vectors: Vec<Vec<f32>>,
    rows: u64,
    pub(crate) queries: Vec<Vec<f32>>,
}

pub(crate) fn options() -> Options {
    let options = Options::default().durability(Durability::None).build_threads(2);
    options.maintenance(Maintenance::Manual).graph_rows_min(1000)
}

impl Data {
    /// From a file, if one was named, or around random centers.
    pub(crate) fn of_arguments() -> Data {
        let args: Vec<String> = std::env::args().collect();
        let said = args.iter().position(|arg| arg == "--rows").and_then(|at| args.get(at + 1));
        let said = said.map(|rows| rows.parse().expect("--rows takes a number"));
        let file = args.iter().find(|arg| arg.ends_with(".npy"));
        let queries = if quick() { 50 } else { 1000 };
        let rows = said.unwrap_or(if quick() { 3000 } else { 200_000 });
        let (name, mut vectors) = match file {
            Some(path) => (path.clone(), read(Path::new(path))),
            None => ("clusters".into(), clusters(rows + rows / 20 + queries)),
        };
        // Queries are of the same kind, and not among the rows.
        assert!(vectors.len() > 2 * queries, "too few vectors");
        let asked = vectors.split_off(vectors.len() - queries);
        let rows = (vectors.len() * 20 / 21).min(said.unwrap_or(usize::MAX)) as u64;
        Data { name, vectors, rows, queries: asked }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn dim(&self) -> usize {
        self.queries[0].len()
    }

    pub(crate) fn vector(&self, row: u64) -> &[f32] {
        &self.vectors[row as usize % self.vectors.len()]
    }

    pub(crate) fn schema(&self) -> Schema {
        Schema::new().space("v", self.dim() as u32, Metric::L2).attr("third", AttrType::Bool)
    }

    pub(crate) fn put(&self, db: &Db, rows: Range<u64>) {
        for first in rows.clone().step_by(1000) {
            let mut batch = db.batch();
            for row in first..rows.end.min(first + 1000) {
                let item = Item::new(row).attr("third", row % 3 == 0);
                batch.put(item.vector("v", self.vector(row)));
            }
            batch.commit().unwrap();
        }
    }

    /// What a scan found is what 64-bit arithmetic finds.
    pub(crate) fn check(&self, truth: &[Vec<Hit>]) {
        for (query, hits) in self.queries.iter().zip(truth).take(5) {
            let distance = |row: u64| -> f64 {
                let pairs = self.vector(row).iter().zip(query);
                pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
            };
            let mut all: Vec<f64> = (0..self.rows).map(distance).collect();
            all.sort_by(f64::total_cmp);
            for (hit, nearest) in hits.iter().zip(&all) {
                let Key::Id(row) = hit.key else { panic!("{hit:?}") };
                let found = distance(row);
                assert!((found - nearest).abs() <= nearest * 1e-4, "{found}, not {nearest}");
            }
        }
    }
}

pub(crate) fn filled(path: &Path, data: &Data) {
    let db = Db::create_with(path, data.schema(), options()).unwrap();
    data.put(&db, 0..data.rows());
    db.compact().unwrap();
    db.close().unwrap();
}

pub(crate) fn truth(snapshot: &Snapshot, data: &Data, filter: Option<&Where>) -> Vec<Vec<Hit>> {
    let ask = |query: &Vec<f32>| {
        let near = snapshot.near("v", query).limit(K).exact();
        let near = match filter {
            Some(filter) => near.filter(filter.clone()),
            None => near,
        };
        near.run().unwrap()
    };
    data.queries.iter().map(ask).collect()
}

/// What share of the nearest was found.
pub(crate) fn recall(found: &[Vec<Hit>], truth: &[Vec<Hit>]) -> f64 {
    let mut hits = 0;
    for (found, truth) in found.iter().zip(truth) {
        assert_eq!(found.len(), K);
        let nearest: BTreeSet<&Key> = truth.iter().map(|hit| &hit.key).collect();
        hits += found.iter().filter(|hit| nearest.contains(&hit.key)).count();
    }
    hits as f64 / (K * truth.len()) as f64
}

/// Vectors around random centers, which differ in more of their numbers than they have in common.
fn clusters(count: usize) -> Vec<Vec<f32>> {
    let (dim, mut dice) = (if quick() { 24 } else { 128 }, Dice(1));
    let centers: Vec<Vec<f32>> = (0..CENTERS).map(|_| dice.vector(dim)).collect();
    let mut one = || {
        let center = &centers[dice.next() as usize % CENTERS];
        center.iter().map(|x| x + dice.unit()).collect()
    };
    (0..count).map(|_| one()).collect()
}

/// A table of f32 from a `.npy` file, row by row.
fn read(path: &Path) -> Vec<Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "is no .npy file of version 1");
    let (head, rows) = bytes[10..].split_at(u16::from_le_bytes([bytes[8], bytes[9]]) as usize);
    let head = String::from_utf8_lossy(head);
    assert!(head.contains("'<f4'") && head.contains("'fortran_order': False"), "{head}");
    let shape = head.split_once('(').and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    let dim: usize = shape.split(',').nth(1).unwrap().trim().parse().unwrap();
    let numbers = rows.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
    numbers.collect::<Vec<f32>>().chunks_exact(dim).map(<[f32]>::to_vec).collect()
}
