//! Losses: how wrong scores of what came next are, and which way is better.
//!
//! States are compared with items by inner products. All items at once would be a large matrix, so
//! rows go through in chunks that stay in the cache.

use super::{
    exp::{add, dot, exp, exp_sub_sum, row_max, scale},
    gemm::{Matrix, gemm},
    wide::wide,
};

/// States, and what came next after each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted<'a> {
    /// `[targets, dim]`
    pub(crate) states: &'a [f32],
    pub(crate) targets: &'a [u32],
    /// The item table; only its first `count` rows are compared with.
    pub(crate) items: &'a [f32],
    pub(crate) count: usize,
    pub(crate) dim: usize,
    /// What gradients are multiplied by: one over how many targets there are in all.
    pub(crate) weight: f32,
}

/// Gradients of rows of the item table.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Of all rows.
    All { dim: usize, grad: Vec<f32> },
    /// Of those that were touched: `slots` says where each is in `list` and `grad`, or `NONE`.
    Some { dim: usize, slots: Vec<u32>, list: Vec<u32>, grad: Vec<f32> },
}

pub(crate) const NONE: u32 = u32::MAX;

impl Rows {
    pub(crate) fn new(rows: usize, dim: usize, all: bool) -> Rows {
        match all {
            true => Rows::All { dim, grad: vec![0.0; rows * dim] },
            false => Rows::Some { dim, slots: vec![NONE; rows], list: vec![], grad: vec![] },
        }
    }

    /// Forgets all gradients.
    pub(crate) fn clear(&mut self) {
        match self {
            Rows::All { grad, .. } => grad.fill(0.0),
            Rows::Some { slots, list, grad, .. } => {
                list.iter().for_each(|row| slots[*row as usize] = NONE);
                list.clear();
                grad.clear();
            }
        }
    }

    /// Every row that was touched, with its gradient; none where all rows have one.
    pub(crate) fn each(&self, mut to: impl FnMut(u32, &[f32])) {
        if let Rows::Some { dim, list, grad, .. } = self {
            list.iter().zip(grad.chunks_exact(*dim)).for_each(|(row, grad)| to(*row, grad));
        }
    }

    /// Adds to the gradient of a row, `by` times.
    pub(crate) fn add(&mut self, row: u32, numbers: &[f32], by: f32) {
        let to = match self {
            Rows::All { dim, grad } => &mut grad[row as usize * *dim..][..*dim],
            Rows::Some { dim, slots, list, grad } => {
                if slots[row as usize] == NONE {
                    slots[row as usize] = list.len() as u32;
                    list.push(row);
                    grad.resize(list.len() * *dim, 0.0);
                }
                &mut grad[slots[row as usize] as usize * *dim..][..*dim]
            }
        };
        add(to, numbers, by);
    }
}

/// Items that did not come next, shared by many states.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negatives {
    /// No item twice.
    pub(crate) codes: Vec<u32>,
    /// The place of each item in `codes`, or `NONE`.
    slots: Vec<u32>,
    rows: Vec<f32>,
    grad: Vec<f32>,
}

impl Negatives {
    /// Draws so many different items, all alike.
    pub(crate) fn draw(
        &mut self,
        count: usize,
        negatives: usize,
        mut below: impl FnMut(usize) -> usize,
    ) {
        self.slots.resize(count, NONE);
        self.codes.iter().for_each(|code| self.slots[*code as usize] = NONE);
        self.codes.clear();
        while self.codes.len() < negatives.min(count) {
            let code = below(count);
            if self.slots[code] == NONE {
                self.slots[code] = self.codes.len() as u32;
                self.codes.push(code as u32);
            }
        }
    }

    /// Takes their vectors from the item table; forgets gradients.
    pub(crate) fn gather(&mut self, items: &[f32], dim: usize) {
        self.rows.clear();
        for code in &self.codes {
            self.rows.extend_from_slice(&items[*code as usize * dim..][..dim]);
        }
        self.grad.clear();
        self.grad.resize(self.rows.len(), 0.0);
    }

    /// Hands over the gradients of these items.
    pub(crate) fn give(&self, rows: &mut Rows) {
        if let Some(dim) = self.grad.len().checked_div(self.codes.len()) {
            for (code, grad) in self.codes.iter().zip(self.grad.chunks_exact(dim)) {
                rows.add(*code, grad, 1.0);
            }
        }
    }
}

/// Rows of logits at a time.
const CHUNK: usize = 256;
/// A logit that never counts.
const NEVER: f32 = -1e30;

/// Cross-entropy over all items. Returns the sum of losses, writes the gradient of states and adds
/// to those of items, which are all kept.
pub(crate) fn full(
    p: Predicted<'_>,
    d_states: &mut [f32],
    rows: &mut Rows,
    logits: &mut Vec<f32>,
) -> f64 {
    let (dim, count) = (p.dim, p.count);
    let Rows::All { grad, .. } = rows else { unreachable!("gradients of all items are kept") };
    let items = Matrix::new(p.items, count, dim);
    // Fewer rows for many items: logits are to stay in the cache.
    let chunk = ((1 << 20) / count.max(1)).clamp(16, CHUNK);
    let mut sum = 0.0;
    let chunks = p.targets.chunks(chunk).zip(p.states.chunks(chunk * dim));
    for ((targets, states), d_states) in chunks.zip(d_states.chunks_mut(chunk * dim)) {
        let n = targets.len();
        let states = Matrix::new(states, n, dim);
        logits.resize(logits.len().max(n * count), 0.0);
        let logits = &mut logits[..n * count];
        gemm(1.0, states, items.t(), 0.0, logits);
        for (row, target) in logits.chunks_exact_mut(count).zip(targets) {
            let logit = row[*target as usize];
            let max = row_max(row);
            let total = exp_sub_sum(row, max);
            sum += f64::from(total).ln() + f64::from(max) - f64::from(logit);
            scale(row, p.weight / total);
            row[*target as usize] -= p.weight;
        }
        let logits = Matrix::new(logits, n, count);
        gemm(1.0, logits, items, 0.0, d_states);
        gemm(1.0, logits.t(), states, 1.0, &mut grad[..count * dim]);
    }
    sum
}

