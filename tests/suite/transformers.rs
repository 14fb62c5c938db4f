//! SASRec and BERT4Rec as a caller sees them: what they learn, what they refuse, what is saved.

use bowerbird::{
    Artifact, Db, Error, Key, Opened, Provenance, Result, Saved, Schema,
    model::{Bert4Rec, Case, Cases, Loss, Model, Protocol, Sasrec, Sequences, Train, Training},
};
use std::collections::BTreeMap;

fn sequences(lists: impl IntoIterator<Item = Vec<u64>>) -> Sequences {
    let step = |(at, item): (usize, u64)| (Key::Id(item), at as i64);
    let list = |list: Vec<u64>| list.into_iter().enumerate().map(step).collect();
    Sequences::new((0u64..).zip(lists.into_iter().map(list))).unwrap()
}

/// Everybody walks around the same circle of 30 items, from different places, for different times.
fn circle() -> Sequences {
    sequences((0..120u64).map(|u| (0..3 + u % 9).map(|at| (u * 7 + at) % 30).collect()))
}

fn small() -> Sasrec {
    Sasrec { dim: 16, learning_rate: 0.01, epochs: Some(50), batch: 16, ..Sasrec::default() }
}

fn both_ways() -> Bert4Rec {
    Bert4Rec { dim: 16, learning_rate: 0.01, epochs: Some(120), batch: 16, ..Bert4Rec::default() }
}

/// Goal: what always comes next is what is said to come next, with every loss and both methods.
#[test]
fn a_circle_is_learned() {
    let (train, cases) = circle().hold_out_last();
    let learned = |name: &str, floor: f64, model: Result<Model>| {
        let model = model.unwrap();
        let quality = cases.measure(&model, Protocol::default()).unwrap();
        assert!(quality.mrr_20 > floor, "{name}: {quality:?}");
        let best = model.best(&[Key::Id(4), Key::Id(5)], 1).unwrap();
        assert_eq!(best[0].0, Key::Id(6), "{name}");
    };
    for loss in [
        Loss::Full,
        Loss::Sampled { negatives: 10, corrected: true },
        Loss::Sampled { negatives: 10, corrected: false },
        Loss::Gbce { negatives: 10, t: 0.75 },
        Loss::Bce,
    ] {
        let sasrec = Sasrec { loss: Some(loss), ..small() };
        learned(&format!("{loss:?}"), 0.9, sasrec.train(&train, &mut Training::new(7)));
    }
    learned("bert4rec", 0.7, both_ways().train(&train, &mut Training::new(7).threads(2)));
}

/// Goal: training stops when validation cases say so, and the best epoch is what is kept.
#[test]
fn the_best_epoch_is_kept() {
    let (train, cases) = circle().hold_out_last();
    let mut how = Training::new(7).validate(&cases);
    let sasrec = Sasrec { epochs: Some(200), patience: 3, ..small() };
    let model = sasrec.train(&train, &mut how).unwrap();
    assert!(how.curve().len() < 200);
    let best = how.curve().iter().filter_map(|epoch| epoch.ndcg_10).fold(0.0, f64::max);
    let protocol = Protocol { exclude_seen: true, threads: 1 };
    assert_eq!(cases.measure(&model, protocol).unwrap().ndcg_10, best);
}

/// Goal: data that there is nothing to learn from, and options that make no sense, are refused; odd
/// data that can be learned from is.
#[test]
fn odd_data_and_options_are_errors_or_models() {
    let fast = Sasrec { epochs: Some(1), ..small() };
    let both = Bert4Rec { epochs: Some(1), ..both_ways() };
    let how = || Training::new(1);
    for lists in [vec![], vec![vec![]], vec![vec![5], vec![6], vec![5]]] {
        let none = sequences(lists);
        assert!(matches!(fast.train(&none, &mut how()), Err(Error::Invalid { .. })));
        assert!(matches!(both.train(&none, &mut how()), Err(Error::Invalid { .. })));
    }
    let long: Vec<u64> = (0..100_000u64).map(|at| at * at % 97).collect();
    let thin = Sasrec { dim: 4, layers: 1, ..fast };
    for (lists, sasrec) in [
        (vec![vec![5, 5, 5]], fast),
        (vec![vec![1, 2], vec![3], vec![]], fast),
        (vec![long, vec![1, 2]], thin),
    ] {
        let few = sequences(lists);
        for loss in [Loss::Full, Loss::Sampled { negatives: 300, corrected: true }, Loss::Bce] {
            let sasrec = Sasrec { loss: Some(loss), ..sasrec };
            let model = sasrec.train(&few, &mut how()).unwrap();
            let items = model.vocabulary().len();
            assert_eq!(model.best(&[], 1000).unwrap().len(), items);
            assert_eq!(model.best(&[Key::Id(5), Key::Id(999)], 1000).unwrap().len(), items);
        }
    }
    assert!(both.train(&sequences([vec![5, 5, 5], vec![1, 2]]), &mut how()).is_ok());
    let data = circle();
    for wrong in [
        Sasrec { dim: 0, ..fast },
        Sasrec { dim: usize::MAX, ..fast },
        Sasrec { layers: 0, ..fast },
        Sasrec { layers: 1000, ..fast },
        Sasrec { heads: 3, ..fast },
        Sasrec { length_max: Some(0), ..fast },
        Sasrec { length_max: Some(usize::MAX), ..fast },
        Sasrec { dropout: 1.0, ..fast },
        Sasrec { dropout: f32::NAN, ..fast },
        Sasrec { learning_rate: 0.0, ..fast },
        Sasrec { learning_rate: f32::NAN, ..fast },
        Sasrec { batch: 0, ..fast },
        Sasrec { epochs: Some(0), ..fast },
        Sasrec { patience: 0, ..fast },
        Sasrec { loss: Some(Loss::Sampled { negatives: 0, corrected: true }), ..fast },
        Sasrec { loss: Some(Loss::Gbce { negatives: 3, t: 1.5 }), ..fast },
    ] {
        let why = wrong.train(&data, &mut how());
        assert!(matches!(why, Err(Error::Invalid { .. })), "{wrong:?}: {why:?}");
    }
    for wrong in [
        Bert4Rec { mask_share: 0.0, ..both },
        Bert4Rec { mask_share: f32::NAN, ..both },
        Bert4Rec { last_share: 1.5, ..both },
        Bert4Rec { length_max: Some(0), ..both },
    ] {
        let why = wrong.train(&data, &mut how());
        assert!(matches!(why, Err(Error::Invalid { .. })), "{wrong:?}: {why:?}");
    }
}

