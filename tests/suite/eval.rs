//! Our metrics are the usual ones: they agree with other libraries, and under ties with brute
//! force.

use bowerbird::{
    Error,
    eval::{Ranking, Ties, coverage, intra_list_diversity, novelty},
};
use serde_json::Value;

/// Each metric by its name in the golden file. At depth "all" there is no cut.
fn ask(ranking: &Ranking, name: &str) -> Option<f64> {
    let (metric, depth) = name.split_once('@').unwrap_or((name, "all"));
    let k = depth.parse().unwrap_or(usize::MAX);
    match metric {
        "ndcg" => ranking.ndcg(k),
        "ndcg_exponential" => ranking.ndcg_exponential(k),
        "reciprocal_rank" => ranking.reciprocal_rank(k),
        "average_precision" => ranking.average_precision(k),
        "recall" => ranking.recall(k),
        "hit_rate" => ranking.hit_rate(k),
        "precision" => ranking.precision(k),
        "auc" => ranking.auc(),
        _ => panic!("no metric {name}"),
    }
}

const METRICS: [&str; 7] = [
    "ndcg",
    "ndcg_exponential",
    "reciprocal_rank",
    "average_precision",
    "recall",
    "hit_rate",
    "precision",
];

fn numbers(case: &Value, field: &str) -> Vec<f64> {
    let list = case[field].as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Compares every answer of a library to one case; says how many there were.
fn compare(ranking: &Ranking, case: &Value, library: &str) -> usize {
    let Some(answers) = case[library].as_object() else {
        return 0;
    };
    for (name, expected) in answers {
        let (ours, theirs) = (ask(ranking, name).unwrap(), expected.as_f64().unwrap());
        assert!(
            (ours - theirs).abs() < 1e-9,
            "{library} {name}: we say {ours}, they say {theirs}, for {case}"
        );
    }
    answers.len()
}

/// Goal: a number from this crate can be put beside a published one. Method: 200 random cases, half
/// of them with ties, answered by scikit-learn (which averages over ties) and ranx (which knows of
/// missed items); `tests/golden/eval.py` made them.
#[test]
fn metrics_agree_with_scikit_learn_and_ranx() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../golden/eval.json")).unwrap();
    assert_eq!(cases.len(), 200);
    let (mut sklearn, mut ranx) = (0, 0);
    for case in &cases {
        let scores: Vec<f32> = numbers(case, "scores").iter().map(|v| *v as f32).collect();
        let candidates = Ranking::from_scores(&scores, &numbers(case, "gains")).unwrap();
        sklearn += compare(&candidates, case, "sklearn");
        let all = candidates.missed(&numbers(case, "missed")).unwrap();
        ranx += compare(&all, case, "ranx");
    }
    assert!(sklearn > 1_500 && ranx > 2_400, "{sklearn} and {ranx}");
}

/// Every order of `0..groups.len()` that keeps `groups[i]`, the number of the group, ascending.
fn orders(groups: &[usize]) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    for _ in groups {
        let mut longer = Vec::new();
        for order in &found {
            let free = |at: &usize| !order.contains(at);
            let next = (0..groups.len()).filter(free).map(|at| groups[at]).min();
            for at in (0..groups.len()).filter(free) {
                if Some(groups[at]) == next {
                    longer.push([&order[..], &[at]].concat());
                }
            }
        }
        found = longer;
    }
    found
}

