//! Align: a refreshed codebook that calls things by their old names.

use super::assignment::assignment;
use crate::{
    error::{Error, Result},
    filter::Where,
    semantic::{Codebook, Level, SemanticId},
    store::Snapshot,
};
use std::collections::HashMap;

/// Renames the codes of a codebook so that most items keep most of their old codes.
///
/// A codebook that was fitted again has about the same clusters under other numbers, and a decoder that
/// was trained on the old numbers would have to learn everything anew. On each level, the new codes take
/// the old names by a maximum-weight assignment: as many of the `items` (old ID, new ID) as possible keep
/// their code there. What an item's vector is near does not change, only what it is called.
///
/// # Errors
/// `Invalid` for a listed codebook, or for IDs that are not of these codebooks.
///
/// ```
/// use bowerbird::{SemanticId, model::semantic::align, semantic::*};
/// # fn main() -> bowerbird::Result<()> {
/// let input = || Input { normalize: false, ..Input::new("x", 1) };
/// let old = Codebook::new(vec![input()], vec![Level::new(1, vec![-1.0, 1.0])])?;
/// let new = Codebook::new(vec![input()], vec![Level::new(1, vec![1.1, -1.1])])?;
/// let ids = |x: f32| -> bowerbird::Result<(SemanticId, SemanticId)> {
///     let id = |book: &Codebook| book.encode(&[Some(&[x])]).map(Option::unwrap);
///     Ok((id(&old)?, id(&new)?))
/// };
/// let items = [ids(-2.0)?, ids(-1.0)?, ids(3.0)?];
/// let aligned = align(&new, &old, &items)?;
/// assert_eq!(aligned.levels()[0].centroids(), [-1.1, 1.1]);
/// # Ok(()) }
/// ```
pub fn align(
    new: &Codebook,
    old: &Codebook,
    items: &[(SemanticId, SemanticId)],
) -> Result<Codebook> {
    let refuse = |why: &str| Err(Error::invalid("codebooks to align", why));
    if new.levels().is_empty() {
        return refuse("are listed: what is named by keys is renamed where it was made");
    }
    let (before, now) = (old.widths(), new.widths());
    let fits = |id: &SemanticId, widths: &[usize]| {
        let below = id.codes().iter().zip(widths).all(|(code, width)| usize::from(*code) < *width);
        id.codes().len() == widths.len() && below
    };
    if !items.iter().all(|(old, new)| fits(old, &before) && fits(new, &now)) {
        return refuse("have other levels or fewer codes than the IDs of the items");
    }
    let mut levels = Vec::with_capacity(now.len());
    for (at, level) in new.levels().iter().enumerate() {
        let Some(width) = before.get(at) else {
            levels.push(level.clone());
            continue;
        };
        let names = names(items, at, (level.codes(), *width));
        levels.push(renamed(level, &names));
    }
    match new.encoder() {
        Some(encoder) => Codebook::with_encoder(new.inputs().to_vec(), encoder.clone(), levels),
        None => Codebook::new(new.inputs().to_vec(), levels),
    }
}

/// For each new code of a level, the name that it gets: every name below the number of new codes once.
fn names(
    items: &[(SemanticId, SemanticId)],
    level: usize,
    (new, old): (usize, usize),
) -> Vec<usize> {
    // Names beyond the new codes cannot be given; codes beyond the old names get what is left.
    let mut counts: HashMap<(usize, usize), i64> = HashMap::new();
    for (before, now) in items {
        let (from, to) = (usize::from(before.codes()[level]), usize::from(now.codes()[level]));
        if from < new.min(old) {
            *counts.entry((to, from)).or_default() += 1;
        }
    }
    assignment(counts.into_iter(), new)
}

fn renamed(level: &Level, names: &[usize]) -> Level {
    let dim = level.centroids().len() / level.codes();
    let (mut centroids, mut prices) = (level.centroids().to_vec(), level.prices().to_vec());
    for (code, name) in names.iter().enumerate() {
        centroids[name * dim..][..dim].copy_from_slice(&level.centroids()[code * dim..][..dim]);
        prices[*name] = level.prices()[code];
    }
    Level::priced(dim, centroids, prices)
}

/// The IDs under two versions of codebooks of every item that has both.
pub(super) fn pairs(
    snapshot: &Snapshot,
    old: (&str, u32),
    new: (&str, u32),
) -> Result<Vec<(SemanticId, SemanticId)>> {
    let before = snapshot.trie_version(old.0, old.1, &Where::all())?;
    let now = snapshot.trie_version(new.0, new.1, &Where::all())?;
    let both = |addr| Some((before.id(addr)?, now.id(addr)?));
    Ok(before.items(&before.root()).filter_map(both).collect())
}

impl Snapshot {
    /// The IDs of all items under two versions of a codebook: what [`align`] and [`super::Drift`] read.
    ///
    /// # Errors
    /// As [`Snapshot::trie_version`].
    pub fn semantic_pairs(
        &self,
        codebook: &str,
        old: u32,
        new: u32,
    ) -> Result<Vec<(SemanticId, SemanticId)>> {
        pairs(self, (codebook, old), (codebook, new))
    }
}
