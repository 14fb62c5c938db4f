//! The hook for rankers: whatever one does, a request costs no more than its deadline and loses no more
//! than the new order.

use bowerbird::{
    model::{Training, ranker::*},
    recommend::*,
    *,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const ITEMS: u64 = 40;

fn db() -> Db {
    let schema = Schema::new().space("text", 4, Metric::Cosine).attr("stars", AttrType::Float);
    let db = Db::in_memory(schema.event("view").event("click")).unwrap();
    for id in 0..ITEMS {
        let angle = id as f32 / 7.0;
        let mut item = Item::new(id).attr("stars", (id % 9) as f64);
        if id % 6 != 5 {
            item = item.vector("text", [angle.cos(), angle.sin(), 0.3, id as f32 / 40.0]);
        }
        db.batch().put(item).commit().unwrap();
    }
    for (at, id) in [3u64, 8, 14, 21].into_iter().enumerate() {
        db.batch().event(Event::new(7, id, "view", Timestamp(at as i64))).commit().unwrap();
    }
    db
}

fn stars() -> Scalar {
    Scalar::Attr { name: "stars".into(), otherwise: 0.0 }
}

fn features() -> Features {
    let similar = Scalar::Similarity { role: Role::User, space: "text".into() };
    let of_users = Features::new().user("text", 10).query("text").item("text").history("text", 5);
    of_users.scalar(stars()).scalar(similar)
}

/// A source that finds all items, the ones with the largest keys first.
struct All;

impl Retrieve for All {
    fn name(&self) -> String {
        "All".into()
    }
    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        let mut all: Vec<(Key, Addr)> =
            allowed.iter().map(|addr| Ok((cx.snapshot.key(addr)?, addr))).collect::<Result<_>>()?;
        all.sort_by(|a, b| b.cmp(a));
        all.into_iter().for_each(|(_, addr)| found.push(addr, 0.0));
        Ok(())
    }
}

/// What a ranker does with a batch in which a request has a mark: 1 in the second component of its query.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Panic,
    Fail,
    NotFinite,
    TooFew,
    Sleep(Duration),
}

/// Ranks by stars, but for what it does to requests with a mark. Counts its calls, and the candidates of
/// the largest.
struct Odd {
    deed: Deed,
    calls: Arc<AtomicUsize>,
    largest: Arc<AtomicUsize>,
}

impl Ranker for Odd {
    fn name(&self) -> String {
        "odd".into()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(batch.len(), Ordering::Relaxed);
        assert_eq!(batch.scalars().as_ptr() as usize % 64, 0);
        let rows = batch.scalars().iter();
        scores.iter_mut().zip(rows).for_each(|(score, stars)| *score = *stars);
        let marked = |request: &usize| batch.context(0).1[request * 4 + 1] > 0.5;
        let Some(at) = (0..batch.requests()).find(marked) else { return Ok(()) };
        match self.deed {
            Deed::Panic => panic!("oh no"),
            Deed::Fail => {
                let (what, why) = ("device".to_owned(), "is lost".to_owned());
                return Err(Error::Invalid { what, why });
            }
            Deed::NotFinite => scores[batch.range(at).start + 3] = f32::INFINITY,
            Deed::TooFew => scores[batch.range(at)][10..].fill(f32::NAN),
            Deed::Sleep(long) => std::thread::sleep(long),
        }
        Ok(())
    }
}

fn odd(deed: Deed) -> (Rank, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (calls, largest) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let ranker = Odd { deed, calls: calls.clone(), largest: largest.clone() };
    let features = Features::new().query("text").item("text").scalar(stars());
    (Rank::with(features, ranker), calls, largest)
}

fn with(rank: Rank) -> Recommender {
    Recommender::new().retrieve(All).score(rank)
}

fn request(marked: bool) -> Request {
    let mark = if marked { 1.0 } else { 0.0 };
    Request::new(5, Timestamp(100)).user(7).query("text", [1.0 - mark, mark, 0.0, 0.0])
}

fn keys(slate: &Slate) -> Vec<Key> {
    slate.items.iter().map(|item| item.key.clone()).collect()
}

