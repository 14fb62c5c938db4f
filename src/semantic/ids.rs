//! Ids: the semantic IDs of one segment, in order, and the nodes above them.
//!
//! The rows that have an ID are ranked by it, equal IDs by row. A node of the trie is a range of
//! ranks; those of one level lie side by side, so the children of a node do too. A leaf is a run of
//! rows: items that share an ID need no digit to tell them apart.

use crate::{
    error::Result,
    format::{Kind, columns::raw, envelope::Sections, sink::Sink},
    semantic::{SemanticId, bits},
};
use std::ops::Range;

/// No rank: the row has no ID.
pub(crate) const NONE: u32 = u32::MAX;

/// The IDs of one segment under one codebook. Dead rows are among them.
#[derive(Debug)]
pub(crate) struct Ids {
    /// By level, the code of every rank.
    codes: Vec<Vec<u16>>,
    /// The row of every rank.
    rows: Vec<u32>,
    /// The rank of every row, or `NONE`.
    ranks: Vec<u32>,
    tiers: Vec<Tier>,
    /// By depth from 0, the codes below each node.
    masks: Vec<Masks>,
}

/// Of the nodes of one depth with many children, which codes these have: one bit each.
#[derive(Debug, Default)]
struct Masks {
    /// Words of one mask: to the largest code of the level below.
    words: usize,
    all: Vec<u64>,
    /// Which mask is that of each node, or `NONE`.
    at: Vec<u32>,
}

/// The nodes of one level, ascending.
#[derive(Debug, Default)]
struct Tier {
    codes: Vec<u16>,
    /// The first rank of each node, and the end of the last.
    starts: Vec<u32>,
    /// The first child of each node on the next level, and the end of the last; empty on the last.
    children: Vec<u32>,
    /// Which nodes of the next level, or on the last level which ranks, are the first of their node.
    firsts: Firsts,
}

/// Bits, and how many are set before each word: the node above anything is found in one step.
#[derive(Debug, Default)]
struct Firsts {
    words: Vec<u64>,
    before: Vec<u32>,
}

impl Firsts {
    /// Of ascending starts below an end.
    fn new(starts: &[u32], end: usize) -> Firsts {
        let mut words = bits::filled(end, false);
        starts.iter().for_each(|start| bits::flip(&mut words, *start));
        let mut sum = 0;
        let add = |word: &u64| {
            sum += word.count_ones();
            sum - word.count_ones()
        };
        Firsts { before: words.iter().map(add).collect(), words }
    }

    /// How many begin at or before a place.
    #[inline]
    fn until(&self, at: u32) -> u32 {
        let word = at as usize / 64;
        self.before[word] + (self.words[word] & (u64::MAX >> (63 - at % 64))).count_ones()
    }
}

impl Ids {
    /// Of every row's ID, in order of rows.
    pub(crate) fn new(levels: usize, of_rows: &[Option<SemanticId>]) -> Ids {
        let fits = |id: &SemanticId| id.codes().len() == levels;
        let with = (0u32..).zip(of_rows).filter_map(|(row, id)| Some((id.filter(fits)?, row)));
        let mut order: Vec<(SemanticId, u32)> = with.collect();
        order.sort_unstable();
        let column = |level| order.iter().map(|(id, _)| id.codes()[level]).collect();
        let codes = (0..levels).map(column).collect();
        Ids::ranked(codes, order.iter().map(|(_, row)| *row).collect(), of_rows.len())
    }

    fn ranked(codes: Vec<Vec<u16>>, rows: Vec<u32>, all: usize) -> Ids {
        let mut ranks = vec![NONE; all];
        (0u32..).zip(&rows).for_each(|(rank, row)| ranks[*row as usize] = rank);
        let tiers = tiers(&codes, rows.len());
        let mut ids = Ids { codes, rows, ranks, tiers, masks: Vec::new() };
        ids.masks = (0..ids.levels()).map(|depth| ids.masks(depth)).collect();
        ids
    }

