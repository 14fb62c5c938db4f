//! Pass: what a transformer computes for a micro-batch, forwards and back.

use super::{
    architecture::{Architecture, Block, Layout, Norm, Order},
    attention::{Attention, Tokens},
    layer::{Drop, add_all},
    trained::NOWHERE,
};

/// What a norm keeps for its way back.
#[derive(Debug, Default)]
struct NormTrace {
    hat: Vec<f32>,
    inverse: Vec<f32>,
}

/// What a block keeps for its way back.
#[derive(Debug, Default)]
struct BlockTrace {
    norms: [NormTrace; 3],
    /// What went in, and what queries are made of.
    x: Vec<f32>,
    asks: Vec<f32>,
    qkv: Vec<f32>,
    shares: Vec<f32>,
    mixed: Vec<f32>,
    /// Into the feed-forward part, between its layers, and after its activation.
    fed: Vec<f32>,
    bent: Vec<f32>,
    active: Vec<f32>,
}

/// All that a pass writes, kept from one to the next: memory is asked for once.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    blocks: Vec<BlockTrace>,
    embed: NormTrace,
    last: NormTrace,
    /// The states: one row per token.
    pub(crate) states: Vec<f32>,
    /// Their gradient, to be set before the way back.
    pub(crate) d_states: Vec<f32>,
    /// Afterwards the gradient of what was taken from the item table, times `scale`.
    pub(crate) d_items: Vec<f32>,
    spare: [Vec<f32>; 4],
}

/// An architecture with its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) layout: &'a Layout,
    /// Laid out as [`Layout`] says.
    pub(crate) theta: &'a [f32],
    /// The item table.
    pub(crate) items: &'a [f32],
}

