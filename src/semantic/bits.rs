//! Bits of ranks and nodes, in words of 64.

use std::ops::Range;

/// So many bits, all set or none.
pub(super) fn filled(count: usize, set: bool) -> Vec<u64> {
    let mut words = vec![if set { u64::MAX } else { 0 }; count.div_ceil(64)];
    if let Some(last) = words.last_mut().filter(|_| !count.is_multiple_of(64)) {
        *last &= (1 << (count % 64)) - 1;
    }
    words
}

#[inline]
pub(super) fn has(words: &[u64], at: u32) -> bool {
    words[at as usize / 64] >> (at % 64) & 1 == 1
}

#[inline]
pub(super) fn flip(words: &mut [u64], at: u32) {
    words[at as usize / 64] ^= 1 << (at % 64);
}

/// Whether one is set in a range.
#[inline]
pub(super) fn any(words: &[u64], range: Range<u32>) -> bool {
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

/// How many are set in a range.
#[inline]
pub(super) fn count(words: &[u64], range: Range<u32>) -> u32 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (range.start as usize / 64, (range.end - 1) as usize / 64);
    let (low, high) = (u64::MAX << (range.start % 64), u64::MAX >> (63 - (range.end - 1) % 64));
    if first == last {
        return (words[first] & low & high).count_ones();
    }
    let between: u32 = words[first + 1..last].iter().map(|word| word.count_ones()).sum();
    (words[first] & low).count_ones() + between + (words[last] & high).count_ones()
}

/// At most 64 from a place on, the first lowest; none of them beyond the end.
#[inline]
pub(super) fn take(words: &[u64], from: u32, count: u32) -> u64 {
    if count == 0 {
        return 0;
    }
    let (word, shift) = (from as usize / 64, from % 64);
    let mut taken = words[word] >> shift;
    if shift + count > 64 {
        taken |= words[word + 1] << (64 - shift);
    }
    taken & (u64::MAX >> (64 - count))
}

/// Those in a range that are set, or not set, ascending.
#[inline]
pub(super) fn each(words: &[u64], range: Range<u32>, set: bool) -> impl Iterator<Item = u32> {
    let (mut next, turn) = (range.start, if set { 0 } else { u64::MAX });
    std::iter::from_fn(move || {
        while next < range.end {
            let word = (words[next as usize / 64] ^ turn) >> (next % 64);
            if word != 0 {
                let at = next + word.trailing_zeros();
                next = at + 1;
                return (at < range.end).then_some(at);
            }
            next = (next / 64 + 1) * 64;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::{count, each, filled, flip, has, take};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_of_bits_are_those_of_a_plain_list(
            bits in prop::collection::vec(any::<bool>(), 1..300),
            (a, b) in (0usize..300, 0usize..300),
            sparse in any::<bool>(),
        ) {
            let bits: Vec<bool> =
                bits.iter().enumerate().map(|(at, bit)| *bit && (!sparse || at % 90 == 0)).collect();
            let mut words = filled(bits.len(), false);
            (0u32..).zip(&bits).filter(|(_, bit)| **bit).for_each(|(at, _)| flip(&mut words, at));
            let (from, to) = (a.min(b).min(bits.len()), a.max(b).min(bits.len()));
            let range = from as u32..to as u32;
            let bit = |at: &u32| bits[*at as usize];
            let want = |set: bool| range.clone().filter(move |at| bit(at) == set);
            prop_assert!(each(&words, range.clone(), true).eq(want(true)));
            prop_assert!(each(&words, range.clone(), false).eq(want(false)));
            prop_assert_eq!(count(&words, range.clone()) as usize, want(true).count());
            prop_assert_eq!(super::any(&words, range.clone()), want(true).next().is_some());
            prop_assert!(range.clone().all(|at| has(&words, at) == bits[at as usize]));
            let few = range.start..range.end.min(range.start + 64);
            let taken: u64 = few.clone().map(|at| u64::from(bits[at as usize]) << (at - from as u32)).sum();
            prop_assert_eq!(take(&words, few.start, few.len() as u32), taken);
            let all = filled(bits.len(), true);
            prop_assert_eq!(count(&all, 0..bits.len() as u32) as usize, bits.len());
            prop_assert_eq!(all.iter().map(|word| word.count_ones()).sum::<u32>() as usize, bits.len());
        }
    }
}
