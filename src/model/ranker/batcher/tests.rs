//! Batcher: who is woken for what, where several calls may go on at once.

use super::{Batcher, Batching, desk::Job};
use crate::{
    error::Result,
    model::ranker::{Features, RankBatch, Ranker, Scalar, cells::Cells, features::Dims},
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Keeps its thread for as many milliseconds as the first candidate says, and notes the size of each call.
#[derive(Default)]
struct Slow(Mutex<Vec<usize>>);

impl Ranker for Slow {
    fn name(&self) -> String {
        "slow".into()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        self.0.lock().push(batch.len());
        std::thread::sleep(Duration::from_millis(batch.scalars()[0] as u64));
        scores.fill(1.0);
        Ok(())
    }
}

fn slow() -> (Arc<Slow>, Arc<dyn Ranker>) {
    let slow = Arc::new(Slow::default());
    (slow.clone(), slow)
}

/// A request with so many candidates, which takes so long.
fn batch(candidates: u32, millis: f32) -> Arc<RankBatch> {
    let features = Features::new().scalar(Scalar::Previous);
    let dims = Dims { context: vec![], items: vec![], history: None };
    let mut batch = RankBatch::new(Arc::new(features), Arc::new(dims), None);
    let count = candidates as usize;
    batch.scalars = Cells::of(1, &vec![millis; count], vec![1; count]).unwrap();
    (batch.tasks, batch.starts) = (vec![0], vec![0, candidates]);
    Arc::new(batch)
}

fn batcher(calls: usize, wait: Duration) -> Batcher {
    Batcher::new(Batching { candidates: 30, wait, calls, ..Batching::default() })
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Has so many threads come and be idle: each is in a call while the others begin, and gathers nothing.
fn warm(batcher: &Batcher, threads: usize) {
    let ranker = slow().1;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| batcher.ask(&ranker, &batch(30, 100.0), None).unwrap());
        }
    });
    let begun = Instant::now();
    while batcher.shared.queue.lock().idle < threads {
        assert!(begun.elapsed() < ms(5000), "they came, and are not idle");
        std::thread::sleep(ms(1));
    }
}

/// Goal: a request goes to a thread that gathers, and not to one that is idle or new, which would begin a call
/// of its own. Method: three requests that fill a call, far apart.
#[test]
fn what_comes_while_one_gathers_is_part_of_its_call() {
    for idle in [0, 3] {
        let (batcher, (slow, ranker)) = (batcher(4, ms(20_000)), slow());
        warm(&batcher, idle);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| batcher.ask(&ranker, &batch(10, 0.0), None).unwrap());
                std::thread::sleep(ms(30));
            }
        });
        assert_eq!(*slow.0.lock(), [30], "{idle} were idle");
    }
}

/// Goal: a request that does not go with what a thread has gathered is not left alone while that thread is in
/// its call and another is idle. Method: one gathers while the other is in a call, so that it is the first in
/// turn when something comes.
#[test]
fn what_does_not_fit_is_passed_on() {
    let (batcher, (slow, ranker), other) = (&batcher(2, Duration::MAX), &self::slow(), slow().1);
    warm(batcher, 2);
    std::thread::scope(|scope| {
        scope.spawn(|| batcher.ask(&other, &batch(30, 200.0), None).unwrap());
        std::thread::sleep(ms(50));
        scope.spawn(|| batcher.ask(ranker, &batch(10, 3000.0), None).unwrap());
        std::thread::sleep(ms(350));
        let begun = Instant::now();
        batcher.ask(ranker, &batch(30, 0.0), None).unwrap();
        assert!(begun.elapsed() < ms(2000), "nobody took it");
        let mut calls = slow.0.lock().clone();
        calls.sort_unstable();
        assert_eq!(calls, [10, 30]);
    });
}

/// Goal: a request whose deadline passes while it is gathered is not asked of the ranker, which might keep the
/// thread for ever with nobody to notice; what comes then is answered.
#[test]
fn what_is_given_up_before_its_call_is_not_asked() {
    let (batcher, (slow, ranker)) = (batcher(1, ms(100)), slow());
    let soon = |millis| Some(Instant::now() + ms(millis));
    let missed = batcher.ask(&ranker, &batch(10, 60_000.0), soon(20));
    assert!(missed.unwrap_err().contains("deadline"));
    batcher.ask(&ranker, &batch(20, 0.0), soon(5000)).unwrap();
    assert_eq!(*slow.0.lock(), [20]);
    assert_eq!(batcher.shared.queue.lock().stuck, 0);
}

/// Goal: a ranker that hangs in a call that began in time does not keep the others, with requests that were
/// gathered, too.
#[test]
fn a_gathered_call_that_hangs_gives_way() {
    let (batcher, (_, ranker)) = (batcher(1, ms(30)), slow());
    let soon = |millis| Some(Instant::now() + ms(millis));
    assert!(batcher.ask(&ranker, &batch(10, 3000.0), soon(150)).is_err());
    assert_eq!(batcher.shared.queue.lock().stuck, 1);
    let begun = Instant::now();
    batcher.ask(&ranker, &batch(30, 0.0), None).unwrap();
    assert!(begun.elapsed() < ms(2000));
}

/// Goal: whatever becomes of the thread that does a job, who asked gets an answer.
#[test]
fn a_job_that_is_dropped_has_an_answer() {
    let (batch, ranker) = (batch(10, 0.0), slow().1);
    let (job, desk) = Job::new(&ranker, &batch);
    drop(job);
    let answer = desk.wait(&batch, None).unwrap_or_else(|_| panic!("there is no deadline"));
    assert!(answer.wrong[0].as_ref().unwrap().contains("not answered"));
    assert_eq!(answer.scores.len(), 10);
}
