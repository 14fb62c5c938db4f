//! Method: what a model must be able to do, whatever it learned.

use crate::{
    artifact::Saved,
    error::Result,
    search::top::Top,
    vector::kernel::{Kernel, Numbers},
};
use std::{any::Any, fmt};

/// Scores every item of the vocabulary for a history. Larger is better; every score is finite.
///
/// A history is a list of codes, oldest first; it may be empty. Longer ones than a method uses are
/// cut to their end.
pub(crate) trait Method: Any + fmt::Debug + Send + Sync {
    /// As in [`crate::model::Card::method`].
    fn name(&self) -> &'static str;

    /// Writes the score of every item.
    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()>;

    /// Several histories at once; the scores of each lie end to end. Same scores as one by one,
    /// but for rounding.
    fn scores_all(&self, histories: &[&[u32]], scores: &mut [f32]) -> Result<()> {
        let each = scores.len() / histories.len().max(1);
        histories
            .iter()
            .zip(scores.chunks_mut(each.max(1)))
            .try_for_each(|(h, s)| self.scores(h, s))
    }

    /// A score that says nothing: an item with it was not found. `None` if every score says something.
    fn silence(&self) -> Option<f32> {
        None
    }

    /// What goes with an item, by score, best first; `None` if the method has no opinion of its
    /// own, and a history of that item is asked for.
    fn similar(&self, _item: u32, _scores: &mut [f32]) -> Option<Result<()>> {
        None
    }

    /// The vectors, if scores are inner products of what `encode` says and those of items.
    fn vectors(&self) -> Option<Vectors<'_>> {
        None
    }

    /// Writes the vector of a user with this history, [`Vectors::dim`] numbers.
    ///
    /// Only where [`Method::vectors`] is there.
    fn encode(&self, _history: &[u32], _out: &mut [f32]) -> Result<()> {
        Ok(())
    }

    /// What it is made of, for others to read; `None` if it is no network.
    fn weights(&self) -> Option<Weights> {
        None
    }

    /// Writes its own sections, from [`crate::model::shelf::OWN`] on.
    fn save(&self, out: &mut Saved) -> Result<()>;
}

/// A network as named tensors, with its shape.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// As [`crate::model::Model::import`] lists them.
    pub(crate) architecture: &'static str,
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
    /// Name, shape and numbers in row order.
    pub(crate) parts: Vec<(String, Vec<usize>, Vec<f32>)>,
}

/// The vectors of all items, code by code. A score is the inner product with one of `out`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vectors<'a> {
    pub(crate) dim: usize,
    /// What a user's vector is compared with.
    pub(crate) out: &'a [f32],
    /// What items are compared with each other by, in `cosine`; the same as `out` in many methods.
    pub(crate) input: &'a [f32],
}

impl Vectors<'_> {
    /// The inner products of a user's vector with all items.
    pub(crate) fn scores(&self, user: &[f32], scores: &mut [f32]) {
        dots(user, self.out, scores);
    }
}

/// The inner products of one vector with rows that lie end to end.
pub(crate) fn dots(vector: &[f32], rows: &[f32], out: &mut [f32]) {
    let query = Numbers::new(vector);
    Kernel::best().dot_f32(&query, crate::format::columns::raw(rows), out);
}

/// The codes with the best scores among those allowed, best first, equal ones by code.
pub(crate) fn best(
    scores: &[f32],
    silence: Option<f32>,
    allowed: impl Fn(u32) -> bool,
    limit: usize,
) -> Vec<(f32, u32)> {
    let mut top = Top::new(limit);
    for (code, score) in (0u32..).zip(scores) {
        // Weights that a forger made may overflow; nothing that is no number is ever returned.
        if score.is_finite() && silence != Some(*score) && allowed(code) {
            top.push(*score, code);
        }
    }
    top.into_sorted()
}
