//! Rankers: scoring a request's candidates, what the hook costs, and how late a deadline is.
//!
//! `cargo bench --bench ranker`; beside PyTorch and ONNX Runtime: `benches/torch_rank.py`.
#![allow(missing_docs)]

mod timing;

use bowerbird::{
    model::{Training, ranker::*},
    recommend::*,
    *,
};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use timing::{Dice, once, quick};

const DIM: u32 = 64;

fn features() -> Features {
    Features::new().user("v", 20).query("v").item("v").history("v", 20)
}

fn vector(dice: &mut Dice) -> Vec<f32> {
    (0..DIM).map(|_| (dice.next() % 2001) as f32 / 1000.0 - 1.0).collect()
}

struct Shop {
    _folder: tempfile::TempDir,
    db: Db,
    query: Vec<f32>,
}

fn shop(items: u64) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("v", DIM, Metric::Dot).event("view");
    let options = Options::default().durability(Durability::None);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    let mut batch = db.batch();
    for key in 0..items {
        batch.put(Item::new(key).vector("v", vector(&mut dice)));
    }
    for at in 0..30u64 {
        batch.event(Event::new(1, at * 7, "view", Timestamp(at as i64)));
    }
    batch.commit().unwrap();
    db.flush().unwrap();
    let query = vector(&mut dice);
    Shop { _folder: folder, db, query }
}

impl Shop {
    fn request(&self) -> Request {
        Request::new(20, Timestamp(100)).user(1).query("v", self.query.clone())
    }

    /// A list of so many candidates.
    fn examples(&self, lists: usize, candidates: u64) -> Examples {
        let mut examples = Examples::new(features(), &self.db.snapshot()).unwrap();
        for list in 0..lists as u64 {
            let label = |at: u64| if at == 0 { 1.0 } else { 0.0 };
            let key = |at: u64| Key::Id(list * 31 + at * 11);
            let all: Vec<(Key, f32)> = (0..candidates).map(|at| (key(at), label(at))).collect();
            examples.push(&self.request(), &all).unwrap();
        }
        examples
    }

    fn model(&self, body: Body) -> Arc<RankModel> {
        let fit = FitRanker { epochs: 1, ..FitRanker::of(body) };
        Arc::new(fit.train(&self.examples(4, 20), None, &mut Training::new(1)).unwrap())
    }
}

