//! Queries as items: drafted from a catalog, asked before anybody sees them, suggested to users.

use bowerbird::{
    model::suggest::*,
    recommend::{
        Diverse, Highest, Hint, Interest, Matches, NearInterests, NumberOf, Query, Recommender,
        Request, Share,
    },
    *,
};
use std::collections::{BTreeMap, BTreeSet};

fn catalog() -> Db {
    let schema = Schema::new()
        .space("text", 3, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("genre", AttrType::Tags)
        .attr("year", AttrType::Int)
        .attr("stars", AttrType::Float);
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for id in 0..60u64 {
        let genres = [["jazz"].as_slice(), &["rock", "live"], &["folk"]][(id % 3) as usize];
        let item = Item::new(id)
            .attr("title", format!("record {id} {}", genres.join(" ")))
            .attr("genre", genres.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
            .attr("year", 1960 + id as i64)
            .attr("stars", id as f64 / 7.0);
        let angle = id as f32 / 10.0;
        batch.put(item.vector("text", [angle.cos(), angle.sin(), (id % 3) as f32]));
    }
    batch.commit().unwrap();
    db
}

fn queries(catalog: &Snapshot) -> Db {
    Db::in_memory(schema(catalog.schema().find_space("text").unwrap())).unwrap()
}

fn validate(drafts: &Drafts, catalog: &Snapshot) -> Validated {
    let search = Recommender::new().retrieve(Matches::new("title", 50).every_word());
    let validate = Validate::by(search, "text").first(5);
    let one = validate.run(drafts, catalog, Timestamp(3), &mut Progress::silent()).unwrap();
    let two =
        Validate::by(Recommender::new().retrieve(Matches::new("title", 50).every_word()), "text");
    let two = two.first(5).threads(3).run(drafts, catalog, Timestamp(3), &mut Progress::silent());
    assert_eq!(one.items, two.unwrap().items, "however many threads");
    one
}

fn put(db: &Db, items: Vec<Item>) {
    let mut batch = db.batch();
    for item in items {
        batch.put(item);
    }
    batch.commit().unwrap();
}

fn texts(drafts: &Drafts) -> BTreeSet<String> {
    drafts.iter().map(|draft| draft.text.clone()).collect()
}

#[test]
fn templates_take_what_items_have() {
    let db = catalog();
    let snapshot = db.snapshot();
    let from = |pattern, least| texts(&Drafts::new().template(&snapshot, pattern, least).unwrap());
    let of = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        from("{genre} records", 1),
        of(&["jazz records", "rock records", "live records", "folk records"])
    );
    assert_eq!(
        from("the {year:10}s", 10),
        of(&["the 1960s", "the 1970s", "the 1980s", "the 1990s", "the 2000s", "the 2010s"])
    );
    assert_eq!(from("{genre} of {year}", 1).len(), 80);
    assert!(from("{genre} of {year}", 2).is_empty());
    assert_eq!(from("{stars:4} and more", 1).len(), 3);
    for (pattern, says) in [
        ("{genre", "not closed"),
        ("records", "names no attribute"),
        ("{year:0}", "rounds to"),
        ("{genre:10}", "no int"),
        ("{mood} records", "mood"),
    ] {
        let error = Drafts::new().template(&snapshot, pattern, 1).unwrap_err().to_string();
        assert!(error.contains(says), "{error} lacks {says}");
    }
}

/// Goal: text that others have made is bounded and checked, and says where it is wrong.
#[test]
fn drafts_from_outside_are_data() {
    let lines = r#"{"query": "Quiet  Songs", "source": "some model", "weight": 2}
        {"query": "quiet songs!", "weight": 3, "vector": [1, 0, 0]}

        {"query": "two\u0000words"}
        {"query": "turned \u202e around"}
        {"query": "?!"}"#;
    let drafts = Drafts::new().read(lines).unwrap();
    assert_eq!(drafts.len(), 1);
    let draft = drafts.iter().next().unwrap();
    assert_eq!(
        (draft.text.as_str(), draft.weight, draft.intent),
        ("Quiet  Songs", 5.0, Intent::Exploratory)
    );
    assert_eq!(draft.vector, Some(vec![1.0, 0.0, 0.0]));
    let why: Vec<&str> = drafts.refused().iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(why.len(), 3);
    assert!(why[0].contains("U+0000") && why[1].contains("U+202E") && why[2].contains("no words"));
    for (line, says) in [
        ("\n{\"query\": 7}", "line 2"),
        ("{\"query\": \"a\", \"run\": \"rm\"}", "run"),
        ("[]", "line 1"),
        ("{\"query\": \"a\", \"kind\": \"evil\"}", "evil"),
        (&format!("{{\"query\": \"{}\"}}", "a".repeat(1 << 18)), "bytes"),
        ("{\"query\": \"a\", \"vector\": [1e39]}", "line 1"),
    ] {
        let error = Drafts::new().read(line).unwrap_err().to_string();
        assert!(error.contains(says), "{error} lacks {says}");
    }
    let mut drafts = Drafts::new();
    for (draft, says) in [
        (Draft::new(&"long ".repeat(60), Intent::Known, "t"), "300 bytes"),
        (Draft::new("a", Intent::Known, ""), "source"),
        (Draft::new("a", Intent::Known, "t").weight(f64::NAN), "weight"),
        (Draft::new("a", Intent::Known, "t").weight(-1.0), "weight"),
    ] {
        let error = drafts.push(draft).unwrap_err().to_string();
        assert!(error.contains(says), "{error} lacks {says}");
    }
    assert!(drafts.is_empty());
}

/// Goal: what finds nothing, or what others find, is dropped with the reason, and its weight is not
/// lost; what is stored is asked again when items have gone.
#[test]
fn validation_asks_every_draft() {
    let db = catalog();
    let snapshot = db.snapshot();
    let mut drafts = Drafts::new()
        .titles(&snapshot, "title")
        .unwrap()
        .template(&snapshot, "{genre} record", 1)
        .unwrap();
    let new = |text, weight| Draft::new(text, Intent::Exploratory, "t").weight(weight);
    drafts.push(new("record jazz", 4.0)).unwrap();
    drafts.push(new("nothing like it", 1.0)).unwrap();
    drafts.push(new("live rock", 1.0)).unwrap();
    let validated = validate(&drafts, &snapshot);
    let dropped: BTreeMap<&str, &Dropped> =
        validated.dropped.iter().map(|(key, why)| (key.as_str(), why)).collect();
    assert_eq!(dropped["nothing like it"], &Dropped::Found(0));
    assert_eq!(dropped["record jazz"], &Dropped::Same("jazz record".into()));
    assert_eq!(dropped["live rock"], &Dropped::Same("live record".into()), "the same items");
    assert_eq!(validated.items.len() + validated.dropped.len(), drafts.len());
    let find = |name: &str| {
        let key = Key::from(name);
        validated.items.iter().find(|item| item.key == key).unwrap_or_else(|| panic!("{name}"))
    };
    let jazz = find("jazz record");
    assert_eq!(
        jazz.get("weight"),
        Some(&Value::Float(24f64.ln_1p())),
        "20 items, and 4 of the other"
    );
    assert_eq!(jazz.get("yield"), Some(&Value::Int(5)));
    assert_eq!(find("record 7 rock live").get("about"), Some(&Value::Tags(vec!["7".into()])));
    assert_eq!(find("record 7 rock live").vectors[0].1.len(), 3);

    let queries = queries(&snapshot);
    put(&queries, validated.items.clone());
    assert_eq!(queries.snapshot().count(&attr("yield").at_most(0)).unwrap(), 0);
    db.batch().delete(7u64).commit().unwrap();
    let stored = Drafts::new().stored(&queries.snapshot()).unwrap();
    assert_eq!(stored.len(), validated.items.len());
    let again = validate(&stored, &db.snapshot());
    let gone: Vec<&str> = again.dropped.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(gone, ["record 7 rock live"]);
    let jazz = again.items.iter().find(|item| item.key == Key::from("jazz record")).unwrap();
    let Some(Value::Float(weight)) = jazz.get("weight") else { panic!("no weight") };
    assert!((weight - 24f64.ln_1p()).abs() < 1e-9, "weights stay");

    let wrong = Validate::by(Recommender::new(), "text").first(0);
    assert!(wrong.run(&stored, &snapshot, Timestamp(0), &mut Progress::silent()).is_err());
    let wrong = Validate::by(Recommender::new(), "image");
    assert!(wrong.run(&stored, &snapshot, Timestamp(0), &mut Progress::silent()).is_err());
    let stopped = Validate::by(Recommender::new(), "text").run(
        &stored,
        &snapshot,
        Timestamp(0),
        &mut Progress::to(|_, _| false),
    );
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

/// Goal: drafts whose given vectors say the same are one, though they find other items.
#[test]
fn almost_the_same_vectors_are_one_query() {
    let db = catalog();
    let mut drafts = Drafts::new();
    for (text, angle, weight) in [("one", 0.785f32, 1.0), ("two", 0.93, 2.0), ("three", 2.5, 1.0)] {
        let draft = Draft::new(text, Intent::Exploratory, "t").weight(weight);
        drafts.push(draft.vector([angle.cos(), angle.sin(), 0.0])).unwrap();
    }
    let search = || Recommender::new().summarize(Query).retrieve(NearInterests::new("text", 20));
    let run = |drafts: &Drafts| {
        let validate = Validate::by(search(), "text");
        validate.run(drafts, &db.snapshot(), Timestamp(0), &mut Progress::silent())
    };
    let validated = run(&drafts).unwrap();
    assert_eq!(validated.dropped, [("one".to_owned(), Dropped::Same("two".into()))]);
    assert_eq!(validated.items[1].get("weight"), Some(&Value::Float(3f64.ln_1p())));
    let [about, other] = [0, 1].map(|at| validated.items[at].get("about"));
    assert_ne!(about, other);
    drafts.push(Draft::new("four", Intent::Exploratory, "t").vector([1.0])).unwrap();
    assert!(run(&drafts).is_err(), "a vector of another length");
}

fn filled() -> (Db, Db) {
    let db = catalog();
    let snapshot = db.snapshot();
    let drafts = Drafts::new().titles(&snapshot, "title").unwrap();
    let drafts = drafts.template(&snapshot, "{genre} record", 1).unwrap();
    let drafts = drafts.template(&snapshot, "{genre} {year}", 1).unwrap();
    let search = Recommender::new().retrieve(Matches::new("title", 20));
    let validated = Validate::by(search, "text")
        .run(&drafts, &snapshot, Timestamp(0), &mut Progress::silent())
        .unwrap();
    let queries = queries(&snapshot);
    put(&queries, validated.items);
    let odd = |text: &str| {
        let key = Draft::new(text, Intent::Exploratory, "t").key().unwrap();
        let item = Item::new(key).attr("query", text).attr("kind", "exploratory");
        item.attr("about", ["1", "2"]).attr("weight", 0.5)
    };
    let texts = [
        "\u{5e9}\u{5c1}\u{5dc}\u{5d5}\u{5dd} record",
        "\u{1f3ac} record",
        "jazz 1983",
        "live 1983",
        "rock 1983",
    ];
    put(&queries, texts.map(odd).to_vec());
    (db, queries)
}

/// Goal: a query is worth the sum of what its items are wanted, and is found among what was typed.
#[test]
fn leads_are_sums_over_what_queries_are_about() {
    let (_catalog, queries) = filled();
    let snapshot = queries.snapshot();
    let wanted: Vec<(Key, f32)> =
        (0..9u64).map(|id| (Key::Id(id * 6), 1.0 / (1.0 + id as f32))).collect();
    let recommender = Recommender::new()
        .retrieve(LeadsTo::new(Wanted::items(wanted.clone()), 1000))
        .score(Hint::of("LeadsTo"));
    let slate = recommender.run(&snapshot, &Request::new(1000, Timestamp(0))).unwrap();
    let mut expected = 0;
    for key in snapshot.keys(&Where::all(), 10_000).unwrap() {
        let item = snapshot.get(&key).unwrap().unwrap();
        let Some(Value::Tags(about)) = item.get("about") else { panic!("about nothing") };
        let worth = |(key, weight): &(Key, f32)| {
            if about.contains(&key.to_string()) { *weight } else { 0.0 }
        };
        let sum: f32 = wanted.iter().map(worth).sum();
        let found = slate.items.iter().find(|other| other.key == key);
        assert!((found.map_or(0.0, |item| item.score) - sum).abs() < 1e-5, "{key}");
        expected += usize::from(sum > 0.0);
    }
    assert_eq!(slate.items.len(), expected);
    assert!(expected > 3 && slate.items.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn suggestions_fit_what_was_typed() {
    let (_catalog, queries) = filled();
    let snapshot = queries.snapshot();
    let wanted = Wanted::items([(Key::Id(3), 1.0)]).interest(Interest::new(
        "text",
        vec![0.9, 0.3, 0.0],
        1.0,
    ));
    let suggest = Suggest::new("text").explore(0.5);
    let ask = |typed: &str, wanted: &Wanted| {
        let request = Request::new(6, Timestamp(0)).text(typed).user(1);
        suggest.run(&snapshot, wanted, &request).unwrap()
    };
    for typed in
        ["j", "jazz", "ja", "record 1", "\u{5e9}\u{5dc}", "\u{1f3ac}", "JAZZ 19", "live 19"]
    {
        let slate = ask(typed, &wanted);
        assert!(!slate.items.is_empty(), "{typed}");
        let typed: Vec<String> = typed.to_lowercase().split(' ').map(str::to_owned).collect();
        for item in &slate.items {
            let key = item.key.to_string();
            let words: Vec<&str> = key.split(' ').collect();
            let (last, whole) = typed.split_last().unwrap();
            assert!(whole.iter().all(|word| words.contains(&word.as_str())), "{key}");
            assert!(words.iter().any(|word| word.starts_with(last.as_str())), "{key}");
        }
    }
    // "live 1983" and "rock 1983" have 1983; what begins as it was typed comes first.
    for (wrong, right) in
        [("reocrd 7", "record 7 rock live"), ("jaz 19", "jazz 1983"), ("jzaz", "jazz")]
    {
        let slate = ask(wrong, &wanted);
        let right = |item: &bowerbird::recommend::Recommended| item.key.to_string().contains(right);
        assert!(slate.items.iter().any(right), "{wrong}: {:?}", slate.items);
    }
    // What is asked of late rises, as of the time of the request.
    let asked = Event::new(5, "record 33 jazz", "asked", Timestamp(0));
    queries.batch().event(asked).commit().unwrap();
    let later = queries.snapshot();
    let popular =
        Suggest::new("text").weights(0.0, 0.0, 0.0).asked(1.0).diversity(0.0).explore(0.0);
    let best = |now: i64| {
        let request = Request::new(1, Timestamp(now)).text("record");
        popular.run(&later, &Wanted::default(), &request).unwrap().items.remove(0).key
    };
    assert_eq!(best(9), Key::from("record 33 jazz"));
    assert_ne!(best(-9), Key::from("record 33 jazz"));
    assert!(ask("xjazz", &wanted).items.is_empty(), "the first letter is wrong");
    assert!(ask("ro", &wanted).items[0].key.to_string().starts_with("ro"));
    assert_eq!(ask("", &wanted).items.len(), 6);
    assert_eq!(ask("", &Wanted::default()).items.len(), 6, "of nobody anything is known");
    assert!(ask(&"x".repeat(4096), &wanted).items.is_empty());
    assert_eq!(ask("!", &wanted).items.len(), 6, "no word was typed");
    assert_eq!(ask("j", &wanted).items, ask("j", &wanted).items);
    let elsewhere = Wanted::default().interest(Interest::new("image", vec![1.0], 1.0));
    assert_eq!(ask("", &elsewhere).items.len(), 6, "spaces that queries lack say nothing");
}

/// Goal: a share of the slate is as asked for, on average where it is no whole number, whatever ranks
/// best; and what one side lacks the other fills.
#[test]
fn shares_are_as_asked_for() {
    let db = Db::in_memory(
        Schema::new()
            .space("text", 2, Metric::Cosine)
            .attr("kind", AttrType::Tag)
            .attr("worth", AttrType::Int),
    )
    .unwrap();
    let mut batch = db.batch();
    for id in 0..40u64 {
        let kind = if id < 8 { "new" } else { "old" };
        let item = Item::new(id).attr("kind", kind).attr("worth", id as i64);
        batch.put(item.vector("text", [1.0, id as f32 / 10.0]));
    }
    batch.commit().unwrap();
    let snapshot = db.snapshot();
    let new = |share: Share, limit: usize, seed| -> (usize, usize) {
        let recommender = Recommender::new()
            .retrieve(Highest::new("worth", 40))
            .score(NumberOf::new("worth"))
            .select(share);
        let slate =
            recommender.run(&snapshot, &Request::new(limit, Timestamp(0)).seed(seed)).unwrap();
        assert!(slate.items.is_sorted_by(|a, b| a.score >= b.score), "in the order of their rank");
        let new =
            slate.items.iter().filter(|item| matches!(item.key, Key::Id(id) if id < 8)).count();
        (new, slate.items.len())
    };
    assert_eq!(new(Share::new("kind", "new", 0.4), 10, 1), (4, 10));
    assert_eq!(new(Share::new("kind", "new", 0.0), 10, 1), (0, 10));
    assert_eq!(new(Share::new("kind", "new", 1.0), 10, 1), (8, 10), "there are but eight");
    assert_eq!(new(Share::new("kind", "old", 1.0), 38, 1), (6, 38), "there are but thirty-two");
    assert_eq!(new(Share::new("kind", "none", 0.5), 10, 1), (0, 10));
    assert_eq!(new(Share::new("kind", "new", 0.5).by(Diverse::new("text", 0.5)), 10, 1).0, 5);
    let all: usize = (0..2000).map(|seed| new(Share::new("kind", "new", 0.33), 5, seed).0).sum();
    assert!((all as f64 / 10_000.0 - 0.33).abs() < 0.02, "{all}");
    // Each item is at a place as often as it says.
    let mut seen: BTreeMap<(usize, Key), (f64, f32)> = BTreeMap::new();
    for seed in 0..4000 {
        let recommender = Recommender::new()
            .retrieve(Highest::new("worth", 40))
            .score(NumberOf::new("worth"))
            .select(Share::new("kind", "new", 0.33));
        let request = Request::new(5, Timestamp(0)).seed(seed);
        for (at, item) in
            recommender.run(&snapshot, &request).unwrap().items.into_iter().enumerate()
        {
            let of = seen.entry((at, item.key)).or_insert((0.0, item.propensity));
            assert_eq!(of.1, item.propensity);
            of.0 += 1.0 / 4000.0;
        }
    }
    assert!(seen.values().all(|(often, said)| (often - f64::from(*said)).abs() < 0.03), "{seen:?}");
    assert!(seen.values().any(|(_, said)| *said < 1.0), "{seen:?}");
    for (share, says) in [
        (Share::new("kind", "new", 1.5), "0 to 1"),
        (Share::new("worth", "1", 0.5), "no tags"),
        (Share::new("mood", "1", 0.5), "mood"),
    ] {
        let recommender = Recommender::new().retrieve(Highest::new("worth", 40)).select(share);
        let error =
            recommender.run(&snapshot, &Request::new(5, Timestamp(0))).unwrap_err().to_string();
        assert!(error.contains(says), "{error} lacks {says}");
    }
}

/// Goal: the largest numbers are found by both of its ways, with ties in the order of keys, whatever is
/// allowed.
#[test]
fn highest_is_sorting() {
    let options = Options::default().maintenance(Maintenance::Manual);
    let schema = Schema::new()
        .attr("float", AttrType::Float)
        .attr("int", AttrType::Int)
        .attr("third", AttrType::Int);
    let db = Db::create_in(std::sync::Arc::new(io::Memory::new()), schema, options).unwrap();
    let mut batch = db.batch();
    let number = |id: u64| (id * 7919 % 50) as i64 - 25;
    for id in 0..600u64 {
        let item = Item::new(id).attr("int", number(id)).attr("third", (id % 3) as i64);
        batch.put(if id % 5 == 0 { item } else { item.attr("float", -(number(id) as f64) / 3.0) });
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    for id in 0..50u64 {
        db.batch().put(Item::new(id * 3).attr("int", 99)).commit().unwrap();
    }
    let snapshot = db.snapshot();
    for (name, limit, filter) in [
        ("int", 7, Where::all()),
        ("float", 40, Where::all()),
        ("int", 30, attr("third").is(1)),
        ("float", 600, attr("third").is(2)),
        ("int", 5, attr("int").at_most(-24)),
    ] {
        let recommender =
            Recommender::new().filter(filter.clone()).retrieve(Highest::new(name, limit));
        let slate = recommender.run(&snapshot, &Request::new(600, Timestamp(0))).unwrap();
        let mut expected = Vec::new();
        for key in snapshot.keys(&filter, 1000).unwrap() {
            let item = snapshot.get(&key).unwrap().unwrap();
            match item.get(name) {
                Some(Value::Int(number)) => expected.push((*number as f64, key)),
                Some(Value::Float(number)) => expected.push((*number, key)),
                _ => {}
            }
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        expected.truncate(limit);
        let found: Vec<&Key> = slate.items.iter().map(|item| &item.key).collect();
        assert_eq!(
            found,
            expected.iter().map(|(_, key)| key).collect::<Vec<_>>(),
            "{name} {limit}"
        );
    }
}
