//! Dice: all that is random in training and exploring, from one seed, the same on every machine.

use crate::vector::rotate::splitmix;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of a seed. `stream` tells apart what is drawn for different purposes.
    pub(crate) fn new(seed: u64, stream: u64) -> Dice {
        let mut state = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Dice(splitmix(&mut state))
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        splitmix(&mut self.0)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        // The high half of a product is even enough: the bias is below n / 2^64.
        ((u128::from(self.number()) * n as u128) >> 64) as usize
    }

    /// At least 0, below 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.number() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// The same, with all the digits that a double has.
    pub(crate) fn fine(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normally distributed, mean 0, variance 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f32 {
        let unit = ((self.number() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let angle = (self.number() >> 11) as f64 / (1u64 << 53) as f64 * std::f64::consts::TAU;
        ((-2.0 * unit.ln()).sqrt() * angle.cos()) as f32
    }

    /// Puts a list in any order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let other = self.below(at + 1);
            list.swap(at, other);
        }
    }
}
