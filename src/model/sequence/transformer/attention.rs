//! Attention: within each segment of a micro-batch, head by head, queries in blocks.

use super::architecture::Padding;
use crate::model::train::{
    exp::{dot, exp_sub_sum, row_max, scale},
    gemm::{Matrix, gemm_strided},
    wide::wide,
};

/// Histories that lie end to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    /// A row of the item table each.
    pub(crate) items: Vec<u32>,
    /// A row of the positions each.
    pub(crate) places: Vec<u32>,
    /// Where each history begins, and the end of the last.
    pub(crate) starts: Vec<usize>,
}

impl Tokens {
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.places.clear();
        self.starts.clear();
        self.starts.push(0);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn segments(&self) -> impl Iterator<Item = (usize, usize)> {
        self.starts.windows(2).map(|pair| (pair[0], pair[1] - pair[0]))
    }
}

/// What attention is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) dim: usize,
    pub(crate) heads: usize,
    pub(crate) causal: bool,
    /// Where short windows have zeros before them that are attended to: how long windows are.
    pub(crate) padding: (Padding, usize),
}

/// Queries at a time: later keys are not looked at by earlier blocks.
const BLOCK: usize = 64;

impl Attention {
    /// From queries, keys and values (`3 * dim` per token) to `mixed` (`dim` per token). Keeps the
    /// weights in `shares`. `bias` are the biases of queries, keys and values.
    pub(crate) fn forward(
        &self,
        tokens: &Tokens,
        qkv: &[f32],
        bias: &[f32],
        (shares, mixed): (&mut Vec<f32>, &mut Vec<f32>),
    ) {
        let (dim, each) = (self.dim, self.dim / self.heads);
        let factor = 1.0 / (each as f32).sqrt();
        shares.resize(tokens.segments().map(|(_, n)| n * n * self.heads).sum(), 0.0);
        mixed.resize(tokens.len() * dim, 0.0);
        let mut rest = &mut shares[..];
        for (start, n) in tokens.segments() {
            for head in 0..self.heads {
                let (own, later) = rest.split_at_mut(n * n);
                rest = later;
                let part = |which: usize| &qkv[start * 3 * dim + which * dim + head * each..];
                let mut from = 0;
                while from < n {
                    let to = (from + BLOCK).min(n);
                    let seen = if self.causal { to } else { n };
                    let q = &part(0)[from * 3 * dim..];
                    let queries = Matrix::strided(q, to - from, each, 3 * dim);
                    let keys = Matrix::strided(part(1), seen, each, 3 * dim);
                    let values = Matrix::strided(part(2), seen, each, 3 * dim);
                    let rows = &mut own[from * n..to * n];
                    gemm_strided(factor, queries, keys.t(), 0.0, (rows, n));
                    let out = &mut mixed[(start + from) * dim + head * each..];
                    let pads = self.pads(n);
                    let mut zeros = [0f32; BLOCK];
                    for (at, row) in rows.chunks_exact_mut(n).enumerate() {
                        let (row, hidden) = row[..seen].split_at_mut(self.sees(from + at, seen));
                        hidden.fill(0.0);
                        let zero = (pads > 0).then(|| {
                            let key = &bias[dim + head * each..][..each];
                            factor * dot(&q[at * 3 * dim..][..each], key)
                        });
                        zeros[at] = softmax(row, zero, pads as f32);
                    }
                    let rows = Matrix::strided(rows, to - from, seen, n);
                    gemm_strided(1.0, rows, values, 0.0, (out, dim));
                    if pads > 0 {
                        let value = &bias[2 * dim + head * each..][..each];
                        for (out, zero) in out.chunks_mut(dim).zip(&zeros[..to - from]) {
                            out.iter_mut().zip(value).for_each(|(out, v)| *out += zero * v);
                        }
                    }
                    from = to;
                }
            }
        }
    }

