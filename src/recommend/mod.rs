//! The operator family: Summarize, Filter, Retrieve, Screen, Score, Select.
//!
//! One verb each, and the law of each is in its signature: a filter gets a set that only shrinks, a
//! retriever can only offer what is allowed, a screen can only drop what was found, a scorer gets numbers to
//! change and nothing to drop, a selector returns places in an order and so cannot invent. A [`Recommender`] is a list of operators;
//! running it on a [`Snapshot`] gives a [`Slate`], which says where each item came from. Before all of them, rules
//! may fill in what a request lacks ([`Complete`]).
//!
//! ```
//! use bowerbird::{recommend::*, *};
//! # fn main() -> Result<()> {
//! # let schema = Schema::new().space("text", 2, Metric::Cosine).attr("genre", AttrType::Tag).event("view");
//! # let db = Db::in_memory(schema)?;
//! # db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0]).attr("genre", "jazz"))
//! #     .put(Item::new(2u64).vector("text", [0.9, 0.1]).attr("genre", "jazz"))
//! #     .event(Event::new(7, 1u64, "view", Timestamp(5))).commit()?;
//! let for_you = Recommender::new()
//!     .summarize(Decayed::new("text", days(14)))
//!     .filter(Seen::new(["view"]))
//!     .filter(attr("genre").is("jazz"))
//!     .retrieve(NearInterests::new("text", 200))
//!     .retrieve(CoVisited::new(["view"], 100))
//!     .retrieve(Popular::new(["view"], days(7), 50))
//!     .score(Rrf::default())
//!     .select(Diverse::new("text", 0.3));
//! let slate = for_you.run(&db.snapshot(), &Request::new(10, Timestamp(1_000)).user(7))?;
//! assert_eq!(slate.items[0].key, Key::Id(2));
//! assert_eq!(slate.items[0].sources, ["NearInterests(text)"]);
//! # Ok(()) }
//! ```
//!
//! Invariants: no item of a slate is dead, disallowed, excluded or repeated (V7); scores are finite
//! and equal ones are ordered by key (V8); the same snapshot and request give the same slate (V9).
//! Time is an argument: a request is answered as of its `now`, by what was known then.

mod affinity;
mod as_of;
mod background;
mod boosted;
mod candidates;
mod complete;
mod counts;
mod covisited;
mod explain;
mod explore;
mod filter;
mod for_task;
mod fusion;
mod impressions;
mod means;
mod named;
mod numbers;
mod past;
pub mod policy;
mod profiles;
mod recommender;
mod relevance;
pub mod replay;
mod request;
mod retrieve;
mod score;
mod screen;
mod select;
mod share;
mod summarize;
mod tune;
mod words;

pub use affinity::{TagAffinity, TagShare};
pub(crate) use as_of::AsOf;
pub use background::Background;
pub use boosted::{Boost, Boosted, Looked, NearBoosted};
pub use candidates::{
    Allowed, Candidates, Chosen, Found, Interest, Ranked, Recommended, Slate, Stage, Trace,
};
pub use complete::Complete;
pub(crate) use counts::{Counting, disk_parts, prefix};
pub use covisited::CoVisited;
pub use explain::{Explanation, Fate};
pub use explore::{Arm, Bandit, Deal, EpsilonGreedy, Explore, LinUcb, Rewards, Thompson};
pub use filter::{Cooldown, Excluded, Seen};
pub use for_task::ForTask;
pub use fusion::{Fused, Rrf, Weighted};
pub use means::{ItemMean, UserMean};
pub use named::Named;
pub use numbers::{Highest, NumberOf};
pub use profiles::{Comparison, Profiles};
pub use recommender::Recommender;
pub(crate) use recommender::SUNK;
pub use relevance::{MinRelevance, Relevance};
pub use request::Request;
pub use retrieve::{Fresh, NearInterests, Popular, SimilarTo};
pub(crate) use score::source_named;
pub use score::{Hint, Popularity, Recency, Similarity};
pub use screen::{Kept, Screen, Screened};
pub(crate) use select::marginal;
pub use select::{Diverse, Quota, Top};
pub use share::Share;
pub(crate) use summarize::k_medoids;
pub use summarize::{Clustered, Decayed, Feedback, Query, Recent, Source};
pub use tune::{Trial, Tune, Tuned};
pub use words::{Begins, Bm25, Matches, Typed};

use crate::{
    error::Result,
    store::{History, Snapshot},
};
use parking_lot::Mutex;

/// Everything an operator may look at.
///
/// ```
/// use bowerbird::{recommend::Context, Result};
/// fn events(cx: &Context<'_>) -> usize {
///     cx.history.deeds.len()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The database.
    pub snapshot: &'a Snapshot,
    /// What was asked, with what [`Complete`] has filled in.
    pub request: &'a Request,
    /// What the user had done by `request.now`: the latest thousand events, of the kinds that the recommender
    /// [says](Recommender::acts), or of all. Empty without a user, or what [`Complete`] has filled in. See
    /// [`past`](Context::past) for some kinds.
    pub history: &'a History,
    /// What the summarizers have said so far.
    pub interests: &'a [Interest],
    pub(crate) notes: &'a Notes,
}

