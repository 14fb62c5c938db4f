//! Models as parts of the database: published, activated, and asked.

use super::Outcome;
use bowerbird::{
    Db, Timestamp,
    model::{Model, NextItems},
    recommend::{Recommender, Request, Seen},
};
use std::time::Instant;

/// How long a request took, filters and lookup of keys included.
pub(crate) struct Served {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Requests that are timed, after a tenth as many that are not.
const REQUESTS: usize = 2_000;

/// Serves slates of 20 to users of the database, one at a time.
pub(crate) fn serve(db: &Db, models: &[Model], exclude_seen: bool) -> Outcome<Served> {
    let mut recommender = Recommender::new();
    if exclude_seen {
        recommender = recommender.filter(Seen::new(["view"]));
    }
    // Of one model the best are enough; of several, what each has farther down may win.
    let limit = if models.len() > 1 { 200 } else { 20 };
    for (at, model) in models.iter().enumerate() {
        let name = format!("next-{at}");
        let version = db.publish(&name, model, model.provenance(db.snapshot().seq()))?;
        db.activate(&name, version)?;
        recommender = recommender.retrieve(NextItems::by(&name, limit));
    }
    let snapshot = db.snapshot();
    let users = snapshot.users()?;
    if users.is_empty() {
        return Err("there is nobody to serve: the data has no events".into());
    }
    let mut millis = Vec::new();
    for at in 0..REQUESTS + REQUESTS / 10 {
        let user = users[at * 7919 % users.len()];
        let request = Request::new(20, Timestamp::MAX).user(user.0);
        let begin = Instant::now();
        let slate = recommender.run(&snapshot, &request)?;
        let took = begin.elapsed().as_secs_f64() * 1e3;
        assert!(slate.items.len() <= 20, "more than was asked for");
        if at >= REQUESTS / 10 {
            millis.push(took);
        }
    }
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    Ok(Served { p50_ms: at(0.5), p99_ms: at(0.99) })
}
