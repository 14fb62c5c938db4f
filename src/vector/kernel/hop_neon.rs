//! The kernels of a walk's hops for NEON, which every AArch64 processor has.
//!
//! Of the other kernels, which prepare queries and build graphs, the plain twins are good enough.
#![allow(unsafe_code)] // Loads through pointers, which these intrinsics require.

use super::hop::Terms;
use crate::vector::hop::{DEGREE, Hops};
use std::arch::aarch64::*;

/// So many tables that a 16-bit lane holds the sum of their bytes.
const TABLES: usize = 256;

#[target_feature(enable = "neon")]
pub(super) fn own(steps: &[i16], own: &[u8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 4];
    for (q, x) in steps.as_chunks::<16>().0.iter().zip(own.as_chunks::<16>().0) {
        let (q, _) = q.as_chunks::<8>();
        let x = vreinterpretq_s8_u8(load(x));
        let codes = [vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)];
        for half in 0..2 {
            let (q, x) = (load_steps(&q[half]), codes[half]);
            sums[half] = vmlal_s16(sums[half], vget_low_s16(q), vget_low_s16(x));
            sums[2 + half] = vmlal_high_s16(sums[2 + half], q, x);
        }
    }
    let [a, b, c, d] = sums;
    vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)))
}

#[target_feature(enable = "neon")]
pub(super) fn estimates(
    query: &Hops,
    codes: &[u8],
    factors: &[u8; 128],
    terms: Terms,
    out: &mut [f32; DEGREE],
) -> u32 {
    // Four neighbours to a register, in order.
    let mut sums = [vdupq_n_u32(0); 8];
    let codes = codes.as_chunks::<16>().0;
    for (codes, tables) in codes.chunks(TABLES).zip(query.tables().chunks(TABLES)) {
        add(codes, tables, &mut sums);
    }
    let (unit, start) = (vdupq_n_f32(query.unit), vdupq_n_f32(query.start));
    let [first, second] = terms.scales.map(|scale| vdupq_n_f32(scale));
    let (base, bound) = (vdupq_n_f32(terms.base), vdupq_n_f32(terms.bound));
    let (mut mask, factors) = (0, factors.as_chunks::<8>().0);
    for (four, (sums, out)) in sums.into_iter().zip(out.as_chunks_mut::<4>().0).enumerate() {
        let product = vmulq_f32(second, vfmaq_f32(start, vcvtq_f32_u32(sums), unit));
        let offset = vfmaq_f32(base, widen(&factors[four]), first);
        let found = vfmaq_f32(offset, widen(&factors[8 + four]), product);
        // A lane below the bound is all ones: its own bit is left of them.
        let bits = vcombine_u32(vcreate_u32(1 | 2 << 32), vcreate_u32(4 | 8 << 32));
        mask |= vaddvq_u32(vandq_u32(vcltq_f32(found, bound), bits)) << (4 * four);
        // SAFETY: the reference is to the 16 bytes that are written, and any alignment will do.
        unsafe { vst1q_f32(out.as_mut_ptr(), found) };
    }
    mask
}

/// Adds what the codes find in up to `TABLES` tables.
#[inline]
#[target_feature(enable = "neon")]
fn add(codes: &[[u8; 16]], tables: &[[u8; 16]], sums: &mut [uint32x4_t; 8]) {
    // Sums of even and of odd bytes; into the former the odd bytes are added too, 256 times over.
    let (mut evens, mut odds) = ([vdupq_n_u16(0); 2], [vdupq_n_u16(0); 2]);
    for (codes, table) in codes.iter().zip(tables) {
        let (codes, table) = (load(codes), load(table));
        let nibbles = [vandq_u8(codes, vdupq_n_u8(15)), vshrq_n_u8::<4>(codes)];
        for half in 0..2 {
            let found = vreinterpretq_u16_u8(vqtbl1q_u8(table, nibbles[half]));
            evens[half] = vaddq_u16(evens[half], found);
            odds[half] = vsraq_n_u16::<8>(odds[half], found);
        }
    }
    for half in 0..2 {
        let even = vsubq_u16(evens[half], vshlq_n_u16::<8>(odds[half]));
        for (eight, found) in [even, odds[half]].into_iter().enumerate() {
            let at = 4 * half + 2 * eight;
            sums[at] = vaddw_u16(sums[at], vget_low_u16(found));
            sums[at + 1] = vaddw_high_u16(sums[at + 1], found);
        }
    }
}

/// Four numbers of `f16` as `f32`.
#[inline]
#[target_feature(enable = "neon")]
fn widen(from: &[u8; 8]) -> float32x4_t {
    vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(u64::from_le_bytes(*from))))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(from: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    unsafe { vld1q_u8(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_steps(from: &[i16; 8]) -> int16x8_t {
    // SAFETY: the reference is to the 16 bytes that are read, and any alignment will do.
    unsafe { vld1q_s16(from.as_ptr()) }
}