impl Net<'_> {
    fn attention(&self) -> Attention {
        let a = self.architecture;
        Attention {
            dim: a.dim as usize,
            heads: a.heads as usize,
            causal: a.causal,
            padding: (a.padding, a.positions as usize),
        }
    }

    fn norm(&self, norm: Norm, x: &[f32], trace: &mut NormTrace, out: &mut Vec<f32>) {
        let shape = (self.architecture.dim as usize, self.architecture.eps);
        norm.forward(self.theta, shape, x, (&mut trace.hat, &mut trace.inverse), out);
    }

    /// The states of all tokens, in `trace.states`: those of the last block, normed or not.
    pub(crate) fn forward(&self, tokens: &Tokens, drop: Drop, trace: &mut Trace) {
        let a = self.architecture;
        let (dim, rows) = (a.dim as usize, tokens.len());
        trace.blocks.resize_with(self.layout.blocks.len(), BlockTrace::default);
        let mut x = std::mem::take(&mut trace.states);
        x.clear();
        for (item, place) in tokens.items.iter().zip(&tokens.places) {
            let item = &self.items[*item as usize * dim..][..dim];
            if *place == NOWHERE {
                x.extend(item.iter().map(|item| item * a.scale));
                continue;
            }
            let place = &self.theta[self.layout.positions + *place as usize * dim..][..dim];
            x.extend(item.iter().zip(place).map(|(item, place)| item * a.scale + place));
        }
        if let Some(norm) = self.layout.embed_norm {
            let raw = std::mem::take(&mut trace.spare[0]);
            let raw = std::mem::replace(&mut x, raw);
            self.norm(norm, &raw, &mut trace.embed, &mut x);
            trace.spare[0] = raw;
        }
        drop.apply(0, &mut x);
        for (at, block) in (0u32..).zip(&self.layout.blocks) {
            let mut own = std::mem::take(&mut trace.blocks[at as usize]);
            self.block(block, (tokens, rows), (drop, 2 * at + 1), &mut own, (&mut x, trace));
            trace.blocks[at as usize] = own;
        }
        if let Some(norm) = self.layout.final_norm {
            let raw = std::mem::take(&mut trace.spare[0]);
            let raw = std::mem::replace(&mut x, raw);
            self.norm(norm, &raw, &mut trace.last, &mut x);
            trace.spare[0] = raw;
        }
        trace.states = x;
    }

    /// From `x` to what comes out, in its place.
    fn block(
        &self,
        block: &Block,
        (tokens, rows): (&Tokens, usize),
        (drop, place): (Drop, u32),
        own: &mut BlockTrace,
        (x, trace): (&mut Vec<f32>, &mut Trace),
    ) {
        let (dim, order) = (self.architecture.dim as usize, self.architecture.order);
        own.x.clone_from(x);
        match block.norm1 {
            Some(norm) => self.norm(norm, x, &mut own.norms[0], &mut own.asks),
            None => own.asks.clone_from(x),
        }
        own.qkv.resize(rows * 3 * dim, 0.0);
        let dense = &block.attention;
        if order == Order::Kang {
            dense.slice(self.theta, 0..dim, &own.asks, rows, &mut own.qkv);
            dense.slice(self.theta, dim..3 * dim, &own.x, rows, &mut own.qkv);
            x.clone_from(&own.asks);
        } else {
            dense.slice(self.theta, 0..3 * dim, &own.asks, rows, &mut own.qkv);
        }
        let bias = &self.theta[dense.bias..][..3 * dim];
        let out = (&mut own.shares, &mut own.mixed);
        self.attention().forward(tokens, &own.qkv, bias, out);
        let spare = &mut trace.spare[0];
        match block.output {
            Some(output) => output.forward(self.theta, &own.mixed, rows, spare),
            None => spare.clone_from(&own.mixed),
        }
        drop.apply(place, spare);
        add_all(x, spare);
        self.norm(block.norm2, x, &mut own.norms[1], &mut own.fed);
        block.inner.forward(self.theta, &own.fed, rows, &mut own.bent);
        self.architecture.activation.forward(&own.bent, &mut own.active);
        block.outer.forward(self.theta, &own.active, rows, spare);
        drop.apply(place + 1, spare);
        if order != Order::Pre {
            x.clone_from(&own.fed);
        }
        add_all(x, spare);
        if let Some(norm) = block.norm3 {
            spare.clone_from(x);
            self.norm(norm, spare, &mut own.norms[2], x);
        }
    }

    /// Adds to the gradient of `theta`, given that of the states in `trace.d_states`; writes that of
    /// what was taken from the item table. After `forward` of the same tokens.
    pub(crate) fn backward(
        &self,
        tokens: &Tokens,
        drop: Drop,
        trace: &mut Trace,
        grad: &mut [f32],
    ) {
        let a = self.architecture;
        let dim = a.dim as usize;
        let mut d = std::mem::take(&mut trace.d_states);
        if let Some(norm) = self.layout.final_norm {
            self.norm_back(norm, &trace.last, &mut d, &mut trace.spare[0], grad);
        }
        for (at, block) in self.layout.blocks.iter().enumerate().rev() {
            let own = std::mem::take(&mut trace.blocks[at]);
            let places = (drop, 2 * at as u32 + 1);
            self.block_back(block, tokens, places, &own, (&mut d, trace, grad));
            trace.blocks[at] = own;
        }
        drop.apply(0, &mut d);
        if let Some(norm) = self.layout.embed_norm {
            self.norm_back(norm, &trace.embed, &mut d, &mut trace.spare[0], grad);
        }
        for (d, place) in d.chunks_exact(dim).zip(&tokens.places) {
            add_all(&mut grad[self.layout.positions + *place as usize * dim..][..dim], d);
        }
        if a.scale != 1.0 {
            d.iter_mut().for_each(|d| *d *= a.scale);
        }
        trace.d_states = std::mem::replace(&mut trace.d_items, d);
    }

    /// From the gradient of what a norm gave to that of what it got, in place.
    fn norm_back(
        &self,
        norm: Norm,
        trace: &NormTrace,
        d: &mut Vec<f32>,
        spare: &mut Vec<f32>,
        grad: &mut [f32],
    ) {
        spare.clear();
        spare.resize(d.len(), 0.0);
        let dim = self.architecture.dim as usize;
        norm.backward((self.theta, grad), dim, (&trace.hat, &trace.inverse), d, spare);
        std::mem::swap(d, spare);
    }

    /// From the gradient of what came out of a block to that of what went in, in `d`.
    fn block_back(
        &self,
        block: &Block,
        tokens: &Tokens,
        (drop, place): (Drop, u32),
        own: &BlockTrace,
        (d, trace, grad): (&mut Vec<f32>, &mut Trace, &mut [f32]),
    ) {
        let (dim, order, rows) =
            (self.architecture.dim as usize, self.architecture.order, tokens.len());
        let [branch, wide, fed, scratch] = &mut trace.spare;
        if let Some(norm) = block.norm3 {
            self.norm_back(norm, &own.norms[2], d, branch, grad);
        }
        // Into the feed-forward part, and around it.
        branch.clone_from(d);
        drop.apply(place + 1, branch);
        wide.resize(own.bent.len(), 0.0);
        let both = (self.theta, &mut *grad);
        block.outer.backward(both, (&own.active, rows), branch, (wide, 0.0));
        self.architecture.activation.backward(&own.bent, wide);
        fed.resize(rows * dim, 0.0);
        let both = (self.theta, &mut *grad);
        if order == Order::Pre {
            block.inner.backward(both, (&own.fed, rows), wide, (fed, 0.0));
        } else {
            fed.clone_from(d);
            block.inner.backward(both, (&own.fed, rows), wide, (fed, 1.0));
            d.fill(0.0);
        }
        let kept = (&own.norms[1].hat[..], &own.norms[1].inverse[..]);
        block.norm2.backward((self.theta, &mut *grad), dim, kept, fed, d);
        // Into attention, and around it. `d` is now the gradient of the sum of both.
        branch.clone_from(d);
        drop.apply(place, branch);
        let mixed = match block.output {
            Some(output) => {
                let both = (self.theta, &mut *grad);
                output.backward(both, (&own.mixed, rows), branch, (fed, 0.0));
                fed
            }
            None => branch,
        };
        let there = (&own.qkv[..], &own.shares[..]);
        self.attention().backward(tokens, there, mixed, (wide, scratch));
        let dense = &block.attention;
        let asks = scratch;
        asks.resize(asks.len().max(rows * dim), 0.0);
        let asks = &mut asks[..rows * dim];
        match order {
            Order::Pre => {
                let both = (self.theta, &mut *grad);
                dense.backward(both, (&own.asks, rows), wide, (asks, 0.0));
            }
            Order::Post => {
                let both = (self.theta, &mut *grad);
                dense.backward(both, (&own.asks, rows), wide, (d, 1.0));
            }
            Order::Kang => {
                asks.copy_from_slice(d);
                let both = (self.theta, &mut *grad);
                dense.slice_backward(both, 0..dim, (&own.asks, rows), wide, (asks, 1.0));
                let both = (self.theta, &mut *grad);
                dense.slice_backward(both, dim..3 * dim, (&own.x, rows), wide, (d, 0.0));
            }
        }
        if let Some(norm) = block.norm1 {
            let kept = (&own.norms[0].hat[..], &own.norms[0].inverse[..]);
            norm.backward((self.theta, grad), dim, kept, asks, d);
        }
    }

    /// From states to what is compared with items: the head, if there is one.
    pub(crate) fn head(&self, states: &mut Vec<f32>, trace: &mut HeadTrace) {
        let Some((dense, norm)) = self.layout.head else { return };
        let rows = states.len() / self.architecture.dim as usize;
        std::mem::swap(&mut trace.states, states);
        dense.forward(self.theta, &trace.states, rows, &mut trace.bent);
        self.architecture.activation.forward(&trace.bent, &mut trace.active);
        self.norm(norm, &trace.active, &mut trace.norm, states);
    }

    /// The way back of `head`, in place.
    pub(crate) fn head_back(&self, d: &mut Vec<f32>, trace: &mut HeadTrace, grad: &mut [f32]) {
        let Some((dense, norm)) = self.layout.head else { return };
        let rows = d.len() / self.architecture.dim as usize;
        self.norm_back(norm, &trace.norm, d, &mut trace.spare, grad);
        self.architecture.activation.backward(&trace.bent, d);
        trace.spare.resize(d.len(), 0.0);
        let both = (self.theta, grad);
        dense.backward(both, (&trace.states, rows), d, (&mut trace.spare, 0.0));
        std::mem::swap(d, &mut trace.spare);
    }
}

/// What the head keeps for its way back.
#[derive(Debug, Default)]
pub(crate) struct HeadTrace {
    states: Vec<f32>,
    bent: Vec<f32>,
    active: Vec<f32>,
    norm: NormTrace,
    spare: Vec<f32>,
}
