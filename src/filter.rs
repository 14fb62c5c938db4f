//! Predicates over attributes: which items may be found and recommended.
//!
//! A [`Where`] is only a description. It knows neither schema nor items, so it can be built
//! anywhere, sent as JSON and kept in a configuration; `resolve` checks it against a schema when it
//! is used.

use crate::{
    error::{Error, Result},
    item::Value,
    limits::{FILTER_DEPTH_MAX, FILTER_IN_MAX, FILTER_NODES_MAX},
};
use serde::Serialize;
use std::ops::{BitAnd, BitOr, Not};

mod json;
mod resolve;

use json::Literal;
pub(crate) use resolve::{Operand, Resolved};

/// Names an attribute, to say something about its values.
///
/// ```
/// use bowerbird::attr;
/// let calm = attr("genre").is_in(["jazz", "ambient"]) & !attr("live").is(true);
/// ```
pub fn attr(name: &str) -> AttrRef {
    AttrRef { name: name.into() }
}

/// The name of an attribute, waiting for a condition. Made by [`attr`].
///
/// An item without a value for the attribute satisfies none of these conditions. Numbers are
/// compared exactly: `2.5` equals no int, and a bound of `2.5` on an int means 3 from below and 2
/// from above.
///
/// ```
/// use bowerbird::{AttrRef, attr};
/// let year: AttrRef = attr("year");
/// let fifties = year.between(1950, 1959);
/// ```
#[derive(Clone, Debug)]
pub struct AttrRef {
    name: String,
}

impl AttrRef {
    /// The value equals this one; for tags: contains this one.
    ///
    /// ```
    /// use bowerbird::attr;
    /// let jazz = attr("genre").is("jazz");
    /// let live_jazz = attr("genre").is("jazz") & attr("genre").is("live");
    /// ```
    pub fn is(self, value: impl Into<Value>) -> Where {
        Where::leaf(Node::Is(self.name, Literal(value.into())))
    }

    /// The value equals one of these; for tags: contains at least one of these. At most 1,000,000.
    ///
    /// ```
    /// use bowerbird::attr;
    /// let decades = attr("decade").is_in((0..5).map(|n| 1950 + 10 * n));
    /// ```
    pub fn is_in(self, values: impl IntoIterator<Item: Into<Value>>) -> Where {
        // One more than allowed is enough for `resolve` to see that there are too many.
        let values = values.into_iter().take(FILTER_IN_MAX + 1);
        let values = values.map(|value| Literal(value.into())).collect();
        Where::leaf(Node::In(self.name, values))
    }

    /// The value is neither below `lo` nor above `hi`. Nothing is between 2 and 1.
    ///
    /// Strings are ordered by their bytes. Bools and tags have no order, and asking for one is an
    /// error.
    ///
    /// ```
    /// use bowerbird::{Timestamp, attr};
    /// let then = attr("released").between(Timestamp::from_secs(0), Timestamp::from_secs(86_400));
    /// ```
    pub fn between(self, lo: impl Into<Value>, hi: impl Into<Value>) -> Where {
        let (lo, hi) = (Literal(lo.into()), Literal(hi.into()));
        Where::leaf(Node::Between(self.name, Some(lo), Some(hi)))
    }

    /// The value is `lo` or above.
    ///
    /// ```
    /// use bowerbird::attr;
    /// let rated = attr("rating").at_least(3.5);
    /// ```
    pub fn at_least(self, lo: impl Into<Value>) -> Where {
        Where::leaf(Node::Between(self.name, Some(Literal(lo.into())), None))
    }

    /// The value is `hi` or below.
    ///
    /// ```
    /// use bowerbird::attr;
    /// let cheap = attr("price").at_most(20);
    /// ```
    pub fn at_most(self, hi: impl Into<Value>) -> Where {
        Where::leaf(Node::Between(self.name, None, Some(Literal(hi.into()))))
    }

    /// There is a value.
    ///
    /// ```
    /// use bowerbird::attr;
    /// let unpriced = !attr("price").exists();
    /// ```
    pub fn exists(self) -> Where {
        Where::leaf(Node::Exists(self.name))
    }
}

/// A predicate over attributes: conditions made by [`attr`], joined by `&`, `|`, and `!`.
///
/// `!` is the complement: an item without a genre satisfies `!attr("genre").is("jazz")`. Add
/// `& attr("genre").exists()` where that is not meant. There are at most 64 levels and 10,000
/// nodes; a chain of `&` or of `|` is one level. Joining more is harmless, using the result is an
/// error.
///
/// Filters are also JSON: `{"is":["genre","jazz"]}`, `{"in":["genre",["jazz","rock"]]}`,
/// `{"between":["year",1950,null]}`, `{"exists":"genre"}`, `{"not":..}`, `{"and":[..]}`,
/// `{"or":[..]}`, `"all"`. A point in time is `{"time":1700000000000}`, in milliseconds. (Of
/// filters that alternate `and` with `or` all the way down, serde_json reads 63 levels: it stops at
/// 127 nested brackets.)
///
/// ```
/// use bowerbird::{Where, attr};
/// let filter = attr("genre").is("jazz") & attr("year").at_least(1950);
/// let json = r#"{"and":[{"is":["genre","jazz"]},{"between":["year",1950,null]}]}"#;
/// assert_eq!(serde_json::to_string(&filter).unwrap(), json);
/// assert_eq!(serde_json::from_str::<Where>(json).unwrap(), filter);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Where {
    node: Node,
    // Kept beside the tree so that joining never has to walk it.
    depth: usize,
    nodes: usize,
}

