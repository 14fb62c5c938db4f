//! The methods against twins that count with maps, and what they must survive.

use crate::{
    Db, Error, Key, Progress, Provenance, Schema,
    model::{train::dice::Dice, *},
};
use std::collections::{BTreeMap, BTreeSet};

/// Sequences at random: repeats, single items, items that are far more frequent than others.
fn any(seed: u64) -> Sequences {
    let mut dice = Dice::new(seed, 1);
    let lists = (0..60).map(|user| {
        let length = 1 + dice.below(12);
        let start = dice.below(40) as i64;
        let item = |dice: &mut Dice| Key::Id((dice.below(5) * dice.below(6)) as u64);
        (user, (0..length).map(|at| (item(&mut dice), start + at as i64 / 2)).collect())
    });
    Sequences::new(lists.collect::<Vec<_>>()).unwrap()
}

fn every() -> Vec<Box<dyn Train>> {
    vec![
        Box::new(Popularity::default()),
        Box::new(Rules::default()),
        Box::new(Markov::default()),
        Box::new(Associations::default()),
        Box::new(ItemKnn::default()),
        Box::new(VsKnn::default()),
        Box::new(Ease::default()),
        Box::new(Als { dim: 8, epochs: 2, ..Als::default() }),
    ]
}

fn scores(model: &Model, history: &[u32]) -> Vec<f32> {
    let mut scores = vec![f32::NAN; model.vocabulary().len()];
    model.method().scores(history, &mut scores).unwrap();
    scores
}

/// Compares a model with a twin that scores by rows of a map, for many histories.
fn same_as_rows(
    (model, sequences): (&Model, &Sequences),
    row: impl Fn(u32) -> BTreeMap<u32, f64>,
    (recent, decay): (usize, f64),
) {
    let rows: Vec<_> = (0..sequences.vocabulary().len() as u32).map(row).collect();
    for history in sequences.iter() {
        let mut want = vec![0f64; rows.len()];
        for (age, item) in history.iter().rev().take(recent).enumerate() {
            for (to, weight) in &rows[*item as usize] {
                want[*to as usize] += weight * decay.powi(age as i32);
            }
        }
        for (got, want) in scores(model, history).iter().zip(&want) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} for {want}");
        }
    }
}

/// Weights between places of sequences, summed by pair of items, each row over its total.
fn shares(
    sequences: &Sequences,
    shrink: f64,
    weight: impl Fn(&[u32], usize, usize) -> f64,
) -> impl Fn(u32) -> BTreeMap<u32, f64> {
    let mut rows: BTreeMap<u32, BTreeMap<u32, f64>> = BTreeMap::new();
    for items in sequences.iter() {
        for a in 0..items.len() {
            for b in 0..items.len() {
                let weight = weight(items, a, b);
                if weight > 0.0 {
                    *rows.entry(items[a]).or_default().entry(items[b]).or_default() += weight;
                }
            }
        }
    }
    move |item| {
        let row = rows.get(&item).cloned().unwrap_or_default();
        let total = row.values().sum::<f64>() + shrink;
        row.into_iter().map(|(to, weight)| (to, weight / total)).collect()
    }
}

/// Goal: sequential rules are those of their definition.
#[test]
fn rules_are_their_definition() {
    for seed in 0..5 {
        let sequences = any(seed);
        let options = Rules { reach: 4, recent: 3, decay: 0.5, ..Rules::default() };
        let model = options.train(&sequences, &mut Training::new(0)).unwrap();
        let rows = shares(&sequences, 1.0, |items, a, b| {
            let near = a < b && b - a <= 4 && items[a] != items[b];
            if near { 1.0 / (b - a) as f64 } else { 0.0 }
        });
        same_as_rows((&model, &sequences), rows, (3, 0.5));
    }
}

/// Goal: a chain counts what comes right after, repeats included.
#[test]
fn markov_is_its_definition() {
    let sequences = any(7);
    let model =
        Markov { recent: 1, ..Markov::default() }.train(&sequences, &mut Training::new(0)).unwrap();
    let rows = shares(&sequences, 0.0, |_, a, b| f64::from(u8::from(a + 1 == b)));
    same_as_rows((&model, &sequences), rows, (1, 1.0));
}