/// The best by stars: those with 8 of them, the smallest keys first.
fn good() -> Vec<Key> {
    [8u64, 17, 26, 35, 7].map(Key::Id).to_vec()
}

/// The order of the source.
fn before() -> Vec<Key> {
    [39u64, 38, 37, 36, 35].map(Key::Id).to_vec()
}

/// Goal: panics, errors, numbers that are none and scores that were not written cost the request that they
/// belong to its new order, and no other request anything.
#[test]
fn a_bad_ranker_harms_one_request() {
    let deeds = [
        (Deed::Panic, "panics: oh no"),
        (Deed::Fail, "device: is lost"),
        (Deed::NotFinite, "1 of 40 scores are missing"),
        (Deed::TooFew, "30 of 40 scores are missing"),
    ];
    let (db, requests) = (db(), [false, true, false, false].map(request));
    for (deed, why) in deeds {
        for threaded in [false, true] {
            let rank = odd(deed).0;
            let rank = if threaded { rank.deadline(Duration::from_secs(20)) } else { rank };
            let slates = with(rank).run_all(&db.snapshot(), &requests).unwrap();
            for (at, slate) in slates.iter().enumerate() {
                let degraded = slate.trace.degraded.join("; ");
                if at == 1 {
                    assert_eq!(keys(slate), before(), "{why}");
                    assert!(degraded.contains(why), "{degraded} for {why}");
                    assert!(degraded.contains("Rank(odd)"), "{degraded}");
                } else {
                    assert_eq!(keys(slate), good(), "{why}");
                    assert!(degraded.is_empty(), "{degraded}");
                }
            }
        }
    }
}

/// Goal: the previous order is that of the scorers before, if there are any.
#[test]
fn the_order_before_is_kept() {
    let features = Features::new().scalar(Scalar::Previous);
    let ranker = Odd { deed: Deed::Panic, calls: Arc::default(), largest: Arc::default() };
    // Without a query the ranker cannot look for a mark: it panics.
    let recommender = Recommender::new()
        .summarize(Query)
        .retrieve(All)
        .score(Similarity::new("text"))
        .score(Rank::with(features, ranker));
    let plain = Recommender::new().summarize(Query).retrieve(All).score(Similarity::new("text"));
    let snapshot = db().snapshot();
    let slate = recommender.run(&snapshot, &request(false)).unwrap();
    assert_eq!(keys(&slate), keys(&plain.run(&snapshot, &request(false)).unwrap()));
    assert_eq!(slate.trace.degraded.len(), 1);
}

/// Goal: while a ranker sleeps, its request is answered by the deadline in the order before, and the
/// requests of others do not wait for it.
#[test]
fn a_sleeping_ranker_holds_nobody_hostage() {
    let (db, deadline) = (db(), Duration::from_millis(60));
    let long = Duration::from_millis(1500);
    let batching = Batching { calls: 1, threads: 8, ..Batching::default() };
    let recommender = &with(odd(Deed::Sleep(long)).0.batched(batching).deadline(deadline));
    let snapshot = &db.snapshot();
    recommender.run(snapshot, &request(false)).unwrap();
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let sleeper = scope.spawn(move || {
            let slate = recommender.run(snapshot, &request(true)).unwrap();
            (slate, begun.elapsed())
        });
        std::thread::sleep(Duration::from_millis(120));
        // The sleeper's thread is still kept; these are answered by another one.
        for _ in 0..20 {
            let slate = recommender.run(snapshot, &request(false)).unwrap();
            assert_eq!((keys(&slate), slate.trace.degraded), (good(), vec![]));
        }
        assert!(begun.elapsed() < long, "others waited for the sleeper");
        let (slate, took) = sleeper.join().unwrap();
        assert_eq!(keys(&slate), before());
        assert!(slate.trace.degraded[0].contains("missed its deadline"));
        assert!(took >= deadline && took < long, "{took:?}");
    });
    // Sleepers take up all threads: nobody waits, and it is said why.
    for _ in 0..12 {
        let slate = recommender.run(snapshot, &request(true)).unwrap();
        assert_eq!(keys(&slate), before());
    }
    let slate = recommender.run(snapshot, &request(false)).unwrap();
    assert!(slate.trace.degraded[0].contains("threads"), "{:?}", slate.trace.degraded);
    // When they wake, all is well again.
    std::thread::sleep(long + Duration::from_millis(300));
    for _ in 0..3 {
        let slate = recommender.run(snapshot, &request(false)).unwrap();
        assert_eq!((keys(&slate), slate.trace.degraded), (good(), vec![]));
    }
}

