//! Items that are alike: the same picture many times, one text with another size in it.

use bowerbird::{io::Memory, *};
use std::sync::Arc;

const DIM: usize = 32;

struct Lots(u64);

impl Lots {
    /// Between -1 and 1, most near 0.
    fn number(&mut self) -> f32 {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        next() + next()
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| self.number()).collect()
    }

    /// A vector moved by `by` in all directions.
    fn beside(&mut self, vector: &[f32], by: f32) -> Vec<f32> {
        vector.iter().map(|x| x + by * self.number()).collect()
    }
}

fn open(vectors: &[Vec<f32>], metric: Metric, graphs: Graphs) -> (Arc<Memory>, Db) {
    let dir = Arc::new(Memory::new());
    let schema = Schema::new().space("v", DIM as u32, metric);
    let db = Db::create_in(dir.clone(), schema, options(graphs)).unwrap();
    let mut batch = db.batch();
    for (n, vector) in (0u64..).zip(vectors) {
        batch.put(Item::new(n).vector("v", vector.clone()));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    db.index().unwrap();
    (dir, db)
}

fn options(graphs: Graphs) -> Options {
    Options::default().maintenance(Maintenance::Manual).graph_rows_min(100).graphs(graphs)
}

/// Every fourth of 2,800 is the same.
fn with_copies() -> Vec<Vec<f32>> {
    let mut lots = Lots(7);
    let one = lots.vector();
    (0..2800).map(|n| if n % 4 == 1 { one.clone() } else { lots.vector() }).collect()
}

fn ids(hits: &[Hit]) -> Vec<u64> {
    let id = |hit: &Hit| if let Key::Id(id) = hit.key { id } else { unreachable!() };
    hits.iter().map(id).collect()
}

/// Goal: of 700 copies all are found by a walk, and those that are left when others are gone or have been seen.
/// Links by distance alone go to those with the lowest numbers.
#[test]
fn copies_are_found_each() {
    let vectors = with_copies();
    for (metric, graphs) in
        [(Metric::Cosine, Graphs::Fast), (Metric::Dot, Graphs::Fast), (Metric::L2, Graphs::Compact)]
    {
        let (_, db) = open(&vectors, metric, graphs);
        let near = |db: &Db, limit: usize| {
            let hits = db.snapshot().near("v", &vectors[1]).limit(limit).effort(64).run().unwrap();
            ids(&hits)
        };
        if metric != Metric::Dot {
            let all = near(&db, 700);
            let copies = all.iter().filter(|id| *id % 4 == 1).count();
            assert!(all.len() == 700 && copies >= 690, "{metric:?}: {copies}");
        }
        // All but the last 150 go away.
        let mut batch = db.batch();
        (0..550u64).for_each(|n| {
            batch.delete(4 * n + 1);
        });
        batch.commit().unwrap();
        let left = near(&db, 20);
        let is_left = |id: &u64| id % 4 == 1 && *id >= 2200;
        let right = left.iter().filter(|id| is_left(id)).count();
        let best = if metric == Metric::Dot { 0 } else { 20 };
        assert!(left.len() == 20 && right >= best, "{metric:?}: {left:?}");
    }
}

/// Goal: a target for recall does not take the greatest effort because copies are as good as each other.
#[test]
fn copies_cost_no_effort() {
    let (_, db) = open(&with_copies(), Metric::Cosine, Graphs::Fast);
    let check = db.snapshot().measure_recall("v", 60).recall(0.95).run().unwrap();
    assert!(check.recall >= 0.93 && check.expanded < 160.0, "{check:?}");
}

/// Goal: what codes of 8 bits cannot tell apart, effort can. Method: groups of eighty, a tenth of a step of a code
/// apart; rows in memory, and links with vectors.
#[test]
fn more_effort_tells_near_copies_apart() {
    let mut lots = Lots(3);
    let centers: Vec<Vec<f32>> = (0..30).map(|_| lots.vector()).collect();
    let vectors: Vec<Vec<f32>> = (0..2400).map(|n| lots.beside(&centers[n % 30], 1e-3)).collect();
    for metric in [Metric::L2, Metric::Cosine] {
        let (dir, db) = open(&vectors, metric, Graphs::Fast);
        let recall = |db: &Db, effort| {
            let snapshot = db.snapshot();
            let mut found = 0;
            for center in &centers {
                let query = Lots(9).beside(center, 1e-3);
                let near = || snapshot.near("v", &query).limit(10);
                let (exact, walked) = (near().exact(), near().effort(effort));
                let least = exact.run().unwrap()[9].score;
                let found_here = walked.run().unwrap();
                found += found_here.iter().filter(|hit| hit.score >= least).count();
            }
            found as f32 / 300.0
        };
        let (little, much) = (recall(&db, 16), recall(&db, 400));
        assert!(little < 0.5 && much > 0.98, "{metric:?}, rows: {little} and {much}");
        // A graph knows it of itself.
        let check = db.snapshot().measure_recall("v", 40).recall(0.95).run().unwrap();
        assert!(check.recall > 0.85, "{metric:?}: {check:?}");
        drop(db);
        let db = Db::open_in(dir, options(Graphs::Fast)).unwrap();
        let much = recall(&db, 400);
        assert!(much > 0.98, "{metric:?}, links: {much}");
    }
}