impl Context<'_> {
    /// Says that an answer is less than it could be, and why: it will be in `degraded` of the
    /// slate's [`Trace`], once.
    pub fn degraded(&self, why: impl Into<String>) {
        let (why, mut notes) = (why.into(), self.notes.said.lock());
        if !notes.contains(&why) {
            notes.push(why);
        }
    }
}

/// What operators have said of one request, and what they have read of its user.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    said: Mutex<Vec<String>>,
    pasts: past::Pasts,
}

impl Notes {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock())
    }
}

/// Reads a history, says what the user seems to want.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// Everybody wants the same.
/// struct House;
/// impl Summarize for House {
///     fn name(&self) -> String {
///         "House".into()
///     }
///     fn summarize(&self, _: &Context<'_>) -> Result<Vec<Interest>> {
///         Ok(vec![Interest::new("text", vec![1.0, 0.0], 1.0)])
///     }
/// }
/// let recommender = Recommender::new().summarize(House);
/// ```
pub trait Summarize: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// Weighted vectors to look near; none if it has nothing to say.
    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>>;
}

/// Narrows what may be returned. [`Allowed`] has no method that widens.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// Never the item that the request is about, nor its neighbour in number.
/// struct NoNeighbour;
/// impl Filter for NoNeighbour {
///     fn name(&self) -> String {
///         "NoNeighbour".into()
///     }
///     fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
///         if let Some(Key::Id(id)) = cx.request.item {
///             allowed.remove_key(cx.snapshot, &Key::Id(id.wrapping_add(1)))?;
///         }
///         Ok(())
///     }
/// }
/// let recommender = Recommender::new().filter(NoNeighbour);
/// ```
pub trait Filter: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// Takes away what may not be returned.
    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()>;
}

/// Proposes candidates. [`Found`] drops repeats and what is not allowed, so no retriever has to.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// The house's own picks.
/// struct Picks(Vec<Key>);
/// impl Retrieve for Picks {
///     fn name(&self) -> String {
///         "Picks".into()
///     }
///     fn retrieve(&self, cx: &Context<'_>, _: &Allowed, found: &mut Found<'_>) -> Result<()> {
///         for key in &self.0 {
///             if let Some(addr) = cx.snapshot.find(key)? {
///                 found.push(addr, 1.0);
///             }
///         }
///         Ok(())
///     }
/// }
/// let recommender = Recommender::new().retrieve(Picks(vec![Key::Id(3)]));
/// ```
pub trait Retrieve: Send + Sync {
    /// Its name in traces, and the source of what it finds.
    fn name(&self) -> String;
    /// Pushes candidates, best first, each with a hint of how good it is.
    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()>;
}

/// Gives every candidate one number, in place.
///
/// Scorers run one after the other on the same numbers, which begin as zeros: the first sets them,
/// later ones may change them. [`Weighted`] makes one scorer of several.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// Halves what is far down in every source.
/// struct Doubt;
/// impl Score for Doubt {
///     fn name(&self) -> String {
///         "Doubt".into()
///     }
///     fn score(&self, _: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
///         for (i, score) in scores.iter_mut().enumerate() {
///             if candidates.best_rank(i) > 100 {
///                 *score *= 0.5;
///             }
///         }
///         Ok(())
///     }
/// }
/// let recommender = Recommender::new().score(Rrf::default()).score(Doubt);
/// ```
pub trait Score: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// Writes `scores[i]` for candidate `i`; larger is better. What is not finite sinks to the bottom.
    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()>;
    /// Several requests at once, for devices that like large batches. Same answers as one by one.
    fn score_all(&self, jobs: &mut [Job<'_>]) -> Result<()> {
        jobs.iter_mut().try_for_each(|job| self.score(&job.cx, job.candidates, job.scores))
    }
}

/// One request's share of a batch. See [`Score::score_all`].
///
/// ```
/// use bowerbird::recommend::Job;
/// fn candidates(jobs: &[Job<'_>]) -> usize {
///     jobs.iter().map(|job| job.scores.len()).sum()
/// }
/// ```
#[derive(Debug)]
pub struct Job<'a> {
    /// The request and what is known about it.
    pub cx: Context<'a>,
    /// What to score.
    pub candidates: &'a Candidates,
    /// Where to.
    pub scores: &'a mut [f32],
}

/// Chooses the slate: places in the ranked order.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// /// Every second one.
/// struct Alternate;
/// impl Select for Alternate {
///     fn name(&self) -> String {
///         "Alternate".into()
///     }
///     fn select(&self, _: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
///         Ok((0..ranked.len()).step_by(2).take(limit).collect())
///     }
/// }
/// let recommender = Recommender::new().select(Alternate);
/// ```
pub trait Select: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// At most `limit` different places in the order, in the order of the slate.
    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>>;
    /// The same, and how likely each was; 1 for selectors that draw no lots. One that does overrides
    /// this, and [`Explore`] does.
    fn choose(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<Chosen>> {
        Ok(self.select(cx, ranked, limit)?.into_iter().map(Chosen::surely).collect())
    }
}
