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

/// Codes whose sums are computed together.
const MANY: usize = 32;

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
    /// The same as the kernel writes them.
    wide: Vec<i16>,
    padded: usize,
    step: f32,
    /// The sum of all steps.
    total: i32,
    norm: f32,
    /// By how much products are taken for larger, for the root of what is off.
    doubt: f32,
}

impl Signs {
    /// Prepares a query, in the memory of an earlier one. A vector is taken for nearer than it is said to
    /// be by `doubt` times what that is off by.
    pub(crate) fn prepare(&mut self, query: &[f32], doubt: f32) {
        self.padded = query.len();
        let largest = query.iter().fold(0f32, |max, x| if x.abs() > max { x.abs() } else { max });
        self.step = largest / 127.0;
        // Limited, so that zero times it is zero: of numbers that small nothing is left.
        let per_step = self.step.recip().min(f32::MAX);
        self.wide.clear();
        self.wide.resize(query.len(), 0);
        self.norm = Kernel::best().steps(query, per_step, &mut self.wide);
        self.steps.clear();
        self.steps.extend(self.wide.iter().map(|step| *step.clamp(&-127, &127) as i8));
        self.total = self.steps.iter().map(|step| i32::from(*step)).sum();
        self.steps.resize(query.len().next_multiple_of(64), 0);
        self.doubt = doubt * (self.norm / query.len() as f32).sqrt();
    }

    /// How near each of some vectors may be, whose codes lie end to end: its squared distance if `l2`,
    /// otherwise minus its product. Where `out` says less already, it stays.
    pub(crate) fn nearest(&self, kernel: Kernel, codes: &[u8], l2: bool, out: &mut [f32]) {
        let (bytes, stride) = (self.padded / 8, stride(self.padded));
        let mut sets = [0; MANY];
        for (codes, out) in codes.chunks(MANY * stride).zip(out.chunks_mut(MANY)) {
            let sets = &mut sets[..out.len()];
            kernel.signs(&self.steps, codes, (stride, bytes), sets);
            for ((code, set), out) in codes.chunks(stride).zip(sets).zip(out) {
                let number = |at: usize| match code[at..].first_chunk::<4>() {
                    Some(four) => f32::from_le_bytes(*four),
                    None => f32::NAN,
                };
                let (factor, squares) = (number(bytes), number(bytes + 4));
                let off = (factor * factor * self.padded as f32 - squares).max(0.0).sqrt();
                let dot = factor * self.step * (2 * *set - self.total) as f32 + self.doubt * off;
                let near = if l2 { self.norm + squares - 2.0 * dot } else { -dot };
                // What is not a number, as forged codes may say, is no distance to go by.
                *out = if *out <= near { *out } else { near };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{dice::Dice, rotate::Rotation};

    const DOUBT: f32 = 0.5;

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
                signs.prepare(&query, DOUBT);
                let real: f32 = query.iter().zip(&x).map(|(q, x)| (q - x) * (q - x)).sum();
                let nearest = |l2| {
                    let mut out = [f32::INFINITY];
                    signs.nearest(Kernel::best(), &code, l2, &mut out);
                    out[0]
                };
                let said = nearest(true);
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
                let by_product = nearest(false);
                assert!((by_product + dot).abs() < 4.0 * one, "{dim}: {by_product} for {dot}");
            }
            let ratio = off / foreseen;
            assert!((0.7..1.3).contains(&ratio) && beyond == 0, "{dim}: {ratio}, {beyond}");
        }
    }

    #[test]
    fn nothing_and_anything_have_a_distance_or_none() {
        let mut signs = Signs::default();
        let nearest = |signs: &Signs, codes: &[u8]| {
            let mut out = vec![f32::INFINITY; codes.len() / stride(16)];
            signs.nearest(Kernel::best(), codes, true, &mut out);
            out
        };
        signs.prepare(&[0.0; 16], DOUBT);
        assert_eq!(nearest(&signs, &code(&[0.0; 16])), [0.0]);
        signs.prepare(&[1e15; 16], DOUBT);
        for byte in 0..=255 {
            nearest(&signs, &[byte; 48]);
        }
        assert!(nearest(&signs, &[255; 16])[0].is_nan());
    }

    /// Goal: many codes say what each says alone, and of several queries the nearest counts.
    #[test]
    fn many_are_as_near_as_each_alone() {
        let codes: Vec<u8> = (0..75).flat_map(|seed| code(&turned(100, seed))).collect();
        let queries = [100, 101].map(|seed| {
            let mut signs = Signs::default();
            signs.prepare(&turned(100, seed), DOUBT);
            signs
        });
        let kernel = Kernel::best();
        let mut all = vec![f32::INFINITY; 75];
        queries.iter().for_each(|query| query.nearest(kernel, &codes, true, &mut all));
        for (code, found) in codes.chunks(stride(112)).zip(&all) {
            let alone = queries.each_ref().map(|query| {
                let mut out = [f32::INFINITY];
                query.nearest(kernel, code, true, &mut out);
                out[0]
            });
            assert_eq!(alone[0].min(alone[1]), *found);
        }
    }
}
