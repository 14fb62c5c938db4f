//! Inputs that cannot work and names that lead elsewhere: typed errors, no effect.

#![allow(clippy::disallowed_methods)]

use bowerbird::{limits::*, *};
use std::time::Duration;

pub fn schema(keys: KeyKind) -> Schema {
    Schema::new()
        .keys(keys)
        .space("cosine", 3, Metric::Cosine)
        .space("dot", 3, Metric::Dot)
        .space_as("half", 3, Metric::L2, Encoding::F16)
        .space_as("int8", 3, Metric::Dot, Encoding::I8)
        .space_as("sign", 3, Metric::Cosine, Encoding::Binary)
        .attr("live", AttrType::Bool)
        .attr("year", AttrType::Int)
        .attr("price", AttrType::Float)
        .attr("brand", AttrType::Tag)
        .attr("genre", AttrType::Tags)
        .attr("title", AttrType::Text)
        .space_as("whole", 3, Metric::L2, Encoding::U8)
        .event("view")
}

pub fn small(keys: KeyKind) -> Db {
    Db::in_memory(schema(keys)).unwrap()
}

/// Asserts that an error names what is wrong as the caller's fault, and says something.
pub fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    match result {
        Err(Error::Invalid { .. } | Error::NotFound { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Goal: a vector that cannot be scored is never stored nor asked for, and names its place in the
/// batch; one that can be is, however odd (L1, L3). Method: a table, over all spaces.
// checks: L1 L3
#[test]
fn vectors_are_finite_and_fit_or_are_refused() {
    let db = small(KeyKind::Id);
    let spaces = ["cosine", "dot", "half", "int8", "sign"];
    for space in spaces {
        let mut bad: Vec<Vec<f32>> = BAD.iter().map(|x| vec![0.5, *x, 1.0]).collect();
        bad.extend([vec![], vec![1.0; 2], vec![1.0; 4], vec![1e38, 1.0, 1.0], vec![f32::MAX; 3]]);
        if matches!(space, "cosine" | "sign") {
            bad.extend([vec![0.0; 3], vec![-0.0; 3]]);
        }
        for vector in bad {
            let what = format!("{space} {vector:?}");
            let mut batch = db.batch();
            batch.put(Item::new(1u64)).put(Item::new(2u64).vector(space, vector.clone()));
            let error = batch.commit().unwrap_err();
            assert!(error.to_string().contains("operation 1"), "{what}: {error}");
            let snapshot = db.snapshot();
            refused(&what, snapshot.near(space, &vector).run());
            refused(&what, snapshot.near("dot", &[1.0; 3]).also(space, &vector, 1.0).run());
            refused(&what, snapshot.examples(space, &[Like::vector(vector, 1.0)]).run());
            assert_eq!((snapshot.len(), snapshot.seq()), (0, Seq(0)), "{what}");
        }
    }
    let odd = [
        [f32::MIN_POSITIVE, 0.0, -0.0],
        [f32::from_bits(1), 0.0, 0.0],
        [60_000.0, -60_000.0, 1e-30],
        [-0.0, -0.0, 1.0],
    ];
    for (id, vector) in (0u64..).zip(odd) {
        let item = spaces.iter().fold(Item::new(id), |item, space| item.vector(space, vector));
        db.batch().put(item).commit().unwrap();
    }
    for space in spaces {
        for query in odd {
            let hits = db.snapshot().near(space, &query).run().unwrap();
            assert!(hits.len() == 4 && hits.iter().all(|hit| hit.score.is_finite()), "{hits:?}");
        }
    }
}

/// Goal: a space of whole numbers takes those of a byte and no others, and any query; it compares them as
/// a space of floats does, to the last bit, before and after they are written to a segment.
/// Method: random whole vectors in both, dot and l2, scanned on the heap and in a file.
// checks: L1 L3
#[test]
fn whole_numbers_are_kept_and_compared_exactly() {
    let db = small(KeyKind::Id);
    for bad in [[0.5, 1.0, 2.0], [-1.0, 1.0, 2.0], [1.0, 256.0, 2.0], [1.0, 2.0, 1e-30]] {
        let error = db.batch().put(Item::new(1u64).vector("whole", bad)).commit().unwrap_err();
        assert!(error.to_string().contains("whole numbers from 0 to 255"), "{error}");
        db.snapshot().near("whole", &bad).run().unwrap();
    }
    let refused = db.add_space("unit", 3, Metric::Cosine, Encoding::U8).unwrap_err();
    assert!(refused.to_string().contains("Choose Dot or L2"), "{refused}");
    for (metric, dim) in [(Metric::Dot, 37), (Metric::L2, 64)] {
        let schema = Schema::new().space("f32", dim, metric);
        let db = Db::in_memory(schema.space_as("u8", dim, metric, Encoding::U8)).unwrap();
        let number = |n: u64, at: u64| ((n * 7919 + at * 104_729) % 1009 % 256) as f32;
        let vector = |n: u64| (0..u64::from(dim)).map(|at| number(n, at)).collect::<Vec<_>>();
        let mut batch = db.batch();
        for n in 0..200 {
            batch.put(Item::new(n).vector("f32", vector(n)).vector("u8", vector(n)));
        }
        batch.commit().unwrap();
        for _ in 0..2 {
            let snapshot = db.snapshot();
            let item = snapshot.get(&Key::Id(7)).unwrap().unwrap();
            assert!(item.vectors.contains(&("u8".into(), vector(7))));
            for n in 0..20 {
                let query: Vec<f32> = vector(n).iter().map(|x| x * 0.37 - 20.0).collect();
                let hits = |space| {
                    let hits = snapshot.near(space, &query).limit(50).run().unwrap();
                    hits.into_iter().map(|hit| (hit.key, hit.score.to_bits())).collect::<Vec<_>>()
                };
                assert_eq!(hits("f32"), hits("u8"), "{metric:?} {n}");
            }
            db.compact().unwrap();
        }
    }
}

/// Goal: sums of weights never leave the finite, and equal scores are ordered by key (L3).
// checks: L1 L3
#[test]
fn weights_and_limits_at_their_ends_are_refused_or_finite() {
    let db = small(KeyKind::Id);
    for id in [0, 1, u64::MAX - 1, u64::MAX] {
        db.batch()
            .put(Item::new(id).vector("dot", [COMPONENT_MAX; 3]).attr("brand", "a"))
            .commit()
            .unwrap();
    }
    let snapshot = db.snapshot();
    let near = || snapshot.near("dot", &[COMPONENT_MAX; 3]);
    for weight in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 0.0, -0.0] {
        let hits = near().also("dot", &[COMPONENT_MAX; 3], weight).run().unwrap();
        assert!(hits.iter().all(|hit| hit.score.is_finite()), "{weight}: {hits:?}");
        let keys: Vec<_> = hits.iter().map(|hit| hit.key.clone()).collect();
        assert_eq!(keys, [0, 1, u64::MAX - 1, u64::MAX].map(Key::Id), "{weight}");
        let examples = [Like::item(0u64, weight), Like::item(u64::MAX, weight)];
        match snapshot.examples("dot", &examples).run() {
            Ok(hits) => assert!(hits.iter().all(|hit| hit.score.is_finite()), "{weight}"),
            Err(error) => refused::<()>("examples", Err(error)),
        }
    }
    for weight in BAD {
        refused("also", near().also("dot", &[1.0; 3], weight).run());
        refused("examples", snapshot.examples("dot", &[Like::item(0u64, weight)]).run());
    }
    for number in [0, usize::MAX, LIMIT_MAX + 1] {
        refused("limit", near().limit(number).run());
        refused("threads", near().threads(number).run());
        refused("group", near().group_by("brand", number).run());
        refused("history", snapshot.history(UserId(1), &HistoryQuery::default().limit(number)));
        refused("item history", snapshot.item_history(&Key::Id(1), Timestamp::MAX, number));
    }
    assert_eq!(near().limit(LIMIT_MAX).threads(THREADS_MAX).run().unwrap().len(), 4);
    refused("no examples", snapshot.examples("dot", &[]).run());
    let many = vec![Like::vector([1.0; 3], 1.0); EXAMPLES_MAX + 1];
    refused("too many examples", snapshot.examples("dot", &many).run());
    refused("no such item", snapshot.like("dot", 17u64).run());
    refused("no such vector", snapshot.like("half", 0u64).run());
    let all_weights = [Like::item(0u64, 1.0), Like::item(1u64, -1.0)];
    refused("cancelled out", snapshot.examples("half", &all_weights).run());
    assert_eq!(snapshot.keys(&Where::all(), 0).unwrap(), []);
    assert_eq!(snapshot.keys(&Where::all(), usize::MAX).unwrap().len(), 4);
}

/// Goal: every key that fits is its own item, byte for byte; others are refused (L1, L2).
// checks: L1 L2
#[test]
fn keys_are_kept_exactly_or_refused() {
    let db = small(KeyKind::Name);
    let long = "x".repeat(KEY_BYTES_MAX);
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "\0",
        "a\0b",
        "..",
        "/",
        "../../etc/passwd",
        "CON",
        "NUL",
        "a:b",
        "a\\b",
        "\u{fdd0}",
        "\u{202e}abc",
        "e\u{301}",
        "\u{e9}",
        "\u{1f4a9}",
        "\n",
        "%s%n",
        "'; --",
        &long,
    ];
    for (at, name) in (0i64..).zip(names) {
        db.batch()
            .put(Item::new(name).attr("year", at))
            .event(Event::new(1, name, "view", Timestamp(at)))
            .commit()
            .unwrap();
    }
    db.flush().unwrap();
    let snapshot = db.snapshot();
    assert_eq!(snapshot.len(), names.len() as u64);
    for (at, name) in (0i64..).zip(names) {
        let item = snapshot.get(&name.into()).unwrap().unwrap();
        assert_eq!(item.get("year"), Some(&Value::Int(at)), "{name:?}");
        assert_eq!(snapshot.item_history(&name.into(), Timestamp::MAX, 9).unwrap().len(), 1);
    }
    let too_long = format!("{long}x");
    for key in [Key::from(""), too_long.as_str().into(), Key::Id(1)] {
        refused("put", db.batch().put(Item::new(&key)).commit());
        refused("delete", db.batch().delete(&key).commit());
        refused("erase", db.batch().erase_item(&key).commit());
        refused("event", db.batch().event(Event::new(1, &key, "view", Timestamp(1))).commit());
        refused("get", snapshot.get(&key));
        refused("like", snapshot.like("dot", &key).run());
        refused("exclude", snapshot.near("dot", &[1.0; 3]).exclude([key.clone()]).run());
        refused("item history", snapshot.item_history(&key, Timestamp::MAX, 9));
    }
    refused("a name where keys are numbers", small(KeyKind::Id).batch().delete("a").commit());
    assert_eq!(db.snapshot().seq(), snapshot.seq());
}

/// Goal: attributes fit their type and limit, each field is known and set once; nothing of a batch
/// with one wrong operation stays (L1, A1).
// checks: L1 A1
#[test]
fn fields_that_do_not_fit_are_refused_with_their_batch() {
    let db = small(KeyKind::Id);
    let (long, tag) = ("x".repeat(TEXT_BYTES_MAX + 1), "x".repeat(TAG_BYTES_MAX + 1));
    let tags = |n: usize| Value::Tags((0..n).map(|n| n.to_string()).collect());
    let cases: Vec<(&str, Value)> = vec![
        ("none", 1.into()),
        ("", 1.into()),
        ("live", 1.into()),
        ("year", 1.5.into()),
        ("year", "1".into()),
        ("price", f64::NAN.into()),
        ("price", f64::INFINITY.into()),
        ("brand", tag.as_str().into()),
        ("brand", ["a", "b"].into()),
        ("genre", Value::Tags(vec![tag.clone()])),
        ("genre", tags(TAGS_MAX + 1)),
        ("title", long.as_str().into()),
        ("title", ["a"].into()),
    ];
    for (name, value) in cases {
        let mut batch = db.batch();
        batch.put(Item::new(1u64).attr("year", 1)).put(Item::new(2u64).attr(name, value));
        refused(name, batch.commit());
    }
    let twice = [
        Item::new(1u64).attr("year", 1).attr("year", 2),
        Item::new(1u64).vector("dot", [1.0; 3]).vector("dot", [1.0; 3]),
        Item::new(1u64).vector("none", [1.0; 3]),
    ];
    for item in twice {
        refused("a field twice or unknown", db.batch().put(item).commit());
    }
    for value in BAD {
        let event = Event::new(1, 1u64, "view", Timestamp(1)).value(value);
        refused("the value of an event", db.batch().event(event).commit());
    }
    refused("kind of event", db.batch().event(Event::new(1, 1u64, "none", Timestamp(1))).commit());
    assert_eq!((db.snapshot().len(), db.snapshot().seq()), (0, Seq(0)));
    let most = Item::new(1u64)
        .attr("genre", tags(TAGS_MAX))
        .attr("title", &long[1..])
        .attr("brand", &tag[1..]);
    db.batch().put(most.attr("price", -0.0)).commit().unwrap();
    let item = db.snapshot().get(&Key::Id(1)).unwrap().unwrap();
    assert!(matches!(item.get("price"), Some(Value::Float(x)) if x.is_sign_positive()));
    assert!(matches!(item.get("genre"), Some(Value::Tags(tags)) if tags.len() == TAGS_MAX));
    assert_eq!(db.batch().commit().unwrap(), Seq(1), "an empty batch is no commit");
    let mut huge = db.batch();
    for id in 0..=BATCH_OPS_MAX as u64 {
        huge.delete(id);
    }
    refused("a batch of too many operations", huge.commit());
    assert_eq!(db.snapshot().seq(), Seq(1));
}

/// Goal: any time is a time; windows and `as_of` saturate instead of wrapping.
// checks: L1 L2
#[test]
fn times_at_their_ends_are_times() {
    let db = small(KeyKind::Id);
    let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let mut batch = db.batch();
    for at in times {
        batch.event(Event::new(u64::MAX, u64::MAX, "view", Timestamp(at)));
    }
    batch.commit().unwrap();
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let snapshot = db.snapshot();
        for as_of in times {
            let known = times.iter().filter(|at| **at <= as_of).count();
            let query = HistoryQuery::default().as_of(Timestamp(as_of));
            let deeds =
                |query: &HistoryQuery| snapshot.history(UserId(u64::MAX), query).unwrap().deeds;
            assert_eq!(deeds(&query).len(), known);
            let seen = snapshot.item_history(&Key::Id(u64::MAX), Timestamp(as_of), 99).unwrap();
            assert_eq!(seen.len(), known);
            for window in [Duration::ZERO, ms(1), ms(2), ms(i64::MAX as u64), Duration::MAX] {
                let age = |at: i64| (i128::from(as_of) - i128::from(at)) as u128;
                let inside = |at: &&i64| **at <= as_of && age(**at) < window.as_millis();
                let expected = times.iter().filter(inside).count();
                let found = deeds(&query.clone().window(window)).len();
                assert_eq!(found, expected, "as of {as_of}, window {window:?}");
            }
        }
    }
}

