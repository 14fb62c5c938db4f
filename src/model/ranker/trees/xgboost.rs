//! XGBoost's JSON.

use super::Read;
use crate::{
    error::{Error, Result},
    model::tree::{Missing, Next, Node, Split, Tree},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    gradient_booster: Booster,
    learner_model_param: Param,
    objective: Objective,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<Model>,
}

#[derive(Deserialize)]
struct Model {
    trees: Vec<Listed>,
}

/// Numbers, as text.
#[derive(Deserialize)]
struct Param {
    base_score: String,
    num_class: String,
    num_feature: String,
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Word(bool),
    Number(u8),
}

/// A tree, column by column.
#[derive(Deserialize)]
struct Listed {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<usize>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
}

fn refuse(why: impl Into<String>) -> Error {
    Error::invalid("model of xgboost", why)
}

pub(super) fn read(json: &str) -> Result<Read> {
    let file: File =
        serde_json::from_str(json).map_err(|why| refuse(format!("cannot be read: {why}")))?;
    let Learner { gradient_booster: booster, learner_model_param: param, objective } = file.learner;
    let (true, Some(model)) = (booster.name == "gbtree", booster.model) else {
        return Err(refuse(format!("is of the booster {:?}; only gbtree is read", booster.name)));
    };
    let classes = number(&param.num_class, "num_class")?;
    let targets = param.num_target.map_or(Ok(1.0), |text| number(&text, "num_target"))?;
    if classes > 1.0 || targets > 1.0 {
        return Err(refuse("has several classes or targets; a ranker has one score"));
    }
    let width = param.num_feature.parse().map_err(|_| refuse("has no num_feature"))?;
    let base = number(param.base_score.trim_matches(['[', ']']), "base_score")?;
    let base = margin(base, &objective.name)?;
    let one = |(at, listed): (usize, &Listed)| {
        tree(listed, width).map_err(|why| refuse(format!("tree {at} {why}")))
    };
    let trees = model.trees.iter().enumerate().map(one).collect::<Result<_>>()?;
    Ok(Read { trees, width, base, times: 1.0 })
}

fn number(text: &str, what: &str) -> Result<f64> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        let start: String = text.chars().take(40).collect();
        refuse(format!("has {start:?} for {what}, which is no number"))
    })
}

/// What trees are added to: the base score goes through the objective's link.
fn margin(base: f64, objective: &str) -> Result<f64> {
    let margin = match objective {
        "binary:logistic" | "reg:logistic" | "binary:logitraw" => (base / (1.0 - base)).ln(),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => base.ln(),
        "reg:squarederror"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "binary:hinge" => base,
        ranking if ranking.starts_with("rank:") => base,
        other => return Err(refuse(format!("is of the objective {other:?}, which is not known"))),
    };
    match margin.is_finite() {
        true => Ok(margin),
        false => Err(refuse(format!("has the base score {base}, which {objective} cannot have"))),
    }
}

/// Leaves have no children, and their value where others have their condition.
fn tree(listed: &Listed, width: usize) -> Result<Tree, String> {
    let count = listed.left_children.len();
    let same = listed.right_children.len() == count
        && listed.split_indices.len() == count
        && listed.split_conditions.len() == count
        && listed.default_left.len() == count;
    if !same || count == 0 {
        return Err("has columns of several lengths, or no node".into());
    }
    if listed.split_type.iter().any(|kind| *kind != 0) {
        return Err("has a categorical split; only numbers are read".into());
    }
    let next = |child: i64| match usize::try_from(child) {
        Ok(at) if listed.left_children.get(at) == Some(&-1) => Next::Leaf(at),
        Ok(at) => Next::Node(at),
        Err(_) => Next::Node(usize::MAX),
    };
    let node = |at: usize| Node {
        feature: listed.split_indices[at],
        split: Split::Below(listed.split_conditions[at]),
        missing: Missing::Nan,
        missing_left: matches!(listed.default_left[at], Flag::Word(true) | Flag::Number(1..)),
        left: next(listed.left_children[at]),
        right: next(listed.right_children[at]),
    };
    let leaves = listed.split_conditions.iter().map(|value| f64::from(*value)).collect();
    Tree::new((0..count).map(node).collect(), leaves, next(0), width)
}
