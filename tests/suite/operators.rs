//! Operators: the laws that hold for any of them, and each against brute force.

use crate::{explore::Known, oracle::Dice};
use bowerbird::{io::fault::Fault, recommend::*, *};
use std::{collections::BTreeMap, sync::Arc};

const ITEMS: u64 = 60;
const USERS: u64 = 12;

fn schema() -> Schema {
    Schema::new()
        .space("text", 4, Metric::Cosine)
        .space("image", 3, Metric::Dot)
        .attr("genre", AttrType::Tag)
        .attr("tags", AttrType::Tags)
        .attr("published", AttrType::Time)
        .event("view")
        .event("buy")
        .event("impression")
}

/// An event as the tests keep it: user, item, kind, at, recorded.
type Log = Vec<(u64, u64, u8, i64, i64)>;

/// A random catalogue and history, in several parts on disk and on the heap, with late arrivals.
fn filled(seed: u64) -> (Db, Log) {
    let mut dice = Dice(seed);
    let options = Options::default().maintenance(Maintenance::Manual);
    let db = Db::create_in(Arc::new(Fault::new()), schema(), options).unwrap();
    let mut log = Log::new();
    for key in 0..ITEMS {
        let mut item = Item::new(key).attr("genre", format!("g{}", dice.roll(4)));
        let number = |dice: &mut Dice| dice.roll(9) as f32 - 4.0;
        let vector: Vec<f32> = (0..4).map(|_| number(&mut dice)).collect();
        if vector.iter().any(|x| *x != 0.0) && dice.roll(6) > 0 {
            item = item.vector("text", vector);
        }
        if dice.roll(2) == 0 {
            item = item.vector("image", (0..3).map(|_| number(&mut dice)).collect::<Vec<_>>());
        }
        if dice.roll(3) > 0 {
            item = item.attr("published", Timestamp(dice.roll(40) as i64));
        }
        let tags: Vec<String> = (0..dice.roll(3)).map(|_| format!("t{}", dice.roll(5))).collect();
        db.batch().put(item.attr("tags", tags)).commit().unwrap();
    }
    for _ in 0..30 {
        let mut batch = db.batch();
        for _ in 0..10 {
            let at = dice.roll(1000) as i64;
            let event = (
                dice.roll(USERS),
                dice.roll(ITEMS + 3),
                dice.roll(3) as u8,
                at,
                at + dice.roll(90) as i64,
            );
            let kind = ["view", "buy", "impression"][usize::from(event.2)];
            batch.event(
                Event::new(event.0, event.1, kind, Timestamp(at)).recorded(Timestamp(event.4)),
            );
            log.push(event);
        }
        batch.commit().unwrap();
        match dice.roll(8) {
            0 => drop(db.flush().unwrap()),
            1 => db.compact().unwrap(),
            2 => {
                let user = dice.roll(USERS);
                db.batch().erase_user(UserId(user)).commit().unwrap();
                log.retain(|event| event.0 != user);
            }
            3 => {
                let item = dice.roll(ITEMS);
                db.batch().delete(item).commit().unwrap();
            }
            _ => {}
        }
    }
    (db, log)
}

/// What a user did as of a time, oldest first.
fn known(log: &Log, user: u64, kinds: &[u8], now: i64) -> Vec<u64> {
    known_at(log, user, kinds, now).into_iter().map(|pair| pair.0).collect()
}

/// The same, and when.
fn known_at(log: &Log, user: u64, kinds: &[u8], now: i64) -> Vec<(u64, i64)> {
    let is = |e: &&(u64, u64, u8, i64, i64)| {
        e.0 == user && kinds.contains(&e.2) && e.3 <= now && e.4 <= now
    };
    let mut events: Vec<_> = log.iter().filter(is).collect();
    events.sort_by_key(|e| (e.3, e.4));
    events.into_iter().map(|e| (e.1, e.3)).collect()
}