/// Goal: a filter that cannot be is refused wherever one is taken; one at its limits works.
// checks: L1 C5
#[test]
fn filters_beyond_limits_or_types_are_refused() {
    let db = small(KeyKind::Id);
    db.batch().put(Item::new(1u64).attr("year", 1).vector("dot", [1.0; 3])).commit().unwrap();
    let deep = |n: usize| {
        let next = |w: Where, at: usize| match at % 2 {
            0 => w & attr("year").is(1),
            _ => w | attr("year").is(1),
        };
        (1..n).fold(attr("year").is(1), next)
    };
    let wide = |n: usize| (0..n).fold(Where::all(), |w, _| w | attr("year").is(1));
    let list = |n: usize| attr("year").is_in((0..n).map(|n| n as i64));
    let bad = [
        ("deep", deep(FILTER_DEPTH_MAX + 1)),
        ("very deep", deep(100_000)),
        ("long", list(FILTER_IN_MAX + 1)),
        ("unknown", attr("none").exists()),
        ("type", attr("year").is("a")),
        ("order of bools", attr("live").at_least(true)),
        ("order of tags", attr("genre").between("a", "b")),
        ("NaN", attr("price").is(f64::NAN)),
        ("infinite", attr("price").at_most(f64::INFINITY)),
        ("wide", !wide(FILTER_NODES_MAX + 1) & attr("year").exists()),
    ];
    let snapshot = db.snapshot();
    for (what, filter) in bad {
        refused(what, snapshot.keys(&filter, 9));
        refused(what, snapshot.count(&filter));
        refused(what, snapshot.near("dot", &[1.0; 3]).filter(filter).run());
    }
    for filter in [deep(FILTER_DEPTH_MAX), list(FILTER_IN_MAX)] {
        assert_eq!(snapshot.count(&filter).unwrap(), 1);
    }
}