/// Goal: associations count both directions and nothing beyond their reach.
#[test]
fn associations_are_their_definition() {
    let sequences = any(8);
    let options = Associations { reach: 5, ..Associations::default() };
    let model = options.train(&sequences, &mut Training::new(0)).unwrap();
    let rows = shares(&sequences, 1.0, |items, a, b| {
        f64::from(u8::from(items[a] != items[b] && a.abs_diff(b) <= 5))
    });
    same_as_rows((&model, &sequences), rows, (20, f64::from(0.8f32)));
}

/// Goal: neighbours are cosines of the sets of sequences that have two items.
#[test]
fn neighbours_are_cosines() {
    let sequences = any(9);
    let options = ItemKnn { shrink: 2.0, decay: 0.8, ..ItemKnn::default() };
    let model = options.train(&sequences, &mut Training::new(0)).unwrap();
    let having: Vec<BTreeSet<usize>> = (0..sequences.vocabulary().len() as u32)
        .map(|item| (0..sequences.len()).filter(|s| sequences.items(*s).contains(&item)).collect())
        .collect();
    let row = |item: u32| {
        let one = &having[item as usize];
        let cosine = |other: &BTreeSet<usize>| {
            let norm = ((one.len() * other.len()) as f64).sqrt();
            one.intersection(other).count() as f64 / (norm + 2.0)
        };
        let others = (0u32..).zip(&having).filter(|(other, _)| *other != item);
        others.map(|(other, set)| (other, cosine(set))).collect()
    };
    same_as_rows((&model, &sequences), row, (20, f64::from(0.8f32)));
}

/// The function `vsknn` of session-rec in its shortest form, with ties by recency.
fn vs_knn_twin(
    sequences: &Sequences,
    history: &[u32],
    (neighbours, sample): (usize, usize),
) -> Vec<f64> {
    let sets: Vec<BTreeSet<u32>> = sequences.iter().map(|s| s.iter().copied().collect()).collect();
    let end = |s: usize| sequences.at(s).last().copied();
    let different: BTreeSet<u32> = history.iter().copied().collect();
    let mut place = BTreeMap::new();
    for (at, item) in history.iter().enumerate() {
        place.insert(*item, ((at + 1) as f64 / history.len() as f64).powi(2));
    }
    let mut alike: Vec<usize> =
        (0..sets.len()).filter(|s| !sets[*s].is_disjoint(&different)).collect();
    alike.sort_by_key(|s| std::cmp::Reverse((end(*s), *s)));
    alike.truncate(sample);
    let share = |s: usize| -> f64 { sets[s].intersection(&different).map(|i| place[i]).sum() };
    let mut scored: Vec<(f64, usize)> =
        alike.into_iter().map(|s| (share(s) / different.len() as f64, s)).collect();
    scored.sort_by(|a, b| ((b.0 * 1e9).round()).total_cmp(&(a.0 * 1e9).round()));
    scored.truncate(neighbours);
    let (counts, all) = (sequences.counts(), sequences.len() as f64);
    let mut scores = vec![0.0; counts.len()];
    for (share, s) in scored {
        let ago = history.iter().rev().position(|item| sets[s].contains(item)).unwrap() + 1;
        for item in &sets[s] {
            let rare = (all / f64::from(counts[*item as usize])).ln().max(0.0);
            scores[*item as usize] += share * (1.0 + rare * 5.0) / ago as f64;
        }
    }
    scores
}

/// Goal: the index of sessions answers as going through all sessions would, whatever is cut.
#[test]
fn session_neighbours_are_those_of_the_twin() {
    for (seed, limits) in [(1, (500, 5_000)), (2, (7, 30)), (3, (9, 12)), (4, (1, 1))] {
        let sequences = any(seed);
        let (neighbours, sample) = limits;
        let options = VsKnn { neighbours, sample, ..VsKnn::default() };
        let model = options.train(&sequences, &mut Training::new(0)).unwrap();
        for history in sequences.iter() {
            let want = vs_knn_twin(&sequences, history, limits);
            for (got, want) in scores(&model, history).iter().zip(&want) {
                assert!((f64::from(*got) - want).abs() < 1e-4, "seed {seed}: {got} for {want}");
            }
        }
    }
}

/// Goal: sessions far apart in the index are found as well as neighbours.
/// Method: more sessions than a window has, of which a few share an item.
#[test]
fn sessions_are_found_across_windows() {
    let item = |user: u64| if user % 3_000 == 1 { 7 } else { 100 + user % 900 };
    let list = |user: u64| (user, vec![(Key::Id(item(user)), 5), (Key::Id(user % 50), 6)]);
    let sequences = Sequences::new((0..13_000).map(list)).unwrap();
    let options = VsKnn { sample: 4, ..VsKnn::default() };
    let model = options.train(&sequences, &mut Training::new(0)).unwrap();
    let seven = sequences.vocabulary().codes(&[Key::Id(7)]);
    let want = vs_knn_twin(&sequences, &seven, (500, 4));
    for (got, want) in scores(&model, &seven).iter().zip(&want) {
        assert!((f64::from(*got) - want).abs() < 1e-4, "{got} for {want}");
    }
}