/// Some recommender out of the many one can put together.
fn recommender(dice: &mut Dice) -> Recommender {
    let mut made = Recommender::new();
    let half = ms(1 + dice.roll(500));
    made = match dice.roll(4) {
        0 => made.summarize(Decayed::new("text", half)),
        1 => made.summarize(Recent::new("text", 1 + dice.roll(5) as usize)).summarize(Query),
        2 => made.summarize(Clustered::new("text", 1 + dice.roll(4) as usize, half)),
        _ => made.summarize(Feedback::new("image", [("buy", 1.0), ("view", -0.3)])),
    };
    for _ in 0..dice.roll(3) {
        made = match dice.roll(4) {
            0 => made.filter(Seen::new(["buy"])),
            1 => made.filter(Cooldown::new("impression", 1 + dice.roll(2) as usize, ms(300))),
            2 => made.filter(!attr("genre").is("g1")),
            _ => made.filter(attr("published").at_most(Timestamp(25)) | attr("tags").is("t2")),
        };
    }
    for _ in 0..1 + dice.roll(4) {
        let limit = 1 + dice.roll(30) as usize;
        made = match dice.roll(6) {
            0 => made.retrieve(NearInterests::new("text", limit)),
            1 => made.retrieve(NearInterests::new("image", limit)),
            2 => made.retrieve(Popular::new(["view", "buy"], half, limit)),
            3 => made.retrieve(Fresh::new("published", limit)),
            4 => made.retrieve(CoVisited::new([], limit).reach(1 + dice.roll(6) as usize)),
            _ => made.retrieve(SimilarTo::new("text", limit)),
        };
    }
    made = match dice.roll(4) {
        0 => made,
        1 => made.score(Rrf { k: dice.roll(80) as f32, ..Rrf::default() }),
        2 => made.score(
            Weighted::new()
                .scaled(0.6, Similarity::new("text"))
                .scaled(0.3, Popularity::new(["view"], half))
                .add(0.1, Recency::new("published", half)),
        ),
        _ => made.score(Popularity::ever([])),
    };
    match dice.roll(4) {
        0 => made,
        1 => made.select(Top),
        2 => made.select(Diverse::new("text", dice.roll(11) as f32 / 10.0)),
        _ => made.select(Quota::new("genre", 1 + dice.roll(3) as usize)),
    }
}

fn request(dice: &mut Dice) -> Request {
    let mut request = Request::new(1 + dice.roll(12) as usize, Timestamp(dice.roll(1200) as i64));
    if dice.roll(5) > 0 {
        request = request.user(dice.roll(USERS));
    }
    if dice.roll(3) == 0 {
        request = request.query("text", [1.0, -2.0, 0.5, dice.roll(3) as f32]);
    }
    request.exclude((0..dice.roll(4)).map(|_| Key::Id(dice.roll(ITEMS))).collect::<Vec<_>>())
}

/// Goal: whatever is put together, a slate holds only what may be in it, in order, and is the same when
/// asked again, alone or in a batch, before and after a merge.
// checks: V7 V8 V9 L3
#[test]
fn any_recommender_keeps_the_laws() {
    let mut slates = 0;
    for seed in 0..40 {
        let (db, _) = filled(seed);
        let mut dice = Dice(seed ^ 0xabcd);
        for _ in 0..10 {
            let (made, snapshot) = (recommender(&mut dice), db.snapshot());
            let mut requests: Vec<Request> = (0..3).map(|_| request(&mut dice)).collect();
            let some = snapshot.keys(&Where::all(), 1).unwrap()[0].clone();
            requests[0] = requests[0].clone().item(some);
            let all = made.run_all(&snapshot, &requests).unwrap();
            for (request, slate) in requests.iter().zip(&all) {
                check(&snapshot, request, slate);
                let again = made.run(&snapshot, request).unwrap();
                assert_eq!(again.items, slate.items, "seed {seed}: asked again");
                explain(&made, &snapshot, request, slate);
                slates += 1;
            }
        }
    }
    println!("{slates} slates");
}

