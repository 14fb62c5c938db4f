//! Past: what the user did by the time of the request, by kinds of events.

use super::Context;
use crate::{
    error::Result,
    schema::Schema,
    store::{Deed, HistoryQuery},
};
use parking_lot::Mutex;
use std::borrow::Cow;

/// How much of a history operators see.
pub(super) const HISTORY_LIMIT: usize = 1000;

/// Which events of a user count, and what was read of them beside the history.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// The kinds that the history is of; none means all.
    acts: Vec<u8>,
    read: Mutex<Vec<(Vec<u8>, Vec<Deed>)>>,
}

impl Pasts {
    /// Where the history is of these kinds.
    pub(super) fn of(acts: Vec<u8>) -> Pasts {
        Pasts { acts, read: Mutex::default() }
    }
}

/// Kinds of events by name as numbers.
pub(super) fn numbers<'k>(
    schema: &Schema,
    kinds: impl IntoIterator<Item = &'k str>,
) -> Result<Vec<u8>> {
    kinds.into_iter().map(|kind| schema.find_event(kind)).collect()
}

impl<'a> Context<'a> {
    /// What the user had done of these kinds by the time of the request: the latest thousand events of just
    /// them, oldest first. None means what [`history`](Context::history) has.
    ///
    /// The history has a thousand events of all kinds that count, so those of a rare kind may be too long
    /// ago for it, as purchases are among views; here they are found. Read once for a request, and not at
    /// all where the history has everything.
    ///
    /// ```
    /// use bowerbird::{recommend::Context, Key, Result};
    /// fn bought(cx: &Context<'_>) -> Result<Vec<Key>> {
    ///     Ok(cx.past(["buy"])?.iter().map(|deed| deed.item.clone()).collect())
    /// }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a kind of event that is not there.
    pub fn past<'k>(&self, kinds: impl IntoIterator<Item = &'k str>) -> Result<Cow<'a, [Deed]>> {
        self.past_of(&numbers(self.snapshot.schema(), kinds)?)
    }

    /// The same for kinds by number.
    pub(crate) fn past_of(&self, kinds: &[u8]) -> Result<Cow<'a, [Deed]>> {
        let (all, pasts) = (&self.history.deeds[..], &self.notes.pasts);
        if kinds.is_empty() {
            return Ok(Cow::Borrowed(all));
        }
        let is_in = |deed: &&Deed| kinds.contains(&deed.kind);
        let read = pasts.acts.is_empty() || kinds.iter().all(|kind| pasts.acts.contains(kind));
        if read && all.iter().all(|deed| is_in(&deed)) {
            return Ok(Cow::Borrowed(all));
        }
        let Some(user) = self.request.user.filter(|_| !read || all.len() >= HISTORY_LIMIT) else {
            return Ok(Cow::Owned(all.iter().filter(is_in).cloned().collect()));
        };
        let mut known = pasts.read.lock();
        if let Some((_, deeds)) = known.iter().find(|(of, _)| of == kinds) {
            return Ok(Cow::Owned(deeds.clone()));
        }
        let events = self.snapshot.schema().events();
        let names = kinds.iter().filter_map(|kind| events.get(usize::from(*kind)));
        let query = HistoryQuery::default().as_of(self.request.now).limit(HISTORY_LIMIT);
        let query = query.kinds(names.map(String::as_str));
        let deeds = self.snapshot.history(user, &query)?.deeds;
        known.push((kinds.to_vec(), deeds.clone()));
        Ok(Cow::Owned(deeds))
    }
}

#[cfg(test)]
mod tests {
    use crate::{recommend::*, *};

    /// Items in a row; user 7 bought 1 and 2, rated 3, and was then shown 8 and 9 very often.
    fn shop() -> Db {
        let schema = Schema::new().space("text", 2, Metric::Dot).attr("genre", AttrType::Tag);
        let schema = schema.event("buy").event("rate").event("impression");
        let db = Db::in_memory(schema).unwrap();
        let mut batch = db.batch();
        for id in 1..=9u64 {
            let genre = if id < 5 { "jazz" } else { "folk" };
            batch.put(Item::new(id).vector("text", [id as f32, 1.0]).attr("genre", genre));
        }
        for user in [7u64, 8] {
            batch.event(Event::new(user, 1u64, "buy", Timestamp(1)));
            batch.event(Event::new(user, 2u64, "buy", Timestamp(2)));
        }
        batch.event(Event::new(8, 4u64, "buy", Timestamp(3)));
        batch.event(Event::new(7, 3u64, "rate", Timestamp(3)).value(5.0));
        for at in 0..1_500i64 {
            let shown = Event::new(7, 8 + at as u64 % 2, "impression", Timestamp(10 + at));
            batch.event(shown.value(1.0));
        }
        batch.commit().unwrap();
        db
    }

