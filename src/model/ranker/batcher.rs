//! Batcher: requests of many threads in one call, and nobody waits longer than they said.

use super::{
    batch::RankBatch,
    hook::Ranker,
    run::{Answer, run},
};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    /// How long the first request of a batch waits for others. What waits anyway, because the ranker is
    /// busy, is put together without this.
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

/// A request that waits for its answer.
struct Job {
    ranker: Arc<dyn Ranker>,
    batch: Arc<RankBatch>,
    answer: Arc<Desk>,
}

/// Where an answer is put.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// The call that it is part of, once that has begun.
    call: Option<Arc<Call>>,
    answer: Option<Answer>,
}

/// One call of a ranker.
#[derive(Default)]
struct Call {
    /// Whether somebody has given it up, so that its thread does not count any more. Changes under the
    /// lock of the queue.
    overdue: AtomicBool,
}

/// Jobs, and the threads that do them. The threads end with the last handle.
pub(super) struct Batcher {
    shared: Arc<Shared>,
}

struct Shared {
    batching: Batching,
    queue: Mutex<Queue>,
    come: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that are there; those of them that a ranker has kept for too long, and those that wait
    /// for jobs.
    threads: usize,
    stuck: usize,
    idle: usize,
    closed: bool,
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.come.notify_all();
    }
}

impl Batcher {
    pub(super) fn new(batching: Batching) -> Batcher {
        let (queue, come) = (Mutex::default(), Condvar::new());
        Batcher { shared: Arc::new(Shared { batching, queue, come }) }
    }

    /// The ranker's answer, or why there is none by the deadline.
    pub(super) fn ask(
        &self,
        ranker: &Arc<dyn Ranker>,
        batch: &Arc<RankBatch>,
        until: Option<Instant>,
    ) -> Result<Answer, String> {
        let (answer, cancelled) = (Arc::new(Desk::default()), batch.cancelled.clone());
        let (ranker, batch) = (ranker.clone(), batch.clone());
        let job = Job { ranker, batch, answer: answer.clone() };
        self.put(job)?;
        let mut state = answer.state.lock();
        while state.answer.is_none() {
            match until {
                None => answer.done.wait(&mut state),
                Some(until) if answer.done.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
            }
        }
        if let Some(answer) = state.answer.take() {
            return Ok(answer);
        }
        let call = state.call.clone();
        drop(state);
        cancelled.give_up();
        if let Some(call) = call {
            self.give_way(&call);
        }
        Err("missed its deadline".into())
    }

    fn put(&self, job: Job) -> Result<(), String> {
        let mut queue = self.shared.queue.lock();
        queue.jobs.retain(|job| !job.batch.cancelled());
        if queue.jobs.len() >= self.shared.batching.waiting {
            return Err(format!("was not asked: {} requests wait already", queue.jobs.len()));
        }
        queue.jobs.push_back(job);
        if !self.spawn(&mut queue) && queue.threads == queue.stuck {
            queue.jobs.pop_back();
            return Err("was not asked: all threads are kept by rankers that do not return".into());
        }
        drop(queue);
        self.shared.come.notify_one();
        Ok(())
    }

    /// A ranker keeps its thread past somebody's deadline: the others get another one.
    fn give_way(&self, call: &Call) {
        let mut queue = self.shared.queue.lock();
        if call.overdue.swap(true, Ordering::Relaxed) {
            return;
        }
        queue.stuck += 1;
        self.spawn(&mut queue);
    }

    /// Another thread, if there is work for one and one more is allowed.
    fn spawn(&self, queue: &mut Queue) -> bool {
        let Batching { calls, threads, .. } = self.shared.batching;
        let busy = queue.threads - queue.stuck;
        if queue.jobs.len() <= queue.idle || busy >= calls.max(1) || queue.threads >= threads.max(1)
        {
            return false;
        }
        let shared = self.shared.clone();
        let made = std::thread::Builder::new().name("ranker".into()).spawn(move || shared.work());
        queue.threads += usize::from(made.is_ok());
        made.is_ok()
    }
}

impl Shared {
    fn work(&self) {
        while let Some(jobs) = self.take() {
            let call = Arc::new(Call::default());
            do_all(jobs, &call);
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
        self.queue.lock().threads -= 1;
    }

    /// Jobs for one call; `None` when there will be no more.
    fn take(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        let first = loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) if job.batch.cancelled() => {}
                Some(job) => break job,
                None => {
                    queue.idle += 1;
                    self.come.wait(&mut queue);
                    queue.idle -= 1;
                }
            }
        };
        let most = self.batching.candidates;
        let (mut count, until) = (first.batch.len(), Instant::now() + self.batching.wait);
        let mut jobs = vec![first];
        loop {
            let more = |job: &Job| {
                Arc::ptr_eq(&job.ranker, &jobs[0].ranker) && job.batch.fits(&jobs[0].batch)
            };
            // Of another ranker, or too large: it is the first of the next call.
            let stop = queue.jobs.front().is_some_and(|j| !more(j) || count + j.batch.len() > most);
            if stop || count >= most {
                break;
            }
            match queue.jobs.pop_front() {
                Some(job) if job.batch.cancelled() => {}
                Some(job) => {
                    count += job.batch.len();
                    jobs.push(job);
                }
                None if queue.closed => break,
                None => {
                    if self.come.wait_until(&mut queue, until).timed_out() {
                        break;
                    }
                }
            }
        }
        Some(jobs)
    }
}

/// Asks once for all jobs, and puts each answer where it belongs.
fn do_all(jobs: Vec<Job>, call: &Arc<Call>) {
    for job in &jobs {
        job.answer.state.lock().call = Some(call.clone());
    }
    let mut answer = match &jobs[..] {
        [job] => run(&*job.ranker, &job.batch),
        jobs => {
            let mut all = jobs[0].batch.of_none();
            jobs.iter().for_each(|job| all.append(&job.batch));
            run(&*jobs[0].ranker, &all)
        }
    };
    for job in jobs {
        let scores = answer.scores.split_off(job.batch.len());
        let wrong = answer.wrong.split_off(job.batch.requests());
        let mine = std::mem::replace(&mut answer, Answer { scores, wrong });
        job.answer.state.lock().answer = Some(mine);
        job.answer.done.notify_one();
    }
}
