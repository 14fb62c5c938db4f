//! Finding: what somebody typed, with a filter; how good the answers are; movies like one.

use crate::{
    Outcome,
    data::{Data, Query},
};
use bowerbird::{Key, Snapshot, Value, Where, attr, eval::Ranking};
use std::time::{Duration, Instant};

/// A question and the titles that answered it.
pub(crate) struct Answer {
    pub(crate) question: String,
    pub(crate) titles: Vec<String>,
}

/// Means over all queries.
pub(crate) struct Quality {
    pub(crate) queries: usize,
    /// All movies ranked; what nobody judged counts as wrong.
    pub(crate) ndcg_all: f64,
    pub(crate) hit_rate_all: f64,
    /// Only judged movies ranked.
    pub(crate) ndcg_judged: f64,
    pub(crate) auc_judged: f64,
    /// The middle one of the times that a search among all took.
    pub(crate) median: Duration,
}

/// A query from the judged ones, plain and with a filter.
pub(crate) fn ask(snapshot: &Snapshot, data: &Data) -> Outcome<Vec<Answer>> {
    let text = "best romantic comedy movies hollywood";
    let query = data.queries.iter().find(|query| query.text == text).ok_or("no such query")?;
    let recent =
        attr("genre").is("romance") & attr("genre").is("comedy") & attr("year").at_least(2010);
    let mut answers = Vec::new();
    for (filter, note) in
        [(Where::all(), ""), (recent.clone(), ", romance and comedy, 2010 or later")]
    {
        let hits = snapshot.near("text", &query.vector).filter(filter).limit(5).run()?;
        let keys: Vec<Key> = hits.into_iter().map(|hit| hit.key).collect();
        answers.push(Answer {
            question: format!("\"{text}\"{note}"),
            titles: titles(snapshot, &keys)?,
        });
        if note.is_empty() {
            continue;
        }
        for key in keys {
            let movie = snapshot.get(&key)?.ok_or("a movie that was found is not there")?;
            let year = movie.get("year").cloned();
            assert!(year >= Some(Value::Int(2010)), "the filter let {key} through");
        }
        assert!(snapshot.count(&recent)? < snapshot.len(), "the filter narrows");
    }
    Ok(answers)
}

/// The movies most like one, by what they are about.
pub(crate) fn alike(snapshot: &Snapshot, key: u64) -> Outcome<Answer> {
    let hits = snapshot.like("text", key).limit(5).run()?;
    let keys: Vec<Key> = hits.into_iter().map(|hit| hit.key).collect();
    assert!(!keys.contains(&Key::Id(key)), "a movie is not found by itself");
    let question = format!("like {}", title(snapshot, &Key::Id(key))?);
    Ok(Answer { question, titles: titles(snapshot, &keys)? })
}

/// Asks every query and compares with what people said.
pub(crate) fn quality(snapshot: &Snapshot, data: &Data) -> Outcome<Quality> {
    let mut sums = [0.0; 4];
    let mut times = Vec::new();
    for query in &data.queries {
        let begin = Instant::now();
        let hits = snapshot.near("text", &query.vector).limit(10).run()?;
        times.push(begin.elapsed());
        let found: Vec<Key> = hits.into_iter().map(|hit| hit.key).collect();
        let all = Ranking::from_list(&found, &query.relevant)?;
        let judged = judged(snapshot, query)?;
        let figures = [all.ndcg(10), all.hit_rate(10), judged.ndcg(10), judged.auc()];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure.ok_or("a query without a relevant movie, or with nothing else")?;
        }
    }
    let queries = data.queries.len();
    let [ndcg_all, hit_rate_all, ndcg_judged, auc_judged] = sums.map(|sum| sum / queries as f64);
    times.sort();
    let median = times[queries / 2];
    Ok(Quality { queries, ndcg_all, hit_rate_all, ndcg_judged, auc_judged, median })
}

/// The judged movies of a query, ranked by how near they are.
fn judged(snapshot: &Snapshot, query: &Query) -> Outcome<Ranking> {
    let everything = snapshot.len() as usize;
    let (mut scores, mut gains) = (Vec::new(), Vec::new());
    for hit in snapshot.near("text", &query.vector).limit(everything).run()? {
        let relevant = query.relevant.contains(&hit.key);
        if relevant || query.irrelevant.contains(&hit.key) {
            scores.push(hit.score);
            gains.push(f64::from(u8::from(relevant)));
        }
    }
    Ok(Ranking::from_scores(&scores, &gains)?)
}

/// How people call a movie.
pub(crate) fn title(snapshot: &Snapshot, key: &Key) -> Outcome<String> {
    let movie = snapshot.get(key)?.ok_or_else(|| format!("there is no movie {key}"))?;
    match (movie.get("title"), movie.get("year")) {
        (Some(Value::Text(title)), Some(Value::Int(year))) => Ok(format!("{title} ({year})")),
        _ => Err(format!("movie {key} has no title or year").into()),
    }
}

pub(crate) fn titles(snapshot: &Snapshot, keys: &[Key]) -> Outcome<Vec<String>> {
    keys.iter().map(|key| title(snapshot, key)).collect()
}
