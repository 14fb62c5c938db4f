//! Boosted search equals scoring every item by the definition, and refuses what would go wrong.

use bowerbird::{
    io::Memory,
    recommend::{Boost, Hint, Looked, NearBoosted, Query, Recommender, Request, Seen},
    *,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const NOW: Timestamp = Timestamp(1_000_000_000);
const DIM: usize = 8;

/// A small source of numbers that are the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 20) as f32
    }

    /// Of few values, so that many items tie, or of many.
    fn vector(&mut self, coarse: bool, dim: usize) -> Vec<f32> {
        let number = |dice: &mut Dice| match coarse {
            true => dice.below(3) as f32 - 1.0,
            false => dice.unit() - 0.5,
        };
        let mut vector: Vec<f32> = (0..dim).map(|_| number(self)).collect();
        vector[0] += 0.25;
        vector
    }
}

fn schema() -> Schema {
    Schema::new()
        .space("text", DIM as u32, Metric::Cosine)
        .space_as("image", DIM as u32, Metric::Dot, Encoding::F16)
        .space("place", 2, Metric::L2)
        .attr("stars", AttrType::Float)
        .attr("price", AttrType::Int)
        .attr("published", AttrType::Time)
        .attr("genre", AttrType::Tag)
        .event("view")
        .event("click")
}

fn random_item(id: u64, dice: &mut Dice, coarse: bool) -> Item {
    let mut item = Item::new(id).attr("genre", ["jazz", "rock", "folk"][dice.below(3) as usize]);
    if dice.below(5) > 0 {
        item = item.vector("text", dice.vector(coarse, DIM));
    }
    if dice.below(3) > 0 {
        item = item.vector("image", dice.vector(coarse, DIM));
    }
    if dice.below(3) > 0 {
        item = item.vector("place", dice.vector(coarse, 2));
    }
    if dice.below(4) > 0 {
        item = item.attr("stars", dice.below(13) as f64 / 2.0);
    }
    if dice.below(4) > 0 {
        item = item.attr("price", dice.below(30) as i64);
    }
    if dice.below(4) > 0 {
        item = item.attr("published", Timestamp(NOW.0 - 900_000 + dice.below(1_000_000) as i64));
    }
    item
}

/// Several segments on disk and one on the heap, with items written again and removed, and graphs
/// where there are rows enough.
fn filled(seed: u64, count: u64, coarse: bool) -> Db {
    let options = Options::default().maintenance(Maintenance::Manual).graph_rows_min(50);
    let db = Db::create_in(Arc::new(Memory::new()), schema(), options).unwrap();
    let mut dice = Dice(seed);
    for part in 0..3 {
        let mut batch = db.batch();
        for _ in 0..count / 3 {
            batch.put(random_item(dice.below(count), &mut dice, coarse));
        }
        for _ in 0..count {
            let kind = ["view", "view", "click"][dice.below(3) as usize];
            // Some of them later than the question.
            let at = Timestamp(NOW.0 - 1_000 + dice.below(1_200) as i64);
            batch.event(Event::new(dice.below(20), dice.below(count), kind, at));
        }
        batch.commit().unwrap();
        if part < 2 {
            db.flush().unwrap();
        }
    }
    let mut batch = db.batch();
    for _ in 0..count / 10 {
        batch.delete(dice.below(count));
    }
    batch.commit().unwrap();
    db.index().unwrap();
    db
}

/// A question in words that both sides understand.
#[derive(Clone, Debug)]
struct Ask {
    nears: Vec<(&'static str, Vec<f32>, f32, Lack)>,
    boosts: Vec<(Boost, f32)>,
    filter: Option<&'static str>,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
enum Lack {
    Usual,
    As(f32),
    Out,
}

fn boosted<'s>(snapshot: &'s Snapshot, ask: &Ask) -> recommend::Boosted<'s> {
    let mut boosted = snapshot.boosted(NOW).limit(ask.limit).norm_max(f32::INFINITY);
    for (space, vector, weight, missing) in &ask.nears {
        boosted = match missing {
            Lack::Usual => boosted.near(space, vector, *weight),
            Lack::As(score) => boosted.near_or(space, vector, *weight, *score),
            Lack::Out => boosted.near_only(space, vector, *weight),
        };
    }
    for (boost, weight) in &ask.boosts {
        boosted = boosted.boost(boost.clone(), *weight);
    }
    match ask.filter {
        Some(genre) => boosted.filter(attr("genre").is(genre)),
        None => boosted,
    }
}