/// The tree itself. Its JSON is derived, so the names of the variants are part of the interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Node {
    All,
    Is(String, Literal),
    In(String, Vec<Literal>),
    Between(String, Option<Literal>, Option<Literal>),
    Exists(String),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// Stands for a tree that was too large and is gone. Only ever the root.
    Refused(Limit),
}

/// The limit that a tree exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Depth,
    Nodes,
}

impl Limit {
    fn why(self) -> String {
        match self {
            Limit::Depth => format!("is nested too deep; at most {FILTER_DEPTH_MAX} levels"),
            Limit::Nodes => format!("has too many conditions; at most {FILTER_NODES_MAX} nodes"),
        }
    }
}

impl Where {
    /// Every item.
    ///
    /// ```
    /// use bowerbird::{Where, attr};
    /// let wanted = ["jazz", "live"].map(|tag| attr("genre").is(tag));
    /// let both = wanted.into_iter().fold(Where::all(), |all, one| all & one);
    /// assert_eq!(both, attr("genre").is("jazz") & attr("genre").is("live"));
    /// ```
    pub fn all() -> Where {
        Where::leaf(Node::All)
    }

    /// No item; what `{"or":[]}` means.
    fn none() -> Where {
        Where::leaf(Node::Or(Vec::new()))
    }

    fn leaf(node: Node) -> Where {
        let (depth, nodes) = (1, 1);
        Where { node, depth, nodes }
    }

    /// Every tree with children is made here, so that none is ever deeper than one level too deep
    /// and walking, cloning and dropping it cannot overflow the stack.
    fn tree(node: Node, depth: usize, nodes: usize) -> Where {
        if depth > FILTER_DEPTH_MAX {
            return Where::leaf(Node::Refused(Limit::Depth));
        }
        if nodes > FILTER_NODES_MAX {
            return Where::leaf(Node::Refused(Limit::Nodes));
        }
        Where { node, depth, nodes }
    }

    /// Refuses a filter that was too large when it was built.
    pub(crate) fn check(&self) -> Result<()> {
        match self.node {
            Node::Refused(limit) => Err(Error::invalid("filter", limit.why())),
            _ => Ok(()),
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.node, Node::Refused(_))
    }

    /// What an `&` chain would hold, the depth of the chain and the number of nodes under it.
    fn conjuncts(self) -> (Vec<Node>, usize, usize) {
        match self.node {
            Node::And(all) => (all, self.depth, self.nodes - 1),
            node => (vec![node], self.depth + 1, self.nodes),
        }
    }

    /// The same for `|`.
    fn disjuncts(self) -> (Vec<Node>, usize, usize) {
        match self.node {
            Node::Or(any) => (any, self.depth, self.nodes - 1),
            node => (vec![node], self.depth + 1, self.nodes),
        }
    }
}

impl Default for Where {
    fn default() -> Where {
        Where::all()
    }
}

impl BitAnd for Where {
    type Output = Where;

    fn bitand(self, other: Where) -> Where {
        match (&self.node, &other.node) {
            _ if self.is_refused() => return self,
            _ if other.is_refused() => return other,
            (Node::All, _) => return other,
            (_, Node::All) => return self,
            _ => {}
        }
        let (mut all, depth, nodes) = self.conjuncts();
        let (more, more_depth, more_nodes) = other.conjuncts();
        all.extend(more);
        Where::tree(Node::And(all), depth.max(more_depth), 1 + nodes + more_nodes)
    }
}

impl BitOr for Where {
    type Output = Where;

    fn bitor(self, other: Where) -> Where {
        match (&self.node, &other.node) {
            _ if self.is_refused() => return self,
            _ if other.is_refused() => return other,
            (Node::Or(any), _) if any.is_empty() => return other,
            (_, Node::Or(any)) if any.is_empty() => return self,
            _ => {}
        }
        let (mut any, depth, nodes) = self.disjuncts();
        let (more, more_depth, more_nodes) = other.disjuncts();
        any.extend(more);
        Where::tree(Node::Or(any), depth.max(more_depth), 1 + nodes + more_nodes)
    }
}

impl Not for Where {
    type Output = Where;

    fn not(self) -> Where {
        match self.node {
            Node::Refused(_) => self,
            Node::Not(inner) => Where::tree(*inner, self.depth - 1, self.nodes - 1),
            node => Where::tree(Node::Not(Box::new(node)), self.depth + 1, self.nodes + 1),
        }
    }
}

#[cfg(test)]
mod tests;
