//! Shape: what goes into the towers, and where in one list of numbers each tower's are.

use super::mlp::Mlp;
use crate::{
    artifact::Opened,
    error::Result,
    limits::{DIM_MAX, TERMS_MAX},
    model::train::dice::Dice,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The sizes of all three towers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// The spaces of items that are read, with their numbers.
    pub(super) parts: Vec<(String, u32)>,
    /// Numbers of a query; 0 without a query tower.
    pub(super) query: u32,
    pub(super) hidden: u32,
    pub(super) dim: u32,
}

/// Most numbers of a hidden layer.
pub(super) const HIDDEN_MAX: u32 = 16_384;

/// One item or user as input: its parts end to end, and which of them are there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    pub(super) numbers: Vec<f32>,
    pub(super) there: Vec<bool>,
}

impl Shape {
    /// Numbers of an input: of all parts.
    pub(super) fn input(&self) -> usize {
        self.parts.iter().map(|part| part.1 as usize).sum()
    }

    fn mlp(&self, input: usize) -> Mlp {
        Mlp { input, hidden: self.hidden as usize, out: self.dim as usize }
    }

    pub(super) fn item(&self) -> Mlp {
        self.mlp(self.input())
    }

    /// It reads what items have, so it has the sizes of their tower.
    pub(super) fn user(&self) -> Mlp {
        self.item()
    }

    pub(super) fn query(&self) -> Mlp {
        self.mlp(self.query as usize)
    }

    pub(super) fn of_item(&self) -> Range<usize> {
        0..self.item().size()
    }

    /// Of what stands where a part is missing, all parts end to end.
    pub(super) fn of_missing(&self) -> Range<usize> {
        let from = self.of_item().end;
        from..from + self.input()
    }

    pub(super) fn of_user(&self) -> Range<usize> {
        let from = self.of_missing().end;
        from..from + self.user().size()
    }

    pub(super) fn of_query(&self) -> Range<usize> {
        let from = self.of_user().end;
        let size = if self.query == 0 { 0 } else { self.query().size() };
        from..from + size
    }

    /// How many numbers are learned.
    pub(super) fn size(&self) -> usize {
        self.of_query().end
    }

    /// All numbers, at random.
    pub(super) fn draw(&self, seed: u64) -> Vec<f32> {
        let mut theta = vec![0f32; self.size()];
        self.item().draw(&mut Dice::new(seed, 11), &mut theta[self.of_item()]);
        self.user().draw(&mut Dice::new(seed, 12), &mut theta[self.of_user()]);
        if self.query > 0 {
            self.query().draw(&mut Dice::new(seed, 13), &mut theta[self.of_query()]);
        }
        theta
    }

    /// Where the parts are in an input.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.parts.iter().scan(0, |from, part| {
            let range = *from..*from + part.1 as usize;
            *from = range.end;
            Some(range)
        })
    }

    /// Refuses the sizes of a forged file.
    pub(super) fn check(&self, from: &Opened) -> Result<()> {
        let small = |dim: &u32| (1..=DIM_MAX).contains(dim);
        let fits = (1..=TERMS_MAX).contains(&self.parts.len())
            && self.parts.iter().all(|part| small(&part.1))
            && self.query <= DIM_MAX
            && self.hidden <= HIDDEN_MAX
            && small(&self.dim);
        if fits { Ok(()) } else { Err(from.damage("sizes of the towers")) }
    }

    /// Puts inputs end to end, with what was learned where a part is missing.
    pub(super) fn filled<'i>(
        &self,
        theta: &[f32],
        inputs: impl IntoIterator<Item = &'i Input>,
    ) -> Vec<f32> {
        let (missing, mut all) = (&theta[self.of_missing()], Vec::new());
        for input in inputs {
            for (range, there) in self.ranges().zip(&input.there) {
                all.extend(if *there { &input.numbers[range] } else { &missing[range] });
            }
        }
        all
    }
}
