//! Generate: a decoder as a retriever.

use super::{Bucket, NextCode, beam::beam_search_for};
use crate::{
    error::{Error, Result},
    limits::LIMIT_MAX,
    recommend::{Allowed, Context, Found, Retrieve},
    semantic::{SemanticId, Trie},
};
use std::{fmt, sync::Arc};

/// Generative retrieval (TIGER, Rajput et al. 2023): decodes the semantic IDs of the items that come
/// next, code by code, and finds the items that have them.
///
/// Decoding is held to the trie of what the request may return, so nothing is ever found that is not
/// there, not alive or not allowed, whatever filters came before. Past items are read by the IDs they
/// have now. Pushes items by the probability of their ID (the hint is its logarithm), items that share
/// one by [`Bucket`]. Items that the decoder says are impossible (a logarithm of minus infinity) are not
/// found, even if there are beams for them.
///
/// ```
/// use bowerbird::{model::semantic::*, recommend::*};
/// let for_you = Recommender::new()
///     .filter(Seen::new(["buy"]))
///     .retrieve(Generate::by("sid", "next_codes", 100).bucket(Bucket::popular(["buy"])));
/// ```
#[derive(Clone)]
pub struct Generate {
    codebook: String,
    decoder: From,
    limit: usize,
    beams: usize,
    kinds: Vec<String>,
    bucket: Bucket,
}

#[derive(Clone)]
enum From {
    Artifact(String),
    Given(Arc<dyn NextCode>),
}

/// Beams unless set: open TIGER decodes with as many.
const BEAMS: usize = 50;

impl Generate {
    /// By the active versions of a codebook and of a decoder that was trained on it, at most `limit`
    /// items.
    pub fn by(codebook: &str, decoder: &str, limit: usize) -> Generate {
        Generate::of(codebook, From::Artifact(decoder.into()), limit)
    }

    /// By a decoder of the caller's own.
    pub fn with(codebook: &str, decoder: Arc<dyn NextCode>, limit: usize) -> Generate {
        Generate::of(codebook, From::Given(decoder), limit)
    }

    fn of(codebook: &str, decoder: From, limit: usize) -> Generate {
        let (kinds, bucket) = (Vec::new(), Bucket::default());
        Generate { codebook: codebook.into(), decoder, limit, beams: BEAMS, kinds, bucket }
    }

    /// How many prefixes are kept at each level: more find more likely items, and take longer. 50
    /// unless set; at least `limit` IDs are worth keeping where most have one item.
    pub fn beams(mut self, beams: usize) -> Generate {
        self.beams = beams;
        self
    }

    /// Which events are the history; all unless set.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Generate {
        self.kinds = kinds.into_iter().map(str::to_owned).collect();
        self
    }

    /// In which order items come that share an ID; by key unless set.
    pub fn bucket(mut self, bucket: Bucket) -> Generate {
        self.bucket = bucket;
        self
    }
}

impl fmt::Debug for Generate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, beams) = (self.limit, self.beams);
        f.debug_struct("Generate").field("limit", &limit).field("beams", &beams).finish()
    }
}

impl Retrieve for Generate {
    fn name(&self) -> String {
        match &self.decoder {
            From::Artifact(name) => format!("Generate({}, {name})", self.codebook),
            From::Given(_) => format!("Generate({})", self.codebook),
        }
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            let why = format!("is {}; 1 to {LIMIT_MAX}", self.limit);
            return Err(Error::invalid("limit of Generate", why));
        }
        let decoder = match &self.decoder {
            From::Artifact(name) => cx.snapshot.decoder(name)?,
            From::Given(decoder) => decoder.clone(),
        };
        let trie = allowed.trie(cx.snapshot, &self.codebook)?;
        let history = history(cx, &trie, &self.kinds)?;
        let mut order = self.bucket.sorter(cx);
        for beam in beam_search_for(&trie, &*decoder, (cx.request.user, &history), self.beams)? {
            // Said to be impossible, and kept only where beams were left over; so are all after it.
            if beam.log_prob == f32::NEG_INFINITY {
                break;
            }
            let items = order.sort(trie.items(&beam.node).collect())?;
            for addr in items {
                if found.len() >= self.limit {
                    return Ok(());
                }
                found.push(addr, beam.log_prob);
            }
        }
        Ok(())
    }
}

/// The semantic IDs of the past items of a request, oldest first. Says how many have none.
pub(super) fn history(cx: &Context<'_>, trie: &Trie, kinds: &[String]) -> Result<Vec<SemanticId>> {
    let kind = |kind: &String| cx.snapshot.schema().find_event(kind);
    let kinds = kinds.iter().map(kind).collect::<Result<Vec<u8>>>()?;
    let counts = cx.history.deeds.iter().filter(|d| kinds.is_empty() || kinds.contains(&d.kind));
    let (mut ids, mut lost, mut all) = (Vec::new(), 0, 0);
    for deed in counts {
        all += 1;
        match cx.snapshot.find(&deed.item)?.and_then(|addr| trie.id(addr)) {
            Some(id) => ids.push(id),
            None => lost += 1,
        }
    }
    if lost > 0 {
        let name = trie.codebook().0;
        cx.degraded(format!("{lost} of {all} past items have no semantic ID in {name}"));
    }
    Ok(ids)
}
