//! The kernels of a hop for AVX-512.
#![allow(unsafe_code)] // Loads through pointers, which these intrinsics require.

use super::hop::{LEVELS, Residual, Terms, pack_plain, turn_plain};
use crate::vector::hop::{DEGREE, Hops};
use std::{arch::x86_64::*, ops::Range};

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn own(steps: &[i16], own: &[u8]) -> i32 {
    let mut sums = [_mm512_setzero_si512(); 2];
    let steps = steps.as_chunks::<64>().0;
    for (q, x) in steps.iter().zip(own.as_chunks::<64>().0) {
        let (q, _) = q.as_chunks::<32>();
        let (x, _) = x.as_chunks::<32>();
        for half in 0..2 {
            let codes = _mm512_cvtepi8_epi16(load_32(&x[half]));
            sums[half] = _mm512_add_epi32(sums[half], _mm512_madd_epi16(steps_32(&q[half]), codes));
        }
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn signs(steps: &[i8], codes: &[u8], (stride, bytes): (usize, usize), out: &mut [i32]) {
    for (codes, out) in codes.chunks(4 * stride).zip(out.chunks_mut(4)) {
        // Four at a time: sixteen sums of each become one for all of them together.
        let sums = |n: usize| match codes.get(n * stride..) {
            Some(code) if n < out.len() => sign_sums(steps, &code[..bytes]),
            _ => _mm512_setzero_si512(),
        };
        let two = |a, b| {
            let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            _mm512_add_epi32(low, high)
        };
        let (ab, cd) = (two(sums(0), sums(1)), two(sums(2), sums(3)));
        let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (low, high) = (_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
        let half = _mm256_add_epi32(low, high);
        let (low, high) = (_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
        let (mut four, sums) = ([0; 4], _mm_add_epi32(low, high));
        // SAFETY: the reference is to the 16 bytes that are written, and any alignment will do.
        unsafe { _mm_storeu_si128(four.as_mut_ptr().cast(), sums) };
        out.copy_from_slice(&four[..out.len()]);
    }
}

/// Sixteen parts of the sum over the signs of one code. Sums of pairs fit 16 bits for 128 rounds: of 4,096
/// numbers, there are 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn sign_sums(steps: &[i8], code: &[u8]) -> __m512i {
    let ones = _mm512_set1_epi8(1);
    let mut sums = _mm512_setzero_si512();
    let (words, rest) = code.as_chunks::<8>();
    let (whole, last) = steps.as_chunks::<64>().0.split_at(words.len());
    let mut add = |steps: &[i8; 64], mask: u64| {
        // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
        let steps = unsafe { _mm512_maskz_loadu_epi8(mask, steps.as_ptr()) };
        sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(ones, steps));
    };
    for (steps, word) in whole.iter().zip(words) {
        add(steps, u64::from_le_bytes(*word));
    }
    for steps in last {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        add(steps, u64::from_le_bytes(word));
    }
    _mm512_madd_epi16(sums, _mm512_set1_epi16(1))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn estimates(
    query: &Hops,
    codes: &[u8],
    factors: &[u8; 128],
    terms: Terms,
    out: &mut [f32; DEGREE],
) -> u32 {
    let low = _mm512_set1_epi8(15);
    let zero = _mm512_setzero_si512();
    // Sums of even and of odd bytes; into the former the odd bytes are added too, 256 times over.
    let (mut evens, mut odds) = ([zero; 2], [zero; 2]);
    let codes = codes.as_chunks::<64>().0;
    let tables = query.tables().as_chunks::<4>().0;
    for (codes, tables) in codes.iter().zip(tables) {
        let (codes, tables) = (load_64(codes), load_64(tables.as_flattened()));
        let nibbles =
            [_mm512_and_si512(codes, low), _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low)];
        for half in 0..2 {
            let found = _mm512_shuffle_epi8(tables, nibbles[half]);
            evens[half] = _mm512_add_epi16(evens[half], found);
            odds[half] = _mm512_add_epi16(odds[half], _mm512_srli_epi16::<8>(found));
        }
    }
    let (unit, start) = (_mm512_set1_ps(query.unit), _mm512_set1_ps(query.start));
    let [first, second] = terms.scales.map(|scale| _mm512_set1_ps(scale));
    let (base, bound) = (_mm512_set1_ps(terms.base), _mm512_set1_ps(terms.bound));
    let mut mask = 0;
    let factors = factors.as_chunks::<32>().0;
    for half in 0..2 {
        let even = _mm512_sub_epi16(evens[half], _mm512_slli_epi16::<8>(odds[half]));
        let sums = _mm512_cvtepi32_ps(lanes(even, odds[half]));
        let product = _mm512_mul_ps(second, _mm512_fmadd_ps(sums, unit, start));
        let offset = _mm512_fmadd_ps(_mm512_cvtph_ps(load_32(&factors[half])), first, base);
        let found = _mm512_fmadd_ps(_mm512_cvtph_ps(load_32(&factors[2 + half])), product, offset);
        mask |= u32::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(found, bound)) << (16 * half);
        let (place, _) = out[16 * half..].split_first_chunk_mut::<16>().expect("sixteen places");
        // SAFETY: the reference is to the 64 bytes that are written, and any alignment will do.
        unsafe { _mm512_storeu_ps(place.as_mut_ptr(), found) };
    }
    mask
}

/// The sums over the four lanes: eight of the even bytes, then eight of the odd ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn lanes(even: __m512i, odd: __m512i) -> __m512i {
    let wide = |z: __m512i| {
        let low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(z));
        let both = _mm512_add_epi32(low, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(z)));
        _mm256_add_epi32(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64::<1>(both))
    };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(wide(even)), wide(odd))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn turn(signs: &[f32], numbers: &mut [f32], window: Range<usize>) {
    if window.len() < 32 {
        return turn_plain(signs, numbers, window);
    }
    for (number, sign) in numbers.as_chunks_mut::<16>().0.iter_mut().zip(signs.as_chunks().0) {
        store_ps(number, _mm512_mul_ps(load_ps(number), load_ps(sign)));
    }
    let numbers = &mut numbers[window];
    // Plus one where a number stays, minus one where it is taken from its partner.
    let sign = |minus: u16| {
        let one = _mm512_set1_ps(1.0);
        _mm512_mask_blend_ps(minus, one, _mm512_set1_ps(-1.0))
    };
    let signs = [sign(0xaaaa), sign(0xcccc), sign(0xf0f0), sign(0xff00)];
    for chunk in numbers.as_chunks_mut::<16>().0 {
        let mut x = load_ps(chunk);
        x = _mm512_fmadd_ps(x, signs[0], _mm512_permute_ps::<0b10_11_00_01>(x));
        x = _mm512_fmadd_ps(x, signs[1], _mm512_permute_ps::<0b01_00_11_10>(x));
        x = _mm512_fmadd_ps(x, signs[2], _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x));
        x = _mm512_fmadd_ps(x, signs[3], _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x));
        store_ps(chunk, x);
    }
    let mut half = 16;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            let pairs = low.as_chunks_mut::<16>().0.iter_mut().zip(high.as_chunks_mut::<16>().0);
            for (low, high) in pairs {
                let (a, b) = (load_ps(low), load_ps(high));
                store_ps(low, _mm512_add_ps(a, b));
                store_ps(high, _mm512_sub_ps(a, b));
            }
        }
        half *= 2;
    }
}