/// Clicks, views: by item, what was known by now.
fn events(snapshot: &Snapshot) -> BTreeMap<Key, (f64, f64)> {
    let mut counts: BTreeMap<Key, (f64, f64)> = BTreeMap::new();
    for user in snapshot.users().unwrap() {
        let query = HistoryQuery::default().as_of(NOW).limit(100_000);
        for deed in snapshot.history(user, &query).unwrap().deeds {
            let count = counts.entry(deed.item).or_default();
            match snapshot.schema().events()[usize::from(deed.kind)].as_str() {
                "click" => count.0 += 1.0,
                _ => count.1 += 1.0,
            }
        }
    }
    counts
}

/// The boosts that the test can compute by itself.
fn boosts() -> Vec<Boost> {
    vec![
        Boost::number("stars", 1.0, 5.0),
        Boost::number("price", 20.0, 5.0).missing(0.3),
        Boost::fresh("published", std::time::Duration::from_secs(100)),
        Boost::rate(["click"], ["view"], 3.0),
        Boost::popular(["view"]),
    ]
}

/// What users did, and what it comes to over all live items.
struct Counts {
    by_key: BTreeMap<Key, (f64, f64)>,
    mean: f64,
    most: f64,
}

impl Counts {
    fn new(snapshot: &Snapshot) -> Counts {
        let mut counts = Counts { by_key: events(snapshot), mean: 0.0, most: 0.0 };
        let (mut clicks, mut views) = (0.0, 0.0);
        for key in snapshot.keys(&Where::all(), 1_000_000).unwrap() {
            let count = counts.by_key.get(&key).copied().unwrap_or_default();
            clicks += count.0;
            views += count.1;
            counts.most = counts.most.max(count.1);
        }
        counts.mean = if views > 0.0 { clicks / views } else { 0.0 };
        counts
    }
}

fn boost_of(which: usize, item: &Item, counts: &Counts) -> f32 {
    let attr = |name: &str| item.attrs.iter().find(|attr| attr.0 == name).map(|attr| &attr.1);
    let (clicks, views) = counts.by_key.get(&item.key).copied().unwrap_or_default();
    match which {
        0 => match attr("stars") {
            Some(Value::Float(stars)) => ((stars - 1.0) / 4.0).clamp(0.0, 1.0) as f32,
            _ => 0.0,
        },
        1 => match attr("price") {
            Some(Value::Int(price)) => ((*price as f64 - 20.0) / -15.0).clamp(0.0, 1.0) as f32,
            _ => 0.3,
        },
        2 => match attr("published") {
            Some(Value::Time(at)) => (-((NOW.0 - at.0).max(0) as f64) / 100e3).exp2() as f32,
            _ => 0.0,
        },
        3 => {
            let mean = counts.mean;
            let rate = if views > 0.0 { (clicks + 3.0 * mean) / (views + 3.0) } else { mean };
            rate.clamp(0.0, 1.0) as f32
        }
        _ if views > 0.0 => (views.ln_1p() / counts.most.ln_1p()) as f32,
        _ => 0.0,
    }
}

