//! Boosting: gradient-boosted trees. A crate trains them, and what it trained becomes trees of ours, so
//! that a build without the crate computes them, too.
//!
//! The crate is forust-ml: pure Rust, Apache-2.0, released this year, no dependency that is not here or
//! small; the logistic loss with weights and missing values, the same trees for the same seed on one
//! thread. linfa and smartcore have no boosting with that loss, gbdt has had no release for years, and
//! perpetual's is a candidate still, and budgeted, without the usual options.

use super::{ensemble::Ensemble, rows::Rows};
use crate::{
    error::{Error, Result},
    model::{
        ranker::caught::caught,
        tree::{Missing, Next, Node, Split, Tree},
    },
};
use forust_ml::{GradientBooster, Matrix, objective::ObjectiveType, sampler::SampleMethod};

/// Gradient-boosted trees with the logistic loss (Friedman, 2001; regularized as Chen and Guestrin, 2016).
///
/// A value that is missing goes, at each split, where the loss is smaller.
///
/// ```
/// use bowerbird::model::classify::Boosting;
/// let deep = Boosting { depth: 6, ..Boosting::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boosting {
    /// How many trees, 1 to 10,000.
    pub trees: usize,
    /// How much of each tree counts, above 0, up to 1.
    pub learning_rate: f32,
    /// How many splits from root to leaf, 1 to 12.
    pub depth: usize,
    /// The penalty on the squared values of leaves; 0 or more.
    pub l2: f32,
    /// Least sum of p (1 - p) in a leaf, over its rows by weight; 0 or more.
    pub leaf_weight: f32,
    /// Share of the rows that each tree is grown on, above 0, up to 1.
    pub rows: f32,
    /// Share of the columns that each tree may split on, above 0, up to 1.
    pub columns: f64,
}

impl Default for Boosting {
    fn default() -> Boosting {
        Boosting {
            trees: 100,
            learning_rate: 0.1,
            depth: 4,
            l2: 1.0,
            leaf_weight: 1.0,
            rows: 1.0,
            columns: 1.0,
        }
    }
}

impl Boosting {
    pub(super) fn fit(&self, rows: &Rows, seed: u64) -> Result<Ensemble> {
        self.check()?;
        // By columns, and only those that say something: the crate refuses those that do not.
        let width = rows.width();
        let column = |at: usize| rows.values().iter().skip(at).step_by(width);
        let useful = |at: &usize| {
            let mut there = column(*at).filter(|value| !value.is_nan());
            there.next().is_some_and(|first| there.any(|value| value != first))
        };
        let used: Vec<usize> = (0..width).filter(useful).collect();
        let (count, total) =
            (rows.len(), rows.weights().iter().map(|w| f64::from(*w)).sum::<f64>());
        let yes = rows.labels().iter().zip(rows.weights()).map(|(y, w)| f64::from(y * w));
        let share = (yes.sum::<f64>() / total).clamp(1e-9, 1.0 - 1e-9);
        let base = (share / (1.0 - share)).ln();
        let mean = |at: usize| {
            let there = column(at).filter(|value| !value.is_nan());
            let sum = there.fold((0.0, 0.0), |sum, x| (sum.0 + f64::from(*x), sum.1 + 1.0));
            (sum.0 / f64::max(sum.1, 1.0)) as f32
        };
        let means: Vec<f32> = (0..width).map(mean).collect();
        if used.is_empty() {
            return Ensemble::new(base, Vec::new(), (vec![0.0; width], means), width);
        }
        let values: Vec<f64> =
            used.iter().flat_map(|at| column(*at)).map(|value| f64::from(*value)).collect();
        let labels: Vec<f64> = rows.labels().iter().map(|label| f64::from(*label)).collect();
        let weights: Vec<f64> = rows.weights().iter().map(|weight| f64::from(*weight)).collect();
        let mut booster = self.booster(base, seed);
        caught("gradient boosting", || {
            let matrix = Matrix::new(&values, count, used.len());
            booster.fit(&matrix, &labels, &weights, None)
        })?
        .map_err(|why| Error::invalid("gradient boosting", why.to_string()))?;
        ensemble(&booster, base, &used, means)
    }

    fn booster(&self, base: f64, seed: u64) -> GradientBooster {
        let booster = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_iterations(self.trees)
            .set_learning_rate(self.learning_rate)
            .set_max_depth(self.depth)
            .set_l2(self.l2)
            .set_min_leaf_weight(self.leaf_weight)
            .set_base_score(base)
            .set_initialize_base_score(false)
            .set_colsample_bytree(self.columns)
            .set_seed(seed)
            // Sums of threads would depend on their number.
            .set_parallel(false);
        match self.rows < 1.0 {
            true => booster.set_sample_method(SampleMethod::Random).set_subsample(self.rows),
            false => booster,
        }
    }