fn check(snapshot: &Snapshot, request: &Request, slate: &Slate) {
    assert!(slate.items.len() <= request.limit);
    let mut keys: Vec<&Key> = slate.items.iter().map(|item| &item.key).collect();
    for item in &slate.items {
        assert!(snapshot.contains(&item.key).unwrap(), "{} is dead", item.key);
        assert!(!request.exclude.contains(&item.key), "{} is excluded", item.key);
        assert_ne!(request.item.as_ref(), Some(&item.key), "the item itself");
        assert!(item.score.is_finite());
        assert!(!item.sources.is_empty(), "{} comes from nowhere", item.key);
        assert_eq!(snapshot.key(item.addr).unwrap(), item.key);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), slate.items.len(), "an item twice");
    assert!(slate.trace.stages.iter().any(|stage| stage.verb == "select"));
}

/// What `explain` says agrees with the slate, for every key there is and one there is not.
fn explain(made: &Recommender, snapshot: &Snapshot, request: &Request, slate: &Slate) {
    for key in [0, 7, 23, 59, 1000].map(Key::Id).iter().chain(slate.items.iter().map(|i| &i.key)) {
        let why = made.explain(snapshot, request, key).unwrap();
        let place = slate.items.iter().position(|item| item.key == *key);
        match (place, &why.fate) {
            (Some(at), Fate::Chosen { place }) => assert_eq!(at, *place),
            (None, Fate::Chosen { .. }) | (Some(_), _) => panic!("{why}"),
            (None, Fate::Unknown) => assert!(!snapshot.contains(key).unwrap()),
            (None, _) => assert!(snapshot.contains(key).unwrap()),
        }
        if let Some(at) = place {
            assert_eq!(why.score, Some(slate.items[at].score));
            let sources: Vec<&str> = why.found.iter().map(|found| found.0.as_str()).collect();
            assert_eq!(sources, slate.items[at].sources);
        }
        assert!(!why.to_string().is_empty());
    }
}

/// What one retriever finds, in its order.
fn found(db: &Db, op: impl Retrieve + 'static, request: Request) -> Vec<(Key, f32)> {
    struct AsFound;
    impl Score for AsFound {
        fn name(&self) -> String {
            "AsFound".into()
        }
        fn score(&self, _: &Context<'_>, found: &Candidates, scores: &mut [f32]) -> Result<()> {
            (0..scores.len()).for_each(|i| scores[i] = -(found.best_rank(i) as f32));
            Ok(())
        }
    }
    let made = Recommender::new().retrieve(op).score(AsFound);
    let snapshot = db.snapshot();
    let slate = made.run(&snapshot, &request).unwrap();
    let hint = |item: &Recommended| {
        let why = made.explain(&snapshot, &request, &item.key).unwrap();
        (item.key.clone(), why.found[0].2)
    };
    slate.items.iter().map(hint).collect()
}

