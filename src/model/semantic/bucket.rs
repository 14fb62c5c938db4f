//! Bucket: in which order the items of one semantic ID come.

use crate::{
    error::Result,
    item::Value,
    key::{Addr, Key},
    recommend::{Context, Counting},
};
use std::cmp::Reverse;

/// The order of items that share a semantic ID, or a prefix: to the codebook they are the same, so
/// something else has to rank them. Equal ones are in order of their keys.
///
/// ```
/// use bowerbird::model::semantic::Bucket;
/// let bucket = Bucket::popular(["buy"]);
/// assert_ne!(bucket, Bucket::ByKey);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Bucket {
    /// Those that were acted on most come first: events of these kinds, or of all if none is named.
    Popular(Vec<String>),
    /// The newest by a time attribute come first; those without it last.
    Newest(String),
    /// In order of their keys.
    #[default]
    ByKey,
}

impl Bucket {
    /// By events of these kinds; none means all.
    pub fn popular<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Bucket {
        Bucket::Popular(kinds.into_iter().map(str::to_owned).collect())
    }

    /// Puts the items of a bucket in order.
    pub(super) fn sort(&self, cx: &Context<'_>, items: Vec<Addr>) -> Result<Vec<Addr>> {
        if items.len() < 2 {
            return Ok(items);
        }
        let mut keyed: Vec<(Reverse<i64>, Key, Addr)> = Vec::with_capacity(items.len());
        let counts = match self {
            Bucket::Popular(kinds) => {
                let counting = Counting::new(cx.snapshot, kinds, None)?;
                Some(counting.counts(cx.snapshot, cx.request.now)?)
            }
            _ => None,
        };
        for addr in items {
            let key = cx.snapshot.key(addr)?;
            let rank = match (self, &counts) {
                (_, Some(counts)) => counts.get(&key, cx.request.now) as i64,
                (Bucket::Newest(attr), _) => match cx.snapshot.value(addr, attr)? {
                    Some(Value::Time(at)) if at <= cx.request.now => at.0,
                    _ => i64::MIN,
                },
                _ => 0,
            };
            keyed.push((Reverse(rank), key, addr));
        }
        keyed.sort_unstable();
        Ok(keyed.into_iter().map(|(_, _, addr)| addr).collect())
    }
}
