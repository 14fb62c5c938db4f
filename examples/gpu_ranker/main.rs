//! The same ranker on the processor and on a card: what they say, and how fast. Ends with a JSON line.
//!
//! ```text
//! cargo run --release --features cuda --example gpu_ranker [-- --candidates N] [--requests N]
//! ```
//!
//! Trains a ranker on the movies of this repository, uploads the vectors of all of them once, and ranks for
//! users. Without a card, CUDA's driver, cuBLAS and NVRTC it says which of them is missing, and shows that a
//! recommender on a card that is lost keeps the order before.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

#[path = "../movies/data.rs"]
#[allow(dead_code)] // Vectors and ratings, but no queries.
mod movies;

use bowerbird::{
    model::{Training, ranker::*},
    recommend::{NearInterests, Recent, Recommender, Request},
    *,
};
use serde_json::json;
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Instant};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Scores may differ so much, times the largest score: sums are made in another order.
const CLOSE: f32 = 1e-3;

fn main() -> Outcome<()> {
    let (mut candidates, mut requests) = (1000u64, 16usize);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--candidates" => candidates = value.parse()?,
            "--requests" => requests = value.parse()?,
            other => return Err(format!("{other} is none of the options").into()),
        }
    }
    let db = shop()?;
    let snapshot = db.snapshot();
    let model = Arc::new(train(&snapshot)?);
    let batch = batch(&snapshot, candidates, requests)?;
    let table = batch.batch().rows().ok_or("examples have a table")?.0.clone();
    let cpu = timed(&*Cpu.load(&model)?, &batch, &table)?;
    println!("cpu: {:.0} candidates/s", cpu.1);
    let mut line = json!({
        "candidates": candidates, "requests": requests, "cpu_candidates_per_second": cpu.1,
        "parameters": model.parameters(),
        // Rows, tasks, vectors of requests and scores; and the vectors of candidates once.
        "bytes_per_request": 4 * (2 * candidates + 3 * 384), "bytes_once": 4 * 384 * table.len(),
    });
    match Cuda::new(0) {
        Ok(card) => {
            let gpu = timed(&*card.load(&model)?, &batch, &table)?;
            let most = cpu.0.iter().fold(0f32, |most, x| most.max(x.abs()));
            let apart = cpu.0.iter().zip(&gpu.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{}: {:.0} candidates/s, {apart:.1e} apart", card.name(), gpu.1);
            assert!(apart <= CLOSE * most.max(1.0), "{apart} apart, of scores up to {most}");
            line["gpu"] = json!(card.name());
            line["gpu_candidates_per_second"] = json!(gpu.1);
            line["apart"] = json!(apart);
        }
        Err(why) => {
            println!("SKIPPED the card: {why}");
            line["gpu"] = json!(null);
        }
    }
    lost(&db, &model)?;
    println!("{line}");
    Ok(())
}

/// Movies and what users saw, in order.
fn shop() -> Outcome<Db> {
    let data = movies::Data::load()?;
    let schema = Schema::new().space("text", 384, Metric::Cosine).event("view");
    let db = Db::in_memory(schema)?;
    let mut batch = db.batch();
    data.movies.iter().for_each(|movie| {
        batch.put(Item::new(movie.id).vector("text", movie.vector.clone()));
    });
    data.ratings.iter().for_each(|rating| {
        batch.event(Event::new(rating.user, rating.movie, "view", rating.at));
    });
    batch.commit()?;
    db.flush()?;
    Ok(db)
}

fn features() -> Features {
    Features::new()
        .user("text", 20)
        .item("text")
        .scalar(Scalar::Similarity { role: Role::User, space: "text".into() })
}

fn request(user: UserId) -> Request {
    Request::new(10, Timestamp::MAX).user(user.0)
}

/// Learns to tell what a user has seen from what others have.
fn train(snapshot: &Snapshot) -> Outcome<RankModel> {
    let mut examples = Examples::new(features(), snapshot)?;
    let users = snapshot.users()?;
    let mut seen = BTreeMap::new();
    for user in users.iter().take(120) {
        let history = snapshot.history(*user, &HistoryQuery::default().limit(40))?;
        seen.insert(*user, history.deeds.into_iter().map(|deed| deed.item).collect::<Vec<_>>());
    }
    for (user, own) in &seen {
        let others = seen.iter().find(|other| other.0 > user).map_or(own, |other| other.1);
        let right = own.iter().take(10).map(|key| (key.clone(), 1.0));
        let wrong = others.iter().filter(|key| !own.contains(key)).take(20);
        let all: Vec<(Key, f32)> = right.chain(wrong.map(|key| (key.clone(), 0.0))).collect();
        examples.push(&request(*user), &all)?;
    }
    let fit = FitRanker { epochs: 3, ..FitRanker::of(Body::Mlp { hidden: vec![256, 128] }) };
    Ok(fit.train(&examples, None, &mut Training::new(1))?)
}

/// Requests of users, each with the same number of candidates.
fn batch(snapshot: &Snapshot, candidates: u64, requests: usize) -> Outcome<Examples> {
    let mut examples = Examples::new(features(), snapshot)?;
    let keys = snapshot.keys(&Where::all(), candidates as usize)?;
    let all: Vec<(Key, f32)> = keys.into_iter().map(|key| (key, 0.0)).collect();
    for user in snapshot.users()?.into_iter().take(requests) {
        examples.push(&request(user), &all)?;
    }
    Ok(examples)
}

/// The scores of all candidates, and how many a second, in the best of some calls.
fn timed(ranker: &dyn Ranker, batch: &Examples, table: &Arc<Table>) -> Outcome<(Vec<f32>, f64)> {
    assert!(ranker.hold(table)?, "{} has use for a table", ranker.name());
    let mut scores = vec![f32::NAN; batch.batch().len()];
    let mut best = f64::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        ranker.rank(batch.batch(), &mut scores)?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    assert!(scores.iter().all(|score| score.is_finite()));
    let rate = scores.len() as f64 / best;
    Ok((scores, rate))
}

/// A card that is lost in the middle of things.
struct Lost;

impl Device for Lost {
    fn name(&self) -> String {
        "a card that is lost".into()
    }
    fn load(&self, _: &Arc<RankModel>) -> bowerbird::Result<Arc<dyn Ranker>> {
        Ok(Arc::new(Lost))
    }
}

impl Ranker for Lost {
    fn name(&self) -> String {
        "lost".into()
    }
    fn rank(&self, _: &RankBatch, _: &mut [f32]) -> bowerbird::Result<()> {
        let (what, why) = ("device".to_owned(), "fell off the bus".to_owned());
        Err(bowerbird::Error::Invalid { what, why })
    }
}

/// A recommender goes on in the order before, and says why.
fn lost(db: &Db, model: &Arc<RankModel>) -> Outcome<()> {
    let version = db.publish("ranker", &**model, model.provenance(db.snapshot().seq()))?;
    db.activate("ranker", version)?;
    let sources = || {
        let near = NearInterests::new("text", 100);
        Recommender::new().summarize(Recent::new("text", 20)).retrieve(near)
    };
    let snapshot = db.snapshot();
    let request = request(snapshot.users()?[0]);
    let slate =
        sources().score(Rank::by("ranker").on(Lost).deadline(ms(20))).run(&snapshot, &request)?;
    let before = sources().run(&snapshot, &request)?;
    assert_eq!(slate.items, before.items);
    println!("{}", slate.trace.degraded.join("; "));
    Ok(())
}
