//! The ways of asking agree with each other: many at once, any of several, within and without, by
//! filter and by selection. Where graphs are walked, floors stand in for equality.

use crate::oracle::Dice;
use bowerbird::{io::fault::Fault, *};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

const ITEMS: u64 = 400;
const DIM: usize = 8;

fn vector(dice: &mut Dice) -> Vec<f32> {
    (0..DIM).map(|_| dice.roll(201) as f32 / 100.0 - 1.0 + 0.001).collect()
}

/// Items in parts on disk and on the heap, some without a vector, some replaced, some deleted.
fn filled(seed: u64, metric: Metric) -> Db {
    let mut dice = Dice(seed);
    let schema = Schema::new()
        .space("text", DIM as u32, metric)
        .space("image", 2, Metric::Dot)
        .attr("genre", AttrType::Tag)
        .attr("year", AttrType::Int)
        .attr("live", AttrType::Bool);
    let options = Options::default().maintenance(Maintenance::Manual);
    let db = Db::create_in(Arc::new(Fault::new()), schema, options).unwrap();
    for round in 0..3 {
        let mut batch = db.batch();
        for key in 0..ITEMS {
            if round > 0 && dice.roll(5) > 0 {
                continue;
            }
            let mut item = Item::new(key).vector("image", [dice.roll(9) as f32, 1.0]);
            if dice.roll(8) > 0 {
                item = item.vector("text", vector(&mut dice));
            }
            if dice.roll(5) > 0 {
                item = item.attr("year", 1950 + dice.roll(50) as i64);
            }
            if dice.roll(3) > 0 {
                item = item.attr("live", dice.roll(2) == 0);
            }
            batch.put(item.attr("genre", format!("g{}", dice.roll(6))));
        }
        batch.commit().unwrap();
        if round < 2 {
            db.flush().unwrap();
        }
    }
    let mut batch = db.batch();
    for _ in 0..40 {
        batch.delete(dice.roll(ITEMS));
    }
    batch.commit().unwrap();
    db
}

fn keys(hits: &[Hit]) -> Vec<Key> {
    hits.iter().map(|hit| hit.key.clone()).collect()
}

const METRICS: [Metric; 3] = [Metric::Dot, Metric::Cosine, Metric::L2];

/// Goal: a batch answers each question as if it were asked alone, for any number of threads.
#[test]
fn a_batch_answers_as_one_by_one() {
    for metric in METRICS {
        let db = filled(0xba7c, metric);
        let snapshot = db.snapshot();
        let mut dice = Dice(1);
        let queries: Vec<Vec<f32>> = (0..23).map(|_| vector(&mut dice)).collect();
        let filter = attr("genre").is_in(["g1", "g2"]) & attr("year").at_least(1960);
        let seen = snapshot.select_keys((0..50u64).map(Key::Id)).unwrap();
        let alone: Vec<Vec<Hit>> = queries
            .iter()
            .map(|q| {
                let near = snapshot.near("text", q).filter(filter.clone()).without(&seen);
                near.effort(40).limit(7).run().unwrap()
            })
            .collect();
        assert!(alone.iter().all(|hits| hits.len() == 7));
        for threads in [1, 2, 5] {
            let batch = snapshot.near_batch("text", &queries).filter(filter.clone());
            let batch = batch.without(&seen).effort(40).limit(7).threads(threads);
            assert_eq!(batch.run().unwrap(), alone, "{metric:?} {threads} threads");
        }
        let none: [[f32; DIM]; 0] = [];
        assert!(snapshot.near_batch("text", &none).run().unwrap().is_empty());
    }
}

