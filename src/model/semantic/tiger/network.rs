//! Network: the weights, and the encoder's pass over a history.

use super::{
    layer::{Space, softmax},
    layout::{Attention, Layout, Part},
    positions::biases,
    shape::Shape,
};
use crate::{
    error::Result,
    model::train::gemm::{Matrix, gemm_strided},
};

/// A network in use: its shape, and its tensors as the layout has them.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
    pub(crate) parts: Vec<Vec<f32>>,
}

/// What the decoder looks at, the same in every step: keys and values of one of its blocks.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

impl Network {
    /// Of tensors that `take` gives by their places; it must keep to their shapes, and give finite
    /// numbers, transposed where a part says so.
    pub(crate) fn new(
        shape: Shape,
        mut take: impl FnMut(usize, &Part) -> Result<Vec<f32>>,
    ) -> Result<Network> {
        shape.check()?;
        let layout = Layout::new(&shape);
        let parts = layout.parts.iter().enumerate().map(|(at, part)| take(at, part));
        let parts = parts.collect::<Result<Vec<Vec<f32>>>>()?;
        Ok(Network { shape, layout, parts })
    }

    /// The vectors of tokens, end to end.
    pub(crate) fn embed(&self, tokens: impl Iterator<Item = usize>, x: &mut Vec<f32>) {
        let (table, dim) = (&self.parts[self.layout.tokens], self.shape.d_model);
        x.clear();
        tokens.for_each(|token| x.extend_from_slice(&table[token * dim..][..dim]));
    }

    /// What the encoder says of some tokens, as each block of the decoder looks at it.
    pub(crate) fn encode(&self, tokens: &[usize]) -> Vec<Looked> {
        let (mut space, mut x) = (Space::default(), Vec::new());
        self.embed(tokens.iter().copied(), &mut x);
        let stack = &self.layout.encoder;
        let ahead = tokens.len() as isize - 1;
        let biases = biases(&self.shape, &self.parts[stack.positions], (-ahead, ahead), true);
        for block in &stack.blocks {
            self.attend(&block.attention, &biases, &mut x, &mut space);
            self.feed(&block.feed, &mut x, &mut space);
        }
        self.norm(stack.norm, &x, &mut space.normed);
        let crosses = self.layout.decoder.blocks.iter().filter_map(|block| block.cross);
        let look = |attention: Attention| self.look(&attention, &space.normed);
        crosses.map(look).collect()
    }

    /// Keys and values of tokens.
    pub(crate) fn look(&self, attention: &Attention, x: &[f32]) -> Looked {
        let numbers = x.len() / self.shape.d_model * self.shape.inner();
        let (mut keys, mut values) = (vec![0.0; numbers], vec![0.0; numbers]);
        self.product(attention.key, x, 0.0, &mut keys);
        self.product(attention.value, x, 0.0, &mut values);
        Looked { keys, values }
    }

    /// Every token looks at all tokens. T5 does not divide by the root of the head's size.
    fn attend(&self, attention: &Attention, biases: &[Vec<f32>], x: &mut [f32], space: &mut Space) {
        let n = x.len() / self.shape.d_model;
        self.norm(attention.norm, x, &mut space.normed);
        let looked = self.look(attention, &space.normed);
        // Token 0 looks from 0 to n - 1 ahead, which is the end of the list; the next from -1 on.
        let bias = |head: usize, row: usize| &biases[head][n - 1 - row..][..n];
        self.mix(attention, &looked, bias, space);
        self.product(attention.output, &space.mixed, 1.0, x);
    }

    /// From the normed rows and what they look at to `mixed`. `bias` is added to the scores of a
    /// head and a row: nothing, where it is empty.
    pub(crate) fn mix<'a>(
        &self,
        attention: &Attention,
        looked: &Looked,
        bias: impl Fn(usize, usize) -> &'a [f32],
        space: &mut Space,
    ) {
        let (each, inner) = (self.shape.d_kv, self.shape.inner());
        let (rows, n) = (space.normed.len() / self.shape.d_model, looked.keys.len() / inner);
        space.query.resize(rows * inner, 0.0);
        space.mixed.resize(rows * inner, 0.0);
        space.scores.resize(rows * n, 0.0);
        self.product(attention.query, &space.normed, 0.0, &mut space.query);
        if rows == 0 {
            return;
        }
        for head in 0..self.shape.heads {
            let part = |of: &'_ [f32]| head * each..of.len();
            let scores = &mut space.scores;
            for (row, scores) in scores.chunks_exact_mut(n).enumerate() {
                match bias(head, row) {
                    [] => scores.fill(0.0),
                    bias => scores.copy_from_slice(bias),
                }
            }
            let query = Matrix::strided(&space.query[part(&space.query)], rows, each, inner);
            let keys = Matrix::strided(&looked.keys[part(&looked.keys)], n, each, inner);
            gemm_strided(1.0, query, keys.t(), 1.0, (scores, n));
            scores.chunks_exact_mut(n).for_each(softmax);
            let values = Matrix::strided(&looked.values[part(&looked.values)], n, each, inner);
            let mixed = &mut space.mixed[head * each..];
            gemm_strided(1.0, Matrix::new(scores, rows, n), values, 0.0, (mixed, inner));
        }
    }
}
