//! Level: how likely each code of a level is, and how wrong that was.

use super::{plan::Plan, tree::Tree};
use crate::model::train::{
    exp::{add, dot, exp_sub_sum, row_max, scale},
    gemm::{Matrix, gemm},
    loss::Rows,
};

/// A network with its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tree: &'a Tree,
    pub(super) theta: &'a [f32],
    /// `[rows of the tree, dim + 1]`
    pub(super) nodes: &'a [f32],
}

/// What was asked for at a level: where each row is in the tree, and which code came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) level: usize,
    /// The nodes of the codes before; nothing matters at the first level.
    pub(super) nodes: &'a [u32],
    pub(super) codes: &'a [u16],
    /// What gradients are multiplied by.
    pub(super) weight: f32,
}

/// Logits at a time, so that they stay in the cache.
const CHUNK: usize = 1 << 16;

impl Network<'_> {
    /// The vectors and biases of the codes of a level.
    fn codes(&self, level: usize) -> (Matrix<'_>, &[f32]) {
        let (plan, width) = (self.plan, self.plan.widths[level]);
        let vectors = &self.theta[plan.code(level, 0)..][..width * plan.dim()];
        let bias = &self.theta[plan.bias + plan.firsts[level]..][..width];
        (Matrix::new(vectors, width, plan.dim()), bias)
    }

    /// The logits of all codes of a level, row by row: what codes say whatever came before them,
    /// and what those say that came after just these codes before.
    pub(super) fn logits(&self, level: usize, asks: &[f32], nodes: &[u32], logits: &mut [f32]) {
        let (dim, width) = (self.plan.dim(), self.plan.widths[level]);
        let (vectors, bias) = self.codes(level);
        logits.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(bias));
        let rows = asks.len() / dim;
        gemm(1.0, Matrix::new(asks, rows, dim), vectors.t(), 1.0, logits);
        if level == 0 {
            return;
        }
        let each = logits.chunks_exact_mut(width).zip(asks.chunks_exact(dim)).zip(nodes);
        for ((logits, ask), node) in each {
            let children = self.tree.children(level, *node);
            let rows = self.nodes[children.row * (dim + 1)..].chunks_exact(dim + 1);
            for (code, row) in children.codes.iter().zip(rows) {
                logits[usize::from(*code)] += dot(ask, &row[..dim]) + row[dim];
            }
        }
    }

    /// Cross-entropy over the codes of a level. Returns the sum of losses, writes the gradient of
    /// `asks` and adds to the others.
    pub(super) fn loss(
        &self,
        asked: Asked<'_>,
        asks: &[f32],
        d_asks: &mut Vec<f32>,
        (grad, rows): (&mut [f32], &mut Rows),
        (logits, row): (&mut Vec<f32>, &mut Vec<f32>),
    ) -> f64 {
        let Asked { level, nodes, codes, weight } = asked;
        let (plan, dim, width) = (self.plan, self.plan.dim(), self.plan.widths[level]);
        d_asks.resize(asks.len(), 0.0);
        let chunk = (CHUNK / width).clamp(8, 256);
        let chunks = asks.chunks(chunk * dim).zip(d_asks.chunks_mut(chunk * dim));
        let mut sum = 0.0;
        for ((asks, d_asks), (nodes, codes)) in
            chunks.zip(nodes.chunks(chunk).zip(codes.chunks(chunk)))
        {
            let n = codes.len();
            logits.resize(logits.len().max(n * width), 0.0);
            let logits = &mut logits[..n * width];
            self.logits(level, asks, nodes, logits);
            for (row, code) in logits.chunks_exact_mut(width).zip(codes) {
                let (logit, max) = (row[usize::from(*code)], row_max(row));
                let total = exp_sub_sum(row, max);
                sum += f64::from(total).ln() + f64::from(max) - f64::from(logit);
                scale(row, weight / total);
                row[usize::from(*code)] -= weight;
            }
            let d = Matrix::new(logits, n, width);
            gemm(1.0, d, self.codes(level).0, 0.0, d_asks);
            let d_codes = &mut grad[plan.code(level, 0)..][..width * dim];
            gemm(1.0, d.t(), Matrix::new(asks, n, dim), 1.0, d_codes);
            let d_bias = &mut grad[plan.bias + plan.firsts[level]..][..width];
            logits.chunks_exact(width).for_each(|row| add(d_bias, row, 1.0));
            if level == 0 {
                continue;
            }
            let each = asks.chunks_exact(dim).zip(d_asks.chunks_exact_mut(dim)).zip(nodes);
            for (((ask, d_ask), node), d) in each.zip(logits.chunks_exact(width)) {
                let children = self.tree.children(level, *node);
                row.clear();
                row.extend_from_slice(ask);
                row.push(1.0);
                for (code, at) in children.codes.iter().zip(children.row..) {
                    let slope = d[usize::from(*code)];
                    add(d_ask, &self.nodes[at * (dim + 1)..][..dim], slope);
                    rows.add(at as u32, row, slope);
                }
            }
        }
        sum
    }
}

/// Turns logits into the logarithms of probabilities.
pub(super) fn log_softmax(row: &mut [f32], spare: &mut Vec<f32>) {
    spare.clear();
    spare.extend_from_slice(row);
    let max = row_max(row);
    let total = max + exp_sub_sum(spare, max).ln();
    row.iter_mut().for_each(|number| *number -= total);
}