/// Goal: near any of several vectors, an item's score is the best of its scores near each.
#[test]
fn near_any_is_the_best_over_single_vectors() {
    for metric in METRICS {
        let db = filled(0xa117, metric);
        let snapshot = db.snapshot();
        let mut dice = Dice(2);
        for count in [1, 2, 5] {
            let vectors: Vec<Vec<f32>> = (0..count).map(|_| vector(&mut dice)).collect();
            let mut best: Vec<Hit> = Vec::new();
            for vector in &vectors {
                for hit in snapshot.near("text", vector).exact().limit(1000).run().unwrap() {
                    match best.iter_mut().find(|one| one.addr == hit.addr) {
                        Some(one) => one.score = one.score.max(hit.score),
                        None => best.push(hit),
                    }
                }
            }
            best.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
            best.truncate(20);
            let any = snapshot.near_any("text", &vectors).exact().limit(20).run().unwrap();
            assert_eq!(any, best, "{metric:?} {count}");
            let walked = snapshot.near_any("text", &vectors).effort(100).limit(20).run().unwrap();
            let found = walked.iter().filter(|hit| best.contains(hit)).count();
            assert!(walked.len() == 20 && found >= 18, "{found}");
        }
    }
}

/// Goal: selections allow what the same filter or list of keys allows.
#[test]
fn within_and_without_are_filters_resolved_before() {
    let db = filled(0x5e1e, Metric::Cosine);
    let snapshot = db.snapshot();
    let mut dice = Dice(3);
    let filters = [
        attr("year").between(1960, 1969),
        !attr("live").is(true),
        attr("genre").is("g3") | attr("year").exists(),
        attr("year").is(1977),
        Where::all(),
    ];
    for filter in filters {
        let within = snapshot.select(&filter).unwrap();
        assert_eq!(within.len(), snapshot.count(&filter).unwrap());
        let seen: Vec<Key> = (0..60).map(|_| Key::Id(dice.roll(ITEMS + 20))).collect();
        let without = snapshot.select_keys(seen.clone()).unwrap();
        let alive = seen.iter().collect::<BTreeSet<_>>();
        let alive = alive.into_iter().filter(|key| snapshot.contains(key).unwrap()).count();
        assert_eq!(without.len(), alive as u64);
        let query = vector(&mut dice);
        let near = || snapshot.near("text", &query).limit(300);
        let expected = near().filter(filter.clone()).exclude(seen.clone()).exact().run().unwrap();
        for hit in &expected {
            assert!(within.contains(hit.addr) && !without.contains(hit.addr));
        }
        let by_selection = near().within(&within).without(&without).exact().run().unwrap();
        assert_eq!(by_selection, expected);
        let mixed = near().filter(filter.clone()).without(&without).exact().run().unwrap();
        assert_eq!(mixed, expected);
        let twice = near().within(&within).within(&within).exclude(seen).exact().run().unwrap();
        assert_eq!(twice, expected);
        // All that match are asked for, so a walk, too, must return all.
        let walked = near().within(&within).without(&without).effort(10).run().unwrap();
        assert_eq!(walked, expected);
    }
    let empty = snapshot.select_keys([]).unwrap();
    assert!(empty.is_empty());
    assert!(snapshot.near("text", &[1.0; DIM]).within(&empty).run().unwrap().is_empty());
}

/// Goal: pages leave nothing out, whatever effort is set; whoever asks for k items gets k where k
/// match.
#[test]
fn pages_are_exact_and_answers_are_full() {
    let db = filled(0x9a6e, Metric::L2);
    let snapshot = db.snapshot();
    let query = vector(&mut Dice(4));
    let all = snapshot.near("text", &query).exact().limit(1000).run().unwrap();
    let (mut paged, mut next) = (Vec::new(), None);
    loop {
        let near = snapshot.near("text", &query).effort(1).limit(30);
        let page = near.page(next.as_ref()).unwrap();
        paged.extend(page.hits);
        match page.next {
            Some(cursor) => next = Some(cursor),
            None => break,
        }
    }
    assert_eq!(paged, all);
    for limit in [1, 10, 100, 300] {
        for filter in [Where::all(), attr("genre").is("g1"), attr("year").between(1950, 1952)] {
            let near = || snapshot.near("text", &query).filter(filter.clone()).limit(limit);
            let (found, exact) = (near().effort(1).run().unwrap(), near().exact().run().unwrap());
            assert_eq!(found.len(), exact.len());
            assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let distinct: BTreeSet<Key> = keys(&found).into_iter().collect();
            assert_eq!(distinct.len(), found.len());
        }
    }
    let grouped = snapshot.near("text", &query).group_by("genre", 2).limit(100).run().unwrap();
    assert_eq!(grouped.len(), 12);
}

