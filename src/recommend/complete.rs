//! Complete: what a request lacks, filled in by rules.

use crate::{
    error::{Error, Result},
    item::Value,
    key::Key,
    recommend::Request,
    schema::AttrType,
    store::{Deed, History, Snapshot},
};

/// Fills in what a request lacks, by rules, before any operator looks: so that requests of all surfaces
/// have one form, for sources, for scorers and for a ranker that is trained on them.
///
/// Taken from UniCoRn (Bhattacharya et al. 2024), where context that is missing is imputed by
/// heuristics: the query of a recommendation by the title of the item that it is about. Rules
/// hold in this order, each only if it was asked for:
///
/// 1. a request with neither item, query nor text is about the last item that its user acted on;
/// 2. a user without a history, or nobody, has acted on the item that the request is about;
/// 3. a request without a query has the vector of the item for one;
/// 4. a request without a text has the text of the item.
///
/// What is there is never changed: a search stays one without an item. The
/// [purpose](Request::purpose) is that of the request as it came, and an item that was filled in is no
/// reason not to return it. What cannot be filled in, as the vector of an item without one, stays missing.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).event("view"))?;
/// for id in 1..=9u64 {
///     db.batch().put(Item::new(id).vector("text", [1.0, id as f32])).commit()?;
/// }
/// db.batch().event(Event::new(7, 3u64, "view", Timestamp(1))).commit()?;
/// // What goes with an item, asked for by a request that names only a user.
/// let similar = Recommender::new()
///     .complete(Complete::new().item_of_history(["view"]))
///     .retrieve(SimilarTo::new("text", 5));
/// let slate = similar.run(&db.snapshot(), &Request::new(5, Timestamp(9)).user(7))?;
/// assert_eq!(slate.items.len(), 5);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complete {
    item: Option<Vec<String>>,
    history: Option<String>,
    query: Option<String>,
    text: Option<String>,
}

impl Complete {
    /// Without a rule.
    pub fn new() -> Complete {
        Complete::default()
    }

    /// Rule 1: the last item of the history by an event of these kinds; none means all.
    pub fn item_of_history<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Complete {
        self.item = Some(kinds.into_iter().map(str::to_owned).collect());
        self
    }

    /// Rule 2: as by one event of this kind, now, without a value.
    pub fn history_of_item(mut self, kind: &str) -> Complete {
        self.history = Some(kind.into());
        self
    }

    /// Rule 3: the item's vector in this space.
    pub fn query_of_item(mut self, space: &str) -> Complete {
        self.query = Some(space.into());
        self
    }

    /// Rule 4: the item's text in this attribute.
    pub fn text_of_item(mut self, attr: &str) -> Complete {
        self.text = Some(attr.into());
        self
    }

    /// The request and the history that operators see; `None` if nothing of the request was filled in
    /// and operators see it as it came.
    pub(crate) fn fill(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        history: &mut History,
    ) -> Result<Option<Request>> {
        let last = match &self.item {
            Some(kinds) if is_bare(request) => last(snapshot, kinds, history)?,
            _ => None,
        };
        let Some(item) = last.as_ref().or(request.item.as_ref()) else { return Ok(None) };
        let lived = self.live(snapshot, request, item, history)?;
        let (query, text) = self.say(snapshot, request, item)?;
        // A request may exclude very many items: it is copied only where it changes.
        if last.is_none() && !lived && query.is_none() && text.is_none() {
            return Ok(None);
        }
        let mut full = request.clone();
        // Said now, since it looks like a request of another purpose.
        full.task = request.purpose().to_owned();
        full.item = Some(item.clone());
        full.query = full.query.or(query);
        full.text = text.unwrap_or(full.text);
        Ok(Some(full))
    }

    /// Rule 2; whether it did anything.
    fn live(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        item: &Key,
        history: &mut History,
    ) -> Result<bool> {
        let Some(kind) = self.history.as_ref().filter(|_| history.deeds.is_empty()) else {
            return Ok(false);
        };
        history.deeds.push(Deed {
            item: item.clone(),
            kind: snapshot.schema().find_event(kind)?,
            at: request.now,
            recorded: request.now,
            value: None,
            request: None,
            position: None,
        });
        Ok(true)
    }

