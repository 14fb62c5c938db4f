//! Goal: the parts of a walk do what a few naive lines say.

use super::super::{
    effort::{Reach, Trial, effort_for},
    kept::Kept,
    pool::{Marks, Pool},
};
use crate::vector::rotate::splitmix;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Candidates as one would write them down: offered, taken or not, in order.
#[derive(Default)]
struct List(Vec<(f32, u32, bool)>);

impl List {
    fn offer(&mut self, distance: f32, node: u32) {
        self.0.push((distance, node, false));
        self.0.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    fn next(&mut self) -> Option<(f32, u32)> {
        let next = self.0.iter_mut().find(|candidate| !candidate.2)?;
        next.2 = true;
        Some((next.0, next.1))
    }
}

/// Distances with ties, of both signs, and without end.
fn distance() -> impl Strategy<Value = f32> {
    prop_oneof![
        (-8i8..8).prop_map(f32::from),
        any::<f32>().prop_filter("a number", |x| !x.is_nan()),
        Just(f32::INFINITY),
        Just(-0.0f32),
    ]
}

proptest! {
    /// Method: offers and takes in any order, of which no offer is made twice: a walk skips a node
    /// that it has been to.
    #[test]
    fn a_pool_gives_each_once_and_the_nearest_first(
        steps in prop::collection::vec((distance(), 0u32..6, any::<bool>()), 0..80),
    ) {
        let (mut pool, mut list) = (Pool::default(), List::default());
        // What an earlier walk left is forgotten.
        pool.offer(1.0, 1);
        pool.clear();
        let mut offered = BTreeSet::new();
        for (distance, node, take) in steps {
            if offered.insert((distance.to_bits(), node)) {
                pool.offer(distance, node);
                list.offer(distance, node);
            }
            let bits = |found: Option<(f32, u32)>| found.map(|(x, node)| (x.to_bits(), node));
            if take {
                prop_assert_eq!(bits(pool.next()), bits(list.next()));
            }
        }
        while let Some(found) = list.next() {
            prop_assert_eq!(pool.next(), Some(found));
        }
        prop_assert_eq!(pool.next(), None);
    }

    #[test]
    fn the_nearest_are_kept_in_order_and_the_first_of_equals(
        k in 0usize..8,
        all in prop::collection::vec(distance(), 0..40),
    ) {
        let mut nearest = Kept::default();
        nearest.begin(k);
        for (node, distance) in all.iter().enumerate() {
            nearest.offer(*distance, node as u32);
        }
        nearest.settle();
        let mut expected: Vec<(f32, u32)> = all.into_iter().zip(0..).collect();
        expected.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap());
        expected.truncate(k);
        prop_assert_eq!(&nearest[..], &expected[..]);
    }

    #[test]
    fn marks_are_a_set(rounds in prop::collection::vec((1u32..300, any::<[u16; 20]>()), 1..4)) {
        let mut marks = Marks::default();
        for (nodes, some) in rounds {
            marks.clear(nodes);
            let mut set = BTreeSet::new();
            for node in some.map(|node| u32::from(node) % nodes) {
                prop_assert_eq!(marks.has(node), set.contains(&node));
                prop_assert_eq!(marks.mark(node), set.insert(node));
            }
            prop_assert!((0..nodes).all(|node| marks.has(node) == set.contains(&node)));
        }
    }

    #[test]
    fn more_recall_takes_no_less_effort(
        mut recalls in prop::collection::vec(0f32..=1.0, 0..11),
        wanted in prop::collection::vec(-0.1f32..1.1, 2..20),
    ) {
        recalls.sort_by(f32::total_cmp);
        let trial = |(at, recall): (usize, &f32)| Trial { effort: 2 << at, recall: *recall };
        let trials: Vec<Trial> = recalls.iter().enumerate().map(trial).collect();
        let mut wanted = wanted;
        wanted.sort_by(f32::total_cmp);
        let efforts: Vec<u32> = wanted.iter().map(|recall| effort_for(&trials, *recall)).collect();
        prop_assert!(efforts.is_sorted(), "{:?} for {:?} of {:?}", efforts, wanted, trials);
        // What was tried is answered by the least effort that did it.
        for trial in &trials {
            let least = trials.iter().find(|other| other.recall >= trial.recall).unwrap();
            prop_assert_eq!(effort_for(&trials, trial.recall), least.effort);
        }
        let most = trials.last().map_or(1024, |trial| trial.effort);
        prop_assert_eq!(effort_for(&trials, 1.1), most);
    }

    #[test]
    fn more_effort_goes_no_less_far(
        efforts in (0u32..5000, 0u32..5000),
        k in 1usize..2000,
        share in 0f32..=1.0,
        l2: bool,
    ) {
        let (less, more) = (efforts.0.min(efforts.1), efforts.0.max(efforts.1));
        let [less, more] = [less, more].map(|effort| Reach::of(effort, k).aim(share, l2));
        prop_assert!(less.width <= more.width && less.slack <= more.slack);
        prop_assert!(less.k == more.k && k < less.k && less.k <= less.width);
        let all = Reach::of(efforts.0, k).aim(1.0, l2);
        let few = Reach::of(efforts.0, k).aim(share, l2);
        prop_assert!(all.width <= few.width && few.width <= 16 * all.width);
    }
}

/// Goal: of very many the same are kept as of few.
#[test]
fn very_many_are_kept_as_few_are() {
    let mut state = 1;
    for width in [2047, 2048, 2049, 5000, 100_000] {
        let number = |_| (splitmix(&mut state) % 100_000) as f32;
        let all: Vec<f32> = (0..4 * width).map(number).collect();
        let mut nearest = Kept::default();
        nearest.begin(width);
        all.iter().zip(0..).for_each(|(distance, node)| nearest.offer(*distance, node));
        nearest.settle();
        let mut expected: Vec<(f32, u32)> = all.into_iter().zip(0..).collect();
        expected.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(nearest[..] == expected[..width], "{width}");
    }
}

/// Goal: an effort between two that were tried lies between them, nearer the one it is nearer to.
#[test]
fn efforts_between_trials_are_in_between() {
    let trials = [(4, 0.5), (16, 0.9), (64, 0.9), (256, 0.98)];
    let trials = trials.map(|(effort, recall)| Trial { effort, recall });
    let cases = [(0.0, 4), (0.5, 4), (0.7, 8), (0.9, 16), (0.92, 91), (0.98, 256), (0.981, 256)];
    for (recall, effort) in cases {
        assert_eq!(effort_for(&trials, recall), effort, "{recall}");
    }
    assert_eq!(effort_for(&[Trial { effort: 0, recall: 1.0 }], 0.5), 1);
}