    /// A mask takes at most four bytes for each child: other nodes have none, and few children.
    fn masks(&self, depth: usize) -> Masks {
        let largest = self.tiers[depth].codes.iter().copied().max().unwrap_or(0);
        let mut masks = Masks { words: usize::from(largest) / 64 + 1, ..Masks::default() };
        for node in 0..self.nodes(depth) as u32 {
            let children = self.children(depth, node);
            if children.len() < 2 * masks.words {
                masks.at.push(NONE);
                continue;
            }
            let begin = masks.all.len();
            masks.at.push((begin / masks.words) as u32);
            masks.all.resize(begin + masks.words, 0);
            for code in self.codes(depth + 1, children) {
                masks.all[begin + usize::from(*code) / 64] |= 1 << (code % 64);
            }
        }
        masks
    }

    /// Bytes of heap memory, about.
    pub(crate) fn weight(&self) -> u64 {
        let codes: usize = self.codes.iter().map(|level| 2 * level.len()).sum();
        let tier = |tier: &Tier| {
            let firsts = 8 * tier.firsts.words.len() + 4 * tier.firsts.before.len();
            2 * tier.codes.len() + 4 * (tier.starts.len() + tier.children.len()) + firsts
        };
        let tiers: usize = self.tiers.iter().map(tier).sum();
        let mask = |masks: &Masks| 8 * masks.all.len() + 4 * masks.at.len();
        let masks: usize = self.masks.iter().map(mask).sum();
        (codes + 4 * (self.rows.len() + self.ranks.len()) + tiers + masks) as u64
    }

    /// How many levels there are.
    pub(crate) fn levels(&self) -> usize {
        self.codes.len()
    }

    /// How many rows have an ID.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many rows there are.
    pub(crate) fn all(&self) -> usize {
        self.ranks.len()
    }

    /// The ID of a row.
    pub(crate) fn id(&self, row: u32) -> Option<SemanticId> {
        self.ranks.get(row as usize).filter(|rank| **rank != NONE).map(|rank| self.at(*rank))
    }

    /// The ID at a rank.
    pub(crate) fn at(&self, rank: u32) -> SemanticId {
        let mut all = [0; crate::limits::LEVELS_MAX];
        all.iter_mut().zip(&self.codes).for_each(|(to, level)| *to = level[rank as usize]);
        SemanticId::new(&all[..self.levels()]).unwrap_or_default()
    }

    /// The rank of a row, or `NONE`.
    pub(crate) fn rank(&self, row: u32) -> u32 {
        self.ranks.get(row as usize).copied().unwrap_or(NONE)
    }

    /// The row at a rank.
    pub(crate) fn row(&self, rank: u32) -> u32 {
        self.rows[rank as usize]
    }

    /// How many nodes there are at a depth.
    pub(crate) fn nodes(&self, depth: usize) -> usize {
        depth.checked_sub(1).map_or(1, |tier| self.tiers[tier].codes.len())
    }

    /// What lies right below a node: its children, or on the last level its ranks.
    pub(crate) fn below(&self, depth: usize, node: u32) -> Range<u32> {
        match depth == self.levels() {
            true => self.ranks(depth, node),
            false => self.children(depth, node),
        }
    }

    /// The node at a depth from 1 on right above a node of the next, or on the last level a rank.
    pub(crate) fn above(&self, depth: usize, at: u32) -> u32 {
        self.tiers[depth - 1].firsts.until(at) - 1
    }

    /// The codes of a node's children, bit by bit; `None` where they are few, and below the last level.
    #[inline]
    pub(crate) fn mask(&self, depth: usize, node: u32) -> Option<&[u64]> {
        let masks = self.masks.get(depth)?;
        let at = *masks.at.get(node as usize).filter(|at| **at != NONE)?;
        Some(&masks.all[at as usize * masks.words..][..masks.words])
    }