/// Goal: 64 requests at once get the answers they get one by one, in fewer calls than there are requests,
/// none larger than asked.
#[test]
fn requests_of_many_threads_are_put_together() {
    let db = db();
    let (rank, calls, largest) = odd(Deed::Panic);
    let wait = Duration::from_millis(5);
    let batching = Batching { candidates: 400, wait, calls: 1, ..Batching::default() };
    let recommender = &with(rank.batched(batching));
    let snapshot = &db.snapshot();
    std::thread::scope(|scope| {
        for at in 0..64 {
            scope.spawn(move || {
                let bad = at % 16 == 3;
                let slate = recommender.run(snapshot, &request(bad)).unwrap();
                assert_eq!(keys(&slate), if bad { before() } else { good() });
                assert_eq!(slate.trace.degraded.len(), usize::from(bad));
            });
        }
    });
    let (calls, largest) = (calls.load(Ordering::Relaxed), largest.load(Ordering::Relaxed));
    assert!((41..=400).contains(&largest), "{largest}");
    // Each of the four bad ones may make up to ten others be asked alone.
    assert!(calls < 64, "{calls}");
}

/// Goal: times without end are no trouble: a deadline that far away is none, and who waits that long for
/// others waits until there are enough.
#[test]
fn durations_may_be_without_end() {
    let (snapshot, end) = (db().snapshot(), Duration::MAX);
    let enough = Batching { candidates: ITEMS as usize, wait: end, ..Batching::default() };
    for rank in [odd(Deed::Fail).0, odd(Deed::Fail).0.batched(enough)] {
        let recommender = with(rank.deadline(end));
        let slate = recommender.run(&snapshot, &request(false)).unwrap();
        assert_eq!((keys(&slate), slate.trace.degraded), (good(), vec![]));
    }
}

/// Goal: a request is refused that says what the ranker cannot use, or does not say what it needs.
#[test]
fn requests_that_make_no_sense_are_refused() {
    let snapshot = db().snapshot();
    let refused = |features: Features, request: Request| {
        let ranker = Odd { deed: Deed::Fail, calls: Arc::default(), largest: Arc::default() };
        with(Rank::with(features, ranker)).run(&snapshot, &request).unwrap_err().to_string()
    };
    let (plain, now) = (Features::new().query("text").item("text"), Timestamp(100));
    let nobody = Request::new(5, now);
    assert!(refused(plain.clone(), nobody.clone()).contains("no user, no query and no item"));
    let tasks = plain.clone().tasks(["search"]);
    assert!(refused(tasks, request(false).task("serach")).contains("search"));
    assert!(refused(plain.clone().required(), plain_user()).len() > 10);
    let required = Features::new().query("text").required().item("text");
    assert!(refused(required, plain_user()).contains("requires"));
    let of_three = nobody.clone().query("text", [1.0, 2.0, 3.0]);
    assert!(refused(plain.clone(), of_three).contains("4"));
    let none = nobody.query("text", [f32::NAN, 0.0, 0.0, 0.0]);
    assert!(refused(plain.clone(), none).contains("finite"));
    assert!(refused(plain.clone().item("sound"), request(false)).contains("sound"));
    let place = plain.clone().scalar(Scalar::Place { source: "Nobody".into() });
    assert!(refused(place, request(false)).contains("Nobody"));
    let similar = Scalar::Similarity { role: Role::Source, space: "text".into() };
    assert!(refused(plain.scalar(similar), request(false)).contains("Source"));
    assert!(refused(Features::new(), request(false)).contains("nothing of candidates"));
}

fn plain_user() -> Request {
    Request::new(5, Timestamp(100)).user(7)
}

