//! Relevance: is a match any better than chance? For databases without labels.

use crate::{
    error::{Error, Result},
    recommend::{Background, Candidates, Context, Interest, Kept, Screen, score::similarities},
};

/// How much better than two items drawn at random a match must be.
///
/// ```
/// use bowerbird::recommend::Relevance;
/// assert_eq!(Relevance::Medium.quantile(), 0.99);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Relevance {
    /// As similar as one pair in ten is.
    Low,
    /// As one in a hundred.
    Medium,
    /// As one in a thousand.
    High,
    /// Above this share of the pairs, 0 to 1.
    Quantile(f64),
}

impl Relevance {
    /// The share of random pairs that are less similar.
    pub fn quantile(&self) -> f64 {
        match self {
            Relevance::Low => 0.9,
            Relevance::Medium => 0.99,
            Relevance::High => 0.999,
            Relevance::Quantile(share) => *share,
        }
    }
}

/// Drops candidates that are no more similar to what was asked for than items drawn at random are to each
/// other: for databases without labels.
///
/// Similar to the query in that space; without one, to the item that the request is about; without that,
/// to the nearest interest. A candidate without a vector there is dropped: nothing speaks for it. A request
/// that has no vector there keeps everything, and the trace says so.
///
/// ```
/// use bowerbird::recommend::*;
/// let search = Recommender::new()
///     .summarize(Query)
///     .retrieve(NearInterests::new("text", 100))
///     .screen(MinRelevance::new("text", Relevance::Medium).keep_at_least(3));
/// ```
#[derive(Clone, Debug)]
pub struct MinRelevance {
    space: String,
    relevance: Relevance,
    least: usize,
}

impl MinRelevance {
    /// In a space.
    pub fn new(space: &str, relevance: Relevance) -> MinRelevance {
        MinRelevance { space: space.into(), relevance, least: 0 }
    }

    /// Keeps so many, the most similar, whatever they are like; 0 unless set.
    pub fn keep_at_least(mut self, least: usize) -> MinRelevance {
        self.least = least;
        self
    }

    /// What candidates must be similar to.
    fn asked(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        if let Some((space, vector)) = &cx.request.query
            && *space == self.space
        {
            return Ok(vec![Interest::new(space, vector.clone(), 1.0)]);
        }
        if let Some(item) = &cx.request.item
            && let Some(addr) = cx.snapshot.find(item)?
        {
            let mut vector = Vec::new();
            if cx.snapshot.vector(addr, &self.space, &mut vector)? {
                return Ok(vec![Interest::new(&self.space, vector, 1.0)]);
            }
        }
        let here = cx.interests.iter().filter(|interest| interest.space == self.space);
        // Their weights say how much they matter beside each other, not what is similar.
        Ok(here.map(|interest| Interest { weight: 1.0, ..interest.clone() }).collect())
    }
}

impl Screen for MinRelevance {
    fn name(&self) -> String {
        format!("MinRelevance({}, {:?})", self.space, self.relevance)
    }

    fn screen(&self, cx: &Context<'_>, candidates: &Candidates, kept: &mut Kept) -> Result<()> {
        if !(0.0..=1.0).contains(&self.relevance.quantile()) {
            let why = format!("is {}; it must be 0 to 1", self.relevance.quantile());
            return Err(Error::invalid("quantile of MinRelevance", why));
        }
        cx.snapshot.space(&self.space)?;
        let asked = self.asked(cx)?;
        if asked.is_empty() {
            let (name, space) = (self.name(), &self.space);
            cx.degraded(format!("{name}: the request has no vector in {space:?}; all are kept"));
            return Ok(());
        }
        let bound = Background::of(cx.snapshot, &self.space)?.score(self.relevance);
        let similar = similarities(cx, &self.space, &asked, candidates)?;
        let far = |at: &usize| similar[*at].is_none_or(|score| score < bound);
        let near = |at: usize| similar[at].unwrap_or(f32::NEG_INFINITY);
        kept.drop_worst(candidates, self.least, far, |at| -near(at));
        Ok(())
    }
}
