use super::*;
use crate::SemanticId;
use std::collections::HashMap;

fn items(count: usize, dim: usize, seed: u64) -> Vec<Vec<Option<Vec<f32>>>> {
    let mut dice = Dice::new(seed, 9);
    (0..count).map(|_| vec![Some((0..dim).map(|_| dice.normal()).collect())]).collect()
}

fn ids(book: &Codebook, items: &[Vec<Option<Vec<f32>>>]) -> Vec<SemanticId> {
    let vectors = |given: &Vec<Option<Vec<f32>>>| -> Vec<Option<Vec<f32>>> { given.clone() };
    let one = |given| {
        let given = vectors(given);
        let given: Vec<Option<&[f32]>> = given.iter().map(|v| v.as_deref()).collect();
        book.encode(&given).unwrap().unwrap()
    };
    items.iter().map(one).collect()
}

/// exp of the entropy of the codes of a level.
fn perplexity(ids: &[SemanticId], level: usize) -> f64 {
    let mut counts: HashMap<u16, f64> = HashMap::new();
    ids.iter().for_each(|id| *counts.entry(id.codes()[level]).or_default() += 1.0);
    let all = ids.len() as f64;
    counts.values().map(|n| -n / all * (n / all).ln()).sum::<f64>().exp()
}

fn error(book: &Codebook, items: &[Vec<Option<Vec<f32>>>], ids: &[SemanticId]) -> f64 {
    let (mut lost, mut all) = (0.0, 0.0);
    for (given, id) in items.iter().zip(ids) {
        let given: Vec<Option<&[f32]>> = given.iter().map(|v| v.as_deref()).collect();
        let (read, said) = (book.read(&given).unwrap(), book.decode(id).unwrap());
        lost += read.iter().zip(&said).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        all += read.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
    }
    lost / all
}

fn distinct(ids: &[SemanticId]) -> usize {
    let mut sorted = ids.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.len()
}

#[test]
fn each_level_says_more_and_threads_change_nothing() {
    let items = items(3000, 12, 1);
    for balanced in [false, true] {
        let fit = Fit { levels: vec![16, 16, 8], balanced, ..Fit::of(["text"]) };
        let book = fit.fit_vectors(&items, &mut Training::new(3)).unwrap();
        let again = fit.fit_vectors(&items, &mut Training::new(3).threads(3)).unwrap();
        assert_eq!(book, again);
        assert_ne!(book, fit.fit_vectors(&items, &mut Training::new(4)).unwrap());
        let ids = ids(&book, &items);
        let errors: Vec<f64> = (1..4)
            .map(|depth| {
                let prefixes: Vec<SemanticId> = ids.iter().map(|id| id.prefix(depth)).collect();
                error(&book, &items, &prefixes)
            })
            .collect();
        assert!(errors[0] < 0.75 && errors[1] < 0.85 * errors[0], "{errors:?}");
        assert!(errors[2] < 0.9 * errors[1], "{errors:?}");
        for (level, codes) in [16.0, 16.0, 8.0].into_iter().enumerate() {
            let used = perplexity(&ids, level);
            assert!(used > codes * if balanced { 0.97 } else { 0.8 }, "level {level}: {used}");
        }
    }
}

/// Items in eight tight groups, some of them larger than an even share of a code.
fn groups(count: usize, width: f32, sizes: &[usize]) -> Vec<Vec<Option<Vec<f32>>>> {
    let mut dice = Dice::new(6, 9);
    let middles: Vec<Vec<f32>> =
        (0..8).map(|_| (0..8).map(|_| dice.normal() * 0.35).collect()).collect();
    let all: usize = sizes.iter().sum();
    let group = |at: usize| {
        let mut place = at % all;
        sizes
            .iter()
            .position(|size| {
                place < *size || {
                    place -= size;
                    false
                }
            })
            .unwrap()
    };
    let mut near = |at| middles[group(at)].iter().map(|x| x + width * dice.normal()).collect();
    (0..count).map(|at| vec![Some(near(at))]).collect()
}

/// Goal: codes are equally used whatever the scale of what they are to tell apart. With steps of one
/// size for all, tight groups went from code to code as a whole, and most codes had no item.
/// Method: even and uneven groups, from loose to very tight.
#[test]
fn tight_groups_are_shared_out_among_codes() {
    let fit = |balanced| Fit { levels: vec![32], balanced, ..Fit::of(["text"]) };
    for sizes in [&[1; 8][..], &[5, 3, 1, 1, 1, 1, 2, 2]] {
        for width in [0.1, 0.03, 0.01, 0.003] {
            let items = groups(960, width, sizes);
            let figures = |balanced| {
                let book = fit(balanced).fit_vectors(&items, &mut Training::new(3)).unwrap();
                let ids = ids(&book, &items);
                (perplexity(&ids, 0), distinct(&ids), error(&book, &items, &ids))
            };
            let (plain, even) = (figures(false), figures(true));
            println!("{sizes:?} {width}: {plain:?}, balanced {even:?}");
            assert!(even.0 > 30.0 && even.0 > plain.0 && even.1 == 32, "{even:?}");
            assert!(even.2 < 2.0 * plain.2, "{even:?} and {plain:?}");
        }
    }
}

