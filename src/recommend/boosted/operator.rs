//! NearBoosted: what is near to the interests and good besides.

use super::{
    ask::{self, Ask},
    boost::Boost,
    quality::Prepared,
    sum::{self, Missing, Near, Sum},
};
use crate::{
    error::Result,
    limits::EFFORT_MAX,
    recommend::{
        Allowed, Context, Found, Retrieve,
        retrieve::{EFFORT, check_limit, sieves},
    },
    store::{check_number, nearest::Depth},
};

/// Finds what is near to the interests, in several spaces at once, and good besides: the items with
/// the largest sums of similarities and [`Boost`]s, each with its weight.
///
/// Interests come from summarizers: the request's [`Query`](crate::recommend::Query), its item
/// ([`Source`](crate::recommend::Source)), what the user did ([`Decayed`](crate::recommend::Decayed)). In a space with
/// several, each counts by its share of their weights. A space without any adds nothing, and without
/// any in any space it is boosts alone that find: a shelf for strangers. An item without a vector in
/// a space has similarity 0 there, and is not found at all in an L2 space.
///
/// Boosts together may weigh 1, unless [`NearBoosted::norm_max`] says otherwise.
///
/// ```
/// # use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// # let schema = Schema::new().space("text", 2, Metric::Cosine).attr("stars", AttrType::Float).event("view");
/// # let db = Db::in_memory(schema)?;
/// # db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0]).attr("stars", 2.0))
/// #     .put(Item::new(2u64).vector("text", [0.99, 0.1]).attr("stars", 5.0)).commit()?;
/// let good = NearBoosted::new(100).near("text", 1.0).boost(Boost::number("stars", 1.0, 5.0), 0.3);
/// let search = Recommender::new().summarize(Query).retrieve(good).score(Hint::of("NearBoosted(text)"));
/// let request = Request::new(1, Timestamp(0)).query("text", [1.0, 0.0]);
/// assert_eq!(search.run(&db.snapshot(), &request)?.items[0].key, Key::Id(2));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct NearBoosted {
    limit: usize,
    spaces: Vec<(String, f32)>,
    boosts: Vec<(Boost, f32)>,
    norm_max: f32,
    effort: u32,
}

impl NearBoosted {
    /// At most `limit` items.
    pub fn new(limit: usize) -> NearBoosted {
        let (spaces, boosts) = (Vec::new(), Vec::new());
        NearBoosted { limit, spaces, boosts, norm_max: super::NORM_MAX, effort: EFFORT }
    }

    /// Adds a space: what being near to the interests there counts.
    pub fn near(mut self, space: &str, weight: f32) -> NearBoosted {
        self.spaces.push((space.into(), weight));
        self
    }

    /// Adds a boost: what being good counts.
    pub fn boost(mut self, boost: Boost, weight: f32) -> NearBoosted {
        self.boosts.push((boost, weight));
        self
    }

    /// The most that boosts may weigh together, whatever their signs; 1 unless set.
    pub fn norm_max(mut self, most: f32) -> NearBoosted {
        self.norm_max = most;
        self
    }

    /// How far graphs are walked at least, 1 to 10,000; 96 unless set.
    pub fn effort(mut self, effort: u32) -> NearBoosted {
        self.effort = effort;
        self
    }

    fn nears(&self, cx: &Context<'_>) -> Result<Vec<Near>> {
        let mut nears = Vec::new();
        for (space, weight) in &self.spaces {
            cx.snapshot.schema().find_space(space)?;
            let here = cx.interests.iter().filter(|interest| interest.space == *space);
            let here: Vec<_> = here.filter(|i| i.weight > 0.0 && i.weight.is_finite()).collect();
            let total: f64 = here.iter().map(|i| f64::from(i.weight)).sum();
            for interest in here {
                let weight = f64::from(*weight) * f64::from(interest.weight) / total;
                let how = (weight as f32, Missing::Usual);
                nears.push(Near::new(cx.snapshot, space, &interest.vector, how)?);
            }
        }
        Ok(nears)
    }
}

impl Retrieve for NearBoosted {
    fn name(&self) -> String {
        let spaces: Vec<&str> = self.spaces.iter().map(|(space, _)| space.as_str()).collect();
        format!("NearBoosted({})", spaces.join(", "))
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("NearBoosted", self.limit)?;
        check_number("effort of NearBoosted", self.effort as usize, EFFORT_MAX as usize)?;
        let weights: Vec<f32> = self.boosts.iter().map(|boost| boost.1).collect();
        sum::guard(&weights, self.norm_max)?;
        let (snapshot, now) = (cx.snapshot, cx.request.now);
        let prepared =
            |(boost, weight): &(Boost, f32)| Ok((Prepared::new(boost, snapshot, now)?, *weight));
        let boosts: Vec<_> = self.boosts.iter().map(prepared).collect::<Result<_>>()?;
        let nears = self.nears(cx)?;
        if nears.is_empty() && boosts.is_empty() {
            return Ok(());
        }
        let sum = Sum::new(nears, boosts)?;
        let (limit, depth) = (self.limit, Depth::Effort(self.effort));
        let ask = Ask { snapshot, sum: &sum, limit, depth, threads: 1 };
        for hit in ask::search(&ask, &sieves(cx, allowed))?.0 {
            found.push(hit.addr, hit.score);
        }
        Ok(())
    }
}
