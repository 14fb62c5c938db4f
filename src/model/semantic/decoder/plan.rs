//! Plan: which network it is, and where each of its numbers lies.

use super::tree::Tree;
use crate::{
    error::{Error, Result},
    limits::LEVELS_MAX,
    model::{
        sequence::transformer::{
            Activation, Architecture, Dense, Layout, Norm, Parts, START, Tag, number,
        },
        train::dice::Dice,
    },
    semantic::SemanticId,
};
use serde::{Deserialize, Serialize};

/// What is said in full, and saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Of the transformer that reads items; it has no item table of its own.
    pub(super) transformer: Architecture,
    /// How many codes each level has.
    pub(super) widths: Vec<u32>,
    /// Numbers between the two layers of the head of a level.
    pub(super) inner: u32,
}

/// Most numbers of a network, prefixes aside.
const NUMBERS_MAX: usize = 1 << 28;

impl Shape {
    pub(super) fn new(
        widths: &[usize],
        (dim, blocks, heads): (usize, usize, usize),
        length: usize,
    ) -> Result<Shape> {
        let mut transformer = Architecture::new(Tag::PreLn, 1, dim, length)?;
        (transformer.layers, transformer.heads) = (number(blocks), number(heads));
        transformer.inner = number(dim.saturating_mul(2));
        transformer.activation = Activation::GeluTanh;
        let widths = widths.iter().map(|width| number(*width)).collect();
        let shape = Shape { transformer, widths, inner: number(dim.saturating_mul(2)) };
        shape.check()?;
        Ok(shape)
    }

    /// Whether it can be computed with, in bounded memory.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &str, why: String| Err(Error::invalid(what, why));
        if !(1..=LEVELS_MAX).contains(&self.widths.len()) {
            let why = format!("are {}; there must be 1 to {LEVELS_MAX}", self.widths.len());
            return wrong("widths of a next-code model", why);
        }
        if let Some(width) = self.widths.iter().find(|width| !(1..=1 << 16).contains(*width)) {
            return wrong("width of a level", format!("is {width}; it must be 1 to 65,536"));
        }
        if !(1..=1 << 15).contains(&self.inner) {
            return wrong("inner of a head", format!("is {}; it must be 1 to 32,768", self.inner));
        }
        self.transformer.check()?;
        let a = &self.transformer;
        let plain = Architecture::new(Tag::PreLn, 1, a.dim as usize, a.positions as usize)?;
        let plain = Architecture {
            layers: a.layers,
            heads: a.heads,
            inner: a.inner,
            activation: a.activation,
            ..plain
        };
        if *a != plain {
            let why = "is not one that looks back, with norms before each part";
            return wrong("transformer of a next-code model", why.into());
        }
        let codes: u64 = self.widths.iter().map(|width| u64::from(*width)).sum();
        let (dim, inner) = (u64::from(a.dim), u64::from(self.inner));
        let blocks = u64::from(a.layers) * dim * (4 * dim + 2 * u64::from(a.inner));
        let heads = self.widths.len() as u64 * 2 * dim * inner;
        let all = 2 * codes * dim + u64::from(a.positions) * dim + blocks + heads;
        if all > NUMBERS_MAX as u64 {
            let why = format!("has {all} numbers; at most {NUMBERS_MAX}. Use a smaller dim.");
            return wrong("next-code model", why);
        }
        Ok(())
    }
}

/// The head of a level: `last(x + outer(gelu(inner(norm(x)))))`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) norm: Norm,
    pub(super) inner: Dense,
    pub(super) outer: Dense,
    pub(super) last: Norm,
}

/// Where every number lies: those of the transformer as its [`Layout`] says, then ours.
///
/// | name | shape | what |
/// |---|---|---|
/// | `start` | `[1, dim]` | goes in before the first item |
/// | `codes` | `[codes of all levels, dim]` | by which codes go in, and are compared with |
/// | `bias` | `[codes of all levels]` | added to logits |
/// | `chosen` | `[codes of all levels, dim]` | added to a state for each code chosen so far |
/// | `heads.N.norm`, `.inner`, `.outer`, `.last` | | of level N, from 0 |
///
/// Beside these each prefix of the [`Tree`] has a row of `dim + 1`: a vector and a bias.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) layout: Layout,
    pub(super) widths: Vec<usize>,
    /// The place of the first code of each level among all codes.
    pub(super) firsts: Vec<usize>,
    pub(super) start: usize,
    pub(super) codes: usize,
    pub(super) bias: usize,
    pub(super) chosen: usize,
    pub(super) heads: Vec<Head>,
    pub(super) parts: Vec<(String, Vec<usize>, usize)>,
    pub(super) total: usize,
}

