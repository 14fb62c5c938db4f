//! Map: a linear map of content under which what goes together is near, learned from pairs.

use crate::{
    error::{Error, Result},
    model::{
        semantic::fit::points::Points,
        train::{
            exp::{exp_sub_sum, row_max, scale},
            gemm::{Matrix, gemm},
            share::share,
        },
    },
};

/// How sharply distances are told apart: points have about length one.
const SHARP: f32 = 4.0;
/// Pairs, and rows of the map, that one thread takes at a time. Fixed, so that sums are the same for any
/// number of threads.
const PART: usize = 32;

/// What batches are judged with.
#[derive(Debug)]
pub(super) struct Teacher<'a> {
    pub(super) points: &'a Points,
    /// Numbers that the map says.
    pub(super) dim: usize,
    /// Per item the log of how often it is a partner.
    pub(super) common: &'a [f32],
    pub(super) threads: usize,
}

/// A batch as matrices of a row per pair: its items, its partners, and both mapped.
struct Sides {
    from: Vec<f32>,
    to: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Teacher<'_> {
    /// The mean loss of a batch, and its gradient by the map.
    pub(super) fn loss(&self, map: &[f32], batch: &[(u32, u32)]) -> Result<(f64, Vec<f32>)> {
        let sides = self.sides(map, batch)?;
        let (loss, by_logits) = self.by_logits(&sides, batch)?;
        if !loss.is_finite() {
            let why = "diverged: the loss is not finite. Try a smaller learning rate.";
            return Err(Error::invalid("training of Refine", why));
        }
        let (by_a, by_b) = self.by_mapped(&sides, &by_logits)?;
        Ok((loss, self.by_map(&sides, &by_a, &by_b)?))
    }

    fn sides(&self, map: &[f32], batch: &[(u32, u32)]) -> Result<Sides> {
        let (count, wide, dim) = (batch.len(), self.points.dim, self.dim);
        let room = |width: usize| vec![0f32; count * width];
        let mut sides = Sides { from: room(wide), to: room(wide), a: room(dim), b: room(dim) };
        let from = sides.from.chunks_mut(PART * wide).zip(sides.a.chunks_mut(PART * dim));
        let to = sides.to.chunks_mut(PART * wide).zip(sides.b.chunks_mut(PART * dim));
        let parts: Vec<_> = batch.chunks(PART).zip(from.zip(to)).collect();
        let map = Matrix::new(map, dim, wide).t();
        share(parts, self.threads, |_, (pairs, ((from, a), (to, b)))| {
            for (at, pair) in pairs.iter().enumerate() {
                let row = at * wide..(at + 1) * wide;
                from[row.clone()].copy_from_slice(self.points.row(pair.0 as usize));
                to[row].copy_from_slice(self.points.row(pair.1 as usize));
            }
            gemm(1.0, Matrix::new(from, pairs.len(), wide), map, 0.0, a);
            gemm(1.0, Matrix::new(to, pairs.len(), wide), map, 0.0, b);
        })?;
        Ok(sides)
    }

    /// The mean loss, and its gradient by the logits: a row per item, a column per partner.
    fn by_logits(&self, sides: &Sides, batch: &[(u32, u32)]) -> Result<(f64, Vec<f32>)> {
        let (count, dim) = (batch.len(), self.dim);
        // -|a - b|^2 / 2 up to what all logits of a row share, sharper, less the log of how common b is.
        let lacks = |(row, pair): (&[f32], &(u32, u32))| {
            let square = row.iter().map(|x| x * x).sum::<f32>();
            SHARP * square / 2.0 + self.common[pair.1 as usize]
        };
        let lacks: Vec<f32> = sides.b.chunks_exact(dim).zip(batch).map(lacks).collect();
        let mut logits = vec![0f32; count * count];
        let b = Matrix::new(&sides.b, count, dim).t();
        let parts: Vec<_> =
            logits.chunks_mut(PART * count).zip(sides.a.chunks(PART * dim)).collect();
        let losses = share(parts, self.threads, |part, (logits, a)| {
            gemm(SHARP, Matrix::new(a, a.len() / dim, dim), b, 0.0, logits);
            let rows = logits.chunks_exact_mut(count).zip(part * PART..);
            rows.map(|(row, at)| judge(row, at, batch, &lacks)).sum::<f64>()
        })?;
        Ok((losses.iter().sum::<f64>() / count as f64, logits))
    }

    /// The gradients by what was mapped.
    fn by_mapped(&self, sides: &Sides, by_logits: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let (dim, count) = (self.dim, sides.a.len() / self.dim);
        let (mut by_a, mut by_b) = (vec![0f32; count * dim], vec![0f32; count * dim]);
        let parts: Vec<_> = by_a.chunks_mut(PART * dim).zip(by_b.chunks_mut(PART * dim)).collect();
        let (a, b) = (Matrix::new(&sides.a, count, dim), Matrix::new(&sides.b, count, dim));
        share(parts, self.threads, |part, (by_a, by_b)| {
            let (first, rows) = (part * PART, by_a.len() / dim);
            gemm(SHARP, Matrix::new(&by_logits[first * count..], rows, count), b, 0.0, by_a);
            let columns = Matrix::strided(&by_logits[first..], count, rows, count);
            gemm(SHARP, columns.t(), a, 0.0, by_b);
            for (grads, at) in by_b.chunks_exact_mut(dim).zip(first..) {
                let sum: f32 = by_logits[at..].iter().step_by(count).sum();
                let row = &sides.b[at * dim..][..dim];
                grads.iter_mut().zip(row).for_each(|(grad, x)| *grad -= SHARP * sum * x);
            }
        })?;
        Ok((by_a, by_b))
    }

    fn by_map(&self, sides: &Sides, by_a: &[f32], by_b: &[f32]) -> Result<Vec<f32>> {
        let (dim, wide, count) = (self.dim, self.points.dim, by_a.len() / self.dim);
        let mut grads = vec![0f32; dim * wide];
        let parts = grads.chunks_mut(PART * wide).collect();
        let (from, to) =
            (Matrix::new(&sides.from, count, wide), Matrix::new(&sides.to, count, wide));
        share(parts, self.threads, |part, grads: &mut [f32]| {
            let (first, rows) = (part * PART, grads.len() / wide);
            gemm(1.0, Matrix::strided(&by_a[first..], count, rows, dim).t(), from, 0.0, grads);
            gemm(1.0, Matrix::strided(&by_b[first..], count, rows, dim).t(), to, 1.0, grads);
        })?;
        Ok(grads)
    }
}

/// The loss of one row of logits, which become its gradient. The own partner is at `at`.
fn judge(row: &mut [f32], at: usize, batch: &[(u32, u32)], lacks: &[f32]) -> f64 {
    let own = batch[at];
    for (column, ((logit, lack), pair)) in row.iter_mut().zip(lacks).zip(batch).enumerate() {
        *logit -= lack;
        // The same partner again, or the item itself, is no wrong answer.
        if column != at && (pair.1 == own.1 || pair.1 == own.0) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let (right, max) = (row[at], row_max(row));
    let sum = exp_sub_sum(row, max);
    let count = batch.len() as f32;
    scale(row, 1.0 / (sum * count));
    row[at] -= 1.0 / count;
    f64::from(max) + f64::from(sum).ln() - f64::from(right)
}