fn close(found: &[(Key, f32)], expected: &[(u64, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    let by_key: BTreeMap<u64, f64> = expected.iter().copied().collect();
    for ((key, hint), (_, value)) in found.iter().zip(expected) {
        let Key::Id(id) = key else { panic!("a name") };
        // Equal values up to rounding may change places, but each item has its own value.
        assert!(
            (f64::from(*hint) - value).abs() <= 1e-5 * value.abs().max(1e-3),
            "{key}: {hint} {value}"
        );
        assert!((f64::from(*hint) - by_key[id]).abs() <= 1e-5 * value.abs().max(1e-3));
    }
}

/// Goal: decayed counts are exact as of any time, whatever arrived when and was merged or erased.
#[test]
fn popularity_agrees_with_counting_one_by_one() {
    for seed in 0..20 {
        let (db, log) = filled(seed);
        for now in [-5, 0, 300, 800, 2000] {
            let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
            for e in log.iter().filter(|e| e.2 < 2 && e.3 <= now && e.4 <= now) {
                *counts.entry(e.1).or_default() += (-((now - e.3) as f64) / 250.0).exp2();
            }
            let snapshot = db.snapshot();
            let mut expected: Vec<(u64, f64)> = counts
                .into_iter()
                .filter(|(key, _)| snapshot.contains(&Key::Id(*key)).unwrap())
                .collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let request = Request::new(1000, Timestamp(now));
            close(&found(&db, Popular::new(["view", "buy"], ms(250), 1000), request), &expected);
        }
    }
}

/// Goal: co-visits are exact as of any time, whatever arrived when and was merged or erased.
#[test]
fn co_visits_agree_with_walking_every_history() {
    for seed in 0..20 {
        let (db, log) = filled(seed);
        for (now, reach, half) in
            [(400, 2, None), (2000, 1, None), (2000, 5, Some(200)), (700, 3, Some(90))]
        {
            let mut pairs: BTreeMap<(u64, u64), f64> = BTreeMap::new();
            let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
            for user in 0..USERS {
                let items = known_at(&log, user, &[0, 1], now);
                let decay = |at: i64| {
                    half.map_or(1.0, |half: u32| (-((now - at) as f64) / f64::from(half)).exp2())
                };
                for (i, (a, at)) in items.iter().enumerate() {
                    *counts.entry(*a).or_default() += decay(*at);
                    for (distance, (b, later)) in (1..=reach).zip(&items[i + 1..]) {
                        if a != b {
                            let weight = decay(*later) / distance as f64;
                            *pairs.entry((*a, *b)).or_default() += weight;
                            *pairs.entry((*b, *a)).or_default() += weight;
                        }
                    }
                }
            }
            for user in 0..4 {
                let mut seeds = known(&log, user, &[0, 1], now);
                seeds.reverse();
                let mut distinct: Vec<u64> = Vec::new();
                seeds.iter().for_each(|s| {
                    if !distinct.contains(s) {
                        distinct.push(*s)
                    }
                });
                distinct.truncate(6);
                let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
                for ((a, b), weight) in &pairs {
                    if distinct.contains(a) && db.snapshot().contains(&Key::Id(*b)).unwrap() {
                        *sums.entry(*b).or_default() += weight / (counts[a] * counts[b]).sqrt();
                    }
                }
                let mut expected: Vec<(u64, f64)> = sums.into_iter().collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                let mut op = CoVisited::new(["view", "buy"], 1000).reach(reach).recent(6);
                if let Some(half) = half {
                    op = op.half_life(ms(half.into()));
                }
                let request = Request::new(1000, Timestamp(now)).user(user);
                close(&found(&db, op, request), &expected);
            }
        }
    }
}

/// Goal: maximal marginal relevance is what its formula says.
#[test]
fn diverse_agrees_with_the_formula_worked_out_place_by_place() {
    for seed in 0..20 {
        let (db, _) = filled(seed);
        let (snapshot, weight) = (db.snapshot(), 0.1 + seed as f32 / 25.0);
        let base =
            || Recommender::new().retrieve(Popular::ever([], 40)).score(Popularity::ever([]));
        let request = |limit| Request::new(limit, Timestamp(2000));
        let pool = base().run(&snapshot, &request(60)).unwrap().items;
        let (low, high) = (pool[pool.len() - 1].score, pool[0].score);
        let vector = |item: &Recommended| {
            let mut v = Vec::new();
            snapshot.vector(item.addr, "text", &mut v).unwrap();
            v
        };
        let cosine = |a: &[f32], b: &[f32]| {
            if a.is_empty() || b.is_empty() {
                0.0
            } else {
                a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()
            }
        };
        let (mut left, mut chosen): (Vec<_>, Vec<Recommended>) = (pool.clone(), Vec::new());
        while chosen.len() < 8 {
            let value = |item: &Recommended| {
                let score = (item.score - low) / (high - low);
                let similar = chosen.iter().map(|c| cosine(&vector(c), &vector(item)));
                let nearest = similar.fold(f32::NEG_INFINITY, f32::max);
                let nearest = if chosen.is_empty() { 0.0 } else { nearest };
                (1.0 - weight) * score - weight * nearest
            };
            let best = left.iter().map(&value).fold(f32::NEG_INFINITY, f32::max);
            let at = left.iter().position(|item| value(item) > best - 1e-5).unwrap();
            chosen.push(left.remove(at));
        }
        let slate =
            base().select(Diverse::new("text", weight)).run(&snapshot, &request(8)).unwrap();
        let keys = |items: &[Recommended]| items.iter().map(|i| i.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&slate.items), keys(&chosen), "seed {seed}");
    }
}

/// Every key but the first.
fn without_first(snapshot: &Snapshot) -> Vec<Key> {
    snapshot.keys(&Where::all(), 1000).unwrap().split_off(1)
}

/// Goal: quotas, cooldowns and freshness say what their names say.
#[test]
fn quota_cooldown_and_fresh_do_what_they_say() {
    for seed in 0..10 {
        let (db, log) = filled(seed);
        let snapshot = db.snapshot();
        let all = Recommender::new().retrieve(Popular::ever([], 1000));
        let slate =
            all.select(Quota::new("genre", 2)).run(&snapshot, &Request::new(50, Timestamp(2000)));
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for item in slate.unwrap().items {
            if let Some(Value::Text(genre)) = snapshot.value(item.addr, "genre").unwrap() {
                *counts.entry(genre).or_default() += 1;
            }
        }
        assert!(counts.values().all(|n| *n <= 2) && counts.len() > 1, "{counts:?}");
        let tired = Recommender::new()
            .filter(Cooldown::new("impression", 2, ms(400)))
            .retrieve(Popular::ever([], 1000));
        for user in 0..USERS {
            let shown = |key: &Key| {
                let Key::Id(id) = key else { panic!("a name") };
                log.iter()
                    .filter(|e| (e.0, e.1, e.2) == (user, *id, 2) && e.3 > 600 && e.4 <= 1000)
                    .count()
            };
            let request = Request::new(1000, Timestamp(1000)).user(user);
            let with = tired.run(&snapshot, &request).unwrap().items;
            assert!(with.iter().all(|item| shown(&item.key) < 2));
            let without = found(&db, Popular::ever([], 1000), request);
            assert_eq!(with.len(), without.iter().filter(|(key, _)| shown(key) < 2).count());
        }
        let keys: Vec<Key> = without_first(&snapshot);
        let few = Recommender::new()
            .filter(Excluded::new(keys.clone()))
            .retrieve(Popular::ever([], 1000));
        let few = few.run(&snapshot, &Request::new(1000, Timestamp(2000))).unwrap().items;
        assert!(few.len() <= 1 && few.iter().all(|item| !keys.contains(&item.key)));
        let newest = found(&db, Fresh::new("published", 10), Request::new(10, Timestamp(30)));
        let mut expected: Vec<(i64, Key)> = Vec::new();
        for key in snapshot.keys(&attr("published").at_most(Timestamp(30)), 1000).unwrap() {
            let item = snapshot.get(&key).unwrap().unwrap();
            let Some(Value::Time(at)) = item.get("published") else { panic!("no time") };
            expected.push((-at.0, key));
        }
        expected.sort();
        let expected: Vec<Key> = expected.into_iter().take(10).map(|pair| pair.1).collect();
        assert_eq!(newest.into_iter().map(|pair| pair.0).collect::<Vec<_>>(), expected);
    }
}

/// Goal: an operator that breaks its law is named; a score that is not finite sinks and is counted.
// checks: V8 L3 S3
#[test]
fn operators_that_misbehave_are_told_so() {
    struct Wild(Vec<usize>);
    impl Select for Wild {
        fn name(&self) -> String {
            "Wild".into()
        }
        fn select(&self, _: &Context<'_>, _: &Ranked<'_>, _: usize) -> Result<Vec<usize>> {
            Ok(self.0.clone())
        }
    }
    struct NotANumber;
    impl Score for NotANumber {
        fn name(&self) -> String {
            "NotANumber".into()
        }
        fn score(&self, _: &Context<'_>, _: &Candidates, scores: &mut [f32]) -> Result<()> {
            scores.fill(1.0);
            (scores[0], scores[1]) = (f32::NAN, f32::INFINITY);
            Ok(())
        }
    }
    let (db, _) = filled(3);
    let (snapshot, request) = (db.snapshot(), Request::new(3, Timestamp(2000)));
    let popular = || Recommender::new().retrieve(Popular::ever([], 20));
    for wild in [vec![0, 0], vec![99], vec![0, 1, 2, 3], vec![usize::MAX]] {
        let error = popular().select(Wild(wild)).run(&snapshot, &request).unwrap_err();
        assert!(error.to_string().contains("selector Wild"), "{error}");
    }
    let slate =
        popular().score(NotANumber).run(&snapshot, &Request::new(20, Timestamp(2000))).unwrap();
    assert!(slate.items.iter().rev().take(2).all(|item| item.score == f32::MIN));
    assert_eq!(slate.trace.degraded, ["NotANumber: 2 scores were not finite"]);
    let run = |made: Recommender| made.run(&snapshot, &request.clone().user(1)).map(drop);
    let refused = [
        run(Recommender::new().retrieve(Popular::ever([], 0))),
        run(Recommender::new().retrieve(Popular::ever(["sell"], 5))),
        run(Recommender::new().retrieve(Popular::new([], ms(0), 5))),
        run(Recommender::new().retrieve(CoVisited::new([], 5).reach(0))),
        run(Recommender::new().retrieve(NearInterests::new("smell", 5))),
        run(Recommender::new().retrieve(Fresh::new("genre", 5))),
        run(Recommender::new().summarize(Decayed::new("text", ms(0)))),
        run(Recommender::new().summarize(Feedback::new("text", [("buy", f32::NAN)]))),
        run(Recommender::new().filter(Cooldown::new("impression", 0, ms(5)))),
        run(popular().score(Rrf { k: f32::NAN, ..Rrf::default() })),
        run(popular().score(Fused::new([("Nobody", 1.0)]))),
        run(popular().score(Weighted::new().add(f32::INFINITY, Rrf::default()))),
        run(popular().select(Diverse::new("text", 1.5))),
        run(popular().select(Quota::new("published", 1))),
        Recommender::new().run(&snapshot, &Request::new(0, Timestamp(0))).map(drop),
    ];
    for (at, result) in refused.into_iter().enumerate() {
        let error = result.expect_err(&format!("number {at} was accepted"));
        assert!(matches!(error, Error::Invalid { .. } | Error::NotFound { .. }), "{at}: {error}");
    }
}

/// Goal: fusion by weights and by ranks, worked out by hand.
#[test]
fn fusion_is_what_the_formulas_say() {
    let db = Db::in_memory(schema()).unwrap();
    let mut batch = db.batch();
    for (key, views, buys) in [(1u64, 3, 0), (2, 2, 1), (3, 1, 2)] {
        batch.put(Item::new(key));
        for (count, kind) in [(views, "view"), (buys, "buy")] {
            for user in 0..count {
                batch.event(Event::new(user, key, kind, Timestamp(1)));
            }
        }
    }
    batch.commit().unwrap();
    let base = || {
        Recommender::new().retrieve(Popular::ever(["view"], 9)).retrieve(Popular::ever(["buy"], 9))
    };
    let (snapshot, request) = (db.snapshot(), Request::new(9, Timestamp(5)));
    let scores = |made: Recommender| -> Vec<(Key, f32)> {
        made.run(&snapshot, &request).unwrap().items.into_iter().map(|i| (i.key, i.score)).collect()
    };
    let rrf = scores(base());
    // Views rank 1, 2, 3; buys rank 3, 2.
    let r = |rank: f32| 1.0 / (60.0 + rank);
    let expected = [(3u64, r(3.0) + r(1.0)), (2, r(2.0) + r(2.0)), (1, r(1.0))];
    for ((key, score), (id, value)) in rrf.iter().zip(expected) {
        assert_eq!(*key, Key::Id(id));
        assert!((score - value).abs() < 1e-7);
    }
    let fused = scores(base().score(Fused::new([("Popular(view)", 1.0), ("Popular(buy)", 0.6)])));
    let f = |x: f32| 0.01 + 0.99 * x;
    let expected = [(1u64, f(1.0)), (3, f(0.0) + 0.6 * f(1.0)), (2, f(0.5) + 0.6 * f(0.0))];
    for ((key, score), (id, value)) in fused.iter().zip(expected) {
        assert_eq!(*key, Key::Id(id));
        assert!((score - value).abs() < 1e-6, "{score} {value}");
    }
    let hint = scores(base().score(Hint::of("Popular(buy)")));
    assert_eq!(hint[0], (Key::Id(3), 2.0));
}

/// Goal: a score that is not finite comes last, and does not make all others alike to those who weigh
/// them against likeness. Method: four items; 0 and 1 are alike and the best, 3 has no score.
#[test]
fn one_score_that_is_not_finite_leaves_relevance_on() {
    let db = Db::in_memory(schema()).unwrap();
    let mut batch = db.batch();
    for (key, x) in [(0u64, 0.0), (1, 0.1), (2, 3.0), (3, -3.0)] {
        let item = Item::new(key).vector("text", [1.0, x, 0.0, 0.0]);
        batch.put(item).event(Event::new(1, key, "view", Timestamp(1)));
    }
    batch.commit().unwrap();
    let order = |scores: &'static [f32], weight: f32| -> Vec<u64> {
        let recommender = Recommender::new()
            .retrieve(Popular::ever([], 9))
            .score(Known(scores))
            .select(Diverse::new("text", weight));
        let slate = recommender.run(&db.snapshot(), &Request::new(4, Timestamp(5))).unwrap();
        slate.items.iter().map(|item| item.key.to_string().parse().unwrap()).collect()
    };
    assert_eq!(order(&[10.0, 9.0, 1.0, f32::NAN], 0.2), [0, 1, 2, 3]);
    assert_eq!(order(&[10.0, 9.0, 1.0, f32::NAN], 1.0), [0, 2, 1, 3]);
    assert_eq!(order(&[10.0, f32::NAN, 1.0, f32::INFINITY], 0.9), [0, 2, 3, 1]);
    assert_eq!(order(&[f32::NAN; 4], 0.0), [0, 1, 2, 3]);
}

