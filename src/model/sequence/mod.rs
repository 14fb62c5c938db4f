//! Methods that learn vectors from the order of events.

pub(crate) mod gru4rec;
mod item2vec;
pub(crate) mod transformer;

pub use gru4rec::{Gru4Rec, Live, Objective};
pub use item2vec::{Item2Vec, NewItem};
pub(crate) use transformer::Content;
pub use transformer::{Bert4Rec, ContentSasrec, Loss, Sasrec};

use crate::{artifact::Opened, error::Result, model::method::Method};
use std::sync::Arc;
use transformer::Transformer;

/// Opens a model of one of these methods; `None` for another.
pub(crate) fn open(method: &str, from: &Opened, items: usize) -> Result<Option<Arc<dyn Method>>> {
    Ok(Some(match method {
        transformer::SASREC | transformer::BERT4REC => Arc::new(Transformer::open(from, items)?),
        gru4rec::NAME => Arc::new(gru4rec::Gru::open(from, items)?),
        item2vec::NAME => Arc::new(item2vec::Table::open(from, items)?),
        _ => return Ok(None),
    }))
}