    /// The ranks below a node; at depth 0 there is one node, of all.
    pub(crate) fn ranks(&self, depth: usize, node: u32) -> Range<u32> {
        match depth.checked_sub(1) {
            None => 0..self.rows.len() as u32,
            Some(tier) => {
                let starts = &self.tiers[tier].starts;
                starts[node as usize]..starts[node as usize + 1]
            }
        }
    }

    /// The children of a node, as nodes of the next level; none below the last level.
    pub(crate) fn children(&self, depth: usize, node: u32) -> Range<u32> {
        match (depth.checked_sub(1), self.tiers.get(depth)) {
            (_, None) => 0..0,
            (None, Some(first)) => 0..first.codes.len() as u32,
            (Some(tier), Some(_)) => {
                let children = &self.tiers[tier].children;
                children[node as usize]..children[node as usize + 1]
            }
        }
    }

    /// The codes of the nodes at a depth of one or more.
    pub(crate) fn codes(&self, depth: usize, nodes: Range<u32>) -> &[u16] {
        let tier = depth.checked_sub(1).and_then(|tier| self.tiers.get(tier));
        tier.map_or(&[], |t| &t.codes[nodes.start as usize..nodes.end as usize])
    }

    /// The child of a node by its code.
    pub(crate) fn child(&self, depth: usize, node: u32, code: u16) -> Option<u32> {
        let children = self.children(depth, node);
        let codes = self.codes(depth + 1, children.clone());
        codes.binary_search(&code).ok().map(|at| children.start + at as u32)
    }

    /// Writes its sections, and of which spaces they were made. FORMAT.md chapter 9.
    pub(crate) fn save(&self, spaces: &[u16], sink: &mut Sink) -> Result<()> {
        sink.section(Kind::ID_SPACES, 0, raw(spaces))?;
        for (level, codes) in (0u16..).zip(&self.codes) {
            sink.section(Kind::ID_CODES, level, raw(codes))?;
        }
        sink.section(Kind::ID_ROWS, 0, raw(&self.rows))
    }

    /// Whether a file has IDs made of these spaces. One that was dropped and made again has another
    /// number.
    pub(crate) fn are_of(sections: &Sections, spaces: &[u16]) -> Result<bool> {
        let section = sections.need(Kind::ID_SPACES, 0)?;
        Ok(section.column::<u16>(0..section.count::<u16>())?[..] == *spaces)
    }

    /// Reads them: of a segment with so many rows, under a codebook of these widths.
    pub(crate) fn load(sections: &Sections, all: u32, widths: &[usize]) -> Result<Ids> {
        let rows = sections.need(Kind::ID_ROWS, 0)?;
        let order = rows.column::<u32>(0..rows.count::<u32>())?.to_vec();
        let mut codes = Vec::with_capacity(widths.len());
        for (level, width) in (0u16..).zip(widths) {
            let section = sections.need(Kind::ID_CODES, level)?;
            let column = section.column::<u16>(0..section.count::<u16>())?.to_vec();
            if column.len() != order.len() || column.iter().any(|c| usize::from(*c) >= *width) {
                return Err(section.corrupt(0, "codes of semantic IDs").into());
            }
            codes.push(column);
        }
        let mut seen = vec![false; all as usize];
        let once = |row: &u32| {
            let place = seen.get_mut(*row as usize);
            place.is_some_and(|place| !std::mem::replace(place, true))
        };
        if !order.iter().all(once) {
            return Err(rows.corrupt(0, "rows of semantic IDs").into());
        }
        let ids = Ids::ranked(codes, order, all as usize);
        let place = |rank: u32| (ids.at(rank), ids.row(rank));
        if !(1..ids.len() as u32).all(|rank| place(rank - 1) < place(rank)) {
            return Err(rows.corrupt(0, "order of semantic IDs").into());
        }
        Ok(ids)
    }
}

