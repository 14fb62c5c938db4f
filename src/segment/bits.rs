//! Bits: a plain set of row numbers, for where single rows are tested again and again.
//!
//! A test costs half a nanosecond where one in a Roaring bitmap costs twenty to eighty; a walk
//! over a graph makes hundreds of them. It takes a bit per row, so it is made once and kept.

use roaring::RoaringBitmap;

/// A set of row numbers, one bit each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: u64,
}

impl Bits {
    /// The rows of a bitmap.
    pub(crate) fn of(rows: &RoaringBitmap) -> Bits {
        let words = rows.max().map_or(0, |last| last as usize / 64 + 1);
        let mut bits = Bits { words: vec![0; words], len: rows.len() };
        let mut runs = rows.iter();
        while let Some(run) = runs.next_range() {
            bits.fill(*run.start(), *run.end());
        }
        bits
    }

    /// Adds the rows of a run, both ends among them; the words are there.
    fn fill(&mut self, first: u32, last: u32) {
        let (from, to) = (first as usize / 64, last as usize / 64);
        let (low, high) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        if from == to {
            self.words[from] |= low & high;
            return;
        }
        self.words[from] |= low;
        self.words[from + 1..to].fill(u64::MAX);
        self.words[to] |= high;
    }

    /// Bytes of heap memory.
    pub(crate) fn bytes(&self) -> u64 {
        8 * self.words.capacity() as u64
    }

    /// Adds a row.
    pub(crate) fn insert(&mut self, row: u32) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.len += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Takes a row away.
    pub(crate) fn remove(&mut self, row: u32) {
        let bit = 1 << (row % 64);
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            self.len -= u64::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Whether a row is in it.
    #[inline]
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// How many rows are in it.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Its rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.words).flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the same set as the bitmap it is made of, by every way to look at it.
        #[test]
        fn bits_hold_the_rows_of_the_bitmap(
            runs in prop::collection::vec((0u32..3000, 1u32..200), 0..12),
            more in prop::collection::vec(0u32..4000, 0..20),
        ) {
            let mut bitmap = RoaringBitmap::new();
            runs.iter().for_each(|(from, len)| {
                bitmap.insert_range(*from..from + len);
            });
            let mut bits = Bits::of(&bitmap);
            for row in more {
                bits.insert(row);
                bitmap.insert(row);
            }
            prop_assert_eq!(bits.len(), bitmap.len());
            prop_assert!((0..4100).all(|row| bits.contains(row) == bitmap.contains(row)));
            prop_assert!(bits.iter().eq(bitmap.iter()));
        }
    }
}
