//! Bowerbird's main job on real data: movies, what people said about them, what they typed.
//!
//! ```text
//! cargo run --release --example movies [FOLDER]
//! ```
//!
//! Makes a database in FOLDER (`examples/movies/out` unless given), finds and recommends, replays the
//! past to see how well, and writes `report.html` beside the database. The last line is one JSON object.
#![allow(
    clippy::disallowed_methods,
    reason = "an example reads its data and writes its page itself"
)]

mod data;
mod import;
mod report;
mod search;

use bowerbird::Db;
use data::Data;
use import::Import;
use report::Report;
use search::{Answer, Quality};
use std::{
    error::Error,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let begin = Instant::now();
    let here = || concat!(env!("CARGO_MANIFEST_DIR"), "/examples/movies/out").into();
    let folder: PathBuf = std::env::args_os().nth(1).map_or_else(here, PathBuf::from);
    fs::create_dir_all(&folder)?;

    let data = Data::load()?;
    let (db, import) = import::import(&folder.join("movies.bower"), &data)?;
    println!("imported in {:.2?}, opened again in {:.2?}", import.took, import.open);
    let (answers, quality) = find(&db, &data)?;

    let facts = facts(&import, &quality);
    println!();
    facts.iter().for_each(|(name, figure)| println!("{name:<40}{figure:>12}"));
    let page = folder.join("report.html");
    fs::write(&page, Report { facts, answers: &answers }.html())?;
    println!("\nThe same as a page: {}", page.display());
    println!("{}", json(&import, &quality, begin));
    Ok(())
}

/// Finds, says what was found, and how good it is over all queries.
fn find(db: &Db, data: &Data) -> Outcome<(Vec<Answer>, Quality)> {
    let snapshot = db.snapshot();
    let mut answers = search::ask(&snapshot, data)?;
    answers.push(search::alike(&snapshot, 1)?);
    answers.iter().for_each(show);
    let quality = search::quality(&snapshot, data)?;
    // Vectors of another model, or in another order, would be near chance.
    assert!(quality.ndcg_judged > 0.8 && quality.ndcg_all > 0.7, "the search finds what was meant");
    Ok((answers, quality))
}

fn show(Answer { question, titles }: &Answer) {
    println!("\n{question}");
    titles.iter().for_each(|title| println!("    {title}"));
}

fn facts(import: &Import, quality: &Quality) -> Vec<(&'static str, String)> {
    let writes = (import.items + import.events) as f64 / import.took.as_secs_f64();
    vec![
        ("movies", import.items.to_string()),
        ("ratings", import.events.to_string()),
        ("writes a second, durable", format!("{writes:.0}")),
        ("bytes on disk", import.stats.disk_bytes.to_string()),
        ("opening it again", format!("{:.2?}", import.open)),
        ("queries with judgments", quality.queries.to_string()),
        ("NDCG@10, all movies ranked", format!("{:.4}", quality.ndcg_all)),
        ("HR@10, all movies ranked", format!("{:.4}", quality.hit_rate_all)),
        ("NDCG@10, judged movies ranked", format!("{:.4}", quality.ndcg_judged)),
        ("AUC, judged movies ranked", format!("{:.4}", quality.auc_judged)),
        ("one search, median", format!("{:.2?}", quality.median)),
    ]
}

fn json(import: &Import, quality: &Quality, begin: Instant) -> serde_json::Value {
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    serde_json::json!({
        "example": "movies",
        "items": import.items,
        "events": import.events,
        "disk_bytes": import.stats.disk_bytes,
        "import_ms": ms(import.took),
        "open_ms": ms(import.open),
        "search": {
            "queries": quality.queries,
            "ndcg10_all": quality.ndcg_all,
            "hr10_all": quality.hit_rate_all,
            "ndcg10_judged": quality.ndcg_judged,
            "auc_judged": quality.auc_judged,
            "median_ms": ms(quality.median),
        },
        "total_ms": ms(begin.elapsed()),
    })
}
