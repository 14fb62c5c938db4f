//! What has failed, and rests before it is tried again, so that it does not keep others waiting.

use crate::error::Error;
use std::time::{Duration, Instant};

/// Work of housekeeping that could not be done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) error: String,
    times: u32,
    pub(super) since: Instant,
}

/// The longest time after a failure in which housekeeping does not try again.
const REST_MAX: Duration = Duration::from_secs(300);

impl Failure {
    /// One more, after those that there were.
    pub(super) fn again(before: Option<&Failure>, error: &Error) -> Failure {
        let times = before.map_or(0, |failure| failure.times) + 1;
        Failure { error: error.to_string(), times, since: Instant::now() }
    }

    /// Twice as long after each failure: what has failed for long may take an hour to fail again.
    pub(super) fn rests(&self) -> bool {
        let rest = Duration::from_secs(1 << self.times.min(16));
        self.since.elapsed() < rest.min(REST_MAX)
    }
}
