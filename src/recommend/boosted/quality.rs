//! Quality: a boost in one part of the database, to be read at random and from its best row on.

use super::{
    boost::{Boost, What},
    listed::Listed,
};
use crate::{
    error::Result, key::Timestamp, recommend::summarize::decay, segment::Numbers, store::Snapshot,
};
use std::{sync::Arc, time::Duration};

/// A boost, once for all parts: what events say is counted, attributes are left where they are.
pub(super) enum Prepared {
    Column { attr: u16, curve: Curve, missing: f32 },
    Listed(Arc<Listed>),
}

/// How a number becomes a boost.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    Line { worst: f64, best: f64 },
    Decay { now: Timestamp, half_life: Duration },
}

impl Curve {
    /// A boost from a number; `None` for what is no number.
    fn value(self, number: f64) -> Option<f32> {
        let value = match self {
            Curve::Line { worst, best } => ((number - worst) / (best - worst)).clamp(0.0, 1.0),
            Curve::Decay { now, half_life } => decay(Timestamp(number as i64), now, half_life),
        };
        (!value.is_nan()).then_some(value as f32)
    }

    /// Whether larger numbers are better ones.
    fn rises(self) -> bool {
        match self {
            Curve::Line { worst, best } => best > worst,
            Curve::Decay { .. } => true,
        }
    }
}

impl Prepared {
    /// A boost as of a time, checked.
    pub(super) fn new(boost: &Boost, snapshot: &Snapshot, now: Timestamp) -> Result<Prepared> {
        boost.check(snapshot)?;
        let column = |attr: &str, curve| {
            let attr = snapshot.schema().find_attr(attr)?.id;
            Ok(Prepared::Column { attr, curve, missing: boost.missing.unwrap_or(0.0) })
        };
        match &boost.what {
            What::Number { attr, worst, best } => {
                column(attr, Curve::Line { worst: *worst, best: *best })
            }
            What::Fresh { attr, half_life } => {
                column(attr, Curve::Decay { now, half_life: *half_life })
            }
            What::Rate { .. } | What::Popular { .. } => {
                Ok(Prepared::Listed(Listed::of(boost, snapshot, now)?))
            }
        }
    }

    /// The same in one part.
    pub(super) fn of_part<'a>(&'a self, snapshot: &'a Snapshot, at: usize) -> Result<Quality<'a>> {
        match self {
            Prepared::Listed(listed) => Ok(Quality::Listed { listed, at }),
            Prepared::Column { attr, curve, missing } => {
                let numbers = snapshot.version.parts[at].segment.numbers(*attr)?;
                Ok(match numbers {
                    Some(numbers) => Quality::Column { numbers, curve: *curve, missing: *missing },
                    None => Quality::Same(*missing),
                })
            }
        }
    }
}

/// A boost in one part.
pub(super) enum Quality<'a> {
    Column {
        numbers: Numbers<'a>,
        curve: Curve,
        missing: f32,
    },
    Listed {
        listed: &'a Listed,
        at: usize,
    },
    /// All rows are alike.
    Same(f32),
}

impl Quality<'_> {
    /// Of a row; 0 to 1.
    pub(super) fn get(&self, row: u32) -> f32 {
        match self {
            Quality::Column { numbers, curve, missing } => {
                numbers.get(row).and_then(|number| curve.value(number)).unwrap_or(*missing)
            }
            Quality::Listed { listed, at } => listed.get(*at, row),
            Quality::Same(value) => *value,
        }
    }

    /// How many rows are in order.
    pub(super) fn count(&self) -> u32 {
        match self {
            Quality::Column { numbers, .. } => numbers.count(),
            Quality::Listed { listed, at } => listed.count(*at),
            Quality::Same(_) => 0,
        }
    }

    /// The row at a place of that order: the best first, or the worst.
    pub(super) fn row(&self, place: u32, best_first: bool) -> Result<u32> {
        match self {
            Quality::Column { numbers, curve, .. } => {
                let last = numbers.count().saturating_sub(1);
                let from_end = curve.rises() == best_first;
                numbers.row(if from_end { last.saturating_sub(place) } else { place })
            }
            Quality::Listed { listed, at } => Ok(listed.row(*at, place, best_first)),
            Quality::Same(_) => Ok(0),
        }
    }

    /// What a row that is not in order has.
    pub(super) fn missing(&self) -> Option<f32> {
        match self {
            Quality::Column { missing, .. } | Quality::Same(missing) => Some(*missing),
            Quality::Listed { .. } => None,
        }
    }
}
