//! Boost: how good an item is apart from any question, from 0 to 1.

use crate::{
    error::{Error, Result},
    recommend::summarize::check_half_life,
    schema::AttrType,
    store::Snapshot,
};
use std::time::Duration;

/// How good an item is whatever is asked for, 0 (worst) to 1 (best): by a number, by how new it is, by
/// what users did.
///
/// Boosts are computed as of the time of the question, so nothing has to be stored anew when weights,
/// ranges or half-lives change.
///
/// ```
/// use bowerbird::{days, recommend::Boost};
/// let rated = Boost::number("stars", 1.0, 5.0).missing(0.5);
/// let cheap = Boost::number("price", 100.0, 0.0);
/// let new = Boost::fresh("published", days(30));
/// let clicked = Boost::rate(["click"], ["view"], 20.0);
/// let hot = Boost::popular_lately(["buy"], days(7));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Boost {
    pub(super) what: What,
    pub(super) missing: Option<f32>,
}

/// What a boost is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Number { attr: String, worst: f64, best: f64 },
    Fresh { attr: String, half_life: Duration },
    Rate { of: Vec<String>, among: Vec<String>, prior: f64 },
    Popular { kinds: Vec<String>, half_life: Option<Duration> },
}

fn owned<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Vec<String> {
    kinds.into_iter().map(str::to_owned).collect()
}

impl Boost {
    fn new(what: What) -> Boost {
        Boost { what, missing: None }
    }

    /// By an int or float attribute: 0 at `worst`, 1 at `best`, on a line between, and no more than
    /// that beyond. Where less is better, `worst` is the larger one. An item without it has 0.
    pub fn number(attr: &str, worst: f64, best: f64) -> Boost {
        Boost::new(What::Number { attr: attr.into(), worst, best })
    }

    /// By a time attribute: 1 now, a half after one half-life, and so on. What is dated in the future
    /// counts as now; an item without a date has 0.
    pub fn fresh(attr: &str, half_life: Duration) -> Boost {
        Boost::new(What::Fresh { attr: attr.into(), half_life })
    }

    /// By how often one kind of event comes of another: clicks over views, until the time of the
    /// question. `prior` is how many views' worth of the mean rate every item begins with, so that one
    /// click of one view is no 1; an item without views has the mean. More clicks than views count as 1.
    pub fn rate<'k>(
        of: impl IntoIterator<Item = &'k str>,
        among: impl IntoIterator<Item = &'k str>,
        prior: f64,
    ) -> Boost {
        Boost::new(What::Rate { of: owned(of), among: owned(among), prior })
    }

    /// By how often these kinds of events (none means all) have come: the logarithm of one more than
    /// their number, where the item with most has 1.
    pub fn popular<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Boost {
        Boost::new(What::Popular { kinds: owned(kinds), half_life: None })
    }

    /// The same, events counting less the older they are, relative to the latest one.
    pub fn popular_lately<'k>(
        kinds: impl IntoIterator<Item = &'k str>,
        half_life: Duration,
    ) -> Boost {
        Boost::new(What::Popular { kinds: owned(kinds), half_life: Some(half_life) })
    }

    /// What an item has that lacks the attribute, or the views, or the events: 0 to 1. Unless it is
    /// set, 0; for rates, the mean.
    pub fn missing(mut self, value: f32) -> Boost {
        self.missing = Some(value);
        self
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.what {
            What::Number { attr, .. } => format!("boost by {attr:?}"),
            What::Fresh { attr, .. } => format!("boost by newness of {attr:?}"),
            What::Rate { of, among, .. } => format!("boost by the rate of {of:?} among {among:?}"),
            What::Popular { kinds, .. } => format!("boost by popularity of {kinds:?}"),
        }
    }

    /// Refuses what cannot be computed in this database.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<()> {
        let wrong = |why: String| Err(Error::invalid(self.name(), why));
        if let Some(value) = self.missing
            && !(0.0..=1.0).contains(&value)
        {
            return wrong(format!("counts what is missing as {value}; it must be 0 to 1"));
        }
        match &self.what {
            What::Number { attr, worst, best } => {
                let ty = snapshot.schema().find_attr(attr)?.ty;
                if !matches!(ty, AttrType::Int | AttrType::Float) {
                    return wrong(format!("needs an int or a float, and it is a {ty:?}"));
                }
                if *worst == *best || !(best - worst).is_finite() {
                    let why = format!("goes from {worst} to {best}");
                    return wrong(format!("{why}; these must be two different finite numbers"));
                }
            }
            What::Fresh { attr, half_life } => {
                check_half_life(&self.name(), *half_life)?;
                let ty = snapshot.schema().find_attr(attr)?.ty;
                if ty != AttrType::Time {
                    return wrong(format!("needs a time, and it is a {ty:?}"));
                }
            }
            What::Rate { of, among, prior } => {
                if of.is_empty() || among.is_empty() {
                    return wrong("needs at least one kind of event on either side".into());
                }
                if !(0.0..=1e12).contains(prior) {
                    return wrong(format!("has a prior of {prior}; it must be 0 to 1e12"));
                }
                find_all(snapshot, of)?;
                find_all(snapshot, among)?;
            }
            What::Popular { kinds, half_life } => {
                half_life.map_or(Ok(()), |half_life| check_half_life(&self.name(), half_life))?;
                find_all(snapshot, kinds)?;
            }
        }
        Ok(())
    }
}

fn find_all(snapshot: &Snapshot, kinds: &[String]) -> Result<()> {
    kinds.iter().try_for_each(|kind| snapshot.schema().find_event(kind).map(drop))
}