/// Goal: the closed forms for ties are the mean, the best and the worst over every order of the
/// tied. Method: every way to tie `n` items in a row, every assignment of gains, every depth; and
/// all orders.
fn ties_agree_with_brute_force(n: u32, grades: u32, missed: &[f64]) {
    for cuts in 0..1u32 << (n - 1) {
        let group = |at: u32| (cuts & ((1 << at) - 1)).count_ones() as usize;
        let groups: Vec<usize> = (0..n).map(group).collect();
        let scores: Vec<f32> = groups.iter().map(|g| -(*g as f32)).collect();
        let orders = orders(&groups);
        for code in 0..grades.pow(n) {
            let gains: Vec<f64> =
                (0..n).map(|at| f64::from(code / grades.pow(at) % grades)).collect();
            let tied = Ranking::from_scores(&scores, &gains).unwrap();
            let tied = tied.missed(missed).unwrap();
            let certain: Vec<Ranking> = orders
                .iter()
                .map(|order| {
                    let gains: Vec<f64> = order.iter().map(|at| gains[*at]).collect();
                    Ranking::from_gains(&gains).unwrap().missed(missed).unwrap()
                })
                .collect();
            let depths = (1..=n + 1).flat_map(|k| METRICS.map(|name| format!("{name}@{k}")));
            for name in depths.chain(["auc".into()]) {
                let answers: Option<Vec<f64>> = certain.iter().map(|r| ask(r, &name)).collect();
                let Some(answers) = answers else {
                    assert_eq!(ask(&tied, &name), None);
                    continue;
                };
                let mean = answers.iter().sum::<f64>() / answers.len() as f64;
                let best = answers.iter().copied().fold(0.0, f64::max);
                let worst = answers.iter().copied().fold(f64::MAX, f64::min);
                for (ties, expected) in
                    [(Ties::Expected, mean), (Ties::Optimistic, best), (Ties::Pessimistic, worst)]
                {
                    let ours = ask(&tied.clone().ties(ties), &name).unwrap();
                    assert!(
                        (ours - expected).abs() < 1e-12,
                        "{name} {ties:?}: {ours}, not {expected}, for {groups:?} {gains:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn ties_agree_with_brute_force_without_grades() {
    ties_agree_with_brute_force(5, 2, &[]);
}

#[test]
fn ties_agree_with_brute_force_with_grades_and_missed_items() {
    ties_agree_with_brute_force(4, 3, &[2.0, 1.0]);
}

#[test]
fn lists_of_keys_and_their_gains_say_the_same() {
    let list = Ranking::from_list(&[4, 7, 9], &[9, 2, 4, 2]).unwrap();
    let gains = Ranking::from_gains(&[1.0, 0.0, 1.0]).unwrap();
    let gains = gains.missed(&[1.0]).unwrap();
    for name in METRICS {
        for k in 1..5 {
            let name = format!("{name}@{k}");
            assert_eq!(ask(&list, &name), ask(&gains, &name));
        }
    }
    let twice = Ranking::from_list(&[4, 4], &[4]);
    assert!(matches!(twice, Err(Error::Invalid { .. })));
}

/// Goal: no input makes a metric NaN, infinite or larger than 1.
#[test]
fn answers_are_between_0_and_1_or_none() {
    let lists: [(&[f32], &[f64]); 8] = [
        (&[], &[]),
        (&[1.0], &[0.0]),
        (&[1.0], &[1.0]),
        (&[f32::INFINITY, f32::NEG_INFINITY], &[0.0, 2.0]),
        (&[1.0, 1.0, 0.5], &[f64::MAX, f64::MAX, f64::MAX]),
        (&[1.0, 1.0, 0.5], &[5e-324, 0.0, 5e-324]),
        (&[1.0, 1.0, 0.5], &[5e-324, 0.0, f64::MAX]),
        (&[0.0; 1000], &[1.0; 1000]),
    ];
    for (scores, gains) in lists {
        let ranking = Ranking::from_scores(scores, gains).unwrap();
        for ties in [Ties::Expected, Ties::Optimistic, Ties::Pessimistic] {
            let ranking = ranking.clone().ties(ties);
            for k in ["0", "1", "2", "1000", "all"] {
                for metric in METRICS {
                    let answer = ask(&ranking, &format!("{metric}@{k}"));
                    let defined = k != "0" && gains.iter().any(|gain| *gain > 0.0);
                    assert_eq!(answer.is_some(), defined, "{metric}@{k} {gains:?}");
                    let fair = answer.is_none_or(|v| (0.0..=1.0 + 1e-12).contains(&v));
                    assert!(fair, "{metric}@{k} is {answer:?} for {gains:?}");
                }
            }
        }
    }
    let zeros = Ranking::from_scores(&[-0.0, 0.0], &[1.0, 0.0]).unwrap();
    assert_eq!(zeros.auc(), Some(0.5), "-0.0 ties with 0.0");
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    for (scores, gains, message) in [
        (&[f32::NAN][..], &[1.0][..], "scores: number 0 is NaN"),
        (&[1.0], &[], "gains: there are 0 for 1 scores"),
        (&[1.0], &[-1.0], "gains: number 0 is -1; it must be finite, 0 or more"),
        (&[1.0], &[f64::NAN], "gains: number 0 is NaN; it must be finite, 0 or more"),
        (&[1.0], &[f64::INFINITY], "gains: number 0 is inf; it must be finite, 0 or more"),
    ] {
        let error = Ranking::from_scores(scores, gains).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn slates_together_have_coverage_novelty_and_diversity() {
    assert_eq!(coverage::<u64>(&[], 0), None);
    assert_eq!(coverage::<u64>(&[vec![], vec![]], 5), Some(0.0));
    assert_eq!(coverage(&[vec!["a", "b"], vec!["a"]], 4), Some(0.5));
    assert_eq!(novelty(&[], 10), None);
    assert_eq!(novelty(&[1], 0), None);
    assert_eq!(novelty(&[8, 1, 99], 8), Some(1.0), "more than all is all");
    assert_eq!(intra_list_diversity(&[1], |_, _| 0.0), None);
    assert_eq!(intra_list_diversity(&[1, 2], |_, _| f64::NAN), None);
    let product = |a: &f64, b: &f64| a * b;
    assert_eq!(intra_list_diversity(&[1.0, 0.0, 0.5], product), Some(2.5 / 3.0));
}
