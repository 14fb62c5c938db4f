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

    /// What puts the items of buckets in order, for one request.
    pub(super) fn sorter<'a>(&'a self, cx: &'a Context<'a>) -> Sorter<'a> {
        Sorter { bucket: self, cx, count: None }
    }
}

/// How often an item was acted on.
type Count<'a> = Box<dyn Fn(&Key) -> i64 + 'a>;

/// An order for the buckets of one request: what it goes by is looked up once.
pub(super) struct Sorter<'a> {
    bucket: &'a Bucket,
    cx: &'a Context<'a>,
    /// From the first bucket on that needs it.
    count: Option<Count<'a>>,
}

impl Sorter<'_> {
    /// Puts the items of a bucket in order.
    pub(super) fn sort(&mut self, items: Vec<Addr>) -> Result<Vec<Addr>> {
        if items.len() < 2 {
            return Ok(items);
        }
        let (snapshot, now) = (self.cx.snapshot, self.cx.request.now);
        if let (Bucket::Popular(kinds), None) = (self.bucket, &self.count) {
            let counts = Counting::new(snapshot, kinds, None)?.counts(snapshot, now)?;
            self.count = Some(Box::new(move |key| counts.get(key, now) as i64));
        }
        let mut keyed: Vec<(Reverse<i64>, Key, Addr)> = Vec::with_capacity(items.len());
        for addr in items {
            let key = snapshot.key(addr)?;
            let rank = match (self.bucket, &self.count) {
                (_, Some(count)) => count(&key),
                (Bucket::Newest(attr), _) => match snapshot.value(addr, attr)? {
                    Some(Value::Time(at)) if at <= now => at.0,
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
