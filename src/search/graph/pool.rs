//! Candidates of a walk, and which nodes it has been to.

use std::collections::BinaryHeap;

/// Candidates, the nearest on top.
///
/// A heap: a list in order was measured to take more time than everything else, moving what is behind
/// each new candidate.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Distance, then node, as integers that sort the other way round.
    keys: BinaryHeap<u64>,
}

impl Pool {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }

    #[inline]
    pub(super) fn offer(&mut self, distance: f32, node: u32) {
        self.keys.push(!(u64::from(order(distance)) << 32 | u64::from(node)));
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<(f32, u32)> {
        let key = !self.keys.pop()?;
        Some((distance((key >> 32) as u32), key as u32))
    }
}

/// Bits in the order of the numbers.
#[inline]
fn order(number: f32) -> u32 {
    let bits = number.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The number of such bits.
#[inline]
fn distance(order: u32) -> f32 {
    f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
}

/// A set of nodes that is cleared by undoing.
#[derive(Debug, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Marks {
    pub(super) fn clear(&mut self, nodes: u32) {
        for word in self.touched.drain(..) {
            self.words[word as usize] = 0;
        }
        self.words.resize((nodes as usize).div_ceil(64), 0);
    }

    #[inline]
    pub(super) fn has(&self, node: u32) -> bool {
        self.words[(node / 64) as usize] & 1u64 << (node % 64) != 0
    }

    /// Marks a node; whether it was not before.
    #[inline]
    pub(super) fn mark(&mut self, node: u32) -> bool {
        let (at, bit) = (node / 64, 1u64 << (node % 64));
        let word = &mut self.words[at as usize];
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(at);
        }
        *word |= bit;
        true
    }
}
