//! Layers: products with weights, norms, activations and dropout, each with its way back.

use super::architecture::{Activation, Dense, Norm};
use crate::model::train::{
    exp::exp,
    gemm::{Matrix, gemm, gemm_strided},
    wide::wide,
};

impl Dense {
    /// `out = x W + b`, where `x` has `rows` rows.
    pub(crate) fn forward(&self, theta: &[f32], x: &[f32], rows: usize, out: &mut Vec<f32>) {
        out.resize(rows * self.outputs, 0.0);
        self.slice(theta, 0..self.outputs, x, rows, out);
    }

    /// Only some of the outputs; the others of `out` stay as they are.
    pub(crate) fn slice(
        &self,
        theta: &[f32],
        columns: std::ops::Range<usize>,
        x: &[f32],
        rows: usize,
        out: &mut [f32],
    ) {
        if rows == 0 {
            return;
        }
        let bias = &theta[self.bias..][columns.clone()];
        for row in out.chunks_exact_mut(self.outputs).take(rows) {
            row[columns.clone()].copy_from_slice(bias);
        }
        let x = Matrix::new(x, rows, self.inputs);
        let w = self.weights(theta, &columns);
        gemm_strided(1.0, x, w, 1.0, (&mut out[columns.start..], self.outputs));
    }

    fn weights<'a>(&self, theta: &'a [f32], columns: &std::ops::Range<usize>) -> Matrix<'a> {
        let weights = &theta[self.weight..][..self.inputs * self.outputs];
        Matrix::strided(&weights[columns.start..], self.inputs, columns.len(), self.outputs)
    }

    /// Adds to the gradient of the weights, and writes (`keep` 0) or adds (`keep` 1) to that of `x`.
    pub(crate) fn backward(
        &self,
        (theta, grad): (&[f32], &mut [f32]),
        (x, rows): (&[f32], usize),
        d_out: &[f32],
        (d_x, keep): (&mut [f32], f32),
    ) {
        self.slice_backward((theta, grad), 0..self.outputs, (x, rows), d_out, (d_x, keep));
    }

    /// Adds to the gradient of the weights alone: of a first layer nobody asks for that of `x`.
    pub(crate) fn weigh(&self, grad: &mut [f32], (x, rows): (&[f32], usize), d_out: &[f32]) {
        if rows == 0 {
            return;
        }
        let (x, d) = (Matrix::new(x, rows, self.inputs), Matrix::new(d_out, rows, self.outputs));
        gemm(1.0, x.t(), d, 1.0, &mut grad[self.weight..][..self.inputs * self.outputs]);
        sum_rows(d_out, self.outputs, rows, &mut grad[self.bias..][..self.outputs]);
    }

    /// The way back of [`Dense::slice`].
    pub(crate) fn slice_backward(
        &self,
        (theta, grad): (&[f32], &mut [f32]),
        columns: std::ops::Range<usize>,
        (x, rows): (&[f32], usize),
        d_out: &[f32],
        (d_x, keep): (&mut [f32], f32),
    ) {
        if rows == 0 {
            return;
        }
        let x = Matrix::new(x, rows, self.inputs);
        let d_out = &d_out[columns.start..];
        let d = Matrix::strided(d_out, rows, columns.len(), self.outputs);
        let d_w = &mut grad[self.weight + columns.start..self.weight + self.inputs * self.outputs];
        gemm_strided(1.0, x.t(), d, 1.0, (d_w, self.outputs));
        let d_b = &mut grad[self.bias..][columns.clone()];
        sum_rows(d_out, self.outputs, rows, d_b);
        gemm(1.0, d, self.weights(theta, &columns).t(), keep, d_x);
    }
}

impl Norm {
    /// `out = hat * weight + bias`, where `hat` has mean 0 and variance 1 in each row of `x`. Keeps
    /// `hat`, and per row one over the standard deviation.
    pub(crate) fn forward(
        &self,
        theta: &[f32],
        (dim, eps): (usize, f32),
        x: &[f32],
        (hat, inverse): (&mut Vec<f32>, &mut Vec<f32>),
        out: &mut Vec<f32>,
    ) {
        hat.resize(x.len(), 0.0);
        out.resize(x.len(), 0.0);
        inverse.resize(x.len() / dim, 0.0);
        norm(x, &theta[self.0..][..dim], &theta[self.1..][..dim], eps, hat, inverse, out);
    }

    /// Adds to the gradients of the weights, and to that of `x`.
    pub(crate) fn backward(
        &self,
        (theta, grad): (&[f32], &mut [f32]),
        dim: usize,
        (hat, inverse): (&[f32], &[f32]),
        d_out: &[f32],
        d_x: &mut [f32],
    ) {
        let (before, biases) = grad.split_at_mut(self.1);
        let d_weight = &mut before[self.0..][..dim];
        norm_back(&theta[self.0..][..dim], hat, inverse, d_out, d_weight, &mut biases[..dim], d_x);
    }
}

