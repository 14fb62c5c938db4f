//! Figures: how good the IDs of a codebook are.

use crate::{
    error::{Error, Result},
    filter::Where,
    progress::Progress,
    semantic::{Codebook, SemanticId},
    store::Snapshot,
};
use std::collections::HashMap;

/// What the IDs of some items look like.
///
/// ```
/// use bowerbird::{SemanticId, model::semantic::Figures};
/// # fn main() -> bowerbird::Result<()> {
/// let ids = ["<a_1><b_1>", "<a_1><b_2>", "<a_1><b_2>", "<a_0><b_3>"];
/// let ids: Vec<SemanticId> = ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
/// let figures = Figures::of(&ids);
/// assert_eq!((figures.items, figures.unique), (4, 3));
/// assert_eq!((figures.colliding_items, figures.largest_bucket), (2, 2));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Items with an ID.
    pub items: usize,
    /// Items without one.
    pub without: usize,
    /// Distinct IDs.
    pub unique: usize,
    /// Items that share their ID with another.
    pub colliding_items: usize,
    /// Most items with one ID.
    pub largest_bucket: usize,
    /// On each level, how many codes equally used would be as spread: exp of the entropy, in nats.
    pub perplexity: Vec<f64>,
    /// The squared distance of items from what their IDs stand for, as a share of that from their
    /// mean; `None` if nobody knows, as for listed codebooks.
    pub error: Option<f64>,
}

impl Figures {
    /// Of the IDs of items, one for each.
    pub fn of(ids: &[SemanticId]) -> Figures {
        let mut buckets: HashMap<SemanticId, usize> = HashMap::new();
        ids.iter().for_each(|id| *buckets.entry(*id).or_default() += 1);
        let shared = buckets.values().filter(|size| **size > 1);
        let levels = ids.iter().map(|id| id.codes().len()).max().unwrap_or(0);
        Figures {
            items: ids.len(),
            without: 0,
            unique: buckets.len(),
            colliding_items: shared.sum(),
            largest_bucket: buckets.values().copied().max().unwrap_or(0),
            perplexity: (0..levels).map(|level| perplexity(ids, level)).collect(),
            error: None,
        }
    }

    /// Of all items of a snapshot, under a version of a codebook, active or not; with the error, if it
    /// is residual.
    ///
    /// # Errors
    /// As [`Snapshot::trie_version`]; `Cancelled`.
    pub fn of_codebook(
        snapshot: &Snapshot,
        name: &str,
        version: u32,
        progress: &mut Progress<'_>,
    ) -> Result<Figures> {
        let codebook: Codebook = snapshot.artifact_version(name, version)?;
        let trie = snapshot.trie_version(name, version, &Where::all())?;
        let addrs: Vec<_> = trie.items(&trie.root()).collect();
        let ids: Vec<SemanticId> = addrs.iter().filter_map(|addr| trie.id(*addr)).collect();
        let without = snapshot.len() as usize - ids.len();
        let mut figures = Figures { without, ..Figures::of(&ids) };
        if codebook.levels().is_empty() || ids.is_empty() {
            return Ok(figures);
        }
        progress.begin(addrs.len() as u64)?;
        let (mut lost, mut squares, mut sums) = (0f64, 0f64, Vec::new());
        for (addr, id) in addrs.iter().zip(&ids) {
            let mut vectors = Vec::with_capacity(codebook.inputs().len());
            for input in codebook.inputs() {
                let mut vector = Vec::new();
                let has = snapshot.vector(*addr, &input.space, &mut vector)?;
                vectors.push(has.then_some(vector));
            }
            let given: Vec<Option<&[f32]>> = vectors.iter().map(|v| v.as_deref()).collect();
            let (read, said) = (codebook.read(&given)?, codebook.decode(id)?);
            sums.resize(read.len(), 0f64);
            for ((x, said), sum) in read.iter().zip(&said).zip(&mut sums) {
                lost += f64::from(x - said).powi(2);
                squares += f64::from(*x).powi(2);
                *sum += f64::from(*x);
            }
            progress.advance(1)?;
        }
        let mean: f64 = sums.iter().map(|sum| sum * sum / ids.len() as f64).sum();
        let all = squares - mean;
        figures.error = Some(if all > 0.0 { lost / all } else { 0.0 });
        Ok(figures)
    }
}

fn perplexity(ids: &[SemanticId], level: usize) -> f64 {
    let mut counts: HashMap<u16, usize> = HashMap::new();
    let codes = ids.iter().filter_map(|id| id.codes().get(level));
    codes.for_each(|code| *counts.entry(*code).or_default() += 1);
    let all: usize = counts.values().sum();
    let mut sizes: Vec<usize> = counts.into_values().collect();
    // So that rounding is the same for any order of items.
    sizes.sort_unstable();
    let share = |n: &usize| *n as f64 / all as f64;
    sizes.iter().map(|n| -share(n) * share(n).ln()).sum::<f64>().exp()
}

/// How a refreshed codebook differs from the one before it, on the same items.
///
/// ```
/// use bowerbird::{SemanticId, model::semantic::Drift};
/// # fn main() -> bowerbird::Result<()> {
/// let id = |text: &str| text.parse::<SemanticId>();
/// let drift = Drift::of(&[(id("<a_1><b_1>")?, id("<a_1><b_2>")?), (id("<a_3><b_1>")?, id("<a_3><b_1>")?)]);
/// assert_eq!((drift.reassigned, drift.kept.as_slice()), (0.5, [1.0, 0.5].as_slice()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Drift {
    /// The share of items whose ID is another now.
    pub reassigned: f64,
    /// On each level, the share of items whose code is the same.
    pub kept: Vec<f64>,
    /// The figures before.
    pub before: Figures,
    /// The figures now.
    pub after: Figures,
}

impl Drift {
    /// Of items with an ID before and one now.
    pub fn of(pairs: &[(SemanticId, SemanticId)]) -> Drift {
        let (old, new): (Vec<SemanticId>, Vec<SemanticId>) = pairs.iter().copied().unzip();
        let count = pairs.len().max(1) as f64;
        let levels = old.iter().chain(&new).map(|id| id.codes().len()).max().unwrap_or(0);
        let same = |level: usize| {
            let same = |pair: &&(SemanticId, SemanticId)| {
                let code = |id: &SemanticId| id.codes().get(level).copied();
                code(&pair.0) == code(&pair.1)
            };
            pairs.iter().filter(same).count() as f64 / count
        };
        Drift {
            reassigned: pairs.iter().filter(|(old, new)| old != new).count() as f64 / count,
            kept: (0..levels).map(same).collect(),
            before: Figures::of(&old),
            after: Figures::of(&new),
        }
    }

    /// Of the items of a snapshot that have an ID under both versions of a codebook.
    ///
    /// # Errors
    /// As [`Snapshot::trie_version`]; `Invalid` if no item has both.
    pub fn between(snapshot: &Snapshot, name: &str, old: u32, new: u32) -> Result<Drift> {
        let pairs = super::align::pairs(snapshot, (name, old), (name, new))?;
        match pairs.is_empty() {
            true => Err(Error::invalid("drift", "has no item with an ID under both versions")),
            false => Ok(Drift::of(&pairs)),
        }
    }
}
