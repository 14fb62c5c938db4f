//! The kernels of a hop, by instruction set; each has its plain twin here.
//!
//! They agree to the last bit but for three sums of `f32`, which every set of instructions adds in
//! an order of its own: those of a [`Residual`], and the squared length of a query. Where one fuses a
//! product with a sum, all do.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use super::hop_neon;
use super::{Kernel, Level};
#[cfg(target_arch = "x86_64")]
use super::{hop2, hop512};
use crate::vector::hop::{DEGREE, Hops, Layout};
use std::ops::Range;

/// What makes estimates of the sums over a row's codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The node's own distance, or what of it goes into its neighbours'.
    pub(crate) base: f32,
    /// Of the first and of the second factor.
    pub(crate) scales: [f32; 2],
    /// Only estimates below this are of interest.
    pub(crate) bound: f32,
}

/// What the signs of a difference `x - c` are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Residual {
    /// The sum of its absolute numbers, and of their squares.
    pub(crate) sum: f32,
    pub(crate) squares: f32,
    /// The product of its signs with `c`.
    pub(crate) along: f32,
}

impl Kernel {
    /// The product of a query with a row's own code, in steps.
    #[inline]
    pub(crate) fn own(self, query: &Hops, own: &[u8]) -> i32 {
        assert!(
            own.len() == query.steps().len(),
            "the own part of a row and of a query are as long"
        );
        dispatch!(self.0, {
            Avx512 => hop512::own(query.steps(), own),
            Avx2 => hop2::own(query.steps(), own),
        }, neon hop_neon::own(query.steps(), own), own_plain(query.steps(), own))
    }

    /// Of each code, the sum of those steps of a query whose bits are set. A code is the first `bytes` of
    /// every `stride`, and has as many bits as there are numbers, eight to a byte; there are steps for a
    /// whole number of 64 of them.
    #[inline]
    pub(crate) fn signs(
        self,
        steps: &[i8],
        codes: &[u8],
        (stride, bytes): (usize, usize),
        out: &mut [i32],
    ) {
        assert!(steps.len() == (8 * bytes).next_multiple_of(64), "a step for every bit");
        assert!(bytes <= stride && codes.len() == stride * out.len(), "a sum for every code");
        dispatch!(self.0, {
            Avx512 => hop512::signs(steps, codes, (stride, bytes), out),
            Avx2 => hop2::signs(steps, codes, (stride, bytes), out),
        }, signs_plain(steps, codes, (stride, bytes), out))
    }

    /// Estimates for the neighbours of a row; bit `n` of the answer is set if the estimate of
    /// neighbour `n` is below the bound.
    #[inline]
    pub(crate) fn estimates(
        self,
        query: &Hops,
        layout: &Layout,
        row: &[u8],
        terms: Terms,
        out: &mut [f32; DEGREE],
    ) -> u32 {
        let codes = &row[layout.own..layout.ids];
        let (factors, _) = row[layout.factors..].split_first_chunk::<128>().expect("a whole row");
        assert!(codes.len() == query.tables().len() * 16, "a code has a nibble for every table");
        dispatch!(self.0, {
            Avx512 => hop512::estimates(query, codes, factors, terms, out),
            Avx2 => hop2::estimates(query, codes, factors, terms, out),
        }, neon hop_neon::estimates(query, codes, factors, terms, out),
        estimates_plain(query, codes, factors, terms, out))
    }

    /// Multiplies by signs, and then mixes a window of a power of two of the numbers.
    pub(crate) fn turn(self, signs: &[f32], numbers: &mut [f32], window: Range<usize>) {
        dispatch!(self.0, {
            Avx512 => hop512::turn(signs, numbers, window),
            Avx2 => hop2::turn(signs, numbers, window),
        }, turn_plain(signs, numbers, window))
    }

    /// Fast-scan tables: of each four numbers the sums by which bits are set, above their lowest.
    pub(crate) fn tables(self, query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
        dispatch!(self.0, {
            Avx512 => hop512::tables(query, per_unit, out),
            Avx2 => hop2::tables(query, per_unit, out),
        }, tables_plain(query, per_unit, out))
    }