impl Plan {
    /// Of a checked shape.
    pub(super) fn new(shape: Shape) -> Plan {
        let (dim, inner) = (shape.transformer.dim as usize, shape.inner as usize);
        let mut layout = Layout::new(&shape.transformer);
        let mut parts = Parts { parts: std::mem::take(&mut layout.parts), total: layout.total };
        let widths: Vec<usize> = shape.widths.iter().map(|width| *width as usize).collect();
        let all: usize = widths.iter().sum();
        let firsts = (0..widths.len()).map(|level| widths[..level].iter().sum()).collect();
        let start = parts.part("start", &[1, dim]);
        let codes = parts.part("codes", &[all, dim]);
        let bias = parts.part("bias", &[all]);
        let chosen = parts.part("chosen", &[all, dim]);
        let mut head = |level: usize| {
            let name = |part: &str| format!("heads.{level}.{part}");
            Head {
                norm: parts.norm(&name("norm"), dim),
                inner: parts.dense(&name("inner"), dim, inner),
                outer: parts.dense(&name("outer"), inner, dim),
                last: parts.norm(&name("last.norm"), dim),
            }
        };
        let heads = (0..widths.len()).map(&mut head).collect();
        let Parts { parts, total } = parts;
        Plan { shape, layout, widths, firsts, start, codes, bias, chosen, heads, parts, total }
    }

    pub(super) fn dim(&self) -> usize {
        self.shape.transformer.dim as usize
    }

    pub(super) fn levels(&self) -> usize {
        self.widths.len()
    }

    /// Most items of a history.
    pub(super) fn positions(&self) -> usize {
        self.shape.transformer.positions as usize
    }

    /// Where the vector of a code of a level begins.
    pub(super) fn code(&self, level: usize, code: u16) -> usize {
        self.codes + (self.firsts[level] + usize::from(code)) * self.dim()
    }

    /// Where what a chosen code adds to a state begins.
    pub(super) fn chosen(&self, level: usize, code: u16) -> usize {
        self.chosen + (self.firsts[level] + usize::from(code)) * self.dim()
    }

    /// The numbers of one that knows nothing but how often IDs came: of the network, and of the
    /// prefixes of a tree.
    ///
    /// Biases are such that a level's probabilities begin as counts below the prefix, smoothed by
    /// those of the level (a Dirichlet prior of weight [`PRIOR`]): a softmax over 256 codes of
    /// which two lead anywhere need not be learned.
    pub(super) fn fresh(
        &self,
        tree: &Tree,
        (ids, counts): (&[SemanticId], &[u32]),
        dice: &mut Dice,
    ) -> (Vec<f32>, Vec<f32>) {
        let (dim, mut theta) = (self.dim(), vec![0f32; self.total]);
        for (name, shape, at) in &self.parts {
            let part = &mut theta[*at..at + shape.iter().product::<usize>()];
            if shape.len() == 2 {
                part.iter_mut().for_each(|number| *number = dice.normal() * START);
            } else if name.contains("norm") && name.ends_with("weight") {
                part.fill(1.0);
            }
        }
        let mut shares: Vec<f64> = Vec::with_capacity(self.firsts.len());
        let mut below = vec![0u64; tree.rows()];
        for (level, width) in self.widths.iter().enumerate() {
            let mut seen = vec![0u64; *width];
            for (id, count) in ids.iter().zip(counts) {
                seen[usize::from(id.codes()[level])] += u64::from(*count);
            }
            let all: u64 = seen.iter().sum();
            let share = |seen: u64| (seen as f64 + 0.5) / (all as f64 + 0.5 * *width as f64);
            shares.extend(seen.into_iter().map(share));
        }
        for (bias, share) in theta[self.bias..].iter_mut().zip(&shares) {
            *bias = share.ln() as f32;
        }
        let mut nodes: Vec<f32> =
            (0..tree.rows() * (dim + 1)).map(|_| dice.normal() * START).collect();
        let rows = |id: &SemanticId| {
            let nodes: Vec<u32> = tree.path(id).collect();
            (1..nodes.len())
                .map(|level| (level, tree.row(level + 1, nodes[level])))
                .collect::<Vec<_>>()
        };
        for (id, count) in ids.iter().zip(counts) {
            rows(id).iter().for_each(|(_, row)| below[*row] += u64::from(*count));
        }
        for id in ids {
            for (level, row) in rows(id) {
                let share = shares[self.firsts[level] + usize::from(id.codes()[level])];
                nodes[row * (dim + 1) + dim] = (below[row] as f64 / (PRIOR * share)).ln_1p() as f32;
            }
        }
        (theta, nodes)
    }
}

/// How many events the codes of a level count for, below a prefix that was seen.
const PRIOR: f64 = 0.5;
