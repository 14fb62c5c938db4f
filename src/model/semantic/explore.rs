//! Explore: a quota for what nobody knows yet.

use crate::{
    error::{Error, Result},
    recommend::{Context, Ranked, Select},
};

/// Chooses as another selector would, but keeps the last places for what one source found and the
/// ranking would not have shown: an exploration quota for fresh items.
///
/// The candidates of the source come in the order in which it found them; those whose hint is below
/// [`least`](Explore::least) stay away, and their places go back to the others. Candidates of the source
/// that made it by their own score do not count against the quota.
///
/// ```
/// use bowerbird::{model::semantic::Explore, recommend::*};
/// let explore = Explore::new("NewItems", 2).least(0.6);
/// let recommender = Recommender::new().retrieve(Fresh::new("published", 50)).select(explore);
/// ```
pub struct Explore {
    source: String,
    places: usize,
    least: f32,
    by: Box<dyn Select>,
}

impl Explore {
    /// At most so many places for what a retriever of this name finds, and the rest by rank.
    pub fn new(source: &str, places: usize) -> Explore {
        let by = Box::new(crate::recommend::Top);
        Explore { source: source.into(), places, least: f32::NEG_INFINITY, by }
    }

    /// What the source's hint must be at least: a similarity, if it is a search by content.
    pub fn least(mut self, hint: f32) -> Explore {
        self.least = hint;
        self
    }

    /// Chooses the rest by another selector.
    pub fn by(mut self, selector: impl Select + 'static) -> Explore {
        self.by = Box::new(selector);
        self
    }
}

impl std::fmt::Debug for Explore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Select for Explore {
    fn name(&self) -> String {
        format!("Explore({}, {}, {})", self.source, self.places, self.by.name())
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        if self.least.is_nan() {
            return Err(Error::invalid("least hint of Explore", "is not a number"));
        }
        let usual = self.by.select(cx, ranked, limit)?;
        let candidates = ranked.candidates();
        let Some(source) = candidates.sources().position(|name| name == self.source) else {
            return Ok(usual);
        };
        let find = |place: usize| candidates.find(source, ranked.candidate(place));
        let mut fresh: Vec<(u32, usize)> = Vec::new();
        for place in 0..ranked.len() {
            if let Some((rank, hint)) = find(place)
                && hint >= self.least
            {
                fresh.push((rank, place));
            }
        }
        fresh.sort_unstable();
        // Those above the quota's places stay where they are.
        let above = limit.saturating_sub(self.places).min(usual.len());
        let fresh = fresh.into_iter().map(|(_, place)| place);
        let new: Vec<usize> =
            fresh.filter(|place| !usual[..above].contains(place)).take(self.places).collect();
        let room = limit.saturating_sub(new.len());
        let others = usual.into_iter().filter(|place| !new.contains(place)).take(room);
        Ok(others.chain(new.iter().copied()).collect())
    }
}
