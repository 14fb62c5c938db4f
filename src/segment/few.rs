//! The rows that a filter allows where these are few: a list, straight from an index.

use crate::{
    error::Result,
    filter::{Operand, Resolved},
    format::{Kind, section::Section},
    segment::Segment,
};
use std::ops::Range;

/// Rows per allowed row from which on a list is made: a bitmap of one row in many takes longer to
/// make and to read.
const FEW: u64 = 8;

impl Segment {
    /// The rows that a filter allows, ascending, dead ones among them; `None` if they may be many.
    ///
    /// Of several conditions the one that leaves fewest is looked up, and the others are asked about
    /// each of its rows.
    pub(crate) fn few(&self, filter: &Resolved) -> Result<Option<Vec<u32>>> {
        let Resolved::And(all) = filter else { return self.few_of_one(filter) };
        let mut best: Option<(u64, usize)> = None;
        for (at, one) in all.iter().enumerate() {
            let most = self.estimate(one)?.most;
            if best.is_none_or(|(least, _)| most < least) {
                best = Some((most, at));
            }
        }
        let Some((_, at)) = best else { return Ok(None) };
        let Some(mut rows) = self.few_of_one(&all[at])? else { return Ok(None) };
        for (_, other) in all.iter().enumerate().filter(|(i, _)| *i != at) {
            let predicate = self.predicate(other)?;
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                if predicate.allows(row)? {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        Ok(Some(rows))
    }

    fn few_of_one(&self, filter: &Resolved) -> Result<Option<Vec<u32>>> {
        let listed = match filter {
            Resolved::Is(attr, value) => self.listed(*attr, Some(value), Some(value))?,
            Resolved::Between(attr, low, high) => {
                self.listed(*attr, low.as_ref(), high.as_ref())?
            }
            _ => None,
        };
        if let Some((section, range)) = listed {
            let few = self.is_few(range.len() as u64);
            return few.then(|| self.rows_in_order(section, range)).transpose();
        }
        match self.is_few(self.estimate(filter)?.most) {
            true => Ok(Some(self.allowed(filter)?.into_iter().collect())),
            false => Ok(None),
        }
    }

    fn is_few(&self, rows: u64) -> bool {
        rows * FEW <= self.rows().into()
    }

    /// Where the rows between two bounds are listed, of an attribute that has its rows in order.
    fn listed(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Option<(&Section, Range<u32>)>> {
        let range = match self.attr_type(attr) {
            Some((17..=19, count)) => self.numbers_range(attr, count, low, high)?,
            Some((22, count)) => self.texts_range(attr, count, low, high)?,
            _ => return Ok(None),
        };
        Ok(Some((self.sections.need(Kind::SORTED, attr)?, range)))
    }
}
