//! SharedPrefix: how much of its semantic ID a candidate shares with what is known.

use crate::{
    error::Result,
    recommend::{Candidates, Context, Score},
    semantic::SemanticId,
};

/// How many first codes of its semantic ID a candidate shares with the item of the request, or without one
/// at best with the user's latest items, as a share of all levels. 0 without an ID on either side.
///
/// ```
/// let alike = bowerbird::model::semantic::SharedPrefix::new("sid", 20);
/// ```
#[derive(Clone, Debug)]
pub struct SharedPrefix {
    codebook: String,
    last: usize,
}

impl SharedPrefix {
    /// Under a codebook; of the history, the `last` items count.
    pub fn new(codebook: &str, last: usize) -> SharedPrefix {
        SharedPrefix { codebook: codebook.into(), last }
    }
}

impl Score for SharedPrefix {
    fn name(&self) -> String {
        format!("SharedPrefix({})", self.codebook)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let mut known = Vec::new();
        let latest = cx.history.deeds.iter().rev().take(self.last).map(|deed| &deed.item);
        let keys = match &cx.request.item {
            Some(item) => vec![item],
            None => latest.collect(),
        };
        for key in keys {
            known.extend(cx.snapshot.find(key)?);
        }
        // One question: what is known and what is asked for lie in the same parts.
        let first = known.len();
        known.extend_from_slice(candidates.addrs());
        let mut known = cx.snapshot.semantic_ids(&self.codebook, &known)?;
        let ids = known.split_off(first);
        let known: Vec<SemanticId> = known.into_iter().flatten().collect();
        for (score, id) in scores.iter_mut().zip(ids) {
            let share = |id: SemanticId| {
                let shared = known.iter().map(|other| other.shared(&id)).max().unwrap_or(0);
                shared as f32 / id.codes().len().max(1) as f32
            };
            *score = id.map_or(0.0, share);
        }
        Ok(())
    }
}