fn trained(db: &Db, seed: u64) -> RankModel {
    let mut examples = Examples::new(features(), &db.snapshot()).unwrap();
    for list in 0..30u64 {
        let label = |id: u64| if id % 9 > 6 { 1.0 } else { 0.0 };
        let ids = (0..8).map(|at| (list * 5 + at * 3) % ITEMS);
        let list: Vec<(Key, f32)> = ids.map(|id| (Key::Id(id), label(id))).collect();
        examples.push(&request(false), &list).unwrap();
    }
    let body = Body::Attention { heads: 2, hidden: vec![12] };
    let fit =
        FitRanker { epochs: 30, width: 8, batch: 10, learning_rate: 0.01, ..FitRanker::of(body) };
    let model = fit.train(&examples, None, &mut Training::new(seed)).unwrap();
    let same = fit.train(&examples, None, &mut Training::new(seed).threads(2)).unwrap();
    assert_eq!(model.export().unwrap(), same.export().unwrap(), "threads change bits");
    model
}

fn publish(db: &Db, model: &RankModel) -> u32 {
    let version = db.publish("ranker", model, model.provenance(db.snapshot().seq())).unwrap();
    db.activate("ranker", version).unwrap();
    version
}

/// Goal: what is kept is the best epoch by the validation lists, and not what came after it.
/// Method: labels that have nothing to do with the items, so that more epochs only learn by heart.
#[test]
fn the_best_epoch_is_kept() {
    let db = db();
    let lists = |from: u64| {
        let mut examples = Examples::new(features(), &db.snapshot()).unwrap();
        for list in from..from + 25 {
            let good = list * list * 31 % 7;
            let ids = (0..7).map(|at| (Key::Id((list * 11 + at * 5) % ITEMS), at == good));
            let list: Vec<(Key, f32)> = ids.map(|(key, good)| (key, f32::from(good))).collect();
            examples.push(&request(false), &list).unwrap();
        }
        examples
    };
    let (examples, validation) = (lists(0), lists(1000));
    let fit = FitRanker {
        epochs: 15,
        batch: 5,
        learning_rate: 0.02,
        patience: 100,
        ..FitRanker::of(Body::Mlp { hidden: vec![24] })
    };
    for seed in 0..3 {
        let mut how = Training::new(seed);
        let model = fit.train(&examples, Some(&validation), &mut how).unwrap();
        let ranker = Cpu.load(&Arc::new(model)).unwrap();
        let mut scores = vec![0.0; validation.labels().len()];
        ranker.rank(validation.batch(), &mut scores).unwrap();
        let curve: Vec<f64> = how.curve().iter().filter_map(|epoch| epoch.ndcg_10).collect();
        let (best, last) = (curve.iter().copied().fold(0.0, f64::max), curve[14]);
        assert!(curve.len() == 15 && last < best - 0.01, "{curve:?}");
        let kept = validation.ndcg(&scores, 10);
        assert!((kept - best).abs() < 1e-6, "{kept} was kept of {curve:?}");
    }
}

/// Goal: a trained ranker, from its artifact, has learned what was right; with the vectors of items at hand it
/// says the same, for items that were written after them, too.
#[test]
fn a_trained_ranker_serves() {
    let db = db();
    publish(&db, &trained(&db, 1));
    let plain = with(Rank::by("ranker"));
    let slate = plain.run(&db.snapshot(), &request(false)).unwrap();
    let stars = |key: &Key| matches!(key, Key::Id(id) if id % 9 > 6);
    assert!(keys(&slate).iter().all(stars), "{:?}", keys(&slate));
    let resident = with(Rank::by("ranker").resident());
    for step in 0..4u64 {
        match step {
            0 => {}
            1 | 3 => assert!(db.flush().unwrap()),
            _ => {
                let item =
                    Item::new(1000 + step).vector("text", [0.5, 0.5, 0.1, 0.0]).attr("stars", 8.0);
                db.batch().put(item).delete(17u64).commit().unwrap();
            }
        }
        let snapshot = db.snapshot();
        for request in [request(false), plain_user(), plain_user().item(3u64)] {
            let (want, got) = (
                plain.run(&snapshot, &request).unwrap(),
                resident.run(&snapshot, &request).unwrap(),
            );
            assert_eq!(want.items, got.items, "step {step}");
        }
    }
}

/// Takes its time with tables, or cannot stand them.
struct Taking(Option<Duration>);

