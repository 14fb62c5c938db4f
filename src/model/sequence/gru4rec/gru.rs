//! The model: a cell, and a vector and a bias per item.

use super::cell::{Cell, Trace};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{
        method::{Method, Vectors, Weights, dots},
        shelf,
        train::gemm::{Matrix, gemm},
    },
};

pub(crate) const NAME: &str = "gru4rec";

/// What was learned. A user's vector is the state with a 1 behind it, an item's its vector with its
/// bias behind it.
#[derive(Clone, Debug)]
pub(crate) struct Gru {
    items: usize,
    pub(super) cell: Cell,
    /// By code, dim + 1 numbers: the vector, and the bias.
    out: Vec<f32>,
    /// By code, dim + 1 numbers: the vector, and 0.
    input: Vec<f32>,
}

/// The weights, named and laid out as in the state dict of the official PyTorch GRU4Rec with one
/// layer and constrained embedding.
///
/// | section | name there | shape |
/// |---|---|---|
/// | 100 | | head: dim |
/// | 101 | `Wy.weight` | items x dim, by code |
/// | 102 | `By.weight` | items x 1 |
/// | 103 | `G.0.weight_ih` | 3 dim x dim; rows of gates r, z, n |
/// | 104 | `G.0.weight_hh` | 3 dim x dim |
/// | 105 | `G.0.bias_ih` | 3 dim |
/// | 106 | `G.0.bias_hh` | 3 dim |
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) dim: usize,
    pub(crate) wy: Vec<f32>,
    pub(crate) by: Vec<f32>,
    pub(crate) weight_ih: Vec<f32>,
    pub(crate) weight_hh: Vec<f32>,
    pub(crate) bias_ih: Vec<f32>,
    pub(crate) bias_hh: Vec<f32>,
}

/// Longest history that is replayed; a state has long forgotten what was before.
pub(super) const HISTORY_MAX: usize = 1000;
/// Most numbers in a state.
pub(super) const DIM_MAX: usize = 4096;

impl Parts {
    /// Each name, how many numbers there are, and how many there must be.
    fn shapes(&self, items: usize) -> [(&'static str, &[f32], usize); 6] {
        let wide = 3 * self.dim;
        [
            ("Wy.weight", &self.wy, items.saturating_mul(self.dim)),
            ("By.weight", &self.by, items),
            ("G.0.weight_ih", &self.weight_ih, wide * self.dim),
            ("G.0.weight_hh", &self.weight_hh, wide * self.dim),
            ("G.0.bias_ih", &self.bias_ih, wide),
            ("G.0.bias_hh", &self.bias_hh, wide),
        ]
    }
}

impl Gru {
    /// From weights made elsewhere, for a vocabulary of so many items.
    ///
    /// # Errors
    /// `Invalid` if a shape is wrong or a number is not finite.
    pub(crate) fn from_parts(parts: Parts, items: usize) -> Result<Gru> {
        let wrong =
            |what: &str, why: String| Err(Error::invalid(format!("{what} of gru4rec"), why));
        let dim = parts.dim;
        if dim == 0 || dim > DIM_MAX {
            return wrong("dim", format!("is {dim}; it must be 1 to {DIM_MAX}"));
        }
        for (name, numbers, count) in parts.shapes(items) {
            if numbers.len() != count {
                return wrong(name, format!("has {} numbers, not {count}", numbers.len()));
            }
            if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
                return wrong(name, format!("number {at} is {}", numbers[at]));
            }
        }
        let rows = parts.wy.chunks(dim).zip(&parts.by);
        let out: Vec<f32> =
            rows.flat_map(|(row, bias)| row.iter().chain([bias])).copied().collect();
        let Parts { weight_ih: ih, weight_hh: hh, bias_ih, bias_hh, .. } = parts;
        Ok(Gru::new(Cell { dim, ih, hh, bias_ih, bias_hh }, out))
    }

    /// `out` has dim + 1 numbers per item.
    pub(super) fn new(cell: Cell, out: Vec<f32>) -> Gru {
        let width = cell.dim + 1;
        let mut input = out.clone();
        input.chunks_mut(width).for_each(|row| row[width - 1] = 0.0);
        Gru { items: out.len() / width, cell, out, input }
    }

    pub(crate) fn open(from: &Opened, items: usize) -> Result<Gru> {
        let dim: u64 = shelf::take(from, shelf::OWN)?;
        let dim = usize::try_from(dim).ok().filter(|dim| (1..=DIM_MAX).contains(dim));
        let dim = dim.ok_or_else(|| from.damage("dim of gru4rec"))?;
        let empty = Parts { dim, ..Parts::default() };
        let mut taken = Vec::new();
        for (number, (_, _, count)) in (shelf::OWN + 1..).zip(empty.shapes(items)) {
            taken.push(shelf::take_f32(from, number, count)?);
        }
        let Ok([wy, by, weight_ih, weight_hh, bias_ih, bias_hh]) = <[Vec<f32>; 6]>::try_from(taken)
        else {
            return Err(from.damage("sections of gru4rec"));
        };
        Gru::from_parts(Parts { dim, wy, by, weight_ih, weight_hh, bias_ih, bias_hh }, items)
    }