    /// Writes down how much of the past there is, by kinds, and the interests.
    struct Look(std::sync::Arc<parking_lot::Mutex<Vec<usize>>>);

    impl Score for Look {
        fn name(&self) -> String {
            "Look".into()
        }

        fn score(&self, cx: &Context<'_>, _: &Candidates, _: &mut [f32]) -> Result<()> {
            let mut looked = self.0.lock();
            for kinds in
                [vec![], vec!["buy"], vec!["rate"], vec!["buy", "rate"], vec!["impression"]]
            {
                looked.push(cx.past(kinds.clone())?.len());
                assert_eq!(cx.past(kinds)?.len(), looked[looked.len() - 1]);
            }
            assert!(cx.past(["sell"]).is_err());
            Ok(())
        }
    }

    fn looked(db: &Db, recommender: Recommender, now: i64) -> Vec<usize> {
        let seen = std::sync::Arc::default();
        let recommender = recommender.score(Look(std::sync::Arc::clone(&seen)));
        let request = Request::new(5, Timestamp(now)).user(7);
        recommender.run(&db.snapshot(), &request).unwrap();
        seen.lock().clone()
    }

    /// Goal: what was shown pushes nothing out of what the user did.
    #[test]
    fn the_past_of_a_kind_is_there_whatever_else_there_is() {
        let db = shop();
        assert_eq!(looked(&db, Recommender::new(), 9_999), [1000, 2, 1, 3, 1000]);
        let acts = || Recommender::new().acts(["buy"]);
        assert_eq!(looked(&db, acts(), 9_999), [2, 2, 1, 3, 1000]);
        assert_eq!(looked(&db, acts(), 1), [1, 1, 0, 1, 0]);
        assert_eq!(looked(&db, Recommender::new(), 12), [6, 2, 1, 3, 3]);
        let seen = Recommender::new().acts(["sell"]);
        assert!(seen.run(&db.snapshot(), &Request::new(5, Timestamp(1)).user(7)).is_err());
    }

    /// Goal: summaries, seeds and shares are of the kinds that were asked for, or that the recommender says.
    #[test]
    fn impressions_are_no_acts_where_kinds_are_named() {
        let db = shop();
        let run = |recommender: Recommender| {
            let request = Request::new(9, Timestamp(9_999)).user(7);
            let run = recommender.run_to_end(&db.snapshot(), &[request]).unwrap().remove(0);
            let vectors = run.interests.iter().map(|interest| interest.vector.clone());
            (vectors.collect::<Vec<_>>(), run.candidates.keys().to_vec(), run.scores.clone())
        };
        let empty = Recommender::new;
        let long = days(9_000);
        for (named, all) in [
            (
                empty().summarize(Recent::new("text", 9).kinds(["buy"])),
                empty().summarize(Recent::new("text", 9)),
            ),
            (
                empty().summarize(Decayed::new("text", long).kinds(["buy"])),
                empty().summarize(Decayed::new("text", long)),
            ),
        ] {
            let near = |vector: &[f32], x: f32| assert!((vector[0] - x).abs() < 1e-3, "{vector:?}");
            near(&run(named).0[0], 1.5);
            assert!(run(all).0[0][0] > 7.9);
        }
        near_one_and_two(run(empty().acts(["buy"]).summarize(Decayed::new("text", long))).0);
        let clusters = run(empty().summarize(Clustered::new("text", 3, long).kinds(["buy"]))).0;
        assert_eq!(clusters.iter().map(|vector| vector[0]).sum::<f32>(), 3.0);
        // Seeds: 4 was bought by who bought 1 and 2.
        let (_, found, _) = run(empty().retrieve(CoVisited::new(["buy"], 9)));
        assert!(found.contains(&Key::Id(4)), "{found:?}");
        let everything = || empty().retrieve(Popular::ever([], 9));
        let folk = |recommender: Recommender| {
            let (_, keys, scores) = run(recommender);
            scores[keys.iter().position(|key| *key == Key::Id(9)).unwrap()]
        };
        assert_eq!(folk(everything().score(TagShare::new("genre"))), 1.0);
        assert_eq!(folk(everything().score(TagShare::new("genre").kinds(["buy"]))), 0.0);
        assert_eq!(folk(everything().acts(["buy", "rate"]).score(TagShare::new("genre"))), 0.0);
        assert_eq!(folk(everything().score(UserMean::new(["rate"], 0.0))), 5.0);
    }

    fn near_one_and_two(vectors: Vec<Vec<f32>>) {
        assert!((vectors[0][0] - 1.5).abs() < 1e-3, "{vectors:?}");
    }
}
