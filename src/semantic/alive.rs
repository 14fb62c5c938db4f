//! Alive: which ranks may be decoded, as one bit each, and which nodes have one below them.

use crate::semantic::{
    bits,
    ids::{Ids, NONE},
};
use roaring::RoaringBitmap;
use std::ops::Range;

/// The ranks whose rows a request may return.
#[derive(Clone, Debug)]
pub(crate) enum Alive {
    /// All: nothing has to be looked up.
    All,
    /// Those whose bit is set.
    Some(Bits),
}

#[derive(Clone, Debug)]
pub(crate) struct Bits {
    ranks: Vec<u64>,
    count: u32,
    /// By depth from 1, the nodes with such a rank below them. The children of a node lie side by side,
    /// so that a step of decoding reads a few words, however many items there are.
    nodes: Vec<Vec<u64>>,
}

impl Alive {
    /// Of the rows that are allowed. Costs a step for each row that is allowed or for each that is
    /// not, whichever are fewer.
    pub(crate) fn new(ids: &Ids, allowed: &RoaringBitmap) -> Alive {
        let all = ids.all() as u64;
        if allowed.len() >= all {
            return Alive::All;
        }
        let few = allowed.len() <= all / 2;
        let mut ranks = bits::filled(ids.len(), !few);
        let mut flip = |row: u32| {
            let rank = ids.rank(row);
            if rank != NONE {
                bits::flip(&mut ranks, rank);
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
        let levels = 1..=ids.levels();
        let mut nodes: Vec<Vec<u64>> =
            levels.map(|depth| bits::filled(ids.nodes(depth), !few)).collect();
        // In order of ranks, not of rows: what is read lies side by side.
        for rank in bits::each(&ranks, 0..ids.len() as u32, few) {
            tell(ids, &mut nodes, &ranks, rank);
        }
        let count = ranks.iter().map(|word| word.count_ones()).sum();
        Alive::Some(Bits { ranks, count, nodes })
    }

    /// How many there are.
    pub(crate) fn len(&self, ids: &Ids) -> u32 {
        match self {
            Alive::All => ids.len() as u32,
            Alive::Some(bits) => bits.count,
        }
    }

    /// How many there are in a range.
    pub(crate) fn count(&self, range: Range<u32>) -> u32 {
        match self {
            Alive::All => range.len() as u32,
            Alive::Some(bits) => bits::count(&bits.ranks, range),
        }
    }

    /// Those in a range, ascending.
    pub(crate) fn iter(&self, range: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let (all, some) = match self {
            Alive::All => (range, None),
            Alive::Some(bits) => (0..0, Some(bits::each(&bits.ranks, range, true))),
        };
        all.chain(some.into_iter().flatten())
    }

    /// Which nodes of a depth from 1 on have one below them; `None` means all.
    #[inline]
    pub(crate) fn nodes(&self, depth: usize) -> Option<&[u64]> {
        match self {
            Alive::All => None,
            Alive::Some(bits) => bits.nodes.get(depth - 1).map(Vec::as_slice),
        }
    }
}

/// Tells the nodes above a rank that it has changed, up to the first for which that makes no difference.
#[inline]
fn tell(ids: &Ids, nodes: &mut [Vec<u64>], ranks: &[u64], rank: u32) {
    let mut at = rank;
    for depth in (1..=nodes.len()).rev() {
        let node = ids.above(depth, at);
        let (upper, lower) = nodes.split_at_mut(depth);
        let below = lower.first().map_or(ranks, Vec::as_slice);
        let alive = bits::has(below, at) || bits::any(below, ids.below(depth, node));
        let Some(own) = upper.last_mut().filter(|own| bits::has(own, node) != alive) else { break };
        bits::flip(own, node);
        at = node;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::SemanticId;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the same ranks as looked up one by one, however many are allowed; and the
        /// nodes above them that have one below.
        #[test]
        fn bits_are_those_of_the_rows(
            codes in prop::collection::vec(prop::option::of([0u16..9, 0..4, 0..3]), 1..300),
            allowed in prop::collection::vec(any::<bool>(), 300),
            (from, len) in (0u32..300, 0u32..300),
            (rare, invert) in any::<(bool, bool)>(),
        ) {
            let of_rows: Vec<_> =
                codes.iter().map(|c| c.map(|c| SemanticId::new(&c).unwrap())).collect();
            let ids = Ids::new(3, &of_rows);
            let is = |row: u32| (allowed[row as usize] && (!rare || row.is_multiple_of(50))) != invert;
            let allowed: RoaringBitmap = (0..codes.len() as u32).filter(|row| is(*row)).collect();
            let alive = Alive::new(&ids, &allowed);
            let count = ids.len() as u32;
            let range = from.min(count)..(from + len).min(count);
            let is = |rank: &u32| allowed.contains(ids.row(*rank));
            let want: Vec<u32> = range.clone().filter(is).collect();
            prop_assert_eq!(alive.count(range.clone()) as usize, want.len());
            prop_assert_eq!(alive.iter(range).collect::<Vec<_>>(), want);
            prop_assert_eq!(alive.len(&ids) as usize, (0..count).filter(is).count());
            for depth in 1..=3 {
                let nodes = alive.nodes(depth);
                for node in 0..ids.nodes(depth) as u32 {
                    let want = ids.ranks(depth, node).any(|rank| is(&rank));
                    prop_assert_eq!(nodes.is_none_or(|nodes| bits::has(nodes, node)), want);
                }
            }
        }
    }
}
