//! Net: the networks that are built in, forward and backward.
//!
//! | file | it owns |
//! |---|---|
//! | `shape` | which parameters there are, and how they begin |
//! | `input` | the columns of a batch as a net reads them |
//! | `forward`, `backward` | from features to scores, and from gradients of scores to those of parameters |
//! | `attention`, `cross` | the two bodies that are more than a perceptron |
//!
//! ```text
//!   request:    task | context ..            | flags              the same for all candidates
//!   candidate:  item .. | context x item ..  | attention | scalars | flags
//! ```
//!
//! The first layer of a perceptron is a sum of two products, so what is of the request is multiplied once.

mod attention;
mod backward;
mod cross;
mod forward;
mod input;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use forward::{Dropout, Trace};
pub(crate) use input::{Column, Input};
pub use shape::Body;
pub(crate) use shape::{Part, Shape};

use crate::{error::Result, model::train::gemm::Matrix};
use std::{collections::BTreeMap, ops::Range};

/// A network: its shape and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) shape: Shape,
    pub(crate) parts: Vec<Part>,
    places: BTreeMap<String, usize>,
    pub(crate) numbers: Vec<f32>,
    /// What is taken from each scalar, and what it is multiplied by then: of all tasks alike, or of each.
    pub(crate) norm: Vec<(f32, f32)>,
}

impl Net {
    /// Of parameters as many as the shape says, which is sound.
    pub(crate) fn new(shape: Shape, numbers: Vec<f32>, norm: Vec<(f32, f32)>) -> Result<Net> {
        shape.check()?;
        let parts = shape.parts();
        let places = parts.iter().enumerate().map(|(at, part)| (part.name.clone(), at)).collect();
        let count = parts.last().map_or(0, |last| last.range().end);
        let scalars = shape.scalars as usize;
        let all = scalars * shape.tasks.max(1) as usize;
        if numbers.len() != count || (norm.len() != scalars && norm.len() != all) {
            let (is, scalars) = (numbers.len(), norm.len());
            let why = format!("have {is} numbers and {scalars} scales; the shape says {count}");
            return Err(crate::error::Error::invalid("weights of a ranker", why));
        }
        Ok(Net { shape, parts, places, numbers, norm })
    }

    /// Where a parameter lies.
    fn range(&self, name: &str) -> Range<usize> {
        self.places.get(name).map_or(0..0, |at| self.parts[*at].range())
    }

    /// A parameter.
    pub(crate) fn part(&self, name: &str) -> &[f32] {
        &self.numbers[self.range(name)]
    }

    /// The scales of the scalars of a task.
    pub(crate) fn scales(&self, task: u32) -> &[(f32, f32)] {
        let scalars = self.shape.scalars as usize;
        let at = if self.norm.len() == scalars { 0 } else { task as usize * scalars };
        &self.norm[at..at + scalars]
    }

    fn matrix(&self, name: &str) -> Matrix<'_> {
        let Some(at) = self.places.get(name) else { return Matrix::new(&[], 0, 0) };
        let part = &self.parts[*at];
        Matrix::new(&self.numbers[part.range()], part.rows, part.columns)
    }
}
