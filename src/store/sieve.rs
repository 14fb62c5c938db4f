//! Sieve: which rows of one part a search may return, resolved no further than needed.
//!
//! Most searches allow every row, or all but the dead, and then nothing is made at all. A walk over
//! a graph asks about the rows that it meets; a scan gets a list or a bitmap where few rows are
//! allowed, and asks about each where many are.

use crate::{
    error::Result,
    filter::Resolved,
    search::blocks::Rows,
    segment::{Estimate, bits::Bits, predicate::Predicate},
    store::version::Part,
};
use roaring::RoaringBitmap;
use std::sync::{Arc, OnceLock};

/// The rows of one part that may be returned.
pub(crate) struct Sieve<'a> {
    part: &'a Part,
    /// Exactly these, whatever else is said.
    only: Option<&'a RoaringBitmap>,
    filter: Option<Arc<Resolved>>,
    within: Vec<&'a Bits>,
    without: Vec<&'a Bits>,
    /// Ascending.
    excluded: Vec<u32>,
    estimate: OnceLock<Estimate>,
    predicate: OnceLock<Predicate<'a>>,
    chosen: OnceLock<Chosen>,
}

/// Rows that were looked up for a scan.
enum Chosen {
    Bitmap(RoaringBitmap),
    List(Vec<u32>),
    /// Too many to be worth it: each is asked about.
    Each,
}

impl<'a> Sieve<'a> {
    /// Every live row that a filter allows; `None` allows all.
    pub(crate) fn new(part: &'a Part, filter: Option<Arc<Resolved>>) -> Sieve<'a> {
        Sieve {
            part,
            only: None,
            filter,
            within: Vec::new(),
            without: Vec::new(),
            excluded: Vec::new(),
            estimate: OnceLock::new(),
            predicate: OnceLock::new(),
            chosen: OnceLock::new(),
        }
    }

    /// Exactly these rows, which are alive.
    pub(crate) fn only(part: &'a Part, rows: &'a RoaringBitmap) -> Sieve<'a> {
        Sieve { only: Some(rows), ..Sieve::new(part, None) }
    }

    /// Only rows that are also here.
    pub(crate) fn keep_in(&mut self, rows: &'a Bits) {
        self.within.push(rows);
    }

    /// No rows that are here.
    pub(crate) fn keep_out(&mut self, rows: &'a Bits) {
        if rows.len() > 0 {
            self.without.push(rows);
        }
    }

    /// Not these rows.
    pub(crate) fn exclude(&mut self, mut rows: Vec<u32>) {
        rows.sort_unstable();
        rows.dedup();
        self.excluded = rows;
    }

    /// Whether every row of the part is allowed.
    pub(crate) fn is_open(&self) -> bool {
        match self.only {
            Some(rows) => rows.len() == u64::from(self.part.segment.rows()),
            None => self.filter.is_none() && self.is_plain() && self.part.dead.rows.is_empty(),
        }
    }

    /// Whether nothing but a filter and death keeps rows out.
    fn is_plain(&self) -> bool {
        self.within.is_empty() && self.without.is_empty() && self.excluded.is_empty()
    }

    /// How many rows are allowed.
    pub(crate) fn estimate(&self) -> Result<Estimate> {
        if let Some(known) = self.estimate.get() {
            return Ok(*known);
        }
        let rows = u64::from(self.part.segment.rows());
        let estimate = match (self.only, &self.filter) {
            (Some(only), _) => Estimate::exactly(only.len()),
            (None, None) => self.narrowed(Estimate::exactly(rows)),
            (None, Some(filter)) => self.narrowed(self.part.segment.estimate(filter)?),
        };
        Ok(*self.estimate.get_or_init(|| estimate))
    }

    fn narrowed(&self, of_filter: Estimate) -> Estimate {
        let rows = u64::from(self.part.segment.rows());
        let (dead, excluded) = (self.part.dead.rows.len(), self.excluded.len() as u64);
        let mut sum = of_filter;
        if dead + excluded > 0 {
            // What is excluded may be dead already.
            let most = rows.saturating_sub(dead.max(excluded));
            let least = rows.saturating_sub(dead + excluded);
            sum = sum.and(Estimate { least, about: least, most }, rows);
        }
        for bits in &self.within {
            sum = sum.and(Estimate::exactly(bits.len()), rows);
        }
        for bits in &self.without {
            sum = sum.and(Estimate::exactly(bits.len()).not(rows), rows);
        }
        sum
    }

    /// Whether a row may be returned.
    #[inline]
    pub(crate) fn allows(&self, row: u32) -> Result<bool> {
        if let Some(only) = self.only {
            return Ok(only.contains(row));
        }
        if !self.allows_plainly(row) {
            return Ok(false);
        }
        match (&self.filter, self.predicate.get()) {
            (None, _) => Ok(true),
            (Some(_), Some(predicate)) => predicate.allows(row),
            (Some(filter), None) => {
                let predicate = self.part.segment.predicate(filter)?;
                self.predicate.get_or_init(|| predicate).allows(row)
            }
        }
    }

    /// The same, but for the filter.
    #[inline]
    fn allows_plainly(&self, row: u32) -> bool {
        let dead = !self.part.dead.rows.is_empty() && self.part.dead.bits().contains(row);
        !dead
            && self.within.iter().all(|bits| bits.contains(row))
            && !self.without.iter().any(|bits| bits.contains(row))
            && (self.excluded.is_empty() || self.excluded.binary_search(&row).is_err())
    }

    /// Hands the allowed rows to `run`, in the form in which they are scanned fastest.
    pub(crate) fn scan<T>(&self, run: impl FnOnce(Rows<'_>) -> Result<T>) -> Result<T> {
        if self.is_open() {
            return run(Rows::All);
        }
        if let Some(only) = self.only {
            return run(Rows::Only(only));
        }
        let chosen = match self.chosen.get() {
            Some(chosen) => chosen,
            None => {
                let chosen = self.look_up()?;
                self.chosen.get_or_init(|| chosen)
            }
        };
        match chosen {
            Chosen::Bitmap(rows) => run(Rows::Only(rows)),
            Chosen::List(rows) => run(Rows::List(rows)),
            Chosen::Each => run(Rows::Where(&|row| self.allows_plainly(row))),
        }
    }

    fn look_up(&self) -> Result<Chosen> {
        let segment = &self.part.segment;
        let kept = |rows: &mut dyn Iterator<Item = u32>| -> Vec<u32> {
            rows.filter(|row| self.allows_plainly(*row)).collect()
        };
        let Some(filter) = &self.filter else {
            let least = self.within.iter().min_by_key(|bits| bits.len());
            // A list takes 32 bits a row, and the bits are there already.
            return Ok(match least.filter(|bits| bits.len() * 32 < segment.rows().into()) {
                Some(bits) => Chosen::List(kept(&mut bits.iter())),
                None => Chosen::Each,
            });
        };
        if let Some(rows) = segment.few(filter)? {
            let all = self.is_plain() && self.part.dead.rows.is_empty();
            return Ok(Chosen::List(if all { rows } else { kept(&mut rows.into_iter()) }));
        }
        let mut rows = segment.allowed(filter)?;
        rows -= &self.part.dead.rows;
        if !self.is_plain() {
            let kept = rows.iter().filter(|row| self.allows_plainly(*row));
            rows = RoaringBitmap::from_sorted_iter(kept).unwrap_or_default();
        }
        Ok(Chosen::Bitmap(rows))
    }
}
