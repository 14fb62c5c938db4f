//! Query recommendation: queries made of a catalog of movies, asked, and suggested to people by what they
//! saw. Ends with a JSON line.
//!
//! ```text
//! cargo run --release --example suggest [-- --data FOLDER]
//! ```
//!
//! Without `--data` it uses the movies of this repository. FOLDER has `ml1m/` and `embeddings/` (MovieLens 1M),
//! and may have `query_suggest/` (key phrases with grades, TREC Tasks 2015).
//!
//! Judged: five queries for each user, by everything before their last movie; a hit if that movie is among
//! the first twenty of any of them. Weights and diversity are chosen on the movie before it.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

mod data;
#[path = "../semantic_ids/files.rs"]
#[allow(dead_code)] // Of its neighbour it needs the vectors.
mod files;
mod judge;
#[path = "../movies/data.rs"]
#[allow(dead_code)] // Movies and ratings, but no queries.
mod movies;
mod shop;
mod trec;

use bowerbird::{model::suggest::*, recommend::*, *};
use judge::{Case, SHOWN, Worth, judge};
use serde_json::json;
use std::{error::Error, path::PathBuf, sync::Arc};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// The share of exploratory queries that is asked for.
const EXPLORE: f32 = 0.4;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let folder = match (args.next().as_deref(), args.next()) {
        (None, _) => None,
        (Some("--data"), Some(folder)) => Some(PathBuf::from(folder)),
        (Some(other), _) => return Err(format!("{other} is no option, or lacks a folder").into()),
    };
    let data = match &folder {
        Some(folder) => data::large(folder)?,
        None => data::small()?,
    };
    let shop = shop::open(&data)?;
    let queries = shop.queries.snapshot();
    println!("{} movies, {} users", data.movies.len(), data.users.len());
    println!(
        "{} drafts, {} found nothing, {} the same as others: {} queries in {:.1} s\n",
        shop.drafts,
        shop.empty,
        shop.same,
        queries.len(),
        shop.seconds
    );
    let none = queries.count(&attr("yield").at_most(0))?;
    assert_eq!(none, 0, "a query that finds nothing is not suggested");

    let validation = judge::cases(&data, &shop, 1, (data.users.len() / 600).max(1))?;
    let suggest = tuned(&queries, &validation)?;
    let cases = judge::cases(&data, &shop, 0, 1)?;
    let popular = judge(&queries, &cases, |_, request| {
        Recommender::new().retrieve(Highest::new("weight", SHOWN)).run(&queries, request)
    })?;
    let popular_shared = judge(&queries, &cases, |_, request| {
        let by_weight = Suggest::new("text").weights(0.0, 0.0, 1.0).explore(EXPLORE).diversity(0.0);
        by_weight.run(&queries, &Wanted::default(), request)
    })?;
    let plain = judge(&queries, &cases, by(&queries, suggest.clone().diversity(0.0)))?;
    let diverse = judge(&queries, &cases, by(&queries, suggest.clone()))?;
    println!("| way | hits in {SHOWN} | exploratory | distance | p99 |\n|---|---|---|---|---|");
    for (name, worth) in [
        ("most popular", popular),
        ("most popular, with shares", popular_shared),
        ("for the user", plain),
        ("for the user, diverse", diverse),
    ] {
        let Worth { hits, exploratory, distance, p99 } = worth;
        println!("| {name} | {hits:.4} | {exploratory:.3} | {distance:.3} | {p99:.2?} |");
    }
    show(&queries, &suggest, &cases)?;
    let mut figures = json!({
        "queries": queries.len(),
        "hits_popular": popular.hits.max(popular_shared.hits),
        "hits": diverse.hits,
        "hits_without_diversity": plain.hits,
        "exploratory": diverse.exploratory,
        "distance": diverse.distance,
        "distance_without_diversity": plain.distance,
        "p99_micros": diverse.p99.as_micros() as u64,
    });
    if let Some(folder) = folder.map(|folder| folder.join("query_suggest")).filter(|f| f.is_dir()) {
        figures["trec"] = trec::run(&folder)?;
    }
    println!("\n{figures}");
    assert!(
        (diverse.exploratory - f64::from(EXPLORE)).abs() < 0.05,
        "the share that was asked for"
    );
    assert!(diverse.hits >= 1.3 * popular.hits.max(popular_shared.hits), "better than popularity");
    assert!(diverse.distance > plain.distance, "diversity makes a difference");
    assert!(diverse.hits >= 0.95 * plain.hits, "and costs little");
    Ok(())
}

fn by(queries: &Snapshot, suggest: Suggest) -> impl FnMut(&Case, &Request) -> Result<Slate> {
    let queries = queries.clone();
    move |case, request| suggest.run(&queries, &case.wanted, request)
}

/// Weights by a black-box search, then as much diversity as costs at most a fiftieth of the hits.
fn tuned(queries: &Snapshot, cases: &[Case]) -> Result<Suggest> {
    let of =
        |x: &[f32]| Suggest::new("text").explore(EXPLORE).weights(1.0, x[0], x[1]).diversity(0.0);
    let tune = Tune::new(25).weight("near", (0.0, 1.0), 0.3).weight("weight", (0.0, 1.0), 0.1);
    let hits = |suggest| Ok(judge(queries, cases, by(queries, suggest))?.hits);
    let best = tune.run(|x| hits(of(x)), &mut Progress::silent())?;
    let mut chosen = of(&best.weights);
    for diversity in [0.1, 0.3, 0.5, 0.7] {
        let suggest = of(&best.weights).diversity(diversity);
        if hits(suggest.clone())? < 0.98 * best.value {
            break;
        }
        chosen = suggest;
    }
    println!("chosen on {} other cases: {chosen:?}\n", cases.len());
    Ok(chosen)
}

/// What one user is suggested, before and while typing.
fn show(queries: &Snapshot, suggest: &Suggest, cases: &[Case]) -> Result<()> {
    let Some(case) = cases.first() else { return Ok(()) };
    let recommender = suggest.recommender(&Arc::new(case.wanted.clone()));
    println!();
    for typed in ["", "c", "com", "comedy 19"] {
        let request = Request::new(SHOWN, Timestamp(shop::END)).text(typed);
        let slate = recommender.run(queries, &request)?;
        let texts = slate.items.iter().map(|item| item.key.to_string());
        println!("{typed:>10} > {}", texts.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}
