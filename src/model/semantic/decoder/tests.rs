//! What a next-code model learns, says, refuses and keeps.

use super::{
    CodeModel, CodeSequences, NextCodes,
    gradients::{ids, network, run},
    model::{CodeCard, Learned},
    tree::Tree,
};
use crate::{
    Artifact, Db, Error, Key, Progress, Provenance, Result, Saved, Schema, SemanticId,
    artifact::shelf,
    model::{Case, Cases, Sequences, Training, semantic::NextCode},
};
use std::time::Duration;

const WIDTHS: [usize; 3] = [4, 5, 3];

fn id(codes: &[u16]) -> SemanticId {
    SemanticId::new(codes).unwrap()
}

/// Forty IDs; what comes next follows from the two before.
fn planted(users: usize, length: usize) -> Vec<Vec<SemanticId>> {
    let all: Vec<SemanticId> =
        (0..40).map(|at| id(&[at % 4, at / 4 % 5, (at / 20 + at) % 3])).collect();
    let list = |user: usize| {
        let (mut before, mut last) = (user * 7 % 40, user * 11 % 40);
        (0..length)
            .map(|_| {
                (before, last) = (last, (before * 3 + last + 1) % 40);
                all[last]
            })
            .collect()
    };
    (0..users).map(list).collect()
}

fn small() -> NextCodes {
    NextCodes {
        dim: 32,
        batch: 32,
        epochs: Some(60),
        dropout: 0.0,
        learning_rate: 5e-3,
        ..NextCodes::default()
    }
}

/// The logarithm of the probability of an ID.
fn log_prob(model: &dyn NextCode, history: &[SemanticId], of: &SemanticId) -> f32 {
    let (mut decoding, mut sum) = (model.begin(history).unwrap(), 0.0);
    for (level, code) in of.codes().iter().enumerate() {
        let mut log_probs = vec![0f32; model.widths()[level]];
        let before: Vec<u16> = level.checked_sub(1).map(|at| of.codes()[at]).into_iter().collect();
        decoding.step(&vec![0; before.len()], &before, &mut log_probs).unwrap();
        sum += log_probs[usize::from(*code)];
    }
    sum
}

/// The likeliest code of each level, one after the other.
fn greedy(model: &dyn NextCode, history: &[SemanticId]) -> SemanticId {
    let (mut decoding, mut codes) = (model.begin(history).unwrap(), Vec::new());
    for width in model.widths() {
        let mut log_probs = vec![0f32; *width];
        let before: Vec<u16> = codes.last().copied().into_iter().collect();
        decoding.step(&vec![0; before.len()], &before, &mut log_probs).unwrap();
        let best = (0..*width).max_by(|a, b| log_probs[*a].total_cmp(&log_probs[*b])).unwrap();
        codes.push(best as u16);
    }
    id(&codes)
}

/// Goal: a rule that needs the order of two items is learned, and holds for users who were not
/// seen.
#[test]
fn a_planted_rule_is_learned() {
    let lists = planted(300, 12);
    let sequences = CodeSequences::new(lists[..250].to_vec());
    let model = small().train(&sequences, &WIDTHS, &mut Training::new(7).threads(2)).unwrap();
    let right = lists[250..].iter().filter(|list| greedy(&model, &list[..11]) == list[11]).count();
    assert!(right >= 48, "{right} of 50");
    let curve = &model.card().curve;
    assert!(curve.len() == 60 && curve[59].0 < curve[0].0 / 4.0, "{curve:?}");
}

/// Goal: the same seed gives the same bytes for any number of threads, another seed others.
#[test]
fn threads_do_not_matter_and_seeds_do() {
    let sequences = CodeSequences::new((0..60).map(|u| planted(60, 3 + u % 30)[u].clone()));
    let options = NextCodes { epochs: Some(3), dropout: 0.2, length_max: Some(9), ..small() };
    let train = |threads, seed| {
        let how = &mut Training::new(seed).threads(threads);
        let model = options.train(&sequences, &WIDTHS, how).unwrap();
        (model.learned().theta.clone(), model.learned().nodes.clone())
    };
    let one = train(1, 7);
    assert!(one == train(2, 7) && one == train(5, 7));
    assert!(one != train(1, 8));
}