/// Solves equations in double precision, by elimination.
fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    for pivot in 0..b.len() {
        for row in (0..b.len()).filter(|row| *row != pivot) {
            let share = a[row][pivot] / a[pivot][pivot];
            (0..b.len()).for_each(|column| a[row][column] -= share * a[pivot][column]);
            b[row] -= share * b[pivot];
        }
    }
    (0..b.len()).map(|row| b[row] / a[row][row]).collect()
}

/// Goal: weights are those of Steck's closed form.
/// Method: the definition in double precision, an inverse column by column.
#[test]
fn ease_is_its_closed_form() {
    let sequences = any(13);
    let options = Ease { penalty: Some(4.0), keep: 1_000, ..Ease::default() };
    let model = options.train(&sequences, &mut Training::new(0)).unwrap();
    let items = sequences.vocabulary().len();
    let mut gram = vec![vec![0f64; items]; items];
    for sequence in sequences.iter() {
        let set: BTreeSet<u32> = sequence.iter().copied().collect();
        for a in &set {
            set.iter().for_each(|b| gram[*a as usize][*b as usize] += 1.0);
        }
    }
    (0..items).for_each(|item| gram[item][item] += 4.0);
    let unit = |at: usize| (0..items).map(|row| f64::from(u8::from(row == at))).collect();
    let inverse: Vec<Vec<f64>> = (0..items).map(|at| solved(gram.clone(), unit(at))).collect();
    let row = |item: u32| {
        let weight = |to: usize| -inverse[to][item as usize] / inverse[to][to];
        let others = (0..items).filter(|to| *to != item as usize);
        others.map(|to| (to as u32, weight(to))).collect()
    };
    same_as_rows((&model, &sequences), row, (20, f64::from(0.8f32)));
}

/// One side of the factorization in double precision: each row the minimum of
/// `sum of (1 - x v)^2 over what was observed + unobserved * sum of (x v)^2 over all + ridge x^2`.
fn als_side(
    lists: &[BTreeSet<u32>],
    others: &[Vec<f64>],
    (penalty, unobserved): (f64, f64),
) -> Vec<Vec<f64>> {
    let dim = others[0].len();
    let vector = |list: &BTreeSet<u32>| {
        let ridge = penalty * (list.len() as f64 + unobserved * others.len() as f64);
        let mut a = vec![vec![0.0; dim]; dim];
        let mut b = vec![0.0; dim];
        for (other, v) in (0u32..).zip(others) {
            let weight = unobserved + f64::from(u8::from(list.contains(&other)));
            for row in 0..dim {
                (0..dim).for_each(|column| a[row][column] += weight * v[row] * v[column]);
                b[row] += if list.contains(&other) { v[row] } else { 0.0 };
            }
        }
        (0..dim).for_each(|at| a[at][at] += ridge);
        solved(a, b)
    };
    lists.iter().map(vector).collect()
}

/// Goal: factors are those of alternating exact minima, from the same start.
#[test]
fn factors_are_exact_minima_in_turn() {
    let sequences = any(14);
    let options = Als {
        dim: 5,
        epochs: 3,
        penalty: Some(0.05),
        unobserved: Some(0.1),
        recent: 100,
        decay: 1.0,
        ..Als::default()
    };
    let model = options.train(&sequences, &mut Training::new(17)).unwrap();
    let (mut dice, items) = (Dice::new(17, 0xa15), sequences.vocabulary().len());
    let mut number = || f64::from(dice.normal() * (0.1 / 5f32.sqrt()));
    let mut of_items: Vec<Vec<f64>> =
        (0..items).map(|_| (0..5).map(|_| number()).collect()).collect();
    let users: Vec<BTreeSet<u32>> = sequences.iter().map(|s| s.iter().copied().collect()).collect();
    let having = |item| (0u32..).zip(&users).filter(move |(_, set)| set.contains(&item));
    let having: Vec<BTreeSet<u32>> =
        (0..items as u32).map(|item| having(item).map(|(user, _)| user).collect()).collect();
    let weights = (f64::from(0.05f32), f64::from(0.1f32));
    for _ in 0..3 {
        let of_users = als_side(&users, &of_items, weights);
        of_items = als_side(&having, &of_users, weights);
    }
    let of_users = als_side(&users, &of_items, weights);
    for (history, user) in sequences.iter().zip(&of_users) {
        let want =
            of_items.iter().map(|item| -> f64 { item.iter().zip(user).map(|(a, b)| a * b).sum() });
        for (got, want) in scores(&model, history).iter().zip(want) {
            assert!((f64::from(*got) - want).abs() < 1e-3, "{got} for {want}");
        }
    }
}

