//! Which links a node gets: near ones, in different directions.

use super::{
    beam::{Aim, Through, own_numbers},
    grow::{Grow, Hand},
    links::{self, Grown},
};
use crate::{
    error::Result,
    vector::{
        hop::{DEGREE, Hops},
        kernel::{Kernel, hop::touch},
        signs::Signs,
    },
};

impl Grow {
    /// Finds what is near a node by walking to it.
    pub(super) fn candidates(&self, hand: &mut Hand, node: u32, pass: usize) {
        let width = self.care.widths[pass];
        self.walk_to(hand, node, Aim { k: width, width, slack: 0.0, through: Through::All });
        let Hand { beam, pairs, .. } = hand;
        pairs.clear();
        pairs.extend(beam.trail.iter().filter(|pair| pair.1 != node));
        // What was only seen from afar is nearly as good a candidate, and cheaper than a hop.
        let (kernel, from) = (Kernel::best(), pairs.len());
        while pairs.len() < from + self.care.more[pass] {
            let Some((_, seen)) = beam.pool.next() else { break };
            if seen != node && beam.seen.mark(seen) {
                touch(self.own(seen));
                pairs.push((0.0, seen));
            }
        }
        for (distance, seen) in &mut pairs[from..] {
            *distance = self.measure.own(kernel, &beam.queries[0], self.own(*seen));
        }
    }

    /// Walks with the vector of a node as the query.
    pub(super) fn walk_to(&self, hand: &mut Hand, node: u32, aim: Aim) {
        self.look_for(hand, node);
        hand.beam.walk(self.heap(), (&self.measure, self.nodes), aim, None);
    }

    /// Makes a node the query of a hand.
    fn look_for(&self, hand: &mut Hand, node: u32) {
        let own = self.own(node);
        let (_, scale) = own_numbers(own);
        let padded = self.measure.layout.padded;
        hand.number.clear();
        hand.number.extend(own[..padded].iter().map(|c| f32::from(c.cast_signed()) * scale));
        hand.beam.queries.resize_with(1, Hops::default);
        hand.beam.queries[0].prepare(&hand.number, &self.measure.layout);
    }

    /// The same over links only, with the signs of all nodes.
    pub(super) fn walk_links_to(
        &self,
        hand: &mut Hand,
        (node, signs): (u32, &[u8]),
        aim: Aim,
    ) -> Result<()> {
        self.look_for(hand, node);
        hand.beam.signs.resize_with(1, Signs::default);
        hand.beam.signs[0].prepare(&hand.number, links::DOUBT);
        let query = hand.beam.queries[0].clone();
        let nodes = Grown { grow: self, signs, query: &query };
        links::walk(&nodes, &mut hand.beam, (&self.measure, self.nodes), aim, None)?;
        Ok(())
    }

    /// Adds the links that a node has to its candidates.
    pub(super) fn add_links(&self, hand: &mut Hand, node: u32) {
        let own = hand.beam.queries[0].clone();
        let kernel = Kernel::best();
        for to in self.links(node) {
            if hand.pairs.iter().all(|pair| pair.1 != to) {
                hand.pairs.push((self.measure.own(kernel, &own, self.own(to)), to));
            }
        }
    }

    /// Chooses links among the candidates: near ones first, none that another one leads to.
    pub(super) fn prune(&self, hand: &mut Hand, pass: usize) -> Vec<u32> {
        let (kernel, alpha) = (Kernel::best(), self.care.alphas[pass]);
        let pairs = &mut hand.pairs;
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        pairs.dedup_by_key(|pair| pair.1);
        // Those farther on are seldom looked at.
        pairs.iter().take(2 * DEGREE).for_each(|pair| touch(self.own(pair.1)));
        let mut kept: Vec<u32> = Vec::with_capacity(DEGREE);
        let mut rest: Vec<u32> = Vec::new();
        for &(distance, to) in pairs.iter() {
            if kept.len() == DEGREE {
                break;
            }
            let own = self.own(to);
            let covered = hand.steps[..kept.len().min(hand.steps.len())].iter().any(|step| {
                let between = self.measure.own(kernel, step, own);
                if self.measure.l2 { alpha * between < distance } else { between < distance }
            });
            if covered {
                rest.push(to);
                continue;
            }
            if hand.steps.len() == kept.len() {
                hand.steps.push(Hops::default());
            }
            hand.steps[kept.len()].prepare_code(own, own_numbers(own), self.measure.layout.padded);
            kept.push(to);
        }
        let room = DEGREE - kept.len();
        kept.extend(rest.into_iter().take(room));
        kept
    }

    /// The links of a node with those that come back to it.
    pub(super) fn link_back(
        &self,
        hand: &mut Hand,
        node: u32,
        back: &[(u32, u32)],
        pass: usize,
    ) -> Vec<u32> {
        let mut links: Vec<u32> = self.links(node).collect();
        for &(_, from) in back {
            if !links.contains(&from) {
                links.push(from);
            }
        }
        if links.len() <= DEGREE {
            return links;
        }
        links.iter().for_each(|to| touch(self.own(*to)));
        let (kernel, own) = (Kernel::best(), self.own(node));
        let mut query = Hops::default();
        query.prepare_code(own, own_numbers(own), self.measure.layout.padded);
        hand.pairs.clear();
        for to in links {
            hand.pairs.push((self.measure.own(kernel, &query, self.own(to)), to));
        }
        self.prune(hand, pass)
    }
}
