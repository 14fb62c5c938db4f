//! Kernels for AVX2 with FMA and F16C: eight numbers of `f32`, `f16` or `u8`, or sixteen of `i8`, at a
//! time.
//!
//! Built as those for AVX-512 are; see there for why.
#![allow(unsafe_code)] // Loads through pointers, which these intrinsics require.

use super::{Codes, MANY_ROWS, Numbers, Sums};
use std::arch::x86_64::*;

/// How far ahead of the loads to ask for memory, as for AVX-512.
const AHEAD_BYTES: usize = 8192;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn f32_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<32, false>(query, rows, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn f32_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<32, true>(query, rows, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn f16_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<16, false>(query, rows, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn f16_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<16, true>(query, rows, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn u8_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<8, false>(query, rows, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn u8_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<8, true>(query, rows, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn i8_dot(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    integers::<false>(query, rows, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn i8_l2(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    integers::<true>(query, rows, out);
}

/// Differing bits, eight bytes at a time. Plain code, but compiled to the instruction that counts.
#[target_feature(enable = "popcnt")]
pub(super) fn hamming(query: &[u8], rows: &[u8], out: &mut [f32]) {
    let (query_words, query_rest) = query.as_chunks::<8>();
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        let (words, rest) = row.as_chunks::<8>();
        let mut bits = 0;
        for (q, x) in query_words.iter().zip(words) {
            bits += (u64::from_le_bytes(*q) ^ u64::from_le_bytes(*x)).count_ones();
        }
        for (q, x) in query_rest.iter().zip(rest) {
            bits += (q ^ x).count_ones();
        }
        *out = bits as f32;
    }
}

/// `BYTES` are those of eight numbers: 32 of `f32`, 16 of `f16`, 8 of `u8`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats<const BYTES: usize, const L2: bool>(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    let row_bytes = query.dim * BYTES / 8;
    let far = out.len() >= MANY_ROWS;
    let (outs, rest) = out.as_chunks_mut::<4>();
    let mut rows = rows.chunks_exact(row_bytes);
    let zero = _mm256_setzero_ps();
    for out in outs {
        let mut four = [zero; 4];
        for (lanes, row) in four.iter_mut().zip(&mut rows) {
            *lanes = self::lanes::<BYTES, L2>(&query.padded, row, far);
        }
        *out = fold(four);
    }
    for (out, row) in rest.iter_mut().zip(rows) {
        *out = fold([lanes::<BYTES, L2>(&query.padded, row, far), zero, zero, zero])[0];
    }
}

/// Eight partial sums of one row, in four chains of additions, so that none waits for another.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn lanes<const BYTES: usize, const L2: bool>(query: &[f32], row: &[u8], far: bool) -> __m256 {
    let mut sums = [_mm256_setzero_ps(); 4];
    let (chunks, tail) = row.as_chunks::<BYTES>();
    let (query, query_tail) = query.as_chunks::<8>().0.split_at(chunks.len());
    let (fours, rest) = chunks.as_chunks::<4>();
    let (query_fours, query_rest) = query.as_chunks::<4>();
    for (q, x) in query_fours.iter().zip(fours) {
        for i in 0..4 {
            if far && i % (64 / BYTES) == 0 {
                ahead(&x[i]);
            }
            sums[i] = step::<L2>(load(&q[i]), widen(&x[i]), sums[i]);
        }
    }
    // Counted to a constant, so that the loop is unrolled and the sums stay in registers.
    for (i, sum) in sums.iter_mut().enumerate().take(3) {
        if let (Some(q), Some(x)) = (query_rest.get(i), rest.get(i)) {
            *sum = step::<L2>(load(q), widen(x), *sum);
        }
    }
    if !tail.is_empty() {
        let mut padded = [0; BYTES];
        padded[..tail.len()].copy_from_slice(tail);
        sums[3] = step::<L2>(load(&query_tail[0]), widen(&padded), sums[3]);
    }
    _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step<const L2: bool>(q: __m256, x: __m256, sum: __m256) -> __m256 {
    if L2 {
        let apart = _mm256_sub_ps(q, x);
        _mm256_fmadd_ps(apart, apart, sum)
    } else {
        _mm256_fmadd_ps(q, x, sum)
    }
}

#[inline]
#[target_feature(enable = "avx")]
fn load(from: &[f32; 8]) -> __m256 {
    // SAFETY: the reference is to the 32 bytes that are read, and any alignment will do.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

/// Eight numbers of a row as `f32`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen<const BYTES: usize>(from: &[u8; BYTES]) -> __m256 {
    if BYTES == 32 {
        // SAFETY: the reference is to the `BYTES` = 32 bytes that are read; any alignment will do.
        unsafe { _mm256_loadu_ps(from.as_ptr().cast()) }
    } else if BYTES == 8 {
        // SAFETY: the reference is to the `BYTES` = 8 bytes that are read; any alignment will do.
        let bytes = unsafe { _mm_loadl_epi64(from.as_ptr().cast()) };
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
    } else {
        const { assert!(BYTES == 32 || BYTES == 16 || BYTES == 8) };
        // SAFETY: the reference is to the `BYTES` = 16 bytes that are read; any alignment will do.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }
}

/// Four partial sums of the eight lanes.
#[inline]
#[target_feature(enable = "avx")]
fn half(row: __m256) -> __m128 {
    _mm_add_ps(_mm256_castps256_ps128(row), _mm256_extractf128_ps::<1>(row))
}

/// Adds up the lanes of four registers, each in the same order.
#[inline]
#[target_feature(enable = "avx")]
fn fold(rows: [__m256; 4]) -> [f32; 4] {
    let [a, b, c, d] = rows;
    let (a, b, c, d) = (half(a), half(b), half(c), half(d));
    let sums = _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
    let mut out = [0.0; 4];
    // SAFETY: `out` has the 16 bytes that are written, and any alignment will do.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

/// Asks for the memory some way behind `here`.
#[inline]
#[target_feature(enable = "sse")]
fn ahead<const BYTES: usize>(here: &[u8; BYTES]) {
    let there = here.as_ptr().wrapping_add(AHEAD_BYTES);
    _mm_prefetch::<_MM_HINT_T0>(there.cast());
}

#[inline]
#[target_feature(enable = "avx2")]
fn integers<const SQUARES: bool>(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    for (row, out) in rows.chunks_exact(query.dim).zip(out) {
        *out = products::<SQUARES>(query, row);
    }
}

/// The sums of one row, exactly: products of bytes are added in pairs, then in 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn products<const SQUARES: bool>(query: &Codes, row: &[u8]) -> Sums {
    let mut sums = [_mm256_setzero_si256(); 3];
    let mut add = |hi: &[i8; 16], lo: &[i8; 16], x: &[u8; 16]| {
        let (hi, lo, x) = (widen_codes(hi), widen_codes(lo), widen_bytes(x));
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(hi, x));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(lo, x));
        if SQUARES {
            sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(x, x));
        }
    };
    let (his, los) = (query.hi.as_chunks::<16>().0, query.lo.as_chunks::<16>().0);
    let (chunks, tail) = row.as_chunks::<16>();
    for ((hi, lo), x) in his.iter().zip(los).zip(chunks) {
        add(hi, lo, x);
    }
    if !tail.is_empty() {
        let mut padded = [0; 16];
        padded[..tail.len()].copy_from_slice(tail);
        add(&his[chunks.len()], &los[chunks.len()], &padded);
    }
    let [hi, lo, squares] = sums;
    Sums { hi: total(hi), lo: total(lo), squares: total(squares) }
}

/// Sixteen signed bytes of a row as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_bytes(from: &[u8; 16]) -> __m256i {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

/// Sixteen codes of a query as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_codes(from: &[i8; 16]) -> __m256i {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

/// The sum of the eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn total(sums: __m256i) -> i32 {
    let high = _mm256_extracti128_si256::<1>(sums);
    let four = _mm_add_epi32(_mm256_castsi256_si128(sums), high);
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(two) + _mm_extract_epi32::<1>(two)
}