/// Goal: what is decoded step by step, with beams that come and go, is what the way forward of
/// training says of the whole history at once. Method: the loss of a list is the sum over its items
/// of what decoding says of each after those before it, where all positions are alike, as a
/// window's places count from its end.
#[test]
fn decoding_is_what_training_computes() {
    let ids = ids(&WIDTHS, 25);
    let mut net = network(&WIDTHS, &ids, 8);
    let list: Vec<u32> = (0..8).map(|at| (at * 5 + 2) % ids.len() as u32).collect();
    let history: Vec<SemanticId> = list.iter().map(|at| ids[*at as usize]).collect();
    let model = |net: &Learned| CodeModel::trained(CodeCard::default(), net.clone(), 0.0);
    let close = |a: f64, b: f32| (a - f64::from(b)).abs() < 1e-5 * a.abs().max(1.0);
    // One item alone is at the last place, whatever positions are.
    let alone = -run(&net, &[list[..1].to_vec()], 0.0).0;
    assert!(close(alone, log_prob(&model(&net), &[], &history[0])));
    let (dim, at) = (net.plan.dim(), net.plan.layout.positions);
    let row = net.theta[at..at + dim].to_vec();
    net.theta[at..at + 8 * dim].chunks_exact_mut(dim).for_each(|to| to.copy_from_slice(&row));
    let whole = -run(&net, std::slice::from_ref(&list), 0.0).0 * list.len() as f64;
    let model = model(&net);
    let parts = (0..list.len()).map(|at| log_prob(&model, &history[..at], &history[at]));
    assert!(close(whole, parts.sum::<f32>()), "{whole}");
}