/// The sums of four numbers by which bits are set, in units above the lowest of them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn tables(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    let bit = |mask: u16| _mm512_maskz_mov_ps(mask, _mm512_set1_ps(per_unit));
    let bits = [bit(0xaaaa), bit(0xcccc), bit(0xf0f0), bit(0xff00)];
    for (four, out) in query.as_chunks::<4>().0.iter().zip(out) {
        let base: f32 = four.iter().map(|x| x.min(0.0)).sum();
        let mut sums = _mm512_set1_ps(-base * per_unit);
        for (x, bit) in four.iter().zip(bits) {
            sums = _mm512_fmadd_ps(_mm512_set1_ps(*x), bit, sums);
        }
        let sums = _mm512_cvtusepi32_epi8(_mm512_cvtps_epu32(sums));
        // SAFETY: the reference is to the 16 bytes that are written, and any alignment will do.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    }
}

/// A query in whole steps; the sum of its squares.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn steps(query: &[f32], per_step: f32, out: &mut [i16]) -> f32 {
    let scale = _mm512_set1_ps(per_step);
    let mut squares = _mm512_setzero_ps();
    for (x, out) in query.as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<16>().0) {
        let x = load_ps(x);
        squares = _mm512_fmadd_ps(x, x, squares);
        let steps = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(x, scale)));
        // SAFETY: the reference is to the 32 bytes that are written, and any alignment will do.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), steps) };
    }
    _mm512_reduce_add_ps(squares)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn pack(slots: &[[u16; DEGREE]], codes: &mut [u8]) {
    pack_plain(slots, codes);
}

