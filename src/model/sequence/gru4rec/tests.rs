//! What GRU4Rec promises.

use super::{
    Gru4Rec, Live, Objective,
    gru::{Gru, Parts},
    lanes::{Change, Lanes},
    train::Trainer,
};
use crate::{
    Db, Key, Provenance, Schema,
    model::{Item2Vec, Model, Sequences, Train, Training, method::Method, train::dice::Dice},
};

/// Sessions that go up by one or two, of 40 items.
fn stairs() -> Sequences {
    let mut dice = Dice::new(1, 1);
    let lists = (0..300u64).map(|user| {
        let mut item = dice.below(40) as u64;
        let length = 2 + dice.below(8) as i64;
        let list = (0..length).map(|at| {
            item = (item + 1 + dice.below(2) as u64) % 40;
            (Key::Id(item), user as i64 * 10 + at)
        });
        (user, list.collect())
    });
    Sequences::new(lists.collect::<Vec<_>>()).unwrap()
}

fn quick() -> Gru4Rec {
    Gru4Rec { dim: 16, batch: Some(8), epochs: 3, ..Gru4Rec::default() }
}

fn train(options: Gru4Rec, threads: usize) -> Model {
    options.train(&stairs(), &mut Training::new(3).threads(threads)).unwrap()
}

fn scores(model: &Model, history: &[u32]) -> Vec<f32> {
    let mut scores = vec![0f32; model.vocabulary().len()];
    model.method().scores(history, &mut scores).unwrap();
    scores
}

const SAMPLED: Objective = Objective::SampledSoftmax { samples: 10, alpha: 0.5 };
const RANKED: Objective = Objective::BprMax { samples: 10, alpha: 0.5, penalty: 0.5, elu: 0.5 };

/// Goal: every objective learns what comes next.
#[test]
fn what_comes_next_scores_best() {
    for objective in [Objective::Softmax, SAMPLED, RANKED] {
        let options = Gru4Rec { objective, epochs: 10, momentum: 0.1, ..quick() };
        let model = train(options, 1);
        for item in [3, 17, 30] {
            let best = model.best(&[Key::Id(item)], 2).unwrap();
            let mut best: Vec<Key> = best.into_iter().map(|(key, _)| key).collect();
            best.sort();
            assert_eq!(best, [Key::Id(item + 1), Key::Id(item + 2)], "{objective:?}");
        }
    }
}

/// Goal: the number of threads changes nothing, in any objective, with several parts of rows.
#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let mut dice = Dice::new(5, 1);
    let list =
        |user: u64| (user, (0..3).map(|at| (Key::Id(dice.below(1300) as u64), at)).collect());
    let sequences = Sequences::new((0..300).map(list).collect::<Vec<_>>()).unwrap();
    for objective in [
        Objective::FullSoftmax,
        Objective::SampledSoftmax { samples: 700, alpha: 0.5 },
        Objective::BprMax { samples: 700, alpha: 0.5, penalty: 1.0, elu: 0.5 },
    ] {
        let options = Gru4Rec { objective, dim: 8, epochs: 1, dropout_states: 0.1, ..quick() };
        let out = |threads| {
            let how = &mut Training::new(3).threads(threads);
            let model = options.train(&sequences, how).unwrap();
            model.method().vectors().unwrap().out.to_vec()
        };
        let one = out(1);
        assert!(one == out(2) && one == out(3), "{objective:?}");
    }
}

/// A step by its definition, in double precision: the loss of lanes whose states are given.
struct Plain<'a> {
    dim: usize,
    states: &'a [f32],
    codes: &'a [u32],
    truth: &'a [u32],
    /// Codes that are scored, and what is taken off their scores.
    scored: &'a [(u32, f64)],
    objective: Objective,
}

