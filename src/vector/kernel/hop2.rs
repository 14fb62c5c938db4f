//! The kernels of a hop for AVX2 with FMA and F16C.
//!
//! Built as those for AVX-512 are, with half the numbers to a register; what is rounded is rounded
//! at the same places, so that graphs and estimates do not depend on the processor.
#![allow(unsafe_code)] // Loads through pointers, which these intrinsics require.

use super::hop::{LEVELS, Residual, Terms, pack_plain, turn_plain};
use crate::vector::hop::{DEGREE, Hops};
use std::{arch::x86_64::*, ops::Range};

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn own(steps: &[i16], own: &[u8]) -> i32 {
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (q, x) in steps.as_chunks::<32>().0.iter().zip(own.as_chunks::<32>().0) {
        let ([q_a, q_b], [x_a, x_b]) = (q.as_chunks::<16>().0, x.as_chunks::<16>().0) else {
            break;
        };
        let (x_a, x_b) = (_mm256_cvtepi8_epi16(load_16(x_a)), _mm256_cvtepi8_epi16(load_16(x_b)));
        even = _mm256_add_epi32(even, _mm256_madd_epi16(steps_16(q_a), x_a));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(steps_16(q_b), x_b));
    }
    let sums = _mm256_add_epi32(even, odd);
    // Added as registers are: codes of a forged file may come to more than fits.
    let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn signs(steps: &[i8], codes: &[u8], (stride, bytes): (usize, usize), out: &mut [i32]) {
    for (code, out) in codes.chunks(stride).zip(out) {
        *out = sign_sum(steps, &code[..bytes]);
    }
}

/// Sums of pairs fit 16 bits for 128 rounds: of 4,096 numbers, there are 128, of bits set or not.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sign_sum(steps: &[i8], code: &[u8]) -> i32 {
    // Byte `n` of a lane gets the byte of the code that has its bit, and looks at that bit.
    let spread = _mm256_setr_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3,
        3, 3,
    );
    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201u64.cast_signed());
    let (ones, mut sums) = (_mm256_set1_epi8(1), _mm256_setzero_si256());
    for (at, steps) in steps.as_chunks::<32>().0.iter().enumerate() {
        let mut word = [0; 4];
        let some = code.get(4 * at..).unwrap_or_default();
        let some = &some[..some.len().min(4)];
        word[..some.len()].copy_from_slice(some);
        let four = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(word)), spread);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(four, bits), bits);
        // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
        let steps = unsafe { _mm256_loadu_si256(steps.as_ptr().cast()) };
        let kept = _mm256_and_si256(set, steps);
        sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(ones, kept));
    }
    let fours = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
    let four = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn estimates(
    query: &Hops,
    codes: &[u8],
    factors: &[u8; 128],
    terms: Terms,
    out: &mut [f32; DEGREE],
) -> u32 {
    // By which two of four tables, and by half of the neighbours. Of all tables in one register a
    // 16-bit lane could not hold the sum. No arrays and no closures here: they went through memory.
    let (mut a, mut b) = (Found::none(), Found::none());
    let (mut c, mut d) = (Found::none(), Found::none());
    let low = _mm256_set1_epi8(15);
    let tables = query.tables().as_chunks::<4>().0;
    for (codes, tables) in codes.as_chunks::<64>().0.iter().zip(tables) {
        let halves = (codes.as_chunks::<32>().0, tables.as_chunks::<2>().0);
        let ([codes_a, codes_b], [tables_a, tables_b]) = halves else { break };
        let (codes_a, codes_b) = (load_32(codes_a), load_32(codes_b));
        let (tables_a, tables_b) = (load_two(tables_a), load_two(tables_b));
        let (high_a, high_b) = (_mm256_srli_epi16::<4>(codes_a), _mm256_srli_epi16::<4>(codes_b));
        a.add(_mm256_shuffle_epi8(tables_a, _mm256_and_si256(codes_a, low)));
        b.add(_mm256_shuffle_epi8(tables_b, _mm256_and_si256(codes_b, low)));
        c.add(_mm256_shuffle_epi8(tables_a, _mm256_and_si256(high_a, low)));
        d.add(_mm256_shuffle_epi8(tables_b, _mm256_and_si256(high_b, low)));
    }
    let [first, second, third, fourth] = out.as_chunks_mut::<8>().0 else { return 0 };
    let of = Eight { query, terms, factors };
    of.estimates::<0>(_mm256_add_epi32(lanes(a.even()), lanes(b.even())), first)
        | of.estimates::<1>(_mm256_add_epi32(lanes(a.odd), lanes(b.odd)), second)
        | of.estimates::<2>(_mm256_add_epi32(lanes(c.even()), lanes(d.even())), third)
        | of.estimates::<3>(_mm256_add_epi32(lanes(c.odd), lanes(d.odd)), fourth)
}

/// Sums of what was found in tables. To those of even bytes the odd ones are added too, 256 times over.
#[derive(Clone, Copy)]
struct Found {
    both: __m256i,
    odd: __m256i,
}

