//! Searches while items come in, and threads flush, merge and build.

use crate::{
    data::{Data, K, options, recall, truth},
    timing::Dice,
};
use bowerbird::*;
use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

const BATCH: u64 = 100;

/// Inserts all, in so much time or as fast as it can, and searches as often as it can meanwhile.
pub(crate) fn run(path: &Path, data: &Data, (quick, time): (bool, Duration)) {
    let options = options().maintenance(Maintenance::Thread).build_threads(1);
    let options = if quick { options.flush_bytes(128 << 10) } else { options };
    let db = Db::create_with(path, data.schema(), options).unwrap();
    let (written, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut times, mut dice) = (Vec::new(), Dice(3));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut first = 0;
            while first + BATCH <= data.rows() {
                let due = time.mul_f64(first as f64 / data.rows() as f64);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                data.put(&db, first..first + BATCH);
                first += BATCH;
                written.store(first, Ordering::Release);
            }
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) {
            let before = written.load(Ordering::Acquire);
            if before == 0 {
                continue;
            }
            let query = &data.queries[dice.next() as usize % data.queries.len()];
            let start = Instant::now();
            let hits = db.snapshot().near("v", query).limit(K).run().unwrap();
            times.push(start.elapsed());
            assert_eq!(hits.len(), K);
            if times.len() % 16 == 0 {
                let newest = db.snapshot().near("v", data.vector(before - 1)).limit(1).run();
                assert_eq!(newest.unwrap()[0].key, Key::Id(before - 1), "inserted, and not found");
            }
        }
    });
    let (took, rows) = (begun.elapsed(), written.into_inner());
    let snapshot = db.snapshot();
    let share = |snapshot: &Snapshot| {
        let found = snapshot.near_batch("v", &data.queries).limit(K).run().unwrap();
        recall(&found, &truth(snapshot, data, None))
    };
    let at_once = share(&snapshot);
    let stats = db.stats();
    while !db.stats().debt.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let in_the_end = share(&db.snapshot());
    assert!(at_once > 0.9 && in_the_end > 0.9, "{at_once} {in_the_end}");
    times.sort_unstable();
    println!(
        "\n{rows} inserted in {:.1} s, {:.0}/s, while {} searches took {:.0?}, p99 {:.0?}, at most {:.0?};\n\
         recall {at_once:.3} as it ended ({} of {} parts with a graph), {in_the_end:.3} after housekeeping",
        took.as_secs_f64(),
        rows as f64 / took.as_secs_f64(),
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        stats.graph_parts,
        stats.disk_parts,
    );
}
