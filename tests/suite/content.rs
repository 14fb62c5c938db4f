//! Models that read what items have: what they know of an item that nobody has seen.

use bowerbird::{
    model::*,
    recommend::{Explore, Recommender, Request, Rrf, Seen},
    *,
};

const TOPICS: u64 = 5;
const ITEMS: u64 = 60;
/// Items that nobody has seen, one of each topic.
const NEW: std::ops::Range<u64> = 100..100 + TOPICS;

/// Content of a topic: near the others of it.
fn vector(item: u64) -> Vec<f32> {
    let noise = |at: u64| ((item * 31 + at * 17) % 23) as f32 / 60.0;
    (0..8).map(|at| noise(at) + if at == item % TOPICS { 1.0 } else { 0.0 }).collect()
}

/// Users who stay with one topic each; there are new items of all topics.
fn shop() -> Db {
    let schema = Schema::new().space("text", 8, Metric::Cosine).attr("shelf", AttrType::Int);
    let db = Db::in_memory(schema.event("view")).unwrap();
    for item in (0..ITEMS).chain(NEW) {
        let item = Item::new(item).vector("text", vector(item)).attr("shelf", (item % 2) as i64);
        db.batch().put(item).commit().unwrap();
    }
    let mut state = 7u64;
    let mut below = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for user in 0..100u64 {
        let mut batch = db.batch();
        for step in 0..6 {
            let item = user % TOPICS + TOPICS * below(ITEMS / TOPICS);
            batch.event(Event::new(user, item, "view", Timestamp(step)));
        }
        batch.commit().unwrap();
    }
    db
}

fn small() -> ContentSasrec {
    let sasrec = Sasrec {
        dim: 16,
        layers: 1,
        learning_rate: 0.01,
        epochs: Some(25),
        batch: 16,
        ..Sasrec::default()
    };
    ContentSasrec { sasrec, ..ContentSasrec::of(["text"]) }
}

fn train(db: &Db, options: &ContentSasrec, threads: usize) -> Result<Model> {
    let snapshot = db.snapshot();
    let sequences = Sequences::read(&snapshot, &Reading::default())?;
    options.train(&snapshot, &sequences, &mut Training::new(7).threads(threads))
}

fn publish(db: &Db, model: &Model) {
    let version = db.publish("m", model, model.provenance(db.snapshot().seq())).unwrap();
    db.activate("m", version).unwrap();
}

/// Goal: an item that nobody has seen is found by those whose topic it is, with every loss, with a
/// hidden layer and without a part of their own. Method: of the new items, the one of the user's topic
/// must be first.
#[test]
fn new_items_are_found_by_their_content() {
    let db = shop();
    let with = |loss| Sasrec { loss: Some(loss), ..small().sasrec };
    for options in [
        small(),
        ContentSasrec { sasrec: with(Loss::Full), ..small() },
        ContentSasrec { sasrec: with(Loss::Bce), ..small() },
        ContentSasrec { sasrec: with(Loss::Sampled { negatives: 20, corrected: true }), ..small() },
        ContentSasrec { hidden: 24, ..small() },
        ContentSasrec { alone: 1.0, ..small() },
    ] {
        publish(&db, &train(&db, &options, 1).unwrap());
        let new = Recommender::new().retrieve(NextNew::by("m", 3)).score(NextScore::by("m"));
        let mut right = 0;
        for user in 0..100u64 {
            let request = Request::new(3, Timestamp::MAX).user(user);
            let slate = new.run(&db.snapshot(), &request).unwrap();
            assert_eq!(slate.items.len(), 3);
            assert!(slate.items.iter().all(|item| NEW.contains(&id(&item.key))));
            right += usize::from(id(&slate.items[0].key) % TOPICS == user % TOPICS);
        }
        assert!(right >= 95, "{right} of 100 by {options:?}");
    }
}

fn id(key: &Key) -> u64 {
    if let Key::Id(id) = key { *id } else { panic!("keys are numbers") }
}

