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
mod search;

use bowerbird::Db;
use data::Data;
use search::Answer;
use std::{error::Error, path::PathBuf, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let begin = Instant::now();
    let here = || concat!(env!("CARGO_MANIFEST_DIR"), "/examples/movies/out").into();
    let folder: PathBuf = std::env::args_os().nth(1).map_or_else(here, PathBuf::from);
    let data = Data::load()?;
    let (db, import) = import::import(&folder.join("movies.bower"), &data)?;
    println!(
        "{} movies, {} ratings: imported in {:.2?}, opened in {:.2?}, {} bytes on disk",
        import.items, import.events, import.took, import.open, import.stats.disk_bytes
    );
    find(&db, &data)?;
    println!("{:?}", begin.elapsed());
    Ok(())
}

fn find(db: &Db, data: &Data) -> Outcome<()> {
    let snapshot = db.snapshot();
    let mut answers = search::ask(&snapshot, data)?;
    answers.push(search::alike(&snapshot, 1)?);
    for Answer { question, titles } in answers {
        println!("\n{question}");
        titles.iter().for_each(|title| println!("    {title}"));
    }
    let q = search::quality(&snapshot, data)?;
    println!("{} {} {} {} {:?}", q.ndcg_all, q.hit_rate_all, q.ndcg_judged, q.auc_judged, q.median);
    Ok(())
}
