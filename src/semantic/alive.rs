//! Alive: which ranks may be decoded, as one bit each.

use crate::semantic::ids::{Ids, NONE};
use roaring::RoaringBitmap;
use std::ops::Range;

/// The ranks whose rows a request may return.
#[derive(Clone, Debug)]
pub(crate) enum Alive {
    /// All: nothing has to be looked up.
    All,
    /// Those whose bit is set.
    Some { words: Vec<u64>, count: u32 },
}

impl Alive {
    /// Of the rows that are allowed. Costs a step for each row that is allowed or for each that is
    /// not, whichever are fewer.
    pub(crate) fn new(ids: &Ids, allowed: &RoaringBitmap) -> Alive {
        let all = ids.all() as u64;
        if allowed.len() >= all {
            return Alive::All;
        }
        let count = ids.len();
        let few = allowed.len() <= all / 2;
        let mut words = vec![if few { 0 } else { u64::MAX }; count.div_ceil(64)];
        if let Some(last) = words.last_mut().filter(|_| !few && !count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        let mut flip = |row: u32| {
            let rank = ids.rank(row);
            if rank != NONE {
                words[rank as usize / 64] ^= 1 << (rank % 64);
            }
        };
        match few {
            true => allowed.iter().for_each(&mut flip),
            false => {
                let mut from = 0;
                let mut runs = allowed.iter();
                while let Some(run) = runs.next_range() {
                    (from..*run.start()).for_each(&mut flip);
                    from = run.end().saturating_add(1);
                }
                (from..all as u32).for_each(&mut flip);
            }
        }
        let set = words.iter().map(|word| word.count_ones()).sum();
        Alive::Some { words, count: set }
    }

    /// How many there are.
    pub(crate) fn len(&self, ids: &Ids) -> u32 {
        match self {
            Alive::All => ids.len() as u32,
            Alive::Some { count, .. } => *count,
        }
    }

    /// Whether there is one in a range.
    #[inline]
    pub(crate) fn any(&self, range: Range<u32>) -> bool {
        let Alive::Some { words, .. } = self else { return !range.is_empty() };
        if range.is_empty() {
            return false;
        }
        let (first, last) = (range.start as usize / 64, (range.end - 1) as usize / 64);
        let (low, high) = (u64::MAX << (range.start % 64), u64::MAX >> (63 - (range.end - 1) % 64));
        if first == last {
            return words[first] & low & high != 0;
        }
        words[first] & low != 0
            || words[last] & high != 0
            || words[first + 1..last].iter().any(|word| *word != 0)
    }

    /// Those in a range, ascending.
    pub(crate) fn iter(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let mut next = range.start;
        std::iter::from_fn(move || {
            let Alive::Some { words, .. } = self else {
                next += 1;
                return (next <= range.end).then(|| next - 1);
            };
            while next < range.end {
                let word = words[next as usize / 64] >> (next % 64);
                if word != 0 {
                    let rank = next + word.trailing_zeros();
                    next = rank + 1;
                    return (rank < range.end).then_some(rank);
                }
                next = (next / 64 + 1) * 64;
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::SemanticId;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the same ranks as looked up one by one, however many are allowed.
        #[test]
        fn bits_are_those_of_the_rows(
            codes in prop::collection::vec(prop::option::of(0u16..9), 1..300),
            allowed in prop::collection::vec(any::<bool>(), 300),
            (from, len) in (0u32..300, 0u32..300),
        ) {
            let of_rows: Vec<_> =
                codes.iter().map(|c| c.map(|c| SemanticId::new(&[c]).unwrap())).collect();
            let ids = Ids::new(1, &of_rows);
            let rows = (0..codes.len() as u32).filter(|row| allowed[*row as usize]);
            let allowed: RoaringBitmap = rows.collect();
            let alive = Alive::new(&ids, &allowed);
            let count = ids.len() as u32;
            let range = from.min(count)..(from + len).min(count);
            let want: Vec<u32> =
                range.clone().filter(|rank| allowed.contains(ids.row(*rank))).collect();
            prop_assert_eq!(alive.any(range.clone()), !want.is_empty());
            prop_assert_eq!(alive.iter(range).collect::<Vec<_>>(), want);
            let all = (0..count).filter(|rank| allowed.contains(ids.row(*rank))).count();
            prop_assert_eq!(alive.len(&ids) as usize, all);
        }
    }
}