/// Goal: the measurement of recall counts what is missed: nothing, where all is scanned.
#[test]
fn recall_is_measured() {
    let db = filled(0x4eca, Metric::Cosine);
    let snapshot = db.snapshot();
    let exact = snapshot.measure_recall("text", 50).exact().limit(10).run().unwrap();
    assert_eq!((exact.queries, exact.recall, exact.worst), (50, 1.0, 1.0));
    assert_eq!((exact.scored, exact.expanded), (0.0, 0.0));
    let filter = attr("live").is(true);
    let near = snapshot.measure_recall("text", 50).filter(filter).effort(200).run().unwrap();
    assert!(near.recall > 0.9 && near.worst <= near.recall, "{near:?}");
    let beyond = snapshot.measure_recall("text", 100_000).limit(3).run().unwrap();
    assert!(beyond.queries as u64 <= snapshot.len());
    let empty = Db::in_memory(Schema::new().space("text", 2, Metric::Dot)).unwrap();
    assert_eq!(empty.snapshot().measure_recall("text", 5).run().unwrap().queries, 0);
    for sample in [0, usize::MAX] {
        let error = snapshot.measure_recall("text", sample).run().unwrap_err();
        assert!(error.to_string().contains("sample"), "{error}");
    }
    assert!(snapshot.measure_recall("nothing", 5).run().is_err());
}

/// Goal: numbers that cannot be honoured are refused by name, whatever the kind of search.
#[test]
fn numbers_out_of_range_are_refused() {
    let db = filled(0xe44, Metric::Dot);
    let snapshot = db.snapshot();
    let query = [0.5; DIM];
    let near = || snapshot.near("text", &query);
    let refused = |result: Result<Vec<Hit>>, word: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    for effort in [0, 10_001, u32::MAX] {
        refused(near().effort(effort).run(), "effort");
    }
    for target in [0.0, 0.49, 0.9991, 1.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(near().recall(target).run(), "recall");
        assert!(snapshot.near_batch("text", &[query]).recall(target).run().is_err());
        assert!(snapshot.measure_recall("text", 5).recall(target).run().is_err());
    }
    for fine in [0.5, 0.9, 0.999] {
        assert_eq!(near().recall(fine).limit(3).run().unwrap().len(), 3);
    }
    // The last call counts.
    assert_eq!(near().recall(7.0).effort(0).exact().run().unwrap().len(), 10);
    let none: [[f32; DIM]; 0] = [];
    refused(snapshot.near_any("text", &none).run(), "number of vectors");
    refused(snapshot.near_any("text", &[[0.5; 3]]).run(), "query");
    refused(snapshot.near_any("text", &[query]).also("image", &[1.0, 1.0], 1.0).run(), "vectors");
    let error = snapshot.near_batch("text", &[&query[..], &[1.0]]).run().unwrap_err();
    assert!(error.to_string().contains("query 1"), "{error}");
    assert!(snapshot.near_batch("text", &[query]).threads(0).run().is_err());
    assert!(snapshot.near_batch("text", &[query]).limit(0).run().is_err());
    assert!(matches!(snapshot.near_batch("no", &[query]).run(), Err(Error::NotFound { .. })));

    let selection = snapshot.select(&Where::all()).unwrap();
    assert_eq!(db.snapshot().near("text", &query).within(&selection).run().unwrap().len(), 10);
    db.batch().delete(1u64).commit().unwrap();
    let later = db.snapshot();
    refused(later.near("text", &query).within(&selection).run(), "another snapshot");
    refused(later.near("text", &query).without(&selection).run(), "another snapshot");
    assert!(snapshot.select_keys([Key::from("a name")]).is_err());
    let far = Addr { part: 99, row: Row(u32::MAX) };
    assert!(!selection.contains(far));
}

/// Items of a part that gets a graph.
const WALKED: u64 = 12_000;

