//! Classifiers: their arithmetic is the usual one, and their probabilities come true.

use bowerbird::{
    Db, Error, Provenance, Schema,
    eval::Outcomes,
    model::{Training, classify::*},
};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/classify.json")).unwrap()
}

fn numbers(list: &Value) -> Vec<f32> {
    let number = |value: &Value| value.as_f64().map_or(f32::NAN, |number| number as f32);
    list.as_array().unwrap().iter().map(number).collect()
}

/// Goal: figures can be put beside those of others. Method: 100 lists of probabilities, with ties and
/// weights, that scikit-learn has judged; `tests/golden/classify.py` made them.
#[test]
fn outcomes_are_judged_as_scikit_learn_does() {
    for case in golden()["outcomes"].as_array().unwrap() {
        let of = |name: &str| numbers(&case[name]);
        let outcomes = Outcomes::weighted(&of("scores"), &of("labels"), &of("weights")).unwrap();
        let same = |name: &str, ours: Option<f64>| {
            let (ours, theirs) = (ours.unwrap(), case[name].as_f64().unwrap());
            assert!((ours - theirs).abs() < 1e-9, "{name}: {ours}, not {theirs}, for {case}");
        };
        same("auc", outcomes.auc());
        same("average_precision", outcomes.average_precision());
        same("brier", outcomes.brier());
        same("log_loss", outcomes.log_loss());
        same("expected_calibration_error", outcomes.expected_calibration_error(10));
    }
}

/// Goal: a label between 0 and 1 counts as a part of each. Method: the same rows, halved and doubled.
#[test]
fn labels_between_count_as_parts_of_both() {
    let soft = Outcomes::new(&[0.9, 0.3, 0.3], &[0.75, 0.25, 0.0]).unwrap();
    let weights = [0.75, 0.25, 0.25, 0.75, 1.0];
    let hard = [1.0, 0.0, 1.0, 0.0, 0.0];
    let hard = Outcomes::weighted(&[0.9, 0.9, 0.3, 0.3, 0.3], &hard, &weights).unwrap();
    assert_eq!(soft.auc(), hard.auc());
    assert_eq!(soft.average_precision(), hard.average_precision());
    assert_eq!(soft.brier(), hard.brier());
    assert_eq!(soft.expected_calibration_error(10), hard.expected_calibration_error(10));
}

#[test]
fn outcomes_without_an_answer_have_none() {
    let outcomes = Outcomes::new(&[0.5, 2.0], &[1.0, 1.0]).unwrap();
    assert_eq!((outcomes.auc(), outcomes.brier()), (None, None));
    assert_eq!(outcomes.expected_calibration_error(10), None);
    assert_eq!(Outcomes::new(&[], &[]).unwrap().average_precision(), None);
    assert!(Outcomes::new(&[f32::NAN], &[1.0]).is_err());
    assert!(Outcomes::new(&[0.5], &[1.5]).is_err());
    assert!(Outcomes::weighted(&[0.5], &[1.0], &[-1.0]).is_err());
}

fn rows(part: &Value) -> Rows {
    let values = part["rows"].as_array().unwrap().iter().flat_map(numbers).collect();
    let rows = Rows::new(["a", "b", "c", "same"], values, numbers(&part["labels"])).unwrap();
    rows.weighted(numbers(&part["weights"])).unwrap()
}

/// Goal: logistic regression, Platt's and isotonic calibration are the usual ones, with weights and missing
/// values. Method: the probabilities of three models of scikit-learn.
#[test]
fn probabilities_are_those_of_scikit_learn() {
    for fit in golden()["fits"].as_array().unwrap() {
        let (learn, later) = (rows(&fit["learn"]), rows(&fit["later"]));
        let learner = Learner::Logistic(Logistic { l2: fit["l2"].as_f64().unwrap() });
        let plain = FitClassifier { calibrate: Calibrate::Nothing, ..FitClassifier::of(learner) };
        let plain = plain.train(&learn, &mut Training::new(1)).unwrap();
        let by = |how| plain.clone().calibrated(how, &later).unwrap();
        let all = [
            ("plain", plain.clone(), 2e-6),
            ("sigmoid", by(Calibrate::Platt), 1e-4),
            ("isotonic", by(Calibrate::Isotonic), 1e-4),
        ];
        for (name, classifier, tolerance) in all {
            let ours = classifier.probabilities(later.values()).unwrap();
            for (at, (ours, theirs)) in ours.iter().zip(numbers(&fit[name])).enumerate() {
                let far = (ours - theirs).abs();
                assert!(far < tolerance, "{name}, row {at}: {ours}, not {theirs}");
            }
        }
    }
}

