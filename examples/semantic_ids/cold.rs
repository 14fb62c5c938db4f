//! Items that nobody has seen: are they found, and what does it cost the others?

use super::{
    Outcome, Shop,
    args::Args,
    decoder,
    judge::{Case, Quality, judge},
};
use bowerbird::{
    Snapshot,
    model::semantic::NewItems,
    recommend::{Explore, NearInterests, Recent, Recommender, Rrf, Seen, Similarity, Weighted},
};
use serde_json::{Map, Value as Json, json};

/// The user's latest items that are compared with.
const LATEST: usize = 3;

/// The nearest by content of all items, in several spaces of equal weight.
pub(crate) fn content(spaces: &[String]) -> Recommender {
    let mut score = Weighted::new();
    let mut recommender = Recommender::new().filter(Seen::new(["view"]));
    for space in spaces {
        recommender = recommender
            .summarize(Recent::new(space, LATEST))
            .retrieve(NearInterests::new(space, 100));
        score = score.add(1.0, Similarity::new(space));
    }
    recommender.score(score)
}

/// What the decoder says, and on the last places new items whose content is near enough.
fn mixed(args: &Args, space: &str, places: usize, least: f32) -> Recommender {
    let new = NewItems::fewer_than(1, ["view"], NearInterests::new(space, 20));
    let ranked = Rrf { weights: vec![("NewItems".into(), 0.0)], ..Rrf::default() };
    decoder(args)
        .summarize(Recent::new(space, LATEST))
        .retrieve(new)
        .score(ranked)
        .select(Explore::new("NewItems", places).least(least))
}

pub(crate) fn start(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let snapshot = shop.db.snapshot();
    let space = if args.refine { "refined" } else { "v0" };
    let is_cold = |case: &&Case| shop.cold.contains(&case.target);
    let (cold, warm): (Vec<&Case>, Vec<&Case>) = shop.cases.iter().partition(is_cold);
    let all = |recommender: &Recommender| -> Outcome<(Quality, Quality)> {
        both(&snapshot, recommender, (&cold, &warm), args)
    };
    let nearest = all(&content(&[space.to_owned()]))?;
    let alone = all(&decoder(args))?;
    println!("{} new items, {} cases of them", shop.cold.len(), cold.len());
    println!("nearest by content: new {:.4}, others {:?}", nearest.0.hr_10, nearest.1);
    println!("decoder alone: new {:.4}, others {:?}", alone.0.hr_10, alone.1);
    let mut rows = Vec::new();
    for (places, least) in [(1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5), (3, 0.0), (3, 0.55)] {
        let said = all(&mixed(args, space, places, least))?;
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