/// Goal: names that are shown or become part of a path keep to their grammar (S1).
// checks: S1
#[test]
fn names_that_lead_elsewhere_are_refused() {
    struct Empty;
    impl Artifact for Empty {
        const KIND: &'static str = "empty";
        const FORMAT: u16 = 1;
        fn save(&self, _: &mut Saved) -> Result<()> {
            Ok(())
        }
        fn open(_: &Opened) -> Result<Empty> {
            Ok(Empty)
        }
    }
    let db = small(KeyKind::Id);
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let bad = [
        "", ".", "..", "a/b", "../a", "a\\b", "a:b", "CON", "a.b", "a@1", "a\0", "\u{e9}", " ",
        "A", &long,
    ];
    for name in bad {
        refused(name, db.publish(name, &Empty, Provenance::default()));
        refused(name, db.activate(name, 1));
    }
    assert_eq!(db.publish(&long[1..], &Empty, Provenance::default()).unwrap(), 1);
    let from = Provenance { parents: vec![("../a".into(), 1)], ..Provenance::default() };
    refused("parent", db.publish("a", &Empty, from));
    for name in ["", "a\n", "a\0", "\u{7f}", &long] {
        refused(name, db.add_space(name, 3, Metric::Dot, Encoding::F32));
        refused(name, db.add_attr(name, AttrType::Int));
        refused(name, db.add_event(name));
    }
    for dim in [0, DIM_MAX + 1, u32::MAX] {
        refused("dimension", db.add_space("new", dim, Metric::Dot, Encoding::F32));
    }
    refused("twice", db.add_space("dot", 3, Metric::Dot, Encoding::F32));
    db.add_space("../a/\u{1f4a9}", 3, Metric::Dot, Encoding::F32).unwrap();
    assert_eq!(db.snapshot().schema().spaces().len(), 7);
}
