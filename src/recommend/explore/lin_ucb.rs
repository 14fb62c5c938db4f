//! LinUCB: what items have in common says what to expect of new ones (Li et al., 2010).

use super::{
    Arm, Bandit, Deal, Rewards, best_first,
    linear::{Linear, dot},
};
use crate::{
    error::{Error, Result},
    key::{Addr, Timestamp},
    recommend::{AsOf, Context, Counting},
    store::Snapshot,
};
use std::sync::Arc;

/// Gives the slots to the arms with the largest `w . x + alpha * doubt(x)`: what is expected of an item
/// with the vector `x`, and how little is known about items like it.
///
/// One linear model for all arms, so an item that was never shown is judged by those that are like it.
/// Its features are the item's vector in a space of at most 64 numbers, as it was written, and a 1; an
/// item without a vector has only the 1. It draws no lots: propensities are 1, and logs of it say
/// nothing of what it would not have shown. Nothing of the user is looked at.
///
/// Nothing is stored: the model is recomputed from the events that were known by the time of the
/// request, once per snapshot, one step of Sherman and Morrison for each item that was ever shown, which
/// costs the square of the numbers of a vector. So a replay as of a time has the model of that time.
/// With a half-life events count by their age when the latest of them became known.
///
/// ```
/// use bowerbird::recommend::*;
/// let alike = LinUcb::new("taste", Rewards::new(["click"], ["impression"])).alpha(0.5);
/// let explore = Explore::unshown(["impression"], 100, 2).bandit(alike);
/// ```
#[derive(Clone, Debug)]
pub struct LinUcb {
    space: String,
    rewards: Rewards,
    alpha: f64,
    ridge: f64,
}

/// Most numbers of a vector: a step costs their square.
const DIM_MAX: u32 = 64;

impl LinUcb {
    /// By the vectors in a space.
    pub fn new(space: &str, rewards: Rewards) -> LinUcb {
        LinUcb { space: space.into(), rewards, alpha: 1.0, ridge: 1.0 }
    }

    /// How much doubt counts, 0 to 1,000; 1 unless set.
    pub fn alpha(mut self, alpha: f64) -> LinUcb {
        self.alpha = alpha;
        self
    }

    /// What keeps weights small, 1e-6 to 1e9: as if each feature had been seen so often without a
    /// reward. 1 unless set.
    pub fn ridge(mut self, ridge: f64) -> LinUcb {
        self.ridge = ridge;
        self
    }

    fn check(&self, cx: &Context<'_>) -> Result<usize> {
        let dim = cx.snapshot.schema().find_space(&self.space)?.dim;
        let wrong = |why: String| Err(Error::invalid("LinUcb", why));
        if dim > DIM_MAX {
            return wrong(format!("needs a space of at most {DIM_MAX} numbers; this has {dim}"));
        }
        if !(0.0..=1e3).contains(&self.alpha) || !(1e-6..=1e9).contains(&self.ridge) {
            return wrong("needs an alpha of 0 to 1000 and a ridge of 1e-6 to 1e9".into());
        }
        Ok(dim as usize + 1)
    }

    /// The model as of the time of the request.
    fn model(&self, cx: &Context<'_>, dim: usize) -> Result<Arc<Linear>> {
        let (of, among) = self.rewards.counting(cx)?;
        let (now, version) = (cx.request.now, &cx.snapshot.version);
        let when = AsOf::of(version, now)?.at;
        let recipe = format!("linucb {:?} {} {of:?} {among:?} {when:?}", self.space, self.ridge);
        version.memo.get(&recipe, || self.learn(cx.snapshot, (&of, &among), dim, now))
    }

    fn learn(
        &self,
        snapshot: &Snapshot,
        (of, among): (&Counting, &Counting),
        dim: usize,
        now: Timestamp,
    ) -> Result<Linear> {
        let (won, tried) = (of.counts(snapshot, now)?, among.counts(snapshot, now)?);
        let mut linear = Linear::new(dim, self.ridge);
        // Not as of the request: then each would need a model of its own.
        let last = tried.reference();
        // In the order of keys: sums depend on it.
        for key in tried.keys() {
            if let Some(addr) = snapshot.find(key)? {
                let times = tried.get(key, last);
                let rewards = won.get(key, last).min(times);
                linear.learn(&self.features(snapshot, addr, dim)?, times, rewards);
            }
        }
        Ok(linear)
    }

    fn features(&self, snapshot: &Snapshot, addr: Addr, dim: usize) -> Result<Vec<f64>> {
        let (mut vector, mut x) = (Vec::new(), vec![0.0; dim]);
        if snapshot.vector(addr, &self.space, &mut vector)? {
            x.iter_mut().zip(&vector).for_each(|(x, v)| *x = f64::from(*v));
        }
        x[dim - 1] = 1.0;
        Ok(x)
    }
}

impl Bandit for LinUcb {
    fn name(&self) -> String {
        format!("LinUcb({}, {})", self.space, self.rewards.name())
    }

    fn deal(&self, cx: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal> {
        let dim = self.check(cx)?;
        let linear = self.model(cx, dim)?;
        let weights = linear.weights();
        let mut bounds = Vec::with_capacity(arms.len());
        for arm in arms {
            let x = self.features(cx.snapshot, arm.addr, dim)?;
            bounds.push(dot(&weights, &x) + self.alpha * linear.doubt(&x));
        }
        let mut picks = best_first(&bounds);
        picks.truncate(slots);
        Ok(Deal::surely(picks, arms.len()))
    }
}
