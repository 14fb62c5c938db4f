//! Window: a part of a sequence, as the transformer reads it and as the heads predict it.

use super::{level::Network, plan::Plan, sequences::NONE, tree::Tree};
use crate::{
    model::{
        sequence::transformer::{Drop, Net, Tokens, Trace},
        train::exp::add,
    },
    semantic::SemanticId,
};

/// IDs, and the nodes of their prefixes: looked up once.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    levels: usize,
    codes: Vec<u16>,
    nodes: Vec<u32>,
}

impl Paths {
    /// Of IDs that fit the widths.
    pub(super) fn new<'a>(
        tree: &Tree,
        levels: usize,
        ids: impl IntoIterator<Item = &'a SemanticId>,
    ) -> Paths {
        let mut paths = Paths { levels, codes: vec![], nodes: vec![] };
        for id in ids {
            paths.codes.extend_from_slice(id.codes());
            paths.nodes.extend(tree.path(id));
        }
        paths
    }

    pub(super) fn codes(&self, id: u32) -> &[u16] {
        &self.codes[id as usize * self.levels..][..self.levels]
    }

    pub(super) fn nodes(&self, id: u32) -> &[u32] {
        &self.nodes[id as usize * self.levels..][..self.levels]
    }
}

/// What goes in at the start of a sequence, in place of an item.
pub(super) const START: u32 = NONE;

/// Part of a sequence. Each item but those before `from` is predicted from those before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) ids: &'a [u32],
    /// Whether a sequence begins here; then its first item is predicted, too.
    pub(super) begins: bool,
}

impl<'a> Window<'a> {
    /// All windows of a sequence, from its end, of at most so many tokens: every item is predicted
    /// once.
    pub(super) fn all(mut ids: &'a [u32], positions: usize, out: &mut Vec<Window<'a>>) {
        while ids.len() > positions {
            let from = ids.len() - positions - 1;
            out.push(Window { ids: &ids[from..], begins: false });
            ids = &ids[..=from];
        }
        if !ids.is_empty() {
            out.push(Window { ids, begins: true });
        }
    }

    /// What goes in, token by token.
    pub(super) fn inputs(&self) -> impl Iterator<Item = u32> + use<'a> {
        let start = self.begins.then_some(START);
        start.into_iter().chain(self.ids[..self.ids.len() - 1].iter().copied())
    }

    /// What comes next after each token.
    pub(super) fn targets(&self) -> &'a [u32] {
        &self.ids[usize::from(!self.begins)..]
    }
}

/// Appends a window of so many tokens, which end at the last position.
pub(super) fn place(plan: &Plan, tokens: &mut Tokens, count: usize) {
    let (from, positions) = (tokens.items.len() as u32, plan.positions() as u32);
    tokens.items.extend(from..from + count as u32);
    tokens.places.extend(positions - count as u32..positions);
    tokens.starts.push(tokens.items.len());
}

impl Network<'_> {
    /// Appends the vector of an item: those of its codes and of its prefixes, added up.
    pub(super) fn input(&self, (codes, nodes): (&[u16], &[u32]), out: &mut Vec<f32>) {
        let (dim, at) = (self.plan.dim(), out.len());
        out.resize(at + dim, 0.0);
        let out = &mut out[at..];
        for (level, (code, node)) in codes.iter().zip(nodes).enumerate() {
            add(out, &self.theta[self.plan.code(level, *code)..][..dim], 1.0);
            if level > 0 && *node != NONE {
                let row = self.tree.row(level + 1, *node);
                add(out, &self.nodes[row * (dim + 1)..][..dim], 1.0);
            }
        }
    }

    /// Appends the vector that stands at the start.
    pub(super) fn start(&self, out: &mut Vec<f32>) {
        out.extend_from_slice(&self.theta[self.plan.start..][..self.plan.dim()]);
    }

    /// The states of tokens whose vectors are `inputs`, in `trace.states`.
    pub(super) fn read(&self, tokens: &Tokens, inputs: &[f32], drop: Drop, trace: &mut Trace) {
        self.net(inputs).forward(tokens, drop, trace);
    }

    /// The transformer, with the vectors of a micro-batch as its item table.
    pub(super) fn net<'a>(&'a self, inputs: &'a [f32]) -> Net<'a> {
        let (architecture, layout) = (&self.plan.shape.transformer, &self.plan.layout);
        Net { architecture, layout, theta: self.theta, items: inputs }
    }
}
