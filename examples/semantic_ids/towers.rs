//! Two towers over what items have: how well do they find what came next, and what nobody has seen?

use super::{
    Outcome, Shop,
    args::Args,
    judge::{Case, judge},
    write,
};
use bowerbird::{
    model::{Reading, Sequences, TowerUser, Training, TwoTower},
    recommend::{NearInterests, Recommender, Seen, Similarity},
};
use serde_json::{Map, Value as Json, json};
use std::time::Instant;

/// Trains them on all but the last item of each history, puts the vectors of items into a space, and
/// looks there for what is nearest to the user's.
pub(crate) fn start(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let db = &shop.db;
    let snapshot = db.snapshot();
    let (train, last) = Sequences::read(&snapshot, &Reading::default())?.hold_out_last();
    let spaces: Vec<String> = (0..shop.files.spaces.len()).map(|at| format!("v{at}")).collect();
    let mut how = Training::new(args.seed).validate(&last);
    let begun = Instant::now();
    let options = TwoTower::of(spaces.iter().map(String::as_str));
    let towers = options.train(&snapshot, &train, &[], &mut how)?;
    let seconds = begun.elapsed().as_secs_f64();
    let version = db.publish("towers", &towers, towers.provenance(snapshot.seq()))?;
    db.activate("towers", version)?;
    write(db, "towers", towers.dim(), |_, item| Ok(towers.item(item)?))?;
    let nearest = Recommender::new()
        .summarize(TowerUser::by("towers", "towers"))
        .filter(Seen::new(["view"]))
        .retrieve(NearInterests::new("towers", 100))
        .score(Similarity::new("towers"));
    let is_cold = |case: &&Case| shop.cold.contains(&case.target);
    let (cold, warm): (Vec<&Case>, Vec<&Case>) = shop.cases.iter().partition(is_cold);
    let snapshot = db.snapshot();
    let new = judge(&snapshot, &nearest, &cold, args.threads)?;
    let others = judge(&snapshot, &nearest, &warm, args.threads)?;
    println!(
        "two towers, {seconds:.0} s: new {:.4} of {} cases, others {others:?}",
        new.hr_10, new.cases
    );
    figures.insert("towers_hr_10".into(), json!(others.hr_10));
    figures.insert("towers_ndcg_10".into(), json!(others.ndcg_10));
    figures.insert("towers_cold_recall_10".into(), json!(new.hr_10));
    Ok(())
}
