//! The course of a build: which nodes are linked in which step.
//!
//! What a step does is decided by the links that are there before it, and by nothing else. So a build
//! may stop after any step; another one that is given those links goes on as if nothing had happened.

use super::{
    grow::{Care, Grow, shuffled},
    seed::{self, Seed, role},
    twins::Twins,
};
use crate::{error::Result, format::sink::Sink, progress::Progress};
use std::ops::Range;

/// An older graph that covers less of the nodes is not worth beginning with.
const OLD_SHARE_MIN: f32 = 0.3;
/// Nodes whose links are taken over at a time.
const PIECE: u32 = 1 << 14;

/// In which order nodes are linked.
struct Course {
    /// What an older graph knew of each node.
    roles: Vec<u8>,
    /// All nodes: those of the older graph, then the others, as they are linked in the first pass.
    order: Vec<u32>,
    /// How many of them the older graph has linked.
    old: usize,
    /// Those that are linked once more.
    again: Vec<u32>,
    steps: Vec<Step>,
}

/// Some nodes that are linked at the same time: of `order` in the first pass, of `again` in the second.
struct Step {
    pass: usize,
    nodes: Range<usize>,
}

/// A build between two steps.
pub(crate) struct Stage<'a> {
    grown: &'a Grow,
    roles: &'a [u8],
    steps: usize,
}

/// Is shown the build after each step, and may keep what is needed to go on from there.
pub(crate) type Keep<'a> = dyn FnMut(&Stage<'_>, &mut Progress<'_>) -> Result<()> + 'a;

impl Stage<'_> {
    /// Writes the sections of a seed, from which another build goes on.
    pub(crate) fn save(&self, sink: &mut Sink, progress: &mut Progress<'_>) -> Result<()> {
        let mut links = |node: u32, to: &mut Vec<u32>| {
            to.extend(self.grown.links(node));
            Ok(())
        };
        let what = (self.grown.nodes, self.steps, Some(self.roles));
        seed::save(what, &mut links, sink, progress)
    }
}

impl Course {
    /// Of nodes that are the same, the first alone is linked.
    fn new(mut roles: Vec<u8>, twins: &Twins, care: &Care) -> Course {
        let known = roles.iter().filter(|role| **role != role::NEW).count();
        if known < (roles.len() as f32 * OLD_SHARE_MIN) as usize {
            roles.fill(role::NEW);
        }
        let is_old = |node: &u32| roles[*node as usize] != role::NEW;
        let all =
            shuffled(roles.len() as u32, 11).into_iter().filter(|node| !twins.is_later(*node));
        let (mut order, new): (Vec<u32>, Vec<u32>) = all.partition(is_old);
        let old = order.len();
        order.extend(&new);
        let mut course = Course { roles, order, old, again: new, steps: Vec::new() };
        match old {
            0 => course.plan_all(care),
            _ => course.plan_new(twins, care),
        }
        course
    }

    /// Batches that grow with what there is to link them to; then everything once more.
    fn plan_all(&mut self, care: &Care) {
        let (mut done, count) = (0, self.order.len());
        while done < count {
            let share = (done as f32 * care.batch_share) as usize;
            let most = (count as f32 * care.batch_max) as usize;
            let end = (done + share.clamp(1, most.max(1))).min(count);
            self.steps.push(Step { pass: 0, nodes: done..end });
            done = end;
        }
        self.second_pass(count.div_ceil(8).max(1), care);
    }

    /// What is new, and then once more, with those that have lost links.
    fn plan_new(&mut self, twins: &Twins, care: &Care) {
        let most = (self.old as f32 * care.batch_max) as usize + 1;
        for from in (self.old..self.order.len()).step_by(most) {
            let nodes = from..self.order.len().min(from + most);
            self.steps.push(Step { pass: 0, nodes });
        }
        let worn = (0..).zip(&self.roles).filter(|(_, role)| **role == role::WORN);
        self.again.extend(worn.map(|(node, _)| node).filter(|node| !twins.is_later(*node)));
        self.second_pass(most, care);
    }

    fn second_pass(&mut self, most: usize, care: &Care) {
        if care.widths[1] == 0 {
            return;
        }
        for from in (0..self.again.len()).step_by(most) {
            let nodes = from..self.again.len().min(from + most);
            self.steps.push(Step { pass: 1, nodes });
        }
    }

    fn nodes(&self, step: &Step) -> &[u32] {
        let list = if step.pass == 0 { &self.order } else { &self.again };
        &list[step.nodes.clone()]
    }
}

impl Grow {
    /// Links every node, beginning with what a seed has.
    pub(crate) fn grow(
        &mut self,
        seed: Option<&Seed>,
        doors: usize,
        (keep, progress): (&mut Keep<'_>, &mut Progress<'_>),
    ) -> Result<()> {
        let roles = seed.map_or_else(|| Ok(vec![role::NEW; self.nodes as usize]), Seed::roles)?;
        let twins = Twins::of(self);
        let course = Course::new(roles, &twins, &self.care);
        let done = seed.map_or(Ok(0), |seed| seed.steps(course.steps.len()))?;
        progress.begin(course.steps.iter().map(|step| step.nodes.len() as u64).sum())?;
        if let Some(seed) = seed.filter(|_| done > 0 || course.old > 0) {
            self.take_over(seed, &twins, progress)?;
        }
        self.set_doors(&course.order[..course.old], doors);
        for (at, step) in course.steps.iter().enumerate() {
            let nodes = course.nodes(step);
            match at < done {
                true => progress.advance(nodes.len() as u64)?,
                false => self.batch(nodes, step.pass, progress)?,
            }
            if step.pass == 0 {
                // Also of steps that are done: doors are told by the order alone, and are in no seed.
                self.set_doors(&course.order[..step.nodes.end], doors);
            }
            if at >= done {
                keep(&Stage { grown: self, roles: &course.roles, steps: at + 1 }, progress)?;
            }
        }
        self.tie(&twins, progress)
    }

    /// Links nodes as they are linked in a seed.
    fn take_over(&mut self, seed: &Seed, twins: &Twins, progress: &mut Progress<'_>) -> Result<()> {
        let mut linked = Vec::with_capacity(PIECE as usize);
        for from in (0..self.nodes).step_by(PIECE as usize) {
            progress.check()?;
            linked.clear();
            let nodes = from..self.nodes.min(from.saturating_add(PIECE));
            for node in nodes.filter(|node| !twins.is_later(*node)) {
                let mut links = seed.links(node)?;
                twins.firsts(node, &mut links);
                if !links.is_empty() {
                    linked.push((node, links));
                }
            }
            self.write(&linked)?;
        }
        Ok(())
    }
}
