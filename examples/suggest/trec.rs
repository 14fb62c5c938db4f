//! TREC Tasks 2015: key phrases that people graded as useful for a search, found among those of all
//! searches.

use crate::Outcome;
use bowerbird::{model::suggest::*, recommend::*, *};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, fs, path::Path};

/// Grades of phrases, by key, for each search.
type Grades = BTreeMap<u32, BTreeMap<String, u32>>;

/// Phrases by key, and how often each is there.
type Texts = BTreeMap<String, (String, i64)>;

pub(crate) fn run(folder: &Path) -> Outcome<Json> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (grades, texts) = grades(&read("trec_tasks_2015_qrels.txt")?)?;
    // Some searches have no graded phrases.
    let mut topics = topics(&read("trec_tasks_2015_topics.xml")?);
    topics.retain(|(number, _)| grades.contains_key(number));
    let queries = Db::in_memory(
        Schema::new()
            .keys(KeyKind::Name)
            .attr("query", AttrType::Text)
            .attr("asked", AttrType::Int),
    )?;
    // How often a phrase is there at all is the only popularity that there is.
    let mut batch = queries.batch();
    for (key, (text, count)) in &texts {
        batch.put(Item::new(key.as_str()).attr("query", text.as_str()).attr("asked", *count));
    }
    batch.commit()?;
    let snapshot = queries.snapshot();
    let ways = [
        ("popularity", Recommender::new().retrieve(Highest::new("asked", 10))),
        (
            "prefix",
            Recommender::new().filter(Typed::new("query")).retrieve(Highest::new("asked", 10)),
        ),
        ("words", Recommender::new().retrieve(Matches::new("query", 10))),
    ];
    let mut figures = json!({ "phrases": snapshot.len(), "searches": topics.len() });
    println!("\nkey phrases of TREC Tasks 2015, NDCG@10:");
    for (name, way) in ways {
        let mut sum = 0.0;
        for (number, text) in &topics {
            let request = Request::new(10, Timestamp(0)).text(text.as_str());
            let slate = way.run(&snapshot, &request)?;
            let found: Vec<String> = slate.items.iter().map(|item| item.key.to_string()).collect();
            sum += ndcg(&found, &grades[number]);
        }
        let mean = sum / topics.len() as f64;
        println!("  {name:>10} {mean:.4}");
        figures[name] = json!(mean);
    }
    Ok(figures)
}

fn ndcg(found: &[String], grades: &BTreeMap<String, u32>) -> f64 {
    let sum = |grades: &mut dyn Iterator<Item = u32>| -> f64 {
        grades.take(10).enumerate().map(|(at, g)| f64::from(g) / ((at + 2) as f64).log2()).sum()
    };
    let mut best: Vec<u32> = grades.values().copied().collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let most = sum(&mut best.into_iter());
    let mine = sum(&mut found.iter().map(|key| grades.get(key).copied().unwrap_or(0)));
    if most > 0.0 { mine / most } else { 0.0 }
}

fn topics(xml: &str) -> Vec<(u32, String)> {
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        Some(text.split_once(from)?.1.split_once(to)?.0.to_owned())
    };
    let task = |task: &str| {
        let number = between(task, "\"", "\"")?.parse().ok()?;
        Some((number, between(task, "<query>", "</query>")?))
    };
    xml.split("<task ").skip(1).filter_map(task).collect()
}

/// The best grade of each phrase over the parts of a search; phrases by key, and how often each is there.
fn grades(lines: &str) -> Outcome<(Grades, Texts)> {
    let (mut grades, mut texts) = (Grades::new(), BTreeMap::new());
    for line in lines.lines() {
        let mut fields = line.splitn(4, ' ');
        let mut next = || fields.next().ok_or_else(|| format!("{line:?} has too few fields"));
        let (topic, _, grade, text) = (next()?.parse()?, next()?, next()?.parse()?, next()?);
        let Ok(key) = Draft::new(text, Intent::Exploratory, "trec").key() else { continue };
        let best = grades.entry(topic).or_default().entry(key.clone()).or_insert(0u32);
        *best = (*best).max(grade);
        texts.entry(key).or_insert((text.to_owned(), 0)).1 += 1;
    }
    Ok((grades, texts))
}
