//! Screens: what was found, without what is not good enough.

use crate::{
    error::Result,
    recommend::{Candidates, Context},
};

/// Takes away candidates that are not good enough, after they were found and before they are scored.
///
/// [`Kept`] has no method that brings one back, so a screen can only take away. Candidates further down
/// take the places of those that went: retrieve more than the slate has places.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// Nothing that only one source has found.
/// struct Confirmed;
/// impl Screen for Confirmed {
///     fn name(&self) -> String {
///         "Confirmed".into()
///     }
///     fn screen(&self, _: &Context<'_>, candidates: &Candidates, kept: &mut Kept) -> Result<()> {
///         let sources = candidates.sources().count();
///         for candidate in 0..candidates.len() {
///             let found = |source: &usize| candidates.find(*source, candidate).is_some();
///             if (0..sources).filter(found).count() < 2 {
///                 kept.drop(candidate);
///             }
///         }
///         Ok(())
///     }
/// }
/// let recommender = Recommender::new().screen(Confirmed);
/// ```
pub trait Screen: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// Drops what is not good enough.
    fn screen(&self, cx: &Context<'_>, candidates: &Candidates, kept: &mut Kept) -> Result<()>;
}

/// Which candidates are still there. It can only shrink.
///
/// See [`Screen`] for an example.
///
/// ```
/// fn left(kept: &bowerbird::recommend::Kept) -> usize {
///     kept.len()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Kept {
    pub(crate) keep: Vec<bool>,
    pub(crate) spared: usize,
}

impl Kept {
    pub(crate) fn all(count: usize) -> Kept {
        Kept { keep: vec![true; count], spared: 0 }
    }

    /// Takes a candidate away; one that does not exist was never there.
    pub fn drop(&mut self, candidate: usize) {
        if let Some(keep) = self.keep.get_mut(candidate) {
            *keep = false;
        }
    }

    /// Says how many were kept although they are not good enough, since too few would have been left.
    pub fn spare(&mut self, count: usize) {
        self.spared += count;
    }

    /// Drops what is `bad`, but leaves so many, the least bad by `badness`, equal ones by key.
    pub(crate) fn drop_worst(
        &mut self,
        candidates: &Candidates,
        least: usize,
        bad: impl Fn(&usize) -> bool,
        badness: impl Fn(usize) -> f32,
    ) {
        let here: Vec<usize> = (0..candidates.len()).filter(|at| self.contains(*at)).collect();
        let (mut dropped, good): (Vec<usize>, Vec<usize>) = here.into_iter().partition(bad);
        let spared = least.saturating_sub(good.len()).min(dropped.len());
        let keys = candidates.keys();
        dropped.sort_by(|a, b| {
            badness(*a).total_cmp(&badness(*b)).then_with(|| keys[*a].cmp(&keys[*b]))
        });
        dropped.iter().skip(spared).for_each(|at| self.drop(*at));
        self.spare(spared);
    }

    /// Whether a candidate is still there.
    pub fn contains(&self, candidate: usize) -> bool {
        self.keep.get(candidate).copied().unwrap_or(false)
    }

    /// How many are still there.
    pub fn len(&self) -> usize {
        self.keep.iter().filter(|keep| **keep).count()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        !self.keep.contains(&true)
    }
}

/// What a screen did.
///
/// ```
/// fn share(done: &bowerbird::recommend::Screened) -> f64 {
///     done.dropped as f64 / (done.dropped + done.kept).max(1) as f64
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Screened {
    /// Which.
    pub by: String,
    /// How many candidates it took away.
    pub dropped: u64,
    /// How many it left.
    pub kept: u64,
    /// How many of those are not good enough, but too few would have been left without them.
    pub spared: u64,
}
