//! ClusterFeatures: what a ranker learns of an item from its semantic ID.

use crate::{
    error::{Error, Result},
    limits::{LEVEL_CODES_MAX, LEVELS_MAX},
    semantic::SemanticId,
    vector::rotate::splitmix,
};

/// Most rows of all tables together: an index is a `u32`.
const ROWS_MAX: usize = u32::MAX as usize;

/// Semantic IDs as rows of embedding tables, so that a ranker shares what it learns among items of a
/// kind instead of learning every item alone (Singh et al., RecSys 2024).
///
/// *Codes* say each level by itself. *Prefixes* say the first code, the first two, and so on: few rows,
/// then many, each a finer kind. Both are lists of one index per level; the tables of the levels lie end
/// to end, so one embedding table takes them all and their sum or concatenation is the feature.
/// [`SubWords`](super::SubWords) are a third way, learned from the items.
///
/// ```
/// use bowerbird::{SemanticId, model::semantic::ClusterFeatures};
/// # fn main() -> bowerbird::Result<()> {
/// let features = ClusterFeatures::new(&[4, 8, 8], 100)?;
/// let id = SemanticId::new(&[3, 0, 7])?;
/// assert_eq!(features.codes(&id)?, [3, 4, 19]);
/// assert_eq!(features.code_rows(), 20);
/// // 4 rows, then 32, then 256 that are hashed into 100.
/// let prefixes = features.prefixes(&id)?;
/// assert_eq!(prefixes[..2], [3, 4 + 24]);
/// assert!((36..136).contains(&prefixes[2]));
/// assert_eq!(features.prefix_rows(), 136);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterFeatures {
    widths: Vec<usize>,
    /// By level, how many prefixes end there; at most `ROWS_MAX + 1`, which means too many.
    prefixes: Vec<usize>,
    rows: usize,
}

impl ClusterFeatures {
    /// For a codebook of these widths. The table of a length of prefix has a row for each prefix, but at
    /// most `rows`: where there are more, they are hashed, and some share a row.
    ///
    /// # Errors
    /// `Invalid` for widths that no codebook has, no rows, or more than `u32` counts in all.
    pub fn new(widths: &[usize], rows: usize) -> Result<ClusterFeatures> {
        check_widths(widths)?;
        if rows == 0 || rows > ROWS_MAX / LEVELS_MAX {
            let most = ROWS_MAX / LEVELS_MAX;
            let why = format!("has {rows} rows for a length of prefix; 1 to {most}");
            return Err(Error::invalid("table of prefixes", why));
        }
        let count = |count: &mut usize, width: &usize| {
            *count = count.saturating_mul(*width).min(ROWS_MAX + 1);
            Some(*count)
        };
        let prefixes = widths.iter().scan(1, count).collect();
        Ok(ClusterFeatures { widths: widths.to_vec(), prefixes, rows })
    }

    /// How many rows a table for [`codes`](Self::codes) has.
    pub fn code_rows(&self) -> usize {
        self.widths.iter().sum()
    }

    /// How many rows a table for [`prefixes`](Self::prefixes) has.
    pub fn prefix_rows(&self) -> usize {
        self.prefixes.iter().map(|all| self.rows.min(*all)).sum()
    }

    /// For each level its code, counted from the end of the level before.
    ///
    /// # Errors
    /// `Invalid` for an ID that such a codebook does not say.
    pub fn codes(&self, id: &SemanticId) -> Result<Vec<u32>> {
        symbols(&self.widths, id)
    }

    /// For each length the row of the prefix, counted from the end of the table before.
    ///
    /// # Errors
    /// `Invalid` for an ID that such a codebook does not say.
    pub fn prefixes(&self, id: &SemanticId) -> Result<Vec<u32>> {
        check_id(&self.widths, id)?;
        let (mut begin, mut place, mut hash) = (0, 0usize, 0u64);
        let levels = id.codes().iter().zip(self.widths.iter().zip(&self.prefixes));
        let row = |(code, (width, all)): (&u16, (&usize, &usize))| {
            let rows = self.rows.min(*all);
            // Wraps where it is not used any more: there are more prefixes than rows from then on.
            place = place.wrapping_mul(*width).wrapping_add(usize::from(*code));
            let mut state = hash ^ u64::from(*code);
            hash = splitmix(&mut state);
            let row = if *all <= rows { place } else { (hash % rows as u64) as usize };
            begin += rows;
            (begin - rows + row) as u32
        };
        Ok(levels.map(row).collect())
    }
}

