//! Warm: rows of graphs are in memory only, made again from what the file has.

use bowerbird::{io::fault::Fault, *};
use std::sync::Arc;

const ITEMS: u64 = 1500;

fn options(graphs: Graphs) -> Options {
    Options::default().maintenance(Maintenance::Manual).graph_rows_min(100).graphs(graphs)
}

fn vector(n: u64, dim: usize) -> Vec<f32> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..dim).map(|_| next() + next()).collect()
}

fn filled(dim: usize, metric: Metric, encoding: Encoding) -> (Fault, Db) {
    let dir = Fault::new();
    let schema = Schema::new().space_as("v", dim as u32, metric, encoding);
    let db = Db::create_in(Arc::new(dir.clone()), schema, options(Graphs::Fast)).unwrap();
    let mut batch = db.batch();
    (0..ITEMS).filter(|n| n % 7 != 3).for_each(|n| {
        batch.put(Item::new(n).vector("v", vector(n, dim)));
    });
    batch.commit().unwrap();
    db.flush().unwrap();
    db.index().unwrap();
    (dir, db)
}

fn answers(db: &Db, dim: usize) -> (Vec<Vec<Hit>>, [f64; 3]) {
    answers_of(&db.snapshot(), dim)
}

/// What short walks find; what share of the truth that is, and how many rows they scored and expanded.
fn answers_of(snapshot: &Snapshot, dim: usize) -> (Vec<Vec<Hit>>, [f64; 3]) {
    let one = |n| snapshot.near("v", &vector(ITEMS + n, dim)).limit(3).effort(3).run().unwrap();
    let hits = (0..60).map(one).collect();
    let cost = snapshot.measure_recall("v", 20).limit(3).effort(3).run().unwrap();
    (hits, [cost.recall, cost.scored, cost.expanded])
}

/// Goal: rows that are made from a file are those of the build, bit for bit: walks find the same at the same
/// cost. Method: all layouts of codes, three metrics, dead rows; short walks, which miss much.
#[test]
fn rows_are_made_again_as_they_were_built() {
    for (dim, metric, encoding) in [
        (24, Metric::L2, Encoding::F32),
        (200, Metric::Cosine, Encoding::I8),
        (528, Metric::Dot, Encoding::F16),
    ] {
        let place = format!("{dim} numbers, {metric:?}");
        let (dir, db) = filled(dim, metric, encoding);
        let built = answers(&db, dim);
        let [recall, _, expanded] = built.1;
        assert!(expanded > 0.0 && recall < 1.0, "{place}: {recall}, {expanded} expanded");
        let rows = db.stats().graph_memory_bytes;
        drop(db);
        let open = |graphs| Db::open_in(Arc::new(dir.clone()), options(graphs)).unwrap();
        let db = open(Graphs::Fast);
        let cold = answers(&db, dim);
        assert!(cold != built, "{place}: over links the walk is another");
        assert_eq!(db.stats().graph_memory_bytes, 0, "{place}");
        let before = db.snapshot();
        let bytes = db.warm().unwrap();
        assert!(answers_of(&before, dim) == cold, "{place}: a snapshot does not change");
        assert!(bytes > rows && db.stats().graph_memory_bytes == bytes, "{place}: {bytes} {rows}");
        assert!(answers(&db, dim) == built, "{place}: warm");
        assert_eq!(db.warm().unwrap(), 0, "{place}: once");
        drop(db);
        // Those that are searched often become warm without being asked to.
        let db = open(Graphs::Fast);
        assert!(answers(&db, dim) == cold && db.maintain().unwrap().is_none(), "{place}: few");
        (0..5).for_each(|_| drop(answers(&db, dim)));
        let heated = std::iter::from_fn(|| db.maintain().unwrap());
        let heated: u64 =
            heated.map(|chore| if let Chore::Heated { bytes } = chore { bytes } else { 0 }).sum();
        assert!(heated == bytes && answers(&db, dim) == built, "{place}: busy");
        drop(db);
        let db = open(Graphs::Compact);
        let signs = db.warm().unwrap();
        assert!(signs == bytes - rows && answers(&db, dim) == cold, "{place}: compact");
    }
}

/// Goal: a question over several snapshots and threads while rows are made gets the answer of one way of
/// walking or of the other, and nothing in between; making them can be cancelled.
#[test]
fn answers_while_rows_are_made_are_whole() {
    let (dir, db) = filled(24, Metric::L2, Encoding::F32);
    let (built, _) = answers(&db, 24);
    drop(db);
    let db = Db::open_in(Arc::new(dir), options(Graphs::Fast)).unwrap();
    let (cold, _) = answers(&db, 24);
    let cancelled = db.warm_with(&mut Progress::to(|_, _| false)).unwrap_err();
    assert!(matches!(cancelled, Error::Cancelled), "{cancelled}");
    assert_eq!(db.stats().graph_memory_bytes, 0);
    std::thread::scope(|scope| {
        let asks = || {
            for _ in 0..40 {
                let (now, _) = answers(&db, 24);
                for ((hits, cold), built) in now.iter().zip(&cold).zip(&built) {
                    assert!(hits == cold || hits == built, "{hits:?}");
                }
            }
        };
        let asking = [scope.spawn(asks), scope.spawn(asks)];
        db.warm().unwrap();
        asking.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(answers(&db, 24).0 == built);
}

/// Goal: what several ask for at once is made once.
#[test]
fn what_several_warm_is_made_once() {
    let (dir, db) = filled(24, Metric::L2, Encoding::F32);
    drop(db);
    let db = Db::open_in(Arc::new(dir), options(Graphs::Fast)).unwrap();
    let warm = || db.warm().unwrap();
    let made: u64 = std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(warm));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(made, db.stats().graph_memory_bytes);
}
