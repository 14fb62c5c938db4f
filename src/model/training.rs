//! Training: the manners of all trainers. Progress, cancelling, early stopping, a time budget.

use crate::{
    error::{Error, Result},
    model::{Cases, Protocol, method::Method},
    progress::Progress,
};
use std::time::{Duration, Instant};

/// How to train: everything that is not a method's own.
///
/// The same sequences, options and seed give the same model, byte by byte, unless a method says that
/// its threads race, or a time budget ends it.
///
/// ```
/// use bowerbird::{Progress, model::Training};
/// use std::time::Duration;
/// let how = Training::new(7)
///     .threads(2)
///     .time_budget(Duration::from_secs(600))
///     .progress(Progress::to(|done, total| { eprintln!("{done} of {total}"); true }));
/// ```
#[derive(Debug)]
pub struct Training<'a> {
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) validation: Option<&'a Cases>,
    pub(crate) exclude_seen: Option<bool>,
    pub(crate) progress: Progress<'a>,
    time_budget: Option<Duration>,
    begun: Instant,
    curve: Vec<Epoch>,
    best: Option<(f64, usize)>,
}

/// What was seen after an epoch.
///
/// ```
/// use bowerbird::model::Epoch;
/// fn line(epoch: &Epoch) -> String {
///     format!("epoch {}: loss {:.4}", epoch.number, epoch.loss)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Epoch {
    /// From 1.
    pub number: usize,
    /// Mean training loss per example, in nats.
    pub loss: f64,
    /// NDCG@10 on the validation cases, if there are any.
    pub ndcg_10: Option<f64>,
    /// Training examples so far.
    pub examples: u64,
    /// Since training began.
    pub seconds: f64,
}

/// What to do after an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The best so far, or nobody can tell: remember it and go on.
    Better,
    /// Go on, but remember the best.
    Worse,
    /// Stop; the best was before this one.
    Stop,
    /// Stop, and this is the best.
    StopHere,
}

/// Most validation cases looked at after each epoch: their NDCG is good to about a hundredth.
const CASES_MAX: usize = 10_000;

impl<'a> Training<'a> {
    /// With a seed, on one thread, for as long as the method says.
    pub fn new(seed: u64) -> Training<'a> {
        Training {
            seed,
            threads: 1,
            validation: None,
            exclude_seen: None,
            progress: Progress::silent(),
            time_budget: None,
            begun: Instant::now(),
            curve: Vec::new(),
            best: None,
        }
    }

    /// Uses so many threads.
    pub fn threads(mut self, threads: usize) -> Training<'a> {
        self.threads = threads.max(1);
        self
    }

    /// Judges every epoch by these cases, keeps the best and stops when it no longer gets better.
    /// They must not be among the sequences. If there are none of them, it is as if this was not called.
    pub fn validate(mut self, cases: &'a Cases) -> Training<'a> {
        self.validation = Some(cases);
        self
    }

    /// Whether recommendations will leave out items of the history. Unless said, they will where
    /// sequences hardly ever repeat an item.
    pub fn exclude_seen(mut self, exclude: bool) -> Training<'a> {
        self.exclude_seen = Some(exclude);
        self
    }

    /// Stops after the epoch that goes over this.
    pub fn time_budget(mut self, budget: Duration) -> Training<'a> {
        self.time_budget = Some(budget);
        self
    }

    /// Reports to this, which may cancel: then there is no model.
    pub fn progress(mut self, progress: Progress<'a>) -> Training<'a> {
        self.progress = progress;
        self
    }

    /// What was seen after each epoch.
    pub fn curve(&self) -> &[Epoch] {
        &self.curve
    }

    /// Called once by each trainer before its first epoch.
    pub(crate) fn begin(&mut self, epochs: usize) -> Result<()> {
        self.begun = Instant::now();
        (self.curve, self.best) = (Vec::new(), None);
        self.progress.begin(epochs as u64)
    }

    /// Whether there are cases to judge epochs by. No case says no more than no cases.
    pub(crate) fn judges(&self) -> bool {
        self.validation.is_some_and(|cases| !cases.is_empty())
    }

    /// Whether there was an epoch whose quality is known: the best of them is to be kept.
    pub(crate) fn judged(&self) -> bool {
        self.best.is_some()
    }

    /// Seconds since training began.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Called by each trainer after an epoch, with its mean loss and how many examples were seen in
    /// all; `patience` is how many epochs may pass without a better one.
    ///
    /// # Errors
    /// `Cancelled`; `Invalid` if the loss is not finite.
    pub(crate) fn epoch(
        &mut self,
        seen: (f64, u64),
        (method, items): (&dyn Method, usize),
        (repeats, patience): (f64, usize),
    ) -> Result<Next> {
        let exclude_seen = self.excludes(repeats);
        let protocol = Protocol { exclude_seen, threads: self.threads };
        let judge =
            |cases: &Cases| Ok(cases.sample(CASES_MAX).judge(method, items, protocol)?.ndcg_10);
        self.epoch_by(seen, method.name(), judge, patience)
    }

    /// Whether recommendations will leave out items of the history, of sequences with so many repeats.
    pub(crate) fn excludes(&self, repeats: f64) -> bool {
        self.exclude_seen.unwrap_or(repeats < 0.01)
    }

    /// As [`Training::epoch`], for what is no method: `judge` says NDCG@10 on the validation cases,
    /// and is asked if there are any.
    pub(crate) fn epoch_by(
        &mut self,
        seen: (f64, u64),
        name: &str,
        judge: impl FnOnce(&Cases) -> Result<f64>,
        patience: usize,
    ) -> Result<Next> {
        finite(seen.0, name)?;
        let ndcg_10 = match self.validation.filter(|cases| !cases.is_empty()) {
            Some(cases) => Some(judge(cases)?),
            None => None,
        };
        self.epoch_with(seen, name, ndcg_10, patience)
    }

    /// As [`Training::epoch`], with an NDCG@10 that the trainer knows, if it does.
    pub(crate) fn epoch_with(
        &mut self,
        (loss, examples): (f64, u64),
        name: &str,
        ndcg_10: Option<f64>,
        patience: usize,
    ) -> Result<Next> {
        finite(loss, name)?;
        let number = self.curve.len() + 1;
        self.curve.push(Epoch { number, loss, ndcg_10, examples, seconds: self.seconds() });
        self.progress.advance(1)?;
        let late = self.time_budget.is_some_and(|budget| self.begun.elapsed() >= budget);
        let better = match (ndcg_10, self.best) {
            (Some(now), Some((best, _))) => now > best,
            _ => true,
        };
        if better {
            self.best = ndcg_10.map(|now| (now, number));
        }
        let tired = self.best.is_some_and(|(_, at)| number - at >= patience);
        Ok(match (better, late || tired) {
            (true, false) => Next::Better,
            (false, false) => Next::Worse,
            (true, true) => Next::StopHere,
            (false, true) => Next::Stop,
        })
    }
}

fn finite(loss: f64, name: &str) -> Result<()> {
    match loss.is_finite() {
        true => Ok(()),
        false => {
            let why = "diverged: the loss is not finite. Try a smaller learning rate.";
            Err(Error::invalid(format!("training of {name}"), why))
        }
    }
}
