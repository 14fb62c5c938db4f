//! Boosted: near in several spaces, and good besides, in one search.
//!
//! The score of an item is the sum of its similarities and of its boosts, each with a weight that the
//! question brings: `sum of w_s * similarity_s + sum of v_b * boost_b`. Tuning weights needs no new
//! index. Product vectors with quality appended are the same sum (Etsy, 2023, "Unified Embedding
//! Based Personalized Retrieval in Etsy Search"), but with the weights frozen into the index.
//!
//! | file | it owns |
//! |---|---|
//! | `boost` | how good an item is, 0 to 1: what it is made from |
//! | `quality`, `listed` | the same in one part: at random, and in order |
//! | `sum` | the score; the guard of weights |
//! | `ask` | all parts, and what was done |
//! | `list`, `threshold` | reading lists until the best are certain |
//! | `pass` | scoring every row |
//! | `operator` | the same as a retriever |

mod ask;
mod boost;
mod list;
mod listed;
mod operator;
mod pass;
mod quality;
mod sum;
mod threshold;

pub use ask::Looked;
pub use boost::Boost;
pub use operator::NearBoosted;

use crate::{
    error::Result,
    key::Timestamp,
    store::{
        Hit, Snapshot,
        knobs::{self, Knobs},
    },
};
use ask::Ask;
use quality::Prepared;
use sum::{Missing, Near, Sum};

/// The most that boosts weigh together unless the caller says: as much as one whole cosine, and as
/// far as walks were measured to lose no more than one item in a hundred.
const NORM_MAX: f32 = 1.0;

/// A question for items that are near in several spaces and good besides, answered by
/// [`Boosted::run`].
///
/// The score is the sum of similarities and [`Boost`]s, each times its weight. Where there are graphs,
/// lists of what is nearest and of what is best are read until no other item can be among the
/// answers: deeper the more the boosts weigh, with nothing to set. Where that leads too far, where
/// there is no graph, and with [`Boosted::exact`], every allowed item is scored. So an answer misses
/// what walks over graphs miss, and nothing else; scores are exact.
///
/// ```
/// # use bowerbird::{recommend::Boost, *};
/// # fn main() -> Result<()> {
/// let schema = Schema::new()
///     .space("text", 2, Metric::Cosine)
///     .space("image", 2, Metric::Cosine)
///     .attr("stars", AttrType::Float)
///     .attr("published", AttrType::Time)
///     .event("view")
///     .event("click");
/// let db = Db::in_memory(schema)?;
/// db.batch()
///     .put(Item::new(1u64).vector("text", [1.0, 0.0]).attr("stars", 1.5))
///     .put(Item::new(2u64).vector("text", [0.9, 0.1]).attr("stars", 4.5))
///     .commit()?;
/// let snapshot = db.snapshot();
/// let hits = snapshot
///     .boosted(Timestamp(1_000))
///     .near("text", &[1.0, 0.0], 1.0)
///     .near("image", &[0.0, 1.0], 0.5)
///     .boost(Boost::number("stars", 1.0, 5.0), 0.2)
///     .boost(Boost::fresh("published", days(30)), 0.1)
///     .boost(Boost::rate(["click"], ["view"], 20.0), 0.3)
///     .limit(10)
///     .run()?;
/// assert_eq!(hits[0].key, Key::Id(2));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is searched before `run`"]
pub struct Boosted<'s> {
    snapshot: &'s Snapshot,
    now: Timestamp,
    nears: Result<Vec<Near>>,
    boosts: Vec<(Boost, f32)>,
    norm_max: f32,
    knobs: Knobs<'s>,
}

knobs::setters!(Boosted);

impl Snapshot {
    /// The items with the largest sums of similarities and boosts, as of a time. See [`Boosted`].
    pub fn boosted(&self, now: Timestamp) -> Boosted<'_> {
        let (nears, boosts, knobs) = (Ok(Vec::new()), Vec::new(), Knobs::default());
        Boosted { snapshot: self, now, nears, boosts, norm_max: NORM_MAX, knobs }
    }
}

impl Boosted<'_> {
    /// Adds a space: a vector, and what being near to it counts. An item without a vector there has
    /// similarity 0; in an L2 space, where 0 is the most there is, it is not found.
    ///
    /// With a weight below 0, what is near is shunned; every item is then looked at.
    pub fn near(self, space: &str, vector: &[f32], weight: f32) -> Self {
        self.add(space, vector, (weight, Missing::Usual))
    }

    /// The same, where an item without a vector has this similarity.
    pub fn near_or(self, space: &str, vector: &[f32], weight: f32, missing: f32) -> Self {
        self.add(space, vector, (weight, Missing::As(missing)))
    }

    /// The same, where an item without a vector is not found.
    pub fn near_only(self, space: &str, vector: &[f32], weight: f32) -> Self {
        self.add(space, vector, (weight, Missing::Out))
    }

    fn add(mut self, space: &str, vector: &[f32], how: (f32, Missing)) -> Self {
        if let Ok(nears) = &mut self.nears {
            match Near::new(self.snapshot, space, vector, how) {
                Ok(near) => nears.push(near),
                Err(error) => self.nears = Err(error),
            }
        }
        self
    }

    /// Adds a boost: what being good counts. With a weight below 0, what is good is shunned.
    pub fn boost(mut self, boost: Boost, weight: f32) -> Self {
        self.boosts.push((boost, weight));
        self
    }

    /// The most that boosts may weigh together, whatever their signs; 1 unless set, and infinity
    /// allows all. More is an error, so that a slip of the pen does not make quality the answer to
    /// every question.
    pub fn norm_max(mut self, most: f32) -> Self {
        self.norm_max = most;
        self
    }

    /// Searches with this many threads; 1 unless set. The answer is the same. They share what is
    /// scored whole; a walk is not shared.
    pub fn threads(mut self, threads: usize) -> Self {
        self.knobs.threads = threads;
        self
    }

    /// The best items, best first; equal scores are ordered by key.
    ///
    /// # Errors
    /// `Invalid` for weights that are not finite or too large, for vectors that do not fit and boosts
    /// that cannot be; `NotFound` for unknown names.
    pub fn run(self) -> Result<Vec<Hit>> {
        Ok(self.run_counted()?.0)
    }

    /// The same, and what was done to find them.
    pub fn run_counted(self) -> Result<(Vec<Hit>, Looked)> {
        self.knobs.check()?;
        let weights: Vec<f32> = self.boosts.iter().map(|boost| boost.1).collect();
        sum::guard(&weights, self.norm_max)?;
        let mut boosts = Vec::with_capacity(self.boosts.len());
        for (boost, weight) in &self.boosts {
            boosts.push((Prepared::new(boost, self.snapshot, self.now)?, *weight));
        }
        let sum = Sum::new(self.nears?, boosts)?;
        let Knobs { limit, depth, threads, .. } = self.knobs;
        let ask = Ask { snapshot: self.snapshot, sum: &sum, limit, depth, threads };
        ask::search(&ask, &self.knobs.sieves(self.snapshot)?)
    }
}
