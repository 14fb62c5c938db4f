//! Tree: the prefixes of the IDs that training saw, each with a row of numbers of its own.

use super::sequences::NONE;
use crate::semantic::SemanticId;

/// The prefixes of two codes and more of some IDs, depth by depth, each depth ascending.
///
/// A *node* is the number of a prefix at its depth; at depth 1 it is the code itself, seen or not.
/// A prefix that nobody saw is the node `NONE`, and so is everything below it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// The first codes that were seen, ascending.
    pub(super) first: Vec<u16>,
    /// Depth 2 and on.
    ranks: Vec<Rank>,
    rows: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Rank {
    /// The last code of each prefix.
    codes: Vec<u16>,
    /// Where the children of each node above begin, and the end of the last.
    starts: Vec<u32>,
    /// The row of the first prefix.
    row: usize,
}

/// The prefixes right below a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Children<'a> {
    /// Their last codes, ascending.
    pub(super) codes: &'a [u16],
    /// The node and the row of the first of them.
    pub(super) node: u32,
    pub(super) row: usize,
}

impl Tree {
    /// Of IDs that fit the widths, ascending, none twice.
    pub(super) fn new(widths: &[usize], ids: &[SemanticId]) -> Tree {
        let depths = widths.len().saturating_sub(1);
        let mut ranks: Vec<Rank> =
            (0..depths).map(|_| Rank { codes: vec![], starts: vec![], row: 0 }).collect();
        let mut first: Vec<u16> = Vec::new();
        let mut last: Option<&SemanticId> = None;
        for id in ids {
            let shared = last.map_or(0, |last| last.shared(id));
            for (depth, code) in id.codes().iter().enumerate().skip(shared) {
                if depth == 0 {
                    first.push(*code);
                    continue;
                }
                let above = match depth {
                    1 => usize::from(id.codes()[0]),
                    _ => ranks[depth - 2].codes.len() - 1,
                };
                let rank = &mut ranks[depth - 1];
                rank.starts.resize(above + 1, rank.codes.len() as u32);
                rank.codes.push(*code);
            }
            last = Some(id);
        }
        let (mut rows, mut above) = (0, widths[0]);
        for rank in &mut ranks {
            rank.row = rows;
            rows += rank.codes.len();
            rank.starts.resize(above + 1, rank.codes.len() as u32);
            above = rank.codes.len();
        }
        Tree { first, ranks, rows }
    }

    /// How many prefixes have a row.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What lies below a node of a depth, from 1.
    pub(super) fn children(&self, depth: usize, node: u32) -> Children<'_> {
        let Some(rank) = depth.checked_sub(1).and_then(|at| self.ranks.get(at)) else {
            return Children::default();
        };
        match rank.starts.get(node as usize..).and_then(|starts| starts.first_chunk::<2>()) {
            Some([from, to]) => Children {
                codes: &rank.codes[*from as usize..*to as usize],
                node: *from,
                row: rank.row + *from as usize,
            },
            None => Children::default(),
        }
    }

    /// The node of a code below a node of a depth, from 0: the root.
    pub(super) fn child(&self, depth: usize, node: u32, code: u16) -> u32 {
        if depth == 0 {
            return u32::from(code);
        }
        let children = self.children(depth, node);
        children.codes.binary_search(&code).map_or(NONE, |at| children.node + at as u32)
    }

    /// The row of a node of a depth of 2 or more.
    pub(super) fn row(&self, depth: usize, node: u32) -> usize {
        self.ranks[depth - 2].row + node as usize
    }

    /// The nodes of an ID, depth by depth.
    pub(super) fn path(&self, id: &SemanticId) -> impl Iterator<Item = u32> {
        let mut node = 0;
        id.codes().iter().enumerate().map(move |(depth, code)| {
            node = self.child(depth, node, *code);
            node
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: children, nodes and rows are those of the definition. Method: sets of prefixes.
    #[test]
    fn nodes_are_the_prefixes_that_were_seen() {
        let id = |codes: [u16; 3]| SemanticId::new(&codes).unwrap();
        let ids: Vec<SemanticId> =
            [[0, 3, 1], [0, 3, 2], [2, 0, 0], [2, 1, 2], [2, 3, 0], [4, 0, 1]].map(id).to_vec();
        let tree = Tree::new(&[5, 4, 3], &ids);
        assert_eq!((tree.rows(), &tree.first[..]), (5 + 6, &[0, 2, 4][..]));
        assert_eq!(tree.children(1, 2).codes, [0, 1, 3]);
        assert!(tree.children(1, 1).codes.is_empty() && tree.children(1, NONE).codes.is_empty());
        assert!(tree.children(3, 0).codes.is_empty() && tree.children(1, 9).codes.is_empty());
        let mut rows = Vec::new();
        for (number, id) in (0u32..).zip(&ids) {
            let path: Vec<u32> = tree.path(id).collect();
            assert_eq!((path[0], path[2]), (u32::from(id.codes()[0]), number));
            rows.extend([tree.row(2, path[1]), tree.row(3, path[2])]);
        }
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows, (0..11).collect::<Vec<_>>());
        assert_eq!(tree.path(&id([0, 1, 1])).collect::<Vec<_>>(), [0, NONE, NONE]);
        assert_eq!(tree.path(&id([0, 3, 0])).collect::<Vec<_>>(), [0, 0, NONE]);
    }
}
