//! Operators that ask a model: as a source of candidates, as a scorer, as a summary of a user.
//!
//! Each names the active version of an artifact; [`Db::activate`](crate::Db::activate) changes what
//! the next snapshot answers with. Rules for what a model does not know: an item of a history is
//! passed over, an item of the catalogue is not retrieved, a candidate gets the lowest score among
//! those that are known. A model that reads content ([`ContentSasrec`](super::ContentSasrec)) knows an
//! item that is new by its vectors: in a history, and as a candidate; [`NextNew`] retrieves it. A user
//! without a known item gets what is popular. Each is said in the slate's trace.

mod known;
mod next_new;
mod retrieve;
mod score;
mod summarize;
mod user;

pub(crate) use known::unknown_rows;
pub use next_new::NextNew;
pub use retrieve::{NextItems, SimilarItems};
pub use score::NextScore;
pub use summarize::UserVector;

use crate::{
    error::Result,
    model::Model,
    recommend::Context,
    store::{Deed, Snapshot},
};
use std::{borrow::Cow, sync::Arc};

impl Snapshot {
    /// The active version of a model, opened once for all snapshots of a handle.
    ///
    /// # Errors
    /// As for [`Snapshot::artifact`].
    pub fn model(&self, name: &str) -> Result<Arc<Model>> {
        self.kept::<Model>(name)
    }
}

/// What the user of a request did of the kinds that a model was trained on, oldest first.
fn past<'c>(cx: &Context<'c>, model: &Model) -> Result<Cow<'c, [Deed]>> {
    cx.past(model.card().kinds.iter().map(String::as_str))
}

/// What a model makes of the history of a request: codes, oldest first. Says what it does not know.
fn history(cx: &Context<'_>, name: &str, model: &Model) -> Result<Vec<u32>> {
    let items = past(cx, model)?;
    let codes = model.vocabulary().codes(items.iter().map(|deed| &deed.item));
    if codes.len() < items.len() {
        let unknown = items.len() - codes.len();
        cx.degraded(format!("{name} does not know {unknown} of {} past items", items.len()));
    }
    Ok(codes)
}