/// Sections of a model, to be changed and published as if they were one.
struct Forged(BTreeMap<u16, Vec<u8>>);

impl Artifact for Forged {
    const KIND: &'static str = Model::KIND;
    const FORMAT: u16 = Model::FORMAT;
    fn save(&self, out: &mut Saved) -> Result<()> {
        self.0.iter().try_for_each(|(number, bytes)| out.section(*number, bytes))
    }
    fn open(from: &Opened) -> Result<Forged> {
        let read = |number| Some((number, from.section(number).ok()?.to_vec()));
        Ok(Forged((0..200).filter_map(read).collect()))
    }
}

/// Goal: a saved model answers the same, and one whose bytes were changed is refused or answers
/// with finite numbers. Method: sections are cut, grown, and each byte of the small ones flipped.
#[test]
fn a_saved_model_is_the_same_and_a_forged_one_no_harm() {
    let db = Db::in_memory(Schema::new()).unwrap();
    let fast = Bert4Rec { epochs: Some(1), ..both_ways() };
    let model = fast.train(&circle(), &mut Training::new(1)).unwrap();
    let version = db.publish("m", &model, Provenance::default()).unwrap();
    db.activate("m", version).unwrap();
    let history = [Key::Id(3), Key::Id(9)];
    let again = db.snapshot().artifact::<Model>("m").unwrap();
    assert_eq!(model.best(&history, 30).unwrap(), again.best(&history, 30).unwrap());
    let Forged(sections) = &db.snapshot().artifact::<Forged>("m").unwrap();
    assert!(sections.contains_key(&100) && sections.contains_key(&102));
    let mut harmless = 0;
    let mut attempt = |number: u16, change: &dyn Fn(&mut Vec<u8>), must_fail: bool| {
        let mut forged = Forged(sections.clone());
        change(forged.0.get_mut(&number).unwrap());
        let version = db.publish("m", &forged, Provenance::default()).unwrap();
        if db.activate("m", version).is_err() {
            return;
        }
        match db.snapshot().artifact::<Model>("m") {
            Err(_) => {}
            Ok(model) => {
                assert!(!must_fail, "section {number}");
                harmless += 1;
                let best = model.best(&history, 30).unwrap();
                assert!(best.iter().all(|(_, score)| !score.is_nan()));
            }
        }
    };
    for number in sections.keys().copied().filter(|number| *number >= 100) {
        attempt(number, &|bytes| bytes.truncate(bytes.len() - 1), true);
        attempt(number, &|bytes| bytes.clear(), true);
        attempt(number, &|bytes| bytes.extend([0; 4]), number != 100);
        attempt(number, &|bytes| bytes[..4].fill(0xff), true);
    }
    for at in 0..sections[&100].len() {
        attempt(100, &move |bytes| bytes[at] ^= 0xff, false);
        attempt(100, &move |bytes| bytes[at] ^= 1, false);
    }
    assert!(harmless < sections[&100].len());
}

/// Goal: cases with codes of another vocabulary are an error, as for every method.
#[test]
fn foreign_codes_are_refused() {
    let fast = Sasrec { epochs: Some(1), ..small() };
    let model = fast.train(&circle(), &mut Training::new(1)).unwrap();
    let cases = Cases::new(vec![Case { history: vec![999], target: Some(1) }]);
    assert!(matches!(cases.measure(&model, Protocol::default()), Err(Error::Invalid { .. })));
}