    /// The vector that the cell reads for an item.
    pub(super) fn item(&self, code: u32) -> &[f32] {
        &self.input[code as usize * (self.cell.dim + 1)..][..self.cell.dim]
    }

    /// Goes on by one item. `state` has dim numbers.
    pub(super) fn step(&self, code: u32, state: &mut [f32], room: &mut Vec<f32>) {
        room.resize(6 * self.cell.dim, 0.0);
        self.cell.step_one(self.item(code), state, room);
    }

    /// The vectors of users with these histories, dim + 1 numbers each.
    fn users(&self, histories: &[&[u32]]) -> Vec<f32> {
        let dim = self.cell.dim;
        // Longest first, so that those that still go on are always the first.
        let mut order: Vec<(usize, &[u32])> = Vec::with_capacity(histories.len());
        for (at, history) in histories.iter().enumerate() {
            order.push((at, &history[history.len().saturating_sub(HISTORY_MAX)..]));
        }
        order.sort_by_key(|(at, history)| (usize::MAX - history.len(), *at));
        let (mut states, mut items) = (vec![0f32; order.len() * dim], Vec::new());
        let (mut next, mut trace) = (Vec::new(), Trace::default());
        for time in 0..order.first().map_or(0, |(_, history)| history.len()) {
            items.clear();
            let going = order.iter().map_while(|(_, history)| history.get(time));
            going.for_each(|code| items.extend_from_slice(self.item(*code)));
            let lanes = items.len() / dim;
            self.cell.step(lanes, (&items, &states), &mut next, &mut trace);
            states[..lanes * dim].copy_from_slice(&next);
        }
        let mut users = vec![1f32; order.len() * (dim + 1)];
        for ((at, _), state) in order.iter().zip(states.chunks(dim)) {
            users[at * (dim + 1)..][..dim].copy_from_slice(state);
        }
        users
    }
}

impl Method for Gru {
    fn name(&self) -> &'static str {
        NAME
    }

    fn weights(&self) -> Option<Weights> {
        let (dim, items) = (self.cell.dim, self.items);
        let rows = || self.out.chunks_exact(dim + 1);
        let part = |name: &str, shape: &[usize], numbers: Vec<f32>| {
            (name.to_owned(), shape.to_vec(), numbers)
        };
        let vectors = rows().flat_map(|row| &row[..dim]).copied().collect();
        let config = [("dim".to_owned(), dim.into())].into_iter().collect();
        let parts = vec![
            part("output.weight", &[items, dim], vectors),
            part("output.bias", &[items], rows().map(|row| row[dim]).collect()),
            part("gru.weight_ih", &[3 * dim, dim], self.cell.ih.clone()),
            part("gru.weight_hh", &[3 * dim, dim], self.cell.hh.clone()),
            part("gru.bias_ih", &[3 * dim], self.cell.bias_ih.clone()),
            part("gru.bias_hh", &[3 * dim], self.cell.bias_hh.clone()),
        ];
        Some(Weights { architecture: "gru4rec", config, parts })
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        let mut user = vec![0f32; self.cell.dim + 1];
        self.encode(history, &mut user)?;
        dots(&user, &self.out, scores);
        Ok(())
    }

    fn scores_all(&self, histories: &[&[u32]], scores: &mut [f32]) -> Result<()> {
        let (users, width) = (self.users(histories), self.cell.dim + 1);
        let users = Matrix::new(&users, histories.len(), width);
        gemm(1.0, users, Matrix::new(&self.out, self.items, width).t(), 0.0, scores);
        Ok(())
    }

    fn vectors(&self) -> Option<Vectors<'_>> {
        Some(Vectors { dim: self.cell.dim + 1, out: &self.out, input: &self.input })
    }

    /// The state after the last 1,000 items, and a 1 behind it; 0 and a 1 for an empty history,
    /// which scores items by their bias.
    fn encode(&self, history: &[u32], out: &mut [f32]) -> Result<()> {
        let mut room = Vec::new();
        let (state, one) = out.split_at_mut(self.cell.dim);
        state.fill(0.0);
        one.fill(1.0);
        for code in &history[history.len().saturating_sub(HISTORY_MAX)..] {
            self.step(*code, state, &mut room);
        }
        Ok(())
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        let (width, cell) = (self.cell.dim + 1, &self.cell);
        let rows = self.out.chunks(width);
        let wy: Vec<f32> = rows.clone().flat_map(|row| &row[..width - 1]).copied().collect();
        let by: Vec<f32> = rows.map(|row| row[width - 1]).collect();
        shelf::put(out, shelf::OWN, &(cell.dim as u64))?;
        let all = [&wy, &by, &cell.ih, &cell.hh, &cell.bias_ih, &cell.bias_hh];
        (shelf::OWN + 1..).zip(all).try_for_each(|(number, x)| shelf::put_f32(out, number, x))
    }
}
