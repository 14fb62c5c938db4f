//! One bit per number of a vector, for itself: its sign, after a rotation.
//!
//! With the signs `b` of a rotated vector `x` and `f = |x|^2 / <b, x>`, the product of `x` with any vector
//! `q` is about `f <b, q>`, off by about `|q| sqrt((f^2 d - |x|^2) / d)` for `d` numbers (RaBitQ, SIGMOD
//! 2024). Codes of neighbours, as rows of `hop` have them, say more, since they are of what lies between
//! near vectors; but there are 32 of them for every vector, and of these one.
//!
//! ```text
//!   code   signs, padded / 8 bytes | f, f32 | |x|^2, f32 | zeros, up to the stride
//! ```

use super::kernel::Kernel;

/// A vector is taken for nearer than it is said to be by so many times what that is off by. From 0 to 1 the
/// recall at equal time is about the same (texts); with this, an effort finds what it finds where
/// rows hold everything.
const DOUBT: f32 = 0.5;

/// Bytes of a code of so many rotated numbers: such that few codes lie in more lines of the cache than
/// they must.
pub(crate) fn stride(padded: usize) -> usize {
    let bytes = padded / 8 + 8;
    if bytes <= 64 { bytes.next_power_of_two() } else { bytes.next_multiple_of(64) }
}

/// Writes the code of a rotated vector.
pub(crate) fn encode(turned: &[f32], code: &mut [u8]) {
    code.fill(0);
    let (mut sum, mut squares) = (0f64, 0f64);
    for (at, x) in turned.iter().enumerate() {
        code[at / 8] |= u8::from(*x >= 0.0) << (at % 8);
        sum += f64::from(x.abs());
        squares += f64::from(*x).powi(2);
    }
    let factor = if sum > 0.0 { squares / sum } else { 0.0 };
    let end = turned.len() / 8;
    code[end..end + 4].copy_from_slice(&(factor as f32).to_le_bytes());
    code[end + 4..end + 8].copy_from_slice(&(squares as f32).to_le_bytes());
}

/// A rotated query, prepared for codes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs {
    /// The query in whole steps, then zeros up to a multiple of 64.
    steps: Vec<i8>,
    padded: usize,
    step: f32,
    /// The sum of all steps.
    total: i32,
    norm: f32,
    /// By how much products are taken for larger, for the root of what is off.
    doubt: f32,
}

impl Signs {
    /// Prepares a query, in the memory of an earlier one.
    pub(crate) fn prepare(&mut self, query: &[f32]) {
        self.padded = query.len();
        self.norm = query.iter().map(|x| x * x).sum();
        let largest = query.iter().fold(0f32, |max, x| max.max(x.abs()));
        self.step = largest / 127.0;
        // Limited, so that zero times it is zero: of numbers that small nothing is left.
        let per_step = self.step.recip().min(f32::MAX);
        self.steps.clear();
        self.steps.extend(
            query.iter().map(|x| (x * per_step).round_ties_even().clamp(-127.0, 127.0) as i8),
        );
        self.total = self.steps.iter().map(|step| i32::from(*step)).sum();
        self.steps.resize(query.len().next_multiple_of(64), 0);
        self.doubt = DOUBT * (self.norm / query.len() as f32).sqrt();
    }

    /// From where on a vector may be: its squared distance if `l2`, otherwise minus its product.
    #[inline]
    pub(crate) fn nearest(&self, kernel: Kernel, code: &[u8], l2: bool) -> f32 {
        let (signs, rest) = code.split_at(self.padded / 8);
        let Some(&[a, b, c, d, e, f, g, h]) = rest.first_chunk::<8>() else { return f32::NAN };
        let (factor, squares) =
            (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]));
        let set = kernel.signs(&self.steps, signs);
        let off = (factor * factor * self.padded as f32 - squares).max(0.0).sqrt();
        let dot = factor * self.step * (2 * set - self.total) as f32 + self.doubt * off;
        if l2 { self.norm + squares - 2.0 * dot } else { -dot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{dice::Dice, rotate::Rotation};

    fn turned(dim: usize, seed: u64) -> Vec<f32> {
        let mut dice = Dice::new(seed, 1);
        let vector: Vec<f32> = (0..dim).map(|_| dice.unit() - 0.5).collect();
        let rotation = Rotation::new(dim, 7);
        let mut out = vec![0.0; rotation.padded()];
        rotation.apply(&vector, &mut out);
        out
    }

    fn code(turned: &[f32]) -> Vec<u8> {
        let mut code = vec![7; stride(turned.len())];
        encode(turned, &mut code);
        code
    }

    #[test]
    fn codes_lie_in_few_lines() {
        assert_eq!([16, 112, 128, 384, 448, 464, 784].map(stride), [16, 32, 32, 64, 64, 128, 128]);
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let mut numbers = vec![0.0f32; 16];
        numbers[0] = -3.0;
        numbers[9] = -1.0;
        let code = code(&numbers);
        assert_eq!(code[..2], [0xfe, 0xfd]);
        assert_eq!(code[2..6], (10.0f32 / 4.0).to_le_bytes());
        assert_eq!(code[6..10], 10f32.to_le_bytes());
        assert_eq!(code[10..], [0; 6]);
    }

    /// Goal: a vector is said to be nearer than it is by what the paper says, on the average, and rarely
    /// said to be much farther. Method: random pairs, of several lengths; a distance is off by twice
    /// what its product is off by.
    #[test]
    fn what_is_said_of_a_distance_is_off_as_foreseen() {
        for dim in [64, 100, 384, 784] {
            let (mut off, mut foreseen, mut beyond) = (0.0, 0.0, 0);
            for seed in 0..300 {
                let (query, x) = (turned(dim, 2 * seed), turned(dim, 2 * seed + 1));
                let code = code(&x);
                let mut signs = Signs::default();
                signs.prepare(&query);
                let real: f32 = query.iter().zip(&x).map(|(q, x)| (q - x) * (q - x)).sum();
                let said = signs.nearest(Kernel::best(), &code, true);
                let (sum, squares) =
                    x.iter().fold((0f32, 0f32), |(s, q), x| (s + x.abs(), q + x * x));
                let factor = squares / sum;
                let one = 2.0
                    * signs.norm.sqrt()
                    * (factor * factor - squares / x.len() as f32).max(0.0).sqrt();
                let apart = said + DOUBT * one - real;
                off += apart * apart;
                foreseen += one * one;
                beyond += i32::from(apart > 4.0 * one);
                let dot: f32 = query.iter().zip(&x).map(|(q, x)| q * x).sum();
                let by_product = signs.nearest(Kernel::best(), &code, false);
                assert!((by_product + dot).abs() < 4.0 * one, "{dim}: {by_product} for {dot}");
            }
            let ratio = off / foreseen;
            assert!((0.7..1.3).contains(&ratio) && beyond == 0, "{dim}: {ratio}, {beyond}");
        }
    }

    #[test]
    fn nothing_and_anything_have_a_distance_or_none() {
        let mut signs = Signs::default();
        signs.prepare(&[0.0; 16]);
        assert_eq!(signs.nearest(Kernel::best(), &code(&[0.0; 16]), true), 0.0);
        signs.prepare(&[1e15; 16]);
        for byte in 0..=255 {
            signs.nearest(Kernel::best(), &[byte; 16], true);
        }
        assert!(signs.nearest(Kernel::best(), &[0; 9], true).is_nan());
    }
}
