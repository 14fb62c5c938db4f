//! One hop of a walk through a graph: a node's own distance, and estimates for its 32 neighbours.
//!
//! A neighbour `x` of node `c` is known by one or two bits per number: the signs `b` of `x - c`,
//! rotated, or levels of -3, -1, 1 and 3. With
//! `f = |x - c|^2 / <b, x - c>`, the product of `x - c` with any vector `q` is about `f <b, q>`
//! (RaBitQ, SIGMOD 2024), and all 32 products come from one pass over the codes, which lie four bits
//! of a code to a table of sixteen sums (fast scan; the row is laid out as SymphonyQG's, SIGMOD 2025).
//!
//! ```text
//!   row   own code, i8 | norm, scale | codes, 32 x coded x bits | ids, 32 x u32 | factors, 2 x 32 x f16
//! ```

use super::kernel::Kernel;

/// Neighbours of a node: as many as one pass estimates.
pub(crate) const DEGREE: usize = 32;
/// No neighbour.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Most tables of a query: a 16-bit lane of the kernels holds the sum of a quarter of them.
pub(crate) const TABLES_MAX: usize = 1024;
/// Most whole steps that the largest number of a query is.
const STEPS_MAX: usize = 16_383;

/// Where things are in the row of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Numbers per vector, padded to a multiple of 16.
    pub(crate) padded: usize,
    /// Of those, how many the codes of neighbours cover: the first ones, as good as any after a
    /// rotation.
    pub(crate) coded: usize,
    /// Bits per number in them: 1 or 2.
    pub(crate) bits: usize,
    /// Bytes of the own code and of what belongs to it.
    pub(crate) own: usize,
    pub(crate) ids: usize,
    pub(crate) factors: usize,
    /// Bytes of a row: a multiple of 64.
    pub(crate) stride: usize,
}

impl Layout {
    pub(crate) fn new(padded: usize, coded: usize, bits: usize) -> Layout {
        let own = (padded + 16).next_multiple_of(64);
        let ids = own + coded * bits * DEGREE / 8;
        let factors = ids + DEGREE * 4;
        Layout {
            padded,
            coded,
            bits,
            own,
            ids,
            factors,
            stride: (factors + DEGREE * 4).next_multiple_of(64),
        }
    }
}

/// A rotated query, prepared for rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hops {
    /// Sixteen sums per four numbers: of those whose bits are set.
    tables: Vec<[u8; 16]>,
    /// What a unit of the sums means, and what they start from.
    pub(crate) unit: f32,
    pub(crate) start: f32,
    /// The query in whole steps, then zeros up to the end of a row's own part.
    steps: Vec<i16>,
    pub(crate) step: f32,
    pub(crate) norm: f32,
}

/// So many that the sum of `padded` products with codes of i8 fits an i32.
fn steps_max(padded: usize) -> f32 {
    (i32::MAX as usize / (127 * padded.max(1))).min(STEPS_MAX) as f32
}

/// The largest size of a number, side by side: one after the other each would wait for the one before.
fn largest(numbers: &[f32]) -> f32 {
    let (lanes, rest) = numbers.as_chunks::<16>();
    let mut most = [0f32; 16];
    for lane in lanes {
        for (most, x) in most.iter_mut().zip(lane) {
            *most = if x.abs() > *most { x.abs() } else { *most };
        }
    }
    most.iter().chain(rest).fold(0.0, |max, x| max.max(x.abs()))
}

impl Hops {
    /// Prepares a query for own codes only, in the memory of an earlier one.
    pub(crate) fn prepare_own(&mut self, query: &[f32]) {
        self.step = largest(query) / steps_max(query.len());
        // Limited, so that zero times it is zero: of numbers that small nothing is left.
        let per_step = self.step.recip().min(f32::MAX);
        self.steps.clear();
        self.steps.resize((query.len() + 16).next_multiple_of(64), 0);
        self.norm = Kernel::best().steps(query, per_step, &mut self.steps);
    }

    /// Prepares a query, in the memory of an earlier one.
    pub(crate) fn prepare(&mut self, query: &[f32], layout: &Layout) {
        self.prepare_own(query);
        let kernel = Kernel::best();
        let coded = &query[..layout.coded];
        self.tables.resize(coded.len() * layout.bits / 4, [0; 16]);
        if layout.bits == 1 {
            let (mut widest, mut lowest, mut total) = (0f32, 0f32, 0f32);
            for four in coded.as_chunks::<4>().0 {
                let (sum, width) = four.iter().fold((0.0, 0.0), |(s, w), x| (s + x, w + x.abs()));
                widest = widest.max(width);
                lowest += 0.5 * (sum - width);
                total += sum;
            }
            let per_unit = (255.0 / widest).min(f32::MAX);
            kernel.tables(coded, per_unit, &mut self.tables);
            // <b, q> is twice the sum over set bits, less the sum over all.
            (self.unit, self.start) = (2.0 * widest / 255.0, 2.0 * lowest - total);
        } else {
            let (mut widest, mut total) = (0f32, 0f32);
            for [a, b] in coded.as_chunks::<2>().0 {
                let width = a.abs() + b.abs();
                widest = widest.max(width);
                total += width;
            }
            // From -3 to 3 times a number.
            let per_unit = (255.0 / (6.0 * widest)).min(f32::MAX / 3.0);
            kernel.levels(coded, per_unit, &mut self.tables);
            (self.unit, self.start) = (6.0 * widest / 255.0, -3.0 * total);
        }
    }

    /// Prepares a stored code as a query for own codes only: exactly, and without tables.
    pub(crate) fn prepare_code(&mut self, own: &[u8], (norm, scale): (f32, f32), padded: usize) {
        self.tables.clear();
        self.steps.clear();
        self.steps.extend(own[..padded].iter().map(|code| i16::from(code.cast_signed())));
        self.steps.resize(own.len(), 0);
        (self.norm, self.step) = (norm, scale);
    }

    pub(crate) fn tables(&self) -> &[[u8; 16]] {
        &self.tables
    }

    pub(crate) fn steps(&self) -> &[i16] {
        &self.steps
    }
}
