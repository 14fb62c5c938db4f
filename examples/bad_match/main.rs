//! Is this match any good? A gate learns which films users will not like, and which are not what was meant.
//!
//! ```text
//! cargo run --release --example bad_match [--features boosting] [-- --data FOLDER]
//! ```
//!
//! Without `--data` it uses the movies of this repository. FOLDER is that of ML-100K, with `ml-100k.inter` and
//! `ml-100k.item`. Ratings are split in time: of the first 60 % are features, of the next 20 % labels, and
//! the last 20 % are the test. A rating of two stars or fewer is a bad match. Ends with a JSON line for each
//! classifier.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

#[path = "../movies/data.rs"]
#[allow(dead_code, reason = "it is shared: not all examples read all of it")]
mod movies;
mod ratings;
mod search;
mod serve;
mod world;

use bowerbird::model::{Training, classify::*};
use ratings::{judge, noisy};
use std::{path::PathBuf, time::Instant};
use world::{Film, Outcome, Rating, World};

fn main() -> Outcome<()> {
    let mut given = std::env::args().skip(1);
    let mut folder = None;
    while let Some(word) = given.next() {
        match (word.as_str(), given.next()) {
            ("--data", Some(path)) => folder = Some(PathBuf::from(path)),
            _ => return Err(format!("{word:?} is not known; --data FOLDER is").into()),
        }
    }
    let movies = movies::Data::load()?;
    let world = match &folder {
        Some(folder) => World::ml100k(folder)?,
        None => small(&movies),
    };
    let task = ratings::task(&world)?;
    let (learn, test) = (task.learn.rows()?, task.test.rows()?);
    let (earlier, before) = (world.earlier(), ratings::task(&world.earlier())?);
    println!("{} pairs to learn from, {} to be judged by", learn.len(), test.len());
    #[allow(unused_mut, reason = "one more with boosting")]
    let mut all = vec![("logistic", FitClassifier::logistic())];
    #[cfg(feature = "boosting")]
    all.push(("trees", FitClassifier::boosting()));
    for (name, fit) in all {
        let start = Instant::now();
        let classifier = fit.train(&learn, &mut Training::new(7))?;
        let train_s = start.elapsed().as_secs_f64();
        let clean = judge(&classifier, &test)?;
        let of = |rows: &Rows| judge(&fit.train(rows, &mut Training::new(7))?, &test);
        let random = of(&noisy(&learn, 5, |_| true)?)?;
        let genre = of(&noisy(&learn, 5, |at| task.drama[at])?)?;
        // How often a match is bad changes: what was labelled may be of a bad month. A gate can expect what
        // was so in all the time before; whether that is better is asked of the time before the test, too.
        let expecting = judge(&classifier.clone().expecting(world.share())?, &test)?;
        let past = fit.train(&before.learn.rows()?, &mut Training::new(7))?;
        let past_test = before.test.rows()?;
        let past_clean = judge(&past, &past_test)?;
        let past_expecting = judge(&past.expecting(earlier.share())?, &past_test)?;
        let served = serve::served(&task, &fit)?;
        let found = search::search(&movies, &fit)?;
        let line = serde_json::json!({
            "classifier": name,
            "data": folder.as_ref().map_or("movies", |_| "ml100k"),
            "pairs": test.len(),
            "cold_users": task.cold,
            "auc": clean.quality.auc,
            "held_out_auc": classifier.quality().auc,
            "bad": clean.bad.0,
            "bad_after": clean.bad.1,
            "cut": clean.cut(),
            "ece": clean.quality.expected_calibration_error,
            "ece_expecting": expecting.quality.expected_calibration_error,
            "share_learned": classifier.quality().share,
            "share_expected": world.share(),
            "past_auc": past_clean.quality.auc,
            "past_ece": past_clean.quality.expected_calibration_error,
            "past_ece_expecting": past_expecting.quality.expected_calibration_error,
            "auc_random_noise": random.quality.auc,
            "ece_random_noise": random.quality.expected_calibration_error,
            "auc_genre_noise": genre.quality.auc,
            "cut_genre_noise": genre.cut(),
            "ece_genre_noise": genre.quality.expected_calibration_error,
            "train_s": train_s,
            "ns_per_row": served.ns_per_row,
            "us_per_candidate": served.us_per_candidate,
            "dropped": served.dropped,
            "search_pairs": found.pairs,
            "search_auc_vectors": found.vectors.0,
            "search_auc_words": found.words.0,
            "search_ndcg_words": found.words.1,
            "search_auc_gate": found.gate.0,
            "search_ndcg_vectors": found.vectors.1,
            "search_ndcg_gate": found.gate.1,
            "search_ece": found.error,
        });
        let (auc, error) = (clean.quality.auc, clean.quality.expected_calibration_error);
        println!(
            "\n{name}: AUC {auc:.3}; without the worst fifth, bad matches go from {:.3} to {:.3}",
            clean.bad.0, clean.bad.1
        );
        println!(
            "calibration error {error:.3}, and {:.3} if the share of bad that was so before is expected",
            expecting.quality.expected_calibration_error
        );
        println!(
            "AUC with 30 % of labels turned round: {:.3} at random, {:.3} in one genre",
            random.quality.auc, genre.quality.auc
        );
        println!(
            "searches, AUC: vectors {:.3}, words {:.3}, gate {:.3}; {:.1} us a candidate",
            found.vectors.0, found.words.0, found.gate.0, served.us_per_candidate
        );
        println!("what the gate goes by:");
        for (column, size) in classifier.importance() {
            println!("{size:10.3} {column}");
        }
        println!("\n{line}");
        assert!(
            clean.quality.auc > 0.6 && clean.bad.1 < clean.bad.0,
            "the gate has learned nothing"
        );
        let alone = found.vectors.0.max(found.words.0);
        assert!(found.gate.0 > alone, "the gate is no better than vectors alone, or words alone");
    }
    Ok(())
}

fn small(movies: &movies::Data) -> World {
    let film = |movie: &movies::Movie| Film {
        id: movie.id,
        year: movie.year,
        genres: movie.genres.clone(),
    };
    let rating =
        |r: &movies::Rating| Rating { user: r.user, film: r.movie, stars: r.stars, at: r.at };
    let films = movies.movies.iter().map(film).collect();
    World::new(films, movies.ratings.iter().map(rating).collect())
}
