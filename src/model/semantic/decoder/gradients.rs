//! Gradients against finite differences: every part of the network, and the vectors of prefixes.

use super::{
    fit::{Fit, Recipe},
    model::Learned,
    plan::{Plan, Shape},
    tree::Tree,
    window::{Paths, Window},
};
use crate::{model::train::dice::Dice, semantic::SemanticId};

/// IDs of which some share prefixes, whole or in part.
pub(super) fn ids(widths: &[usize], count: usize) -> Vec<SemanticId> {
    let mut dice = Dice::new(3, 9);
    let mut code = |width: &usize| dice.below(*width) as u16;
    let one = |_| SemanticId::new(&widths.iter().map(&mut code).collect::<Vec<_>>()).unwrap();
    let mut ids: Vec<SemanticId> = (0..count).map(one).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A network whose attention is far from even and whose numbers are all in use.
pub(super) fn network(widths: &[usize], ids: &[SemanticId], length: usize) -> Learned {
    let plan = Plan::new(Shape::new(widths, (12, 2, 3), length).unwrap());
    let (tree, mut dice) = (Tree::new(widths, ids), Dice::new(11, 3));
    let (mut theta, mut nodes) = plan.fresh(&tree, (ids, &vec![1; ids.len()]), &mut dice);
    for (name, shape, at) in &plan.parts {
        let base = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        let part = &mut theta[*at..at + shape.iter().product::<usize>()];
        part.iter_mut().for_each(|number| *number = base + 0.3 * dice.normal());
    }
    nodes.iter_mut().for_each(|number| *number = 0.5 * dice.normal());
    Learned { plan, ids: ids.to_vec(), tree, theta, nodes }
}

/// How to train so that everything random is the same in every call.
pub(super) fn recipe(dropout: f32) -> Recipe {
    Recipe { rate: 1e-3, batch: 4, epochs: 1, patience: 1, dropout }
}

/// The loss of some lists, and the gradients of the network's numbers and of prefixes.
pub(super) fn run(
    learned: &Learned,
    lists: &[Vec<u32>],
    dropout: f32,
) -> (f64, Vec<f32>, Vec<f32>) {
    let paths = Paths::new(&learned.tree, learned.plan.levels(), &learned.ids);
    let mut windows = Vec::new();
    lists.iter().for_each(|list| Window::all(list, learned.plan.positions(), &mut windows));
    let batch: Vec<usize> = (0..windows.len()).collect();
    Fit::new(learned, windows, &paths, recipe(dropout), (5, 1)).gradients(learned, &batch)
}

fn lists(count: usize) -> Vec<Vec<u32>> {
    // One longer than a window, some short.
    let list = |(length, first): (usize, usize)| {
        (0..length).map(|at| ((at * 7 + first) % count) as u32).collect()
    };
    [(21, 3), (1, 4), (5, 8), (9, 1)].map(list).to_vec()
}

/// Goal: gradients of all layers and of the loss are right, at one level and at many. Method: each
/// part is walked along the direction that its gradient says is steepest, with some signs turned;
/// four-point differences say how steep it was, at several step sizes.
#[test]
fn gradients_of_all_parts_are_those_of_differences() {
    for widths in [&[7usize][..], &[5, 4], &[3, 4, 2, 3]] {
        let ids = ids(widths, 30);
        let (net, lists) = (network(widths, &ids, 8), lists(ids.len()));
        let (_, theta, nodes) = run(&net, &lists, 0.2);
        let mut parts: Vec<(String, std::ops::Range<usize>)> = net
            .plan
            .parts
            .iter()
            .map(|(name, shape, at)| (name.clone(), *at..at + shape.iter().product::<usize>()))
            .collect();
        if !nodes.is_empty() {
            parts.push(("nodes".into(), 0..nodes.len()));
        }
        for (name, range) in parts {
            let grad = if name == "nodes" { &nodes[..] } else { &theta[range.clone()] };
            let mut dice = Dice::new(17, range.start as u64);
            let sign = |g: &f32| if *g < 0.0 { -1.0f32 } else { 1.0 };
            let mut turn = |g: &f32| if dice.unit() < 0.3 { -sign(g) } else { sign(g) };
            let way: Vec<f32> = grad.iter().map(&mut turn).collect();
            let want: f64 = grad.iter().zip(&way).map(|(g, w)| f64::from(g * w)).sum();
            let size = grad.iter().map(|g| f64::from(g.abs())).sum::<f64>().max(1e-2);
            let at = |by: f32| {
                let mut moved = net.clone();
                let numbers = if name == "nodes" { &mut moved.nodes } else { &mut moved.theta };
                numbers[range.clone()].iter_mut().zip(&way).for_each(|(n, w)| *n += by * w);
                run(&moved, &lists, 0.2).0
            };
            let error = |step: f32| {
                let slope = 8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step));
                (slope / (12.0 * f64::from(step)) - want).abs() / size
            };
            let errors = [1e-4, 3e-4, 1e-3, 3e-3].map(error);
            let least = errors.iter().copied().fold(f64::MAX, f64::min);
            assert!(least < 1e-3, "{name} of {widths:?}: off by {errors:?}, slope {want}");
        }
    }
}
