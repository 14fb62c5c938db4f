//! A gate over ratings: it learns from the middle of the time which films users did not like, with features
//! of what came before, and is asked about the end.

use super::world::{BAD, Rating, World, add, by_user};
use bowerbird::{
    model::{Als, Reading, Sequences, Train, Training, classify::*, ranker::*},
    recommend::Request,
    *,
};
use std::collections::BTreeMap;

/// What is computed of a user and a film.
pub(crate) fn features() -> Features {
    let rate = || vec!["rate".to_owned()];
    Features::new()
        .scalar(Scalar::ItemMean { kinds: rate(), prior: 5.0 })
        .scalar(Scalar::UserMean { kinds: rate(), prior: 5.0 })
        .scalar(Scalar::TagAffinity { attr: "genre".into(), kinds: rate(), prior: 5.0 })
        .scalar(Scalar::TagShare { attr: "genre".into() })
        .scalar(Scalar::Popularity { kinds: rate(), half_life: None })
        .scalar(Scalar::Experience)
        .scalar(Scalar::Model { name: "als".into() })
        .scalar(Scalar::Attr { name: "year".into(), otherwise: 1990.0 })
}

/// Labelled pairs to learn from, and those to be judged by.
pub(crate) struct Task {
    pub(crate) db: Db,
    pub(crate) learn: Lessons,
    pub(crate) test: Lessons,
    /// Of each pair to learn from: whether its film is a drama.
    pub(crate) drama: Vec<bool>,
    /// The share of test users of whom nothing is known when they are asked about.
    pub(crate) cold: f64,
}

/// Puts the task together. What is learned from is as of the end of the first part, what is tested as of the
/// end of the second: nothing is known before it has happened.
pub(crate) fn task(world: &World) -> Result<Task> {
    let (early, middle, late) = world.split();
    let db = world.database(early)?;
    let sequences = Sequences::read(&db.snapshot(), &Reading::default())?;
    let als = Als::default().train(&sequences, &mut Training::new(7))?;
    let version = db.publish("als", &als, als.provenance(db.snapshot().seq()))?;
    db.activate("als", version)?;
    let (learn, order) = lessons(&db, early, middle)?;
    add(&db, middle)?;
    let (test, _) = lessons(&db, middle, late)?;
    let genres: BTreeMap<u64, bool> = world
        .films
        .iter()
        .map(|f| (f.id, f.genres.iter().any(|g| g.eq_ignore_ascii_case("drama"))))
        .collect();
    let drama = order.iter().map(|film| genres.get(film).copied().unwrap_or(false)).collect();
    let known = by_user(&world.ratings[..early.len() + middle.len()]);
    let asked = by_user(late);
    let cold = asked.keys().filter(|user| !known.contains_key(user)).count();
    Ok(Task { db, learn, test, drama, cold: cold as f64 / asked.len() as f64 })
}

/// The pairs of some ratings, as of the end of those before; and their films in order.
fn lessons(db: &Db, before: &[Rating], ratings: &[Rating]) -> Result<(Lessons, Vec<u64>)> {
    let now = before.last().map_or(Timestamp(0), |last| last.at);
    let mut lessons = Lessons::new(features(), &db.snapshot())?;
    let mut films = Vec::new();
    for (user, rated) in by_user(ratings) {
        let bad = |rating: &Rating| f32::from(u8::from(rating.stars <= BAD));
        let pairs: Vec<(Key, f32, f32)> =
            rated.iter().map(|r| (Key::Id(r.film), bad(r), 1.0)).collect();
        films.extend(rated.iter().map(|r| r.film));
        lessons.push(&Request::new(1, now).user(user), &pairs)?;
    }
    assert_eq!(lessons.len(), films.len(), "a film is missing or rated twice");
    Ok((lessons, films))
}

/// How good a classifier is as a gate.
pub(crate) struct Figures {
    pub(crate) quality: Quality,
    /// The share of bad pairs among all, and among the 80 % that are least likely bad.
    pub(crate) bad: (f64, f64),
}

impl Figures {
    /// By how much dropping 20 % cuts the share of bad ones.
    pub(crate) fn cut(&self) -> f64 {
        1.0 - self.bad.1 / self.bad.0
    }
}

/// Asks a classifier about pairs that it has not learned from.
pub(crate) fn judge(classifier: &Classifier, test: &Rows) -> Result<Figures> {
    let chances = classifier.probabilities(test.values())?;
    let mut order: Vec<usize> = (0..test.len()).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let share = |rows: &[usize]| -> f64 {
        rows.iter().map(|at| f64::from(test.labels()[*at])).sum::<f64>() / rows.len() as f64
    };
    let bad = (share(&order), share(&order[..test.len() * 8 / 10]));
    Ok(Figures { quality: classifier.judge(test)?, bad })
}

/// The same rows with some labels turned round: each of those that `may` with a chance of 30 %.
pub(crate) fn noisy(rows: &Rows, seed: u64, may: impl Fn(usize) -> bool) -> Result<Rows> {
    let mut state = seed;
    let mut flips = |at: usize| {
        // Knuth's generator: its high bits are even enough for this.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        may(at) && (state >> 33) % 10 < 3
    };
    let labels = rows.labels().iter().enumerate();
    let labels = labels.map(|(at, y)| if flips(at) { 1.0 - y } else { *y }).collect();
    let names = rows.names().to_vec();
    let noisy = Rows::new(names, rows.values().to_vec(), labels)?;
    noisy.grouped(rows.groups().map(<[u64]>::to_vec).unwrap_or_default())
}
