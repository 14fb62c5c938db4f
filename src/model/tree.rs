//! Tree: splits on numbers, and values at the leaves.

use serde::{Deserialize, Serialize};

/// A decision tree. Whatever a file says, one that was made ends at a leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    leaves: Vec<f64>,
    root: Next,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) feature: usize,
    pub(crate) split: Split,
    pub(crate) missing: Missing,
    /// Where what is missing goes.
    pub(crate) missing_left: bool,
    pub(crate) left: Next,
    pub(crate) right: Next,
}

/// What goes to the left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Split {
    AtMost(f64),
    /// Compared as f32.
    Below(f32),
    /// Whole numbers whose bit is set.
    OneOf(Vec<u32>),
}

/// What counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Missing {
    /// Nothing: NaN counts as 0.
    Never,
    /// 0 and NaN.
    Zero,
    Nan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Next {
    Node(usize),
    Leaf(usize),
}

/// What LightGBM takes for 0.
const ZERO: f64 = 1e-35f32 as f64;

impl Tree {
    /// Of parts that must fit: every way from the root ends at a leaf, and none comes to a node twice.
    pub(crate) fn new(
        nodes: Vec<Node>,
        leaves: Vec<f64>,
        root: Next,
        width: usize,
    ) -> Result<Tree, String> {
        let mut seen = vec![false; nodes.len()];
        let mut open = vec![root];
        while let Some(next) = open.pop() {
            match next {
                Next::Leaf(at) => match leaves.get(at) {
                    None => return Err(format!("has no leaf {at}")),
                    Some(value) if !value.is_finite() => {
                        return Err(format!("has {value} at leaf {at}; values must be finite"));
                    }
                    Some(_) => {}
                },
                Next::Node(at) => {
                    let node = nodes.get(at).ok_or_else(|| format!("has no node {at}"))?;
                    if std::mem::replace(&mut seen[at], true) {
                        return Err(format!("comes to node {at} twice, so it is no tree"));
                    }
                    if node.feature >= width {
                        let feature = node.feature;
                        return Err(format!("splits on feature {feature} of {width} at node {at}"));
                    }
                    let number = match node.split {
                        Split::AtMost(number) => number,
                        Split::Below(number) => f64::from(number),
                        Split::OneOf(_) => 0.0,
                    };
                    if number.is_nan() {
                        return Err(format!("splits at NaN at node {at}"));
                    }
                    open.extend([node.left, node.right]);
                }
            }
        }
        Ok(Tree { nodes, leaves, root })
    }

    /// One that was read as it was written: its parts may not fit.
    pub(crate) fn checked(self, width: usize) -> Result<Tree, String> {
        Tree::new(self.nodes, self.leaves, self.root, width)
    }

    /// The value of the leaf that a row comes to.
    pub(crate) fn leaf(&self, row: &[f32]) -> f64 {
        let mut next = self.root;
        loop {
            match next {
                Next::Leaf(at) => return self.leaves[at],
                Next::Node(at) => {
                    let node = &self.nodes[at];
                    next = if node.goes_left(row[node.feature]) { node.left } else { node.right };
                }
            }
        }
    }
}

impl Node {
    fn goes_left(&self, number: f32) -> bool {
        if let Split::OneOf(bits) = &self.split {
            // What is missing, negative or not in the list goes to the right; -0.5 is cut to 0.
            let whole = if number > -1.0 { number as usize } else { usize::MAX };
            return bits.get(whole / 32).is_some_and(|word| word >> (whole % 32) & 1 == 1);
        }
        let missing = match self.missing {
            Missing::Never => false,
            Missing::Zero => number.is_nan() || f64::from(number).abs() <= ZERO,
            Missing::Nan => number.is_nan(),
        };
        if missing {
            return self.missing_left;
        }
        let number = if number.is_nan() { 0.0 } else { number };
        match self.split {
            Split::AtMost(most) => f64::from(number) <= most,
            Split::Below(bound) => number < bound,
            Split::OneOf(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(left: Next, right: Next) -> Node {
        let (split, missing) = (Split::AtMost(0.5), Missing::Nan);
        Node { feature: 0, split, missing, missing_left: true, left, right }
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        use Next::{Leaf, Node};
        let tree = |nodes, root| Tree::new(nodes, vec![1.0, f64::NAN], root, 1);
        let refused = |nodes, root, why: &str| {
            let said = tree(nodes, root).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        assert_eq!(tree(vec![node(Leaf(0), Leaf(0))], Node(0)).unwrap().leaf(&[0.0]), 1.0);
        refused(vec![node(Node(0), Leaf(0))], Node(0), "comes to node 0 twice");
        refused(vec![node(Node(1), Node(1)), node(Leaf(0), Leaf(0))], Node(0), "node 1 twice");
        refused(vec![node(Leaf(7), Leaf(0))], Node(0), "no leaf 7");
        refused(vec![node(Leaf(0), Node(9))], Node(0), "no node 9");
        refused(vec![], Leaf(1), "NaN at leaf 1");
        let far = super::Node { feature: 1, ..node(Leaf(0), Leaf(0)) };
        refused(vec![far], Node(0), "feature 1 of 1");
    }
}