    /// The zeros before a window of so many tokens.
    fn pads(&self, n: usize) -> usize {
        match self.padding {
            (Padding::Absent | Padding::Placed | Padding::Unplaced, _) => 0,
            (Padding::Zero, length) => length - n.min(length),
        }
    }

    fn sees(&self, at: usize, all: usize) -> usize {
        if self.causal { at + 1 } else { all }
    }

    /// Writes the gradient of queries, keys and values. Not for padding that is attended to.
    pub(crate) fn backward(
        &self,
        tokens: &Tokens,
        (qkv, shares): (&[f32], &[f32]),
        d_mixed: &[f32],
        (d_qkv, scratch): (&mut Vec<f32>, &mut Vec<f32>),
    ) {
        let (dim, each) = (self.dim, self.dim / self.heads);
        let factor = 1.0 / (each as f32).sqrt();
        d_qkv.clear();
        d_qkv.resize(qkv.len(), 0.0);
        let mut rest = shares;
        for (start, n) in tokens.segments() {
            scratch.resize(scratch.len().max(BLOCK.min(n) * n), 0.0);
            for head in 0..self.heads {
                let (own, later) = rest.split_at(n * n);
                rest = later;
                let place = |which: usize| start * 3 * dim + which * dim + head * each;
                let mut from = 0;
                while from < n {
                    let to = (from + BLOCK).min(n);
                    let seen = if self.causal { to } else { n };
                    let (count, stride) = (to - from, 3 * dim);
                    let own_query = place(0) + from * stride;
                    let queries = Matrix::strided(&qkv[own_query..], count, each, stride);
                    let keys = Matrix::strided(&qkv[place(1)..], seen, each, stride);
                    let values = Matrix::strided(&qkv[place(2)..], seen, each, stride);
                    let d_out = &d_mixed[(start + from) * dim + head * each..];
                    let d_out = Matrix::strided(d_out, count, each, dim);
                    let rows = &own[from * n..to * n];
                    let shares = Matrix::strided(rows, count, seen, n);
                    gemm_strided(1.0, shares.t(), d_out, 1.0, (&mut d_qkv[place(2)..], stride));
                    let d_rows = &mut scratch[..count * seen];
                    gemm_strided(1.0, d_out, values.t(), 0.0, (d_rows, seen));
                    for (row, d_row) in rows.chunks_exact(n).zip(d_rows.chunks_exact_mut(seen)) {
                        softmax_back(&row[..seen], d_row);
                    }
                    let d_rows = Matrix::new(d_rows, count, seen);
                    gemm_strided(factor, d_rows, keys, 0.0, (&mut d_qkv[own_query..], stride));
                    gemm_strided(
                        factor,
                        d_rows.t(),
                        queries,
                        1.0,
                        (&mut d_qkv[place(1)..], stride),
                    );
                    from = to;
                }
            }
        }
    }
}

/// Turns logits into shares, and returns the share of all `pads` places with the logit `zero`.
fn softmax(row: &mut [f32], zero: Option<f32>, pads: f32) -> f32 {
    let max = zero.map_or(f32::MIN, |zero| zero).max(row_max(row));
    let sum = exp_sub_sum(row, max);
    let padded = zero.map_or(0.0, |zero| pads * (zero - max).exp());
    scale(row, 1.0 / (sum + padded));
    padded / (sum + padded)
}

wide! {
    /// From the gradient of shares to that of logits.
    fn softmax_back(shares: &[f32], d: &mut [f32]) {
        let mut lanes = [0f32; 16];
        let ((s, s_rest), (g, g_rest)) = (shares.as_chunks::<16>(), d.as_chunks::<16>());
        for (s, g) in s.iter().zip(g) {
            for lane in 0..16 {
                lanes[lane] += s[lane] * g[lane];
            }
        }
        s_rest.iter().zip(g_rest).zip(&mut lanes).for_each(|((s, g), lane)| *lane += s * g);
        let mean: f32 = lanes.iter().sum();
        d.iter_mut().zip(shares).for_each(|(d, share)| *d = share * (*d - mean));
    }
}
