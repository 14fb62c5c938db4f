//! Scorers: similarity to the interests, popularity, recency, a source's own hint.

use crate::{
    error::{Error, Result},
    recommend::{
        Candidates, Context, Interest, Score,
        counts::Counting,
        retrieve::{time_attr, time_of},
        summarize::{check_half_life, decay},
    },
    search::{blocks::Rows, scan},
    store::nearest,
};
use roaring::RoaringBitmap;
use std::time::Duration;

/// How near a candidate is to the interests in a space: the best of weight times score. A candidate
/// without a vector there, or a request without interests, scores 0.
///
/// ```
/// let similar = bowerbird::recommend::Similarity::new("text");
/// ```
#[derive(Clone, Debug)]
pub struct Similarity {
    space: String,
}

impl Similarity {
    /// In a space.
    pub fn new(space: &str) -> Similarity {
        Similarity { space: space.into() }
    }
}

impl Score for Similarity {
    fn name(&self) -> String {
        format!("Similarity({})", self.space)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let best = similarities(cx, &self.space, cx.interests, candidates)?;
        scores.iter_mut().zip(best).for_each(|(score, best)| *score = best.unwrap_or(0.0));
        Ok(())
    }
}

/// The best of weight times score of each candidate over the interests in a space; `None` for one without
/// a vector there.
pub(crate) fn similarities(
    cx: &Context<'_>,
    name: &str,
    interests: &[Interest],
    candidates: &Candidates,
) -> Result<Vec<Option<f32>>> {
    let space = cx.snapshot.space(name)?;
    let mut best: Vec<Option<f32>> = vec![None; candidates.len()];
    let mut rows = vec![RoaringBitmap::new(); cx.snapshot.version.parts.len()];
    for addr in candidates.addrs() {
        rows[addr.part as usize].insert(addr.row.0);
    }
    for interest in interests.iter().filter(|i| i.space == name) {
        let query = [nearest::prepare(&space, &interest.vector, interest.weight)?];
        for (part, rows) in (0u32..).zip(&rows) {
            let (Some(first), Some(last)) = (rows.min(), rows.max()) else { continue };
            let segment = &cx.snapshot.version.parts[part as usize].segment;
            scan::scored(segment, &query, Rows::Only(rows), first..last + 1, &mut |rows, s| {
                for (row, score) in rows.iter().zip(s) {
                    let addr = crate::key::Addr { part, row: crate::key::Row(*row) };
                    if let Some(place) = candidates.place(addr) {
                        best[place] = Some(best[place].map_or(*score, |b| b.max(*score)));
                    }
                }
            })?;
        }
    }
    Ok(best)
}

/// How often a candidate was acted on, as log(1 + count), events counting less the older they are.
///
/// ```
/// use bowerbird::{days, recommend::Popularity};
/// let popular = Popularity::new(["view"], days(7));
/// ```
#[derive(Clone, Debug)]
pub struct Popularity {
    kinds: Vec<String>,
    half_life: Option<Duration>,
}

impl Popularity {
    /// By events of these kinds (none means all), with a half-life.
    pub fn new<'k>(kinds: impl IntoIterator<Item = &'k str>, half_life: Duration) -> Popularity {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        Popularity { kinds, half_life: Some(half_life) }
    }

    /// By how often in all time.
    pub fn ever<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Popularity {
        Popularity { kinds: kinds.into_iter().map(str::to_owned).collect(), half_life: None }
    }
}

impl Score for Popularity {
    fn name(&self) -> String {
        format!("Popularity({})", self.kinds.join(", "))
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        self.half_life.map_or(Ok(()), |half_life| check_half_life("Popularity", half_life))?;
        let counting = Counting::new(cx.snapshot, &self.kinds, self.half_life)?;
        let (now, counts) = (cx.request.now, counting.counts(cx.snapshot, cx.request.now)?);
        for (score, key) in scores.iter_mut().zip(candidates.keys()) {
            *score = counts.get(key, now).ln_1p() as f32;
        }
        Ok(())
    }
}

/// How new a candidate is by a time attribute: 1 now, a half after one half-life, 0 if missing.
///
/// ```
/// use bowerbird::{days, recommend::Recency};
/// let new = Recency::new("published", days(3));
/// ```
#[derive(Clone, Debug)]
pub struct Recency {
    attr: String,
    half_life: Duration,
}

impl Recency {
    /// By this attribute.
    pub fn new(attr: &str, half_life: Duration) -> Recency {
        Recency { attr: attr.into(), half_life }
    }
}

impl Score for Recency {
    fn name(&self) -> String {
        format!("Recency({})", self.attr)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        check_half_life("Recency", self.half_life)?;
        let attr = time_attr(cx, &self.attr)?;
        for (score, addr) in scores.iter_mut().zip(candidates.addrs()) {
            let at = time_of(cx, *addr, attr)?;
            *score = at.map_or(0.0, |at| decay(at, cx.request.now, self.half_life) as f32);
        }
        Ok(())
    }
}

/// The hint that one retriever gave, by its name; 0 for what it has not found.
///
/// ```
/// let covisits = bowerbird::recommend::Hint::of("CoVisited(view)");
/// ```
#[derive(Clone, Debug)]
pub struct Hint {
    source: String,
}

impl Hint {
    /// Of the retriever with this name.
    pub fn of(source: &str) -> Hint {
        Hint { source: source.into() }
    }
}

impl Score for Hint {
    fn name(&self) -> String {
        format!("Hint({})", self.source)
    }

    fn score(&self, _: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let source = source_named(candidates, &self.source)?;
        for (i, score) in scores.iter_mut().enumerate() {
            *score = candidates.find(source, i).map_or(0.0, |(_, hint)| hint);
        }
        Ok(())
    }
}

/// The number of a retriever by its name, which must be that of one only.
pub(crate) fn source_named(candidates: &Candidates, name: &str) -> Result<usize> {
    let places: Vec<usize> =
        (0..).zip(candidates.sources()).filter(|(_, s)| *s == name).map(|(at, _)| at).collect();
    let why = match places[..] {
        [place] => return Ok(place),
        [] => {
            let known: Vec<&str> = candidates.sources().collect();
            format!("is no retriever of this recommender, which has {known:?}")
        }
        _ => format!(
            "is the name of {} retrievers of this recommender, and nothing says which of them is \
             meant; give each a name of its own with `Named`",
            places.len()
        ),
    };
    Err(Error::invalid(format!("source {name:?}"), why))
}