/// The median and the 99th percentile.
fn spread(all: &mut [Duration]) -> (Duration, Duration) {
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

fn times(count: usize, mut work: impl FnMut()) -> (Duration, Duration) {
    let mut all: Vec<Duration> = (0..count).map(|_| once(&mut work)).collect();
    spread(&mut all)
}

/// 500 candidates by each body: from vectors, and with the items' vectors at hand.
fn bodies(shop: &Shop, rounds: usize) {
    let one = shop.examples(1, 500);
    let dense = {
        // As a log keeps it: vectors, and no table.
        let log = ServedLog::new(1);
        let rank = Rank::with(features(), Zero).log(&log);
        let all = Recommender::new().retrieve(Near(500)).score(rank);
        all.run(&shop.db.snapshot(), &shop.request().id(1)).unwrap();
        log.take().pop().unwrap()
    };
    assert_eq!((one.batch().len(), dense.batch().len()), (500, 500));
    for body in [
        Body::Mlp { hidden: vec![256, 128] },
        Body::Dcn { layers: 2, rank: 32, hidden: vec![256, 128] },
        Body::Attention { heads: 2, hidden: vec![256, 128] },
    ] {
        let model = shop.model(body.clone());
        let (plain, holding) = (Cpu.load(&model).unwrap(), Cpu.load(&model).unwrap());
        assert!(holding.hold(one.batch().rows().unwrap().0).unwrap());
        let (mut a, mut b) = (vec![f32::NAN; 500], vec![f32::NAN; 500]);
        plain.rank(one.batch(), &mut a).unwrap();
        holding.rank(one.batch(), &mut b).unwrap();
        assert!(a == b && a.iter().all(|score| score.is_finite()));
        let vectors = times(rounds, || {
            plain.rank(black_box(dense.batch()), &mut a).unwrap();
        });
        let rows = times(rounds, || {
            holding.rank(black_box(one.batch()), &mut b).unwrap();
        });
        println!(
            "500 candidates, {body:?}: {:?} (p99 {:?}) from vectors, {:?} (p99 {:?}) resident",
            vectors.0, vectors.1, rows.0, rows.1
        );
    }
}

/// Says 0 of everything.
struct Zero;

impl Ranker for Zero {
    fn name(&self) -> String {
        "zero".into()
    }
    fn rank(&self, _: &RankBatch, scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        Ok(())
    }
}

/// Sleeps.
struct Slow(Duration);

impl Ranker for Slow {
    fn name(&self) -> String {
        "slow".into()
    }
    fn rank(&self, _: &RankBatch, scores: &mut [f32]) -> Result<()> {
        std::thread::sleep(self.0);
        scores.fill(0.0);
        Ok(())
    }
}

/// The first items there are.
struct Near(usize);

impl Retrieve for Near {
    fn name(&self) -> String {
        "Near".into()
    }
    fn retrieve(&self, _: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        allowed.iter().step_by(11).take(self.0).for_each(|addr| found.push(addr, 0.0));
        Ok(())
    }
}

/// The scoring stage of a whole request, by a ranker that does nothing: what the hook itself costs.
fn hook(shop: &Shop, rounds: usize) {
    let snapshot = shop.db.snapshot();
    let stage = |rank: Rank| {
        let recommender = Recommender::new().retrieve(Near(500)).score(rank);
        let mut all: Vec<Duration> = (0..rounds)
            .map(|_| {
                let slate = recommender.run(&snapshot, &shop.request()).unwrap();
                assert!(slate.trace.degraded.is_empty(), "{:?}", slate.trace.degraded);
                let score = slate.trace.stages.iter().find(|stage| stage.verb == "score").unwrap();
                Duration::from_micros(score.micros)
            })
            .collect();
        spread(&mut all).0
    };
    let plain = stage(Rank::with(features(), Zero));
    let threaded = stage(Rank::with(features(), Zero).deadline(ms(1000)));
    println!("the hook alone, 500 candidates: {plain:?}; on a thread with a deadline {threaded:?}");
}

/// How long after its deadline a request is answered whose ranker sleeps.
fn deadline(shop: &Shop, rounds: usize) {
    let (snapshot, limit) = (shop.db.snapshot(), Duration::from_millis(10));
    let rank =
        Rank::with(Features::new().item("v"), Slow(Duration::from_millis(25))).deadline(limit);
    let recommender = Recommender::new().retrieve(Near(500)).score(rank);
    let mut late: Vec<Duration> = Vec::new();
    for _ in 0..rounds {
        let slate = recommender.run(&snapshot, &shop.request()).unwrap();
        assert!(slate.trace.degraded[0].contains("deadline"), "{:?}", slate.trace.degraded);
        let score = slate.trace.stages.iter().find(|stage| stage.verb == "score").unwrap();
        late.push(Duration::from_micros(score.micros).saturating_sub(limit));
        std::thread::sleep(Duration::from_millis(20));
    }
    let (middle, worst) = spread(&mut late);
    println!("answered after a deadline of 10 ms: {middle:?} late, p99 {worst:?}");
}

/// 64 threads at once, each with 500 candidates: requests per second, one by one and put together.
fn throughput(shop: &Shop, each: usize) {
    let model = shop.model(Body::Mlp { hidden: vec![256, 128] });
    let version = shop.db.publish("ranker", &*model, Provenance::default()).unwrap();
    shop.db.activate("ranker", version).unwrap();
    let snapshot = &shop.db.snapshot();
    for (how, rank) in [
        ("each by itself", Rank::by("ranker").resident()),
        ("on threads for it", Rank::by("ranker").resident().batched(Batching::default())),
    ] {
        let recommender = &Recommender::new().retrieve(Near(500)).score(rank);
        recommender.run(snapshot, &shop.request()).unwrap();
        let begin = Instant::now();
        let mut took: Vec<Duration> = std::thread::scope(|scope| {
            let one = move || {
                let run = |_| {
                    let begin = Instant::now();
                    let slate = recommender.run(snapshot, &shop.request()).unwrap();
                    assert!(slate.trace.degraded.is_empty());
                    begin.elapsed()
                };
                (0..each).map(run).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(one)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let rate = took.len() as f64 / begin.elapsed().as_secs_f64();
        let (p50, p99) = spread(&mut took);
        println!("64 threads, {how}: {rate:.0} requests/s, p50 {p50:?}, p99 {p99:?}");
    }
}

fn main() {
    let rounds = if quick() { 20 } else { 400 };
    let shop = shop(if quick() { 6_000 } else { 20_000 });
    bodies(&shop, rounds);
    hook(&shop, rounds);
    deadline(&shop, if quick() { 5 } else { 100 });
    throughput(&shop, if quick() { 3 } else { 50 });
}