impl Found {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn none() -> Found {
        Found { both: _mm256_setzero_si256(), odd: _mm256_setzero_si256() }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, found: __m256i) {
        self.both = _mm256_add_epi16(self.both, found);
        self.odd = _mm256_add_epi16(self.odd, _mm256_srli_epi16::<8>(found));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn even(self) -> __m256i {
        _mm256_sub_epi16(self.both, _mm256_slli_epi16::<8>(self.odd))
    }
}

/// What makes estimates of sums.
#[derive(Clone, Copy)]
struct Eight<'a> {
    query: &'a Hops,
    terms: Terms,
    factors: &'a [u8; 128],
}

impl Eight<'_> {
    /// The estimates for a quarter of the neighbours, and which are below the bound.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn estimates<const QUARTER: usize>(self, sums: __m256i, out: &mut [f32; 8]) -> u32 {
        let (unit, start) = (_mm256_set1_ps(self.query.unit), _mm256_set1_ps(self.query.start));
        let [first, second] = self.terms.scales;
        let (first, second) = (_mm256_set1_ps(first), _mm256_set1_ps(second));
        let (base, bound) = (_mm256_set1_ps(self.terms.base), _mm256_set1_ps(self.terms.bound));
        let factors = self.factors.as_chunks::<16>().0;
        let product = _mm256_mul_ps(second, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), unit, start));
        let offset = _mm256_fmadd_ps(_mm256_cvtph_ps(load_16(&factors[QUARTER])), first, base);
        let factor = _mm256_cvtph_ps(load_16(&factors[4 + QUARTER]));
        let found = _mm256_fmadd_ps(factor, product, offset);
        let below = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(found, bound));
        store_ps(out, found);
        below.cast_unsigned() << (8 * QUARTER)
    }
}

/// The sums over the two lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(sums: __m256i) -> __m256i {
    let low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums));
    _mm256_add_epi32(low, _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(sums)))
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn turn(signs: &[f32], numbers: &mut [f32], window: Range<usize>) {
    if window.len() < 16 {
        return turn_plain(signs, numbers, window);
    }
    for (number, sign) in numbers.as_chunks_mut::<8>().0.iter_mut().zip(signs.as_chunks().0) {
        store_ps(number, _mm256_mul_ps(load_ps(number), load_ps(sign)));
    }
    let numbers = &mut numbers[window];
    for chunk in numbers.as_chunks_mut::<16>().0 {
        let [low, high] = chunk.as_chunks_mut::<8>().0 else { continue };
        let (a, b) = (mixed(load_ps(low)), mixed(load_ps(high)));
        store_ps(low, _mm256_add_ps(a, b));
        store_ps(high, _mm256_sub_ps(a, b));
    }
    let mut half = 16;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            let pairs = low.as_chunks_mut::<8>().0.iter_mut().zip(high.as_chunks_mut::<8>().0);
            for (low, high) in pairs {
                let (a, b) = (load_ps(low), load_ps(high));
                store_ps(low, _mm256_add_ps(a, b));
                store_ps(high, _mm256_sub_ps(a, b));
            }
        }
        half *= 2;
    }
}

/// Mixes eight numbers: each stays, or is taken from its partner, one, two and four places away.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mixed(x: __m256) -> __m256 {
    let signs = (blend(0xaa, 1.0, -1.0), blend(0xcc, 1.0, -1.0), blend(0xf0, 1.0, -1.0));
    let x = _mm256_fmadd_ps(x, signs.0, _mm256_permute_ps::<0b10_11_00_01>(x));
    let x = _mm256_fmadd_ps(x, signs.1, _mm256_permute_ps::<0b01_00_11_10>(x));
    _mm256_fmadd_ps(x, signs.2, _mm256_permute2f128_ps::<1>(x, x))
}

/// The sums of four numbers by which bits are set, in units above the lowest of them.
#[target_feature(enable = "avx2,fma")]
pub(super) fn tables(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    let bits = (blend(0xaa, 0.0, per_unit), blend(0xcc, 0.0, per_unit), blend(0xf0, 0.0, per_unit));
    for ([a, b, c, d], out) in query.as_chunks::<4>().0.iter().zip(out) {
        let base = a.min(0.0) + b.min(0.0) + c.min(0.0) + d.min(0.0);
        let low = _mm256_fmadd_ps(_mm256_set1_ps(*a), bits.0, _mm256_set1_ps(-base * per_unit));
        let low = _mm256_fmadd_ps(_mm256_set1_ps(*b), bits.1, low);
        let low = _mm256_fmadd_ps(_mm256_set1_ps(*c), bits.2, low);
        let high = _mm256_fmadd_ps(_mm256_set1_ps(*d), _mm256_set1_ps(per_unit), low);
        store_bytes(out, low, high);
    }
}

/// The sums of two numbers at the levels that two bits each name, in units above the lowest.
#[target_feature(enable = "avx2,fma")]
pub(super) fn levels(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    let at = |from: usize, shift: usize| {
        load_ps(&std::array::from_fn(|bits| LEVELS[(from + bits) >> shift & 3] * per_unit))
    };
    let (first, low, high) = (at(0, 0), at(0, 2), at(8, 2));
    for ([a, b], out) in query.as_chunks::<2>().0.iter().zip(out) {
        let base = _mm256_set1_ps(3.0 * (a.abs() + b.abs()) * per_unit);
        let (a, b) = (_mm256_set1_ps(*a), _mm256_set1_ps(*b));
        let sums = _mm256_fmadd_ps(a, first, base);
        store_bytes(out, _mm256_fmadd_ps(b, low, sums), _mm256_fmadd_ps(b, high, sums));
    }
}

