//! The cell: how a state and an item make the next state, and which way that leans.
//!
//! The convention is that of PyTorch's `nn.GRUCell`: gates r, z, n, each with two biases.
//!
//! ```text
//! r = sigmoid(W_ir e + b_ir + W_hr h + b_hr)
//! z = sigmoid(W_iz e + b_iz + W_hz h + b_hz)
//! n = tanh(W_in e + b_in + r (W_hn h + b_hn))
//! h' = (1 - z) n + z h
//! ```

use crate::model::{
    method::dots,
    train::{
        exp::{self, exp},
        gemm::{Matrix, gemm},
        wide::wide,
    },
};

/// The weights. Rows of `ih` and `hh` are those of r, then z, then n.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) dim: usize,
    /// 3 dim rows of dim.
    pub(super) ih: Vec<f32>,
    pub(super) hh: Vec<f32>,
    /// 3 dim.
    pub(super) bias_ih: Vec<f32>,
    pub(super) bias_hh: Vec<f32>,
}

/// What one step of several lanes leaves behind for the way back.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Per lane: what the item and the state said, 3 dim each. After the step `from_item` has the
    /// gates r, z and n, `from_state` is as it was.
    from_item: Vec<f32>,
    from_state: Vec<f32>,
}

/// Which way the loss leans, by the weights of the cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Lean {
    pub(super) ih: Vec<f32>,
    pub(super) hh: Vec<f32>,
    pub(super) bias_ih: Vec<f32>,
    pub(super) bias_hh: Vec<f32>,
    /// By the item vectors, lane by lane.
    pub(super) items: Vec<f32>,
}

impl Cell {
    /// One step of `lanes` lanes: `items` and `states` are rows of dim; the next states replace
    /// `next`.
    pub(super) fn step(
        &self,
        lanes: usize,
        (items, states): (&[f32], &[f32]),
        next: &mut Vec<f32>,
        trace: &mut Trace,
    ) {
        let dim = self.dim;
        let said = |rows: &[f32], weights: &[f32], bias: &[f32], out: &mut Vec<f32>| {
            out.clear();
            (0..lanes).for_each(|_| out.extend_from_slice(bias));
            let weights = Matrix::new(weights, 3 * dim, dim);
            gemm(1.0, Matrix::new(rows, lanes, dim), weights.t(), 1.0, out);
        };
        said(items, &self.ih, &self.bias_ih, &mut trace.from_item);
        said(states, &self.hh, &self.bias_hh, &mut trace.from_state);
        next.clear();
        next.extend_from_slice(&states[..lanes * dim]);
        for (lane, state) in next.chunks_mut(dim).enumerate() {
            let wide = lane * 3 * dim..(lane + 1) * 3 * dim;
            gates(&mut trace.from_item[wide.clone()], &trace.from_state[wide], state);
        }
    }

    /// One step of one lane. `room` has 6 dim numbers.
    pub(super) fn step_one(&self, item: &[f32], state: &mut [f32], room: &mut [f32]) {
        let (from_item, from_state) = room.split_at_mut(3 * self.dim);
        dots(item, &self.ih, from_item);
        dots(state, &self.hh, from_state);
        exp::add(from_item, &self.bias_ih, 1.0);
        exp::add(from_state, &self.bias_hh, 1.0);
        gates(from_item, from_state, state);
    }

    /// Which way it leans, given `lean_next` by the next states; the states before are taken as
    /// given, so nothing goes back further than this step.
    pub(super) fn back(
        &self,
        lanes: usize,
        (items, states): (&[f32], &[f32]),
        lean_next: &[f32],
        trace: &mut Trace,
        lean: &mut Lean,
    ) {
        let dim = self.dim;
        for lane in 0..lanes {
            let (wide, own) = (lane * 3 * dim..(lane + 1) * 3 * dim, lane * dim..(lane + 1) * dim);
            let (said, state) = (&mut trace.from_item[wide.clone()], &mut trace.from_state[wide]);
            gates_back(said, state, &states[own.clone()], &lean_next[own]);
        }
        let (a, b) = (&trace.from_item, &trace.from_state);
        let sums = |rows: &[f32], out: &mut Vec<f32>| {
            out.clear();
            out.resize(3 * dim, 0.0);
            rows.chunks(3 * dim).for_each(|row| exp::add(out, row, 1.0));
        };
        sums(a, &mut lean.bias_ih);
        sums(b, &mut lean.bias_hh);
        let (a, b) = (Matrix::new(a, lanes, 3 * dim), Matrix::new(b, lanes, 3 * dim));
        lean.ih.resize(3 * dim * dim, 0.0);
        lean.hh.resize(3 * dim * dim, 0.0);
        lean.items.resize(lanes * dim, 0.0);
        gemm(1.0, a.t(), Matrix::new(items, lanes, dim), 0.0, &mut lean.ih);
        gemm(1.0, b.t(), Matrix::new(states, lanes, dim), 0.0, &mut lean.hh);
        gemm(1.0, a, Matrix::new(&self.ih, 3 * dim, dim), 0.0, &mut lean.items);
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

wide! {
    /// Replaces what the item said by the gates, and the state by the next one.
    fn gates(from_item: &mut [f32], from_state: &[f32], state: &mut [f32]) {
        let dim = state.len();
        let (rz, n) = from_item.split_at_mut(2 * dim);
        let (state_rz, state_n) = from_state.split_at(2 * dim);
        for (gate, said) in rz.iter_mut().zip(state_rz) {
            *gate = sigmoid(*gate + said);
        }
        let (r, z) = rz.split_at(dim);
        for ((n, r), said) in n.iter_mut().zip(r).zip(state_n) {
            *n = tanh(*n + r * said);
        }
        for ((state, z), n) in state.iter_mut().zip(z).zip(n) {
            *state = (1.0 - z) * *n + z * *state;
        }
    }

    /// Replaces the gates by how the loss leans by what the item said, and what the state said by
    /// how it leans by that.
    fn gates_back(gates: &mut [f32], from_state: &mut [f32], state: &[f32], lean: &[f32]) {
        let dim = state.len();
        let (r, rest) = gates.split_at_mut(dim);
        let (z, n) = rest.split_at_mut(dim);
        let (state_r, rest) = from_state.split_at_mut(dim);
        let (state_z, state_n) = rest.split_at_mut(dim);
        let (r, z, n) = (&mut r[..dim], &mut z[..dim], &mut n[..dim]);
        let (state_r, state_z, state_n) =
            (&mut state_r[..dim], &mut state_z[..dim], &mut state_n[..dim]);
        let (state, lean) = (&state[..dim], &lean[..dim]);
        for at in 0..dim {
            let by_z = lean[at] * (state[at] - n[at]) * z[at] * (1.0 - z[at]);
            let by_n = lean[at] * (1.0 - z[at]) * (1.0 - n[at] * n[at]);
            let by_r = by_n * state_n[at] * r[at] * (1.0 - r[at]);
            state_n[at] = by_n * r[at];
            (state_r[at], state_z[at]) = (by_r, by_z);
            (r[at], z[at], n[at]) = (by_r, by_z, by_n);
        }
    }
}
