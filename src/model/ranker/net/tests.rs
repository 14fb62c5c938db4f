//! Tests of the networks: gradients, and that company changes nothing.

use super::*;
use crate::{
    Db, Event, Item, Key, Metric, Schema, Timestamp,
    model::{
        ranker::{
            Cpu, Device, Examples, Features, FitRanker, RankBatch, RankLoss, RankModel, Ranker,
            Role, Scalar, fit::learn,
        },
        train::dice::Dice,
    },
    recommend::Request,
};
use std::sync::Arc;

fn features() -> Features {
    Features::new()
        .tasks(["search", "similar"])
        .user("text", 5)
        .query("text")
        .source("image")
        .item("text")
        .item("image")
        .history("text", 3)
        .scalar(Scalar::Popularity { kinds: vec!["view".into()], half_life: None })
        .scalar(Scalar::Similarity { role: Role::Query, space: "text".into() })
}

/// Lists of random items, some without a vector, for users with and without a history.
fn examples() -> Examples {
    let schema =
        Schema::new().space("text", 6, Metric::Cosine).space("image", 4, Metric::Dot).event("view");
    let db = Db::in_memory(schema).unwrap();
    let mut dice = Dice::new(3, 0);
    let vector =
        |dice: &mut Dice, dim: usize| -> Vec<f32> { (0..dim).map(|_| dice.normal()).collect() };
    for id in 0..30u64 {
        let mut item = Item::new(id);
        if id % 5 != 0 {
            item = item.vector("text", vector(&mut dice, 6));
        }
        if id % 3 != 0 {
            item = item.vector("image", vector(&mut dice, 4));
        }
        db.batch().put(item).commit().unwrap();
        let user = dice.below(4) as u64;
        db.batch().event(Event::new(user, id, "view", Timestamp(id as i64))).commit().unwrap();
    }
    let mut examples = Examples::new(features(), &db.snapshot()).unwrap();
    for list in 0..9u64 {
        let mut request =
            Request::new(5, Timestamp(100)).task(["search", "similar"][list as usize % 2]);
        if list % 3 != 0 {
            request = request.user(list % 6);
        }
        if list % 4 != 0 {
            request = request.query("text", vector(&mut dice, 6));
        }
        if list % 2 == 0 {
            request = request.item(list + 1);
        }
        let many = 2 + dice.below(5) as u64;
        let label = |at: u64| if at == 0 { 1.0 } else { 0.0 };
        let candidates: Vec<(Key, f32)> =
            (0..many).map(|at| (Key::Id((list * 7 + at * 3) % 30), label(at))).collect();
        examples.push(&request, &candidates).unwrap();
    }
    examples
}

fn bodies() -> Vec<Body> {
    vec![
        Body::Mlp { hidden: vec![7, 5] },
        Body::Dcn { layers: 2, rank: 3, hidden: vec![6] },
        Body::Attention { heads: 2, hidden: vec![6, 3] },
    ]
}

/// A net with parameters that are all of some size, nulls and biases too.
fn net(examples: &Examples, body: Body, seed: u64) -> Net {
    let batch = &examples.batch;
    let shape = Shape::of(&batch.features, &batch.dims, 4, body);
    let mut dice = Dice::new(seed, 1);
    let numbers = shape.start(seed).iter().map(|x| x + 0.1 * dice.normal()).collect();
    // Scalars are scaled for each task as it needs.
    Net::new(shape, numbers, vec![(0.5, 1.5), (0.0, 2.0), (0.1, 0.7), (0.2, 1.0)]).unwrap()
}

