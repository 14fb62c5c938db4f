//! One ranker for three surfaces: what somebody searches, what goes with a movie, what is for somebody.
//! Beside it three specialists, trained the same way on their own surface alone, and one that is not told
//! which surface it ranks for. Ends with a JSON line.
//!
//! ```text
//! cargo run --release --example unified_ranker [-- --data FOLDER] [--seeds N] [--threads N] [--epochs N]
//!     [--judge yes|no]
//! ```
//!
//! Without `--data` it uses the movies of this repository. FOLDER has `ml1m/`, `movies_search/` and
//! `embeddings/`: MovieLens 1M, the Movie Search Ranking Dataset, and vectors of their texts.
//!
//! What a request lacks is filled in by rules (`Complete`), so that the surfaces have one form. Judged on
//! users and queries that no ranker and no counting model was trained on: NDCG@10 over what the
//! sources found for a request, 0 where they found nothing right; with `--judge no` on the lists that
//! settings are chosen by, instead.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

mod data;
#[path = "../semantic_ids/files.rs"]
#[allow(dead_code)] // Of its neighbour it needs the vectors.
mod files;
mod judge;
mod lists;
#[path = "../movies/data.rs"]
#[allow(dead_code)] // Titles and queries, but no report.
mod movies;
mod shop;

use bowerbird::{model::ranker::*, *};
use lists::{Lists, TASKS, Task};
use serde_json::{Map, json};
use std::{error::Error, path::PathBuf, time::Instant};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

struct Args {
    data: Option<PathBuf>,
    seeds: u64,
    threads: usize,
    epochs: usize,
    judge: bool,
}

fn args() -> Outcome<Args> {
    let mut args = Args { data: None, seeds: 1, threads: 2, epochs: 20, judge: true };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--data" => args.data = Some(PathBuf::from(value)),
            "--seeds" => args.seeds = value.parse::<u64>()?.max(1),
            "--threads" => args.threads = value.parse::<usize>()?.max(1),
            "--judge" => {
                args.judge = match value.as_str() {
                    "yes" => true,
                    "no" => false,
                    other => return Err(format!("--judge {other} is neither yes nor no").into()),
                }
            }
            "--epochs" => args.epochs = value.parse::<usize>()?.max(1),
            other => return Err(format!("{other} is none of the options").into()),
        }
    }
    Ok(args)
}

fn main() -> Outcome<()> {
    let args = args()?;
    let data = match &args.data {
        Some(folder) => data::large(folder)?,
        None => data::small()?,
    };
    println!(
        "{} movies, {} users, {} queries",
        data.movies.len(),
        data.users.len(),
        data.queries.len()
    );
    let begin = Instant::now();
    let shop = shop::open(&data)?;
    let lists = Lists::gather(&shop, &data, args.judge)?;
    println!("{lists:?}, gathered in {:.1?}", begin.elapsed());

    let mut runs = Vec::new();
    for seed in 1..=args.seeds {
        let run = judge::run(&lists, &fit(&args), seed, args.threads)?;
        run.print(seed);
        runs.push(run);
    }
    let figures = judge::figures(&runs, &lists);
    serve(&shop, &data, &runs[0].unified)?;
    let mut line = Map::from_iter(figures);
    line.insert("movies".into(), json!(data.movies.len()));
    line.insert("large".into(), json!(args.data.is_some()));
    judge::check(&line, args.data.is_some());
    println!("{}", serde_json::Value::Object(line));
    Ok(())
}

/// All rankers are trained this way.
fn fit(args: &Args) -> FitRanker {
    // Chosen on the large data, by the lists to choose by.
    let fit = FitRanker::of(Body::Mlp { hidden: vec![128, 64] });
    let (learning_rate, decay, dropout) = (5e-4, 0.1, 0.2);
    let fit = FitRanker { learning_rate, decay, dropout, ..fit };
    FitRanker { width: 32, epochs: args.epochs, batch: 32, ..fit }
}

/// Publishes the unified ranker, and asks it all three questions.
fn serve(shop: &shop::Shop, data: &data::Data, unified: &RankModel) -> Outcome<()> {
    let version =
        shop.db.publish("ranker", unified, unified.provenance(shop.db.snapshot().seq()))?;
    shop.db.activate("ranker", version)?;
    let recommender = shop.recommender().score(Rank::by("ranker").deadline(ms(50)).resident());
    let snapshot = shop.db.snapshot();
    for (task, request, said) in lists::questions(shop, data) {
        let slate = recommender.run(&snapshot, &request)?;
        let titles: Vec<&str> =
            slate.items.iter().map(|item| data.title(&item.key)).take(3).collect();
        println!("{}: {said} -> {}", name(task), titles.join(" | "));
        assert!(!slate.items.is_empty(), "nothing for {said}");
        let micros: u64 = slate.trace.stages.iter().map(|stage| stage.micros).sum();
        println!(
            "    {micros} us{}",
            slate.trace.degraded.iter().map(|why| format!("; {why}")).collect::<String>()
        );
    }
    Ok(())
}

fn name(task: Task) -> &'static str {
    TASKS[task as usize]
}
