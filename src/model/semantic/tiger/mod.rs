//! Tiger: a decoder of semantic IDs that was trained elsewhere, served here.
//!
//! | file | it owns |
//! |---|---|
//! | `shape` | sizes; which token is which code; from a history to tokens |
//! | `manifest` | weights in and out: safetensors and a manifest |
//! | `layout` | which tensors there are |
//! | `network` | the weights, and the encoder |
//! | `decode` | the decoder, level by level |
//! | `layer`, `positions` | the arithmetic of a block; relative positions |
//!
//! The arithmetic is that of T5: norms without means or biases, products without biases, attention
//! that is not divided by a root, positions that are relative and shared by all blocks.

mod decode;
mod layer;
mod layout;
mod manifest;
mod network;
mod positions;
mod shape;
#[cfg(test)]
mod tests;

use super::{Decoding, NextCode};
use crate::{
    artifact::{Artifact, Opened, Saved},
    error::{Error, Result},
    key::UserId,
    model::shelf,
    semantic::SemanticId,
};
use decode::Decode;
use layout::Part;
use network::Network;
use shape::Shape;
use std::sync::Arc;

/// What a manifest calls it.
const ARCHITECTURE: &str = "tiger-t5";

/// A generative recommender as an artifact: an encoder reads the semantic IDs of a history, a decoder
/// says the codes of what comes next, coarse to fine (TIGER, Rajput et al., 2023; T5, Raffel et al.,
/// 2020).
///
/// It is trained elsewhere and comes by [`Tiger::import`]. It belongs to the codebook that made its
/// IDs, so that is a parent to publish it with. Cheap to clone.
///
/// ```no_run
/// use bowerbird::{*, model::semantic::{NextCode, Tiger}};
/// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// # let db = Db::in_memory(Schema::new())?;
/// let weights = std::fs::read("out/model.safetensors")?;
/// let tiger = Tiger::import(&weights, &std::fs::read_to_string("out/manifest.json")?)?;
/// let from = Provenance { parents: vec![("sid".into(), 3)], ..Provenance::default() };
/// db.publish("tiger", &tiger, from)?;
///
/// let history = [SemanticId::new(&[183, 70, 232, 0])?];
/// let mut log_probs = vec![0.0; tiger.widths()[0]];
/// tiger.begin(&history)?.step(&[], &[], &mut log_probs)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Tiger {
    network: Arc<Network>,
    /// The token of the user that it reads for.
    user: Option<usize>,
}

impl Tiger {
    /// How many numbers it learned.
    ///
    /// ```no_run
    /// # fn size(tiger: &bowerbird::model::semantic::Tiger) -> String {
    /// format!("{:.1} million parameters", tiger.parameters() as f64 / 1e6)
    /// # }
    /// ```
    pub fn parameters(&self) -> usize {
        self.network.parts.iter().map(Vec::len).sum()
    }

    /// How many items it reads of a history: the last ones.
    ///
    /// ```no_run
    /// # use bowerbird::SemanticId;
    /// # fn read<'a>(tiger: &bowerbird::model::semantic::Tiger, ids: &'a [SemanticId]) -> &'a [SemanticId] {
    /// &ids[ids.len().saturating_sub(tiger.max_items())..]
    /// # }
    /// ```
    pub fn max_items(&self) -> usize {
        self.network.shape.max_items
    }

    /// The same, reading for one user: the open TIGER ends a history by a token that a few users
    /// share. Without it, and where the model has no such tokens, users are their histories alone.
    ///
    /// ```no_run
    /// # use bowerbird::{UserId, Result, SemanticId, model::semantic::{NextCode, Tiger}};
    /// # fn main_(tiger: &Tiger, history: &[SemanticId]) -> Result<()> {
    /// let for_user = tiger.for_user(UserId(17));
    /// for_user.begin(history)?;
    /// # Ok(()) }
    /// ```
    pub fn for_user(&self, user: UserId) -> Tiger {
        let token = self.network.shape.users.map(|users| users.token(user));
        Tiger { network: self.network.clone(), user: token }
    }
}

impl NextCode for Tiger {
    fn widths(&self) -> &[usize] {
        &self.network.shape.widths
    }

    fn begin(&self, history: &[SemanticId]) -> Result<Box<dyn Decoding + '_>> {
        let tokens = self.network.shape.tokens(history, self.user);
        Ok(Box::new(Decode::new(&self.network, &tokens)))
    }

    fn begin_for(
        &self,
        user: Option<UserId>,
        history: &[SemanticId],
    ) -> Result<Box<dyn Decoding + '_>> {
        let token = user.and_then(|user| Some(self.network.shape.users?.token(user)));
        let tokens = self.network.shape.tokens(history, token.or(self.user));
        Ok(Box::new(Decode::new(&self.network, &tokens)))
    }
}

impl Artifact for Tiger {
    const KIND: &'static str = "tiger";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, shelf::CARD, &self.network.shape)?;
        let mut parts = (shelf::OWN..).zip(&self.network.parts);
        parts.try_for_each(|(number, part)| shelf::put_f32(out, number, part))
    }

    fn open(from: &Opened) -> Result<Tiger> {
        let shape: Shape = shelf::take(from, shelf::CARD)?;
        shape.check().map_err(|error| from.damage(&error.to_string()))?;
        let take = |at: usize, part: &Part| {
            let number = u16::try_from(at).ok().and_then(|at| at.checked_add(shelf::OWN));
            let number = number.ok_or_else(|| from.damage("number of tensors"))?;
            let count = part.shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
            shelf::take_f32(from, number, count.unwrap_or(usize::MAX))
        };
        Ok(Tiger { network: Arc::new(Network::new(shape, take)?), user: None })
    }
}