/// The sums of two numbers at the levels that two bits each name, in units above the lowest.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn levels(query: &[f32], per_unit: f32, out: &mut [[u8; 16]]) {
    let at = |shift: usize| {
        let level = std::array::from_fn(|bits: usize| LEVELS[bits >> shift & 3] * per_unit);
        load_ps(&level)
    };
    let (first, second) = (at(0), at(2));
    for ([a, b], out) in query.as_chunks::<2>().0.iter().zip(out) {
        let base = _mm512_set1_ps(3.0 * (a.abs() + b.abs()) * per_unit);
        let sums = _mm512_fmadd_ps(_mm512_set1_ps(*a), first, base);
        let sums = _mm512_fmadd_ps(_mm512_set1_ps(*b), second, sums);
        let sums = _mm512_cvtusepi32_epi8(_mm512_cvtps_epu32(sums));
        // SAFETY: the reference is to the 16 bytes that are written, and any alignment will do.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) fn residual(
    (c, c_scale): (&[u8], f32),
    (x, x_scale): (&[u8], f32),
    step: Option<f32>,
    words: &mut [[u16; 2]],
) -> Residual {
    let zero = _mm512_setzero_ps();
    let (one, three) = (_mm512_set1_ps(1.0), _mm512_set1_ps(3.0));
    let (mut sum, mut squares, mut along) = (zero, zero, zero);
    let (c_scale, x_scale) = (_mm512_set1_ps(c_scale), _mm512_set1_ps(x_scale));
    let step = _mm512_set1_ps(step.unwrap_or(f32::INFINITY));
    let chunks = c.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0);
    for ((c, x), word) in chunks.zip(words) {
        let number = |codes| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(codes)));
        let c = _mm512_mul_ps(number(c), c_scale);
        // Not fused: nothing is to be left of the difference of equal numbers.
        let apart = _mm512_sub_ps(_mm512_mul_ps(number(x), x_scale), c);
        let size = _mm512_abs_ps(apart);
        let up = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(apart, zero);
        let outer = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(size, step);
        *word = [up, !(up ^ outer)];
        let level = _mm512_mask_blend_ps(outer, one, three);
        sum = _mm512_fmadd_ps(level, size, sum);
        squares = _mm512_fmadd_ps(apart, apart, squares);
        along = _mm512_fmadd_ps(level, _mm512_mask_sub_ps(c, !up, zero, c), along);
    }
    Residual {
        sum: _mm512_reduce_add_ps(sum),
        squares: _mm512_reduce_add_ps(squares),
        along: _mm512_reduce_add_ps(along),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_ps(from: &[f32; 16]) -> __m512 {
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_ps(to: &mut [f32; 16], numbers: __m512) {
    // SAFETY: the reference is to the 64 bytes that are written, and any alignment will do.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), numbers) };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_64(from: &[u8]) -> __m512i {
    let (from, _) = from.split_first_chunk::<64>().expect("64 bytes");
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_32(from: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_16(from: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn steps_32(from: &[i16; 32]) -> __m512i {
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Asks for bytes to be brought into the cache. Every x86-64 processor can.
#[inline]
pub(super) fn touch(bytes: &[u8]) {
    for line in bytes.chunks(64) {
        // SAFETY: a prefetch changes nothing and may be given any address; this one is of a slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}
