//! Kernels to be read: what each of the others must agree with.
#![deny(unsafe_code)] // The parent allows it, and these are what it is checked against.

#[cfg(test)]
use super::Numbers;
use super::{Codes, Sums};
use half::f16;

/// One little-endian number of 4 or 2 bytes, or a whole one of 1.
pub(super) fn number(bytes: &[u8]) -> f32 {
    match *bytes {
        [a] => f32::from(a),
        [a, b] => f16::from_le_bytes([a, b]).to_f32(),
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        _ => unreachable!("a number has 4, 2 or 1 bytes"),
    }
}

/// Inner products, or squared distances if `L2`, with rows of `WIDTH` bytes per number.
#[cfg(test)]
pub(super) fn floats<const WIDTH: usize, const L2: bool>(
    query: &Numbers,
    rows: &[u8],
    out: &mut [f32],
) {
    for (row, out) in rows.chunks_exact(query.dim * WIDTH).zip(out) {
        let row = row.chunks_exact(WIDTH).map(number);
        let pairs = query.query().iter().zip(row).map(|(&q, x)| (f64::from(q), f64::from(x)));
        let terms = pairs.map(|(q, x)| if L2 { (q - x) * (q - x) } else { q * x });
        *out = terms.sum::<f64>() as f32;
    }
}

/// Inner products with rows of `i8`, and of each row with itself if `SQUARES`.
pub(super) fn i8_sums<const SQUARES: bool>(query: &Codes, rows: &[u8], out: &mut [Sums]) {
    for (row, out) in rows.chunks_exact(query.dim).zip(out) {
        let mut sums = Sums::default();
        for ((&x, &hi), &lo) in row.iter().zip(&query.hi).zip(&query.lo) {
            let x = i32::from(x as i8);
            sums.hi += x * i32::from(hi);
            sums.lo += x * i32::from(lo);
            sums.squares += if SQUARES { x * x } else { 0 };
        }
        *out = sums;
    }
}

/// The number of differing bits.
#[cfg(test)]
pub(super) fn hamming(query: &[u8], rows: &[u8], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = query.iter().zip(row).map(|(q, x)| (q ^ x).count_ones() as f32).sum();
    }
}