/// Goal: the same seed gives the same bytes on any number of threads, with all rows stepped at once
/// and one by one; another seed gives others.
#[test]
fn the_same_seed_gives_the_same_bytes_on_any_threads() {
    let db = shop();
    for loss in [Loss::Full, Loss::Sampled { negatives: 20, corrected: true }] {
        let sasrec = Sasrec { loss: Some(loss), epochs: Some(3), batch: 64, ..small().sasrec };
        let options = ContentSasrec { sasrec, hidden: 8, ..small() };
        let bytes = |threads| train(&db, &options, threads).unwrap().export().unwrap();
        let one = bytes(1);
        assert_eq!(one, bytes(2));
        assert_eq!(one, bytes(4));
    }
}

/// Goal: what is saved, opened, exported and imported says the same of items that are new as of those
/// that are not.
#[test]
fn a_model_says_the_same_after_it_was_saved_or_exported() {
    let db = shop();
    let options = ContentSasrec { hidden: 8, ..small() };
    let model = train(&db, &options, 1).unwrap();
    publish(&db, &model);
    let snapshot = db.snapshot();
    let (weights, manifest) = model.export().unwrap();
    let imported = Model::import(&weights, &manifest).unwrap();
    let opened = snapshot.model("m").unwrap();
    for item in (0..ITEMS).chain(NEW) {
        let row = |model: &Model| model.content_vector(&snapshot, &Key::Id(item)).unwrap().unwrap();
        assert_eq!((row(&model), row(&model)), (row(&opened), row(&imported)), "{item}");
    }
    assert_eq!(opened.content_vector(&snapshot, &Key::Id(9_999)).unwrap(), None);
    let history = [Key::Id(3), Key::Id(8)];
    assert_eq!(opened.best(&history, 9).unwrap(), imported.best(&history, 9).unwrap());
    // What does not fit is refused, wherever it is.
    for (from, to) in [
        ("\"dim\":8,\"normalize\"", "\"dim\":9,\"normalize\""),
        ("\"layers\":[8,16]", "\"layers\":[8,17]"),
        ("\"layers\":[8,16]", "\"layers\":[8]"),
        ("\"layers\":[8,16]", "\"layers\":[18446744073709551615,16]"),
        ("\"weight\":1.0", "\"weight\":-1.0"),
        ("\"inputs\":[", "\"inputs\":[],\"more\":["),
        ("\"causal\":true", "\"causal\":false"),
    ] {
        assert!(manifest.contains(from), "{manifest}");
        let wrong = manifest.replace(from, to);
        let why = Model::import(&weights, &wrong);
        assert!(
            matches!(why, Err(Error::Invalid { .. } | Error::NotFound { .. })),
            "{to}: {why:?}"
        );
    }
}

/// Goal: a new item counts in a history as in a slate, and filters hold. Method: a user who has seen
/// nothing but a new item is asked for.
#[test]
fn new_items_count_in_histories_and_filters_hold() {
    let db = shop();
    publish(&db, &train(&db, &small(), 1).unwrap());
    let mut batch = db.batch();
    for topic in 0..TOPICS {
        batch.event(Event::new(500 + topic, NEW.start + topic, "view", Timestamp(1)));
    }
    batch.commit().unwrap();
    let snapshot = db.snapshot();
    let known = Recommender::new().filter(Seen::new(["view"])).retrieve(NextItems::by("m", 5));
    let new = Recommender::new()
        .filter(attr("shelf").is(0))
        .retrieve(NextNew::by("m", 10))
        .score(NextScore::by("m"));
    for topic in 0..TOPICS {
        let request = Request::new(5, Timestamp::MAX).user(500 + topic);
        let slate = known.run(&snapshot, &request).unwrap();
        let right = slate.items.iter().filter(|item| id(&item.key) % TOPICS == topic).count();
        assert!(right >= 4, "{right} of 5 for topic {topic}");
        let slate = new.run(&snapshot, &request).unwrap();
        assert_eq!(slate.items.len(), NEW.filter(|item| item.is_multiple_of(2)).count());
        assert!(slate.items.iter().all(|item| id(&item.key).is_multiple_of(2)));
    }
    // The user's vector is the same, said beforehand.
    let said = Recommender::new()
        .summarize(UserVector::by("m"))
        .filter(Seen::new(["view"]))
        .retrieve(NextItems::by("m", 5));
    let request = Request::new(5, Timestamp::MAX).user(501);
    let keys = |slate: &recommend::Slate| -> Vec<Key> {
        slate.items.iter().map(|item| item.key.clone()).collect()
    };
    let (one, other) = (said.run(&snapshot, &request), known.run(&snapshot, &request));
    assert_eq!(keys(&one.unwrap()), keys(&other.unwrap()));
    // Several interests share the limit, which is one.
    let several = Recommender::new()
        .summarize(UserVector::by("m").interests(4))
        .retrieve(NextItems::by("m", 5));
    for user in 500..500 + TOPICS {
        let slate = several.run(&snapshot, &Request::new(50, Timestamp::MAX).user(user)).unwrap();
        assert_eq!(slate.items.len(), 5);
    }
    // Nothing is known of somebody who was never there.
    let nobody = Request::new(5, Timestamp::MAX).user(9_999);
    assert!(new.run(&snapshot, &nobody).unwrap().items.is_empty());
}

