//! Goal: nodes that are the same are found, each of them, and what is beside them as if there were one.

use super::{
    super::{
        beam::{Aim, Beam, Through},
        effort::Reach,
        grow::Grow,
        twins::Twins,
    },
    grown::{DIM, clusters, links_are_whole, nearest},
    rotated, unlinked,
};
use crate::{progress::Progress, vector::hop::Hops};
use std::collections::BTreeSet;

const COUNT: usize = 2400;
const COPIES: usize = 600;

/// Vectors of which every fourth is the same.
fn with_copies() -> Vec<Vec<f32>> {
    let mut vectors = clusters(1, COUNT);
    let one = vectors[1].clone();
    (0..COPIES).for_each(|n| vectors[4 * n + 1] = one.clone());
    vectors
}

fn grown(vectors: &[Vec<f32>], l2: bool) -> Grow {
    let mut grown = unlinked(vectors, DIM, 2, l2, 2);
    grown.grow(None, 4, (&mut |_, _| Ok(()), &mut Progress::silent())).unwrap();
    links_are_whole(&grown);
    grown
}

fn walk(grown: &Grow, query: &[f32], aim: Aim, allowed: &dyn Fn(u32) -> bool) -> (Vec<u32>, u64) {
    let mut beam = Beam::default();
    beam.queries.resize_with(1, Hops::default);
    beam.queries[0].prepare(&rotated(query), &grown.measure.layout);
    let measure = (&grown.measure, grown.nodes);
    let cost = beam.walk(grown.heap(), measure, aim, Some(allowed));
    (beam.nearest.iter().map(|pair| pair.1).collect(), cost.expanded)
}

#[test]
fn groups_are_those_of_equal_codes() {
    let vectors = with_copies();
    let twins = Twins::of(&unlinked(&vectors, DIM, 2, true, 1));
    for node in 0..COUNT as u32 {
        let copy = node % 4 == 1;
        assert_eq!(twins.first(node), if copy { 1 } else { node });
        assert_eq!(twins.is_later(node), copy && node != 1);
    }
    let none = Twins::of(&unlinked(&clusters(1, 500), DIM, 2, true, 1));
    assert!((0..500).all(|node| !none.is_later(node)));
}

/// Goal: whichever of the copies may be returned, those are found; and a walk past them does not look at all.
#[test]
fn every_copy_is_found() {
    let vectors = with_copies();
    for l2 in [true, false] {
        let grown = grown(&vectors, l2);
        let query = &vectors[1];
        let is_copy = |node: u32| node % 4 == 1;
        let all = Aim { k: 600, width: 600, slack: 0.0, through: Through::All };
        let (found, _) = walk(&grown, query, all, &is_copy);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), COPIES, "l2 {l2}");
        // The last hundred of them: the first ones are dead, or were seen, or are filtered out.
        let last = |node: u32| is_copy(node) && node >= 4 * 500;
        let aim = Aim { k: 20, width: 64, slack: 0.4, through: Through::All };
        let (found, _) = walk(&grown, query, aim, &last);
        assert!(found.len() == 64 && found.iter().all(|node| last(*node)), "l2 {l2}");
        let some = |node: u32| last(node) || node % 4 == 2;
        let (found, _) = walk(&grown, query, Aim { through: Through::OneOther, ..aim }, &some);
        assert!(found.iter().take(20).all(|node| last(*node)), "over one other, l2 {l2}");
        // Half of all, so that walks go through allowed ones only.
        let half = |node: u32| node % 8 == 1 || node.is_multiple_of(2);
        let aim = Aim { k: 100, width: 300, slack: 0.4, through: Through::Allowed };
        let (found, _) = walk(&grown, query, aim, &half);
        let copies = found.iter().filter(|node| is_copy(**node)).count();
        assert!(copies >= 270, "{copies} of half of them, l2 {l2}");
        let (_, expanded) = walk(&grown, query, Reach::of(64, 10).aim(1.0, l2), &|_| true);
        assert!(expanded < 150, "{expanded} expanded for ten of {COPIES}");
    }
}

/// Goal: what is beside copies is found as well as without any.
#[test]
fn others_are_found_as_before() {
    let vectors = with_copies();
    let grown = grown(&vectors, true);
    let (mut hits, queries) = (0, clusters(2, 200));
    let other = |node: u32| node % 4 != 1;
    for query in &queries {
        let (found, _) = walk(&grown, query, Reach::of(64, 10).aim(0.75, true), &other);
        let truth = nearest(&vectors, (0..COUNT as u32).filter(|node| other(*node)), query, true);
        let found = nearest(&vectors, found.into_iter(), query, true);
        hits += found.iter().filter(|node| truth.contains(node)).count();
    }
    let recall = hits as f32 / 2000.0;
    assert!(recall >= 0.98, "{recall}");
}
