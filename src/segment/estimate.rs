//! Estimate: how many rows of a segment a filter allows, without finding them.

use crate::{
    error::Result,
    filter::{Operand, Resolved},
    format::{
        Kind,
        envelope::{u16_at, u32_at},
    },
    segment::Segment,
};

/// How many rows are allowed: certainly not fewer than `least` nor more than `most`, and `about` so
/// many if conditions have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) least: u64,
    pub(crate) about: u64,
    pub(crate) most: u64,
}

/// Values of a list that are looked up; more are taken to be as frequent as these.
const LOOKED_UP_MAX: usize = 64;

impl Estimate {
    /// It is known.
    pub(crate) fn exactly(rows: u64) -> Estimate {
        Estimate { least: rows, about: rows, most: rows }
    }

    /// Nothing is known but a limit.
    fn at_most(rows: u64) -> Estimate {
        Estimate { least: 0, about: rows, most: rows }
    }

    /// Of `rows`, those that are in neither.
    pub(crate) fn not(self, rows: u64) -> Estimate {
        let rest = |n: u64| rows.saturating_sub(n);
        Estimate { least: rest(self.most), about: rest(self.about), most: rest(self.least) }
    }

    /// Of `rows`, those that are in both.
    pub(crate) fn and(self, other: Estimate, rows: u64) -> Estimate {
        let most = self.most.min(other.most);
        let least = (self.least + other.least).saturating_sub(rows);
        let share = self.about as f64 / rows.max(1) as f64;
        let about = (share * other.about as f64).round() as u64;
        Estimate { least, about: about.clamp(least, most.max(least)), most }
    }

    /// Of `rows`, those that are in one or both.
    fn or(self, other: Estimate, rows: u64) -> Estimate {
        self.not(rows).and(other.not(rows), rows).not(rows)
    }
}

impl Segment {
    /// Estimates how many rows a filter allows, dead ones among them.
    ///
    /// Exact for a single range of numbers or texts, a tag, a bool, and for what is there at all.
    pub(crate) fn estimate(&self, filter: &Resolved) -> Result<Estimate> {
        let rows = u64::from(self.rows());
        Ok(match filter {
            Resolved::All => Estimate::exactly(rows),
            Resolved::Exists(attr) => {
                Estimate::exactly(self.attr_type(*attr).map_or(0, |(_, count)| count.into()))
            }
            Resolved::Is(attr, value) => self.estimate_list(*attr, std::slice::from_ref(value))?,
            Resolved::In(attr, values) => self.estimate_list(*attr, values)?,
            Resolved::Between(attr, low, high) => {
                self.estimate_range(*attr, low.as_ref(), high.as_ref())?
            }
            Resolved::Not(inner) => self.estimate(inner)?.not(rows),
            Resolved::And(all) => {
                let mut sum = Estimate::exactly(rows);
                for one in all {
                    sum = sum.and(self.estimate(one)?, rows);
                }
                sum
            }
            Resolved::Or(any) => {
                let mut sum = Estimate::exactly(0);
                for one in any {
                    sum = sum.or(self.estimate(one)?, rows);
                }
                sum
            }
        })
    }

    /// Rows with one of `values`: of one number, text or tag no other, so counts add up, except that
    /// a row may have several tags.
    fn estimate_list(&self, attr: u16, values: &[Operand]) -> Result<Estimate> {
        let Some((ty, count)) = self.attr_type(attr) else { return Ok(Estimate::exactly(0)) };
        let (mut sum, mut largest) = (0u64, 0u64);
        for value in values.iter().take(LOOKED_UP_MAX) {
            let one = match value {
                Operand::Bool(yes) => {
                    let on = self.bitmap(Kind::TRUE, attr)?.len();
                    if *yes { on } else { u64::from(count).saturating_sub(on) }
                }
                Operand::Text(text) if ty == 20 || ty == 21 => {
                    match self.terms(attr)?.find_text(text)? {
                        Ok(term) => self.posting_len(attr, term)?,
                        Err(_) => 0,
                    }
                }
                other => self.estimate_range(attr, Some(other), Some(other))?.most,
            };
            sum += one;
            largest = largest.max(one);
        }
        let most = sum.min(count.into());
        if values.len() > LOOKED_UP_MAX {
            let about = (sum * values.len() as u64 / LOOKED_UP_MAX as u64).min(count.into());
            return Ok(Estimate { least: largest.min(about), about, most: count.into() });
        }
        let least = if ty == 21 { largest.min(most) } else { most };
        Ok(Estimate { least, about: most, most })
    }

    fn estimate_range(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Estimate> {
        let range = match self.attr_type(attr) {
            Some((17..=19, count)) => self.numbers_range(attr, count, low, high)?,
            Some((22, count)) => self.texts_range(attr, count, low, high)?,
            Some((ty @ (20 | 21), count)) => {
                let terms = self.terms_range(attr, low, high)?;
                if terms.len() > LOOKED_UP_MAX {
                    return Ok(Estimate::at_most(count.into()));
                }
                let (mut sum, mut largest) = (0u64, 0u64);
                for term in terms {
                    let one = self.posting_len(attr, term)?;
                    (sum, largest) = (sum + one, largest.max(one));
                }
                let most = sum.min(count.into());
                let least = if ty == 21 { largest.min(most) } else { most };
                return Ok(Estimate { least, about: most, most });
            }
            _ => 0..0,
        };
        Ok(Estimate::exactly(u64::from(range.end - range.start)))
    }

    /// How many rows a term has.
    fn posting_len(&self, attr: u16, term: u32) -> Result<u64> {
        let (_, bytes) = self.posting_bytes(attr, term)?;
        match cardinality(&bytes) {
            Some(rows) => Ok(rows.min(self.rows().into())),
            None => Ok(self.posting(attr, term)?.len()),
        }
    }
}

/// How many numbers a stored bitmap has, by its header alone; `None` if that makes no sense.
///
/// The header of the portable Roaring format: a cookie, in one of two forms, then for each container
/// 16 bits of key and 16 bits of its size less one.
fn cardinality(bytes: &[u8]) -> Option<u64> {
    const NO_RUNS: u32 = 12_346;
    const RUNS: u32 = 12_347;
    let cookie = u32_at(bytes.get(..4)?, 0);
    let (containers, at) = if cookie == NO_RUNS {
        (u32_at(bytes.get(..8)?, 4) as usize, 8)
    } else if cookie & 0xffff == RUNS {
        let containers = (cookie >> 16) as usize + 1;
        (containers, 4 + containers.div_ceil(8))
    } else {
        return None;
    };
    let table = bytes.get(at..at.checked_add(containers.checked_mul(4)?)?)?;
    Some(table.chunks_exact(4).map(|entry| u64::from(u16_at(entry, 2)) + 1).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::dead::bitmap_bytes;
    use proptest::prelude::*;
    use roaring::RoaringBitmap;

    proptest! {
        /// Goal: the header of a bitmap, with runs or without, says how many numbers it has.
        #[test]
        fn the_header_counts(
            runs in prop::collection::vec((0u32..300_000, 1u32..9_000), 0..9),
            singles in prop::collection::vec(0u32..300_000, 0..50),
            optimized: bool,
        ) {
            let mut bitmap: RoaringBitmap = singles.into_iter().collect();
            for (from, len) in runs {
                bitmap.insert_range(from..from + len);
            }
            if optimized {
                bitmap.optimize();
            }
            prop_assert_eq!(cardinality(&bitmap_bytes(&bitmap)), Some(bitmap.len()));
        }

        /// Goal: hostile bytes give a number or nothing.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = cardinality(&bytes);
        }
    }
}
