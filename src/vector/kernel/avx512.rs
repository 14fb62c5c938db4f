//! Kernels for AVX-512: sixteen numbers of `f32`, `f16` or `u8`, or sixty-four of `i8`, at a time.
//!
//! Rows are read one after the other, as memory likes it best; reading four side by side was a
//! fifth slower. Only the last step, adding up the lanes of a register, is done for four rows at
//! once, as it costs about the same for four as for one. A row that is left over takes the place of
//! the first of four, so every row is added up in the same order.
#![allow(unsafe_code)] // Loads through pointers, which these intrinsics require.

use super::{Codes, MANY_ROWS, Numbers, Sums};
use std::arch::x86_64::*;

/// How far ahead of the loads to ask for memory: the processor foresees less, and not past a page.
const AHEAD_BYTES: usize = 8192;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn f32_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<64, false>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn f32_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<64, true>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn f16_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<32, false>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn f16_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<32, true>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn u8_dot(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<16, false>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn u8_l2(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    floats::<16, true>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn i8_dot(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    integers::<false>(query, rows, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn i8_l2(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    integers::<true>(query, rows, out);
}

/// `BYTES` are those of sixteen numbers: 64 of `f32`, 32 of `f16`, 16 of `u8`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn floats<const BYTES: usize, const L2: bool>(query: &Numbers, rows: &[u8], out: &mut [f32]) {
    let row_bytes = query.dim * BYTES / 16;
    let far = out.len() >= MANY_ROWS;
    let (outs, rest) = out.as_chunks_mut::<4>();
    let mut rows = rows.chunks_exact(row_bytes);
    let zero = _mm512_setzero_ps();
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

/// Sixteen partial sums of one row, in four chains of additions, so that none waits for another.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn lanes<const BYTES: usize, const L2: bool>(query: &[f32], row: &[u8], far: bool) -> __m512 {
    let mut sums = [_mm512_setzero_ps(); 4];
    let (chunks, tail) = row.as_chunks::<BYTES>();
    let (query, query_tail) = query.as_chunks::<16>().0.split_at(chunks.len());
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
    for q in query_tail {
        sums[3] = step::<L2>(load(q), widen_tail::<BYTES>(tail), sums[3]);
    }
    _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn step<const L2: bool>(q: __m512, x: __m512, sum: __m512) -> __m512 {
    if L2 {
        let apart = _mm512_sub_ps(q, x);
        _mm512_fmadd_ps(apart, apart, sum)
    } else {
        _mm512_fmadd_ps(q, x, sum)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[f32; 16]) -> __m512 {
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

/// Sixteen numbers of a row as `f32`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn widen<const BYTES: usize>(from: &[u8; BYTES]) -> __m512 {
    if BYTES == 64 {
        // SAFETY: the reference is to the `BYTES` = 64 bytes that are read; any alignment will do.
        unsafe { _mm512_loadu_ps(from.as_ptr().cast()) }
    } else if BYTES == 16 {
        // SAFETY: the reference is to the `BYTES` = 16 bytes that are read; any alignment will do.
        whole(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    } else {
        const { assert!(BYTES == 64 || BYTES == 32 || BYTES == 16) };
        // SAFETY: the reference is to the `BYTES` = 32 bytes that are read; any alignment will do.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.as_ptr().cast()) })
    }
}

/// The last few numbers of a row as `f32`, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn widen_tail<const BYTES: usize>(from: &[u8]) -> __m512 {
    let count = from.len() / (BYTES / 16);
    let mask = ((1u32 << count) - 1) as u16;
    if BYTES == 64 {
        // SAFETY: only numbers whose bit is set are read; those are the first `count`, which `from`
        // holds at 4 bytes each. Any alignment will do.
        unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr().cast()) }
    } else if BYTES == 16 {
        // SAFETY: only bytes whose bit is set are read; those are the first `count`, which `from` holds.
        whole(unsafe { _mm_maskz_loadu_epi8(mask, from.as_ptr().cast()) })
    } else {
        // SAFETY: only numbers whose bit is set are read; those are the first `count`, which `from`
        // holds at 2 bytes each. Any alignment will do.
        _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, from.as_ptr().cast()) })
    }
}

/// Sixteen bytes as the numbers that they are.
#[inline]
#[target_feature(enable = "avx512f")]
fn whole(bytes: __m128i) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
}