    fn check(&self) -> Result<()> {
        let share = |x: f64| x > 0.0 && x <= 1.0;
        let fine = (1..=10_000).contains(&self.trees)
            && (1..=12).contains(&self.depth)
            && share(f64::from(self.learning_rate))
            && share(f64::from(self.rows))
            && share(self.columns)
            && self.l2.is_finite()
            && self.l2 >= 0.0
            && self.leaf_weight.is_finite()
            && self.leaf_weight >= 0.0;
        match fine {
            true => Ok(()),
            false => {
                Err(Error::invalid("options of boosting", format!("are out of range: {self:?}")))
            }
        }
    }
}

/// What the crate grew, as trees of ours: numbers below a bound go left there, and here if they are at
/// most the largest number below it.
fn ensemble(
    booster: &GradientBooster,
    base: f64,
    used: &[usize],
    means: Vec<f32>,
) -> Result<Ensemble> {
    let width = means.len();
    let mut gains = vec![0f64; width];
    let mut trees = Vec::with_capacity(booster.trees.len());
    for tree in &booster.trees {
        let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
        let places: Vec<Next> = tree
            .nodes
            .iter()
            .map(|node| match node.is_leaf {
                true => {
                    leaves.push(f64::from(node.weight_value));
                    Next::Leaf(leaves.len() - 1)
                }
                false => {
                    nodes.push(node);
                    Next::Node(nodes.len() - 1)
                }
            })
            .collect();
        let place = |number: usize| places.get(number).copied().unwrap_or(Next::Node(usize::MAX));
        let ours = nodes.iter().map(|node| {
            let feature = used.get(node.split_feature).copied().unwrap_or(usize::MAX);
            if let Some(gain) = gains.get_mut(feature) {
                *gain += f64::from(node.split_gain);
            }
            Node {
                feature,
                split: Split::AtMost(node.split_value.next_down()),
                missing: Missing::Nan,
                missing_left: node.missing_node == node.left_child,
                left: place(node.left_child),
                right: place(node.right_child),
            }
        });
        let ours = ours.collect();
        let tree = Tree::new(ours, leaves, place(0), width);
        trees.push(
            tree.map_err(|why| Error::invalid("gradient boosting", format!("a tree {why}")))?,
        );
    }
    Ensemble::new(base, trees, (gains, means), width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::train::dice::Dice;

    /// Goal: our trees say what the crate's say. Method: rows with missing values and repeats, each
    /// predicted by both, also rows that lie exactly on bounds.
    #[test]
    fn trees_say_what_the_crate_says() {
        let mut dice = Dice::new(3, 0);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..600 {
            let mut row: Vec<f32> = (0..4).map(|_| (dice.normal() * 4.0).round() / 4.0).collect();
            labels.push(f32::from(u8::from(row[0] * row[1] + 0.3 * dice.normal() > 0.0)));
            let gone = dice.below(5);
            row.iter_mut().take(gone.min(4) / 3).for_each(|x| *x = f32::NAN);
            row[3] = 7.0;
            values.extend(row);
        }
        let rows = Rows::new(["a", "b", "c", "same"], values, labels.clone()).unwrap();
        let how = Boosting { trees: 20, ..Boosting::default() };
        let ensemble = how.fit(&rows, 5).unwrap();
        assert_eq!(ensemble, how.fit(&rows, 5).unwrap());
        let columns: Vec<f64> = (0..3)
            .flat_map(|at| rows.values().iter().skip(at).step_by(4).map(|x| f64::from(*x)))
            .collect();
        let matrix = Matrix::new(&columns, 600, 3);
        let yes: f64 = labels.iter().map(|y| f64::from(*y)).sum::<f64>() / 600.0;
        let mut booster = how.booster((yes / (1.0 - yes)).ln(), 5);
        let labels: Vec<f64> = labels.iter().map(|y| f64::from(*y)).collect();
        booster.fit(&matrix, &labels, &vec![1.0; 600], None).unwrap();
        let theirs = booster.predict(&matrix, false);
        let mut right = 0;
        for (at, theirs) in theirs.iter().enumerate() {
            let ours = ensemble.margin(rows.row(at).unwrap());
            assert!((ours - theirs).abs() < 1e-6, "row {at}: {ours} and {theirs}");
            right += usize::from((ours > 0.0) == (labels[at] > 0.5));
        }
        // Chance is 300, give or take 12.
        assert!(right > 430, "{right} of 600 are right");
    }
}
