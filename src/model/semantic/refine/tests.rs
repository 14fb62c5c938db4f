use super::*;
use crate::{Db, Item, Key, Metric, Schema, model::semantic::Figures};

fn points(count: usize, dim: usize, seed: u64) -> Points {
    let mut dice = Dice::new(seed, 1);
    Points { dim, rows: (0..count * dim).map(|_| dice.normal() * 0.5).collect() }
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let (points, mut dice) = (points(9, 6, 3), Dice::new(4, 2));
    let batch = [(0, 1), (2, 3), (4, 1), (3, 2), (7, 8), (5, 6)];
    let counts = [1, 2, 1, 4, 1, 1, 3, 1, 2];
    let map: Vec<f32> = (0..4 * 6).map(|_| dice.normal() * 0.5).collect();
    let common = counts.map(|n: i32| (n as f32).ln());
    let teacher = Teacher { points: &points, dim: 4, common: &common, threads: 2 };
    let loss = |map: &[f32]| teacher.loss(map, &batch).unwrap().0;
    let (_, grad) = teacher.loss(&map, &batch).unwrap();
    let norm = grad.iter().map(|x| x * x).sum::<f32>().sqrt();
    for at in 0..map.len() {
        let moved = |by: f32| {
            let mut map = map.clone();
            map[at] += by;
            loss(&map)
        };
        let slope = ((moved(1e-2) - moved(-1e-2)) / 2e-2) as f32;
        assert!((slope - grad[at]).abs() < 2e-3 * norm, "{at}: {slope} and {}", grad[at]);
    }
}

/// Goal: content says nothing of who goes with whom, but one direction of it, and that is what is
/// learned; new items follow it.
#[test]
fn what_goes_together_falls_together() {
    let db = Db::in_memory(Schema::new().space("x", 8, Metric::Dot)).unwrap();
    let (mut dice, mut batch) = (Dice::new(5, 1), db.batch());
    let kind = |key: u64| key % 4;
    for key in 0..240u64 {
        let mut vector: Vec<f32> = (0..8).map(|_| dice.normal()).collect();
        vector[6] = if kind(key) & 1 == 1 { 0.7 } else { -0.7 };
        vector[7] = if kind(key) & 2 == 2 { 0.7 } else { -0.7 };
        batch.put(Item::new(key).vector("x", vector));
    }
    batch.commit().unwrap();
    // Users keep to one kind; items from 200 on are new.
    let lists = (0..300u64).map(|user| {
        let item = |_| Key::Id(dice.below(50) as u64 * 4 + kind(user));
        (user, (0..6).map(item).zip(0i64..).collect::<Vec<_>>())
    });
    let sequences = Sequences::new(lists.collect::<Vec<_>>()).unwrap();
    let fit = Fit { levels: vec![4, 4], ..Fit::of(["x"]) };
    let refine = Refine { dim: 4, content: 0.1, batch: 64, ..Refine::of(fit.clone()) };
    let snapshot = db.snapshot();
    let make = |threads| {
        refine.fit(&snapshot, &sequences, &mut Training::new(3).threads(threads)).unwrap()
    };
    let (plain, refined) = (fit.fit(&snapshot, &mut Training::new(3)).unwrap(), make(1));
    assert_eq!(refined, make(2));
    // The share of pairs of new items of one kind that share their first code.
    let together = |book: &Codebook| {
        let code = |key: u64| {
            let vector = snapshot.get(&Key::Id(key)).unwrap().unwrap().vectors[0].1.clone();
            book.encode(&[Some(&vector)]).unwrap().unwrap().codes()[0]
        };
        let codes: Vec<u16> = (200..240).map(code).collect();
        let pairs = (0..40).flat_map(|a| (0..a).map(move |b| (a, b)));
        let same: Vec<_> = pairs.filter(|(a, b)| a % 4 == b % 4).collect();
        same.iter().filter(|(a, b)| codes[*a] == codes[*b]).count() as f64 / same.len() as f64
    };
    let (before, after) = (together(&plain), together(&refined));
    println!("{before:.2} before, {after:.2} after");
    assert!(after > before + 0.25, "{before} before, {after} after");
    let ids: Vec<_> = (0..240)
        .map(|key| {
            let vector = snapshot.get(&Key::Id(key)).unwrap().unwrap().vectors[0].1.clone();
            refined.encode(&[Some(&vector)]).unwrap().unwrap()
        })
        .collect();
    assert!(Figures::of(&ids).unique > 10);
    let none = Sequences::new([(1, vec![(Key::Id(1), 0)])]).unwrap();
    assert!(refine.fit(&snapshot, &none, &mut Training::new(3)).is_err());
    let wrong = Refine { batch: 1, ..refine.clone() };
    assert!(wrong.fit(&snapshot, &sequences, &mut Training::new(3)).is_err());
}