/// Four partial sums of the sixteen lanes.
///
/// Not a closure: `map` over an array is compiled without the instructions and cannot inline it.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarter(row: __m512) -> __m128 {
    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(row));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(row), _mm256_castpd_ps(high));
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// Adds up the lanes of four registers, each in the same order.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold(rows: [__m512; 4]) -> [f32; 4] {
    let [a, b, c, d] = rows;
    let (a, b, c, d) = (quarter(a), quarter(b), quarter(c), quarter(d));
    let (ab, cd) = (_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
    let sums = _mm_hadd_ps(ab, cd);
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn integers<const SQUARES: bool>(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    let zero = _mm512_setzero_si512();
    let mut rows = rows.chunks_exact(query.dim);
    let far = out.len() >= MANY_ROWS;
    for out in out.chunks_mut(4) {
        let mut four = [[zero; 3]; 4];
        for (lanes, row) in four.iter_mut().zip(rows.by_ref().take(out.len())) {
            *lanes = products::<SQUARES>(query, row, far);
        }
        for (out, [hi, lo, squares, _]) in out.iter_mut().zip(fold_integers(four)) {
            let (hi, lo) = (hi - 128 * query.sums[0], lo - 128 * query.sums[1]);
            *out = Sums { hi, lo, squares: -squares };
        }
    }
}

/// Sixteen partial sums of one row for each of: coarse codes, fine codes, squares.
///
/// The instruction multiplies bytes without sign by bytes with sign. Turning the top bit of a row's
/// byte over makes it `x + 128`; what that adds to the sum is known from the query alone. Squares
/// are minus `|x|` times `-|x|`: that holds for -128 too, where `|x|` does not fit a signed byte.
/// All of it is exact: a product has at most 15 bits, and a row at most 2^12 of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn products<const SQUARES: bool>(query: &Codes, row: &[u8], far: bool) -> [__m512i; 3] {
    let zero = _mm512_setzero_si512();
    let mut sums = [zero; 3];
    let mut add = |hi: &[i8; 64], lo: &[i8; 64], x: __m512i| {
        let unsigned = _mm512_xor_si512(x, _mm512_set1_epi8(-128));
        sums[0] = _mm512_dpbusd_epi32(sums[0], unsigned, load_codes(hi));
        sums[1] = _mm512_dpbusd_epi32(sums[1], unsigned, load_codes(lo));
        if SQUARES {
            let size = _mm512_abs_epi8(x);
            sums[2] = _mm512_dpbusd_epi32(sums[2], size, _mm512_sub_epi8(zero, size));
        }
    };
    let (chunks, tail) = row.as_chunks::<64>();
    let (hi, hi_tail) = query.hi.as_chunks::<64>().0.split_at(chunks.len());
    let (lo, lo_tail) = query.lo.as_chunks::<64>().0.split_at(chunks.len());
    // All at once: asked for one by one in the loop, they arrive a quarter slower.
    for x in chunks.iter().filter(|_| far) {
        ahead(x);
    }
    for ((hi, lo), x) in hi.iter().zip(lo).zip(chunks) {
        add(hi, lo, load_bytes(x));
    }
    for (hi, lo) in hi_tail.iter().zip(lo_tail) {
        add(hi, lo, load_bytes_tail(tail));
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_codes(from: &[i8; 64]) -> __m512i {
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(from: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to the 64 bytes that are read, and any alignment will do.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// The last few bytes of a row, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_bytes_tail(from: &[u8]) -> __m512i {
    let mask = (1u64 << from.len()) - 1;
    // SAFETY: only bytes whose bit is set are read; those are the first `from.len()`.
    unsafe { _mm512_maskz_loadu_epi8(mask, from.as_ptr().cast()) }
}

/// Adds up the lanes of three registers for each of four rows.
///
/// Each step lays two registers beside each other and adds, so that all rows share the additions.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold_integers(rows: [[__m512i; 3]; 4]) -> [[i32; 4]; 4] {
    let [a, b, c, d] = rows;
    let hi = quarters(a[0], b[0], c[0], d[0]);
    let lo = quarters(a[1], b[1], c[1], d[1]);
    let squares = quarters(a[2], b[2], c[2], d[2]);
    let zero = _mm512_setzero_si512();
    let hi_lo = {
        let (low, high) = (_mm512_unpacklo_epi32(hi, lo), _mm512_unpackhi_epi32(hi, lo));
        _mm512_add_epi32(low, high)
    };
    let squares = {
        let low = _mm512_unpacklo_epi32(squares, zero);
        _mm512_add_epi32(low, _mm512_unpackhi_epi32(squares, zero))
    };
    let low = _mm512_unpacklo_epi64(hi_lo, squares);
    let sums = _mm512_add_epi32(low, _mm512_unpackhi_epi64(hi_lo, squares));
    let mut out = [[0; 4]; 4];
    // SAFETY: `out` has the 64 bytes that are written, and any alignment will do.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
    out
}

/// Four partial sums of each of four registers, those of one register in each 128 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
    let (ab, cd) = (halves(a, b), halves(c, d));
    let (even, odd) = (_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0xDD>(ab, cd));
    _mm512_add_epi32(even, odd)
}

/// Eight partial sums of `a`, then eight of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(a: __m512i, b: __m512i) -> __m512i {
    let (low, high) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xEE>(a, b));
    _mm512_add_epi32(low, high)
}