/// A part on disk that is large enough for a walk to be chosen, and a small one on the heap.
fn walked(metric: Metric, graphs: Graphs) -> Db {
    let mut dice = Dice(0x3a1c);
    let schema = Schema::new()
        .space("text", DIM as u32, metric)
        .attr("half", AttrType::Int)
        .attr("rare", AttrType::Tag);
    let options = Options::default().maintenance(Maintenance::Manual).graphs(graphs);
    let db = Db::create_in(Arc::new(io::Memory::new()), schema, options).unwrap();
    let put = |db: &Db, keys: std::ops::Range<u64>, dice: &mut Dice| {
        let mut batch = db.batch();
        for key in keys {
            let mut item = Item::new(key).attr("half", dice.roll(1000) as i64);
            if dice.roll(20) > 0 {
                item = item.vector("text", vector(dice));
            }
            if dice.roll(1000) == 0 {
                item = item.attr("rare", "yes");
            }
            batch.put(item);
        }
        batch.commit().unwrap();
    };
    put(&db, 0..WALKED, &mut dice);
    db.compact().unwrap();
    db.index().unwrap();
    put(&db, WALKED - 100..WALKED + 300, &mut dice);
    let mut batch = db.batch();
    for _ in 0..800 {
        batch.delete(dice.roll(WALKED));
    }
    batch.commit().unwrap();
    db
}

/// Such a database of each style and metric, made once.
fn all_walked(at: usize) -> (Graphs, Metric, &'static Db) {
    static ALL: [OnceLock<Db>; 6] = [const { OnceLock::new() }; 6];
    let (graphs, metric) = ([Graphs::Fast, Graphs::Compact][at / 3], METRICS[at % 3]);
    (graphs, metric, ALL[at].get_or_init(|| walked(metric, graphs)))
}

/// Goal: walks find nearly all that scans find, under any restriction, return nothing that is not
/// allowed, and as many as were asked for.
/// Method: one large part with a graph and dead rows, and a small part; floors far below what is
/// measured.
#[test]
fn walks_find_what_scans_find() {
    for (graphs, metric, db) in (0..6).map(all_walked) {
        let snapshot = db.snapshot();
        let report = snapshot.measure_recall("text", 40).effort(100).run().unwrap();
        assert!(report.scored > 0.0 && report.expanded > 0.0, "no walk: {report:?}");
        assert!(report.recall > 0.9, "{graphs:?} {metric:?} {report:?}");
        let more = snapshot.measure_recall("text", 40).effort(2).run().unwrap();
        assert!(more.scored < report.scored, "{more:?} {report:?}");
        // Through allowed rows, and over one other: with more effort, all would be looked at instead.
        for (least, effort) in [(500, 40), (800, 16)] {
            let some = snapshot.measure_recall("text", 40).filter(attr("half").at_least(least));
            let some = some.effort(effort).run().unwrap();
            let walked = some.expanded > 0.0 && some.recall > 0.85;
            assert!(walked, "{least}: {graphs:?} {metric:?} {some:?}");
        }
        let aimed = snapshot.measure_recall("text", 40).recall(0.9).run().unwrap();
        assert!(aimed.recall > 0.8, "{graphs:?} {metric:?} {aimed:?}");

        let seen = snapshot.select_keys((0..3000u64).map(Key::Id)).unwrap();
        let most = snapshot.select(&attr("half").at_most(700)).unwrap();
        let mut dice = Dice(9);
        let queries: Vec<Vec<f32>> = (0..20).map(|_| vector(&mut dice)).collect();
        let (mut found, mut all) = (0, 0);
        for query in &queries {
            let near = || snapshot.near("text", query).effort(40);
            let filters = [attr("half").at_least(500), attr("rare").is("yes"), Where::all()];
            for filter in filters {
                let ask = || near().filter(filter.clone()).without(&seen).within(&most);
                let (some, exact) = (ask().run().unwrap(), ask().exact().run().unwrap());
                assert_eq!(some.len(), exact.len());
                let allowed = snapshot.select(&filter).unwrap();
                for hit in &some {
                    let ok = allowed.contains(hit.addr) && most.contains(hit.addr);
                    assert!(ok && !seen.contains(hit.addr), "{hit:?}");
                    assert!(snapshot.contains(&hit.key).unwrap(), "{hit:?}");
                }
                found += some.iter().filter(|hit| exact.contains(hit)).count();
                all += exact.len();
            }
            let best = near().run().unwrap();
            let without = near().exclude([best[0].key.clone()]).run().unwrap();
            assert!(without.iter().all(|hit| hit.key != best[0].key));
        }
        assert!(found * 100 > all * 90, "{metric:?}: {found} of {all}");

        let batch = snapshot.near_batch("text", &queries).effort(30).without(&seen);
        let alone: Vec<Vec<Hit>> = queries
            .iter()
            .map(|q| snapshot.near("text", q).effort(30).without(&seen).run().unwrap())
            .collect();
        assert_eq!(batch.threads(3).run().unwrap(), alone);
        let any = |exact: bool| {
            let near = snapshot.near_any("text", &queries[..4]).limit(50);
            if exact { near.exact() } else { near.effort(200) }.run().unwrap()
        };
        let (some, exact) = (any(false), any(true));
        let right = some.iter().filter(|hit| exact.contains(hit)).count();
        assert!(some.len() == 50 && right >= 45, "{metric:?}: {right}");
    }
}