/// Every live item by the definition.
fn brute(snapshot: &Snapshot, ask: &Ask) -> Vec<(Key, f32)> {
    let filter = ask.filter.map_or_else(Where::all, |genre| attr("genre").is(genre));
    let counts = Counts::new(snapshot);
    let similar: Vec<BTreeMap<Key, f32>> = ask
        .nears
        .iter()
        .map(|(space, vector, ..)| {
            let hits = snapshot.near(space, vector).exact().limit(1_000_000).run().unwrap();
            hits.into_iter().map(|hit| (hit.key, hit.score)).collect()
        })
        .collect();
    let known = boosts();
    let mut scored = Vec::new();
    'items: for key in snapshot.keys(&filter, 1_000_000).unwrap() {
        let item = snapshot.get(&key).unwrap().unwrap();
        let mut sum = 0f64;
        for ((space, _, weight, missing), similar) in ask.nears.iter().zip(&similar) {
            let similarity = match (similar.get(&key), missing) {
                (Some(similarity), _) => *similarity,
                (None, Lack::As(score)) => *score,
                (None, Lack::Usual) if *space != "place" => 0.0,
                (None, _) => continue 'items,
            };
            sum += f64::from(*weight) * f64::from(similarity);
        }
        for (boost, weight) in &ask.boosts {
            let which = known.iter().position(|known| known == boost).unwrap();
            sum += f64::from(*weight) * f64::from(boost_of(which, &item, &counts));
        }
        scored.push((key, sum as f32));
    }
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    scored.truncate(ask.limit);
    scored
}

fn pairs(hits: &[Hit]) -> Vec<(Key, f32)> {
    hits.iter().map(|hit| (hit.key.clone(), hit.score)).collect()
}

