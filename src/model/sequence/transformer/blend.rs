//! Blend: the rows of the item table while they are learned as content and something of their own.
//!
//! `row = map(content) + own`. With some probability a row of a step is without its own part, wherever
//! it occurs in that step: in histories, as what came next, as what did not. So the map learns to do
//! alone what it must do for an item that is new, among others that are not.

use super::{
    architecture::{Activation, Dense, Parts},
    content::Content,
};
use crate::{
    error::Result,
    model::{
        semantic::points::Points,
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            loss::NONE,
        },
    },
    semantic::{Encoder, Input},
};

/// What is read of items, and how it becomes rows.
#[derive(Debug)]
pub(super) struct Blend {
    inputs: Vec<Input>,
    /// By code: what the map reads; zeros for an item that has nothing, whose row is its own alone.
    points: Points,
    has: Vec<bool>,
    /// The layers of the map, of which the first may be missing, and their numbers.
    inner: Option<Dense>,
    outer: Dense,
    theta: Vec<f32>,
    adam: Adam,
    /// `[rows, dim]`: what each item has of its own.
    pub(super) own: Vec<f32>,
    /// The probability of a row to go without.
    alone: f32,
    now: Step,
}

/// The rows of a step.
#[derive(Debug, Default)]
struct Step {
    rows: Vec<u32>,
    /// By row of the table: its place in `rows`, or `NONE`.
    places: Vec<u32>,
    with_own: Vec<bool>,
    x: Vec<f32>,
    bent: Vec<f32>,
    active: Vec<f32>,
    out: Vec<f32>,
}

impl Blend {
    /// `own` are the rows as they are drawn at first.
    pub(super) fn new(
        (inputs, points, has): (Vec<Input>, Points, Vec<bool>),
        (hidden, dim): (usize, usize),
        (own, alone): (Vec<f32>, f32),
        (pace, dice): (Pace, &mut Dice),
    ) -> Blend {
        let mut parts = Parts::default();
        let inner = (hidden > 0).then(|| parts.dense("inner", points.dim, hidden));
        let from = if hidden > 0 { hidden } else { points.dim };
        let outer = parts.dense("outer", from, dim);
        let mut theta = vec![0f32; parts.total];
        let mut draw = |dense: &Dense, spread: f32| {
            let weights = &mut theta[dense.weight..][..dense.inputs * dense.outputs];
            weights.iter_mut().for_each(|weight| *weight = spread * dice.normal());
        };
        // Lengths are kept, by a hidden layer as He et al. (2015) have it; without one rows begin as a
        // random projection of content, in which what was near still is.
        if let Some(inner) = &inner {
            draw(inner, (2.0 / inner.inputs as f32).sqrt());
        }
        draw(&outer, (1.0 / dim as f32).sqrt());
        let adam = Adam::new(pace, theta.len());
        Blend { inputs, points, has, inner, outer, theta, adam, own, alone, now: Step::default() }
    }

    /// Makes these rows current, each of them once; with dice some go without their own part.
    pub(super) fn write(&mut self, items: &mut [f32], rows: &[u32], mut dice: Option<&mut Dice>) {
        let (dim, wide) = (self.outer.outputs, self.points.dim);
        let now = &mut self.now;
        now.places.resize(self.has.len(), NONE);
        now.rows.iter().for_each(|row| now.places[*row as usize] = NONE);
        now.rows.clear();
        now.rows.extend_from_slice(rows);
        now.with_own.clear();
        now.x.clear();
        for (place, row) in (0u32..).zip(rows) {
            now.places[*row as usize] = place;
            now.x.extend_from_slice(&self.points.rows[*row as usize * wide..][..wide]);
            let alone = dice.as_mut().is_some_and(|dice| dice.unit() < self.alone);
            now.with_own.push(!(alone && self.has[*row as usize]));
        }
        let from = match &self.inner {
            Some(inner) => {
                inner.forward(&self.theta, &now.x, rows.len(), &mut now.bent);
                Activation::Relu.forward(&now.bent, &mut now.active);
                &now.active
            }
            None => &now.x,
        };
        self.outer.forward(&self.theta, from, rows.len(), &mut now.out);
        for ((row, said), with_own) in rows.iter().zip(now.out.chunks_exact(dim)).zip(&now.with_own)
        {
            let row = *row as usize;
            let item = &mut items[row * dim..][..dim];
            let of_content = if self.has[row] { 1.0 } else { 0.0 };
            let of_own = if *with_own { 1.0 } else { 0.0 };
            let own = &self.own[row * dim..][..dim];
            for ((item, said), own) in item.iter_mut().zip(said).zip(own) {
                *item = of_content * said + of_own * own;
            }
        }
    }

    /// Whether a row that was written is with its own part.
    pub(super) fn with_own(&self, row: u32) -> bool {
        self.now
            .places
            .get(row as usize)
            .is_some_and(|place| *place != NONE && self.now.with_own[*place as usize])
    }

    /// One step of the map, by the gradients of the rows that were written.
    pub(super) fn learn(&mut self, rate: f32, each: impl FnOnce(&mut dyn FnMut(u32, &[f32]))) {
        let grad = self.slope(each);
        self.adam.begin(rate);
        self.adam.all(&mut self.theta, &[&grad], 1);
    }