/// Groups the ranks of every level: a node begins where its code, or a code above it, changes.
fn tiers(codes: &[Vec<u16>], count: usize) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = Vec::with_capacity(codes.len());
    let mut begins = vec![false; count];
    if let Some(first) = begins.first_mut() {
        *first = true;
    }
    for level in codes {
        for rank in 1..count {
            begins[rank] |= level[rank] != level[rank - 1];
        }
        let at = (0..count).filter(|rank| begins[*rank]);
        let mut tier = Tier::default();
        tier.starts.extend(at.map(|rank| rank as u32));
        tier.codes.extend(tier.starts.iter().map(|rank| level[*rank as usize]));
        tier.starts.push(count as u32);
        if let Some(above) = tiers.last_mut() {
            // Both lists of starts ascend, and every start above is one below.
            let mut child = 0u32;
            for start in &above.starts {
                while tier.starts[child as usize] < *start {
                    child += 1;
                }
                above.children.push(child);
            }
        }
        tiers.push(tier);
    }
    for at in 0..tiers.len() {
        let end = tiers.get(at + 1).map_or(count, |below| below.codes.len());
        let tier = &mut tiers[at];
        let starts = if tier.children.is_empty() { &tier.starts } else { &tier.children };
        // The last start is the end.
        tier.firsts = Firsts::new(&starts[..tier.codes.len()], end);
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(codes: &[u16]) -> SemanticId {
        SemanticId::new(codes).unwrap()
    }

    // Regression: a table of (position, previous code) would accept 1-7-4, which nobody has.
    #[test]
    fn two_ids_that_share_a_middle_code_do_not_mix() {
        let ids = Ids::new(3, &[Some(id(&[1, 7, 3])), Some(id(&[2, 7, 4])), None]);
        let one = ids.child(0, 0, 1).unwrap();
        let seven = ids.child(1, one, 7).unwrap();
        assert_eq!(ids.codes(3, ids.children(2, seven)), [3]);
        assert_eq!(ids.child(2, seven, 4), None);
        assert_eq!((ids.rank(2), ids.id(0)), (NONE, Some(id(&[1, 7, 3]))));
    }

    proptest! {
        /// Goal: nodes, children and ranks are those of a plain set of prefixes; and what is saved
        /// is read back.
        #[test]
        fn nodes_are_the_distinct_prefixes(
            rows in prop::collection::vec(prop::option::of(prop::collection::vec(0u16..4, 3)), 0..60)
        ) {
            let of_rows: Vec<Option<SemanticId>> =
                rows.iter().map(|codes| codes.as_ref().map(|codes| id(codes))).collect();
            let ids = Ids::new(3, &of_rows);
            let mut sink = Sink::heap();
            ids.save(&[7], &mut sink).unwrap();
            let back = Ids::load(&sink.into_heap().unwrap(), rows.len() as u32, &[4; 3]).unwrap();
            for ids in [&ids, &back] {
                for (row, id) in (0..).zip(&of_rows) {
                    prop_assert_eq!(ids.id(row), *id);
                }
                let mut found = BTreeSet::new();
                let mut waiting = vec![(0, 0, id(&[]))];
                while let Some((depth, node, prefix)) = waiting.pop() {
                    let below = ids.ranks(depth, node).map(|rank| ids.at(rank).prefix(depth));
                    prop_assert!(below.into_iter().all(|other| other == prefix));
                    let children = ids.children(depth, node);
                    for (child, code) in children.clone().zip(ids.codes(depth + 1, children)) {
                        let mut codes = prefix.codes().to_vec();
                        codes.push(*code);
                        prop_assert_eq!(ids.child(depth, node, *code), Some(child));
                        found.insert(id(&codes));
                        waiting.push((depth + 1, child, id(&codes)));
                    }
                }
                let all = of_rows.iter().flatten();
                let want: BTreeSet<_> = all.flat_map(|id| (1..4).map(|d| id.prefix(d))).collect();
                prop_assert_eq!(&found, &want);
            }
        }
    }
}
