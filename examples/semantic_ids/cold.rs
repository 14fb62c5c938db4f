//! Items that nobody has seen: are they found, and what does it cost the others?

use super::{
    Outcome, Shop,
    args::Args,
    decoder,
    judge::{Case, Quality, judge},
};
use bowerbird::{
    Snapshot,
    model::semantic::{Explore, NewItems},
    recommend::{NearInterests, Recent, Recommender, Seen},
};
use serde_json::{Map, Value as Json, json};

/// The space that content is compared in.
const SPACE: &str = "v0";
/// The user's latest items that are compared with.
const LATEST: usize = 3;

/// The nearest by content of all items.
fn content() -> Recommender {
    Recommender::new()
        .summarize(Recent::new(SPACE, LATEST))
        .filter(Seen::new(["view"]))
        .retrieve(NearInterests::new(SPACE, 100))
        .score(bowerbird::recommend::Similarity::new(SPACE))
}

/// What the decoder says, and on the last places new items whose content is near enough.
fn mixed(args: &Args, places: usize, least: f32) -> Recommender {
    let near = NearInterests::new(SPACE, 20);
    let new = NewItems::fewer_than(1, ["view"], near);
    decoder(args)
        .summarize(Recent::new(SPACE, LATEST))
        .retrieve(new)
        .score(bowerbird::recommend::Rrf::default())
        .select(Explore::new("NewItems", places).least(least))
}

pub(crate) fn start(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let snapshot = shop.db.snapshot();
    let is_cold = |case: &&Case| shop.cold.contains(&case.target);
    let (cold, warm): (Vec<&Case>, Vec<&Case>) = shop.cases.iter().partition(is_cold);
    let all = |recommender: &Recommender| -> Outcome<(Quality, Quality)> {
        both(&snapshot, recommender, (&cold, &warm), args)
    };
    let nearest = all(&content())?;
    let alone = all(&decoder(args))?;
    println!("{} new items, {} cases of them", shop.cold.len(), cold.len());
    println!("nearest by content: new {:.4}, others {:?}", nearest.0.hr_10, nearest.1);
    println!("decoder alone: new {:.4}, others {:?}", alone.0.hr_10, alone.1);
    let mut rows = Vec::new();
    for (places, least) in [(1, 0.0), (2, 0.0), (3, 0.0), (3, 0.7), (3, 0.8), (5, 0.8)] {
        let said = all(&mixed(args, places, least))?;
        let kept = said.1.ndcg_10 / alone.1.ndcg_10;
        println!(
            "{places} places from {least}: new {:.4}, others NDCG@10 {:.4} ({kept:.3} of alone)",
            said.0.hr_10, said.1.ndcg_10
        );
        rows.push(json!({
            "places": places, "least": least, "cold_recall_10": said.0.hr_10, "warm_kept": kept
        }));
    }
    figures.insert("cold_cases".into(), json!(cold.len()));
    figures.insert("cold_content_recall_10".into(), json!(nearest.0.hr_10));
    figures.insert("cold_decoder_recall_10".into(), json!(alone.0.hr_10));
    figures.insert("warm_ndcg_10".into(), json!(alone.1.ndcg_10));
    figures.insert("cold".into(), json!(rows));
    Ok(())
}

fn both(
    snapshot: &Snapshot,
    recommender: &Recommender,
    (cold, warm): (&[&Case], &[&Case]),
    args: &Args,
) -> Outcome<(Quality, Quality)> {
    let found = judge(snapshot, recommender, cold, args.threads)?;
    Ok((found, judge(snapshot, recommender, warm, args.threads)?))
}
