//! Mlp: one hidden layer or none, and an answer of length 1; forward and backward by hand.

use crate::model::train::{
    dice::Dice,
    gemm::{Matrix, gemm},
};

/// The sizes of a tower; without hidden numbers it is one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mlp {
    pub(super) input: usize,
    pub(super) hidden: usize,
    pub(super) out: usize,
}

/// What a pass leaves behind for the way back.
pub(super) struct Pass {
    count: usize,
    /// After the ReLU, row by row; empty without a hidden layer.
    hidden: Vec<f32>,
    /// The lengths that rows had.
    lengths: Vec<f32>,
    /// The answers, row by row, of length 1.
    pub(super) out: Vec<f32>,
}

/// Shorter answers than this are taken for this long, so that nothing is divided by 0.
const LENGTH_MIN: f32 = 1e-6;

impl Mlp {
    /// How many numbers it has: the weights of each layer in rows of its output, then its biases.
    pub(super) fn size(&self) -> usize {
        match self.hidden {
            0 => self.input * self.out + self.out,
            h => self.input * h + h + h * self.out + self.out,
        }
    }

    /// Random weights of a variance that keeps lengths (He et al., 2015), no biases.
    pub(super) fn draw(&self, dice: &mut Dice, theta: &mut [f32]) {
        theta.fill(0.0);
        let mut layer = |part: &mut [f32], input: usize, gain: f32| {
            let spread = (gain / input.max(1) as f32).sqrt();
            part.iter_mut().for_each(|weight| *weight = spread * dice.normal());
        };
        match self.hidden {
            0 => layer(&mut theta[..self.input * self.out], self.input, 1.0),
            h => {
                let (first, second) = theta.split_at_mut(self.input * h + h);
                layer(&mut first[..self.input * h], self.input, 2.0);
                layer(&mut second[..h * self.out], h, 1.0);
            }
        }
    }

    /// The two layers' weights and biases; the first has none without a hidden layer.
    fn layers<'t>(&self, theta: &'t [f32]) -> [(&'t [f32], &'t [f32]); 2] {
        let first = self.input * self.hidden;
        let from = if self.hidden == 0 { self.input } else { self.hidden };
        let (one, two) = theta.split_at(first + self.hidden);
        let two = two.split_at(from * self.out);
        [one.split_at(first), (two.0, &two.1[..self.out])]
    }

    /// The answers to `count` rows of input.
    pub(super) fn forward(&self, theta: &[f32], input: &[f32], count: usize) -> Pass {
        let [one, two] = self.layers(theta);
        let mut hidden = Vec::new();
        if self.hidden > 0 {
            hidden = linear(input, (count, self.input, self.hidden), one);
            hidden.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let (from, width) = self.last(input, &hidden);
        let mut out = linear(from, (count, width, self.out), two);
        let length = |row: &mut [f32]| {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(LENGTH_MIN);
            row.iter_mut().for_each(|x| *x /= length);
            length
        };
        let lengths = out.chunks_exact_mut(self.out).map(length).collect();
        Pass { count, hidden, lengths, out }
    }

    fn last<'a>(&self, input: &'a [f32], hidden: &'a [f32]) -> (&'a [f32], usize) {
        if self.hidden == 0 { (input, self.input) } else { (hidden, self.hidden) }
    }

    /// Adds to the gradient of the numbers, given that of the answers; returns that of the input, if
    /// it is wanted.
    pub(super) fn backward(
        &self,
        theta: &[f32],
        (input, pass): (&[f32], &Pass),
        of_out: &[f32],
        grad: &mut [f32],
        wanted: bool,
    ) -> Option<Vec<f32>> {
        let count = pass.count;
        let mut back = of_out[..count * self.out].to_vec();
        let rows = back.chunks_exact_mut(self.out).zip(pass.out.chunks_exact(self.out));
        for ((back, out), length) in rows.zip(&pass.lengths) {
            // What points along the answer would only change its length, which is always 1.
            let along: f32 = back.iter().zip(out).map(|(b, o)| b * o).sum();
            back.iter_mut().zip(out).for_each(|(b, o)| *b = (*b - along * o) / length);
        }
        let [one, two] = self.layers(theta);
        let (from, width) = self.last(input, &pass.hidden);
        let cut = self.input * self.hidden + self.hidden;
        let (grad_one, grad_two) = grad.split_at_mut(cut);
        learn(from, (count, width, self.out), &back, grad_two);
        if self.hidden == 0 {
            return wanted.then(|| turned(&back, (count, self.out, width), two.0));
        }
        let mut of_hidden = turned(&back, (count, self.out, self.hidden), two.0);
        let alive = of_hidden.iter_mut().zip(&pass.hidden);
        alive.filter(|(_, x)| **x <= 0.0).for_each(|(back, _)| *back = 0.0);
        learn(input, (count, self.input, self.hidden), &of_hidden, grad_one);
        wanted.then(|| turned(&of_hidden, (count, self.hidden, self.input), one.0))
    }
}

/// `input * weights + biases`.
fn linear(
    input: &[f32],
    (count, from, to): (usize, usize, usize),
    (weights, biases): (&[f32], &[f32]),
) -> Vec<f32> {
    let mut out = biases.repeat(count);
    gemm(1.0, Matrix::new(input, count, from), Matrix::new(weights, from, to), 1.0, &mut out);
    out
}

/// Adds to the gradients of weights and biases, which lie end to end.
fn learn(input: &[f32], (count, from, to): (usize, usize, usize), back: &[f32], grad: &mut [f32]) {
    let (weights, biases) = grad.split_at_mut(from * to);
    let input = Matrix::new(input, count, from);
    gemm(1.0, input.t(), Matrix::new(back, count, to), 1.0, weights);
    for row in back.chunks_exact(to) {
        biases.iter_mut().zip(row).for_each(|(bias, x)| *bias += x);
    }
}

/// The gradient of a layer's input.
fn turned(back: &[f32], (count, to, from): (usize, usize, usize), weights: &[f32]) -> Vec<f32> {
    let mut input = vec![0f32; count * from];
    let weights = Matrix::new(weights, from, to);
    gemm(1.0, Matrix::new(back, count, to), weights.t(), 0.0, &mut input);
    input
}
