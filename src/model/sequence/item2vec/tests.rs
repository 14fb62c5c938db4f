//! What item2vec promises.

use super::{Item2Vec, Table, learn::learn};
use crate::{
    Db, Key, Provenance, Schema,
    model::{Model, NewItem, Sequences, Train, Training, method::Method, train::dice::Dice},
};

/// Two worlds of items that never meet: 0 to 4 and 5 to 9; each user stays in one.
fn worlds() -> Sequences {
    let mut dice = Dice::new(1, 1);
    let lists = (0..200u64).map(|user| {
        let step = |at: i64| (Key::Id(user % 2 * 5 + dice.below(5) as u64), at);
        (user, (0..8).map(step).collect())
    });
    Sequences::new(lists.collect::<Vec<_>>()).unwrap()
}

fn scores(model: &Model, history: &[u32]) -> Vec<f32> {
    let mut scores = vec![0f32; model.vocabulary().len()];
    model.method().scores(history, &mut scores).unwrap();
    scores
}

/// Goal: items that come near each other are next and similar, in every variant.
#[test]
fn items_of_one_world_go_together() {
    let plain = Item2Vec { dim: 16, epochs: Some(20), ..Item2Vec::default() };
    let variants = [
        plain.clone(),
        Item2Vec { order_aware: false, ..plain.clone() },
        Item2Vec { directed: true, ..plain.clone() },
        Item2Vec { alpha: -1.0, ..plain.clone() },
        Item2Vec { subsample: 0.05, dim: 19, ..plain },
    ];
    for options in variants {
        let model = options.train(&worlds(), &mut Training::new(3)).unwrap();
        let mut similar = vec![0f32; 10];
        model.method().similar(2, &mut similar).unwrap().unwrap();
        for scores in [scores(&model, &[1, 2]), similar] {
            let near = scores[..5].iter().fold(f32::INFINITY, |a, b| a.min(*b));
            let far = scores[5..].iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            assert!(near > far, "{options:?}: {scores:?}");
        }
    }
}

/// Goal: the number of threads changes nothing at all, with several blocks of vectors.
#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let mut dice = Dice::new(5, 1);
    let lists: Vec<_> = (0..1000u64)
        .map(|user| (user, (0..5).map(|at| (Key::Id(dice.below(2000) as u64), at)).collect()))
        .collect();
    let sequences = Sequences::new(lists).unwrap();
    let side_info = (0..2000).map(|id| (Key::Id(id), vec![format!("t{}", id % 7)])).collect();
    let options = Item2Vec { dim: 8, epochs: Some(2), side_info, ..Item2Vec::default() };
    let train = |threads| {
        let model = options.train(&sequences, &mut Training::new(3).threads(threads)).unwrap();
        let table: &Table = model.of_method().unwrap();
        let vectors = table.vectors().unwrap();
        (vectors.input.to_vec(), vectors.out.to_vec())
    };
    let one = train(1);
    assert!(one == train(2) && one == train(3));
}

/// Goal: one step goes down the gradient of the loss. Method: finite differences of the loss that
/// the step itself reports.
#[test]
fn a_step_follows_the_gradient() {
    let (dim, mut dice) = (18, Dice::new(2, 2));
    let item: Vec<f32> = (0..dim).map(|_| dice.normal() * 0.5).collect();
    let out: Vec<f32> = (0..4 * dim).map(|_| dice.normal() * 0.5).collect();
    let targets = [2, 0, 3];
    let loss = |item: &[f32], out: &[f32]| {
        let (mut item, mut out, mut change) = (item.to_vec(), out.to_vec(), vec![0f32; dim]);
        learn(&mut item, &mut out, &targets, 0.0, &mut change, true)
    };
    let (mut moved, mut moved_out, mut change) = (item.clone(), out.clone(), vec![0f32; dim]);
    learn(&mut moved, &mut moved_out, &targets, 0.1, &mut change, false);
    let close = |step: f32, up: f64, down: f64| {
        let slope = (up - down) / 0.02;
        let wrong = (f64::from(step) / -0.1 - slope).abs();
        assert!(wrong < 1e-3 * slope.abs().max(0.1), "{step} for a slope of {slope}");
    };
    let nudged = |list: &[f32], at: usize, by: f32| {
        let mut list = list.to_vec();
        list[at] += by;
        list
    };
    for at in 0..dim {
        let (up, down) = (nudged(&item, at, 0.01), nudged(&item, at, -0.01));
        close(moved[at] - item[at], loss(&up, &out), loss(&down, &out));
    }
    for at in 0..4 * dim {
        let (up, down) = (nudged(&out, at, 0.01), nudged(&out, at, -0.01));
        close(moved_out[at] - out[at], loss(&item, &up), loss(&item, &down));
    }
}

