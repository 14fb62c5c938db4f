//! Operators over prefixes: what is of one kind with an item, and slates of many kinds.

use super::Bucket;
use crate::{
    error::{Error, Result},
    limits::{LEVELS_MAX, LIMIT_MAX},
    recommend::{Allowed, Context, Found, Ranked, Retrieve, Select},
    semantic::SemanticId,
};
use std::collections::HashMap;

/// Finds items that share the first codes of their semantic ID with the item of the request, or
/// without one with the user's latest items: those that share most first.
///
/// New items have their ID from the moment they are written, so they are found like old ones.
///
/// ```
/// use bowerbird::{model::semantic::*, recommend::*};
/// let similar = Recommender::new().retrieve(SimilarByPrefix::new("sid", 2, 100));
/// ```
#[derive(Clone, Debug)]
pub struct SimilarByPrefix {
    codebook: String,
    depth: usize,
    limit: usize,
    last: usize,
    bucket: Bucket,
}

impl SimilarByPrefix {
    /// Items that share at least `depth` codes, at most `limit`.
    pub fn new(codebook: &str, depth: usize, limit: usize) -> SimilarByPrefix {
        let bucket = Bucket::default();
        SimilarByPrefix { codebook: codebook.into(), depth, limit, last: 5, bucket }
    }

    /// How many of the user's latest items count where the request has no item; 5 unless set.
    pub fn last(mut self, items: usize) -> SimilarByPrefix {
        self.last = items;
        self
    }

    /// In which order items come that share as much; by key unless set.
    pub fn bucket(mut self, bucket: Bucket) -> SimilarByPrefix {
        self.bucket = bucket;
        self
    }
}

impl Retrieve for SimilarByPrefix {
    fn name(&self) -> String {
        format!("SimilarByPrefix({}, {})", self.codebook, self.depth)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            let why = format!("is {}; 1 to {LIMIT_MAX}", self.limit);
            return Err(Error::invalid("limit of SimilarByPrefix", why));
        }
        let trie = allowed.trie(cx.snapshot, &self.codebook)?;
        check_depth("SimilarByPrefix", self.depth)?;
        let ids = match &cx.request.item {
            Some(item) => {
                let id = cx.snapshot.find(item)?.and_then(|addr| trie.id(addr));
                if id.is_none() {
                    cx.degraded(format!("item {item} has no semantic ID in {}", self.codebook));
                }
                id.into_iter().collect()
            }
            None => {
                let mut ids = super::generate::history(cx, &trie, &[])?;
                ids.reverse();
                ids.truncate(self.last);
                ids
            }
        };
        let (levels, mut order) = (trie.widths().len(), self.bucket.sorter(cx));
        for depth in (self.depth..=levels).rev() {
            for id in &ids {
                let Some(node) = trie.find(&id.prefix(depth)) else { continue };
                for addr in order.sort(trie.items(&node).collect())? {
                    if found.len() >= self.limit {
                        return Ok(());
                    }
                    found.push(addr, depth as f32 / levels as f32);
                }
            }
        }
        Ok(())
    }
}

fn check_depth(name: &str, depth: usize) -> Result<()> {
    match depth {
        1..=LEVELS_MAX => Ok(()),
        n => Err(Error::invalid(format!("depth of {name}"), format!("is {n}; 1 to {LEVELS_MAX}"))),
    }
}

/// The best, but at most so many that share the first codes of their semantic ID. An item without an
/// ID is not limited. The slate may be shorter than asked for.
///
/// ```
/// let mixed = bowerbird::model::semantic::PrefixQuota::new("sid", 1, 3);
/// ```
#[derive(Clone, Debug)]
pub struct PrefixQuota {
    codebook: String,
    depth: usize,
    most: usize,
}

impl PrefixQuota {
    /// At most `most` items that share `depth` codes.
    pub fn new(codebook: &str, depth: usize, most: usize) -> PrefixQuota {
        PrefixQuota { codebook: codebook.into(), depth, most }
    }
}

impl Select for PrefixQuota {
    fn name(&self) -> String {
        format!("PrefixQuota({}, {}, {})", self.codebook, self.depth, self.most)
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        check_depth("PrefixQuota", self.depth)?;
        let ids = ids(cx, &self.codebook, ranked, ranked.len())?;
        let mut counts: HashMap<SemanticId, usize> = HashMap::new();
        let mut is_free = |place: &usize| {
            let Some(id) = ids[*place] else { return true };
            let count = counts.entry(id.prefix(self.depth)).or_default();
            *count += 1;
            *count <= self.most
        };
        Ok((0..ranked.len()).filter(|place| is_free(place)).take(limit).collect())
    }
}

/// Maximal marginal relevance by prefixes: as [`Diverse`](crate::recommend::Diverse), where the
/// similarity of two items is the share of first codes that they have in common.
///
/// ```
/// let varied = bowerbird::model::semantic::PrefixDiverse::new("sid", 0.3);
/// ```
#[derive(Clone, Debug)]
pub struct PrefixDiverse {
    codebook: String,
    weight: f32,
}

/// Candidates looked at per item of the slate.
const POOL: usize = 10;

impl PrefixDiverse {
    /// With a weight in 0..=1: 0 takes the best, 1 only cares for difference.
    pub fn new(codebook: &str, weight: f32) -> PrefixDiverse {
        PrefixDiverse { codebook: codebook.into(), weight }
    }
}

impl Select for PrefixDiverse {
    fn name(&self) -> String {
        format!("PrefixDiverse({}, {})", self.codebook, self.weight)
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        let pool = ranked.len().min(limit.saturating_mul(POOL));
        let ids = ids(cx, &self.codebook, ranked, pool)?;
        let similar = |a: usize, b: usize| match (&ids[a], &ids[b]) {
            (Some(a), Some(b)) => a.shared(b) as f32 / a.codes().len().max(1) as f32,
            _ => 0.0,
        };
        crate::recommend::marginal(ranked, self.weight, (pool, limit), similar)
    }
}

fn ids(
    cx: &Context<'_>,
    codebook: &str,
    ranked: &Ranked<'_>,
    pool: usize,
) -> Result<Vec<Option<SemanticId>>> {
    let addrs: Vec<_> = (0..pool).map(|place| ranked.addr(place)).collect();
    cx.snapshot.semantic_ids(codebook, &addrs)
}