/// Goal: shares are shares: a place is given by what the model takes for likely. Method: with a bar of
/// 1 nobody gets a place, with 0 everybody, and between them only the topic's own. The ranking itself
/// leaves new items out, so that all of them that are shown were given a place.
#[test]
fn a_place_is_for_what_is_likely_enough() {
    let db = shop();
    publish(&db, &train(&db, &small(), 1).unwrap());
    let snapshot = db.snapshot();
    let slate = |least: f32, user: u64| {
        let recommender = Recommender::new()
            .retrieve(NextItems::by("m", 50))
            .retrieve(NextNew::by("m", 10))
            .score(Rrf { weights: vec![("NextNew(m)".into(), 0.0)], ..Rrf::default() })
            .select(Explore::new("NextNew(m)", 2).least(least));
        let request = Request::new(4, Timestamp::MAX).user(user);
        let slate = recommender.run(&snapshot, &request).unwrap();
        let new = slate.items.iter().filter(|item| NEW.contains(&id(&item.key)));
        new.map(|item| id(&item.key)).collect::<Vec<_>>()
    };
    for user in 0..20 {
        assert_eq!(slate(0.0, user).len(), 2);
        assert!(slate(1.1, user).is_empty());
        let likely = slate(0.02, user);
        assert!(
            likely.len() == 1 && likely.iter().all(|item| item % TOPICS == user % TOPICS),
            "{likely:?}"
        );
    }
}

/// Goal: what cannot be trained or asked is refused, in words; odd data is not.
#[test]
fn what_makes_no_sense_is_refused() {
    let db = shop();
    let fast = |options: ContentSasrec| ContentSasrec {
        sasrec: Sasrec { epochs: Some(1), ..options.sasrec },
        ..options
    };
    for wrong in [
        ContentSasrec { alone: f32::NAN, ..small() },
        ContentSasrec { alone: 1.5, ..small() },
        ContentSasrec { hidden: usize::MAX, ..small() },
        ContentSasrec { inputs: Vec::new(), ..small() },
        ContentSasrec { inputs: vec![("text".into(), f32::NAN)], ..small() },
        ContentSasrec { inputs: vec![("text".into(), 0.0)], ..small() },
        ContentSasrec { sasrec: Sasrec { dim: 0, ..small().sasrec }, ..small() },
    ] {
        let why = train(&db, &fast(wrong.clone()), 1);
        assert!(matches!(why, Err(Error::Invalid { .. })), "{wrong:?}: {why:?}");
    }
    let elsewhere =
        train(&db, &ContentSasrec { inputs: vec![("image".into(), 1.0)], ..small() }, 1);
    assert!(matches!(elsewhere, Err(Error::NotFound { .. })), "{elsewhere:?}");
    // Some items without a vector are known by their own part alone; all without are refused.
    db.batch().put(Item::new(3u64)).put(Item::new(NEW.start)).commit().unwrap();
    let model = train(&db, &fast(small()), 1).unwrap();
    assert!(model.content_vector(&db.snapshot(), &Key::Id(3)).unwrap().is_some());
    assert_eq!(model.content_vector(&db.snapshot(), &Key::Id(NEW.start)).unwrap(), None);
    for item in 0..ITEMS {
        db.batch().put(Item::new(item)).commit().unwrap();
    }
    let none = train(&db, &fast(small()), 1);
    assert!(matches!(none, Err(Error::Invalid { .. })), "{none:?}");
    // A model that reads nothing has no rows for new items.
    let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
    let plain = Sasrec { epochs: Some(1), ..small().sasrec };
    publish(&db, &plain.train(&sequences, &mut Training::new(7)).unwrap());
    let new = Recommender::new().retrieve(NextNew::by("m", 3));
    let why = new.run(&db.snapshot(), &Request::new(3, Timestamp::MAX).user(1));
    assert!(matches!(why, Err(Error::Invalid { .. })), "{why:?}");
}

