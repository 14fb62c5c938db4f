//! PrefixPrior: what to expect of an item, from items of its kind.

use crate::{
    error::{Error, Result},
    key::{Addr, Timestamp},
    recommend::{AsOf, Candidates, Context, Counting, Score},
    semantic::{SemanticId, Trie},
    store::{
        Snapshot,
        weight::{Weight, slots},
    },
};
use std::{collections::HashMap, sync::Arc};

/// Scores candidates by how often items are acted on, where an item with few events of its own is
/// expected to be like those that share its semantic ID's prefix.
///
/// Along the path of an item, from all items down to itself, each estimate is shrunk to the one above:
/// `(events + strength x estimate above) / (size + strength)`. The size is how many items there are
/// ([`PrefixPrior::popularity`]) or how many impressions ([`PrefixPrior::rate`]); of the item itself it
/// is 1, or its own impressions. So a new item begins with the estimate of its kind, and its own events
/// take over as they come (empirical Bayes). The score is log(1 + estimate) for popularity, the
/// estimate for a rate.
///
/// The first request after a commit makes one pass over all items with events.
///
/// ```
/// use bowerbird::{model::semantic::PrefixPrior, recommend::*};
/// let clicks = PrefixPrior::rate("sid", ["click"], ["shown"]).strength(20.0);
/// let recommender = Recommender::new().retrieve(Fresh::new("published", 50)).score(clicks);
/// ```
#[derive(Clone, Debug)]
pub struct PrefixPrior {
    codebook: String,
    events: Vec<String>,
    shown: Option<Vec<String>>,
    strength: f32,
}

/// Events and size of one prefix.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    events: f64,
    size: f64,
}

/// Those of all prefixes.
struct Tallies(HashMap<SemanticId, Tally>);

impl Weight for Tallies {
    fn weight(&self) -> u64 {
        slots(&self.0)
    }
}

impl PrefixPrior {
    /// By events of these kinds for each item; none means all kinds.
    pub fn popularity<'k>(codebook: &str, kinds: impl IntoIterator<Item = &'k str>) -> PrefixPrior {
        let events = kinds.into_iter().map(str::to_owned).collect();
        PrefixPrior { codebook: codebook.into(), events, shown: None, strength: 1.0 }
    }

    /// By events of some kinds for each event of others: clicks for each impression.
    pub fn rate<'k>(
        codebook: &str,
        clicks: impl IntoIterator<Item = &'k str>,
        shown: impl IntoIterator<Item = &'k str>,
    ) -> PrefixPrior {
        let shown = shown.into_iter().map(str::to_owned).collect();
        let strength = 10.0;
        PrefixPrior { shown: Some(shown), strength, ..PrefixPrior::popularity(codebook, clicks) }
    }

    /// How many items (or impressions) the estimate above counts as much as; above 0. 1 unless set, or
    /// 10 for a rate.
    pub fn strength(mut self, strength: f32) -> PrefixPrior {
        self.strength = strength;
        self
    }

    /// Events and sizes of all prefixes, computed once for each version.
    fn tallies(&self, cx: &Context<'_>, trie: &Trie) -> Result<Arc<Tallies>> {
        let snapshot = cx.snapshot;
        let now = AsOf::of(&snapshot.version, cx.request.now)?.at;
        let (events, shown) = (&self.events, &self.shown);
        let recipe = format!("prior {:?} {events:?} {shown:?} {now:?}", trie.codebook());
        snapshot.version.memo.get(&recipe, || {
            let mut tallies = HashMap::<SemanticId, Tally>::new();
            let mut add = |addr: Addr, tally: Tally| {
                let Some(id) = trie.id(addr) else { return };
                for depth in 0..=id.codes().len() {
                    let sum = tallies.entry(id.prefix(depth)).or_default();
                    sum.events += tally.events;
                    sum.size += tally.size;
                }
            };
            for (addr, events) in counted(snapshot, &self.events, cx.request.now)? {
                add(addr, Tally { events, size: 0.0 });
            }
            match &self.shown {
                Some(shown) => {
                    for (addr, size) in counted(snapshot, shown, cx.request.now)? {
                        add(addr, Tally { events: 0.0, size });
                    }
                }
                None => {
                    trie.items(&trie.root()).for_each(|a| add(a, Tally { events: 0.0, size: 1.0 }));
                }
            }
            Ok(Tallies(tallies))
        })
    }
}

/// The live items that have events of some kinds, and how many.
fn counted(snapshot: &Snapshot, kinds: &[String], now: Timestamp) -> Result<Vec<(Addr, f64)>> {
    let all = crate::recommend::Allowed::all(snapshot)?;
    let counting = Counting::new(snapshot, kinds, None)?;
    counting.counts(snapshot, now)?.top(snapshot, &all, usize::MAX, now)
}

impl Score for PrefixPrior {
    fn name(&self) -> String {
        format!("PrefixPrior({})", self.codebook)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        if !(self.strength.is_finite() && self.strength > 0.0) {
            let why = format!("is {}; it must be above 0", self.strength);
            return Err(Error::invalid("strength of PrefixPrior", why));
        }
        let trie = cx.snapshot.trie(&self.codebook, &crate::filter::Where::all())?;
        let tallies = self.tallies(cx, &trie)?;
        let now = cx.request.now;
        let count =
            |kinds: &[String]| Counting::new(cx.snapshot, kinds, None)?.counts(cx.snapshot, now);
        let events = count(&self.events)?;
        let shown = self.shown.as_deref().map(count).transpose()?;
        let strength = f64::from(self.strength);
        let shrink =
            |above: f64, tally: Tally| (tally.events + strength * above) / (tally.size + strength);
        let of = |prefix: &SemanticId| tallies.0.get(prefix).copied().unwrap_or_default();
        let all = of(&SemanticId::default());
        let overall = if all.size > 0.0 { all.events / all.size } else { 0.0 };
        for ((score, key), addr) in scores.iter_mut().zip(candidates.keys()).zip(candidates.addrs())
        {
            let id = trie.id(*addr).unwrap_or_default();
            let depths = 1..=id.codes().len();
            let kind = depths.fold(overall, |above, depth| shrink(above, of(&id.prefix(depth))));
            let size = shown.as_ref().map_or(1.0, |shown| shown.get(key, now));
            let own = shrink(kind, Tally { events: events.get(key, now), size });
            *score = if self.shown.is_some() { own as f32 } else { own.ln_1p() as f32 };
        }
        Ok(())
    }
}