impl Plain<'_> {
    /// `all` is: ih, hh, both biases, table.
    fn loss(&self, all: &[Vec<f32>; 5]) -> f64 {
        let dim = self.dim;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [ih, hh, bias_ih, bias_hh, table] = all;
        let row = |code: u32| &table[code as usize * (dim + 1)..][..dim + 1];
        let dot =
            |a: &[f32], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum() };
        let wide = |list: &[f32]| list.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let mut sum = 0.0;
        for (lane, (code, truth)) in self.codes.iter().zip(self.truth).enumerate() {
            let (item, state) = (wide(&row(*code)[..dim]), wide(&self.states[lane * dim..][..dim]));
            let said = |at: usize, weights: &[f32], bias: &[f32], x: &[f64]| {
                dot(&weights[at * dim..][..dim], x) + f64::from(bias[at])
            };
            let mut hidden: Vec<f64> = (0..dim)
                .map(|at| {
                    let a = |gate: usize| said(gate * dim + at, ih, bias_ih, &item);
                    let b = |gate: usize| said(gate * dim + at, hh, bias_hh, &state);
                    let (r, z) = (sigmoid(a(0) + b(0)), sigmoid(a(1) + b(1)));
                    let n = (a(2) + r * b(2)).tanh();
                    (1.0 - z) * n + z * state[at]
                })
                .collect();
            hidden.push(1.0);
            let own = dot(row(*truth), &hidden);
            let others = self.scored.iter().filter(|(code, _)| code != truth);
            let others: Vec<f64> =
                others.map(|(code, off)| dot(row(*code), &hidden) - off).collect();
            sum += match self.objective {
                Objective::BprMax { penalty, elu, .. } => {
                    let elu = f64::from(elu);
                    let bend = |x: f64| if elu > 0.0 && x < 0.0 { elu * x.exp_m1() } else { x };
                    let (own, others) = (bend(own), others.into_iter().map(bend));
                    let mass: f64 = others.clone().map(f64::exp).sum();
                    let above: f64 =
                        others.clone().map(|r| r.exp() / mass * sigmoid(own - r)).sum();
                    let cost: f64 = others.map(|r| r.exp() / mass * r * r).sum();
                    f64::from(penalty) * cost - (above + 1e-24).ln()
                }
                _ => (own.exp() + others.iter().map(|x| x.exp()).sum::<f64>()).ln() - own,
            };
        }
        sum
    }
}

/// Goal: the way back is the derivative of the loss, by every weight, in every objective. Method:
/// one step with the squares of Adagrad so large, and a rate to match, that each weight moves by
/// its derivative; against central differences of the definition in double precision.
#[test]
fn lessons_are_derivatives_of_the_loss() {
    let sequences = stairs();
    let unbent = Objective::BprMax { samples: 10, alpha: 0.5, penalty: 0.5, elu: 0.0 };
    for objective in [Objective::FullSoftmax, SAMPLED, RANKED, unbent] {
        let options = Gru4Rec {
            dim: 5,
            batch: Some(4),
            objective,
            dropout_items: 0.0,
            dropout_states: 0.0,
            learning_rate: 1.0,
            ..quick()
        };
        let mut trainer = Trainer::new(&options, &sequences, &Training::new(11));
        let mut dice = Dice::new(4, 4);
        let codes = [3, 9, 3, 20];
        let truth = [4, 3, 5, 3];
        trainer.roughen(&mut dice);
        let (before, states) = (trainer.weights(), trainer.states().to_vec());
        let loss = trainer.lesson(&codes, &truth).unwrap();
        let after = trainer.weights();
        let scored = trainer.scored();
        let plain = Plain {
            dim: 5,
            states: &states,
            codes: &codes,
            truth: &truth,
            scored: &scored,
            objective,
        };
        let want = plain.loss(&before);
        assert!((loss - want).abs() < 1e-4 * want, "{objective:?}: loss {loss}, not {want}");
        let mut checked = 0;
        for part in 0..5 {
            let (mut wrong, mut size) = (0f64, 0f64);
            for at in 0..before[part].len() {
                let nudged = |by: f32| {
                    let mut all = before.clone();
                    all[part][at] += by;
                    // What was really added, after rounding.
                    (plain.loss(&all), f64::from(all[part][at]))
                };
                let (up, down) = (nudged(1e-3), nudged(-1e-3));
                // The step takes the mean over four lanes.
                let slope = (up.0 - down.0) / (up.1 - down.1) / 4.0;
                let moved = f64::from(before[part][at]) - f64::from(after[part][at]);
                wrong += (moved - slope).powi(2);
                size += slope.powi(2);
                checked += 1;
            }
            let relative = (wrong / size).sqrt();
            assert!(relative < 1e-3, "{objective:?}, weights {part}: off by {relative}");
        }
        assert!(checked > 350);
    }
}

