//! LightGBM's text: `key=value` lines, a block for the model and one for each tree.

use super::Read;
use crate::{
    error::{Error, Result},
    model::tree::{Missing, Next, Node, Split, Tree},
};
use std::{collections::BTreeMap, str::FromStr};

/// Lines of a block, by key.
struct Block<'t> {
    name: &'t str,
    lines: BTreeMap<&'t str, &'t str>,
}

fn refuse(why: impl Into<String>) -> Error {
    Error::invalid("model of lightgbm", why)
}

pub(super) fn read(text: &str) -> Result<Read> {
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some("tree") {
        return Err(refuse("does not begin with a line \"tree\". Is it what save_model wrote?"));
    }
    let mut blocks = vec![Block { name: "the model", lines: BTreeMap::new() }];
    let mut ended = false;
    for line in lines {
        if line == "end of trees" {
            ended = true;
            break;
        }
        if line.starts_with("Tree=") {
            blocks.push(Block { name: line, lines: BTreeMap::new() });
        } else if let Some(block) = blocks.last_mut() {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            block.lines.insert(key, value);
        }
    }
    if !ended {
        return Err(refuse("has no line \"end of trees\": it was cut off"));
    }
    let (head, trees) = (&blocks[0], &blocks[1..]);
    let classes: usize = head.number("num_class")?;
    let at_once: usize = head.number("num_tree_per_iteration")?;
    if (classes, at_once) != (1, 1) {
        return Err(refuse(format!("has {classes} classes; a ranker has one score")));
    }
    let last: usize = head.number("max_feature_idx")?;
    let width = last.checked_add(1).ok_or_else(|| refuse("has too many features"))?;
    let trees: Vec<Tree> = trees.iter().map(|block| tree(block, width)).collect::<Result<_>>()?;
    let average = head.lines.contains_key("average_output") && !trees.is_empty();
    let times = if average { 1.0 / trees.len() as f64 } else { 1.0 };
    Ok(Read { trees, width, base: 0.0, times })
}

fn tree(block: &Block<'_>, width: usize) -> Result<Tree> {
    let wrong = |why: String| refuse(format!("{} {why}", block.name));
    if block.lines.get("is_linear").is_some_and(|linear| *linear != "0") {
        return Err(wrong("has linear leaves; train without linear_tree".into()));
    }
    let leaves: usize = block.number("num_leaves")?;
    let splits = leaves.checked_sub(1).ok_or_else(|| wrong("has no leaves".into()))?;
    let values: Vec<f64> = block.numbers("leaf_value", leaves)?;
    let features: Vec<usize> = block.numbers("split_feature", splits)?;
    let thresholds: Vec<f64> = block.numbers("threshold", splits)?;
    let kinds: Vec<u32> = block.numbers("decision_type", splits)?;
    let lefts: Vec<i64> = block.numbers("left_child", splits)?;
    let rights: Vec<i64> = block.numbers("right_child", splits)?;
    let categories = Categories::of(block)?;
    let mut nodes = Vec::with_capacity(features.len());
    for at in 0..splits {
        let split = match kinds[at] & 1 {
            0 => Split::AtMost(thresholds[at]),
            _ => Split::OneOf(categories.list(thresholds[at]).map_err(wrong)?),
        };
        let missing = match kinds[at] >> 2 & 3 {
            0 => Missing::Never,
            1 => Missing::Zero,
            2 => Missing::Nan,
            _ => return Err(wrong(format!("has the decision type {} at node {at}", kinds[at]))),
        };
        nodes.push(Node {
            feature: features[at],
            split,
            missing,
            missing_left: kinds[at] & 2 != 0,
            left: next(lefts[at]),
            right: next(rights[at]),
        });
    }
    let root = if splits == 0 { Next::Leaf(0) } else { Next::Node(0) };
    Tree::new(nodes, values, root, width).map_err(wrong)
}

/// A child: a node, or from -1 down a leaf.
fn next(child: i64) -> Next {
    match usize::try_from(child) {
        Ok(node) => Next::Node(node),
        Err(_) => Next::Leaf(!child as usize),
    }
}

/// The lists of categories of a tree, end to end.
struct Categories {
    bounds: Vec<usize>,
    words: Vec<u32>,
}

impl Categories {
    fn of(block: &Block<'_>) -> Result<Categories> {
        let count = if block.lines.contains_key("num_cat") { block.number("num_cat")? } else { 0 };
        if count == 0usize {
            return Ok(Categories { bounds: vec![0], words: Vec::new() });
        }
        let bounds: Vec<usize> = block.numbers("cat_boundaries", count.saturating_add(1))?;
        let words = block.numbers("cat_threshold", bounds[bounds.len() - 1])?;
        Ok(Categories { bounds, words })
    }

    /// The list with a number, which stands where a threshold would.
    fn list(&self, number: f64) -> Result<Vec<u32>, String> {
        let at = number as usize;
        let ends = (self.bounds.get(at), at.checked_add(1).and_then(|at| self.bounds.get(at)));
        let list = match ends {
            (Some(from), Some(to)) => self.words.get(*from..*to),
            _ => None,
        };
        list.map(<[u32]>::to_vec).ok_or_else(|| format!("has no list of categories {number}"))
    }
}

impl<'t> Block<'t> {
    fn value(&self, key: &str) -> Result<&'t str> {
        self.lines.get(key).copied().ok_or_else(|| refuse(format!("{} has no {key}", self.name)))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let value = self.value(key)?;
        value.parse().map_err(|_| self.wrong(key, value))
    }

    /// As many numbers as there must be; a tree of one leaf may leave out what there is nothing of.
    fn numbers<T: FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>> {
        let value = if count == 0 { self.value(key).unwrap_or("") } else { self.value(key)? };
        let parse = |word: &str| word.parse().map_err(|_| self.wrong(key, word));
        let numbers: Vec<T> = value.split_whitespace().map(parse).collect::<Result<_>>()?;
        let has = numbers.len();
        match has == count {
            true => Ok(numbers),
            false => {
                let name = self.name;
                Err(refuse(format!("{name} has {has} numbers in {key}; {count} are needed")))
            }
        }
    }

    fn wrong(&self, key: &str, value: &str) -> Error {
        let start: String = value.chars().take(40).collect();
        refuse(format!("{} has {start:?} in {key}, which is no such number", self.name))
    }
}