/// Goal: gradients are what differences say, of every body and loss, with vectors, histories and
/// queries that are missing.
#[test]
fn gradients_are_differences() {
    let examples = examples();
    let lists: Vec<usize> = (0..examples.len()).collect();
    for body in bodies() {
        for loss in [RankLoss::Softmax, RankLoss::Logistic] {
            let net = net(&examples, body.clone(), 5);
            let mut grads = vec![0f32; net.numbers.len()];
            // The same numbers are left out each time.
            let how = || (loss, 1.0, Some(Dropout { dice: Dice::new(4, 2), share: 0.2 }));
            learn(&net, &examples, &lists, how(), &mut grads);
            let at_all =
                |net: &Net| learn(net, &examples, &lists, how(), &mut vec![0.0; grads.len()]);
            for part in &net.parts {
                let mut dice = Dice::new(9, part.at as u64);
                let way: Vec<f32> = part.range().map(|_| dice.normal()).collect();
                let length = way.iter().map(|x| x * x).sum::<f32>().sqrt();
                let along = grads[part.range()].iter().zip(&way);
                let along: f64 = along.map(|(grad, way)| f64::from(grad * way)).sum();
                let difference = |step: f32| -> f64 {
                    let at = |sign: f32| {
                        let mut moved = net.clone();
                        let numbers = moved.numbers[part.range()].iter_mut().zip(&way);
                        numbers.for_each(|(x, way)| *x += sign * step / length * way);
                        at_all(&moved)
                    };
                    (at(1.0) - at(-1.0)) / f64::from(2.0 * step / length)
                };
                // A step may cross a bend of a ReLU, and a short one drowns in rounding: one of them is
                // right, if the gradient is.
                let all = [4e-3, 2e-3, 1e-3, 5e-4, 2e-4].map(difference);
                let close = all.iter().any(|d| (d - along).abs() < 0.02 * along.abs().max(0.2));
                assert!(close, "{body:?} {loss:?} {}: {all:?} for {along}", part.name);
            }
        }
    }
}

fn model(examples: &Examples, body: Body) -> Arc<RankModel> {
    let net = net(examples, body, 6);
    Arc::new(RankModel::new((*examples.batch.features).clone(), net, vec![], 0).unwrap())
}

fn scores(ranker: &dyn Ranker, batch: &RankBatch) -> Vec<f32> {
    let mut scores = vec![f32::NAN; batch.len()];
    ranker.rank(batch, &mut scores).unwrap();
    scores
}

/// Goal: a request has the same scores, bit for bit, alone and with others, by vectors, by rows of a table
/// and by rows of a table that was taken in before.
#[test]
fn company_and_residence_change_no_bit() {
    let examples = examples();
    for body in bodies() {
        let model = model(&examples, body);
        let rows = &examples.batch;
        let (table, _) = rows.rows().unwrap();
        let plain = Cpu.load(&model).unwrap();
        let want = scores(&*plain, rows);
        let holding = Cpu.load(&model).unwrap();
        assert!(holding.hold(table).unwrap());
        assert_eq!(scores(&*holding, rows), want);
        assert_eq!(scores(&*plain, &rows.clone().dense()), want);
        assert_eq!(model.net.scores(rows), want);
        let mut together = rows.of_none();
        for request in 0..rows.requests() {
            let one = rows.request(request);
            assert_eq!(scores(&*plain, &one), want[rows.range(request)]);
            assert_eq!(scores(&*plain, &one.dense()), want[rows.range(request)]);
            together.append(&rows.request(request));
        }
        assert_eq!(scores(&*holding, &together), want);
    }
}

/// Goal: lists without a candidate are no trouble, wherever they are, and change no score; nor in training.
#[test]
fn empty_lists_are_passed_over() {
    let examples = examples();
    let full = &examples.batch;
    // Of a user with a history, which a candidate would attend to.
    let empty = full.request(1).only(&[]);
    assert!(empty.is_empty() && empty.lived[0] > 0);
    for body in bodies() {
        let model = model(&examples, body.clone());
        let (ranker, want) = (Cpu.load(&model).unwrap(), model.net.scores(full));
        for place in [0, 4, full.requests()] {
            let (mut with, mut labels) = (full.clone().dense().of_none(), Vec::new());
            for request in 0..=full.requests() {
                if request == place {
                    with.append(&empty);
                }
                if request < full.requests() {
                    with.append(&full.request(request).dense());
                    labels.extend_from_slice(&examples.labels[full.range(request)]);
                }
            }
            assert_eq!(scores(&*ranker, &with), want, "{body:?}, an empty list at {place}");
            let with = Examples::of(with, labels);
            let grads = |examples: &Examples| {
                let lists: Vec<usize> = (0..examples.len()).collect();
                let mut grads = vec![0f32; model.net.numbers.len()];
                let how = (RankLoss::Softmax, 1.0, None);
                learn(&model.net, examples, &lists, how, &mut grads);
                grads
            };
            let (got, want) = (grads(&with), grads(&examples));
            let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5, "{body:?}, an empty list at {place}: off by {off}");
        }
    }
}

