//! Search by words, by vectors, and by both: 500 or 11,000 real queries over movies. Ends with a JSON line.
//!
//! ```text
//! cargo run --release --example hybrid_search [-- --data FOLDER]
//! ```
//!
//! Without `--data` it uses the movies of this repository. FOLDER has `movies_search/` and `embeddings/`: the Movie
//! Search Ranking Dataset, and vectors of its texts.
//!
//! For each query the judged movies are ranked (NDCG@10), and all movies are searched (the share of the
//! movies that were meant among the first 100). Weights are chosen on every other query, by a black-box
//! search, and judged on the rest.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

mod data;
#[path = "../semantic_ids/files.rs"]
#[allow(dead_code)] // Of its neighbour it needs the vectors.
mod files;
#[path = "../movies/data.rs"]
#[allow(dead_code)] // Texts and queries, but no report.
mod movies;

use bowerbird::{recommend::Tune, *};
use data::{Data, Query};
use serde_json::{Map, json};
use std::{error::Error, path::Path, time::Instant};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// How much each attribute and the vectors count: people, plot, vectors; the title counts 1.
#[derive(Clone, Copy)]
struct Weights([f32; 3]);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Words,
    Vectors,
    Both(Fusion),
}

fn open(data: &Data) -> Outcome<Db> {
    let dim = data.movies.first().map_or(0, |movie| movie.vector.len());
    let schema = Schema::new()
        .space("text", dim as u32, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("people", AttrType::Text)
        .attr("plot", AttrType::Text);
    let db = Db::in_memory(schema)?;
    for movies in data.movies.chunks(1000) {
        let mut batch = db.batch();
        for movie in movies {
            let item = Item::new(movie.id)
                .attr("title", movie.title.as_str())
                .attr("people", movie.people.as_str())
                .attr("plot", movie.plot.as_str());
            batch.put(item.vector("text", movie.vector.as_slice()));
        }
        batch.commit()?;
    }
    Ok(db)
}

fn find(
    snapshot: &Snapshot,
    query: &Query,
    way: Way,
    weights: Weights,
    judged: bool,
) -> Result<Vec<Hit>> {
    let Weights([people, plot, vectors]) = weights;
    let words = snapshot.matching("title", &query.text).also("people", people).also("plot", plot);
    let near = snapshot.near("text", &query.vector);
    let all = snapshot.select_keys(query.judged.iter().map(|(key, _)| key.clone()))?;
    let limit = if judged { query.judged.len().max(1) } else { 100 };
    match way {
        Way::Words if judged => words.within(&all).limit(limit).run(),
        Way::Words => words.limit(limit).run(),
        Way::Vectors if judged => near.within(&all).limit(limit).run(),
        Way::Vectors => near.limit(limit).run(),
        Way::Both(fusion) => {
            let both =
                snapshot.hybrid().add(1.0, words).add(vectors, near).fuse(fusion).limit(limit);
            if judged { both.within(&all).run() } else { both.run() }
        }
    }
}

/// NDCG@10 of a list; judged movies that were not found come last, and do not count.
fn ndcg(hits: &[Hit], query: &Query) -> f64 {
    let meant = |key: &Key| query.judged.iter().any(|(other, good)| *good && other == key);
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let all = query.judged.iter().filter(|(_, good)| *good).count();
    let best: f64 = (0..all.min(10)).map(discount).sum();
    let hits = hits.iter().take(10).enumerate();
    hits.filter(|(_, hit)| meant(&hit.key)).map(|(place, _)| discount(place)).sum::<f64>() / best
}

fn found(hits: &[Hit], query: &Query) -> f64 {
    let meant: Vec<&Key> = query.judged.iter().filter(|j| j.1).map(|(key, _)| key).collect();
    let there = meant.iter().filter(|key| hits.iter().any(|hit| hit.key == ***key)).count();
    there as f64 / meant.len() as f64
}

fn mean(queries: &[&Query], of: impl Fn(&Query) -> Result<f64>) -> Result<f64> {
    let all = queries.iter().map(|query| of(query)).sum::<Result<f64>>()?;
    Ok(all / queries.len().max(1) as f64)
}

/// The best weights for a way, on queries that are not judged later.
fn tuned(snapshot: &Snapshot, queries: &[&Query], way: Way) -> Result<Weights> {
    let mut tune = Tune::new(40).weight("people", (0.0, 2.0), 0.5).weight("plot", (0.0, 2.0), 0.5);
    if way != Way::Words {
        tune = tune.weight("vectors", (0.0, 10.0), 1.0);
    }
    let at = |x: &[f32]| Weights([x[0], x[1], x.get(2).copied().unwrap_or(0.0)]);
    let best = tune.run(
        |x| mean(queries, |query| Ok(ndcg(&find(snapshot, query, way, at(x), true)?, query))),
        &mut Progress::silent(),
    )?;
    Ok(at(&best.weights))
}

fn some_of(part: Vec<(usize, &Query)>, most: usize) -> Vec<&Query> {
    part.into_iter().map(|(_, query)| query).take(most).collect()
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let data = match (args.next().as_deref(), args.next()) {
        (None, _) => data::small()?,
        (Some("--data"), Some(folder)) => data::large(Path::new(&folder))?,
        (Some(other), _) => return Err(format!("{other} is no option, or lacks a folder").into()),
    };
    let db = open(&data)?;
    let snapshot = db.snapshot();
    let here = |key: &Key| matches!(snapshot.find(key), Ok(Some(_)));
    let mut queries = data.queries;
    queries.iter_mut().for_each(|query| query.judged.retain(|(key, _)| here(key)));
    queries.retain(|query| query.judged.iter().any(|(_, good)| *good));
    let (tuning, judging): (Vec<_>, Vec<_>) =
        queries.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let (tuning, judging) = (some_of(tuning, 1000), some_of(judging, usize::MAX));
    println!(
        "{} movies, {} queries to tune, {} to judge\n",
        data.movies.len(),
        tuning.len(),
        judging.len()
    );
    println!(
        "| way | people, plot, vectors | NDCG@10 of the judged | found among 100 of all | per query |\n|---|---|---|---|---|"
    );
    let mut figures = Map::new();
    let ways = [
        ("words", Way::Words),
        ("vectors", Way::Vectors),
        ("both_by_rank", Way::Both(Fusion::default())),
        ("both_by_score", Way::Both(Fusion::Scores)),
    ];
    for (name, way) in ways {
        let weights = match way {
            Way::Vectors => Weights([0.0; 3]),
            way => tuned(&snapshot, &tuning, way)?,
        };
        let quality = mean(&judging, |q| Ok(ndcg(&find(&snapshot, q, way, weights, true)?, q)))?;
        let start = Instant::now();
        let share = mean(&judging, |q| Ok(found(&find(&snapshot, q, way, weights, false)?, q)))?;
        let micros = start.elapsed().as_micros() as f64 / judging.len() as f64;
        println!(
            "| {name} | {:.2?} | {quality:.4} | {share:.4} | {:.2} ms |",
            weights.0,
            micros / 1e3
        );
        figures.insert(format!("ndcg_{name}"), json!(quality));
        figures.insert(format!("found_{name}"), json!(share));
        figures.insert(format!("micros_{name}"), json!(micros));
    }
    let ndcg = |name: &str| figures[&format!("ndcg_{name}")].as_f64().unwrap_or(0.0);
    let parts = ndcg("words").max(ndcg("vectors"));
    let both = ndcg("both_by_rank").max(ndcg("both_by_score"));
    assert!(both > parts, "both together should be better than each: {both} and {parts}");
    println!("\n{}", serde_json::Value::Object(figures));
    Ok(())
}
