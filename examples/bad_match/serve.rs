//! The gate in a recommender: what it costs, and what it drops.

use super::{ratings::Task, world::Outcome};
use bowerbird::{
    model::{Training, classify::*},
    recommend::*,
    *,
};
use std::{hint::black_box, time::Instant};

pub(crate) struct Served {
    /// Of the classifier alone.
    pub(crate) ns_per_row: f64,
    /// Of the whole gate, its features included.
    pub(crate) us_per_candidate: f64,
    pub(crate) dropped: u64,
}

/// Publishes the gate and asks for a slate of a user who is known.
pub(crate) fn served(task: &Task, fit: &FitClassifier) -> Outcome<Served> {
    let gate = GateModel::train(fit, &task.learn, &mut Training::new(7))?;
    let version = task.db.publish("bad_match", &gate, gate.provenance(task.db.snapshot().seq()))?;
    task.db.activate("bad_match", version)?;
    let rows = task.test.rows()?;
    let start = Instant::now();
    black_box(gate.classifier().probabilities(black_box(rows.values()))?);
    let ns_per_row = start.elapsed().as_nanos() as f64 / rows.len() as f64;
    let snapshot = task.db.snapshot();
    let user = snapshot.users()?.first().copied().ok_or("there is nobody")?;
    let recommender = Recommender::new()
        .retrieve(Popular::ever(["rate"], 1000))
        .screen(Gate::by("bad_match").drop_share(0.2));
    let request = Request::new(20, Timestamp::MAX).user(user.0);
    recommender.run(&snapshot, &request)?;
    let slate = recommender.run(&snapshot, &request)?;
    let stage =
        slate.trace.stages.iter().find(|stage| stage.verb == "screen").ok_or("no screen")?;
    let screened = slate.trace.screened.first().ok_or("the trace does not say what was dropped")?;
    assert_eq!((slate.items.len(), screened.dropped), (20, stage.seen / 5));
    let us_per_candidate = stage.micros as f64 / stage.seen as f64;
    Ok(Served { ns_per_row, us_per_candidate, dropped: screened.dropped })
}
