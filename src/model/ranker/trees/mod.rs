//! Trees: ensembles of decision trees that were trained elsewhere, computed here without a runtime.
//!
//! | file | it owns |
//! |---|---|
//! | `lightgbm` | the text that LightGBM writes |
//! | `xgboost` | the JSON that XGBoost writes |

mod lightgbm;
mod xgboost;

use super::{batch::RankBatch, features::Features, hook::Ranker};
use crate::{
    error::{Error, Result},
    model::tree::Tree,
};

/// An ensemble of decision trees over the scalars of a batch, in the order of their declaration.
///
/// Scores are the sums of the trees, before any link function: the order is the same.
///
/// ```
/// use bowerbird::model::ranker::{Features, Scalar, Trees};
/// # fn main() -> bowerbird::Result<()> {
/// let stars = Scalar::Attr { name: "stars".into(), otherwise: 0.0 };
/// let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\n\n\
///     Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=3.5\ndecision_type=2\n\
///     left_child=-1\nright_child=-2\nleaf_value=-1 1\nis_linear=0\n\nend of trees\n";
/// let trees = Trees::lightgbm(text, Features::new().scalar(stars))?;
/// assert_eq!((trees.score(&[2.0])?, trees.score(&[5.0])?), (-1.0, 1.0));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Trees {
    features: Features,
    trees: Vec<Tree>,
    /// What the sum begins with, and what it is multiplied by.
    base: f64,
    times: f64,
    from: &'static str,
}

/// What a reader found.
struct Read {
    trees: Vec<Tree>,
    /// How many numbers a row has.
    width: usize,
    base: f64,
    times: f64,
}

impl Trees {
    /// The text of a model that LightGBM saved (`save_model`). Missing values and categorical splits are
    /// what its `decision_type` says.
    ///
    /// # Errors
    /// `Invalid` for text that is no such model; for several classes, linear trees, or another number of
    /// features than there are scalars.
    pub fn lightgbm(text: &str, features: Features) -> Result<Trees> {
        Trees::of(lightgbm::read(text)?, features, "lightgbm")
    }

    /// The JSON of a model that XGBoost saved (`save_model("model.json")`), of the booster `gbtree`.
    ///
    /// # Errors
    /// `Invalid` for text that is no such model; for several classes or targets, categorical splits, other
    /// boosters, or another number of features than there are scalars.
    pub fn xgboost(json: &str, features: Features) -> Result<Trees> {
        Trees::of(xgboost::read(json)?, features, "xgboost")
    }

    fn of(read: Read, features: Features, from: &'static str) -> Result<Trees> {
        features.check()?;
        let (has, scalars) = (read.width, features.scalars().len());
        if has != scalars {
            let why = format!(
                "was trained on {has} features, but {scalars} scalars are declared. \
                 They are taken in the order of their declaration."
            );
            return Err(Error::invalid(format!("model of {from}"), why));
        }
        let Read { trees, base, times, .. } = read;
        Ok(Trees { features, trees, base, times, from })
    }

    /// The score of one row of scalars; NaN is a missing value.
    ///
    /// # Errors
    /// `Invalid` for another number of scalars than are declared.
    pub fn score(&self, row: &[f32]) -> Result<f32> {
        let (is, width) = (row.len(), self.features.scalars().len());
        match is == width {
            true => Ok(self.sum(row)),
            false => Err(Error::invalid("row", format!("has {is} numbers; {width} are declared"))),
        }
    }

    fn sum(&self, row: &[f32]) -> f32 {
        let sum: f64 = self.trees.iter().map(|tree| tree.leaf(row)).sum();
        (self.base + sum * self.times) as f32
    }
}

impl Ranker for Trees {
    fn name(&self) -> String {
        format!("trees of {}", self.from)
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        if *batch.features() != self.features || scores.len() != batch.len() {
            let why = "has other features than the trees were read for, or other scores";
            return Err(Error::invalid("batch", why));
        }
        let width = self.features.scalars().len();
        for (score, row) in scores.iter_mut().zip(batch.scalars().chunks_exact(width.max(1))) {
            *score = self.sum(row);
        }
        Ok(())
    }
}