    /// As [`Kernel::tables`], for two numbers with two bits each: -3, -1, 1 or 3 times the number.
    pub(crate) fn levels(self, query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
        dispatch!(self.0, {
            Avx512 => hop512::levels(query, per_unit, out),
            Avx2 => hop2::levels(query, per_unit, out),
        }, levels_plain(query, per_unit, out))
    }

    /// A query in whole steps, and its squared length.
    pub(crate) fn steps(self, query: &[f32], per_step: f32, out: &mut [i16]) -> f32 {
        dispatch!(self.0, {
            Avx512 => hop512::steps(query, per_step, out),
            Avx2 => hop2::steps(query, per_step, out),
        }, steps_plain(query, per_step, out))
    }

    /// Writes nibbles: of each slot below sixteen the low one, of the one sixteen later the high one.
    pub(crate) fn pack(self, slots: &[[u16; DEGREE]], codes: &mut [u8]) {
        dispatch!(self.0, {
            Avx512 => hop512::pack(slots, codes),
            Avx2 => hop2::pack(slots, codes),
        }, pack_plain(slots, codes))
    }

    /// The signs of `x - c`, sixteen to a word, set where not negative; and what they are worth.
    ///
    /// With a `step`, numbers have four levels: -3, -1, 1 and 3, those beyond a step the outer ones.
    /// A word of signs is then followed by one of which numbers are level 1 or 3 above the next lower.
    pub(crate) fn residual(
        self,
        (c, c_scale): (&[u8], f32),
        (x, x_scale): (&[u8], f32),
        step: Option<f32>,
        words: &mut [[u16; 2]],
    ) -> Residual {
        assert!(c.len() == x.len() && c.len() == words.len() * 16, "codes of one length");
        dispatch!(self.0, {
            Avx512 => hop512::residual((c, c_scale), (x, x_scale), step, words),
            Avx2 => hop2::residual((c, c_scale), (x, x_scale), step, words),
        }, residual_plain((c, c_scale), (x, x_scale), step, words))
    }
}

/// The four levels of a number.
pub(super) const LEVELS: [f32; 4] = [-3.0, -1.0, 1.0, 3.0];

/// Where the nibbles of neighbour `n` are in the sixteen bytes of four numbers: byte, and shift.
///
/// A 16-bit lane holds neighbours `m` and `m + 8`, so that the sums come out in order.
pub(crate) fn nibble(n: usize) -> (usize, u32) {
    let m = n % 16;
    (if m < 8 { 2 * m } else { 2 * (m - 8) + 1 }, if n < 16 { 0 } else { 4 })
}

pub(super) fn signs_plain(
    steps: &[i8],
    codes: &[u8],
    (stride, bytes): (usize, usize),
    out: &mut [i32],
) {
    let sum = |(eight, bits): (&[i8; 8], &u8)| {
        (0..8).map(|at| i32::from(eight[at]) * i32::from(bits >> at & 1)).sum::<i32>()
    };
    for (code, out) in codes.chunks(stride).zip(out) {
        *out = steps.as_chunks::<8>().0.iter().zip(&code[..bytes]).map(sum).sum();
    }
}

pub(super) fn own_plain(steps: &[i16], own: &[u8]) -> i32 {
    let product = |(step, code): (&i16, &u8)| i32::from(*step) * i32::from(code.cast_signed());
    steps.iter().zip(own).map(product).fold(0, i32::wrapping_add)
}

pub(super) fn estimates_plain(
    query: &Hops,
    codes: &[u8],
    factors: &[u8; 128],
    terms: Terms,
    out: &mut [f32; DEGREE],
) -> u32 {
    let factor =
        |at: usize| half::f16::from_le_bytes([factors[2 * at], factors[2 * at + 1]]).to_f32();
    let mut mask = 0;
    for (n, out) in out.iter_mut().enumerate() {
        let (byte, shift) = nibble(n);
        let code = |four: &[u8; 16]| usize::from(four[byte] >> shift & 15);
        let pairs = codes.as_chunks::<16>().0.iter().zip(query.tables());
        let sum: u32 = pairs.map(|(four, table)| u32::from(table[code(four)])).sum();
        let product = terms.scales[1] * (sum as f32).mul_add(query.unit, query.start);
        *out = factor(DEGREE + n).mul_add(product, factor(n).mul_add(terms.scales[0], terms.base));
        mask |= u32::from(*out < terms.bound) << n;
    }
    mask
}

