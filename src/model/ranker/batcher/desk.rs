//! Desk: where a request waits for its answer, and where its call says that it has begun.

use super::super::{
    batch::RankBatch,
    hook::Ranker,
    run::{Answer, run},
};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

/// A request that waits for its answer. One that is dropped without says that it has none: whatever becomes
/// of the thread that does it, nobody waits for ever.
pub(super) struct Job {
    pub(super) ranker: Arc<dyn Ranker>,
    pub(super) batch: Arc<RankBatch>,
    desk: Arc<Desk>,
}

/// Where an answer is put.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// The call that it is part of, once that has begun.
    call: Option<Arc<Call>>,
    answer: Option<Answer>,
    answered: bool,
}

/// One call of a ranker.
#[derive(Default)]
pub(super) struct Call {
    /// Whether somebody has given it up, so that its thread does not count any more. Changes under the
    /// lock of the queue.
    pub(super) overdue: AtomicBool,
}

impl Job {
    /// A job, and where its answer will be.
    pub(super) fn new(ranker: &Arc<dyn Ranker>, batch: &Arc<RankBatch>) -> (Job, Arc<Desk>) {
        let desk = Arc::new(Desk::default());
        (Job { ranker: ranker.clone(), batch: batch.clone(), desk: desk.clone() }, desk)
    }

    /// Whether somebody waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.batch.cancelled()
    }

    /// Whether another can be part of the same call.
    pub(super) fn goes_with(&self, other: &Job) -> bool {
        Arc::ptr_eq(&self.ranker, &other.ranker) && self.batch.fits(&other.batch)
    }

    /// Makes it part of a call, if somebody still waits.
    fn begin(&self, call: &Arc<Call>) -> bool {
        // Who asked gives up under this lock, too: they have seen the call, or the call sees that.
        let mut state = self.desk.state.lock();
        if !self.is_wanted() {
            return false;
        }
        state.call = Some(call.clone());
        true
    }

    fn answer(&self, answer: Answer) {
        let mut state = self.desk.state.lock();
        (state.answer, state.answered) = (Some(answer), true);
        self.desk.done.notify_one();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let answered = self.desk.state.lock().answered;
        if !answered && self.is_wanted() {
            let why = "was not answered: the call that it was part of came to an end before";
            self.answer(Answer::failed(&self.batch, why));
        }
    }
}

impl Desk {
    /// The answer. If there is none by then, the batch is given up, and it is the call that it is part of, if
    /// that has begun.
    pub(super) fn wait(
        &self,
        batch: &RankBatch,
        until: Option<Instant>,
    ) -> Result<Answer, Option<Arc<Call>>> {
        let mut state = self.state.lock();
        while state.answer.is_none() {
            match until {
                None => self.done.wait(&mut state),
                Some(until) if self.done.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
            }
        }
        if let Some(answer) = state.answer.take() {
            return Ok(answer);
        }
        batch.cancelled.give_up();
        Err(state.call.take())
    }
}

/// Asks once for all jobs that somebody still waits for, and puts each answer where it belongs.
pub(super) fn do_all(mut jobs: Vec<Job>, call: &Arc<Call>) {
    jobs.retain(|job| job.begin(call));
    let mut answer = match &jobs[..] {
        [] => return,
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
        job.answer(std::mem::replace(&mut answer, Answer { scores, wrong }));
    }
}
