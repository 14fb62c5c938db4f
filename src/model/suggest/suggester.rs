//! Suggest: the recommender of queries to begin with.

use super::{
    leads::LeadsTo,
    stored::{KIND, TEXT, WEIGHT},
    wanted::Wanted,
};
use crate::{
    error::Result,
    key::days,
    recommend::{
        Begins, Diverse, Highest, Hint, NearInterests, NumberOf, Popular, Popularity, Recommender,
        Request, Share, Similarity, Slate, Typed, Weighted,
    },
    store::Snapshot,
};
use std::sync::Arc;

/// Suggests queries to a user, whatever has been typed so far, mistakes among it: those that lead to what the user
/// wants, those near the user's interests, those that are worth most by themselves, and those that are asked and
/// accepted of late, with a share for exploration, and different from one another.
///
/// ```
/// use bowerbird::{model::suggest::*, recommend::*, *};
/// # fn main() -> Result<()> {
/// # let space = Schema::new().space("text", 2, Metric::Cosine);
/// # let queries = Db::in_memory(schema(space.find_space("text")?))?;
/// # let query = |text: &str, kind: &str, weight: f64, vector: [f32; 2]| Item::new(text).attr("query", text)
/// #     .attr("kind", kind).attr("source", "t").attr("weight", weight).vector("text", vector);
/// # queries.batch().put(query("star wars", "known", 2.0, [1.0, 0.0]))
/// #     .put(query("space films", "exploratory", 1.0, [0.8, 0.6]))
/// #     .put(query("sad films", "exploratory", 3.0, [0.0, 1.0])).commit()?;
/// let suggest = Suggest::new("text").explore(0.5);
/// let wanted = Wanted::default().interest(Interest::new("text", vec![0.9, 0.1], 1.0));
/// let request = Request::new(2, Timestamp(0)).text("s");
/// let slate = suggest.run(&queries.snapshot(), &wanted, &request)?;
/// let keys: Vec<&Key> = slate.items.iter().map(|item| &item.key).collect();
/// assert_eq!(keys, [&Key::from("star wars"), &Key::from("space films")]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Suggest {
    space: String,
    explore: f32,
    diversity: f32,
    weights: Weights,
    limit: usize,
}

/// What counts how much, each brought to 0..1 over the candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weights {
    leads: f32,
    near: f32,
    weight: f32,
    asked: f32,
}

/// What is asked or accepted counts half after this time.
const HALF_LIFE_DAYS: u64 = 30;

/// What a query that begins as it was typed is worth more than one that has the words elsewhere.
const BEGINS: f32 = 0.25;

impl Suggest {
    /// With the vectors of a space.
    pub fn new(space: &str) -> Suggest {
        let weights = Weights { leads: 1.0, near: 0.3, weight: 0.1, asked: 0.1 };
        Suggest { space: space.into(), explore: 0.4, diversity: 0.1, weights, limit: 200 }
    }

    /// The share of exploratory queries, 0..=1; 0.4 unless set.
    pub fn explore(mut self, share: f32) -> Suggest {
        self.explore = share;
        self
    }

    /// How much difference counts beside worth, 0..=1; 0.1 unless set. See [`Diverse`].
    pub fn diversity(mut self, weight: f32) -> Suggest {
        self.diversity = weight;
        self
    }

    /// How much it counts that a query leads to wanted items, is near an interest, and has weight by itself;
    /// 1, 0.3 and 0.1 unless set. Good ones can be found by [`Tune`](crate::recommend::Tune).
    pub fn weights(mut self, leads: f32, near: f32, weight: f32) -> Suggest {
        self.weights = Weights { leads, near, weight, ..self.weights };
        self
    }

    /// How much it counts that a query was asked or accepted often of late, by the events of its database;
    /// 0.1 unless set. An event counts half after 30 days.
    pub fn asked(mut self, weight: f32) -> Suggest {
        self.weights.asked = weight;
        self
    }

    /// How many queries each source brings, those near interests a fourth; 200 unless set.
    pub fn limit(mut self, limit: usize) -> Suggest {
        self.limit = limit;
        self
    }

    /// Its operators, for what a user wants: add filters of your own, such as
    /// [`Cooldown`](crate::recommend::Cooldown) of what was shown.
    pub fn recommender(&self, wanted: &Arc<Wanted>) -> Recommender {
        let (space, limit) = (self.space.as_str(), self.limit);
        let leads = LeadsTo::new(wanted.clone(), limit);
        let (asked, half_life) = (["asked", "accepted"], days(HALF_LIFE_DAYS));
        let score = Weighted::new()
            .scaled(self.weights.leads, Hint::of("LeadsTo"))
            .scaled(self.weights.near, Similarity::new(space))
            .scaled(self.weights.weight, NumberOf::new(WEIGHT))
            .scaled(self.weights.asked, Popularity::new(asked, half_life))
            .add(BEGINS, Begins::new(TEXT));
        let slate = Share::new(KIND, "exploratory", self.explore);
        Recommender::new()
            .summarize(leads.clone())
            .filter(Typed::new(TEXT).forgiving())
            .retrieve(leads)
            // A walk for more takes longer than all the rest, and finds what counts little.
            .retrieve(NearInterests::new(space, limit.div_ceil(4)))
            .retrieve(Highest::new(WEIGHT, limit))
            .retrieve(Popular::new(asked, half_life, limit))
            .score(score)
            .select(slate.by(Diverse::new(space, self.diversity)))
    }

    /// Suggests. The request's text is what was typed so far, its user one of the database of queries, if
    /// any; what the user wants was found in the catalog.
    ///
    /// # Errors
    /// `NotFound` if the database is not one of [`schema`](super::schema); `Invalid` for shares and weights
    /// out of range, and for a text that is too long.
    pub fn run(&self, queries: &Snapshot, wanted: &Wanted, request: &Request) -> Result<Slate> {
        self.recommender(&Arc::new(wanted.clone())).run(queries, request)
    }
}
