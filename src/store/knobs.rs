//! Knobs: what may be set for any search, whatever it is that is searched for.

use crate::{
    error::{Error, Result},
    filter::{Resolved, Where},
    key::Key,
    limits::{EFFORT_MAX, LIMIT_MAX, THREADS_MAX},
    store::{nearest::Depth, selection::Selection, sieve::Sieve, snapshot::Snapshot},
};
use std::sync::Arc;

/// Everything that several kinds of search share.
#[derive(Clone, Debug)]
pub(crate) struct Knobs<'s> {
    pub(crate) filter: Where,
    pub(crate) within: Vec<&'s Selection>,
    pub(crate) without: Vec<&'s Selection>,
    pub(crate) exclude: Vec<Key>,
    pub(crate) limit: usize,
    pub(crate) threads: usize,
    pub(crate) depth: Depth,
}

/// How far a graph is walked unless the caller says.
pub(crate) const EFFORT: u32 = 64;

impl Default for Knobs<'_> {
    fn default() -> Self {
        Knobs {
            filter: Where::all(),
            within: Vec::new(),
            without: Vec::new(),
            exclude: Vec::new(),
            limit: 10,
            threads: 1,
            depth: Depth::Effort(EFFORT),
        }
    }
}

/// Refuses a number out of `1..=most`.
pub(crate) fn check_number(what: &str, n: usize, most: usize) -> Result<()> {
    match n {
        n if (1..=most).contains(&n) => Ok(()),
        n => Err(Error::invalid(what, format!("is {n}; it must be 1 to {most}"))),
    }
}

impl<'s> Knobs<'s> {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        check_number("limit", self.limit, LIMIT_MAX)?;
        check_number("threads", self.threads, THREADS_MAX)?;
        match self.depth {
            Depth::Effort(effort) => check_number("effort", effort as usize, EFFORT_MAX as usize),
            // A comparison with NaN is false.
            Depth::Recall(target) if !(0.5..=0.999).contains(&target) => {
                Err(Error::invalid("recall", format!("is {target}; it must be 0.5 to 0.999")))
            }
            Depth::Recall(_) | Depth::Exact => Ok(()),
        }
    }

    /// What may be returned of each part of a snapshot.
    pub(crate) fn sieves(&self, snapshot: &'s Snapshot) -> Result<Vec<Sieve<'s>>> {
        let filter = match self.filter.resolve(&snapshot.version.schema)? {
            Resolved::All => None,
            some => Some(Arc::new(some)),
        };
        let sieve = |part| Sieve::new(part, filter.clone());
        let mut sieves: Vec<Sieve<'s>> = snapshot.version.parts.iter().map(sieve).collect();
        for selection in &self.within {
            let rows = selection.rows(snapshot)?;
            sieves.iter_mut().zip(rows).for_each(|(sieve, rows)| sieve.keep_in(rows));
        }
        for selection in &self.without {
            let rows = selection.rows(snapshot)?;
            sieves.iter_mut().zip(rows).for_each(|(sieve, rows)| sieve.keep_out(rows));
        }
        if !self.exclude.is_empty() {
            let mut rows = vec![Vec::new(); sieves.len()];
            for key in &self.exclude {
                if let Some(addr) = snapshot.find(key)? {
                    rows[addr.part as usize].push(addr.row.0);
                }
            }
            sieves.iter_mut().zip(rows).for_each(|(sieve, rows)| sieve.exclude(rows));
        }
        Ok(sieves)
    }
}

/// The setters that every kind of search has, for a type with a field `knobs`.
macro_rules! narrowing {
    ($type:ident) => {
        impl<'s> $type<'s> {
            /// At most this many; 10 unless set.
            pub fn limit(mut self, limit: usize) -> Self {
                self.knobs.limit = limit;
                self
            }

            /// Only items that a filter allows; several calls mean all of them.
            pub fn filter(mut self, filter: $crate::Where) -> Self {
                self.knobs.filter = self.knobs.filter & filter;
                self
            }

            /// Not these items. For thousands of them, or again and again for the same, make a selection and
            /// search `without` it.
            pub fn exclude(mut self, keys: impl IntoIterator<Item = $crate::Key>) -> Self {
                self.knobs.exclude.extend(keys);
                self
            }

            /// Only items of a selection of this snapshot; several calls mean all of them.
            pub fn within(mut self, selection: &'s $crate::Selection) -> Self {
                self.knobs.within.push(selection);
                self
            }

            /// No items of a selection of this snapshot.
            pub fn without(mut self, selection: &'s $crate::Selection) -> Self {
                self.knobs.without.push(selection);
                self
            }
        }
    };
}
pub(crate) use narrowing;

/// The setters of searches that may walk graphs.
macro_rules! setters {
    ($type:ident) => {
        $crate::store::knobs::narrowing!($type);

        impl<'s> $type<'s> {
            /// How far graphs are walked, 1 to 10,000; 64 unless set. More finds more of what is
            /// nearest, and takes longer in proportion. Where few items are allowed, all of them are
            /// looked at, and more effort compares more of them in full. Where a part has no graph,
            /// or a handful is allowed, nothing is missed anyway.
            ///
            /// Of `effort`, `recall` and `exact` the last call counts.
            pub fn effort(mut self, effort: u32) -> Self {
                self.knobs.depth = $crate::store::nearest::Depth::Effort(effort);
                self
            }

            /// Walks graphs as far as it takes to find about this share of what is nearest, 0.5 to
            /// 0.999, by what was measured on each graph when it was built. A filter, or queries
            /// unlike the items, may make it another share: see
            /// [`Snapshot::measure_recall`](crate::Snapshot::measure_recall).
            pub fn recall(mut self, target: f32) -> Self {
                self.knobs.depth = $crate::store::nearest::Depth::Recall(target);
                self
            }

            /// Scans every item that is allowed, so that nothing is missed.
            pub fn exact(mut self) -> Self {
                self.knobs.depth = $crate::store::nearest::Depth::Exact;
                self
            }
        }
    };
}
pub(crate) use setters;