/// Rows of two numbers whose label depends on whether they have the same sign.
fn crossed(count: usize) -> Rows {
    let mut state = 9u64;
    let mut unit = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (a, b) = (unit() - 0.5, unit() - 0.5);
        let chance = if a * b > 0.0 { 0.8 } else { 0.1 };
        labels.push(f32::from(u8::from(unit() < chance)));
        values.extend([a, b]);
    }
    Rows::new(["a", "b"], values, labels).unwrap()
}

/// Goal: the same rows and seed give the same classifier, and a database gives back what it was given.
#[test]
fn classifiers_are_artifacts() {
    let rows = rows(&golden()["fits"][1]["learn"]);
    let db = Db::in_memory(Schema::new()).unwrap();
    let all = [
        FitClassifier::logistic(),
        #[cfg(feature = "boosting")]
        FitClassifier::boosting(),
    ];
    for fit in all {
        for calibrate in [Calibrate::Platt, Calibrate::Isotonic, Calibrate::Nothing] {
            let fit = FitClassifier { calibrate, ..fit };
            let classifier = fit.train(&rows, &mut Training::new(7)).unwrap();
            assert_eq!(classifier, fit.train(&rows, &mut Training::new(7)).unwrap());
            let version = db.publish("bad", &classifier, Provenance::default()).unwrap();
            db.activate("bad", version).unwrap();
            assert_eq!(db.snapshot().artifact::<Classifier>("bad").unwrap(), classifier);
            assert_eq!(classifier.importance()[0].0, "a");
        }
    }
}

/// Goal: trees learn what no weights can, and the quality that training reports holds on other rows.
#[cfg(feature = "boosting")]
#[test]
fn boosted_trees_learn_what_weights_cannot() {
    let all = crossed(6000);
    let (learn, other) = (all.some(0..3000), all.some(3000..6000));
    // What they say lies around two values, which no slope can put right.
    let fit = FitClassifier { calibrate: Calibrate::Isotonic, ..FitClassifier::boosting() };
    let trees = fit.train(&learn, &mut Training::new(7)).unwrap();
    let weights = FitClassifier::logistic().train(&learn, &mut Training::new(7)).unwrap();
    let (trees_say, weights_say) = (trees.judge(&other).unwrap(), weights.judge(&other).unwrap());
    assert!(trees_say.auc > 0.8 && weights_say.auc < 0.6, "{trees_say:?}, {weights_say:?}");
    assert!((trees.quality().auc - trees_say.auc).abs() < 0.03, "{:?}", trees.quality());
    assert!(trees_say.expected_calibration_error < 0.04, "{trees_say:?}");
    let (importance, shares) = (trees.importance(), trees.explain(&[0.4, 0.4]).unwrap());
    assert!(importance.iter().all(|(_, gain)| *gain > 0.0), "{importance:?}");
    assert!(shares.iter().any(|(_, share)| *share != 0.0), "{shares:?}");
}

/// Goal: an uncalibrated classifier is put right by rows of another time.
#[test]
fn calibration_follows_a_world_that_changed() {
    let all = crossed(4000);
    let labels: Vec<f32> =
        all.values().chunks(2).map(|row| f32::from(u8::from(row[0] > 0.1))).collect();
    let rows = Rows::new(["a", "b"], all.values().to_vec(), labels).unwrap();
    let classifier = FitClassifier::logistic().train(&rows, &mut Training::new(7)).unwrap();
    // Every second yes is no more one.
    let changed: Vec<f32> = rows
        .labels()
        .iter()
        .enumerate()
        .map(|(at, y)| if at % 2 == 0 { *y } else { 0.0 })
        .collect();
    let later = Rows::new(["a", "b"], all.values().to_vec(), changed).unwrap();
    let (learn, test) = (later.some((0..4000).step_by(3)), later.some((1..4000).step_by(3)));
    let before = classifier.judge(&test).unwrap().expected_calibration_error;
    {
        // Half of what was sure is no more: no slope of log-odds can say that, a curve can.
        let how = Calibrate::Isotonic;
        let after = classifier.clone().calibrated(how, &learn).unwrap().judge(&test).unwrap();
        let after = after.expected_calibration_error;
        assert!(after < 0.05 && after < before / 2.0, "{how:?}: {before} to {after}");
    }
}

