//! How long a step of training takes, beside the proof of concept that it grew from.

use super::{
    architecture::{Architecture, Tag},
    fit::{Fit, Recipe},
    sasrec::Loss,
    trained::Transformer,
};
use crate::model::{method::Method, train::dice::Dice};
use std::time::Instant;

/// Goal: to know seconds per step, one thread, for the four shapes that were measured for other
/// frameworks. Method: the least of several steps. Run it with `--ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn steps_take_so_long() {
    const ITEMS: usize = 3500;
    let sampled = Loss::Sampled { negatives: 256, corrected: false };
    for (length, loss) in [(50, sampled), (50, Loss::Full), (200, sampled), (200, Loss::Full)] {
        for dropout in [0.0, 0.2] {
            let mut dice = Dice::new(7, 1);
            let lists: Vec<Vec<u32>> = (0..128)
                .map(|_| (0..=length).map(|_| dice.below(ITEMS) as u32).collect())
                .collect();
            let architecture = Architecture::new(Tag::PreLn, ITEMS, 64, length).unwrap();
            let mut net = Transformer::fresh(architecture, &mut dice).unwrap();
            let recipe = Recipe {
                loss,
                rate: 1e-3,
                batch: 128,
                epochs: 1,
                patience: 1,
                dropout,
                mask: (0.0, 0.0),
                repeats: 0.0,
            };
            let windows = lists.iter().map(|list| &list[..]).collect();
            let mut fit = Fit::new(&net, windows, recipe, (7, 1));
            let batch: Vec<usize> = (0..128).collect();
            let mut least = f64::MAX;
            for _ in 0..8 {
                let begun = Instant::now();
                fit.step(&mut net, &batch);
                least = least.min(begun.elapsed().as_secs_f64());
            }
            println!("length {length}, {loss:?}, dropout {dropout}: {least:.4} s");
        }
    }
}

/// Goal: to know how long a user's vector takes, on one thread, and the scores of all items.
#[test]
#[ignore = "prints times"]
fn users_take_so_long() {
    for length in [50, 200] {
        let mut dice = Dice::new(7, 1);
        let architecture = Architecture::new(Tag::PreLn, 12_000, 64, length).unwrap();
        let net = Transformer::fresh(architecture, &mut dice).unwrap();
        let history: Vec<u32> = (0..length).map(|_| dice.below(12_000) as u32).collect();
        let (mut user, mut scores) = (vec![0f32; 64], vec![0f32; 12_000]);
        let mut least = [f64::MAX; 2];
        for _ in 0..200 {
            let begun = Instant::now();
            net.encode(&history, &mut user).unwrap();
            least[0] = least[0].min(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            net.scores(&history, &mut scores).unwrap();
            least[1] = least[1].min(begun.elapsed().as_secs_f64());
        }
        println!("length {length}: a vector {:.6} s, all scores {:.6} s", least[0], least[1]);
    }
}
