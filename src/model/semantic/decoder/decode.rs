//! Decode: one request, level by level.

use super::{
    head::HeadTrace,
    level::{Network, log_softmax},
    sequences::fits,
    window::{Paths, place},
};
use crate::{
    error::{Error, Result},
    model::{
        semantic::Decoding,
        sequence::transformer::{Drop, Tokens, Trace},
        train::exp::add,
    },
    semantic::SemanticId,
};

/// A request: the history has been read, and what each beam has chosen is added to its state.
/// Nothing else is remembered of either.
#[derive(Debug)]
pub(super) struct Decode<'a> {
    network: Network<'a>,
    level: usize,
    /// Per beam: its state with what was chosen, and its node.
    x: Vec<f32>,
    nodes: Vec<u32>,
    trace: HeadTrace,
    spare: Vec<f32>,
}

impl<'a> Decode<'a> {
    /// Reads a history; IDs that do not fit are passed over.
    pub(super) fn begin(network: Network<'a>, history: &[SemanticId]) -> Decode<'a> {
        let mut states = Vec::new();
        network.states(std::iter::once(history), &mut states);
        Decode {
            network,
            level: 0,
            x: states,
            nodes: vec![0],
            trace: HeadTrace::default(),
            spare: Vec::new(),
        }
    }

    /// Moves on to the beams of the next level.
    fn choose(&mut self, parents: &[u32], codes: &[u16]) -> Result<()> {
        let wrong = |why: String| Err(Error::invalid("step of a decoder", why));
        let Network { plan, tree, theta, .. } = self.network;
        if parents.len() != codes.len() {
            return wrong(format!("has {} parents, but {} codes", parents.len(), codes.len()));
        }
        let (beams, width, dim) = (self.nodes.len(), plan.widths[self.level - 1], plan.dim());
        if let Some(parent) = parents.iter().find(|parent| **parent as usize >= beams) {
            return wrong(format!("goes on from beam {parent}, but there were {beams}"));
        }
        if let Some(code) = codes.iter().find(|code| usize::from(**code) >= width) {
            return wrong(format!("chose code {code} of a level that has {width}"));
        }
        self.spare.clear();
        for (parent, code) in parents.iter().zip(codes) {
            let at = self.spare.len();
            self.spare.extend_from_slice(&self.x[*parent as usize * dim..][..dim]);
            add(&mut self.spare[at..], &theta[plan.chosen(self.level - 1, *code)..][..dim], 1.0);
        }
        let depth = self.level - 1;
        let node =
            |(parent, code): (&u32, &u16)| tree.child(depth, self.nodes[*parent as usize], *code);
        self.nodes = parents.iter().zip(codes).map(node).collect();
        std::mem::swap(&mut self.x, &mut self.spare);
        Ok(())
    }
}

impl Decoding for Decode<'_> {
    fn step(&mut self, parents: &[u32], codes: &[u16], log_probs: &mut [f32]) -> Result<()> {
        let plan = self.network.plan;
        let wrong = |why: String| Err(Error::invalid("step of a decoder", why));
        let Some(width) = plan.widths.get(self.level) else {
            return wrong(format!("is one too many: there are {} levels", plan.levels()));
        };
        let beams = if self.level == 0 { 1 } else { parents.len() };
        if log_probs.len() != beams * width {
            let (has, needs) = (log_probs.len(), beams * width);
            return wrong(format!("has room for {has} numbers, but {beams} beams need {needs}"));
        }
        match self.level {
            0 if parents.is_empty() && codes.is_empty() => {}
            0 => return wrong("is the first and goes on from nothing, but has parents".into()),
            _ => self.choose(parents, codes)?,
        }
        self.network.say(self.level, (&self.x, &self.nodes), log_probs, &mut self.trace);
        self.level += 1;
        match log_probs.iter().any(|number| number.is_nan()) {
            true => wrong("gave a number that is none: the weights are too large".into()),
            false => Ok(()),
        }
    }
}

/// Histories that go through the network at a time.
const HISTORIES: usize = 32;

impl Network<'_> {
    /// Appends the states of users with these histories: `dim` numbers each.
    pub(super) fn states<'h>(
        &self,
        histories: impl Iterator<Item = &'h [SemanticId]>,
        out: &mut Vec<f32>,
    ) {
        let (plan, dim) = (self.plan, self.plan.dim());
        let mut histories = histories.peekable();
        let (mut tokens, mut vectors, mut trace) = (Tokens::default(), vec![], Trace::default());
        while histories.peek().is_some() {
            tokens.clear();
            vectors.clear();
            for history in histories.by_ref().take(HISTORIES) {
                // From the end, since a history may be much longer than what is looked at.
                let known = history.iter().rev().filter(|id| fits(id, &plan.widths));
                let mut ids: Vec<SemanticId> = known.take(plan.positions()).copied().collect();
                ids.reverse();
                let begins = ids.len() < plan.positions();
                if begins {
                    self.start(&mut vectors);
                }
                let paths = Paths::new(self.tree, plan.levels(), &ids);
                for id in 0..ids.len() as u32 {
                    self.input((paths.codes(id), paths.nodes(id)), &mut vectors);
                }
                place(plan, &mut tokens, ids.len() + usize::from(begins));
            }
            self.read(&tokens, &vectors, Drop::default(), &mut trace);
            for end in &tokens.starts[1..] {
                out.extend_from_slice(&trace.states[(end - 1) * dim..end * dim]);
            }
        }
    }

    /// Writes the logarithms of the probabilities of all codes of a level, beam after beam, given
    /// their states with what was chosen, and their nodes.
    pub(super) fn say(
        &self,
        level: usize,
        (x, nodes): (&[f32], &[u32]),
        log_probs: &mut [f32],
        trace: &mut HeadTrace,
    ) {
        self.plan.ask(self.theta, level, x, Drop::default(), trace);
        self.logits(level, &trace.asks, nodes, log_probs);
        let mut spare = Vec::new();
        let rows = log_probs.chunks_exact_mut(self.plan.widths[level]);
        rows.for_each(|row| log_softmax(row, &mut spare));
    }
}
