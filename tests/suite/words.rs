//! Full text equals scoring every text by the definition, wherever its lists come from; prefixes, fusion.

use bowerbird::{
    io::{Memory, fault::Fault},
    model::ranker::{Examples, Features, Scalar, Unified},
    recommend::{Bm25, Highest, Matches, NearInterests, Query, Recommender, Request, Rrf, Typed},
    *,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

fn schema() -> Schema {
    Schema::new()
        .space("text", 2, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("plot", AttrType::Text)
        .attr("asked", AttrType::Int)
        .attr("even", AttrType::Bool)
}

fn options() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

fn db() -> Db {
    Db::create_in(Arc::new(Memory::new()), schema(), options()).unwrap()
}

/// Goal: scores agree with an implementation that we did not write, to 1e-6.
/// Method: bm25s, method "lucene", for four settings; see tests/parity/make_bm25.py.
#[test]
fn scores_are_those_of_bm25s() {
    let file = include_str!("../fixtures/words/bm25.json");
    let golden: serde_json::Value = serde_json::from_str(file).unwrap();
    let db = db();
    let mut batch = db.batch();
    for (id, text) in (0u64..).zip(golden["texts"].as_array().unwrap()) {
        batch.put(Item::new(id).attr("title", text.as_str().unwrap()));
    }
    batch.commit().unwrap();
    let (snapshot, mut judged) = (db.snapshot(), 0);
    for case in golden["cases"].as_array().unwrap() {
        let (k1, b) = (case["k1"].as_f64().unwrap() as f32, case["b"].as_f64().unwrap() as f32);
        let query = case["query"].as_str().unwrap();
        let hits = snapshot.matching("title", query).bm25(k1, b).limit(1000).run().unwrap();
        let found: BTreeMap<Key, f64> = hits.into_iter().map(|h| (h.key, h.score.into())).collect();
        for (id, score) in (0u64..).zip(case["scores"].as_array().unwrap()) {
            let (ours, theirs) = (found.get(&Key::Id(id)), score.as_f64().unwrap());
            assert!(
                (ours.unwrap_or(&0.0) - theirs).abs() <= 1e-6,
                "{query} {id}: {ours:?} {theirs}"
            );
            judged += 1;
        }
    }
    assert!(judged > 5000, "{judged} scores");
}

const WORDS: [&str; 9] =
    ["the", "star", "stars", "wars", "night", "st", "n\u{e9}e", "\u{4e03}", "x"];

/// An item: its words in the title and in the plot, and how often it was asked for.
type Made = (Option<Vec<usize>>, Option<Vec<usize>>, u64);

fn text(words: &[usize]) -> String {
    words.iter().map(|at| WORDS[*at]).collect::<Vec<_>>().join(" ")
}

fn item(id: u64, (title, plot, asked): &Made) -> Item {
    let mut item = Item::new(id).attr("asked", *asked as i64).attr("even", id.is_multiple_of(2));
    if let Some(title) = title {
        item = item.attr("title", text(title));
    }
    if let Some(plot) = plot {
        item = item.attr("plot", text(plot));
    }
    item
}

/// What BM25 says by its definition, of one attribute.
fn defined(
    texts: &BTreeMap<u64, Vec<usize>>,
    query: &[usize],
    (k1, b): (f64, f64),
) -> BTreeMap<u64, f64> {
    let texts: Vec<(&u64, &Vec<usize>)> =
        texts.iter().filter(|(_, words)| !words.is_empty()).collect();
    let count = texts.len() as f64;
    let average = texts.iter().map(|(_, words)| words.len()).sum::<usize>() as f64 / count;
    let mut scores = BTreeMap::new();
    for word in query {
        let has = |words: &[usize]| words.iter().filter(|w| *w == word).count() as f64;
        let frequency = texts.iter().filter(|(_, words)| has(words) > 0.0).count() as f64;
        let idf = (1.0 + (count - frequency + 0.5) / (frequency + 0.5)).ln();
        for (id, words) in texts.iter().filter(|(_, words)| has(words) > 0.0) {
            let norm = k1 * (1.0 - b + b * words.len() as f64 / average);
            *scores.entry(**id).or_default() += idf * has(words) / (has(words) + norm);
        }
    }
    scores
}

fn made() -> impl Strategy<Value = Made> {
    let words = || prop::option::weighted(0.8, prop::collection::vec(0..WORDS.len(), 0..7));
    (words(), words(), 0..5u64)
}

/// The items after all writes, in several parts on disk and on the heap, some rows dead.
fn write(db: &Db, writes: &[(u64, Option<Made>)]) -> BTreeMap<u64, Made> {
    let mut left = BTreeMap::new();
    for (at, (id, made)) in writes.iter().enumerate() {
        match made {
            Some(made) => {
                db.batch().put(item(*id, made)).commit().unwrap();
                left.insert(*id, made.clone());
            }
            None => {
                db.batch().delete(*id).commit().unwrap();
                left.remove(id);
            }
        }
        if at % 13 == 7 {
            db.flush().unwrap();
        }
    }
    left
}

fn column(
    items: &BTreeMap<u64, Made>,
    of: impl Fn(&Made) -> &Option<Vec<usize>>,
) -> BTreeMap<u64, Vec<usize>> {
    items.iter().filter_map(|(id, made)| Some((*id, of(made).clone()?))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: what is found, its scores and its order are those of the definition over the living
    /// items, for any layout, with filters, several attributes, and all words or any.
    #[test]
    fn matching_is_scoring_every_text(
        writes in prop::collection::vec((0u64..30, prop::option::weighted(0.85, made())), 1..60),
        query in prop::collection::vec(0..WORDS.len(), 1..5),
        (k1, b) in (0u8..4, 0u8..5),
        (every, even, limit) in (any::<bool>(), any::<bool>(), 1usize..12),
    ) {
        let db = db();
        let items = write(&db, &writes);
        let (k1, b) = (f32::from(k1) / 2.0, f32::from(b) / 4.0);
        let settings = (f64::from(k1), f64::from(b));
        let mut scores = defined(&column(&items, |made| &made.0), &query, settings);
        for (id, score) in defined(&column(&items, |made| &made.1), &query, settings) {
            *scores.entry(id).or_default() += score * 0.5;
        }
        let has = |id: &u64, word: &usize| {
            let (title, plot, _) = &items[id];
            [title, plot].into_iter().flatten().any(|words| words.contains(word))
        };
        scores.retain(|id, _| !every || query.iter().all(|word| has(id, word)));
        scores.retain(|id, _| !even || id.is_multiple_of(2));
        let mut expected: Vec<(u64, f64)> = scores.into_iter().collect();
        expected.sort_by(|a, b| (b.1 as f32).total_cmp(&(a.1 as f32)).then(a.0.cmp(&b.0)));
        expected.truncate(limit);
        for compacted in [false, true] {
            if compacted {
                db.compact().unwrap();
            }
            let snapshot = db.snapshot();
            let asked = text(&query).to_uppercase();
            let mut question = snapshot.matching("title", &asked).also("plot", 0.5).bm25(k1, b);
            question = if every { question.every_word() } else { question };
            question = if even { question.filter(attr("even").is(true)) } else { question };
            let hits = question.limit(limit).threads(2).run().unwrap();
            prop_assert_eq!(hits.len(), expected.len());
            for (hit, (id, score)) in hits.iter().zip(&expected) {
                prop_assert!((f64::from(hit.score) - score).abs() <= 1e-6 * score.max(1.0), "{hit:?} {score}");
                let tied = expected.iter().filter(|(_, other)| (other - score).abs() < 1e-6).count() > 1;
                prop_assert!(tied || hit.key == Key::Id(*id), "{:?} {:?}", hits, expected);
            }
        }
    }

    /// Goal: what could be meant is what has every finished word and a word that begins as the last.
    #[test]
    fn typed_is_looking_at_every_text(
        writes in prop::collection::vec((0u64..30, prop::option::weighted(0.85, made())), 1..60),
        query in prop::collection::vec(0..WORDS.len(), 1..3),
        (cut, ended) in (0usize..6, any::<bool>()),
    ) {
        let db = db();
        let items = write(&db, &writes);
        let last = WORDS[query[query.len() - 1]];
        let kept: String = last.chars().take(last.chars().count().saturating_sub(cut).max(1)).collect();
        let typed = format!("{} {kept}{}", text(&query[..query.len() - 1]), if ended { " " } else { "" });
        // Words of the alphabet that are written without spaces are always finished; so is any here
        // that begins as itself.
        let folded = kept.replace('\u{e9}', "e");
        let fits = |word: &str| {
            let word = word.replace('\u{e9}', "e");
            if ended { word == folded } else { word.starts_with(&folded) }
        };
        let meant = |made: &Made| made.0.as_ref().is_some_and(|words| {
            query[..query.len() - 1].iter().all(|word| words.contains(word))
                && words.iter().any(|word| fits(WORDS[*word]))
        });
        let expected: BTreeSet<u64> =
            items.iter().filter(|(_, made)| meant(made)).map(|(id, _)| *id).collect();
        let snapshot = db.snapshot();
        let selection = snapshot.select_typed("title", &typed).unwrap();
        let chosen: BTreeSet<u64> = (0..30).filter(|id| {
            let found = snapshot.find(&Key::Id(*id)).unwrap();
            found.is_some_and(|addr| selection.contains(addr))
        }).collect();
        prop_assert_eq!(&chosen, &expected, "{:?}", typed);
        prop_assert_eq!(selection.len(), expected.len() as u64);

        let complete = Recommender::new().filter(Typed::new("title")).retrieve(Highest::new("asked", 5));
        let slate = complete.run(&snapshot, &Request::new(5, Timestamp(0)).text(typed.as_str())).unwrap();
        let mut best: Vec<(u64, u64)> = expected.iter().map(|id| (items[id].2, *id)).collect();
        best.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let best: Vec<Key> = best.into_iter().take(5).map(|(_, id)| Key::Id(id)).collect();
        prop_assert_eq!(slate.items.into_iter().map(|item| item.key).collect::<Vec<_>>(), best);
    }
}

/// A database on disk with more texts than a file of words is worth, and some rows dead.
fn large(dir: Arc<Fault>) -> Db {
    let db = Db::create_in(dir, schema(), options()).unwrap();
    let mut batch = db.batch();
    for id in 0..3000u64 {
        let title = vec![(id % 9) as usize, (id / 9 % 9) as usize, (id / 81 % 9) as usize];
        batch.put(item(id, &(Some(title), (id % 3 == 0).then(|| vec![1, 2]), id % 50)));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    let mut batch = db.batch();
    for id in (0..3000u64).step_by(7) {
        batch.delete(id);
    }
    batch.commit().unwrap();
    db
}

type Answer = Vec<Vec<(Key, u32)>>;

fn answers(snapshot: &Snapshot) -> Answer {
    let bits =
        |hits: Vec<Hit>| hits.into_iter().map(|hit| (hit.key, hit.score.to_bits())).collect();
    let ask = |text: &str| {
        bits(snapshot.matching("title", text).also("plot", 2.0).limit(500).run().unwrap())
    };
    ["star", "the wars night", "\u{4e03} nee", "nothing"].map(ask).to_vec()
}

/// Goal: files of words are written by housekeeping, used, verified, adopted by readers and dropped
/// with their parts; and no answer depends on them.
// checks: V6
#[test]
fn files_of_words_are_derived() {
    let dir = Arc::new(Fault::new());
    let db = large(dir.clone());
    let before = answers(&db.snapshot());
    assert!(before[0].len() > 100 && before[3].is_empty());
    assert!(db.stats().debt.underived_parts > 0);
    let words = || -> Vec<String> {
        let files = io::Dir::list(&*dir, "derived").unwrap();
        files.into_iter().filter(|name| name.ends_with(".words")).collect()
    };
    assert!(words().is_empty());
    let reader = Db::open_read_only_in(dir.clone(), options()).unwrap();
    while db.maintain().unwrap().is_some() {}
    assert_eq!(words().len(), 2, "one for each text attribute that has enough");
    assert_eq!(db.stats().debt.underived_parts, 0);
    assert_eq!(answers(&db.snapshot()), before);
    reader.refresh().unwrap();
    assert_eq!(answers(&reader.snapshot()), before);
    assert!(db.verify().unwrap().is_sound());
    drop((db, reader));
    let files = words();

    let db = Db::open_in(dir.clone(), options()).unwrap();
    assert_eq!(answers(&db.snapshot()), before);
    db.compact().unwrap();
    assert_eq!(answers(&db.snapshot()), before);
    while db.maintain().unwrap().is_some() {}
    assert!(words().iter().all(|name| !files.contains(name)), "merged away");
    assert_eq!(words().len(), 1, "fewer plots than a file is worth are left");
    assert_eq!(answers(&db.snapshot()), before);
    db.drop_attr("title").unwrap();
    while db.maintain().unwrap().is_some() {}
    assert!(words().is_empty());
    assert!(matches!(db.snapshot().matching("title", "star").run(), Err(Error::NotFound { .. })));
}

/// Goal: what cannot be asked is refused, by name; what is odd finds what it should.
#[test]
fn odd_texts_and_wrong_questions() {
    let db = db();
    db.batch()
        .put(
            Item::new(1u64)
                .attr("title", "Am\u{e9}lie \u{1f3ac} \u{5e9}\u{5c1}\u{5b8}\u{5dc}\u{5d5}\u{5dd}"),
        )
        .put(Item::new(2u64).attr("title", ""))
        .put(Item::new(3u64).attr("title", "a".repeat(1 << 20)))
        .commit()
        .unwrap();
    let snapshot = db.snapshot();
    let keys = |text: &str| -> Vec<Key> {
        let hits = snapshot.matching("title", text).run().unwrap();
        hits.into_iter().map(|hit| hit.key).collect()
    };
    for text in ["AME\u{301}LIE", "amelie", "\u{1f3ac}", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"] {
        assert_eq!(keys(text), [Key::Id(1)], "{text}");
    }
    assert_eq!(keys(&"A".repeat(4096)), [Key::Id(3)]);
    for text in ["", "?!", "\u{200f}"] {
        assert!(keys(text).is_empty());
        assert!(snapshot.select_typed("title", text).unwrap().is_empty());
    }
    assert_eq!(snapshot.select_typed("title", &"a".repeat(4096)).unwrap().len(), 1);
    assert_eq!(snapshot.select_typed("title", "a").unwrap().len(), 2);

    let long = "word ".repeat(1 << 18);
    let many: String = (0..1025).map(|n| format!("w{n} ")).collect();
    for (question, says) in [
        (snapshot.matching("title", &long), "more than"),
        (snapshot.matching("title", &many), "1025 distinct words"),
        (snapshot.matching("asked", "x"), "only a Text"),
        (snapshot.matching("title", "x").also("plot", -1.0), "weight"),
        (snapshot.matching("title", "x").also("plot", f32::NAN), "weight"),
        (snapshot.matching("title", "x").bm25(-1.0, 0.5), "k1"),
        (snapshot.matching("title", "x").bm25(1.0, 1.5), "k1"),
        (snapshot.matching("title", &many[..400]).every_word(), "64"),
        (snapshot.matching("title", "x").limit(0), "limit"),
    ] {
        let error = question.run().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(matches!(snapshot.matching("none", "x").run(), Err(Error::NotFound { .. })));
}

fn galaxy() -> Db {
    let db = db();
    let mut batch = db.batch();
    for id in 0..40u64 {
        let angle = id as f32 / 7.0;
        let words = [(id % 5) as usize, (id % 3) as usize];
        let made = item(id, &(Some(words.to_vec()), None, id));
        batch.put(if id % 4 == 3 { made } else { made.vector("text", [angle.cos(), angle.sin()]) });
    }
    batch.commit().unwrap();
    db
}

/// Goal: both fusions are what their definitions say, filters narrow all questions, and a recommender
/// that fuses by ranks says the same.
#[test]
fn hybrid_is_its_definition() {
    let db = galaxy();
    let snapshot = db.snapshot();
    let (words, vector) = ("star night", [0.3f32, 0.9]);
    let even = || attr("even").is(true);
    let lists = [
        snapshot.matching("title", words).filter(even()).limit(12).run().unwrap(),
        snapshot.near("text", &vector).filter(even()).limit(12).run().unwrap(),
    ];
    let ask = |fusion| {
        let both = snapshot.hybrid().add(1.0, snapshot.matching("title", words));
        let both = both.add(0.5, snapshot.near("text", &vector)).filter(even());
        both.fuse(fusion).depth(12).limit(12).run().unwrap()
    };
    let mut ranks: BTreeMap<Key, f64> = BTreeMap::new();
    for (weight, list) in [1.0, 0.5].into_iter().zip(&lists) {
        for (rank, hit) in list.iter().enumerate() {
            *ranks.entry(hit.key.clone()).or_default() += weight / (61.0 + rank as f64);
        }
    }
    let check = |hits: &[Hit], scores: &BTreeMap<Key, f64>| {
        assert_eq!(hits.len(), 12);
        assert!(hits.is_sorted_by(|a, b| (b.score, &a.key) <= (a.score, &b.key)));
        for hit in hits {
            assert!((f64::from(hit.score) - scores[&hit.key]).abs() < 1e-6, "{hit:?}");
        }
        let worst = f64::from(hits[11].score);
        assert!(scores.iter().all(|(k, s)| *s <= worst + 1e-6 || hits.iter().any(|h| h.key == *k)));
    };
    check(&ask(Fusion::default()), &ranks);

    let union: BTreeSet<&Key> = lists.iter().flatten().map(|hit| &hit.key).collect();
    let mut scores: BTreeMap<Key, f64> = BTreeMap::new();
    let all = [
        snapshot.matching("title", words).limit(100).run().unwrap(),
        snapshot.near("text", &vector).limit(100).exact().run().unwrap(),
    ];
    for ((weight, low), all) in [(1.0, 0.0), (0.5, -1.0)].into_iter().zip(&all) {
        let of_union: Vec<&Hit> = all.iter().filter(|hit| union.contains(&hit.key)).collect();
        let best = f64::from(of_union[0].score);
        for hit in of_union {
            let share = (f64::from(hit.score) - low) / (best - low);
            *scores.entry(hit.key.clone()).or_default() += weight * share;
        }
    }
    check(&ask(Fusion::Scores), &scores);

    let recommender = Recommender::new()
        .summarize(Query)
        .filter(even())
        .retrieve(Matches::new("title", 12))
        .retrieve(NearInterests::new("text", 12))
        .score(Rrf { weights: vec![("NearInterests(text)".into(), 0.5)], ..Rrf::default() });
    let request = Request::new(12, Timestamp(0)).text(words).query("text", vector);
    assert_eq!(request.purpose(), "search");
    let slate = recommender.run(&snapshot, &request).unwrap();
    let hits = ask(Fusion::default());
    let pairs = slate.items.iter().zip(&hits);
    assert!(pairs.clone().all(|(a, b)| a.key == b.key && a.score == b.score) && pairs.len() == 12);
}

/// Goal: BM25 as a score, and as a feature of rankers, is that of the search, whoever found the items.
#[test]
fn bm25_scores_what_others_have_found() {
    let db = galaxy();
    let snapshot = db.snapshot();
    let (words, vector) = ("star night", [0.3f32, 0.9]);
    let hits = snapshot.matching("title", words).limit(100).run().unwrap();
    let scores: BTreeMap<Key, f32> = hits.into_iter().map(|hit| (hit.key, hit.score)).collect();
    let request = Request::new(100, Timestamp(0)).text(words).query("text", vector);
    let near = || Recommender::new().summarize(Query).retrieve(NearInterests::new("text", 100));
    let slate = near().score(Bm25::new("title")).run(&snapshot, &request).unwrap();
    assert_eq!(slate.items.len(), 30);
    for item in &slate.items {
        assert_eq!(item.score, scores.get(&item.key).copied().unwrap_or(0.0), "{}", item.key);
    }
    let features = Features::new().item("text").scalar(Scalar::Bm25 { attr: "title".into() });
    let mut examples = Examples::new(features, &snapshot).unwrap();
    let keys: Vec<(Key, f32)> = (0..40u64).map(|id| (Key::Id(id), 0.0)).collect();
    examples.push(&request, &keys).unwrap();
    for (at, (key, _)) in keys.iter().enumerate() {
        assert_eq!(
            examples.batch().scalars()[at],
            scores.get(key).copied().unwrap_or(0.0),
            "{key}"
        );
    }
    let none = near().score(Bm25::new("title"));
    let slate = none.run(&snapshot, &Request::new(9, Timestamp(0)).query("text", vector)).unwrap();
    assert!(slate.items.iter().all(|item| item.score == 0.0));
    let unified = Unified::new("text", []).words(["title", "plot"]);
    let slate = unified.sources().run(&snapshot, &request).unwrap();
    assert!(slate.items.iter().any(|item| item.sources == ["Matches(title, plot)"]), "{slate:?}");
}

#[test]
fn wrong_hybrids_are_refused() {
    let db = galaxy();
    let snapshot = db.snapshot();
    let one = || snapshot.hybrid().add(1.0, snapshot.matching("title", "star"));
    for (hybrid, says) in [
        (snapshot.hybrid(), "number of questions"),
        (one().depth(0), "depth"),
        (one().limit(0), "limit"),
        (one().fuse(Fusion::Ranks { k: -1.0 }), "k of"),
        (one().fuse(Fusion::Ranks { k: f32::NAN }), "k of"),
        (one().add(f32::NAN, snapshot.near("text", &[1.0, 0.0])), "weight"),
        (one().add(-1.0, snapshot.near("text", &[1.0, 0.0])), "weight"),
        (one().add(1.0, snapshot.near("text", &[1.0])), "text"),
        (one().add(1.0, snapshot.near("text", &[1.0, 0.0]).group_by("even", 1)), "group"),
    ] {
        let error = hybrid.run().unwrap_err().to_string();
        assert!(error.contains(says), "{error} lacks {says}");
    }
}
