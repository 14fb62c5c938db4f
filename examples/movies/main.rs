//! Bowerbird's main job on real data: movies, what people said about them, what they typed.
//!
//! ```text
//! cargo run --release --example movies [FOLDER]
//! ```
//!
//! Makes a database in FOLDER (`examples/movies/out` unless given), finds and recommends, replays
//! the past to see how well, and writes `report.html` beside the database. The last line is one
//! JSON object.
#![allow(
    clippy::disallowed_methods,
    reason = "an example reads its data and writes its page itself"
)]

mod data;
mod figures;
mod import;
mod people;
mod replay;
mod report;
mod search;

use bowerbird::Snapshot;
use data::Data;
use figures::Figures;
use report::Report;
use search::{Answer, Quality};
use std::{error::Error, fs, path::PathBuf, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let begin = Instant::now();
    let here = || concat!(env!("CARGO_MANIFEST_DIR"), "/examples/movies/out").into();
    let folder: PathBuf = std::env::args_os().nth(1).map_or_else(here, PathBuf::from);
    fs::create_dir_all(&folder)?;

    let data = Data::load()?;
    let (db, import) = import::import(&folder.join("movies.bower"), &data)?;
    println!("imported in {:.2?}, opened again in {:.2?}", import.took, import.open);
    let snapshot = db.snapshot();
    let (answers, quality) = find(&snapshot, &data)?;

    let now = replay::end(&data);
    let people = people::people(&snapshot, now)?;
    for person in &people {
        println!("\nuser {}, who liked last: {}", person.user, person.liked.join(", "));
        person.slate.iter().for_each(|(title, why)| println!("    {title}\n        {why}"));
    }
    let change = people::change(&db, now)?;
    change.answers.iter().for_each(show);

    println!("\n{}", replay::PROTOCOL);
    let (start, rows) = (Instant::now(), replay::replay(&snapshot, &data)?);
    let figures = Figures { import, quality, change, rows, replay: start.elapsed(), begin };
    figures.check();
    figures.print();
    let report = Report {
        facts: figures.facts(),
        answers: &answers,
        people: &people,
        change: &figures.change.answers,
        rows: &figures.rows,
        protocol: replay::PROTOCOL,
    };
    let page = folder.join("report.html");
    fs::write(&page, report.html())?;
    db.close()?;
    println!("\nThe same as a page: {}", page.display());
    println!("{}", figures.json());
    Ok(())
}

/// Finds, says what was found, and how good it is over all queries.
fn find(snapshot: &Snapshot, data: &Data) -> Outcome<(Vec<Answer>, Quality)> {
    let mut answers = search::ask(snapshot, data)?;
    answers.push(search::alike(snapshot, 1)?);
    answers.iter().for_each(show);
    Ok((answers, search::quality(snapshot, data)?))
}

fn show(Answer { question, titles }: &Answer) {
    println!("\n{question}");
    titles.iter().for_each(|title| println!("    {title}"));
}
