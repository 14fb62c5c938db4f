//! Models in a database: trained from its events, published, asked through operators.

use crate::fuzz_bodies::bodies::sequence_model::methods;
use bowerbird::{
    model::*,
    recommend::{Popular, Recommender, Request, Seen},
    *,
};
use std::collections::BTreeSet;

/// A seeded stream of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn schema() -> Schema {
    Schema::new().attr("shelf", AttrType::Int).event("view").event("skip")
}

/// Forty users who walk around a circle of thirty items, in a database that has seen updates,
/// deletes, flushes and merges.
fn shop(seed: u64) -> Db {
    let db = Db::in_memory(schema()).unwrap();
    let mut numbers = Numbers(seed);
    for item in 0..30u64 {
        db.batch().put(Item::new(item).attr("shelf", (item % 3) as i64)).commit().unwrap();
    }
    for user in 0..40u64 {
        let (mut item, mut batch) = (numbers.below(30), db.batch());
        for step in 0..3 + numbers.below(9) as i64 {
            item = (item + 1 + numbers.below(2)) % 30;
            batch.event(Event::new(user, item, "view", Timestamp(step * 1000)));
            batch.event(Event::new(user, (item + 15) % 30, "skip", Timestamp(step * 1000 + 1)));
        }
        batch.commit().unwrap();
        if user % 13 == 7 {
            db.flush().unwrap();
        }
    }
    for item in [4u64, 11] {
        db.batch().put(Item::new(item).attr("shelf", 9)).commit().unwrap();
    }
    db.batch().delete(5u64).delete(17u64).commit().unwrap();
    db
}

fn views() -> Reading {
    Reading { kinds: vec!["view".into()], ..Reading::default() }
}

fn train(db: &Db, method: &dyn Train) -> Model {
    let sequences = Sequences::read(&db.snapshot(), &views()).unwrap();
    method.train(&sequences, &mut Training::new(7)).unwrap()
}

fn publish(db: &Db, name: &str, model: &Model) -> u32 {
    let version = db.publish(name, model, model.provenance(db.snapshot().seq())).unwrap();
    db.activate(name, version).unwrap();
    version
}

/// Goal: what a model retrieves is its own ranking of exactly the items that are allowed (V7, V8).
/// Method: every method, users and filters; against `Model::best` over everything, filtered by hand.
// checks: V7 V8 V9
#[test]
fn next_items_are_the_best_of_the_allowed() {
    for seed in 0..3 {
        let db = shop(seed);
        for (name, method) in methods() {
            let model = train(&db, &*method);
            publish(&db, "next", &model);
            let snapshot = db.snapshot();
            for (user, shelf) in (0..40u64).flat_map(|user| [(user, None), (user, Some(1i64))]) {
                let mut recommender = Recommender::new().filter(Seen::new(["view"]));
                if let Some(shelf) = shelf {
                    recommender = recommender.filter(attr("shelf").is(shelf));
                }
                let recommender = recommender.retrieve(NextItems::by("next", 8));
                let request = Request::new(8, Timestamp::MAX).user(user).exclude([Key::Id(3)]);
                let slate = recommender.run(&snapshot, &request).unwrap();
                let query = HistoryQuery::default().kinds(["view"]);
                let deeds = snapshot.history(UserId(user), &query).unwrap().deeds;
                let history: Vec<Key> = deeds.into_iter().map(|deed| deed.item).collect();
                let allowed = |key: &Key| {
                    let item = snapshot.get(key).unwrap();
                    let on_shelf =
                        |shelf| item.as_ref().unwrap().get("shelf") == Some(&Value::Int(shelf));
                    item.is_some()
                        && !history.contains(key)
                        && *key != Key::Id(3)
                        && shelf.is_none_or(on_shelf)
                };
                let all = model.best(&history, 30).unwrap();
                let want: Vec<Key> = all.into_iter().map(|b| b.0).filter(allowed).take(8).collect();
                let got: Vec<Key> = slate.items.into_iter().map(|item| item.key).collect();
                assert_eq!(got, want, "{name}, seed {seed}, user {user}, shelf {shelf:?}");
            }
        }
    }
}

