//! A random rotation, the same for the same seed: what it does to one number it does to all alike.
//!
//! One-bit codes estimate well only where no direction is special. Rounds of random signs and a fast
//! Walsh-Hadamard transform come close to a random orthogonal matrix at `d log d` cost (the walk of
//! Kac, as in the RaBitQ library). Lengths and inner products stay what they were.

use super::kernel::Kernel;

/// Rounds of signs and transforms.
const ROUNDS: usize = 4;

/// A rotation of vectors of `dim` numbers into `padded` ones.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    dim: usize,
    padded: usize,
    /// Plus or minus the factor that keeps lengths, per round and number.
    signs: Vec<f32>,
}

impl Rotation {
    /// A rotation of vectors with `dim` numbers.
    pub(crate) fn new(dim: usize, seed: u64) -> Rotation {
        let padded = dim.next_multiple_of(16);
        let (mut state, mut signs) = (seed, Vec::with_capacity(padded * ROUNDS));
        let factor = (window(padded) as f32).sqrt().recip();
        for round in 0..ROUNDS {
            let turned = span(padded, round);
            for at in 0..padded {
                let sign = if splitmix(&mut state) >> 63 == 0 { 1.0 } else { -1.0 };
                signs.push(if turned.contains(&at) { sign * factor } else { sign });
            }
        }
        Rotation { dim, padded, signs }
    }

    /// How many numbers a rotated vector has: `dim` up to a multiple of 16.
    pub(crate) fn padded(&self) -> usize {
        self.padded
    }

    /// Replaces `out`, of `padded` numbers, by the rotated vector.
    pub(crate) fn apply(&self, vector: &[f32], out: &mut [f32]) {
        out[..self.dim].copy_from_slice(vector);
        out[self.dim..].fill(0.0);
        for (round, signs) in self.signs.chunks_exact(self.padded).enumerate() {
            Kernel::best().turn(signs, out, span(self.padded, round));
        }
    }
}

/// The largest power of two that fits.
fn window(padded: usize) -> usize {
    1 << padded.ilog2()
}

/// Which numbers a round mixes: the first ones, then the last ones, in turns.
fn span(padded: usize, round: usize) -> std::ops::Range<usize> {
    let window = window(padded);
    if round.is_multiple_of(2) { 0..window } else { padded - window..padded }
}

/// The next of a sequence of random numbers (SplitMix64).
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_products_stay() {
        for dim in [1, 2, 3, 16, 31, 64, 100, 384, 784, 1000] {
            let rotation = Rotation::new(dim, 7);
            let a: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.3).cos()).collect();
            let (mut ra, mut rb) = (vec![0.0; rotation.padded()], vec![0.0; rotation.padded()]);
            rotation.apply(&a, &mut ra);
            rotation.apply(&b, &mut rb);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            assert!((dot(&a, &b) - dot(&ra, &rb)).abs() < 1e-3 * dim as f32, "{dim}");
            assert!((dot(&a, &a) - dot(&ra, &ra)).abs() < 1e-3 * dim as f32, "{dim}");
        }
    }

    /// Goal: one number is spread over all, so that signs carry about as much of each vector.
    #[test]
    fn a_single_number_is_spread_over_all() {
        for dim in [64, 100, 384, 784] {
            let rotation = Rotation::new(dim, 1);
            let mut out = vec![0.0; rotation.padded()];
            let mut one = vec![0.0; dim];
            one[dim / 3] = 1.0;
            rotation.apply(&one, &mut out);
            let largest = out.iter().fold(0f32, |max, x| max.max(x.abs()));
            assert!(largest < 0.5, "{dim}: {largest}");
        }
    }

    /// Goal: a graph is read by the rotation that it was built with, which only its seed says.
    #[test]
    fn a_seed_says_all_of_a_rotation() {
        for dim in (1..=130).chain([4096]) {
            let vector: Vec<f32> = (0..dim).map(|i| 1.0 + (i as f32 * 0.7).sin()).collect();
            let turned = |seed| {
                let rotation = Rotation::new(dim, seed);
                let mut out = vec![f32::NAN; rotation.padded()];
                rotation.apply(&vector, &mut out);
                out
            };
            assert_eq!(turned(7), turned(7), "{dim}");
            assert_ne!(turned(7), turned(8), "{dim}");
            let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
            let (before, after) = (length(&vector), length(&turned(7)));
            assert!((before - after).abs() < 1e-4 * before, "{dim}: {before}, {after}");
        }
    }
}