impl Ranker for Taking {
    fn name(&self) -> String {
        "taking".into()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        // Says whether rows or vectors came.
        scores.fill(if batch.rows().is_some() { 1.0 } else { 2.0 });
        Ok(())
    }

    fn hold(&self, _: &Arc<Table>) -> Result<bool> {
        std::thread::sleep(self.0.expect("no room for a table"));
        Ok(true)
    }
}

/// Goal: nobody in a hurry waits until the vectors of all items are with a ranker, and one that cannot take
/// them is sent them.
#[test]
fn giving_vectors_holds_nobody_hostage() {
    let db = db();
    db.flush().unwrap();
    let snapshot = db.snapshot();
    let features = || Features::new().query("text").item("text");
    let came = |recommender: &Recommender| {
        let slate = recommender.run(&snapshot, &request(false)).unwrap();
        assert!(slate.trace.degraded.is_empty(), "{:?}", slate.trace.degraded);
        slate.items[0].score
    };
    let long = Duration::from_millis(800);
    let hurried = with(Rank::with(features(), Taking(Some(long))).resident().deadline(long / 2));
    let begun = Instant::now();
    assert_eq!(came(&hurried), 2.0);
    assert!(begun.elapsed() < long);
    while came(&hurried) == 2.0 {
        assert!(begun.elapsed() < 20 * long, "the table never comes");
        std::thread::sleep(long / 10);
    }
    assert!(begun.elapsed() >= long);
    assert_eq!(came(&with(Rank::with(features(), Taking(Some(long))).resident())), 1.0);
    let cannot = with(Rank::with(features(), Taking(None)).resident());
    assert_eq!((came(&cannot), came(&cannot)), (2.0, 2.0));
}

/// Goal: a field that is dropped and made again is another one, for a ranker that was ready, too.
#[test]
fn fields_that_come_and_go_are_seen() {
    let db = db();
    db.flush().unwrap();
    let stars = with(odd(Deed::Fail).0.resident());
    let best = |db: &Db| keys(&stars.run(&db.snapshot(), &request(false)).unwrap());
    assert_eq!(best(&db), good());
    db.drop_attr("stars").unwrap();
    assert!(stars.run(&db.snapshot(), &request(false)).unwrap_err().to_string().contains("stars"));
    db.add_attr("stars", AttrType::Float).unwrap();
    for id in [2u64, 5] {
        db.batch().put(Item::new(id).attr("stars", id as f64)).commit().unwrap();
    }
    assert_eq!(best(&db)[..2], [Key::Id(5), Key::Id(2)]);
    // Vectors likewise: the table that was given is of the space that is gone.
    let model = trained(&db, 1);
    publish(&db, &model);
    let (plain, resident) = (with(Rank::by("ranker")), with(Rank::by("ranker").resident()));
    resident.run(&db.snapshot(), &request(false)).unwrap();
    db.drop_space("text").unwrap();
    db.add_space("text", 4, Metric::Cosine, Encoding::F32).unwrap();
    db.batch().put(Item::new(1u64).vector("text", [0.1, 0.9, 0.0, 0.3])).commit().unwrap();
    let snapshot = db.snapshot();
    let run = |one: &Recommender| one.run(&snapshot, &request(false)).unwrap().items;
    assert_eq!(run(&resident), run(&plain));
}

