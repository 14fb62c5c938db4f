//! The inner loops: one query against many rows that lie end to end.
//!
//! There are three numbers to compute per row, for each encoding: an inner product, a squared
//! distance, a count of differing bits. All are limited by how fast memory delivers rows. Each row
//! is added up in an order that does not depend on its neighbours: scored alone, it has the same
//! bits as in a block.
//!
//! Every kernel has a twin in `plain`, written to be read, and is tested against it. On processors
//! for which there is none here, simsimd does what it can; this is the only file that names it.
#![allow(unsafe_code)] // Calling a kernel that needs instructions beyond the target's own.

use simsimd::{BinarySimilarity, SpatialSimilarity};

/// Calls the widest kernel that a level has. The arms are tried in order; `neon` is for AArch64, where
/// no level has to be found out.
macro_rules! dispatch {
    ($level:expr, { $($at_least:ident => $kernel:expr,)* }, $portable:expr) => {{
        // Either side is unused on some architecture.
        #[allow(unused_variables)]
        let level = $level;
        $(
            #[cfg(target_arch = "x86_64")]
            if level >= Level::$at_least {
                // SAFETY: the kernel is safe but for the instructions it needs. Those it enables
                // are among those that `Level::$at_least` names, and no level is made above
                // `Level::best`, which saw that the processor has the instructions it names.
                return unsafe { $kernel };
            }
        )*
        $portable
    }};
    ($level:expr, { $($arms:tt)* }, neon $neon:expr, $portable:expr) => {
        dispatch!($level, { $($arms)* }, {
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            // SAFETY: the kernel is safe but for NEON, which every such target has.
            unsafe {
                $neon
            }
            #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
            $portable
        })
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod hop;
#[cfg(target_arch = "x86_64")]
mod hop2;
#[cfg(target_arch = "x86_64")]
mod hop512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod hop_neon;
#[cfg(test)]
mod hop_tests;
mod plain;
#[cfg(test)]
mod tests;

/// With fewer rows in a call, what lies behind them is most likely of no use: rows here and there are
/// asked for by those who know which come next.
#[cfg(target_arch = "x86_64")]
const MANY_ROWS: usize = 16;

/// A query of `f32`, followed by zeros up to a whole number of the widest registers.
pub(crate) struct Numbers {
    dim: usize,
    padded: Vec<f32>,
}

impl Numbers {
    pub(crate) fn new(query: &[f32]) -> Numbers {
        assert!(!query.is_empty(), "a query has at least one number");
        let mut padded = query.to_vec();
        padded.resize(query.len().next_multiple_of(16), 0.0);
        Numbers { dim: query.len(), padded }
    }

    fn query(&self) -> &[f32] {
        &self.padded[..self.dim]
    }
}

/// A query as coarse and fine small integers, each followed by zeros as [`Numbers`] is.
pub(crate) struct Codes {
    dim: usize,
    hi: Vec<i8>,
    lo: Vec<i8>,
    /// The sums of `hi` and of `lo`, for kernels that take one side without its sign.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    sums: [i32; 2],
}

impl Codes {
    pub(crate) fn new(hi: &[i8], lo: &[i8]) -> Codes {
        assert!(!hi.is_empty() && hi.len() == lo.len(), "one coarse and one fine code per number");
        let sum = |codes: &[i8]| codes.iter().map(|&c| i32::from(c)).sum();
        let pad = |codes: &[i8]| {
            let mut padded = codes.to_vec();
            padded.resize(codes.len().next_multiple_of(64), 0);
            padded
        };
        Codes { dim: hi.len(), hi: pad(hi), lo: pad(lo), sums: [sum(hi), sum(lo)] }
    }
}

/// What integer arithmetic says about one row of `i8`, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// The inner product with the coarse codes.
    pub(crate) hi: i32,
    /// The inner product with the fine codes.
    pub(crate) lo: i32,
    /// The row's inner product with itself, or zero where that was not asked for.
    pub(crate) squares: i32,
}

/// Which instructions to use, found out once.
///
/// A value beyond `Portable` is a proof: only `Level::best` makes one, after it
/// has seen that the processor has those instructions, or `Kernel::here` in tests, from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Whatever the target always has.
    Portable,
    /// AVX2, FMA, F16C and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Those, and AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Those, and AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Kernel {
    /// The best this processor can do.
    pub(crate) fn best() -> Kernel {
        Kernel(Level::best())
    }

    /// Every kernel this processor has, plainest first.
    #[cfg(test)]
    pub(crate) fn here() -> Vec<Kernel> {
        let levels = [
            Level::Portable,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni,
        ];
        levels.into_iter().filter(|&level| level <= Level::best()).map(Kernel).collect()
    }

    /// Writes the inner product of `query` with each row of little-endian `f32`.
    pub(crate) fn dot_f32(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim * 4, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::f32_dot(query, rows, out),
            Avx2 => avx2::f32_dot(query, rows, out),
        }, portable::<4>(query, rows, out, f32_dot))
    }

    /// Writes the squared distance of `query` to each row of little-endian `f32`.
    pub(crate) fn l2_f32(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim * 4, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::f32_l2(query, rows, out),
            Avx2 => avx2::f32_l2(query, rows, out),
        }, portable::<4>(query, rows, out, f32_l2))
    }

    /// Writes the inner product of `query` with each row of little-endian `f16`.
    pub(crate) fn dot_f16(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim * 2, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::f16_dot(query, rows, out),
            Avx2 => avx2::f16_dot(query, rows, out),
        }, portable::<2>(query, rows, out, f32_dot))
    }

    /// Writes the squared distance of `query` to each row of little-endian `f16`.
    pub(crate) fn l2_f16(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim * 2, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::f16_l2(query, rows, out),
            Avx2 => avx2::f16_l2(query, rows, out),
        }, portable::<2>(query, rows, out, f32_l2))
    }

    /// Writes the inner product of `query` with each row of `u8`.
    pub(crate) fn dot_u8(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::u8_dot(query, rows, out),
            Avx2 => avx2::u8_dot(query, rows, out),
        }, portable::<1>(query, rows, out, f32_dot))
    }

    /// Writes the squared distance of `query` to each row of `u8`.
    pub(crate) fn l2_u8(self, query: &Numbers, rows: &[u8], out: &mut [f32]) {
        fits(query.dim, rows, out);
        dispatch!(self.0, {
            Avx512 => avx512::u8_l2(query, rows, out),
            Avx2 => avx2::u8_l2(query, rows, out),
        }, portable::<1>(query, rows, out, f32_l2))
    }

    /// Writes the inner products of the query's codes with each row of `i8`.
    pub(crate) fn dot_i8(self, query: &Codes, rows: &[u8], out: &mut [Sums]) {
        fits(query.dim, rows, out);
        dispatch!(self.0, {
            Avx512Vnni => avx512::i8_dot(query, rows, out),
            Avx2 => avx2::i8_dot(query, rows, out),
        }, plain::i8_sums::<false>(query, rows, out))
    }

    /// As [`Kernel::dot_i8`], and with each row's inner product with itself.
    pub(crate) fn l2_i8(self, query: &Codes, rows: &[u8], out: &mut [Sums]) {
        fits(query.dim, rows, out);
        dispatch!(self.0, {
            Avx512Vnni => avx512::i8_l2(query, rows, out),
            Avx2 => avx2::i8_l2(query, rows, out),
        }, plain::i8_sums::<true>(query, rows, out))
    }

    /// Writes the number of bits in which `query` and each row of as many bytes differ.
    pub(crate) fn hamming(self, query: &[u8], rows: &[u8], out: &mut [f32]) {
        fits(query.len(), rows, out);
        dispatch!(self.0, {
            Avx2 => avx2::hamming(query, rows, out),
        }, hamming(query, rows, out))
    }
}

