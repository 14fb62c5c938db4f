//! Layers: a multi-layer perceptron with ReLU between its layers, forward and backward by hand.

use crate::{
    error::Result,
    model::train::{
        dice::Dice,
        exp::add,
        gemm::{Matrix, gemm},
    },
    semantic::Encoder,
};

/// How many numbers go in, and how many each layer says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layers(pub(super) Vec<usize>);

impl Layers {
    /// How many parameters there are: the weights of each layer in rows of its input, then its biases.
    pub(super) fn size(&self) -> usize {
        self.pairs().map(|(from, to)| (from + 1) * to).sum()
    }

    fn pairs(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator + '_ {
        self.0.windows(2).map(|two| (two[0], two[1]))
    }

    /// Weights and biases of each layer.
    fn parts<'t>(&self, mut theta: &'t [f32]) -> Vec<(&'t [f32], &'t [f32])> {
        let part = |(from, to): (usize, usize)| {
            let (own, rest) = theta.split_at((from + 1) * to);
            theta = rest;
            own.split_at(from * to)
        };
        self.pairs().map(part).collect()
    }

    /// Random weights of a variance that keeps lengths (He et al. 2015), no biases.
    pub(super) fn draw(&self, dice: &mut Dice) -> Vec<f32> {
        let (mut theta, last) = (Vec::with_capacity(self.size()), self.0.len().saturating_sub(2));
        for (at, (from, to)) in self.pairs().enumerate() {
            let gain = if at == last { 1.0 } else { 2.0 };
            let spread = (gain / from.max(1) as f32).sqrt();
            theta.extend((0..from * to).map(|_| spread * dice.normal()));
            theta.resize(theta.len() + to, 0.0);
        }
        theta
    }

    /// What each layer says of some rows; the last is the answer.
    pub(super) fn forward(&self, theta: &[f32], rows: &[f32]) -> Vec<Vec<f32>> {
        let count = rows.len() / self.0[0];
        let (parts, mut said) = (self.parts(theta), Vec::<Vec<f32>>::with_capacity(self.0.len()));
        for (at, ((from, to), (weights, biases))) in self.pairs().zip(&parts).enumerate() {
            let mut out = biases.repeat(count);
            let input = Matrix::new(said.last().map_or(rows, Vec::as_slice), count, from);
            gemm(1.0, input, Matrix::new(weights, to, from).t(), 1.0, &mut out);
            if at + 1 < parts.len() {
                out.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            said.push(out);
        }
        said
    }

    /// Adds to the gradients of the parameters, given those of the answer; says those of the rows, if
    /// they are wanted.
    pub(super) fn backward(
        &self,
        theta: &[f32],
        (rows, said): (&[f32], &[Vec<f32>]),
        by_answer: Vec<f32>,
        grads: &mut [f32],
        wanted: bool,
    ) -> Vec<f32> {
        let count = rows.len() / self.0[0];
        let (parts, mut by, mut end) = (self.parts(theta), by_answer, self.size());
        for (at, ((from, to), (weights, _))) in self.pairs().zip(&parts).enumerate().rev() {
            let own = &mut grads[end - (from + 1) * to..end];
            end -= own.len();
            let (by_weights, by_biases) = own.split_at_mut(from * to);
            let input = at.checked_sub(1).map_or(rows, |before| &said[before]);
            let back = Matrix::new(&by, count, to);
            gemm(1.0, back.t(), Matrix::new(input, count, from), 1.0, by_weights);
            by.chunks_exact(to).for_each(|row| add(by_biases, row, 1.0));
            if at == 0 && !wanted {
                return Vec::new();
            }
            let mut by_input = vec![0f32; count * from];
            gemm(1.0, back, Matrix::new(weights, to, from), 0.0, &mut by_input);
            if at > 0 {
                let dead = by_input.iter_mut().zip(input).filter(|(_, x)| **x <= 0.0);
                dead.for_each(|(by, _)| *by = 0.0);
            }
            by = by_input;
        }
        by
    }

    /// As part of a codebook, for rows that were not multiplied by `before`, and answers by `after`.
    pub(super) fn encoder(&self, theta: &[f32], (before, after): (f32, f32)) -> Result<Encoder> {
        let (parts, mut encoder) = (self.parts(theta), Encoder::new(self.0[0]));
        for (at, (weights, biases)) in parts.iter().enumerate() {
            let out = if at + 1 == parts.len() { after } else { 1.0 };
            let by = if at == 0 { before * out } else { out };
            let scaled = |numbers: &[f32], by: f32| numbers.iter().map(|x| x * by).collect();
            encoder = encoder.layer(scaled(weights, by), scaled(biases, out))?;
        }
        Ok(encoder)
    }
}
