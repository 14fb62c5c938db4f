//! A sequence model over what items have, and the places that it gives to new ones.

use super::{
    Outcome, Shop, act,
    args::Args,
    judge::{Case, Quality, judge},
    stock,
};
use bowerbird::{
    Db,
    model::{ContentSasrec, Loss, NextItems, NextNew, NextScore, Reading, Sasrec, Sequences, Training},
    recommend::{Explore, Recommender, Seen},
};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeSet, time::Instant};

/// The model of this example. Dropout was chosen on validation cases among .2, .3 and .4.
pub(crate) fn sequence_model(inputs: Vec<(String, f32)>) -> ContentSasrec {
    let loss = Some(Loss::Sampled { negatives: 512, corrected: true });
    let sasrec = Sasrec { dropout: 0.3, epochs: Some(40), patience: 5, loss, ..Sasrec::default() };
    ContentSasrec { sasrec, inputs, ..ContentSasrec::of([]) }
}

/// Trains one, the last item of each history aside, and makes it the active version of "dense".
fn train(db: &Db, spaces: usize, args: &Args) -> Outcome<f64> {
    let snapshot = db.snapshot();
    let (train, last) = Sequences::read(&snapshot, &Reading::default())?.hold_out_last();
    let mut how = Training::new(args.seed).threads(args.threads).validate(&last);
    let begun = Instant::now();
    let inputs = (0..spaces).map(|at| (format!("v{at}"), 1.0)).collect();
    let model = sequence_model(inputs).train(&snapshot, &train, &mut how)?;
    let version = db.publish("dense", &model, model.provenance(snapshot.seq()))?;
    db.activate("dense", version)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// What the model says of the items it knows.
fn known() -> Recommender {
    Recommender::new().filter(Seen::new(["view"])).retrieve(NextItems::by("dense", 20))
}

/// What it says of new ones.
fn new() -> Recommender {
    Recommender::new().filter(Seen::new(["view"])).retrieve(NextNew::by("dense", 20))
}

/// Both: on the last places, new items that come near enough to those that they push out.
pub(crate) fn both(margin: f32) -> Recommender {
    let explore = Explore::new("NextNew(dense)", 5).within(margin);
    known().retrieve(NextNew::by("dense", 20)).score(NextScore::by("dense")).select(explore)
}

/// How much less likely, in natural logarithms, a new item may be than what it pushes out.
const MARGINS: [f32; 12] = [-9.0, 0.0, 0.4, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.1, 2.4, 2.8];
/// What warm cases may lose.
const LOSS_MAX: f64 = 0.02;

/// Recall of new items, and what is left of NDCG@10 of the others, for every margin.
struct Line {
    base: Quality,
    rows: Vec<(f32, f64, f64)>,
}

fn line(db: &Db, (cold, warm): (&[&Case], &[&Case]), args: &Args) -> Outcome<Line> {
    let snapshot = db.snapshot();
    let base = judge(&snapshot, &known(), warm, args.threads)?;
    let mut rows = Vec::new();
    for margin in MARGINS {
        let found = judge(&snapshot, &both(margin), cold, args.threads)?;
        let left = judge(&snapshot, &both(margin), warm, args.threads)?;
        rows.push((margin, found.hr_10, left.ndcg_10 / base.ndcg_10));
    }
    Ok(Line { base, rows })
}

/// The largest margin that costs the others no more than they may lose.
fn choose(line: &Line) -> f32 {
    let fits = line.rows.iter().filter(|row| row.2 >= 1.0 - LOSS_MAX);
    fits.map(|row| row.0).fold(f32::NEG_INFINITY, f32::max)
}

/// Chooses the margin as if it were a day earlier: without each user's last item and without the items
/// that are new in the end, with others held back in their place.
fn rehearse(shop: &Shop, args: &Args) -> Outcome<f32> {
    let files = &shop.files;
    let keys: BTreeSet<u64> = files.keys.difference(&shop.cold).copied().collect();
    let earlier = |(user, items): &(u64, Vec<u64>)| {
        let past = &items[..items.len().saturating_sub(1)];
        (*user, past.iter().copied().filter(|item| keys.contains(item)).collect::<Vec<u64>>())
    };
    let lists: Vec<(u64, Vec<u64>)> = files.lists.iter().map(earlier).collect();
    let db = stock(files, &keys)?;
    let other = Args { seed: args.seed + 1_000, ..args.clone() };
    let (cold, cases) = act(&db, &lists, &keys, &other)?;
    let seconds = train(&db, files.spaces.len(), args)?;
    let (new, warm): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| cold.contains(&case.target));
    // A third of the others says as much as is needed.
    let warm: Vec<&Case> = warm.into_iter().step_by(3).collect();
    let line = line(&db, (&new, &warm), args)?;
    println!("rehearsed on {} cases of {} items, {seconds:.0} s", new.len(), cold.len());
    print(&line);
    Ok(choose(&line))
}

fn print(line: &Line) {
    for (margin, found, kept) in &line.rows {
        println!("  margin {margin}: new {found:.4}, others keep {kept:.3}");
    }
}

pub(crate) fn start(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let margin = rehearse(shop, args)?;
    let seconds = train(&shop.db, shop.files.spaces.len(), args)?;
    let is_cold = |case: &&Case| shop.cold.contains(&case.target);
    let (cold, warm): (Vec<&Case>, Vec<&Case>) = shop.cases.iter().partition(is_cold);
    let alone = judge(&shop.db.snapshot(), &new(), &cold, args.threads)?;
    let line = line(&shop.db, (&cold, &warm), args)?;
    println!("sequence model of content, {seconds:.0} s: others {:?}", line.base);
    println!("new items among themselves: {:.4} are among the first ten", alone.hr_10);
    print(&line);
    let chosen = line.rows.iter().find(|row| row.0 == margin);
    let (found, kept) = chosen.map_or((0.0, 1.0), |row| (row.1, row.2));
    println!("margin {margin}, as rehearsed: new {found:.4}, others keep {kept:.4}");
    let rows = line.rows.iter().map(|(margin, found, kept)| {
        json!({ "margin": margin, "cold_recall_10": found, "warm_kept": kept })
    });
    figures.insert("dense_cold_cases".into(), json!(cold.len()));
    figures.insert("dense_hr_10".into(), json!(line.base.hr_10));
    figures.insert("dense_ndcg_10".into(), json!(line.base.ndcg_10));
    figures.insert("dense_new_alone_10".into(), json!(alone.hr_10));
    figures.insert("dense_margin".into(), json!(margin));
    figures.insert("dense_cold_recall_10".into(), json!(found));
    figures.insert("dense_warm_kept".into(), json!(kept));
    figures.insert("dense".into(), rows.collect());
    Ok(())
}