pub(super) fn check_widths(widths: &[usize]) -> Result<()> {
    let fits = |width: &usize| (1..=LEVEL_CODES_MAX).contains(width);
    if (1..=LEVELS_MAX).contains(&widths.len()) && widths.iter().all(fits) {
        return Ok(());
    }
    let why = format!("are {widths:?}; 1 to {LEVELS_MAX} of 1 to {LEVEL_CODES_MAX}");
    Err(Error::invalid("widths of a codebook", why))
}

pub(super) fn check_id(widths: &[usize], id: &SemanticId) -> Result<()> {
    let fits = |(code, width): (&u16, &usize)| usize::from(*code) < *width;
    if id.codes().len() == widths.len() && id.codes().iter().zip(widths).all(fits) {
        return Ok(());
    }
    let why =
        format!("is not of a codebook whose widths are {widths:?}. Is it of another version?");
    Err(Error::invalid(format!("semantic ID {id}"), why))
}

/// Codes, each counted from the end of the level before.
pub(super) fn symbols(widths: &[usize], id: &SemanticId) -> Result<Vec<u32>> {
    check_id(widths, id)?;
    let mut begin = 0;
    let symbol = |(code, width): (&u16, &usize)| {
        begin += *width as u32;
        begin - *width as u32 + u32::from(*code)
    };
    Ok(id.codes().iter().zip(widths).map(symbol).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn id(codes: &[u16]) -> SemanticId {
        SemanticId::new(codes).unwrap()
    }

    /// Goal: prefixes that fit have a row of their own, and no two lengths share one.
    #[test]
    fn every_prefix_has_its_row() {
        let widths = [3usize, 4, 5];
        let (exact, tight) = (
            ClusterFeatures::new(&widths, 60).unwrap(),
            ClusterFeatures::new(&widths, 20).unwrap(),
        );
        assert_eq!((exact.prefix_rows(), tight.prefix_rows(), exact.code_rows()), (75, 35, 12));
        let mut rows: BTreeMap<SemanticId, u32> = BTreeMap::new();
        let mut shared: BTreeSet<u32> = BTreeSet::new();
        for n in 0..60u16 {
            let id = id(&[n / 20, n / 5 % 4, n % 5]);
            for (depth, row) in (1..).zip(exact.prefixes(&id).unwrap()) {
                assert_eq!(*rows.entry(id.prefix(depth)).or_insert(row), row);
            }
            let hashed = tight.prefixes(&id).unwrap();
            assert_eq!(hashed[..2], exact.prefixes(&id).unwrap()[..2]);
            assert!((15..35).contains(&hashed[2]));
            shared.insert(hashed[2]);
            let codes = exact.codes(&id).unwrap();
            let want = [id.codes()[0], 3 + id.codes()[1], 7 + id.codes()[2]];
            assert_eq!(codes, want.map(u32::from));
        }
        let distinct: BTreeSet<u32> = rows.values().copied().collect();
        assert!(distinct.len() == 75 && rows.len() == 75 && *distinct.last().unwrap() == 74);
        // Of 60 in 20 rows about 19 are used (20 (1 - 0.95^60)).
        assert!(shared.len() > 14, "{shared:?}");
    }

    #[test]
    fn what_no_codebook_says_is_refused() {
        for widths in [&[][..], &[0], &[65_537], &[1; 9]] {
            assert!(ClusterFeatures::new(widths, 10).is_err(), "{widths:?}");
        }
        assert!(ClusterFeatures::new(&[4], 0).is_err());
        assert!(ClusterFeatures::new(&[4], usize::MAX).is_err());
        let widest = ClusterFeatures::new(&[65_536; 8], 1 << 20).unwrap();
        let rows = widest.prefixes(&id(&[65_535; 8])).unwrap();
        assert!(rows.iter().all(|row| (*row as usize) < widest.prefix_rows()));
        for wrong in [&[4, 0][..], &[0], &[0, 0, 0], &[]] {
            let features = ClusterFeatures::new(&[4, 4], 10).unwrap();
            assert!(features.codes(&id(wrong)).is_err() && features.prefixes(&id(wrong)).is_err());
        }
    }
}