/// A query in whole steps; the sum of its squares.
#[target_feature(enable = "avx2,fma")]
pub(super) fn steps(query: &[f32], per_step: f32, out: &mut [i16]) -> f32 {
    let scale = _mm256_set1_ps(per_step);
    let mut squares = [_mm256_setzero_ps(); 2];
    for (x, out) in query.as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<16>().0) {
        let x = [load_ps(half(x, 0)), load_ps(half(x, 1))];
        for i in 0..2 {
            squares[i] = _mm256_fmadd_ps(x[i], x[i], squares[i]);
        }
        let [a, b] = x.map(|x| _mm256_cvtps_epi32(_mm256_mul_ps(x, scale)));
        let steps = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
        // SAFETY: the reference is to the 32 bytes that are written, and any alignment will do.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), steps) };
    }
    total(_mm256_add_ps(squares[0], squares[1]))
}

#[target_feature(enable = "avx2")]
pub(super) fn pack(slots: &[[u16; DEGREE]], codes: &mut [u8]) {
    pack_plain(slots, codes);
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn residual(
    (c, c_scale): (&[u8], f32),
    (x, x_scale): (&[u8], f32),
    step: Option<f32>,
    words: &mut [[u16; 2]],
) -> Residual {
    let zero = _mm256_setzero_ps();
    let (one, three, minus) = (_mm256_set1_ps(1.0), _mm256_set1_ps(3.0), _mm256_set1_ps(-0.0));
    let (mut sum, mut squares, mut along) = (zero, zero, zero);
    let (c_scale, x_scale) = (_mm256_set1_ps(c_scale), _mm256_set1_ps(x_scale));
    let step = _mm256_set1_ps(step.unwrap_or(f32::INFINITY));
    let chunks = c.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0);
    for ((c, x), word) in chunks.zip(words) {
        *word = [0; 2];
        let (c, x) = (load_16(c), load_16(x));
        let halves = [(c, x), (_mm_unpackhi_epi64(c, c), _mm_unpackhi_epi64(x, x))];
        for (half, (c, x)) in halves.into_iter().enumerate() {
            let number = |codes| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
            let c = _mm256_mul_ps(number(c), c_scale);
            let apart = _mm256_sub_ps(_mm256_mul_ps(number(x), x_scale), c);
            let size = _mm256_andnot_ps(minus, apart);
            let up = _mm256_cmp_ps::<_CMP_GE_OQ>(apart, zero);
            let outer = _mm256_cmp_ps::<_CMP_GE_OQ>(size, step);
            let [ups, outers] = [up, outer].map(|lanes| _mm256_movemask_ps(lanes) as u16);
            word[0] |= ups << (8 * half);
            word[1] |= (!(ups ^ outers) & 0xff) << (8 * half);
            let level = _mm256_blendv_ps(one, three, outer);
            sum = _mm256_fmadd_ps(level, size, sum);
            squares = _mm256_fmadd_ps(apart, apart, squares);
            let signed = _mm256_xor_ps(c, _mm256_andnot_ps(up, minus));
            along = _mm256_fmadd_ps(level, signed, along);
        }
    }
    Residual { sum: total(sum), squares: total(squares), along: total(along) }
}

/// One of two numbers, by the bits of a mask.
#[inline]
#[target_feature(enable = "avx2")]
fn blend(mask: i32, clear: f32, set: f32) -> __m256 {
    let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    let is_set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(mask), bits), bits);
    _mm256_blendv_ps(_mm256_set1_ps(clear), _mm256_set1_ps(set), _mm256_castsi256_ps(is_set))
}

/// The first or the last eight of sixteen numbers.
#[inline]
fn half(of: &[f32; 16], which: usize) -> &[f32; 8] {
    &of.as_chunks::<8>().0[which]
}

/// The sum of the eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn total(sums: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Sixteen numbers as the nearest bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes(to: &mut [u8; 16], low: __m256, high: __m256) {
    let words = _mm256_packus_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
    let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let bytes = _mm_packus_epi16(low, high);
    // SAFETY: the reference is to the 16 bytes that are written, and any alignment will do.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) };
}

#[inline]
#[target_feature(enable = "avx")]
fn load_ps(from: &[f32; 8]) -> __m256 {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx")]
fn store_ps(to: &mut [f32; 8], numbers: __m256) {
    // SAFETY: the reference is to the 32 bytes that are written, and any alignment will do.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), numbers) };
}

#[inline]
#[target_feature(enable = "avx")]
fn load_32(from: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Two tables.
#[inline]
#[target_feature(enable = "avx")]
fn load_two(from: &[[u8; 16]; 2]) -> __m256i {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load_16(from: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
fn steps_16(from: &[i16; 16]) -> __m256i {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}
