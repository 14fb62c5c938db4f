//! Rewards: what an item has earned so far, of how many chances.

use super::Arm;
use crate::{
    error::{Error, Result},
    recommend::{Context, Counting, summarize::check_half_life},
};
use std::time::Duration;

/// What bandits learn from: events that are rewards, among events that were chances to get one.
///
/// Both are counted per item from the events of the snapshot that had happened and were known by the
/// time of the request, so nothing has to be kept elsewhere, and a replay as of a time learns what was
/// known then. An item with more rewards than chances counts as one that was always rewarded.
///
/// Every item begins with a prior of one success and one failure: Beta(1, 1), all rates alike.
///
/// ```
/// use bowerbird::{days, recommend::Rewards};
/// // About 2 of 100 are clicked, and what was long ago counts less.
/// let clicks = Rewards::new(["click"], ["impression"]).prior(2.0, 98.0).half_life(days(30));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rewards {
    of: Vec<String>,
    among: Vec<String>,
    prior: (f64, f64),
    half_life: Option<Duration>,
}

/// Largest and smallest number of a prior: counts stay numbers that have logarithms.
const PRIOR_MAX: f64 = 1e9;
const PRIOR_MIN: f64 = 1e-3;

impl Rewards {
    /// Events of the kinds `of` are rewards, those of the kinds `among` chances.
    pub fn new<'k>(
        of: impl IntoIterator<Item = &'k str>,
        among: impl IntoIterator<Item = &'k str>,
    ) -> Rewards {
        let owned = |kind: &str| kind.to_owned();
        let (of, among) = (of.into_iter().map(owned).collect(), among.into_iter().map(owned));
        Rewards { of, among: among.collect(), prior: (1.0, 1.0), half_life: None }
    }

    /// What every item begins with: so many successes and failures, each 0.001 to a billion.
    pub fn prior(mut self, successes: f64, failures: f64) -> Rewards {
        self.prior = (successes, failures);
        self
    }

    /// Counts events less the older they are, for tastes that change.
    pub fn half_life(mut self, half_life: Duration) -> Rewards {
        self.half_life = Some(half_life);
        self
    }

    /// For messages and recipes.
    pub(super) fn name(&self) -> String {
        format!("{} of {}", self.of.join(", "), self.among.join(", "))
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |why: &str| Err(Error::invalid(format!("rewards {}", self.name()), why));
        if self.of.is_empty() || self.among.is_empty() {
            return wrong("need at least one kind of event on either side");
        }
        let range = PRIOR_MIN..=PRIOR_MAX;
        if !range.contains(&self.prior.0) || !range.contains(&self.prior.1) {
            return wrong("need a prior of two numbers, each 0.001 to 1e9");
        }
        self.half_life.map_or(Ok(()), |half_life| check_half_life("Rewards", half_life))
    }

    /// How rewards, and chances, are counted.
    pub(super) fn counting(&self, cx: &Context<'_>) -> Result<(Counting, Counting)> {
        self.check()?;
        let of = Counting::new(cx.snapshot, &self.of, self.half_life)?;
        Ok((of, Counting::new(cx.snapshot, &self.among, self.half_life)?))
    }

    /// Successes and failures of each arm, the prior included.
    pub(super) fn of(&self, cx: &Context<'_>, arms: &[Arm]) -> Result<Vec<(f64, f64)>> {
        let (of, among) = self.counting(cx)?;
        let now = cx.request.now;
        let (won, tried) = (of.counts(cx.snapshot, now)?, among.counts(cx.snapshot, now)?);
        let posterior = |arm: &Arm| {
            let (won, tried) = (won.get(&arm.key, now), tried.get(&arm.key, now));
            (self.prior.0 + won, self.prior.1 + (tried - won).max(0.0))
        };
        Ok(arms.iter().map(posterior).collect())
    }
}
