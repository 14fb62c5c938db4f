use super::*;
use crate::{Db, Item, Key, Metric, Schema, model::semantic::Figures};

fn points(count: usize, dim: usize, seed: u64) -> Points {
    let mut dice = Dice::new(seed, 1);
    Points { dim, rows: (0..count * dim).map(|_| dice.normal() * 0.5).collect() }
}

/// Goal: the hand-written gradient is that of the loss, and the same for any number of threads.
/// Method: central differences, for a batch and a map of more than one part.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let (points, mut dice) = (points(30, 6, 3), Dice::new(4, 2));
    let mut pair = || (dice.below(30) as u32, dice.below(30) as u32);
    let batch: Vec<(u32, u32)> = (0..70).map(|_| pair()).filter(|(a, b)| a != b).collect();
    let common: Vec<f32> = (0..30).map(|n| ((n % 4 + 1) as f32).ln()).collect();
    let mut map: Vec<f32> = (0..40 * 6).map(|_| dice.normal() * 0.2).collect();
    let teacher = |threads| Teacher { points: &points, dim: 40, common: &common, threads };
    let (first, grad) = teacher(1).loss(&map, &batch).unwrap();
    assert_eq!((first, grad.clone()), teacher(3).loss(&map, &batch).unwrap());
    let most = grad.iter().fold(0f32, |most, x| most.max(x.abs()));
    for at in (0..map.len()).step_by(7) {
        let mut moved = |by: f32| {
            let before = map[at];
            map[at] += by;
            let loss = teacher(1).loss(&map, &batch).unwrap().0;
            map[at] = before;
            loss
        };
        let slope = ((moved(1e-2) - moved(-1e-2)) / 2e-2) as f32;
        assert!((slope - grad[at]).abs() < 1e-2 * most, "{at}: {slope} and {}", grad[at]);
    }
}

#[test]
fn pairs_are_near_different_and_both_ways() {
    let mut dice = Dice::new(1, 1);
    let found = pairs::pairs(&[vec![0, 1, 1, 2], vec![], vec![3]], (4, 2), &mut dice).unwrap();
    assert_eq!(found, [(0, 1), (1, 0), (0, 1), (1, 0), (1, 2), (2, 1), (1, 2), (2, 1)]);
    for wrong in [vec![vec![0, 4]], vec![vec![2, 2]], vec![]] {
        assert!(matches!(pairs::pairs(&wrong, (4, 2), &mut dice), Err(Error::Invalid { .. })));
    }
}

#[test]
fn bad_options_are_refused_and_training_can_be_cancelled() {
    let items: Vec<_> = (0..9).map(|n| vec![Some(vec![n as f32, 1.0])]).collect();
    let lists = vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7, 8]];
    let good = Refine::of(Fit { levels: vec![2, 2], ..Fit::of(["x"]) });
    let fit = |refine: &Refine| refine.fit_vectors(&items, &lists, &mut Training::new(1));
    assert!(fit(&good).is_ok());
    for wrong in [
        Refine { dim: 0, ..good.clone() },
        Refine { batch: 1, ..good.clone() },
        Refine { batch: 10_000, ..good.clone() },
        Refine { window: 0, ..good.clone() },
        Refine { epochs: 0, ..good.clone() },
        Refine { content: f32::NAN, ..good.clone() },
        Refine { learning_rate: f32::INFINITY, ..good.clone() },
        Refine { fit: Fit::of([]), ..good.clone() },
    ] {
        assert!(matches!(fit(&wrong), Err(Error::Invalid { .. })), "{wrong:?}");
    }
    let progress = crate::Progress::to(|done, _| done < 2);
    let mut how = Training::new(1).progress(progress);
    assert!(matches!(good.fit_vectors(&items, &lists, &mut how), Err(Error::Cancelled)));
}

/// Goal: an epoch ends where it is cancelled. It never asked: it had nothing to report.
#[test]
fn an_epoch_can_be_cancelled_before_its_end() {
    let items: Vec<_> = (0..500).map(|n| vec![Some(vec![n as f32, 1.0])]).collect();
    let lists: Vec<Vec<u32>> = (0..400).map(|at| (at..at + 100).collect()).collect();
    let fit = Fit { levels: vec![2, 2], ..Fit::of(["x"]) };
    let refine = Refine { epochs: 1, batch: 2, ..Refine::of(fit) };
    let (begun, mut last) = (std::time::Instant::now(), 0);
    let progress = crate::Progress::to(|done, _| {
        last = done;
        begun.elapsed() < std::time::Duration::from_millis(50)
    });
    let mut how = Training::new(1).progress(progress);
    assert!(matches!(refine.fit_vectors(&items, &lists, &mut how), Err(Error::Cancelled)));
    drop(how);
    assert_eq!(last, 0);
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
}
