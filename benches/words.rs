//! Full text over 1,000,000 short texts: BM25, prefixes, hybrid; how long a file of words takes to make.
//!
//! `cargo bench --bench words`. Answers are checked against reading every text before they are timed.
#![allow(missing_docs, clippy::disallowed_methods)] // It looks at sizes of files.

mod timing;

use bowerbird::{recommend::*, *};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use timing::{Dice, quick};

const DIM: usize = 32;

fn text(dice: &mut Dice) -> String {
    let words = 2 + dice.next() % 6;
    (0..words).map(|_| dice.word()).collect::<Vec<_>>().join(" ")
}

fn filled(rows: u64) -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new()
        .space("v", DIM as u32, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("asked", AttrType::Int);
    let options = Options::default().durability(Durability::None).maintenance(Maintenance::Manual);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let mut dice = Dice(1);
    for first in (0..rows).step_by(10_000) {
        let mut batch = db.batch();
        for key in first..rows.min(first + 10_000) {
            let asked = (1e6 / (1.0 + (dice.next() % rows) as f64)) as i64;
            let item = Item::new(key).attr("title", text(&mut dice)).attr("asked", asked);
            // A graph of all would take longer than the rest.
            let vector = dice.vector(DIM);
            batch.put(if key.is_multiple_of(10) { item.vector("v", vector) } else { item });
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    (folder, db)
}

/// Bytes of all files of words.
fn lists(folder: &tempfile::TempDir) -> u64 {
    let files = std::fs::read_dir(folder.path().join("db/derived")).unwrap();
    let words = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension() == Some("words".as_ref()));
    words.map(|path| path.metadata().unwrap().len()).sum()
}

/// Median and 99th percentile of one call per question.
fn times<Q>(questions: &[Q], mut ask: impl FnMut(&Q)) -> (Duration, Duration) {
    let mut times: Vec<Duration> = questions
        .iter()
        .map(|question| {
            let start = Instant::now();
            ask(question);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// The texts that have all words, the last of which may be unfinished, by reading every text.
fn check(snapshot: &Snapshot, rows: u64, typed: &str) {
    let selection = snapshot.select_typed("title", typed).unwrap();
    let mut words: Vec<&str> = typed.split(' ').collect();
    let last = words.pop().unwrap();
    let mut expected = 0;
    for key in 0..rows {
        let item = snapshot.get(&Key::Id(key)).unwrap().unwrap();
        let Some(Value::Text(title)) = item.get("title") else { panic!("no title") };
        let has = words.iter().all(|word| title.split(' ').any(|w| w == *word));
        expected += u64::from(has && title.split(' ').any(|w| w.starts_with(last)));
    }
    assert_eq!(selection.len(), expected, "{typed}");
}

fn main() {
    let rows = if quick() { 5_000 } else { 1_000_000 };
    let count = if quick() { 100 } else { 2_000 };
    let (folder, db) = filled(rows);
    let mut start = Instant::now();
    while let Some(chore) = db.maintain().unwrap() {
        println!("{chore:?} in {:?}", start.elapsed());
        start = Instant::now();
    }
    println!("{rows} texts of 2 to 7 words; their lists take {} MB\n", lists(&folder) / 1_000_000);
    let snapshot = db.snapshot();
    let mut dice = Dice(2);
    let questions: Vec<String> = (0..count).map(|_| text(&mut dice)).collect();
    // As they are typed: every beginning of a text is a question.
    let typed: Vec<String> = questions
        .iter()
        .flat_map(|text| (1..=text.len()).map(|end| text[..end].to_owned()))
        .take(5 * count)
        .collect();
    check(&snapshot, rows, &typed[0]);
    check(&snapshot, rows, &questions[0]);
    let vectors: Vec<Vec<f32>> = (0..count).map(|_| dice.vector(DIM)).collect();
    println!("| one thread | median | p99 |\n|---|---|---|");
    let report = |name: &str, (median, p99): (Duration, Duration)| {
        println!("| {name} | {median:.2?} | {p99:.2?} |");
    };
    report(
        "BM25, 2 to 7 words, top 10",
        times(&questions, |text| {
            black_box(snapshot.matching("title", text).run().unwrap());
        }),
    );
    report(
        "the same, every word",
        times(&questions, |text| {
            black_box(snapshot.matching("title", text).every_word().run().unwrap());
        }),
    );
    report(
        "typed so far, as a selection",
        times(&typed, |text| {
            black_box(snapshot.select_typed("title", text).unwrap());
        }),
    );
    let complete =
        Recommender::new().filter(Typed::new("title")).retrieve(Highest::new("asked", 10));
    report(
        "typed so far, the ten asked most",
        times(&typed, |text| {
            let request = Request::new(10, Timestamp(0)).text(text.as_str());
            black_box(complete.run(&snapshot, &request).unwrap());
        }),
    );
    let both: Vec<(&String, &Vec<f32>)> = questions.iter().zip(&vectors).collect();
    for fusion in [Fusion::default(), Fusion::Scores] {
        report(
            &format!("hybrid, {fusion:?}"),
            times(&both, |(text, vector)| {
                let hybrid = snapshot.hybrid().add(1.0, snapshot.matching("title", text));
                black_box(hybrid.add(1.0, snapshot.near("v", vector)).fuse(fusion).run().unwrap());
            }),
        );
    }
}