    /// Rules 3 and 4: the query and the text that an item stands for, where there are none.
    fn say(&self, snapshot: &Snapshot, request: &Request, item: &Key) -> Result<Said> {
        let wants_query = self.query.as_ref().filter(|_| request.query.is_none());
        let wants_text = self.text.as_ref().filter(|_| request.text.is_empty());
        if wants_query.is_none() && wants_text.is_none() {
            return Ok((None, None));
        }
        let addr = snapshot.find(item)?.ok_or_else(|| Error::missing("item", item))?;
        let (mut said, mut vector): (Said, _) = ((None, None), Vec::new());
        if let Some(space) = wants_query
            && snapshot.vector(addr, space, &mut vector)?
        {
            said.0 = Some((space.clone(), vector));
        }
        if let Some(attr) = wants_text {
            let attr = snapshot.text_attr(attr)?;
            let value = snapshot.segment(addr)?.value(addr.row.0, attr, AttrType::Text)?;
            if let Some(Value::Text(text)) = value {
                said.1 = Some(text).filter(|text| !text.is_empty());
            }
        }
        Ok(said)
    }
}

/// A query, as a space and a vector in it, and a text.
type Said = (Option<(String, Vec<f32>)>, Option<String>);

/// Whether a request says nothing of what it is about.
fn is_bare(request: &Request) -> bool {
    request.item.is_none() && request.query.is_none() && request.text.is_empty()
}