/// Goal: a live session and a replay of its whole history say the same, alone and among others.
#[test]
fn a_live_session_is_a_replay() {
    let model = train(quick(), 1);
    let mut session = Live::new(&model).unwrap();
    let mut dice = Dice::new(8, 8);
    let history: Vec<u32> = (0..30).map(|_| dice.below(40) as u32).collect();
    for at in 0..=history.len() {
        let (live, replay) = (session.scores(), scores(&model, &history[..at]));
        let others = [&history[..at / 2], &history[..at], &history[at..]];
        let mut all = vec![0f32; 3 * 40];
        model.method().scores_all(&others, &mut all).unwrap();
        for item in 0..40 {
            assert!((live[item] - replay[item]).abs() < 1e-5);
            assert!((live[item] - all[40 + item]).abs() < 1e-5);
        }
        if let Some(code) = history.get(at) {
            assert!(session.step(model.vocabulary().key(*code)));
            let before = session.state().to_vec();
            assert!(!session.step(&Key::Id(4000)), "an unknown item");
            assert_eq!(before, session.state());
            session = Live::resume(&model, &before).unwrap();
        }
    }
    session.reset();
    assert_eq!(session.scores(), scores(&model, &[]));
    assert!(Live::resume(&model, &[0.0; 3]).is_err());
    assert!(Live::resume(&model, &[f32::NAN; 16]).is_err());
    let other = Item2Vec { dim: 4, epochs: Some(1), ..Item2Vec::default() };
    assert!(Live::new(&other.train(&stairs(), &mut Training::new(1)).unwrap()).is_err());
}

/// Goal: a cell is that of PyTorch. Method: numbers that `torch.nn.GRUCell(2, 2)` gave for these
/// weights.
#[test]
fn weights_mean_what_they_mean_elsewhere() {
    let ramp = |count: usize, step: f32| -> Vec<f32> {
        (0..count).map(|at| (at as f32 - count as f32 / 2.0) * step).collect()
    };
    let parts = Parts {
        dim: 2,
        wy: vec![0.5, -1.0, 2.0, 0.25],
        by: vec![0.1, -0.2],
        weight_ih: ramp(12, 0.1),
        weight_hh: ramp(12, -0.07),
        bias_ih: ramp(6, 0.2),
        bias_hh: ramp(6, -0.3),
    };
    let gru = Gru::from_parts(parts.clone(), 2).unwrap();
    let mut user = [0f32; 3];
    gru.encode(&[0, 1, 1], &mut user).unwrap();
    let want = [0.404_223_44, 0.555_632_65];
    assert!((user[0] - want[0]).abs() < 1e-6 && (user[1] - want[1]).abs() < 1e-6, "{user:?}");
    let mut scores = [0f32; 2];
    gru.scores(&[0, 1, 1], &mut scores).unwrap();
    assert!((scores[0] - (0.5 * want[0] - want[1] + 0.1)).abs() < 1e-6);
    for wrong in [
        Parts { dim: 3, ..parts.clone() },
        Parts { dim: 0, ..parts.clone() },
        Parts { wy: vec![0.0; 3], ..parts.clone() },
        Parts { by: vec![0.0, f32::NAN], ..parts.clone() },
        Parts { bias_hh: vec![], ..parts.clone() },
    ] {
        assert!(Gru::from_parts(wrong, 2).is_err());
    }
    assert!(Gru::from_parts(parts, 3).is_err());
}