    /// The gradient of the map's numbers.
    fn slope(&self, each: impl FnOnce(&mut dyn FnMut(u32, &[f32]))) -> Vec<f32> {
        let dim = self.outer.outputs;
        let (now, count) = (&self.now, self.now.rows.len());
        let mut back = vec![0f32; count * dim];
        each(&mut |row, grad| {
            let place = now.places[row as usize];
            if place != NONE && self.has[row as usize] {
                back[place as usize * dim..][..dim].copy_from_slice(grad);
            }
        });
        let mut grad = vec![0f32; self.theta.len()];
        let both = (&self.theta[..], &mut grad[..]);
        match &self.inner {
            Some(inner) => {
                let mut of_active = vec![0f32; now.active.len()];
                self.outer.backward(both, (&now.active, count), &back, (&mut of_active, 0.0));
                Activation::Relu.backward(&now.bent, &mut of_active);
                inner.weigh(&mut grad, (&now.x, count), &of_active);
            }
            None => self.outer.weigh(&mut grad, (&now.x, count), &back),
        }
        grad
    }

    /// The map as it is now.
    pub(super) fn content(&self) -> Result<Content> {
        let mut encoder = Encoder::new(self.points.dim);
        for dense in self.inner.iter().chain([&self.outer]) {
            let weights = &self.theta[dense.weight..][..dense.inputs * dense.outputs];
            let weights = crate::model::weights::turned(weights, dense.inputs, dense.outputs);
            let biases = self.theta[dense.bias..][..dense.outputs].to_vec();
            encoder = encoder.layer(weights, biases)?;
        }
        Content::new(self.inputs.clone(), encoder, self.outer.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 9;
    const DIM: usize = 5;

    fn blend(hidden: usize) -> Blend {
        let mut dice = Dice::new(3, 1);
        let inputs = vec![Input::new("text", 4)];
        let rows = (0..ROWS * 4).map(|_| dice.normal()).collect();
        let has = (0..ROWS).map(|row| row != 2).collect();
        let own = (0..ROWS * DIM).map(|_| dice.normal()).collect();
        let pace = Pace { rate: 0.01, keep: (0.9, 0.98) };
        let given = (inputs, Points { dim: 4, rows }, has);
        let mut blend = Blend::new(given, (hidden, DIM), (own, 0.5), (pace, &mut dice));
        blend.theta.iter_mut().for_each(|number| *number = dice.normal());
        blend
    }

    /// Goal: the map's gradient is that of differences, linear and with a hidden layer, whichever rows
    /// are read, in whichever order. Method: a loss that is linear in rows, so that its differences
    /// are exact but for rounding, and for the corners of ReLU.
    #[test]
    fn gradients_of_the_map_are_those_of_differences() {
        for hidden in [0, 7] {
            let mut blend = blend(hidden);
            let read = [7u32, 2, 0, 5];
            let weights: Vec<f64> = (0..ROWS * DIM).map(|at| (at as f64).sin()).collect();
            let loss = |blend: &mut Blend| -> f64 {
                let mut items = vec![0f32; ROWS * DIM];
                blend.write(&mut items, &read, Some(&mut Dice::new(5, 5)));
                items.iter().zip(&weights).map(|(x, w)| f64::from(*x) * w).sum()
            };
            loss(&mut blend);
            assert!(read.iter().any(|row| !blend.with_own(*row)) && blend.with_own(2));
            let grads: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
            let slope = blend.slope(|to| {
                read.iter().for_each(|row| to(*row, &grads[*row as usize * DIM..][..DIM]));
            });
            for (at, slope) in slope.iter().enumerate() {
                let mut side = |step: f32| {
                    let before = blend.theta[at];
                    blend.theta[at] += step;
                    let loss = loss(&mut blend);
                    blend.theta[at] = before;
                    loss
                };
                let want = (side(1e-2) - side(-1e-2)) / 2e-2;
                assert!((f64::from(*slope) - want).abs() < 2e-3, "{hidden}, {at}: {slope} {want}");
            }
        }
    }

    /// Goal: a row is its content and its own part; one without content its own alone; and what is
    /// saved says the same of content as what was trained with.
    #[test]
    fn rows_are_content_and_their_own() {
        for hidden in [0, 7] {
            let mut blend = blend(hidden);
            let mut items = vec![0f32; ROWS * DIM];
            blend.write(&mut items, &(0..ROWS as u32).collect::<Vec<_>>(), None);
            let content = blend.content().unwrap();
            let (input, encoder) = (&blend.inputs[0], Encoder::new(4));
            assert_eq!((input.dim, encoder.input()), (4, 4));
            for row in 0..ROWS {
                // Prepared already, so it must be read as it is.
                let plain = Input { normalize: false, ..input.clone() };
                let point = blend.points.row(row);
                let same = content.with_inputs(vec![plain]);
                let said = same.read(&[Some(point)]).unwrap().unwrap();
                for (at, said) in said.iter().enumerate() {
                    let of_content = if row == 2 { 0.0 } else { *said };
                    let want = of_content + blend.own[row * DIM + at];
                    assert!((items[row * DIM + at] - want).abs() < 1e-4, "{row} {at}");
                }
            }
            assert_eq!(content.read(&[None]).unwrap(), None);
        }
    }
}