/// Goal: a new item is near those with its words.
#[test]
fn words_place_an_item_that_was_never_seen() {
    let word = |id: u64| (Key::Id(id), vec![format!("world:{}", id / 5)]);
    let side_info = (0..10).map(word).chain([(Key::Id(77), vec!["rare".into()])]).collect();
    let options = Item2Vec { dim: 16, epochs: Some(20), side_info, ..Item2Vec::default() };
    let model = options.train(&worlds(), &mut Training::new(3)).unwrap();
    let new = NewItem::of(&model, ["world:1", "never"]).unwrap();
    assert_eq!(new.known, 1);
    let vectors = model.method().vectors().unwrap();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let near: Vec<f32> = vectors.input.chunks(16).map(|row| cosine(&new.input, row)).collect();
    assert!(near[5..].iter().all(|x| near[..5].iter().all(|y| x > y)), "{near:?}");
    let mut user = vec![0f32; 16];
    model.method().encode(&[6, 8], &mut user).unwrap();
    let right = dot(&user, &new.out);
    model.method().encode(&[1, 2], &mut user).unwrap();
    assert!(right > dot(&user, &new.out));
    // The word of an item that is in no sequence is not known.
    let none = NewItem::of(&model, ["rare"]).unwrap();
    assert!(none.known == 0 && none.input.iter().all(|x| *x == 0.0));
}

/// Goal: a saved model scores as it did.
#[test]
fn a_saved_model_is_the_same() {
    let word = |id: u64| (Key::Id(id), vec![format!("world:{}", id / 5)]);
    let side_info = (0..10).map(word).collect();
    let options = Item2Vec { dim: 5, epochs: Some(2), side_info, ..Item2Vec::default() };
    let model = options.train(&worlds(), &mut Training::new(3)).unwrap();
    let db = Db::in_memory(Schema::new()).unwrap();
    let version = db.publish("next", &model, Provenance::default()).unwrap();
    db.activate("next", version).unwrap();
    let opened = db.snapshot().artifact::<Model>("next").unwrap();
    assert_eq!(scores(&model, &[3, 4]), scores(&opened, &[3, 4]));
    let new = |model: &Model| NewItem::of(model, ["world:0"]).unwrap();
    assert_eq!(new(&model), new(&opened));
}

/// Goal: odd sequences and options give an error or a model, never a panic.
#[test]
fn odd_input_is_an_error_or_a_rule() {
    let list =
        |items: &[u64]| -> Vec<(Key, i64)> { items.iter().map(|id| (Key::Id(*id), 0)).collect() };
    let train = |options: Item2Vec, lists: Vec<Vec<(Key, i64)>>| {
        let sequences = Sequences::new(lists.into_iter().map(|list| (1, list))).unwrap();
        options.train(&sequences, &mut Training::new(1))
    };
    let quick = Item2Vec { dim: 4, epochs: Some(1), ..Item2Vec::default() };
    assert!(train(quick.clone(), vec![]).is_err());
    assert!(train(quick.clone(), vec![list(&[1]), list(&[2])]).is_err());
    assert!(train(quick.clone(), vec![list(&[1, 1])]).is_ok());
    let long: Vec<u64> = (0..100_000).map(|at| at % 100).collect();
    for order_aware in [true, false] {
        let options = Item2Vec { order_aware, ..quick.clone() };
        let model = train(options, vec![list(&long)]).unwrap();
        assert!(scores(&model, &vec![5; 100_000]).iter().all(|score| score.is_finite()));
        assert_eq!(scores(&model, &[]), vec![0.0; 100]);
    }
    for wrong in [
        Item2Vec { dim: 0, ..quick.clone() },
        Item2Vec { window: 0, ..quick.clone() },
        Item2Vec { negatives: 0, ..quick.clone() },
        Item2Vec { epochs: Some(0), ..quick.clone() },
        Item2Vec { recent: 0, ..quick.clone() },
        Item2Vec { alpha: f64::NAN, ..quick.clone() },
        Item2Vec { subsample: -1.0, ..quick.clone() },
        Item2Vec { learning_rate: f32::INFINITY, ..quick.clone() },
        Item2Vec { decay: 1.5, ..quick.clone() },
    ] {
        assert!(train(wrong, vec![list(&[1, 2])]).is_err());
    }
}