wide! {
    fn norm(
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
        hat: &mut [f32],
        inverse: &mut [f32],
        out: &mut [f32],
    ) {
        let dim = weight.len();
        let rows = x.chunks_exact(dim).zip(hat.chunks_exact_mut(dim));
        for (((x, hat), inverse), out) in rows.zip(inverse).zip(out.chunks_exact_mut(dim)) {
            let mean = sum([x]) / dim as f32;
            hat.iter_mut().zip(x).for_each(|(hat, x)| *hat = x - mean);
            let variance = sum([&*hat, &*hat]) / dim as f32;
            *inverse = 1.0 / (variance + eps).sqrt();
            for (((out, hat), weight), bias) in out.iter_mut().zip(hat).zip(weight).zip(bias) {
                *hat *= *inverse;
                *out = *hat * weight + bias;
            }
        }
    }

    fn norm_back(
        weight: &[f32],
        hat: &[f32],
        inverse: &[f32],
        d_out: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
        d_x: &mut [f32],
    ) {
        let dim = weight.len();
        let rows = hat.chunks_exact(dim).zip(d_out.chunks_exact(dim));
        for (((hat, d_out), inverse), d_x) in rows.zip(inverse).zip(d_x.chunks_exact_mut(dim)) {
            for (((d_w, d_b), d), hat) in d_weight.iter_mut().zip(&mut *d_bias).zip(d_out).zip(hat) {
                *d_w += d * hat;
                *d_b += d;
            }
            let mean = sum([d_out, weight]) / dim as f32;
            let slope = sum([d_out, weight, hat]) / dim as f32;
            for (((d_x, d), w), hat) in d_x.iter_mut().zip(d_out).zip(weight).zip(hat) {
                *d_x += (d * w - mean - hat * slope) * inverse;
            }
        }
    }

    /// Adds up rows of `columns.len()` numbers that begin every `stride`.
    fn sum_rows(x: &[f32], stride: usize, rows: usize, sums: &mut [f32]) {
        for row in x.chunks(stride).take(rows) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }

    /// Applies an activation, from `x` to `out`.
    fn activate(kind: u8, x: &[f32], out: &mut [f32]) {
        match kind {
            0 => out.copy_from_slice(x),
            1 => out.iter_mut().zip(x).for_each(|(o, x)| *o = if *x > 0.0 { *x } else { 0.0 }),
            2 => out.iter_mut().zip(x).for_each(|(o, x)| *o = x * phi(*x).0),
            _ => out.iter_mut().zip(x).for_each(|(o, x)| *o = 0.5 * x * (1.0 + tanh(bend(*x).0))),
        }
    }

    /// Turns the gradient of what came out into that of `x`.
    fn activate_back(kind: u8, x: &[f32], d: &mut [f32]) {
        match kind {
            0 => {}
            1 => d.iter_mut().zip(x).for_each(|(d, x)| *d = if *x > 0.0 { *d } else { 0.0 }),
            2 => d.iter_mut().zip(x).for_each(|(d, x)| {
                let (phi, density) = phi(*x);
                *d *= phi + x * density;
            }),
            _ => d.iter_mut().zip(x).for_each(|(d, x)| {
                let (bent, slope) = bend(*x);
                let t = tanh(bent);
                *d *= 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope;
            }),
        }
    }

    /// Sets numbers to 0 by chance, and makes up for it: `x * scale` where the hash of a place is at
    /// least `below`. The same key drops the same places, so the way back is the same call.
    fn drop_some(x: &mut [f32], key: u32, below: u32, scale: f32) {
        for (at, x) in (0u32..).zip(x) {
            *x = if hash(at ^ key) >= below { *x * scale } else { 0.0 };
        }
    }

    /// `to += x`
    pub(crate) fn add_all(to: &mut [f32], x: &[f32]) {
        to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
    }
}

/// Sums of products in sixteen lanes, so that they can be vector instructions. Of the one, two or
/// three rows all are as long as the first.
#[inline(always)]
fn sum<const N: usize>(rows: [&[f32]; N]) -> f32 {
    let mut lanes = [0f32; 16];
    let whole = rows[0].len() / 16 * 16;
    let parts = rows.map(|row| row.split_at(whole.min(row.len())));
    let chunks = parts.map(|(whole, _)| whole.as_chunks::<16>().0);
    for at in 0..chunks[0].len() {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += chunks.iter().map(|row| row[at][lane]).product::<f32>();
        }
    }
    for (at, lane) in lanes.iter_mut().enumerate().take(rows[0].len() - whole) {
        *lane += parts.iter().map(|(_, rest)| rest[at]).product::<f32>();
    }
    lanes.iter().sum()
}

/// The normal distribution: its cumulative function and its density (Abramowitz and Stegun 7.1.26,
/// good to 1.5e-7).
#[inline(always)]
fn phi(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let bell = exp(-z * z);
    let tail = 0.5 * poly * bell;
    let cumulative = if x > 0.0 { 1.0 - tail } else { tail };
    (cumulative, bell * 0.398_942_3)
}

/// What GPT-2 takes the tangent of, and its slope.
#[inline(always)]
fn bend(x: f32) -> (f32, f32) {
    let c = 0.797_884_6;
    (c * (x + 0.044_715 * x * x * x), c * (1.0 + 3.0 * 0.044_715 * x * x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    let t = (1.0 - e) / (1.0 + e);
    if x < 0.0 { -t } else { t }
}

/// A hash whose bits are even (Chris Wellons's lowbias32).
#[inline(always)]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

impl Activation {
    pub(crate) fn forward(self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        activate(self as u8, x, out);
    }

    pub(crate) fn backward(self, x: &[f32], d: &mut [f32]) {
        activate_back(self as u8, x, d);
    }
}

/// Dropout of one micro-batch: a share of numbers, and a key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drop {
    pub(crate) share: f32,
    pub(crate) key: u32,
}

impl Drop {
    /// At a place of the network; each place has its own number.
    pub(crate) fn apply(self, place: u32, x: &mut [f32]) {
        if self.share > 0.0 {
            let below = (f64::from(self.share) * 4_294_967_296.0) as u32;
            let key = hash(self.key ^ hash(place.wrapping_add(1)));
            drop_some(x, key, below, 1.0 / (1.0 - self.share));
        }
    }
}