/// Goal: many beams say what each says alone, in whatever order they go on; probabilities of a
/// level sum to 1, for IDs that were seen and others.
#[test]
fn beams_do_not_know_of_each_other() {
    let ids = ids(&WIDTHS, 25);
    let model = CodeModel::trained(CodeCard::default(), network(&WIDTHS, &ids, 8), 0.0);
    let history = [ids[3], id(&[3, 4, 2]), ids[9]];
    let mut decoding = model.begin(&history).unwrap();
    let mut sums = vec![(0f32, Vec::<u16>::new())];
    let (mut parents, mut codes): (Vec<u32>, Vec<u16>) = (vec![], vec![]);
    for width in WIDTHS {
        let mut log_probs = vec![0f32; sums.len() * width];
        decoding.step(&parents, &codes, &mut log_probs).unwrap();
        for row in log_probs.chunks(width) {
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
        // All codes of all beams, the last first.
        let all: Vec<(u32, u16)> = (0..sums.len() as u32)
            .rev()
            .flat_map(|beam| (0..width as u16).rev().map(move |code| (beam, code)))
            .collect();
        (parents, codes) = all.iter().copied().unzip();
        let next = |(beam, code): (u32, u16)| {
            let (sum, before) = &sums[beam as usize];
            let said = log_probs[beam as usize * width + usize::from(code)];
            (sum + said, [&before[..], &[code]].concat())
        };
        sums = all.into_iter().map(next).collect();
    }
    assert_eq!(sums.len(), 60);
    let total: f32 = sums.iter().map(|(sum, _)| sum.exp()).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    for (sum, codes) in sums {
        let alone = log_prob(&model, &history, &id(&codes));
        assert!((alone - sum).abs() < 1e-5 * sum.abs().max(1.0), "{codes:?}: {alone} for {sum}");
    }
}

/// Goal: what does not fit in a history is passed over, what is too long is cut, and nothing at all
/// is an answer, too.
#[test]
fn histories_of_all_kinds_are_read() {
    let ids = ids(&WIDTHS, 25);
    let model = CodeModel::trained(CodeCard::default(), network(&WIDTHS, &ids, 8), 0.0);
    let first = |history: &[SemanticId]| {
        let mut log_probs = vec![0f32; WIDTHS[0]];
        model.begin(history).unwrap().step(&[], &[], &mut log_probs).unwrap();
        log_probs
    };
    let odd = [id(&[]), id(&[1]), id(&[1, 1]), id(&[1, 1, 1, 1]), id(&[4, 0, 0]), id(&[0, 0, 9])];
    assert_eq!(first(&[]), first(&odd));
    assert_eq!(first(&ids[..3]), first(&[&ids[..2], &odd[..], &ids[2..3]].concat()));
    assert_ne!(first(&ids[..3]), first(&ids[..2]));
    let long: Vec<SemanticId> = (0..100_000).map(|at| ids[at % ids.len()]).collect();
    assert_eq!(first(&long), first(&long[long.len() - model.length_max()..]));
    assert_ne!(first(&long), first(&long[long.len() - model.length_max() + 1..]));
}

/// Goal: steps that make no sense are refused, and one that does still goes through.
#[test]
fn wrong_steps_are_refused() {
    let ids = ids(&WIDTHS, 25);
    let model = CodeModel::trained(CodeCard::default(), network(&WIDTHS, &ids, 8), 0.0);
    let mut decoding = model.begin(&ids[..2]).unwrap();
    let mut refused = |parents: &[u32], codes: &[u16], room: usize| {
        let why = decoding.step(parents, codes, &mut vec![0.0; room]).unwrap_err();
        assert!(matches!(why, Error::Invalid { .. }), "{why}");
    };
    refused(&[], &[], 3);
    refused(&[0], &[0], 4);
    let mut decoding = model.begin(&ids[..2]).unwrap();
    decoding.step(&[], &[], &mut [0.0; 4]).unwrap();
    let mut refused = |parents: &[u32], codes: &[u16], room: usize| {
        let why = decoding.step(parents, codes, &mut vec![0.0; room]).unwrap_err();
        assert!(matches!(why, Error::Invalid { .. }), "{why}");
    };
    refused(&[0, 0], &[1], 10);
    refused(&[1], &[1], 5);
    refused(&[0], &[4], 5);
    refused(&[u32::MAX], &[u16::MAX], 5);
    refused(&[0], &[1], 6);
    decoding.step(&[0, 0], &[1, 3], &mut [0.0; 10]).unwrap();
    decoding.step(&[], &[], &mut []).unwrap();
    assert!(decoding.step(&[], &[], &mut []).is_err());
}

/// Goal: what cannot be trained on or with is refused by name; what is merely odd is not.
#[test]
fn bad_input_is_refused() {
    let lists = planted(5, 6);
    let good = CodeSequences::new(lists.clone());
    let refused = |options: NextCodes, sequences: &CodeSequences, widths: &[usize], word: &str| {
        let why = options.train(sequences, widths, &mut Training::new(1)).unwrap_err();
        assert!(matches!(why, Error::Invalid { .. }) && why.to_string().contains(word), "{why}");
    };
    refused(small(), &CodeSequences::new([]), &WIDTHS, "sequences");
    refused(small(), &CodeSequences::default(), &WIDTHS, "sequences");
    refused(small(), &CodeSequences::new([vec![], vec![]]), &WIDTHS, "sequences");
    refused(small(), &good, &[4, 5], "widths");
    refused(small(), &good, &[4, 5, 3, 2], "widths");
    refused(small(), &good, &[4, 4, 3], "widths");
    refused(small(), &good, &[], "widths");
    refused(small(), &good, &[4; 9], "widths");
    refused(small(), &good, &[4, 5, 0], "width");
    refused(small(), &good, &[4, 5, 65_537], "width");
    let mixed = CodeSequences::new([vec![id(&[1, 1, 1]), id(&[1, 1])]]);
    refused(small(), &mixed, &WIDTHS, "widths");
    for (options, word) in [
        (NextCodes { dim: 0, ..small() }, "dim"),
        (NextCodes { dim: 33, heads: 2, ..small() }, "heads"),
        (NextCodes { dim: usize::MAX, ..small() }, "dim"),
        (NextCodes { blocks: 0, ..small() }, "layers"),
        (NextCodes { heads: 0, ..small() }, "heads"),
        (NextCodes { length_max: Some(0), ..small() }, "positions"),
        (NextCodes { dropout: f32::NAN, ..small() }, "dropout"),
        (NextCodes { learning_rate: f32::INFINITY, ..small() }, "learning_rate"),
        (NextCodes { batch: 0, ..small() }, "batch"),
        (NextCodes { epochs: Some(0), ..small() }, "epochs"),
        (NextCodes { patience: 0, ..small() }, "patience"),
    ] {
        refused(options, &good, &WIDTHS, word);
    }
    let wide = CodeSequences::new([vec![id(&[0; 8])]]);
    refused(NextCodes { dim: 4096, ..small() }, &wide, &[65_536; 8], "numbers");
    let cases = Cases::new(vec![Case { history: vec![0], target: Some(1) }]);
    let why = small().train(&good, &WIDTHS, &mut Training::new(1).validate(&cases)).unwrap_err();
    assert!(why.to_string().contains("CodeSequences::of"), "{why}");
}

/// Goal: the smallest and the longest data are learned from.
#[test]
fn one_item_and_a_hundred_thousand_are_learned_from() {
    let options = NextCodes { dim: 8, epochs: Some(1), ..small() };
    let one = CodeSequences::new([vec![id(&[3, 4, 2])]]);
    let model = options.train(&one, &WIDTHS, &mut Training::new(1)).unwrap();
    assert_eq!(greedy(&model, &[]), id(&[3, 4, 2]));
    let flat = CodeSequences::new([vec![id(&[1]); 3], vec![id(&[0])]]);
    let model = options.train(&flat, &[2], &mut Training::new(1)).unwrap();
    assert_eq!(greedy(&model, &[id(&[1])]), id(&[1]));
    let long = CodeSequences::new(planted(1, 100_000));
    assert_eq!(long.events(), 100_000);
    let options = NextCodes { batch: 256, ..options };
    let model = options.train(&long, &WIDTHS, &mut Training::new(1).threads(2)).unwrap();
    assert!(model.card().curve[0].0.is_finite() && model.card().events == 100_000);
}

/// Goal: training can be cancelled, ends after a time, and keeps the best epoch by the cases.
#[test]
fn training_has_manners() {
    let item = |id: &SemanticId| {
        Key::Id(id.codes().iter().fold(0, |sum, code| sum * 100 + u64::from(*code)))
    };
    let list = |(user, list): (usize, Vec<SemanticId>)| {
        (user as u64, list.iter().map(|id| (item(id), 0)).collect())
    };
    let all = Sequences::new(planted(200, 12).into_iter().enumerate().map(list)).unwrap();
    let code = |key: &Key| match key {
        Key::Id(n) => Some(id(&[(n / 10_000) as u16, (n / 100 % 100) as u16, (n % 100) as u16])),
        Key::Name(_) => None,
    };
    let (train, cases) = all.hold_out_last();
    let sequences = CodeSequences::of(&train, code);
    assert_eq!((sequences.len(), sequences.events()), (200, 2_200));
    let mut reports = 0;
    let progress = Progress::to(|_, _| {
        reports += 1;
        reports < 4
    });
    let how = &mut Training::new(7).progress(progress);
    assert!(matches!(small().train(&sequences, &WIDTHS, how), Err(Error::Cancelled)));
    let how = &mut Training::new(7).time_budget(Duration::ZERO);
    assert_eq!(small().train(&sequences, &WIDTHS, how).unwrap().card().curve.len(), 1);
    let how = &mut Training::new(7).validate(&cases).exclude_seen(false);
    let options = NextCodes { patience: 3, epochs: Some(40), ..small() };
    let model = options.train(&sequences, &WIDTHS, how).unwrap();
    let curve: Vec<f64> = model.card().curve.iter().map(|epoch| epoch.1.unwrap()).collect();
    let best = curve.iter().copied().fold(0.0, f64::max);
    let at = curve.iter().position(|now| *now == best).unwrap();
    assert!(best > 0.5 && (at + 4 == curve.len() || curve.len() == 40), "{curve:?}");
    // The one that is returned is the best: trained for just as long, it is the same.
    let short = NextCodes { epochs: Some(at + 1), ..options };
    let short = short.train(&sequences, &WIDTHS, &mut Training::new(7)).unwrap();
    assert_eq!(short.learned().theta, model.learned().theta);
    let wrong = Cases::new(vec![Case { history: vec![1 << 20], target: None }]);
    let how = &mut Training::new(7).validate(&wrong);
    assert!(matches!(small().train(&sequences, &WIDTHS, how), Err(Error::Invalid { .. })));
}

fn published(model: &impl Artifact) -> Result<CodeModel> {
    let db = Db::in_memory(Schema::new()).unwrap();
    let version = db.publish("codes", model, Provenance::default()).unwrap();
    db.snapshot().artifact_version("codes", version)
}

/// Goal: a model that was saved and opened says the same, and what is said of it is kept.
#[test]
fn a_saved_model_says_the_same() {
    let lists = planted(30, 6);
    let options = NextCodes { epochs: Some(2), ..small() };
    let sequences = CodeSequences::new(lists.clone());
    let model = options.train(&sequences, &WIDTHS, &mut Training::new(7)).unwrap();
    let again = published(&model).unwrap();
    assert_eq!(again.card(), model.card());
    assert_eq!((again.ids(), again.widths()), (sequences.ids(), &WIDTHS[..]));
    let list = &lists[0];
    assert_eq!(log_prob(&again, &list[..4], &list[4]), log_prob(&model, &list[..4], &list[4]));
    let from = model.provenance(crate::Seq(3), ("house", 2));
    assert_eq!((from.parents, from.seed), (vec![("house".into(), 2)], 7));
}

/// A model with a change in what it saves.
struct Forged(CodeModel, Vec<u32>);

impl Artifact for Forged {
    const KIND: &'static str = CodeModel::KIND;
    const FORMAT: u16 = CodeModel::FORMAT;

    fn save(&self, out: &mut Saved) -> Result<()> {
        let learned = self.0.learned();
        shelf::put(out, 0, self.0.card())?;
        shelf::put(out, 100, &learned.plan.shape)?;
        shelf::put_f32(out, 101, &learned.theta)?;
        shelf::put_f32(out, 102, &learned.nodes)?;
        shelf::put_u32(out, 103, &self.1)
    }

    fn open(_: &crate::Opened) -> Result<Forged> {
        Err(Error::invalid("forged model", "is not opened"))
    }
}

/// Goal: forged sections are damage, never a panic; numbers that are too large are refused when
/// asked.
#[test]
fn forged_models_are_damage() {
    let seen = ids(&WIDTHS, 25);
    let card = CodeCard { widths: WIDTHS.to_vec(), ids: seen.len() as u64, ..CodeCard::default() };
    let sound = || CodeModel::trained(card.clone(), network(&WIDTHS, &seen, 8), 0.0);
    let codes: Vec<u32> =
        seen.iter().flat_map(|id| id.codes()).map(|code| u32::from(*code)).collect();
    assert!(published(&Forged(sound(), codes.clone())).is_ok());
    let changes: [fn(&mut CodeModel, &mut Vec<u32>); 14] = [
        |model, _| model.learned_mut().theta[7] = f32::NAN,
        |model, _| model.learned_mut().nodes[7] = f32::INFINITY,
        |model, _| model.learned_mut().theta.truncate(9),
        |model, _| model.learned_mut().nodes.push(0.0),
        |model, _| model.learned_mut().plan.shape.widths[0] = 5,
        |model, _| model.learned_mut().plan.shape.widths.clear(),
        |model, _| model.learned_mut().plan.shape.widths = vec![65_536; 8],
        |model, _| model.learned_mut().plan.shape.inner = 0,
        |model, _| model.learned_mut().plan.shape.transformer.causal = false,
        |model, _| model.learned_mut().plan.shape.transformer.positions = 0,
        |_, codes| codes.swap(0, 4),
        |_, codes| codes[1] = 5,
        |_, codes| codes[1] = 70_000,
        |_, codes| codes.truncate(7),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (mut model, mut codes) = (sound(), codes.clone());
        change(&mut model, &mut codes);
        let why = published(&Forged(model, codes)).unwrap_err();
        assert!(matches!(why, Error::Corrupt { .. }), "{number}: {why}");
    }
    let mut large = sound();
    large.learned_mut().theta.fill(f32::MAX);
    let large = published(&Forged(large, codes)).unwrap();
    let mut decoding = large.begin(&seen[..3]).unwrap();
    let why = decoding.step(&[], &[], &mut [0.0; 4]).unwrap_err();
    assert!(why.to_string().contains("too large"), "{why}");
    assert_eq!(Tree::new(&WIDTHS, &[]).rows(), 0);
}