/// What share of a scan's answer is found.
fn shared<'s>(near: &dyn Fn() -> Near<'s>) -> f64 {
    let (some, exact) = (near().run().unwrap(), near().exact().run().unwrap());
    assert_eq!(some.len(), exact.len());
    some.iter().filter(|hit| exact.contains(hit)).count() as f64 / exact.len().max(1) as f64
}

/// Goal: where few rows are allowed, all are looked at by their signs, and nearly all that a scan finds is
/// found, whatever the metric, the style of the graph, the number of vectors and what they weigh.
/// Method: one row in fifty, of rows some of which are dead and some without a vector; the report says
/// that nothing was walked.
#[test]
fn few_rows_are_found_without_a_walk() {
    // From the other end, so that the two tests that use them do not wait for each other.
    for (graphs, metric, db) in (0..6).rev().map(all_walked) {
        let (snapshot, few) = (db.snapshot(), || attr("half").at_most(19));
        let report = snapshot.measure_recall("text", 40).filter(few()).run().unwrap();
        assert!(report.scored > 100.0 && report.expanded == 0.0, "a walk or a scan: {report:?}");
        assert!(report.recall > 0.97, "{graphs:?} {metric:?} {report:?}");

        let mut dice = Dice(11);
        let queries: Vec<Vec<f32>> = (0..12).map(|_| vector(&mut dice)).collect();
        let mut found = Vec::new();
        // Weights of examples add up to a hundredth, or to a hundred.
        for pair in queries.chunks(2) {
            for weight in [0.005, 50.0] {
                let likes: Vec<Like> =
                    pair.iter().map(|v| Like::vector(v.clone(), weight)).collect();
                let near = || snapshot.examples("text", &likes).limit(7);
                found.push(shared(&|| near().filter(few())));
                found.push(shared(&|| near().effort(200)));
            }
            found.push(shared(&|| snapshot.near_any("text", pair).filter(few()).limit(30)));
            let seen = || (0..3000u64).map(Key::Id);
            let near = || snapshot.near("text", &pair[0]).filter(few());
            found.push(shared(&|| near().exclude(seen())));
        }
        let share = found.iter().sum::<f64>() / found.len() as f64;
        assert!(share > 0.95, "{graphs:?} {metric:?}: {share} {found:?}");
        // More than there are, and none.
        let near = || snapshot.near("text", &queries[0]).filter(few() & attr("rare").is("yes"));
        assert_eq!(near().limit(500).run().unwrap(), near().limit(500).exact().run().unwrap());
        let none = snapshot.near("text", &queries[0]).filter(attr("half").at_least(1000));
        assert_eq!(none.run().unwrap(), []);
    }
}