/// What to do with the scores of the target and of negatives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Against {
    /// Cross-entropy among target and negatives; negatives count as if there were more of them:
    /// `shift` is added to their logits.
    Softmax { shift: f32 },
    /// Each for itself: the target's logistic loss counts `power`, as in gBCE, that of all
    /// negatives together `share` each.
    Logistic { power: f32, share: f32 },
}

/// A loss against shared negatives. As [`full`]; gradients of negatives stay with them until given.
pub(crate) fn sampled(
    p: Predicted<'_>,
    negatives: &mut Negatives,
    against: Against,
    d_states: &mut [f32],
    (rows, logits): (&mut Rows, &mut Vec<f32>),
) -> f64 {
    let (dim, count) = (p.dim, negatives.codes.len());
    let mut sum = 0.0;
    let chunks = p.targets.chunks(CHUNK).zip(p.states.chunks(CHUNK * dim));
    for ((targets, states), d_states) in chunks.zip(d_states.chunks_mut(CHUNK * dim)) {
        let n = targets.len();
        let all = Matrix::new(states, n, dim);
        logits.resize(logits.len().max(n * count), 0.0);
        let logits = &mut logits[..n * count];
        let items = Matrix::new(&negatives.rows, count, dim);
        gemm(1.0, all, items.t(), 0.0, logits);
        let each = targets.iter().zip(states.chunks_exact(dim)).zip(d_states.chunks_exact_mut(dim));
        for (at, ((target, state), d_state)) in each.enumerate() {
            let row = &mut logits[at * count..(at + 1) * count];
            let item = &p.items[*target as usize * dim..][..dim];
            let logit = dot(item, state);
            // A negative that came next after all is none.
            let hit = negatives.slots[*target as usize];
            if hit != NONE {
                row[hit as usize] = NEVER;
            }
            let slope = match against {
                Against::Softmax { shift } => {
                    let max = (row_max(row) + shift).max(logit);
                    let (others, own) = (exp_sub_sum(row, max - shift), exp(logit - max));
                    let total = others + own;
                    sum += f64::from(total).ln() + f64::from(max) - f64::from(logit);
                    scale(row, p.weight / total);
                    (own / total - 1.0) * p.weight
                }
                Against::Logistic { power, share } => {
                    sum += f64::from(power * softplus(-logit));
                    sum += f64::from(share * logistic(row, share * p.weight));
                    -power * sigmoid(-logit) * p.weight
                }
            };
            d_state.copy_from_slice(item);
            scale(d_state, slope);
            rows.add(*target, state, slope);
        }
        let logits = Matrix::new(logits, n, count);
        gemm(1.0, logits, items, 1.0, d_states);
        gemm(1.0, logits.t(), all, 1.0, &mut negatives.grad);
    }
    sum
}

/// The logistic loss with one negative for each target, drawn for it alone.
pub(crate) fn pairs(
    p: Predicted<'_>,
    mut draw: impl FnMut(u32) -> u32,
    d_states: &mut [f32],
    rows: &mut Rows,
) -> f64 {
    let (dim, mut sum) = (p.dim, 0.0);
    let each = p.targets.iter().zip(p.states.chunks_exact(dim)).zip(d_states.chunks_exact_mut(dim));
    for ((target, state), d_state) in each {
        d_state.fill(0.0);
        for (code, sign) in [(*target, -1.0), (draw(*target), 1.0)] {
            let item = &p.items[code as usize * dim..][..dim];
            let logit = sign * dot(item, state);
            sum += f64::from(softplus(logit)) / 2.0;
            let slope = sign * sigmoid(logit) * p.weight / 2.0;
            add(d_state, item, slope);
            rows.add(code, state, slope);
        }
    }
    sum
}

/// `ln(1 + e^x)`
#[inline(always)]
fn softplus(x: f32) -> f32 {
    let small = exp(-x.abs());
    let more = if x > 0.0 { x } else { 0.0 };
    more + (1.0 + small).ln()
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    if x > 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// Turns logits of negatives into gradients, times `weight`, and returns the sum of their losses.
fn logistic(row: &mut [f32], weight: f32) -> f32 {
    let mut sum = 0.0;
    for part in row.chunks_mut(8) {
        // The logarithm of a product instead of many: eight factors of at most 2 do not overflow.
        let (mut more, mut product) = (0f32, 1f32);
        for x in &*part {
            more += if *x > 0.0 { *x } else { 0.0 };
            product *= 1.0 + exp(-x.abs());
        }
        sum += more + product.ln();
        sigmoids(part, weight);
    }
    sum
}

wide! {
    fn sigmoids(row: &mut [f32], weight: f32) {
        row.iter_mut().for_each(|x| *x = weight * sigmoid(*x));
    }
}