fn random_ask(dice: &mut Dice, coarse: bool) -> Ask {
    let weight = |dice: &mut Dice| match dice.below(6) {
        0 => 0.0,
        1 => -dice.unit(),
        _ => dice.unit() * 2.0,
    };
    let mut nears = Vec::new();
    for (space, dim) in [("text", DIM), ("image", DIM), ("place", 2)] {
        if dice.below(2) == 0 {
            let missing = match dice.below(3) {
                0 => Lack::Usual,
                1 => Lack::As(dice.unit() - 0.5),
                _ => Lack::Out,
            };
            nears.push((space, dice.vector(coarse, dim), weight(dice), missing));
        }
    }
    let mut some = boosts();
    some.retain(|_| dice.below(2) == 0);
    if nears.is_empty() && some.is_empty() {
        some = boosts();
    }
    let boosts = some.into_iter().map(|boost| (boost, weight(dice))).collect();
    let filter = [None, Some("jazz"), Some("none")][dice.below(3) as usize];
    Ask { nears, boosts, filter, limit: [1, 7, 50, 1000][dice.below(4) as usize] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: the answer is that of scoring every item by the definition, to the bit, ties and all.
    /// Method: random databases of several segments, with missing vectors and values, deaths, filters,
    /// events of the future; random questions with weights of either sign; one thread and three. Few
    /// rows are never walked, so nothing may be missed, by threshold or by pass.
    #[test]
    fn boosted_is_brute_force(seed in any::<u64>(), count in 3u64..400, coarse in any::<bool>()) {
        let db = filled(seed, count, coarse);
        let (snapshot, mut dice) = (db.snapshot(), Dice(seed ^ 1));
        for _ in 0..8 {
            let ask = random_ask(&mut dice, coarse);
            let expected = brute(&snapshot, &ask);
            let hits = boosted(&snapshot, &ask).threads(1 + 2 * dice.below(2) as usize);
            prop_assert_eq!(&pairs(&hits.run().unwrap()), &expected, "{:?}", &ask);
            let exact = boosted(&snapshot, &ask).exact().run().unwrap();
            prop_assert_eq!(&pairs(&exact), &expected, "{:?}", &ask);
        }
    }
}

/// Goal: lists of boosts alone are read only as far as needed, and still miss nothing.
/// Method: 30,000 items; the best by boosts, by filters, to be found by a look at few of them.
#[test]
fn the_best_by_boosts_alone_are_found_by_looking_at_few() {
    let db = filled(5, 30_000, false);
    let (snapshot, mut stopped) = (db.snapshot(), 0);
    for (some, limit) in [(vec![2], 10), (vec![2, 3], 5), (vec![4], 3), (vec![3, 4], 1)] {
        for sign in [1.0, -1.0] {
            let boosts = some.iter().map(|which| (boosts()[*which].clone(), sign)).collect();
            let ask = Ask { nears: Vec::new(), boosts, filter: Some("rock"), limit };
            let (hits, looked) = boosted(&snapshot, &ask).run_counted().unwrap();
            assert_eq!(pairs(&hits), brute(&snapshot, &ask), "{ask:?}");
            stopped += looked.stopped;
        }
    }
    assert!(stopped > 4, "{stopped}");
}

/// Goal: with graphs, a boosted search finds what scoring every item finds, as far as walks do, for
/// boosts of every weight, and its scores are those of the definition.
/// Method: 20,000 items with graphs over two spaces.
#[test]
fn walks_miss_little_whatever_boosts_weigh() {
    let options = Options::default().maintenance(Maintenance::Manual).graph_rows_min(1000);
    let db = Db::create_in(Arc::new(Memory::new()), schema(), options).unwrap();
    let mut dice = Dice(11);
    let mut batch = db.batch();
    for id in 0..20_000u64 {
        batch.put(random_item(id, &mut dice, false));
    }
    batch.commit().unwrap();
    db.compact().unwrap();
    db.index().unwrap();
    let (snapshot, mut walked, mut found, mut all) = (db.snapshot(), 0, 0, 0);
    for round in 0..24 {
        let weight = [0.0, 0.1, 0.3, 1.0][round % 4];
        let mut nears = vec![("text", dice.vector(false, DIM), 1.0, Lack::Usual)];
        if round % 3 == 0 {
            nears.push(("image", dice.vector(false, DIM), 0.5, Lack::Out));
        }
        let boosts = vec![(boosts()[0].clone(), weight), (boosts()[2].clone(), weight / 2.0)];
        let filter = [None, Some("folk")][round % 2];
        let ask = Ask { nears, boosts, filter, limit: 10 };
        let (hits, looked) = boosted(&snapshot, &ask).run_counted().unwrap();
        let expected: BTreeMap<_, _> = brute(&snapshot, &ask).into_iter().collect();
        walked += looked.walked;
        all += expected.len();
        found += hits.iter().filter(|hit| expected.contains_key(&hit.key)).count();
        for hit in &hits {
            assert!(expected.get(&hit.key).is_none_or(|score| *score == hit.score));
        }
    }
    assert!(walked > 0, "no graph was walked");
    assert!(found as f64 >= 0.98 * all as f64, "{found} of {all}");
}

/// A database of vectors around centres, as embeddings are, with boosts, and a graph.
fn large(rows: u64, dim: usize) -> (Db, Vec<Vec<f32>>) {
    let schema = Schema::new()
        .space("v", dim as u32, Metric::Cosine)
        .attr("stars", AttrType::Float)
        .attr("published", AttrType::Time);
    let options = Options::default().maintenance(Maintenance::Manual);
    let db = Db::create_in(Arc::new(Memory::new()), schema, options).unwrap();
    let mut dice = Dice(3);
    let centres: Vec<Vec<f32>> = (0..200).map(|_| dice.vector(false, dim)).collect();
    let near = |dice: &mut Dice| -> Vec<f32> {
        let centre = &centres[dice.below(200) as usize];
        let spread = dice.vector(false, dim);
        centre.iter().zip(&spread).map(|(c, s)| c + 2.0 * s).collect()
    };
    for first in (0..rows).step_by(10_000) {
        let mut batch = db.batch();
        for id in first..rows.min(first + 10_000) {
            let at = Timestamp(NOW.0 - dice.below(1_000_000) as i64);
            let item = Item::new(id).attr("stars", f64::from(dice.unit()) * 5.0);
            batch.put(item.attr("published", at).vector("v", near(&mut dice)));
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    db.index().unwrap();
    let queries = (0..100).map(|_| near(&mut dice)).collect();
    (db, queries)
}

/// Goal: over 100,000 vectors, the top 10 equal brute force where all are scored, and with a graph
/// boosts of any norm lose at most one item in a hundred more than plain search with the same effort
/// does: lists are read as deep as they have to be.
/// Method: one space, two boosts, a hundred questions for each norm; prints what it measures.
#[test]
fn boosts_lose_at_most_a_point_over_100_000_vectors() {
    let (db, queries) = large(100_000, 64);
    let snapshot = db.snapshot();
    let near = |query: &Vec<f32>, exact: bool| -> BTreeSet<Key> {
        let near = snapshot.near("v", query).limit(10);
        let hits = if exact { near.exact() } else { near }.run().unwrap();
        hits.into_iter().map(|hit| hit.key).collect()
    };
    let kept = queries.iter().map(|q| near(q, true).intersection(&near(q, false)).count());
    let plain = kept.sum::<usize>() as f64 / (queries.len() * 10) as f64;
    println!("plain search: recall@10 {plain:.4}");
    for norm in [0.0f32, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0] {
        let (mut found, mut sum) = (0, Looked::default());
        for query in &queries {
            let ask = || {
                let fresh = Boost::fresh("published", std::time::Duration::from_secs(200));
                let near = snapshot.boosted(NOW).near("v", query, 1.0).norm_max(norm);
                near.boost(Boost::number("stars", 0.0, 5.0), norm * 0.6).boost(fresh, norm * 0.4)
            };
            let exact = ask().exact().run().unwrap();
            let (hits, looked) = ask().run_counted().unwrap();
            let exact: BTreeSet<_> = exact.into_iter().map(|hit| hit.key).collect();
            found += hits.iter().filter(|hit| exact.contains(&hit.key)).count();
            sum.scored += looked.scored;
            sum.walked += looked.walked;
            sum.steps += looked.steps;
            sum.stopped += looked.stopped;
            sum.passed += looked.passed;
        }
        let recall = found as f64 / (queries.len() * 10) as f64;
        println!("norm {norm}: recall@10 {recall:.4}, {sum:?} over {} queries", queries.len());
        assert!(recall >= plain - 0.01, "norm {norm}: {recall}, without {plain}");
    }
    // Vectors that are hard to walk among, so that there is something to lose.
    assert!((0.7..0.99).contains(&plain), "{plain}");
}

fn small() -> Db {
    let db = Db::in_memory(schema()).unwrap();
    db.batch()
        .put(Item::new(1u64).vector("text", [1.0; DIM]).attr("stars", 1.0))
        .put(Item::new(2u64).vector("text", [1.0; DIM]).attr("stars", 5.0))
        .put(Item::new(3u64))
        .commit()
        .unwrap();
    db
}

/// Goal: what cannot be meant is refused with a reason, and nothing panics.
#[test]
fn weights_beyond_the_guard_and_what_is_no_number_are_refused() {
    let db = small();
    let snapshot = db.snapshot();
    let stars = || Boost::number("stars", 1.0, 5.0);
    let near = || snapshot.boosted(NOW).near("text", &[1.0; DIM], 1.0);
    let refused = |boosted: recommend::Boosted<'_>, part: &str| {
        let error = boosted.run().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(near().boost(stars(), 0.7).boost(stars(), -0.7), "add up to 1.39999");
    refused(near().boost(stars(), 0.7).norm_max(0.5), "more than 0.5");
    near().boost(stars(), 70.0).norm_max(100.0).run().unwrap();
    near().boost(stars(), f32::MAX).norm_max(f32::INFINITY).run().unwrap();
    let tenths = (0..10).fold(near(), |near, _| near.boost(stars(), 0.1));
    tenths.run().unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        refused(near().boost(stars(), bad).norm_max(f32::INFINITY), "finite");
        refused(near().near("text", &[1.0; DIM], bad), "finite");
        refused(near().near_or("image", &[1.0; DIM], 1.0, bad), "finite");
        refused(near().boost(stars().missing(bad), 0.1), "0 to 1");
        refused(near().boost(Boost::number("stars", 1.0, f64::from(bad)), 0.1), "finite");
        refused(near().boost(Boost::rate(["click"], ["view"], f64::from(bad)), 0.1), "prior");
        refused(near().near("text", &[bad; DIM], 1.0), "finite");
    }
    refused(near().norm_max(f32::NAN), "norm");
    refused(near().norm_max(-1.0), "norm");
    refused(near().boost(Boost::number("stars", 2.0, 2.0), 0.1), "different");
    refused(near().boost(Boost::number("genre", 1.0, 2.0), 0.1), "Tag");
    refused(near().boost(Boost::number("none", 1.0, 2.0), 0.1), "none");
    refused(near().boost(Boost::fresh("stars", days(1)), 0.1), "time");
    refused(near().boost(Boost::fresh("published", hours(0)), 0.1), "half-life");
    refused(near().boost(Boost::rate([], ["view"], 1.0), 0.1), "kind");
    refused(near().boost(Boost::popular(["none"]), 0.1), "none");
    refused(near().near("text", &[1.0; 3], 1.0), "3");
    refused(near().near("none", &[1.0; 3], 1.0), "none");
    refused(near().limit(0), "limit");
    refused(snapshot.boosted(NOW), "nothing");
    let many = (0..65).fold(near(), |near, _| near.boost(stars(), 0.0));
    refused(many, "64");
}

/// Goal: an item without a vector is unlike, not lost; sums beyond what a score holds stay finite.
#[test]
fn what_is_missing_counts_as_said() {
    let db = small();
    let snapshot = db.snapshot();
    let keys = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.key).collect::<Vec<_>>();
    let ids = |ids: &[u64]| ids.iter().map(|id| Key::Id(*id)).collect::<Vec<_>>();
    let query = [1.0; DIM];
    let all = snapshot.boosted(NOW).near("text", &query, 1.0).run().unwrap();
    assert_eq!((all[2].score, keys(all)), (0.0, ids(&[1, 2, 3])));
    let only = snapshot.boosted(NOW).near_only("text", &query, 1.0).run().unwrap();
    assert_eq!(keys(only), ids(&[1, 2]));
    let first = snapshot.boosted(NOW).near_or("text", &query, 1.0, 2.0).run().unwrap();
    assert_eq!(keys(first), ids(&[3, 1, 2]));
    assert!(snapshot.boosted(NOW).near("place", &[0.0; 2], 1.0).run().unwrap().is_empty());
    let huge = snapshot.boosted(NOW).near_or("text", &query, f32::MAX, f32::MAX).run().unwrap();
    assert!(huge.iter().all(|hit| hit.score.is_finite()));
}

/// Goal: as an operator, it finds what the search finds, within what filters leave.
#[test]
fn the_operator_finds_what_the_search_finds() {
    let db = filled(7, 300, false);
    let (snapshot, query) = (db.snapshot(), Dice(9).vector(false, DIM));
    let find = || {
        let near = NearBoosted::new(20).near("text", 1.0).near("image", 1.0);
        near.boost(boosts()[0].clone(), 0.5).boost(boosts()[3].clone(), 0.5)
    };
    let recommender = || Recommender::new().summarize(Query);
    let scored = Hint::of("NearBoosted(text, image)");
    let request = Request::new(20, NOW).user(3).query("text", query.clone());
    let with = recommender().retrieve(find()).score(scored.clone());
    let slate = with.run(&snapshot, &request).unwrap();
    let search = snapshot.boosted(NOW).near("text", &query, 1.0).limit(20);
    let search = search.boost(boosts()[0].clone(), 0.5).boost(boosts()[3].clone(), 0.5);
    let found: Vec<_> = slate.items.iter().map(|item| (item.key.clone(), item.score)).collect();
    assert_eq!(found, pairs(&search.run().unwrap()));
    let unseen = recommender().filter(Seen::new([])).retrieve(find()).score(scored);
    let seen: BTreeSet<Key> = {
        let query = HistoryQuery::default().as_of(NOW);
        snapshot.history(UserId(3), &query).unwrap().deeds.into_iter().map(|d| d.item).collect()
    };
    let slate = unseen.run(&snapshot, &request).unwrap();
    assert_eq!(slate.items.len(), 20);
    assert!(slate.items.iter().all(|item| !seen.contains(&item.key)));
    let stranger = recommender().retrieve(find());
    assert_eq!(stranger.run(&snapshot, &Request::new(5, NOW)).unwrap().items.len(), 5);
    let heavy = recommender().retrieve(find().boost(boosts()[1].clone(), 0.5));
    assert!(heavy.run(&snapshot, &request).unwrap_err().to_string().contains("add up"));
}
