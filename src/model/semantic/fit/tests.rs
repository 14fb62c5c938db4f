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
