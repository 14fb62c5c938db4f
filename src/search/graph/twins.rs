//! Twins: nodes whose codes are the same, as those of one picture that many items have.
//!
//! Nothing tells them apart, so links by distance would all go to the first few, and the others could not
//! be found. Only the first of a group is linked while a graph grows; then the others get its links, all
//! get links among each other, and whoever has a link to the group has it to any one of them.

use super::grow::Grow;
use crate::{
    error::Result,
    progress::Progress,
    vector::{hop::DEGREE, rotate::splitmix},
};
use std::ops::Range;

/// Links of a twin to others of its group.
const AMONG: usize = 8;
/// Nodes whose links are written at a time.
const PIECE: u32 = 1 << 14;

/// Which nodes are the same.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Of every node the first that is the same; of none where no two are.
    first: Vec<u32>,
    /// The nodes of all groups of two and more, group after group, ascending.
    members: Vec<u32>,
    /// Where the groups are, by their first nodes.
    groups: Vec<Range<usize>>,
}

impl Twins {
    /// Compares all codes.
    pub(super) fn of(grown: &Grow) -> Twins {
        let codes = grown.owns.chunks_exact(grown.measure.layout.own);
        let mut order: Vec<(u64, u32)> = codes.map(hash).zip(0..).collect();
        order.sort_unstable();
        if !order.array_windows().any(|[a, b]| a.0 == b.0) {
            return Twins::default();
        }
        let mut first: Vec<u32> = (0..grown.nodes).collect();
        for same in order.chunk_by(|a, b| a.0 == b.0) {
            // Different codes may have the same hash.
            let mut firsts: Vec<u32> = Vec::new();
            for &(_, node) in same {
                match firsts.iter().find(|other| grown.own(**other) == grown.own(node)) {
                    Some(other) => first[node as usize] = *other,
                    None => firsts.push(node),
                }
            }
        }
        Twins::grouped(first)
    }

    fn grouped(first: Vec<u32>) -> Twins {
        let mut pairs: Vec<(u32, u32)> = first.iter().copied().zip(0..).collect();
        pairs.sort_unstable();
        let (mut members, mut groups) = (Vec::new(), Vec::new());
        for group in pairs.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            groups.push(members.len()..members.len() + group.len());
            members.extend(group.iter().map(|pair| pair.1));
        }
        match groups.is_empty() {
            true => Twins::default(),
            false => Twins { first, members, groups },
        }
    }

    /// The first node that is the same as this one.
    pub(super) fn first(&self, node: u32) -> u32 {
        self.first.get(node as usize).copied().unwrap_or(node)
    }

    /// Whether an earlier node is the same.
    pub(super) fn is_later(&self, node: u32) -> bool {
        self.first(node) != node
    }

    /// All that are the same as a first node; nobody if there is no other.
    fn group(&self, first: u32) -> &[u32] {
        let at = self.groups.binary_search_by_key(&first, |group| self.members[group.start]);
        at.map_or(&[], |at| &self.members[self.groups[at].clone()])
    }

    /// Links as they are while a graph grows: to first nodes only, each once.
    pub(super) fn firsts(&self, node: u32, links: &mut Vec<u32>) {
        if self.first.is_empty() {
            return;
        }
        let mut firsts: Vec<u32> = Vec::with_capacity(links.len());
        for to in links.iter().map(|to| self.first(*to)) {
            if to != node && !firsts.contains(&to) {
                firsts.push(to);
            }
        }
        *links = firsts;
    }

    /// The links of a node, made from those of the first one of its group.
    fn tied(&self, node: u32, of_first: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut links = self.among(node);
        for to in of_first {
            let group = self.group(to);
            let mut lot = u64::from(node) << 32 | u64::from(to);
            links.push(match group.len() {
                0 => to,
                many => group[(splitmix(&mut lot) % many as u64) as usize],
            });
        }
        links.truncate(DEGREE);
        links
    }

    /// Links of a node to others of its group: both beside it, so that none is left out, and some by lot, so
    /// that all are near.
    fn among(&self, node: u32) -> Vec<u32> {
        let group = self.group(self.first(node));
        if group.len() <= AMONG + 1 {
            return group.iter().copied().filter(|other| *other != node).collect();
        }
        let at = group.partition_point(|other| *other < node);
        let mut some =
            vec![group[(at + 1) % group.len()], group[(at + group.len() - 1) % group.len()]];
        let mut lot = u64::from(node);
        while some.len() < AMONG {
            let other = group[(splitmix(&mut lot) % group.len() as u64) as usize];
            if other != node && !some.contains(&other) {
                some.push(other);
            }
        }
        some
    }
}

impl Grow {
    /// Ties in the nodes that were left out while the graph grew.
    pub(super) fn tie(&mut self, twins: &Twins, progress: &mut Progress<'_>) -> Result<()> {
        if twins.groups.is_empty() {
            return Ok(());
        }
        // Those that were left out first: they are made of the links that their first ones have now.
        for later in [true, false] {
            for from in (0..self.nodes).step_by(PIECE as usize) {
                progress.check()?;
                let nodes = from..self.nodes.min(from.saturating_add(PIECE));
                let tied = nodes.filter(|node| twins.is_later(*node) == later).map(|node| {
                    let first = twins.first(node);
                    (node, twins.tied(node, self.links(first)))
                });
                let changed =
                    tied.filter(|(node, links)| !self.links(*node).eq(links.iter().copied()));
                let changed: Vec<(u32, Vec<u32>)> = changed.collect();
                self.write(&changed)?;
            }
        }
        Ok(())
    }
}

/// Of eight bytes at a time; what is the same by it is compared.
fn hash(code: &[u8]) -> u64 {
    let mut state = 0u64;
    for eight in code.as_chunks::<8>().0 {
        state ^= u64::from_le_bytes(*eight);
        state = splitmix(&mut state);
    }
    state
}