/// Goal: the same bytes, whatever the number of threads.
#[test]
fn threads_do_not_change_a_model() {
    let sequences = any(11);
    for method in every() {
        let of = |threads: usize| {
            let model = method.train(&sequences, &mut Training::new(3).threads(threads)).unwrap();
            format!("{:?}", model.method())
        };
        assert_eq!(of(1), of(4));
    }
}

/// Goal: a model that was saved and opened scores as before.
#[test]
fn models_come_back_from_a_database() {
    let sequences = any(12);
    for method in every() {
        let model = method.train(&sequences, &mut Training::new(3)).unwrap();
        let db = Db::in_memory(Schema::new()).unwrap();
        let version = db.publish("next", &model, Provenance::default()).unwrap();
        let back: Model = db.snapshot().artifact_version("next", version).unwrap();
        assert_eq!(format!("{:?}", back.method()), format!("{:?}", model.method()));
        assert_eq!(scores(&back, sequences.items(0)), scores(&model, sequences.items(0)));
    }
}

/// Goal: nothing to learn from, one item, one event, one very long sequence: no failure, and scores
/// are finite.
#[test]
fn strange_sequences_are_learned_from() {
    let id = |n: u64| (Key::Id(n), 0);
    let long: Vec<(Key, i64)> = (0..100_000).map(|at| id(at * at % 5_003)).collect();
    for lists in [vec![], vec![vec![id(4)]], vec![vec![id(4); 3], vec![id(4)]], vec![long]] {
        let lists = (0u64..).zip(lists);
        let sequences = Sequences::new(lists).unwrap();
        for method in every() {
            let model = method.train(&sequences, &mut Training::new(3)).unwrap();
            assert!(scores(&model, &[]).iter().all(|score| score.is_finite()));
            if !sequences.is_empty() {
                let scores = scores(&model, sequences.items(0));
                assert!(scores.iter().all(|score| score.is_finite()));
            }
        }
    }
}

/// Goal: options that make no sense are refused with their name.
#[test]
fn options_out_of_range_are_refused() {
    let wrong: Vec<Box<dyn Train>> = vec![
        Box::new(Popularity { half_life_days: Some(f64::NAN) }),
        Box::new(Rules { reach: 0, ..Rules::default() }),
        Box::new(Rules { decay: f32::NAN, ..Rules::default() }),
        Box::new(Rules { shrink: -1.0, ..Rules::default() }),
        Box::new(Markov { recent: 0, ..Markov::default() }),
        Box::new(Associations { keep: 0, ..Associations::default() }),
        Box::new(ItemKnn { neighbours: 0, ..ItemKnn::default() }),
        Box::new(ItemKnn { shrink: f32::INFINITY, ..ItemKnn::default() }),
        Box::new(Ease { penalty: Some(0.0), ..Ease::default() }),
        Box::new(Ease { keep: 0, ..Ease::default() }),
        Box::new(Ease { items_max: 3, ..Ease::default() }),
        Box::new(Als { dim: 0, ..Als::default() }),
        Box::new(Als { dim: 1_025, ..Als::default() }),
        Box::new(Als { penalty: Some(0.0), ..Als::default() }),
        Box::new(Als { unobserved: Some(f32::NAN), ..Als::default() }),
        Box::new(VsKnn { sample: 0, ..VsKnn::default() }),
        Box::new(VsKnn { recent: 1_001, ..VsKnn::default() }),
        Box::new(VsKnn { rarity: f32::NAN, ..VsKnn::default() }),
    ];
    for method in wrong {
        let error = method.train(&any(1), &mut Training::new(0)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
}

/// Goal: training stops when it is told to.
#[test]
fn training_can_be_cancelled() {
    for method in every() {
        let mut how = Training::new(0).progress(Progress::to(|_, _| false));
        let done = method.train(&any(1), &mut how);
        assert!(matches!(done, Err(Error::Cancelled)));
    }
}