/// Goal: what a model does not know is handled by rule, and the slate says so.
/// Method: items, users and events that came after training.
#[test]
fn what_a_model_does_not_know_is_said() {
    let db = shop(1);
    publish(&db, "next", &train(&db, &Rules::default()));
    db.batch()
        .put(Item::new(1000u64))
        .event(Event::new(1, 1000u64, "view", Timestamp(99_000)))
        .event(Event::new(77, 1000u64, "view", Timestamp(99_000)))
        .commit()
        .unwrap();
    let snapshot = db.snapshot();
    let model = snapshot.model("next").unwrap();
    assert_eq!(model.unknown(&snapshot, 10).unwrap(), [Key::Id(1000)]);
    let next = Recommender::new().retrieve(NextItems::by("next", 5));
    let run = |user: u64| next.run(&snapshot, &Request::new(5, Timestamp::MAX).user(user)).unwrap();
    let said = |slate: &bowerbird::recommend::Slate, what: &str| {
        slate.trace.degraded.iter().any(|why| why.contains(what))
    };
    let known = run(1);
    assert!(said(&known, "does not know 1 of"), "{:?}", known.trace.degraded);
    assert!(known.items.iter().all(|item| item.key != Key::Id(1000)));
    // A user whose only item is new gets what is popular: among it the new item itself.
    let stranger = run(77);
    assert!(said(&stranger, "what is popular"), "{:?}", stranger.trace.degraded);
    assert_eq!(stranger.items.len(), 5);
    let nobody = next.run(&snapshot, &Request::new(5, Timestamp::MAX)).unwrap();
    assert!(said(&nobody, "what is popular") && nobody.items.len() == 5);

    // As a scorer: the new item among the candidates gets the lowest score.
    let all = |_: &Db| Recommender::new().retrieve(Popular::ever(["view"], 100));
    let scored = all(&db).score(NextScore::by("next"));
    let slate = scored.run(&snapshot, &Request::new(100, Timestamp::MAX).user(1)).unwrap();
    let lowest = slate.items.iter().map(|item| item.score).fold(f32::INFINITY, f32::min);
    let new = slate.items.iter().find(|item| item.key == Key::Id(1000)).unwrap();
    assert!(new.score == lowest && said(&slate, "1 of"), "{:?}", slate.trace.degraded);
}

/// Goal: what is active answers, and rolling back brings the old answers back.
#[test]
fn models_are_activated_and_rolled_back() {
    let db = shop(2);
    let (old, new) = (train(&db, &Popularity::default()), train(&db, &Rules::default()));
    assert_eq!(publish(&db, "next", &old), 1);
    let before = db.snapshot();
    let version = db.publish("next", &new, new.provenance(before.seq())).unwrap();
    assert_eq!(db.snapshot().model("next").unwrap().card().method, "popularity");
    db.activate("next", version).unwrap();
    assert_eq!(db.snapshot().model("next").unwrap().card().method, "sequential-rules");
    assert_eq!(
        before.model("next").unwrap().card().method,
        "popularity",
        "a snapshot never changes"
    );
    db.activate("next", 1).unwrap();
    assert_eq!(db.snapshot().model("next").unwrap().card().method, "popularity");
    let from = db.snapshot().provenance("next", version).unwrap();
    assert!(from.notes.iter().any(|(name, _)| name == "train_seconds"));
    assert!(matches!(db.snapshot().model("no"), Err(Error::NotFound { .. })));
    // Several live side by side.
    publish(&db, "other", &new);
    assert_eq!(db.snapshot().model("other").unwrap().card().method, "sequential-rules");
    // An artifact of another kind is not a model.
    let version = db.publish("blob", &crate::crash::Blob(vec![1]), Provenance::default()).unwrap();
    db.activate("blob", version).unwrap();
    assert!(matches!(db.snapshot().model("blob"), Err(Error::Invalid { .. })));
}

/// Goal: a model that is published and opened gives the scores of the one that was trained, bit by
/// bit, whatever the kind of keys.
#[test]
fn an_opened_model_is_the_one_that_was_saved() {
    for names in [false, true] {
        let kind = if names { KeyKind::Name } else { KeyKind::Id };
        let key = |n: u64| if names { Key::from(format!("item {n}")) } else { Key::Id(n) };
        let db = Db::in_memory(Schema::new().keys(kind)).unwrap();
        let mut numbers = Numbers(5);
        let list = |numbers: &mut Numbers| {
            let mut at = numbers.below(12);
            let step = |n: i64| {
                at = (at + 1 + numbers.below(2)) % 12;
                (key(at), n)
            };
            (0..6).map(step).collect::<Vec<_>>()
        };
        let lists: Vec<_> = (0..50).map(|user| (user, list(&mut numbers))).collect();
        let sequences = Sequences::new(lists).unwrap();
        for (name, method) in methods() {
            let model = method.train(&sequences, &mut Training::new(7)).unwrap();
            let version = db.publish(name, &model, model.provenance(Seq(0))).unwrap();
            let opened: Model = db.snapshot().artifact_version(name, version).unwrap();
            assert_eq!(opened.card(), model.card(), "{name}");
            for history in [vec![], vec![key(3)], vec![key(1), key(2), key(4), key(99)]] {
                let (ours, theirs) = (model.best(&history, 12), opened.best(&history, 12));
                assert_eq!(ours.unwrap(), theirs.unwrap(), "{name}, {history:?}");
            }
        }
    }
}

