//! What tuning boosts is worth, on real ratings (issue: unified embedding and retrieval; AT-14).
#![allow(clippy::disallowed_methods)] // Reads shared data, if it is there.

use bowerbird::{
    recommend::{
        replay::{self, Replay, Split},
        *,
    },
    *,
};
use std::collections::BTreeMap;

/// When everything that is known was known.
const CUT: Timestamp = Timestamp(1_000_000);
/// The last ratings of each judged user, to be foretold.
const HELD_OUT: usize = 10;

struct Real {
    /// By item: year, and the vector of its title, genres, plot and cast.
    items: BTreeMap<u64, (i64, Vec<f32>)>,
    /// By user, in time order: item and stars.
    users: Vec<Vec<(u64, f32)>>,
}

fn real() -> Option<Real> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/");
    let read = |name: &str| {
        let bytes = std::fs::read(format!("{folder}{name}"));
        bytes.map_err(|_| println!("SKIPPED: {name} is not there")).ok()
    };
    let vectors = read("embeddings/ml1m_full_minilm384.f16.npy")?;
    let items = String::from_utf8(read("ml1m/items.tsv")?).unwrap();
    let ratings = String::from_utf8(read("ml1m/interactions.tsv")?).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([vectors[8], vectors[9]]));
    let numbers = vectors[header..].as_chunks::<2>().0.iter();
    let numbers: Vec<f32> = numbers.map(|b| half::f16::from_le_bytes(*b).to_f32()).collect();
    let item = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let id: u64 = fields[0].parse().unwrap();
        let vector = numbers[id as usize * 384..][..384].to_vec();
        (id, (fields[4].parse().unwrap_or(1990), vector))
    };
    let mut users: Vec<Vec<(u64, f32)>> = Vec::new();
    for line in ratings.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let user: usize = fields[0].parse().unwrap();
        users.resize(users.len().max(user), Vec::new());
        users[user - 1].push((fields[1].parse().unwrap(), fields[2].parse().unwrap()));
    }
    Some(Real { items: items.lines().skip(1).map(item).collect(), users })
}

/// All items, everything that some users did, and what others did before and after the cut.
fn database(real: &Real, known: &[usize], judged: &[usize]) -> Db {
    let schema = Schema::new()
        .space("text", 384, Metric::Cosine)
        .attr("year", AttrType::Int)
        .event("rate")
        .event("like");
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for (id, (year, vector)) in &real.items {
        batch.put(Item::new(*id).attr("year", *year).vector("text", vector.clone()));
    }
    batch.commit().unwrap();
    for user in known.iter().chain(judged) {
        let (mut batch, all) = (db.batch(), &real.users[*user]);
        let held_out = if judged.contains(user) { HELD_OUT } else { 0 };
        for (step, (item, stars)) in (0i64..).zip(all) {
            let later = step as usize + held_out >= all.len();
            let at = Timestamp(step + if later { CUT.0 } else { 0 });
            batch.event(Event::new(*user as u64, *item, "rate", at).value(*stars));
            if *stars >= 4.0 && held_out == 0 {
                batch.event(Event::new(*user as u64, *item, "like", at));
            }
        }
        batch.commit().unwrap();
    }
    db
}

const NAMES: [&str; 3] = ["popular", "liked", "new"];

fn build(weights: &[f32]) -> Recommender {
    let near = NearBoosted::new(10)
        .near("text", 1.0)
        .boost(Boost::popular(["rate"]), weights[0])
        .boost(Boost::rate(["like"], ["rate"], 20.0), weights[1])
        .boost(Boost::number("year", 1930.0, 2000.0), weights[2])
        .norm_max(9.0);
    let recent = Recent::new("text", 3);
    let scored = Hint::of("NearBoosted(text)");
    Recommender::new().summarize(recent).filter(Seen::new([])).retrieve(near).score(scored)
}

/// Goal: weights of boosts that were tuned on some users raise what was tuned on others by 3 % or
/// more, and do not lower plain NDCG@10 by more than 1 %.
/// Method: ML-1M; 3,000 users for what boosts count, 1,000 to tune on, 2,000 to judge on; their last
/// ten ratings are to be foretold, among all items they had not rated. Tuned: NDCG@10 of what they
/// liked (four stars or more), from no boosts at all; plain: of all that they rated.
#[test]
#[ignore = "takes minutes, and data that is not in the repository"]
fn tuned_boosts_raise_what_was_tuned_on_users_never_seen() {
    let Some(real) = real() else { return };
    let long = (0..real.users.len()).filter(|user| real.users[*user].len() >= 2 * HELD_OUT);
    // Spread over the file, whose users are in no order that matters.
    let mut groups = [Vec::new(), Vec::new(), Vec::new()];
    long.for_each(|user| groups[[0, 0, 0, 1, 2, 2][user % 6]].push(user));
    let [known, validation, test] = groups;
    println!("{} users known, {} to tune, {} to judge", known.len(), validation.len(), test.len());
    let liked = Replay::new(Split::At(CUT), ["rate"], 10).value_min(4.0);
    let plain = Replay::new(Split::At(CUT), ["rate"], 10);
    let quiet = &mut Progress::silent();
    let db = database(&real, &known, &validation);
    let tune =
        NAMES.iter().fold(Tune::new(80).seed(1), |tune, name| tune.weight(name, (0.0, 3.0), 0.0));
    let ndcg = |report: &replay::Report| report.ndcg;
    let tuned = tune.replay(&db.snapshot(), &liked, build, ndcg, quiet).unwrap();
    println!("validation: {:.4} to {:.4} by {:?}", tuned.start, tuned.value, tuned.weights);
    let db = database(&real, &known, &test);
    let judge = |replay: &Replay, weights: &[f32]| {
        let report = replay.run(&db.snapshot(), &build(weights), &mut Progress::silent()).unwrap();
        println!("test, weights {weights:?}, stars {:?}: {report}", replay.value_min);
        report.ndcg
    };
    let none = [0.0; 3];
    let (liked_before, liked_after) = (judge(&liked, &none), judge(&liked, &tuned.weights));
    let (plain_before, plain_after) = (judge(&plain, &none), judge(&plain, &tuned.weights));
    let alone = NAMES.iter().enumerate().map(|(at, _)| {
        let mut one = none;
        one[at] = tuned.weights[at];
        one
    });
    for one in alone {
        judge(&liked, &one);
    }
    assert!(liked_after >= 1.03 * liked_before, "{liked_before} to {liked_after}");
    assert!(plain_after >= 0.99 * plain_before, "{plain_before} to {plain_after}");
}
