//! Batcher: requests of many threads in one call, and nobody waits longer than they said.

mod desk;
#[cfg(test)]
mod tests;

use super::{batch::RankBatch, caught::caught, hook::Ranker, run::Answer};
use desk::{Call, Job, do_all};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How requests are put together.
///
/// ```
/// use bowerbird::{model::ranker::Batching, ms};
/// let batching = Batching { candidates: 4096, wait: ms(1), ..Batching::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most candidates of one call, unless one request alone has more.
    pub candidates: usize,
    /// How long the first request of a batch waits for others: well below the deadline, as it is part of
    /// that. What waits anyway, because the ranker is busy, is put together without this. `Duration::MAX`
    /// waits until there are as many candidates as above.
    pub wait: Duration,
    /// Most requests that wait; others are not scored, and say so.
    pub waiting: usize,
    /// How many calls may go on at once: one for each core on the processor; one or two for a device that
    /// likes large batches.
    pub calls: usize,
    /// Most threads that call rankers, those that a ranker keeps too long among them.
    pub threads: usize,
}

impl Default for Batching {
    fn default() -> Batching {
        let calls = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = calls.saturating_add(8);
        Batching { candidates: 8192, wait: Duration::ZERO, waiting: 1024, calls, threads }
    }
}

/// Jobs, and the threads that do them. The threads end with the last handle.
pub(super) struct Batcher {
    shared: Arc<Shared>,
}

struct Shared {
    batching: Batching,
    queue: Mutex<Queue>,
    /// What idle threads wait for: jobs of any kind.
    come: Condvar,
    /// What threads that gather wait for: jobs that go with those they have.
    more: Condvar,
}

/// While there are jobs, a thread that gathers or one that was idle is on its way to them, or as many
/// threads as may be are in a call and look here after it.
#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that are there; those of them that a ranker has kept for too long, those that wait for
    /// jobs, and those that have some and wait for more.
    threads: usize,
    stuck: usize,
    idle: usize,
    gathering: usize,
    closed: bool,
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.come.notify_all();
        self.shared.more.notify_all();
    }
}

impl Batcher {
    pub(super) fn new(batching: Batching) -> Batcher {
        let (queue, come, more) = (Mutex::default(), Condvar::new(), Condvar::new());
        Batcher { shared: Arc::new(Shared { batching, queue, come, more }) }
    }

    /// The ranker's answer, or why there is none by the deadline.
    pub(super) fn ask(
        &self,
        ranker: &Arc<dyn Ranker>,
        batch: &Arc<RankBatch>,
        until: Option<Instant>,
    ) -> Result<Answer, String> {
        let (job, desk) = Job::new(ranker, batch);
        self.put(job)?;
        desk.wait(batch, until).map_err(|call| {
            if let Some(call) = call {
                self.shared.give_way(&call);
            }
            "missed its deadline".into()
        })
    }

    fn put(&self, job: Job) -> Result<(), String> {
        let mut queue = self.shared.queue.lock();
        queue.jobs.retain(Job::is_wanted);
        if queue.jobs.len() >= self.shared.batching.waiting {
            return Err(format!("was not asked: {} requests wait already", queue.jobs.len()));
        }
        queue.jobs.push_back(job);
        self.shared.rouse(&mut queue);
        if queue.threads == queue.stuck {
            queue.jobs.pop_back();
            return Err("was not asked: all threads are kept by rankers that do not return".into());
        }
        Ok(())
    }
}

impl Shared {
    /// Has a thread see to the jobs that wait: those that gather, as jobs may go with what they have; if
    /// there are none, one that is idle, or a new one. Who gathers and leaves some comes here again.
    fn rouse(self: &Arc<Shared>, queue: &mut Queue) {
        if queue.jobs.is_empty() || queue.closed {
            return;
        }
        match queue.gathering {
            0 => {
                self.come.notify_one();
                self.spawn(queue);
            }
            _ => {
                self.more.notify_all();
            }
        }
    }

    /// Another thread, if there is work for one and one more is allowed.
    fn spawn(self: &Arc<Shared>, queue: &mut Queue) {
        let Batching { calls, threads, .. } = self.batching;
        let busy = queue.threads - queue.stuck;
        if queue.jobs.len() <= queue.idle || busy >= calls.max(1) || queue.threads >= threads.max(1)
        {
            return;
        }
        let shared = self.clone();
        let made = std::thread::Builder::new().name("ranker".into()).spawn(move || shared.work());
        queue.threads += usize::from(made.is_ok());
    }

    /// A ranker keeps its thread past somebody's deadline: the others get another one.
    fn give_way(self: &Arc<Shared>, call: &Call) {
        let mut queue = self.queue.lock();
        if call.overdue.swap(true, Ordering::Relaxed) {
            return;
        }
        queue.stuck += 1;
        self.rouse(&mut queue);
    }

    fn work(self: Arc<Shared>) {
        let _place = Place(&self);
        while let Some(jobs) = self.take() {
            let call = Arc::new(Call::default());
            // Rankers may panic, and that is an answer. If we do, jobs say so as they are dropped.
            let _ = caught("a call of a ranker", || do_all(jobs, &call));
            let mut queue = self.queue.lock();
            // Nobody gives it up from now on: what is not overdue has its answers.
            if call.overdue.swap(true, Ordering::Relaxed) {
                queue.stuck -= 1;
                // Another thread has taken the place of this one.
                if queue.threads - queue.stuck > self.batching.calls.max(1) {
                    break;
                }
            }
        }
    }

    /// Jobs for one call; `None` when there will be no more.
    fn take(self: &Arc<Shared>) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        let first = loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) if !job.is_wanted() => {}
                Some(job) => break job,
                None => {
                    queue.idle += 1;
                    self.come.wait(&mut queue);
                    queue.idle -= 1;
                }
            }
        };
        let jobs = self.gather(&mut queue, first);
        self.rouse(&mut queue);
        Some(jobs)
    }

    /// A job, and those that go with it: what is there, and what comes while it waits.
    fn gather(&self, queue: &mut MutexGuard<'_, Queue>, first: Job) -> Vec<Job> {
        let most = self.batching.candidates;
        // A wait that is too long to be told has no end.
        let until = Instant::now().checked_add(self.batching.wait);
        let (mut count, mut jobs) = (first.batch.len(), vec![first]);
        while count < most {
            // Of another ranker, or too large: it is the first of the next call.
            let fits = |job: &Job| job.goes_with(&jobs[0]) && count + job.batch.len() <= most;
            if queue.jobs.front().is_some_and(|job| !fits(job)) {
                break;
            }
            match queue.jobs.pop_front() {
                Some(job) if !job.is_wanted() => {}
                Some(job) => {
                    count += job.batch.len();
                    jobs.push(job);
                }
                None if queue.closed || until.is_some_and(|until| Instant::now() >= until) => break,
                None => {
                    queue.gathering += 1;
                    match until {
                        Some(until) => drop(self.more.wait_until(queue, until)),
                        None => self.more.wait(queue),
                    }
                    queue.gathering -= 1;
                }
            }
        }
        jobs
    }
}

/// The place of a thread among those that are there, which it gives back however it ends.
struct Place<'s>(&'s Arc<Shared>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.threads -= 1;
        self.0.rouse(&mut queue);
    }
}