/// Goal: the same sequences, options and seed give the same model.
// checks: V9
#[test]
fn the_same_seed_gives_the_same_model() {
    let db = shop(3);
    let sequences = Sequences::read(&db.snapshot(), &views()).unwrap();
    for (name, method) in methods() {
        let bytes = |threads: usize| {
            let model = method.train(&sequences, &mut Training::new(3).threads(threads)).unwrap();
            let mut out = Saved::default();
            Artifact::save(&model, &mut out).unwrap();
            format!("{out:?}")
        };
        assert!(bytes(1) == bytes(1), "{name} differs from run to run");
    }
}

/// Goal: sequences that hardly exist are trained on or refused, never a panic (and no NaN).
/// Method: nothing; one event; one item again and again; one-item sessions; a very long session.
#[test]
fn degenerate_sequences_are_trained_on_or_refused() {
    let list = |user: u64, items: Vec<u64>| {
        (user, items.into_iter().map(|item| (Key::Id(item), 5)).collect::<Vec<_>>())
    };
    let shapes: Vec<(&str, Vec<_>)> = vec![
        ("nothing", vec![]),
        ("one event", vec![list(1, vec![1])]),
        ("one item again and again", vec![list(1, vec![1; 40]), list(2, vec![1; 3])]),
        ("sessions of one item", (0..20).map(|user| list(user, vec![user % 7])).collect()),
        ("two items", (0..9).map(|user| list(user, vec![1, 2])).collect()),
        ("a session of 20,000", vec![list(1, (0..20_000).map(|n| n * n % 97).collect())]),
    ];
    for (shape, lists) in shapes {
        let sequences = Sequences::new(lists).unwrap();
        for (name, method) in methods() {
            let model = match method.train(&sequences, &mut Training::new(1)) {
                Ok(model) => model,
                Err(Error::Invalid { .. }) => continue,
                Err(other) => panic!("{name} of {shape}: {other}"),
            };
            let keys: Vec<Key> = sequences.vocabulary().keys().to_vec();
            for history in [&[][..], &keys[..keys.len().min(1)], &keys] {
                let best = model.best(history, 10).unwrap();
                assert!(best.iter().all(|b| b.1.is_finite()), "{name} of {shape}: {best:?}");
            }
        }
    }
}

/// Goal: long work can be stopped, and then there is no model.
#[test]
fn training_can_be_cancelled() {
    let db = shop(4);
    let sequences = Sequences::read(&db.snapshot(), &views()).unwrap();
    for (name, method) in methods() {
        let mut how = Training::new(1).progress(Progress::to(|_, _| false));
        let cancelled = method.train(&sequences, &mut how);
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{name}: {cancelled:?}");
    }
}

/// Goal: an event log that grows during training is not seen by it.
#[test]
fn events_that_come_during_training_are_of_the_next_one() {
    let db = shop(5);
    let snapshot = db.snapshot();
    let before = train(&db, &Rules::default());
    let sequences = Sequences::read(&snapshot, &views()).unwrap();
    let writer = db.clone();
    let mut how = Training::new(7).progress(Progress::to(move |done, _| {
        let event = Event::new(500 + done, done % 30, "view", Timestamp(done as i64));
        writer.batch().event(event).commit().is_ok()
    }));
    let during = Rules::default().train(&sequences, &mut how).unwrap();
    assert_eq!(during.card(), before.card());
    assert!(db.snapshot().users().unwrap().len() > snapshot.users().unwrap().len());
}

/// Goal: holding out loses no event and leaks none.
#[test]
fn what_is_held_out_is_not_learned_from() {
    let db = shop(6);
    let all = Sequences::read(&db.snapshot(), &views()).unwrap();
    let (rest, cases) = all.hold_out_last();
    assert_eq!(rest.events() + cases.len(), all.events());
    for (at, case) in cases.iter().enumerate() {
        assert_eq!(case.history, rest.items(at));
        assert_eq!(case.target, all.items(at).last().copied());
    }
    let (rest, cases) = all.hold_out_latest(0.25).unwrap();
    assert_eq!(rest.len(), all.len() - all.len() / 4);
    let kept: BTreeSet<u64> = (0..rest.len()).map(|at| rest.user(at)).collect();
    let gone = (0..all.len()).filter(|at| !kept.contains(&all.user(*at)));
    assert_eq!(cases.len(), gone.map(|at| all.items(at).len() - 1).sum::<usize>());
    assert!(all.hold_out_latest(1.5).is_err());
}
