//! A gate over searches: is this movie what was meant by this query? Vectors alone say how similar they are, and words
//! whether they are there; a gate knows both, and how popular a movie is, how it is rated and how old it is.

use super::{movies, world::Outcome};
use bowerbird::{
    eval::{Outcomes, Ranking},
    model::{Training, classify::*, ranker::*},
    recommend::Request,
    *,
};

/// What is measured on queries that were not learned from.
pub(crate) struct Found {
    /// Vectors alone: AUC over all pairs, NDCG@10 by query.
    pub(crate) vectors: (f64, f64),
    /// BM25 of title, people (half) and plot (a quarter).
    pub(crate) words: (f64, f64),
    /// The gate.
    pub(crate) gate: (f64, f64),
    pub(crate) error: f64,
    pub(crate) pairs: usize,
}

/// Learns from every second query, asks about the others.
pub(crate) fn search(data: &movies::Data, fit: &FitClassifier) -> Outcome<Found> {
    let schema = Schema::new()
        .space("text", movies::DIM as u32, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("people", AttrType::Text)
        .attr("plot", AttrType::Text)
        .attr("year", AttrType::Int)
        .event("rate");
    let db = Db::in_memory(schema)?;
    let mut batch = db.batch();
    for movie in &data.movies {
        let people = format!("{}, {}", movie.director, movie.actors.join(", "));
        let plot = format!("{}. {}", movie.genres.join(", "), movie.overview);
        let item = Item::new(movie.id).vector("text", movie.vector.clone());
        let item = item.attr("title", movie.title.as_str()).attr("people", people);
        batch.put(item.attr("plot", plot).attr("year", movie.year));
    }
    batch.commit()?;
    let mut batch = db.batch();
    for rating in &data.ratings {
        let event = Event::new(rating.user, rating.movie, "rate", rating.at);
        batch.event(event.value(rating.stars));
    }
    batch.commit()?;
    let rate = || vec!["rate".to_owned()];
    let features = Features::new()
        .query("text")
        .item("text")
        .scalar(Scalar::Similarity { role: Role::Query, space: "text".into() })
        .scalar(Scalar::Bm25 { attr: "title".into() })
        .scalar(Scalar::Bm25 { attr: "people".into() })
        .scalar(Scalar::Bm25 { attr: "plot".into() })
        .scalar(Scalar::Popularity { kinds: rate(), half_life: None })
        .scalar(Scalar::ItemMean { kinds: rate(), prior: 5.0 })
        .scalar(Scalar::Attr { name: "year".into(), otherwise: 1990.0 });
    let lessons = |half: usize| -> Outcome<Lessons> {
        let mut lessons = Lessons::new(features.clone(), &db.snapshot())?;
        for query in data.queries.iter().skip(half).step_by(2) {
            let of = |keys: &[Key], bad: f32| -> Vec<(Key, f32, f32)> {
                keys.iter().map(|key| (key.clone(), bad, 1.0)).collect()
            };
            let pairs = [of(&query.relevant, 0.0), of(&query.irrelevant, 1.0)].concat();
            let request = Request::new(1, Timestamp::MAX).text(query.text.as_str());
            lessons.push(&request.query("text", query.vector.clone()), &pairs)?;
        }
        Ok(lessons)
    };
    let (learn, test) = (lessons(0)?.rows()?, lessons(1)?.rows()?);
    let classifier = fit.train(&learn, &mut Training::new(7))?;
    let fine = |chance: f32| 1.0 - chance;
    let gate: Vec<f32> = classifier.probabilities(test.values())?.into_iter().map(fine).collect();
    let vectors: Vec<f32> = test.values().chunks(test.width()).map(|row| row[0]).collect();
    let rows = test.values().chunks(test.width());
    let words: Vec<f32> = rows.map(|row| row[1] + 0.5 * row[2] + 0.25 * row[3]).collect();
    let error = classifier.judge(&test)?.expected_calibration_error;
    let of = |scores: &[f32]| both(scores, &test);
    Ok(Found {
        vectors: of(&vectors)?,
        words: of(&words)?,
        gate: of(&gate)?,
        error,
        pairs: test.len(),
    })
}

/// AUC over all pairs, and the mean NDCG@10 of the lists.
fn both(scores: &[f32], test: &Rows) -> Outcome<(f64, f64)> {
    let good: Vec<f32> = test.labels().iter().map(|bad| 1.0 - bad).collect();
    let auc = Outcomes::new(scores, &good)?.auc().ok_or("there is no good pair, or no bad one")?;
    let groups = test.groups().ok_or("pairs are in no groups")?;
    let (mut sum, mut lists, mut from) = (0.0, 0.0, 0);
    for list in groups.chunk_by(|a, b| a == b) {
        let range = from..from + list.len();
        from = range.end;
        let gains: Vec<f64> = good[range.clone()].iter().map(|x| f64::from(*x)).collect();
        if let Some(ndcg) = Ranking::from_scores(&scores[range], &gains)?.ndcg(10) {
            (sum, lists) = (sum + ndcg, lists + 1.0);
        }
    }
    Ok((auc, sum / lists))
}