/// Goal: what is saved elsewhere and read again says the same; files that do not fit are refused.
#[test]
fn files_are_read_as_written() {
    let examples = examples();
    for body in bodies() {
        let model = model(&examples, body);
        let (weights, manifest) = model.export().unwrap();
        let again = RankModel::import(&weights, &manifest).unwrap();
        assert_eq!(again.net.numbers, model.net.numbers);
        assert_eq!(again.net.scores(&examples.batch), model.net.scores(&examples.batch));
        for (from, to) in [
            ("\"width\":4", "\"width\":5"),
            ("\"width\":4", "\"width\":0"),
            ("\"format\":1", "\"format\":2"),
            ("\"Id\"", "\"Od\""),
            ("bowerbird-ranker", "another"),
            ("\"search\",", ""),
            ("1.5", "1e39"),
        ] {
            let other = manifest.replace(from, to);
            assert!(other == manifest || RankModel::import(&weights, &other).is_err(), "{from}");
        }
        for cut in [0, 7, 8, 40, weights.len() / 2, weights.len() - 1] {
            assert!(RankModel::import(&weights[..cut], &manifest).is_err());
        }
    }
}

/// Goal: a scalar is scaled for each task by the lists of that task, so what is large on one surface is not
/// small on another; a task without lists goes by all. Method: a popularity of 1 and 2, and one of a thousand.
#[test]
fn each_task_has_scales_of_its_own() {
    let features = Features::new()
        .tasks(["search", "similar", "home"])
        .scalar(Scalar::Attr { name: "seen".into(), otherwise: 0.0 });
    let db = Db::in_memory(Schema::new().attr("seen", crate::AttrType::Float)).unwrap();
    for (id, seen) in [1.0, 2.0, 3.0, 1000.0, 1200.0, 1400.0].into_iter().enumerate() {
        db.batch().put(Item::new(id as u64).attr("seen", seen)).commit().unwrap();
    }
    let mut examples = Examples::new(features, &db.snapshot()).unwrap();
    for list in 0..40u64 {
        let (task, first) = if list % 2 == 0 { ("search", 0) } else { ("similar", 3) };
        let request = Request::new(5, Timestamp(0)).task(task);
        let label = |id: u64| if id % 3 == 2 { 1.0 } else { 0.0 };
        let candidates: Vec<(Key, f32)> =
            (first..first + 3).map(|id| (Key::Id(id), label(id))).collect();
        examples.push(&request, &candidates).unwrap();
    }
    let fit = FitRanker { epochs: 2, ..FitRanker::of(Body::Mlp { hidden: vec![4] }) };
    let net = fit.train(&examples, None, &mut crate::model::Training::new(1)).unwrap().net;
    let scales = [0, 1, 2].map(|task| net.scales(task)[0]);
    let near = |(mean, by): (f32, f32), of: (f32, f32)| {
        (mean - of.0).abs() < 1e-3 * of.0 && (by * of.1 - 1.0).abs() < 1e-3
    };
    let root = (2f32 / 3.0).sqrt();
    assert!(near(scales[0], (2.0, root)) && near(scales[1], (1200.0, 200.0 * root)), "{scales:?}");
    assert!((scales[2].0 - 601.0).abs() < 0.1, "{scales:?}");
}
