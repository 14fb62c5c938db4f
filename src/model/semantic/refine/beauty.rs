//! What Refine does to IDs of real items: a proxy, on validation items only.
#![allow(clippy::disallowed_methods)] // Reads shared data, if it is there.

use super::*;
use crate::{SemanticId, model::semantic::Figures, model::semantic::fit::points::Given};
use std::collections::HashMap;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/");

/// Titles' vectors; item n lies at n - 1.
fn vectors() -> Option<Vec<Given>> {
    let path = format!("{FOLDER}embeddings/beauty_title_minilm384.f16.npy");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("SKIPPED: {path} is not there");
        return None;
    };
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let pairs = bytes[header..].as_chunks::<2>().0.iter();
    let numbers: Vec<f32> = pairs.map(|pair| half::f16::from_le_bytes(*pair).to_f32()).collect();
    Some(numbers.chunks_exact(384).skip(1).map(|row| vec![Some(row.to_vec())]).collect())
}

/// Per user the items but for the last, which is test data; the last of these is to be found.
fn lists() -> Option<Vec<Vec<u32>>> {
    let path = format!("{FOLDER}s3rec/Beauty.txt");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: {path} is not there");
        return None;
    };
    let list = |line: &str| {
        let mut items: Vec<u32> =
            line.split(' ').skip(1).map(|item| item.parse::<u32>().unwrap() - 1).collect();
        items.pop();
        items
    };
    Some(text.lines().map(list).collect())
}

fn ids(book: &Codebook, items: &[Given]) -> Vec<SemanticId> {
    let one = |given: &Given| {
        let given: Vec<Option<&[f32]>> = given.iter().map(|v| v.as_deref()).collect();
        book.encode(&given).unwrap().unwrap()
    };
    items.iter().map(one).collect()
}

/// NDCG@10 of the items to be found, by nothing but counts of which prefix follows which: how much the
/// codes say. Full ranking, items of the history left out; ties count by what is expected.
fn markov(ids: &[SemanticId], lists: &[Vec<u32>], every: usize) -> f64 {
    let levels = ids[0].codes().len();
    let prefix = |item: u32, level: usize| ids[item as usize].prefix(level + 1);
    let mut follows: Vec<HashMap<SemanticId, HashMap<SemanticId, f64>>> =
        vec![HashMap::new(); levels];
    let mut sizes: HashMap<SemanticId, f64> = HashMap::new();
    for item in 0..ids.len() as u32 {
        (0..levels).for_each(|l| *sizes.entry(prefix(item, l)).or_default() += 1.0);
    }
    for list in lists {
        let known = &list[..list.len() - 1];
        for (at, from) in known.iter().enumerate() {
            for (far, to) in known[at + 1..].iter().take(3).enumerate() {
                for (level, follows) in follows.iter_mut().enumerate() {
                    let next = follows.entry(prefix(*from, level)).or_default();
                    *next.entry(prefix(*to, level)).or_default() += 1.0 / (far + 1) as f64;
                }
            }
        }
    }
    let (mut gain, mut cases) = (0.0, 0);
    for list in lists.iter().step_by(every) {
        let (target, known) = list.split_last().unwrap();
        let mut by_prefix: HashMap<SemanticId, f64> = HashMap::new();
        for (far, from) in known.iter().rev().take(3).enumerate() {
            for (level, follows) in follows.iter().enumerate() {
                let Some(next) = follows.get(&prefix(*from, level)) else { continue };
                let all: f64 = next.values().sum();
                for (to, n) in next {
                    let share = n / (all + 5.0) / sizes[to] / (far + 1) as f64;
                    *by_prefix.entry(*to).or_default() += share;
                }
            }
        }
        let score = |item: u32| -> f64 {
            (0..levels).filter_map(|l| by_prefix.get(&prefix(item, l))).sum()
        };
        let own = score(*target);
        let (mut over, mut same) = (0usize, 0usize);
        for item in 0..ids.len() as u32 {
            if item == *target || known.contains(&item) {
                continue;
            }
            let other = score(item);
            over += usize::from(other > own);
            same += usize::from(other == own);
        }
        // Any place among the tied is as likely.
        let places = over..over + same + 1;
        let sum: f64 = places.filter(|at| *at < 10).map(|at| 1.0 / (at as f64 + 2.0).log2()).sum();
        gain += sum / (same + 1) as f64;
        cases += 1;
    }
    gain / cases as f64
}

/// Goal: refined codes say more of what comes next than those of content alone, and stay in even use.
/// Method: both balanced, 3 x 256, of Beauty titles; learned from all but the last two items of each user;
/// Markov counts over prefixes have to find the last but one.
#[test]
#[ignore = "takes minutes: k-means and eight passes over pairs on 384 numbers"]
fn refined_codes_of_beauty_say_more_of_the_next_item() {
    let (Some(items), Some(lists)) = (vectors(), lists()) else { return };
    let train: Vec<Vec<u32>> = lists.iter().map(|list| list[..list.len() - 1].to_vec()).collect();
    let fit = Fit { balanced: true, ..Fit::of(["text"]) };
    let how = || Training::new(7).threads(2);
    let mut said = Vec::new();
    for refined in [false, true] {
        let begun = std::time::Instant::now();
        let book = match refined {
            false => fit.fit_vectors(&items, &mut how()).unwrap(),
            true => Refine::of(fit.clone()).fit_vectors(&items, &train, &mut how()).unwrap(),
        };
        let seconds = begun.elapsed().as_secs_f64();
        let ids = ids(&book, &items);
        let (figures, ndcg) = (Figures::of(&ids), markov(&ids, &lists, 8));
        println!("refined {refined}: NDCG@10 {ndcg:.4}, {seconds:.0} s, {figures:?}");
        assert!(figures.perplexity.iter().all(|used| *used >= 240.0) && figures.unique >= 10_500);
        said.push(ndcg);
    }
    assert!(said[1] > 1.03 * said[0], "{said:?}");
}