/// Goal: a model goes on when a space that it reads is dropped, and says what it cannot do: by what is left
/// where something is, else without new items.
#[test]
fn a_space_that_is_gone_makes_answers_poorer_and_no_errors() {
    let db = shop();
    db.add_space("shape", 8, Metric::Cosine, Encoding::F32).unwrap();
    for key in (0..ITEMS).chain(NEW) {
        let mut item = db.snapshot().get(&Key::Id(key)).unwrap().unwrap();
        item.vectors.push(("shape".into(), vector(key)));
        db.batch().put(item).commit().unwrap();
    }
    let inputs = vec![("text".into(), 1.0), ("shape".into(), 1.0)];
    publish(&db, &train(&db, &ContentSasrec { inputs, ..small() }, 1).unwrap());
    db.batch().event(Event::new(1u64, NEW.start + 1, "view", Timestamp(9))).commit().unwrap();
    let new = Recommender::new().retrieve(NextNew::by("m", 5)).score(NextScore::by("m"));
    let known = Recommender::new().retrieve(NextItems::by("m", 9)).score(NextScore::by("m"));
    let vector = Recommender::new().summarize(UserVector::by("m")).retrieve(NextItems::by("m", 9));
    let ask = |recommender: &Recommender| {
        let request = Request::new(5, Timestamp::MAX).user(1u64);
        let slate = recommender.run(&db.snapshot(), &request).unwrap();
        let said = |space: &&str| {
            let why = format!("reads space {space:?}, which is gone");
            slate.trace.degraded.iter().any(|said| said.contains(&why))
        };
        let gone = ["text", "shape"].into_iter().filter(said).count();
        (slate.items.len(), id(&slate.items.first().map_or(Key::Id(0), |i| i.key.clone())), gone)
    };
    assert_eq!((ask(&new), ask(&known).2), ((5, NEW.start + 1, 0), 0));
    db.drop_space("text").unwrap();
    assert_eq!(ask(&new), (5, NEW.start + 1, 1), "the other space says it, too");
    let model = db.snapshot().model("m").unwrap();
    let strict = model.content_vector(&db.snapshot(), &Key::Id(NEW.start));
    assert!(matches!(strict, Err(Error::NotFound { .. })), "{strict:?}");
    // One of the same name that has other vectors is another one.
    db.add_space("text", 3, Metric::Dot, Encoding::F32).unwrap();
    assert_eq!(ask(&new), (5, NEW.start + 1, 1));
    db.drop_space("shape").unwrap();
    assert_eq!((ask(&new).0, ask(&new).2), (0, 2));
    for recommender in [&known, &vector] {
        let (items, first, gone) = ask(recommender);
        assert!(items == 5 && first % TOPICS == 1 && gone == 2, "{items} {first} {gone}");
    }
}

/// Goal: rows of new items count towards the memory limit, once. Method: what the database says that it
/// holds, before they were asked for and after.
// checks: L1
#[test]
fn rows_of_new_items_count_towards_the_memory_limit() {
    let db = shop();
    publish(&db, &train(&db, &small(), 1).unwrap());
    let new = Recommender::new().retrieve(NextNew::by("m", 3)).score(NextScore::by("m"));
    let ask = |db: &Db| {
        let slate = new.run(&db.snapshot(), &Request::new(3, Timestamp::MAX).user(1)).unwrap();
        slate.items.into_iter().map(|item| (item.key, item.score)).collect::<Vec<_>>()
    };
    let before = db.stats().heap_bytes;
    let said = ask(&db);
    let counted = db.stats().heap_bytes - before;
    let rows = NEW.count() as u64 * 4 * (16 + 1);
    assert!(said.len() == 3 && counted >= rows, "{counted} bytes for {rows}");
    assert_eq!((ask(&db), db.stats().heap_bytes - before), (said, counted), "made once");
}