/// Goal: each session is read in order, from a fresh state, and none is left out or read twice.
#[test]
fn lanes_read_every_session_once() {
    let sequences = stairs();
    for most in [1, 7, 1000] {
        let mut lanes = Lanes::new(&sequences, most);
        let mut owners: Vec<Vec<u32>> = vec![Vec::new(); lanes.len()];
        let (mut read, mut items, mut truth) = (Vec::new(), Vec::new(), Vec::new());
        while lanes.len() > 0 {
            lanes.read(&sequences, &mut items, &mut truth);
            for (lane, (item, next)) in items.iter().zip(&truth).enumerate() {
                assert!(owners[lane].last().is_none_or(|last| last == item));
                if owners[lane].is_empty() {
                    owners[lane].push(*item);
                }
                owners[lane].push(*next);
            }
            for change in lanes.advance(&sequences) {
                match change {
                    Change::Fresh(lane) => read.push(std::mem::take(&mut owners[lane])),
                    Change::Gone(lane) => read.push(owners.swap_remove(lane)),
                }
            }
        }
        let mut all: Vec<Vec<u32>> = sequences.iter().map(<[u32]>::to_vec).collect();
        read.sort();
        all.sort();
        assert_eq!(read, all);
    }
}

/// Goal: a saved model scores as it did.
#[test]
fn a_saved_model_is_the_same() {
    let model = train(quick(), 1);
    let db = Db::in_memory(Schema::new()).unwrap();
    let version = db.publish("next", &model, Provenance::default()).unwrap();
    db.activate("next", version).unwrap();
    let opened = db.snapshot().artifact::<Model>("next").unwrap();
    assert_eq!(scores(&model, &[3, 4]), scores(&opened, &[3, 4]));
}

/// Goal: odd sequences and options give an error or a model, never a panic.
#[test]
fn odd_input_is_an_error_or_a_rule() {
    let list =
        |items: &[u64]| -> Vec<(Key, i64)> { items.iter().map(|id| (Key::Id(*id), 0)).collect() };
    let train = |options: Gru4Rec, lists: Vec<Vec<(Key, i64)>>| {
        let sequences = Sequences::new(lists.into_iter().map(|list| (1, list))).unwrap();
        options.train(&sequences, &mut Training::new(1))
    };
    let quick = Gru4Rec { dim: 4, epochs: 1, ..Gru4Rec::default() };
    assert!(train(quick, vec![]).is_err());
    assert!(train(quick, vec![list(&[1]), list(&[2])]).is_err());
    for objective in [Objective::Softmax, SAMPLED, RANKED] {
        let model = train(Gru4Rec { objective, ..quick }, vec![list(&[1, 1]), list(&[1])]);
        assert!(scores(&model.unwrap(), &[0, 0]).iter().all(|score| score.is_finite()));
    }
    let long: Vec<u64> = (0..100_000).map(|at| at % 100).collect();
    let model = train(quick, vec![list(&long), list(&[1, 2])]).unwrap();
    assert!(scores(&model, &vec![5; 100_000]).iter().all(|score| score.is_finite()));
    for wrong in [
        Gru4Rec { dim: 0, ..quick },
        Gru4Rec { batch: Some(0), ..quick },
        Gru4Rec { epochs: 0, ..quick },
        Gru4Rec { patience: 0, ..quick },
        Gru4Rec { learning_rate: f32::NAN, ..quick },
        Gru4Rec { momentum: 1.0, ..quick },
        Gru4Rec { dropout_items: 1.0, ..quick },
        Gru4Rec { dropout_states: -0.1, ..quick },
        Gru4Rec { objective: Objective::SampledSoftmax { samples: 0, alpha: 0.0 }, ..quick },
        Gru4Rec { objective: Objective::SampledSoftmax { samples: 1, alpha: f64::NAN }, ..quick },
    ] {
        assert!(train(wrong, vec![list(&[1, 2])]).is_err());
    }
}