impl Level {
    #[cfg(target_arch = "x86_64")]
    fn best() -> Level {
        macro_rules! all {
            ($($feature:tt),*) => { $(is_x86_feature_detected!($feature))&&* };
        }
        let avx2 = all!("avx2", "fma", "f16c", "popcnt");
        let avx512 = avx2 && all!("avx512f", "avx512bw", "avx512vl");
        match (avx2, avx512, all!("avx512vnni")) {
            (_, true, true) => Level::Avx512Vnni,
            (_, true, false) => Level::Avx512,
            (true, false, _) => Level::Avx2,
            (false, false, _) => Level::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn best() -> Level {
        Level::Portable
    }
}

/// Kernels go by the number of rows; bytes that do not fit it are a bug of the caller.
fn fits<T>(row_bytes: usize, rows: &[u8], out: &[T]) {
    let fits = out.len().checked_mul(row_bytes) == Some(rows.len());
    assert!(fits, "{} rows of {row_bytes} bytes are not {} bytes", out.len(), rows.len());
}

/// Applies `one` to rows of `f32`, `f16` or `u8` (`WIDTH` 4, 2 or 1), each copied to where it is
/// aligned: rows come from files and stand at any address.
fn portable<const WIDTH: usize>(
    query: &Numbers,
    rows: &[u8],
    out: &mut [f32],
    one: fn(&[f32], &[f32]) -> f32,
) {
    let mut row_numbers = vec![0.0; query.dim];
    for (row, out) in rows.chunks_exact(query.dim * WIDTH).zip(out) {
        let numbers = row.as_chunks::<WIDTH>().0.iter().map(|bytes| plain::number(bytes));
        row_numbers.iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
        *out = one(query.query(), &row_numbers);
    }
}

fn f32_dot(a: &[f32], b: &[f32]) -> f32 {
    <f32 as SpatialSimilarity>::dot(a, b).map_or(f32::NAN, |dot| dot as f32)
}

fn f32_l2(a: &[f32], b: &[f32]) -> f32 {
    <f32 as SpatialSimilarity>::l2sq(a, b).map_or(f32::NAN, |distance| distance as f32)
}

fn hamming(query: &[u8], rows: &[u8], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = <u8 as BinarySimilarity>::hamming(query, row).map_or(f32::NAN, |bits| bits as f32);
    }
}
