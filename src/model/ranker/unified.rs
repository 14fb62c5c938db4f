//! Unified: one recommender for search, similar items and for-you.

use super::{Features, Rank, Role, Scalar};
use crate::recommend::{
    CoVisited, Complete, ForTask, Matches, NearInterests, Popular, Query, Recent, Recommender,
    SimilarTo,
};

/// The recommender to begin with: sources for each surface, and one ranker of what they find (UniCoRn,
/// Bhattacharya et al. 2024).
///
/// A request may have a user, a query, an item, or any mix of them; its
/// [purpose](crate::recommend::Request::purpose) says which sources are asked. What a request lacks is
/// filled in by rules ([`Complete`]): without an item, query or text it is about its user's last item;
/// without a history, as if the item were one; without a query or a text, those of the item. So the
/// surfaces have one form, in which what is learned of one holds for others, and the task says where they
/// differ. Train its ranker on [`Examples`](super::Examples) of its own sources
/// ([`Examples::run`](super::Examples::run)), so that it sees then what it will see later.
///
/// ```
/// use bowerbird::{*, model::{*, ranker::*}, recommend::*};
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).event("view"))?;
/// # for id in 0..40u64 {
/// #     db.batch().put(Item::new(id).vector("text", [1.0, id as f32 / 9.0])).commit()?;
/// #     db.batch().event(Event::new(id % 4, id / 2, "view", Timestamp(id as i64))).commit()?;
/// # }
/// let unified = Unified::new("text", ["view"]);
/// let (now, clicked) = (Timestamp(100), Key::Id(3));
/// let mut examples = Examples::new(unified.features(), &db.snapshot())?;
/// for asked in [Request::new(9, now).user(1), Request::new(9, now).query("text", [1.0, 0.4])] {
///     examples.run(&unified.sources(), &asked, |key| if *key == clicked { 1.0 } else { 0.0 })?;
/// }
/// let fit = FitRanker::of(Body::Attention { heads: 2, hidden: vec![128, 64] });
/// let model = fit.train(&examples, None, &mut Training::new(7))?;
/// let version = db.publish("ranker", &model, model.provenance(db.snapshot().seq()))?;
/// db.activate("ranker", version)?;
///
/// let everything = unified.sources().score(Rank::by("ranker"));
/// let search = Request::new(5, now).user(1).query("text", [1.0, 0.5]);
/// let similar = Request::new(5, now).item(7u64);
/// for request in [search, similar, Request::new(5, now).user(1)] {
///     assert_eq!(everything.run(&db.snapshot(), &request)?.items.len(), 5);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Unified {
    space: String,
    kinds: Vec<String>,
    words: Vec<String>,
    limit: usize,
    recent: u32,
}

impl Unified {
    /// By the vectors of a space, and by events of these kinds (none means all): they are what a user did,
    /// to its sources and to the features of its ranker, and others, such as impressions, are not.
    pub fn new<'k>(space: &str, kinds: impl IntoIterator<Item = &'k str>) -> Unified {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        Unified { space: space.into(), kinds, words: Vec::new(), limit: 200, recent: 20 }
    }

    /// With search by the words of these text attributes, too, for requests with a text: as a source, and
    /// how well each matches as features.
    pub fn words<'a>(mut self, attrs: impl IntoIterator<Item = &'a str>) -> Unified {
        self.words = attrs.into_iter().map(str::to_owned).collect();
        self
    }

    /// At most so many candidates of each source; 200 unless set.
    pub fn limit(mut self, limit: usize) -> Unified {
        self.limit = limit;
        self
    }

    /// So many of a user's last items make up what they want; 20 unless set.
    pub fn recent(mut self, recent: u32) -> Unified {
        self.recent = recent;
        self
    }

    fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(String::as_str)
    }

    /// What its ranker looks at.
    pub fn features(&self) -> Features {
        let space = self.space.as_str();
        let mut features = Features::new()
            .tasks(["search", "similar", "for-you"])
            .user(space, self.recent)
            .query_or_source(space)
            .source(space)
            .item(space)
            .history(space, self.recent)
            .scalar(Scalar::Popularity { kinds: self.kinds.clone(), half_life: None })
            .scalar(Scalar::Previous)
            .scalar(Scalar::Experience);
        for role in [Role::User, Role::Query, Role::Source] {
            features = features.scalar(Scalar::Similarity { role, space: space.into() });
        }
        features = features.scalar(Scalar::Hint { source: self.covisited() });
        let words = self.words.iter().map(|attr| Scalar::Bm25 { attr: attr.clone() });
        words.fold(features, Features::scalar)
    }

    fn covisited(&self) -> String {
        format!("CoVisited({})", self.kinds.join(", "))
    }

    fn rules(&self) -> Complete {
        let mut rules = Complete::new().item_of_history(self.kinds()).query_of_item(&self.space);
        if let Some(kind) = self.kinds.first() {
            rules = rules.history_of_item(kind);
        }
        match self.words.first() {
            Some(attr) => rules.text_of_item(attr),
            None => rules,
        }
    }

    /// Its sources, without a ranker: what they find is in the order of reciprocal rank fusion.
    pub fn sources(&self) -> Recommender {
        let (space, limit) = (self.space.as_str(), self.limit);
        let mut sources = Recommender::new();
        if let Some((first, others)) = self.words.split_first() {
            let words = Matches::new(first, limit);
            let words = others.iter().fold(words, |words, attr| words.also(attr, 1.0));
            sources = sources.retrieve(ForTask::new(["search"], words));
        }
        sources
            .acts(self.kinds())
            .complete(self.rules())
            .summarize(Query)
            .summarize(Recent::new(space, self.recent as usize))
            .retrieve(ForTask::new(["search", "for-you"], NearInterests::new(space, limit)))
            .retrieve(ForTask::new(["similar"], SimilarTo::new(space, limit)))
            .retrieve(ForTask::new(["similar", "for-you"], CoVisited::new(self.kinds(), limit)))
            .retrieve(ForTask::new(
                ["similar", "for-you"],
                Popular::ever(self.kinds(), limit / 4 + 1),
            ))
    }

    /// Its sources, and the active version of a ranker.
    pub fn recommender(&self, ranker: &str) -> Recommender {
        self.sources().score(Rank::by(ranker))
    }
}
