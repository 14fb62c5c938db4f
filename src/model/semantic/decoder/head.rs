//! Head: from a state and the codes chosen so far to what the codes of a level are compared with.

use super::plan::{Head, Plan};
use crate::model::{
    sequence::transformer::{Activation, Drop},
    train::exp::add,
};

/// What a head keeps for its way back.
#[derive(Debug, Default)]
pub(super) struct HeadTrace {
    norm: (Vec<f32>, Vec<f32>),
    fed: Vec<f32>,
    bent: Vec<f32>,
    active: Vec<f32>,
    outer: Vec<f32>,
    last: (Vec<f32>, Vec<f32>),
    /// What codes are compared with: `dim` numbers per row.
    pub(super) asks: Vec<f32>,
    wide: Vec<f32>,
    d_fed: Vec<f32>,
}

const BENT: Activation = Activation::GeluTanh;
/// Places of dropout begin where no transformer's are.
const PLACES: u32 = 1 << 16;

impl Plan {
    fn eps(&self) -> (usize, f32) {
        (self.dim(), self.shape.transformer.eps)
    }

    /// Writes `trace.asks` for rows of states, to which the codes chosen so far have been added.
    pub(super) fn ask(
        &self,
        theta: &[f32],
        level: usize,
        x: &[f32],
        drop: Drop,
        trace: &mut HeadTrace,
    ) {
        let Head { norm, inner, outer, last } = &self.heads[level];
        let rows = x.len() / self.dim();
        let kept = (&mut trace.norm.0, &mut trace.norm.1);
        norm.forward(theta, self.eps(), x, kept, &mut trace.fed);
        inner.forward(theta, &trace.fed, rows, &mut trace.bent);
        BENT.forward(&trace.bent, &mut trace.active);
        outer.forward(theta, &trace.active, rows, &mut trace.outer);
        drop.apply(PLACES + level as u32, &mut trace.outer);
        add(&mut trace.outer, x, 1.0);
        let kept = (&mut trace.last.0, &mut trace.last.1);
        last.forward(theta, self.eps(), &trace.outer, kept, &mut trace.asks);
    }

    /// The way back: from the gradient of `asks` to that of `x`, which is written.
    pub(super) fn ask_back(
        &self,
        (theta, grad): (&[f32], &mut [f32]),
        level: usize,
        (drop, trace): (Drop, &mut HeadTrace),
        d_asks: &[f32],
        d_x: &mut Vec<f32>,
    ) {
        let Head { norm, inner, outer, last } = &self.heads[level];
        let (dim, rows) = (self.dim(), d_asks.len() / self.dim());
        d_x.clear();
        d_x.resize(d_asks.len(), 0.0);
        last.backward((theta, grad), dim, (&trace.last.0, &trace.last.1), d_asks, d_x);
        trace.outer.clone_from(d_x);
        drop.apply(PLACES + level as u32, &mut trace.outer);
        trace.wide.resize(trace.bent.len(), 0.0);
        let wide = &mut trace.wide[..];
        outer.backward((theta, grad), (&trace.active, rows), &trace.outer, (wide, 0.0));
        BENT.backward(&trace.bent, wide);
        trace.d_fed.resize(d_asks.len(), 0.0);
        inner.backward((theta, grad), (&trace.fed, rows), wide, (&mut trace.d_fed, 0.0));
        norm.backward((theta, grad), dim, (&trace.norm.0, &trace.norm.1), &trace.d_fed, d_x);
    }
}