/// The loop that the compiler makes vectors of, for whatever instructions the caller has.
#[inline(always)]
pub(super) fn turn_plain(signs: &[f32], numbers: &mut [f32], window: Range<usize>) {
    numbers.iter_mut().zip(signs).for_each(|(number, sign)| *number *= sign);
    let numbers = &mut numbers[window];
    let (sixteens, rest) = numbers.as_chunks_mut::<16>();
    for chunk in sixteens {
        for half in [1, 2, 4, 8] {
            let old = *chunk;
            for (i, new) in chunk.iter_mut().enumerate() {
                let other = old[i ^ half];
                *new = if i & half == 0 { old[i] + other } else { other - old[i] };
            }
        }
    }
    let mut half = if rest.is_empty() { 16 } else { 1 };
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

pub(super) fn tables_plain(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    for (four, out) in query.as_chunks::<4>().0.iter().zip(out) {
        let base: f32 = four.iter().map(|x| x.min(0.0)).sum();
        let mut sums = [-base * per_unit; 16];
        for bits in 1..16usize {
            let high = bits.ilog2();
            sums[bits] = four[high as usize].mul_add(per_unit, sums[bits & !(1 << high)]);
        }
        *out = sums.map(|sum| sum.round_ties_even() as u8);
    }
}

pub(super) fn levels_plain(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    for ([a, b], out) in query.as_chunks::<2>().0.iter().zip(out) {
        let base = 3.0 * (a.abs() + b.abs()) * per_unit;
        for (bits, out) in out.iter_mut().enumerate() {
            let sum = a.mul_add(LEVELS[bits % 4] * per_unit, base);
            *out = b.mul_add(LEVELS[bits / 4] * per_unit, sum).round_ties_even() as u8;
        }
    }
}

pub(super) fn steps_plain(query: &[f32], per_step: f32, out: &mut [i16]) -> f32 {
    let steps = query.iter().map(|x| (x * per_step).round_ties_even() as i16);
    out.iter_mut().zip(steps).for_each(|(out, step)| *out = step);
    query.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() as f32
}

/// The loop that the compiler makes vectors of, for whatever instructions the caller has.
#[inline(always)]
pub(super) fn pack_plain(slots: &[[u16; DEGREE]], codes: &mut [u8]) {
    for (slots, fours) in slots.iter().zip(codes.as_chunks_mut::<64>().0) {
        for (four, bytes) in fours.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let [low, high] = [slots[at], slots[16 + at]].map(|word| word >> (4 * four) & 15);
                *byte = (low | high << 4) as u8;
            }
        }
    }
}

pub(super) fn residual_plain(
    (c, c_scale): (&[u8], f32),
    (x, x_scale): (&[u8], f32),
    step: Option<f32>,
    words: &mut [[u16; 2]],
) -> Residual {
    let (mut sum, mut squares, mut along) = (0f64, 0f64, 0f64);
    let chunks = c.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0);
    for ((c, x), word) in chunks.zip(words) {
        *word = [0; 2];
        for i in 0..16 {
            let c = f32::from(c[i].cast_signed()) * c_scale;
            let apart = f32::from(x[i].cast_signed()) * x_scale - c;
            let (up, outer) = (apart >= 0.0, step.is_some_and(|step| apart.abs() >= step));
            word[0] |= u16::from(up) << i;
            word[1] |= u16::from(up == outer) << i;
            let level = if outer { 3.0 } else { 1.0 };
            sum += level * f64::from(apart.abs());
            squares += f64::from(apart) * f64::from(apart);
            along += level * f64::from(if up { c } else { -c });
        }
    }
    Residual { sum: sum as f32, squares: squares as f32, along: along as f32 }
}

/// Asks for bytes to be brought into the cache.
#[inline]
pub(crate) fn touch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    hop512::touch(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