/// Goal: copies have one ID and take no codes from the others.
#[test]
fn many_copies_leave_the_codes_to_the_others() {
    let mut items = items(480, 8, 4);
    let copy = items[0].clone();
    items.extend(std::iter::repeat_n(copy, 480));
    let fit = Fit { levels: vec![16], balanced: true, ..Fit::of(["text"]) };
    let ids = ids(&fit.fit_vectors(&items, &mut Training::new(3)).unwrap(), &items);
    assert!(ids[480..].iter().all(|id| *id == ids[0]));
    let others: Vec<SemanticId> = ids[..480].iter().filter(|id| **id != ids[0]).copied().collect();
    let used = perplexity(&others, 0);
    assert!(used > 14.5 && others.len() > 440, "{used} of {}", others.len());
}

/// Goal: of more items than are looked at, those that are drawn are all that is read: a snapshot and a
/// list of the same items say the same codebook.
#[test]
fn a_draw_is_the_same_from_a_snapshot_and_from_a_list() {
    use crate::{Db, Item, Metric, Schema};
    let mut items = items(300, 4, 5);
    let db = Db::in_memory(Schema::new().space("text", 4, Metric::Dot)).unwrap();
    for (key, given) in (0u64..).zip(&items) {
        let vector = given[0].clone().unwrap();
        let item = Item::new(key);
        let item = if key % 3 == 0 { item } else { item.vector("text", vector) };
        db.batch().put(item).commit().unwrap();
    }
    let mut key = 0;
    items.retain(|_| {
        key += 1;
        (key - 1) % 3 != 0
    });
    for most in [1, 50, 200, 1000] {
        let fit = Fit { levels: vec![8], items: most, ..Fit::of(["text"]) };
        let read = fit.fit(&db.snapshot(), &mut Training::new(2)).unwrap();
        let given = fit.fit_vectors(&items, &mut Training::new(2)).unwrap();
        assert_eq!(read, given, "{most}");
    }
}

#[test]
fn strange_items_have_codebooks_too() {
    let fit = Fit { levels: vec![8, 4], ..Fit::of(["text"]) };
    for balanced in [false, true] {
        let fit = Fit { balanced, ..fit.clone() };
        // One item, the same item often, fewer distinct ones than codes, and nothing but zeros.
        let same = vec![vec![Some(vec![1.0, 2.0])]; 30];
        let few: Vec<_> = (0..30).map(|n| vec![Some(vec![1.0, (n % 3) as f32])]).collect();
        for items in [&same[..1], &same, &few, &vec![vec![Some(vec![0.0, 0.0])]; 4]] {
            let book = fit.fit_vectors(items, &mut Training::new(1)).unwrap();
            let found = distinct(&ids(&book, items));
            let want = distinct_rows(items);
            assert!(found <= want && (balanced || found == want), "{found} of {want}");
        }
    }
}

fn distinct_rows(items: &[Vec<Option<Vec<f32>>>]) -> usize {
    let mut rows: Vec<String> = items.iter().map(|given| format!("{given:?}")).collect();
    rows.sort();
    rows.dedup();
    rows.len()
}

#[test]
fn bad_options_and_vectors_are_refused() {
    let fit = || Fit { levels: vec![4], ..Fit::of(["text"]) };
    let fails = |fit: Fit, items: &[Vec<Option<Vec<f32>>>]| {
        let error = fit.fit_vectors(items, &mut Training::new(1)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    };
    let good = items(10, 3, 2);
    fails(Fit { levels: vec![], ..fit() }, &good);
    fails(Fit { levels: vec![0], ..fit() }, &good);
    fails(Fit { levels: vec![70_000], ..fit() }, &good);
    fails(Fit { levels: vec![4; 9], ..fit() }, &good);
    fails(Fit { iterations: 0, ..fit() }, &good);
    fails(Fit { items: 0, ..fit() }, &good);
    fails(Fit { inputs: vec![], ..fit() }, &good);
    fails(Fit { inputs: vec![("text".into(), f32::NAN)], ..fit() }, &good);
    fails(fit(), &[]);
    fails(fit(), &[vec![None]]);
    fails(fit(), &[vec![Some(vec![f32::INFINITY, 0.0])]]);
    fails(fit(), &[vec![Some(vec![1.0])], vec![Some(vec![1.0, 2.0])]]);
    fails(fit(), &[vec![Some(vec![1.0]), Some(vec![1.0])]]);
    let progress = crate::Progress::to(|_, _| false);
    let cancelled = fit().fit_vectors(&good, &mut Training::new(1).progress(progress));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}
