//! Long work says how far it is, and can be told to stop.

use crate::error::{Error, Result};
use std::time::{Duration, Instant};

/// Where long work reports to: a function that is told `(done, total)` and answers whether to go on.
///
/// ```
/// use bowerbird::{Db, Error, Progress, Schema, Key, Item};
/// # fn main() -> bowerbird::Result<()> {
/// let db = Db::in_memory(Schema::new())?;
/// db.batch().put(Item::new(1u64)).commit()?;
/// db.flush_with(&mut Progress::to(|done, total| { println!("{done} of {total}"); true }))?;
/// # Ok(()) }
/// ```
pub struct Progress<'a> {
    report: Option<Box<dyn FnMut(u64, u64) -> bool + 'a>>,
    done: u64,
    total: u64,
    reported: u64,
    asked: Option<Instant>,
}

/// Between two questions of work that could ask at every short step.
const POLL: Duration = Duration::from_millis(100);

impl<'a> Progress<'a> {
    /// Reports to `report`, which returns `false` to cancel.
    pub fn to(report: impl FnMut(u64, u64) -> bool + 'a) -> Progress<'a> {
        Progress { report: Some(Box::new(report)), ..Progress::silent() }
    }

    /// Reports to nobody and is never cancelled.
    pub fn silent() -> Progress<'a> {
        Progress { report: None, done: 0, total: 0, reported: 0, asked: None }
    }

    /// The same, but also cancelled when `go_on` says so, which is asked after every report.
    pub(crate) fn watched<'b>(&'b mut self, mut go_on: impl FnMut() -> bool + 'b) -> Progress<'b> {
        Progress::to(move |done, total| {
            (self.done, self.total) = (done, total);
            self.tell().is_ok() && go_on()
        })
    }

    /// Announces the amount of work, in whatever unit the caller of this counts.
    pub(crate) fn begin(&mut self, total: u64) -> Result<()> {
        (self.done, self.total, self.reported) = (0, total, 0);
        self.tell()
    }

    /// So much more is done. Reports about a thousand times in all, however small the steps.
    pub(crate) fn advance(&mut self, by: u64) -> Result<()> {
        self.done += by;
        if self.done - self.reported > self.total / 1000 || self.done >= self.total {
            self.reported = self.done;
            return self.tell();
        }
        Ok(())
    }

    /// Asks whether to go on, with nothing more done. `advance(0)` does not: it has nothing to report.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.tell()
    }

    /// The same, unless somebody was asked a moment ago: for steps that may be short.
    pub(crate) fn poll(&mut self) -> Result<()> {
        match self.asked.is_some_and(|at| at.elapsed() < POLL) {
            true => Ok(()),
            false => self.tell(),
        }
    }

    fn tell(&mut self) -> Result<()> {
        self.asked = Some(Instant::now());
        let (done, total) = (self.done.min(self.total), self.total);
        let go_on = self.report.as_mut().is_none_or(|report| report(done, total));
        if go_on { Ok(()) } else { Err(Error::Cancelled) }
    }
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("done", &self.done).field("total", &self.total).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: work that has nothing to report can be cancelled all the same, and short steps do not
    /// ask each time.
    #[test]
    fn steps_that_report_nothing_ask_now_and_then() {
        let mut asked = 0;
        let mut progress = Progress::to(|_, _| {
            asked += 1;
            asked < 4
        });
        progress.begin(3).unwrap();
        progress.advance(0).unwrap();
        progress.check().unwrap();
        (0..10).for_each(|_| progress.poll().unwrap());
        std::thread::sleep(POLL);
        progress.poll().unwrap();
        std::thread::sleep(POLL);
        assert!(matches!(progress.poll(), Err(Error::Cancelled)));
        drop(progress);
        assert_eq!(asked, 4);
    }
}