/// Goal: a share that is expected is kept, and the order with it. Method: rows of which most yes are left out.
#[test]
fn a_share_that_is_expected_comes_true() {
    let all = rows(&golden()["fits"][0]["learn"]);
    let later = rows(&golden()["fits"][0]["later"]);
    let all = all.some(0..all.len());
    let classifier = FitClassifier::logistic().train(&all, &mut Training::new(7)).unwrap();
    let fewer = later.some((0..later.len()).filter(|at| later.labels()[*at] < 0.5 || at % 4 == 0));
    let before = classifier.judge(&fewer).unwrap();
    let after = classifier.clone().expecting(before.share).unwrap().judge(&fewer).unwrap();
    assert_eq!(before.auc, after.auc);
    assert!(after.brier < before.brier, "{before:?}, {after:?}");
    assert!(after.expected_calibration_error < before.expected_calibration_error);
    assert!(classifier.expecting(1.0).is_err());
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let fails = |rows: bowerbird::Result<Rows>, why: &str| {
        let said = rows.and_then(|rows| {
            FitClassifier::logistic().train(&rows, &mut Training::new(1)).map(drop)
        });
        let said = said.unwrap_err();
        assert!(matches!(said, Error::Invalid { .. }) && said.to_string().contains(why), "{said}");
    };
    let label = |yes: usize| (0..200).map(|at| f32::from(u8::from(at < yes))).collect::<Vec<_>>();
    let values = || (0..200).map(|at| at as f32).collect::<Vec<_>>();
    fails(Rows::new(["x"], values(), label(0)), "0 labels for yes and 200 for no");
    fails(Rows::new(["x"], values(), label(29)), "at least 30");
    fails(Rows::new(["x"], values(), vec![2.0; 200]), "label 2");
    fails(Rows::new(["x"], vec![f32::INFINITY; 200], label(90)), "infinite");
    fails(Rows::new(["x", "x"], vec![0.0; 400], label(90)), "twice");
    fails(Rows::new(["x"], values(), label(90)).and_then(|r| r.weighted(vec![1.0])), "1 for 200");
    let groups = (0..200).map(|at| u64::from(at >= 90)).collect();
    fails(Rows::new(["x"], values(), label(90)).and_then(|r| r.grouped(groups)), "at least 1");
    let none: [&str; 0] = [];
    fails(Rows::new(none, vec![], vec![]), "1 to 1024");
}

/// Goal: what is the same everywhere, or nowhere there, does no harm, and neither do huge numbers.
#[test]
fn columns_that_say_nothing_do_no_harm() {
    let huge = |at: usize| if at.is_multiple_of(2) { 1e30 } else { -1e30 };
    let values = (0..300).flat_map(|at| [5.0, f32::NAN, (at % 3) as f32, huge(at)]).collect();
    let labels = (0..300).map(|at| f32::from(u8::from(at % 3 == 0))).collect();
    let rows = Rows::new(["same", "gone", "x", "huge"], values, labels).unwrap();
    let all = [
        FitClassifier::logistic(),
        #[cfg(feature = "boosting")]
        FitClassifier::boosting(),
    ];
    for fit in all {
        let classifier = fit.train(&rows, &mut Training::new(1)).unwrap();
        assert!(classifier.quality().auc > 0.99, "{:?}", classifier.quality());
        for odd in [f32::MAX, f32::MIN, f32::NAN, 0.0] {
            let chance = classifier.probability(&[odd; 4]).unwrap();
            assert!((0.0..=1.0).contains(&chance), "{odd}: {chance}");
        }
        assert!(classifier.probability(&[1.0]).is_err());
        assert!(classifier.probability(&[f32::INFINITY; 4]).is_err());
    }
}
