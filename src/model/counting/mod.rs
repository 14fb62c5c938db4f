//! Methods that count. They train in seconds, and they are the floor that every other must beat.

mod als;
mod associations;
mod ease;
#[cfg(test)]
mod forged;
mod grow;
mod inverse;
mod item_knn;
mod lists;
mod markov;
mod popularity;
#[cfg(test)]
mod published;
mod rows;
mod rules;
mod sessions;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod vs_knn;

pub use als::Als;
pub use associations::Associations;
pub use ease::Ease;
pub use item_knn::ItemKnn;
pub use markov::Markov;
pub use popularity::Popularity;
pub use rules::Rules;
pub use vs_knn::VsKnn;

use crate::{artifact::Opened, error::Result, model::method::Method};
use std::sync::Arc;

/// Opens a model of one of these methods; `None` for another.
pub(crate) fn open(method: &str, from: &Opened, items: usize) -> Result<Option<Arc<dyn Method>>> {
    let table = |name| table::Table::open(name, from, items).map(Arc::new);
    Ok(Some(match method {
        popularity::NAME => Arc::new(popularity::Popular::open(from, items)?),
        rules::NAME => table(rules::NAME)?,
        markov::NAME => table(markov::NAME)?,
        associations::NAME => table(associations::NAME)?,
        item_knn::NAME => table(item_knn::NAME)?,
        als::NAME => Arc::new(als::Factors::open(from, items)?),
        ease::NAME => table(ease::NAME)?,
        vs_knn::NAME => Arc::new(vs_knn::Visits::open(from, items)?),
        _ => return Ok(None),
    }))
}
