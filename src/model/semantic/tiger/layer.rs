//! Layer: the arithmetic of one block: norms without means, products without biases, softmax.

use super::{
    layout::{Feed, Part},
    network::Network,
    shape::Activation,
};
use crate::model::train::{
    exp::{dot, exp, exp_sub_sum, row_max, scale},
    gemm::{Matrix, gemm},
    wide::wide,
};

/// Rows of a product at a time, so that what lies between two products stays in bounds and in cache.
const ROWS: usize = 256;

impl Network {
    /// `out = x W^T + keep * out`, where `W` has a row for each number of `out`.
    pub(crate) fn product(&self, part: usize, x: &[f32], keep: f32, out: &mut [f32]) {
        let Part { shape, turned, .. } = &self.layout.parts[part];
        let (outputs, inputs, weights) = (shape[0], shape[1], &self.parts[part]);
        if *turned && x.len() == inputs {
            // To pack weights for one row costs more than to use them once.
            match keep {
                0.0 => out.fill(0.0),
                _ => out.iter_mut().for_each(|out| *out *= keep),
            }
            return weigh(x, weights, out);
        }
        let x = Matrix::new(x, x.len() / inputs, inputs);
        match turned {
            true => gemm(1.0, x, Matrix::new(weights, inputs, outputs), keep, out),
            false => gemm(1.0, x, Matrix::new(weights, outputs, inputs).t(), keep, out),
        }
    }

    /// `x` over the root of its mean square, row by row, times the weights.
    pub(crate) fn norm(&self, part: usize, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        let weights = &self.parts[part];
        let rows = x.chunks_exact(weights.len()).zip(out.chunks_exact_mut(weights.len()));
        for (x, out) in rows {
            let mean = dot(x, x) / weights.len() as f32;
            times(x, weights, 1.0 / (mean + self.shape.eps).sqrt(), out);
        }
    }

    /// Adds what the feed-forward network says of `x` to it.
    pub(crate) fn feed(&self, feed: &Feed, x: &mut [f32], space: &mut Space) {
        let (dim, inner) = (self.shape.d_model, self.shape.d_ff);
        for x in x.chunks_mut(ROWS * dim) {
            self.norm(feed.norm, x, &mut space.normed);
            let numbers = x.len() / dim * inner;
            space.inner.resize(numbers, 0.0);
            self.product(feed.inner, &space.normed, 0.0, &mut space.inner);
            match (self.shape.activation, feed.gate) {
                (Activation::GatedGelu, Some(gate)) => {
                    space.gate.resize(numbers, 0.0);
                    self.product(gate, &space.normed, 0.0, &mut space.gate);
                    gelu_times(&mut space.inner, &space.gate);
                }
                _ => relu(&mut space.inner),
            }
            self.product(feed.outer, &space.inner, 1.0, x);
        }
    }
}

/// What lies between products; kept, so that nothing is asked of memory twice.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) normed: Vec<f32>,
    pub(crate) query: Vec<f32>,
    pub(crate) scores: Vec<f32>,
    pub(crate) mixed: Vec<f32>,
    inner: Vec<f32>,
    gate: Vec<f32>,
}

/// Turns scores into shares.
pub(crate) fn softmax(row: &mut [f32]) {
    let sum = exp_sub_sum(row, row_max(row));
    scale(row, 1.0 / sum);
}

wide! {
    /// Adds each row of a matrix to `out`, as often as `x` says.
    fn weigh(x: &[f32], rows: &[f32], out: &mut [f32]) {
        for (x, row) in x.iter().zip(rows.chunks_exact(out.len())) {
            for (out, number) in out.iter_mut().zip(row) {
                *out += *x * *number;
            }
        }
    }

    fn times(x: &[f32], weights: &[f32], by: f32, out: &mut [f32]) {
        for ((x, weight), out) in x.iter().zip(weights).zip(out) {
            *out = *weight * (*x * by);
        }
    }

    fn relu(x: &mut [f32]) {
        // A comparison would turn what is no number into 0, and nobody would notice.
        x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
    }

    /// GELU in its tanh form, times the gate.
    fn gelu_times(x: &mut [f32], gate: &[f32]) {
        for (x, gate) in x.iter_mut().zip(gate) {
            let u = 0.797_884_6 * (*x + 0.044_715 * *x * *x * *x);
            let tanh = 1.0 - 2.0 / (exp(2.0 * u) + 1.0);
            *x = 0.5 * *x * (1.0 + tanh) * *gate;
        }
    }
}