/// The last item of some kinds that is still there.
fn last(snapshot: &Snapshot, kinds: &[String], history: &History) -> Result<Option<Key>> {
    let kind = |kind: &String| snapshot.schema().find_event(kind);
    let kinds = kinds.iter().map(kind).collect::<Result<Vec<u8>>>()?;
    let deeds = history.deeds.iter().rev();
    for deed in deeds.filter(|deed| kinds.is_empty() || kinds.contains(&deed.kind)) {
        if snapshot.find(&deed.item)?.is_some() {
            return Ok(Some(deed.item.clone()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Db, Event, Item, Metric, Schema, Timestamp, UserId,
        recommend::{
            Bm25, NearInterests, Popular, Query, Recent, Recommender, Score, Seen, SimilarTo,
        },
        store::HistoryQuery,
    };

    /// Items in a row, the last without a vector or a title; user 7 has seen 3 and bought 5.
    fn shop() -> Db {
        let schema = Schema::new()
            .space("text", 2, Metric::Cosine)
            .attr("title", AttrType::Text)
            .event("view")
            .event("buy");
        let db = Db::in_memory(schema).unwrap();
        let mut batch = db.batch();
        for id in 1..=9u64 {
            let angle = id as f32 / 10.0;
            let item = Item::new(id).vector("text", [angle.cos(), angle.sin()]);
            batch.put(item.attr("title", format!("the {id}th")));
        }
        batch.put(Item::new(10u64));
        batch.event(Event::new(7, 3u64, "view", Timestamp(1)));
        batch.event(Event::new(7, 5u64, "buy", Timestamp(2)));
        batch.commit().unwrap();
        db
    }

    fn all() -> Complete {
        let rules = Complete::new().item_of_history(["view"]).history_of_item("view");
        rules.query_of_item("text").text_of_item("title")
    }

    fn filled(db: &Db, rules: &Complete, request: &Request) -> (Option<Request>, History) {
        let snapshot = db.snapshot();
        let mut history = match request.user {
            Some(UserId(user)) => snapshot.history(UserId(user), &HistoryQuery::default()).unwrap(),
            None => History::default(),
        };
        let full = rules.fill(&snapshot, request, &mut history).unwrap();
        (full, history)
    }

    /// Goal: each surface's request becomes one of the form that the others have, and keeps its purpose.
    #[test]
    fn requests_of_all_surfaces_are_completed_by_the_rules() {
        let (db, now) = (shop(), Timestamp(9));
        let (full, history) = filled(&db, &all(), &Request::new(5, now).user(7));
        let full = full.unwrap();
        assert_eq!((full.item, full.text.as_str()), (Some(Key::Id(3)), "the 3th"));
        assert!(full.query.unwrap().1[0] > 0.95 && full.task == "for-you");
        assert_eq!(history.deeds.len(), 2, "what is there stays");

        let (full, history) = filled(&db, &all(), &Request::new(5, now).item(4u64));
        let full = full.unwrap();
        assert_eq!((full.task.as_str(), full.text.as_str()), ("similar", "the 4th"));
        let [deed] = &history.deeds[..] else { panic!("{history:?}") };
        assert_eq!((&deed.item, deed.kind, deed.at), (&Key::Id(4), 0, now));

        let search = Request::new(5, now).user(7).query("text", [1.0, 0.0]);
        assert_eq!(filled(&db, &all(), &search).0, None, "a search is about no item");
        let asked = Request::new(5, now).user(7).text("ninth");
        assert_eq!(filled(&db, &all(), &asked).0, None);
        let bare = Request::new(5, now).item(10u64).user(7);
        let (full, history) = filled(&db, &all(), &bare);
        assert_eq!((full, history.deeds.len()), (None, 2), "it has nothing to give");
        let nobody = Request::new(5, now).user(99);
        assert_eq!(filled(&db, &all(), &nobody).0, None, "nothing is known of the user");
        for request in [Request::new(5, now).user(7), Request::new(5, now).item(4u64)] {
            assert_eq!(filled(&db, &Complete::new(), &request).0, None, "no rule, no change");
        }
    }

    /// Goal: what is filled in reaches every operator; only an item that was asked about is excluded
    /// for that; a rule that does not fit the schema is an error.
    #[test]
    fn operators_see_the_completed_request() {
        let (db, now) = (shop(), Timestamp(9));
        let snapshot = db.snapshot();
        let keys = |recommender: Recommender, request: &Request| -> Vec<Key> {
            let slate = recommender.complete(all()).run(&snapshot, request).unwrap();
            slate.items.into_iter().map(|item| item.key).collect()
        };
        let (user, item) = (Request::new(9, now).user(7), Request::new(9, now).item(4u64));
        let near = |request| keys(Recommender::new().retrieve(SimilarTo::new("text", 3)), request);
        assert!(near(&user).contains(&Key::Id(3)), "it was not asked about");
        assert!(!near(&item).contains(&Key::Id(4)));
        let interests = Recommender::new().summarize(Recent::new("text", 3)).summarize(Query);
        let interests = interests.retrieve(NearInterests::new("text", 3));
        let near = keys(interests, &item);
        assert!(near.contains(&Key::Id(3)) && near.contains(&Key::Id(5)), "{near:?} of item 4");
        let unseen = Recommender::new().filter(Seen::new(["view"]));
        let words = unseen.retrieve(Popular::ever([], 9)).retrieve(SimilarTo::new("text", 9));
        let by_words = keys(words.score(Bm25::new("title")), &user);
        assert!(!by_words.contains(&Key::Id(3)) && !by_words.is_empty(), "{by_words:?}");

        struct Says;
        impl Score for Says {
            fn name(&self) -> String {
                "Says".into()
            }
            fn score(
                &self,
                cx: &crate::recommend::Context<'_>,
                _: &crate::recommend::Candidates,
                scores: &mut [f32],
            ) -> Result<()> {
                assert_eq!((cx.request.purpose(), cx.history.deeds.len()), ("similar", 1));
                assert_eq!(cx.request.text, "the 4th");
                scores.fill(0.5);
                Ok(())
            }
        }
        let said = Recommender::new().retrieve(SimilarTo::new("text", 3)).score(Says);
        assert_eq!(keys(said, &item).len(), 3);
        for rules in [
            Complete::new().query_of_item("none"),
            Complete::new().text_of_item("none"),
            Complete::new().history_of_item("none"),
        ] {
            assert!(Recommender::new().complete(rules).run(&snapshot, &item).is_err());
        }
        let rules = Complete::new().item_of_history(["none"]);
        assert!(Recommender::new().complete(rules).run(&snapshot, &user).is_err());
    }
}
