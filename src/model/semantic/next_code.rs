//! NextCode: the door for decoders.

use crate::{error::Result, key::UserId, semantic::SemanticId};
use std::fmt;

/// A decoder: for a history of semantic IDs, how likely each code comes next, level by level.
///
/// It knows codes, not items: which codes lead to items that are there, alive and allowed is the
/// business of [`Generate`](super::Generate).
pub trait NextCode: fmt::Debug + Send + Sync {
    /// How many codes each level has, coarse to fine.
    fn widths(&self) -> &[usize];

    /// Reads a history, oldest first; it may be empty. IDs that have other levels, or codes beyond
    /// the widths, are passed over.
    fn begin(&self, history: &[SemanticId]) -> Result<Box<dyn Decoding + '_>>;

    /// The same for a user, where the decoder knows users beside their histories.
    fn begin_for(
        &self,
        _user: Option<UserId>,
        history: &[SemanticId],
    ) -> Result<Box<dyn Decoding + '_>> {
        self.begin(history)
    }
}

/// One request being decoded, level by level.
pub trait Decoding {
    /// One step for all beams at once, down to the next level.
    ///
    /// Beam `i` goes on from beam `parents[i]` of the step before by `codes[i]`, the code that was
    /// chosen there. The first step has one beam, which goes on from nothing: both lists are empty.
    /// Writes the natural logarithm of the probability of each code of the level, beam after beam,
    /// `beams * widths[level]` numbers. Minus infinity is a number here, and means impossible:
    /// [`Generate`](super::Generate) finds no item by it. NaN is an error.
    fn step(&mut self, parents: &[u32], codes: &[u16], log_probs: &mut [f32]) -> Result<()>;
}