/// Goal: a name that two sources have means neither; a name of one's own does.
#[test]
fn sources_that_share_a_name_are_told_apart_or_refused() {
    let db = Db::in_memory(schema()).unwrap();
    let mut batch = db.batch();
    for (key, at) in [(1u64, vec![10, 20, 30]), (2, vec![900, 950])] {
        batch.put(Item::new(key));
        for at in at {
            batch.event(Event::new(at as u64, key, "view", Timestamp(at)));
        }
    }
    batch.commit().unwrap();
    let (ever, lately) = (|| Popular::ever(["view"], 9), || Popular::new(["view"], ms(10), 9));
    let run = |recommender: Recommender| {
        let slate = recommender.run(&db.snapshot(), &Request::new(2, Timestamp(1000)))?;
        Ok::<Vec<Key>, Error>(slate.items.into_iter().map(|item| item.key).collect())
    };
    let same = || Recommender::new().retrieve(ever()).retrieve(lately());
    assert_eq!(run(same()).unwrap().len(), 2, "nobody names them");
    let name = "Popular(view)";
    for refused in [
        same().score(Fused::new([(name, 1.0)])),
        same().score(Rrf { weights: vec![(name.into(), 2.0)], ..Rrf::default() }),
        same().score(Hint::of(name)),
        same().select(Explore::new(name, 1)),
    ] {
        let error = run(refused).unwrap_err().to_string();
        assert!(error.contains("name of 2 retrievers") && error.contains("Named"), "{error}");
    }
    let told = || Recommender::new().retrieve(ever()).retrieve(Named::new("lately", lately()));
    let by = |ever: f32, lately: f32| {
        run(told().score(Fused::new([(name, ever), ("lately", lately)]))).unwrap()[0].clone()
    };
    assert_eq!((by(1.0, 0.1), by(0.1, 1.0)), (Key::Id(1), Key::Id(2)));
}