/// Goal: while versions are activated, each answer is wholly of one of them.
#[test]
fn generations_are_never_mixed() {
    let db = db();
    let models = [trained(&db, 1), trained(&db, 2)];
    let versions = [publish(&db, &models[0]), publish(&db, &models[1])];
    let scores = |recommender: &Recommender, snapshot: &Snapshot| -> Vec<f32> {
        let slate = recommender.run(snapshot, &request(false)).unwrap();
        assert!(slate.trace.degraded.is_empty(), "{:?}", slate.trace.degraded);
        slate.items.iter().map(|item| item.score).collect()
    };
    let want = versions.map(|version| {
        db.activate("ranker", version).unwrap();
        scores(&with(Rank::by("ranker")), &db.snapshot())
    });
    assert_ne!(want[0], want[1]);
    let wait = Duration::from_micros(200);
    let batching = Batching { wait, ..Batching::default() };
    let recommender = &with(Rank::by("ranker").batched(batching));
    let seen = &[AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (db, want, scores) = (&db, &want, &scores);
            scope.spawn(move || {
                for _ in 0..60 {
                    let snapshot = db.snapshot();
                    let active = snapshot.artifacts().iter().position(|a| a.active).unwrap();
                    assert_eq!(scores(recommender, &snapshot), want[active]);
                    seen[active].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for step in 0..100 {
            db.activate("ranker", versions[step % 2]).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) > 0), "{seen:?}");
}

/// Goal: features are logged as they were served; a replay says the same scores bit for bit, though the
/// database has changed; and training takes the labels of the events that name the request.
#[test]
fn what_was_served_is_what_is_trained_on() {
    let db = db();
    let model = Arc::new(trained(&db, 3));
    publish(&db, &model);
    db.flush().unwrap();
    let log = ServedLog::new(100);
    let recommender = with(Rank::by("ranker").resident().log(&log));
    let mut slates = Vec::new();
    for id in 0..12u64 {
        slates.push(recommender.run(&db.snapshot(), &request(false).id(id)).unwrap());
    }
    recommender.run(&db.snapshot(), &request(false)).unwrap();
    for (id, slate) in slates.iter().enumerate() {
        for (place, item) in slate.items.iter().enumerate() {
            let event =
                |kind| Event::new(7, item.key.clone(), kind, Timestamp(200)).request(id as u64);
            db.batch().event(event("view")).commit().unwrap();
            if place == 2 {
                db.batch().event(event("click")).commit().unwrap();
            }
        }
        db.batch().put(Item::new(id as u64).attr("stars", 1.0)).commit().unwrap();
    }
    let served = log.take();
    assert_eq!((served.len(), log.dropped()), (12, 0), "requests without an id are not logged");
    let ranker = Cpu.load(&model).unwrap();
    let mut again = Vec::new();
    for (one, slate) in served.iter().zip(&slates) {
        assert_eq!(one.replay(&*ranker), one.scores);
        let best = one.scores.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(best, slate.items[0].score);
        let read = Served::read(&one.save().unwrap()).unwrap();
        assert_eq!(read.replay(&*ranker), one.scores);
        assert_eq!((read.keys.clone(), read.request), (one.keys.clone(), one.request));
        again.push(read);
    }
    let snapshot = db.snapshot();
    let outcome = |one: &Served| one.outcome(&snapshot, &["click"], &["view"]);
    let examples = Served::examples(&again, outcome).unwrap();
    assert_eq!((examples.len(), examples.labels().len()), (12, 60), "only what was shown");
    for list in examples.labels().chunks(5) {
        assert_eq!(list.iter().sum::<f32>(), 1.0);
    }
    let fit = FitRanker { epochs: 3, width: 4, ..FitRanker::of(Body::Mlp { hidden: vec![8] }) };
    let next = fit.train(&examples, None, &mut Training::new(1)).unwrap();
    assert_eq!(next.features(), model.features());
    let all = Served::examples(&again, |one| one.outcome(&snapshot, &["click"], &[])).unwrap();
    assert_eq!(all.labels().len(), 12 * ITEMS as usize);
}

/// Goal: any bytes in place of a logged request are read or refused, and never bring anything down.
#[test]
fn forged_logs_are_values_or_errors() {
    let db = db();
    let model = Arc::new(trained(&db, 3));
    publish(&db, &model);
    let log = ServedLog::new(1);
    let recommender = with(Rank::by("ranker").log(&log));
    recommender.run(&db.snapshot(), &request(false).id(1)).unwrap();
    recommender.run(&db.snapshot(), &request(false).id(2)).unwrap();
    assert_eq!(log.dropped(), 1);
    let bytes = log.take()[0].save().unwrap();
    let ranker = Cpu.load(&model).unwrap();
    let (mut read, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        for change in [1u8, 0x80, 0xff] {
            let mut forged = bytes.clone();
            forged[at] ^= change;
            match Served::read(&forged) {
                Ok(served) => {
                    assert_eq!(served.replay(&*ranker).len(), served.keys.len());
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(Served::read(&bytes[..at]).is_err());
    }
    assert!(read > 100 && refused > 100, "{read} {refused}");
}
