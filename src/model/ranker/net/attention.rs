//! Attention: what of the history a candidate goes with.

use super::{Input, Net};
use crate::model::train::{
    exp::{add, exp_sub_sum, row_max, scale},
    gemm::{Matrix, gemm, gemm_strided},
};

/// What was computed on the way.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The histories, projected, with their places added; and as keys and values.
    lived: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    queries: Vec<f32>,
    /// By request and head: how much each candidate attends to each item.
    shares: Vec<Vec<f32>>,
    /// The heads' sums, before they are mixed.
    sums: Vec<f32>,
    /// By candidate.
    pub(super) out: Vec<f32>,
}

fn heads(net: &Net) -> (usize, usize) {
    let super::Body::Attention { heads, .. } = net.shape.body else { return (1, net.shape.p()) };
    (heads as usize, net.shape.p() / heads as usize)
}

fn space(net: &Net) -> u32 {
    net.shape.spaces.history.unwrap_or(0)
}

/// `items` are the first vectors of candidates.
pub(super) fn forward(net: &Net, input: &Input<'_>, items: &[f32]) -> Trace {
    let (p, long, count) = (net.shape.p(), net.shape.places as usize, input.candidates());
    let Some(history) = &input.history else { return Trace::default() };
    let mut lived = net.project(history, space(net), "history.null");
    for row in lived.chunks_exact_mut(long * p) {
        add(row, net.part("history.place"), 1.0);
    }
    let rows = lived.len() / p;
    let times = |from: &[f32], rows: usize, name: &str| {
        let mut to = vec![0f32; rows * p];
        gemm(1.0, Matrix::new(from, rows, p), net.matrix(name), 0.0, &mut to);
        to
    };
    let keys = times(&lived, rows, "attention.key");
    let values = times(&lived, rows, "attention.value");
    let queries = times(items, count, "attention.query");
    let ((heads, width), mut sums) = (heads(net), vec![0f32; count * p]);
    let mut shares = Vec::new();
    for (request, range) in input.ranges.iter().enumerate() {
        let (filled, many) = (input.lived[request] as usize, range.len());
        if filled == 0 || many == 0 {
            // Nothing attends, or nothing is there to attend to; and behind the last row is no place to cut.
            shares.extend((0..heads).map(|_| Vec::new()));
            continue;
        }
        for head in 0..heads {
            let part = |all: &[f32], row: usize| row * p + head * width..all.len();
            let query = Matrix::strided(&queries[part(&queries, range.start)], many, width, p);
            let first = request * long;
            let key = Matrix::strided(&keys[part(&keys, first)], filled, width, p);
            let value = Matrix::strided(&values[part(&values, first)], filled, width, p);
            let mut share = vec![0f32; many * filled];
            gemm(1.0 / (width as f32).sqrt(), query, key.t(), 0.0, &mut share);
            for row in share.chunks_exact_mut(filled) {
                let max = row_max(row);
                let sum = exp_sub_sum(row, max);
                scale(row, 1.0 / sum);
            }
            let to = part(&sums, range.start);
            let weights = Matrix::new(&share, many, filled);
            gemm_strided(1.0, weights, value, 0.0, (&mut sums[to], p));
            shares.push(share);
        }
    }
    let mut out = times(&sums, count, "attention.out");
    for (request, range) in input.ranges.iter().enumerate() {
        if input.lived[request] == 0 {
            let rows = out[range.start * p..range.end * p].chunks_exact_mut(p);
            rows.for_each(|row| row.copy_from_slice(net.part("history.null")));
        }
    }
    Trace { lived, keys, values, queries, shares, sums, out }
}

/// Adds to the gradients of the parameters and to those of the candidates' vectors.
pub(super) fn backward(
    net: &Net,
    input: &Input<'_>,
    (trace, items): (&Trace, &[f32]),
    mut by_out: Vec<f32>,
    (grads, by_items): (&mut [f32], &mut [f32]),
) {
    let (p, long, count) = (net.shape.p(), net.shape.places as usize, input.candidates());
    for (request, range) in input.ranges.iter().enumerate() {
        if input.lived[request] == 0 {
            let to = &mut grads[net.range("history.null")];
            for row in by_out[range.start * p..range.end * p].chunks_exact_mut(p) {
                add(to, row, 1.0);
                row.fill(0.0);
            }
        }
    }
    let by_out = Matrix::new(&by_out, count, p);
    let sums = Matrix::new(&trace.sums, count, p);
    gemm(1.0, sums.t(), by_out, 1.0, &mut grads[net.range("attention.out")]);
    let mut by_sums = vec![0f32; count * p];
    gemm(1.0, by_out, net.matrix("attention.out").t(), 0.0, &mut by_sums);
    let rows = trace.lived.len() / p;
    let (mut by_keys, mut by_values) = (vec![0f32; rows * p], vec![0f32; rows * p]);
    let mut by_queries = vec![0f32; count * p];
    let (heads, width) = heads(net);
    for (request, range) in input.ranges.iter().enumerate() {
        let (filled, many) = (input.lived[request] as usize, range.len());
        if filled == 0 || many == 0 {
            continue;
        }
        for head in 0..heads {
            let (mine, first) = (range.start * p + head * width, request * long * p + head * width);
            let cut = |all: &'_ [f32], at: usize| at..all.len();
            let share = &trace.shares[request * heads + head];
            let weights = Matrix::new(share, many, filled);
            let by_sum = Matrix::strided(&by_sums[cut(&by_sums, mine)], many, width, p);
            let value = Matrix::strided(&trace.values[cut(&trace.values, first)], filled, width, p);
            gemm_strided(1.0, weights.t(), by_sum, 1.0, (&mut by_values[first..], p));
            let mut by_share = vec![0f32; many * filled];
            gemm(1.0, by_sum, value.t(), 0.0, &mut by_share);
            for (grad, share) in by_share.chunks_exact_mut(filled).zip(share.chunks_exact(filled)) {
                let mean: f32 = grad.iter().zip(share).map(|(g, s)| g * s).sum();
                grad.iter_mut().zip(share).for_each(|(g, s)| *g = s * (*g - mean));
            }
            let by_share = Matrix::new(&by_share, many, filled);
            let by = 1.0 / (width as f32).sqrt();
            let key = Matrix::strided(&trace.keys[cut(&trace.keys, first)], filled, width, p);
            let query = Matrix::strided(&trace.queries[cut(&trace.queries, mine)], many, width, p);
            gemm_strided(by, by_share, key, 1.0, (&mut by_queries[mine..], p));
            gemm_strided(by, by_share.t(), query, 1.0, (&mut by_keys[first..], p));
        }
    }
    let mut by_lived = vec![0f32; rows * p];
    for (grad, name) in [(&by_keys, "attention.key"), (&by_values, "attention.value")] {
        let grad = Matrix::new(grad, rows, p);
        let lived = Matrix::new(&trace.lived, rows, p);
        gemm(1.0, lived.t(), grad, 1.0, &mut grads[net.range(name)]);
        gemm(1.0, grad, net.matrix(name).t(), 1.0, &mut by_lived);
    }
    let by_queries = Matrix::new(&by_queries, count, p);
    let from = Matrix::new(items, count, p);
    gemm(1.0, from.t(), by_queries, 1.0, &mut grads[net.range("attention.query")]);
    gemm(1.0, by_queries, net.matrix("attention.query").t(), 1.0, by_items);
    for row in by_lived.chunks_exact(long * p) {
        add(&mut grads[net.range("history.place")], row, 1.0);
    }
    if let Some(history) = &input.history {
        net.project_back(history, (space(net), "history.null"), &by_lived, grads);
    }
}
