//! Architecture: which transformer it is, said in full, and where each of its numbers lies.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where an architecture comes from. A name for people and for importers; what is computed follows
/// from the fields of [`Architecture`] alone, never from shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tag {
    /// Norms before attention and before the feed-forward part, as in GPT-2; our own.
    PreLn,
    /// SASRec as in the paper's code and its best known port to PyTorch (Kang and McAuley, 2018).
    Kang,
    /// SASRec as in the code of gSASRec (Petrov and Macdonald, 2023).
    Gsasrec,
    /// BERT4Rec as Hugging Face's BertModel with its language-model head.
    Bert4rec,
}

/// What a block does in which order. `F` is the feed-forward part, `A(queries, keys)` attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// `n = norm1(x); s = x + A(n, n); out = s + F(norm2(s))`
    Pre,
    /// `n = norm1(x); s = n + A(n, x); f = norm2(s); out = f + F(f)`
    Kang,
    /// `f = norm2(x + A(x, x)); out = norm3(f + F(f))`
    Post,
}

/// Between the two layers of a feed-forward part, and after the first of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Activation {
    /// None at all: some published code leaves it out.
    Linear,
    Relu,
    /// `x * Phi(x)`, by the error function.
    Gelu,
    /// The approximation of it by a hyperbolic tangent (GPT-2's).
    GeluTanh,
}

/// Which row of the learned positions an item gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// The last of a window has the last row: padding goes before.
    Right,
    /// The first of a window has the first row: padding goes after.
    Left,
}

/// What the places before a short history do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Padding {
    /// Nothing: they are not attended to.
    Absent,
    /// They are attended to, and their vectors are zeros: keys and values of nothing but a bias.
    Zero,
    /// They are items of a row of their own, with the positions of their places.
    Placed,
    /// They are items of a row of their own, without positions.
    Unplaced,
}

/// A transformer over item embeddings, tied: items go in and are scored by the same table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Architecture {
    pub(crate) tag: Tag,
    /// Items of the vocabulary. The table has one more row if there is a `[MASK]`.
    pub(crate) items: u32,
    /// Numbers per item, and per state.
    pub(crate) dim: u32,
    pub(crate) layers: u32,
    /// Divides `dim`.
    pub(crate) heads: u32,
    /// Numbers between the two layers of the feed-forward part.
    pub(crate) inner: u32,
    /// Most items of a window, a `[MASK]` among them.
    pub(crate) positions: u32,
    pub(crate) activation: Activation,
    /// Added to variances.
    pub(crate) eps: f32,
    /// Whether an item sees only those before it. If not, there is a `[MASK]`: it is appended to a
    /// history, and its state is the user's.
    pub(crate) causal: bool,
    pub(crate) order: Order,
    /// What item embeddings are multiplied with on their way in.
    pub(crate) scale: f32,
    /// Whether what goes in is normalized.
    pub(crate) embed_norm: bool,
    /// Whether what comes out of the last block is normalized.
    pub(crate) final_norm: bool,
    /// Whether attention ends with a layer that mixes its heads.
    pub(crate) projection: bool,
    /// Whether states go through one more layer, activation and norm before they are compared.
    pub(crate) head: bool,
    /// Whether each item has a number that is added to its score.
    pub(crate) bias: bool,
    pub(crate) padding: Padding,
    pub(crate) place: Place,
    /// Whether items are scored by a table of their own, not by the one they go in by.
    pub(crate) untied: bool,
}

impl Architecture {
    /// As its tag says, with two layers of one head; any field can be set afterwards.
    ///
    /// # Errors
    /// `Invalid` as for [`Architecture::check`].
    pub(crate) fn new(
        tag: Tag,
        items: usize,
        dim: usize,
        positions: usize,
    ) -> Result<Architecture> {
        let base = Architecture {
            tag,
            items: number(items),
            dim: number(dim),
            layers: 2,
            heads: 1,
            inner: number(dim),
            positions: number(positions),
            activation: Activation::Relu,
            eps: 1e-5,
            causal: true,
            order: Order::Pre,
            scale: 1.0,
            embed_norm: false,
            final_norm: true,
            projection: true,
            head: false,
            bias: false,
            padding: Padding::Absent,
            place: Place::Right,
            untied: false,
        };
        let kang = Architecture { order: Order::Kang, ..base.clone() };
        let all = match tag {
            Tag::PreLn => base,
            Tag::Kang => Architecture {
                eps: 1e-8,
                scale: (dim as f32).sqrt(),
                padding: Padding::Zero,
                ..kang
            },
            Tag::Gsasrec => {
                Architecture { projection: false, activation: Activation::Linear, ..kang }
            }
            Tag::Bert4rec => Architecture {
                inner: number(dim.saturating_mul(4)),
                activation: Activation::Gelu,
                eps: 1e-12,
                causal: false,
                order: Order::Post,
                embed_norm: true,
                final_norm: false,
                head: true,
                bias: true,
                ..base
            },
        };
        all.check()?;
        Ok(all)
    }

    /// Rows of the item table: items, a `[MASK]` where there is one, the padding where it is one.
    pub(crate) fn rows(&self) -> usize {
        self.items as usize + usize::from(!self.causal) + usize::from(self.pads())
    }

    /// Whether short windows are filled up with a row of the item table, its last.
    pub(crate) fn pads(&self) -> bool {
        matches!(self.padding, Padding::Placed | Padding::Unplaced)
    }

    /// Whether a row that is made of content can stand beside those of the table: items go in and are
    /// scored by the same rows, and by nothing else.
    pub(crate) fn reads_content(&self) -> bool {
        self.causal && !self.pads() && !self.bias && !self.untied
    }

    /// Whether it can be computed with, in bounded memory.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong =
            |what: &str, why: String| Err(Error::invalid(format!("{what} of a transformer"), why));
        for (what, number, most) in [
            ("dim", self.dim, 4096),
            ("layers", self.layers, 64),
            ("heads", self.heads, self.dim),
            ("inner", self.inner, 1 << 15),
            ("positions", self.positions, 1 << 15),
            ("items", self.items, 1 << 27),
        ] {
            if number == 0 || number > most {
                return wrong(what, format!("is {number}; it must be 1 to {most}"));
            }
        }
        if !self.dim.is_multiple_of(self.heads) {
            return wrong(
                "heads",
                format!("is {}, which does not divide {}", self.heads, self.dim),
            );
        }
        if !(self.eps >= 0.0 && self.eps <= 1.0 && self.scale.is_finite()) {
            return wrong("eps or scale", format!("is {} or {}", self.eps, self.scale));
        }
        if self.padding == Padding::Zero && !(self.causal && self.order == Order::Kang) {
            return wrong("padding", "can be zeros only in a causal one of Kang's order".into());
        }
        Ok(())
    }
}

/// As a field of an architecture; what is too large stays too large.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A norm: where its weights and its biases begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm(pub(crate) usize, pub(crate) usize);

/// A layer: where its weights `[inputs, outputs]` and its biases begin, and its shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    pub(crate) weight: usize,
    pub(crate) bias: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// The parts of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) norm1: Option<Norm>,
    /// Queries, keys and values, side by side: `3 * dim` outputs.
    pub(crate) attention: Dense,
    pub(crate) output: Option<Dense>,
    pub(crate) norm2: Norm,
    pub(crate) inner: Dense,
    pub(crate) outer: Dense,
    pub(crate) norm3: Option<Norm>,
}

/// Where every number lies, but those of the item table and the biases of items.
///
/// Parts in their order, all in row order; `D` is `dim`, `N` a layer from 0:
///
/// | name | shape | where |
/// |---|---|---|
/// | `positions` | `[positions, D]` | always |
/// | `embed_norm.weight`, `embed_norm.bias` | `[D]` | `embed_norm` |
/// | `layers.N.norm1.weight`, `.bias` | `[D]` | `Pre`, `Kang` |
/// | `layers.N.attention.weight`, `.bias` | `[D, 3 D]`, `[3 D]` | always: queries, keys, values |
/// | `layers.N.output.weight`, `.bias` | `[D, D]`, `[D]` | `projection` |
/// | `layers.N.norm2.weight`, `.bias` | `[D]` | always |
/// | `layers.N.inner.weight`, `.bias` | `[D, inner]`, `[inner]` | always |
/// | `layers.N.outer.weight`, `.bias` | `[inner, D]`, `[D]` | always |
/// | `layers.N.norm3.weight`, `.bias` | `[D]` | `Post` |
/// | `final_norm.weight`, `.bias` | `[D]` | `final_norm` |
/// | `head.weight`, `.bias` | `[D, D]`, `[D]` | `head` |
/// | `head_norm.weight`, `.bias` | `[D]` | `head` |
///
/// Weights are `[inputs, outputs]`: the transpose of PyTorch's. Beside these there are `items`,
/// `[rows, D]`, with `untied` also `outputs`, `[items, D]`, and with `bias` also `bias`, `[items]`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) positions: usize,
    pub(crate) embed_norm: Option<Norm>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) final_norm: Option<Norm>,
    pub(crate) head: Option<(Dense, Norm)>,
    /// Name, shape and beginning of each part.
    pub(crate) parts: Vec<(String, Vec<usize>, usize)>,
    pub(crate) total: usize,
}

impl Layout {
    /// Of a checked architecture.
    pub(crate) fn new(architecture: &Architecture) -> Layout {
        let a = architecture;
        let (dim, inner) = (a.dim as usize, a.inner as usize);
        let mut parts = Parts::default();
        let positions = parts.part("positions", &[a.positions as usize, dim]);
        let embed_norm = a.embed_norm.then(|| parts.norm("embed_norm", dim));
        let mut block = |at: u32| {
            let name = |part: &str| format!("layers.{at}.{part}");
            Block {
                norm1: (a.order != Order::Post).then(|| parts.norm(&name("norm1"), dim)),
                attention: parts.dense(&name("attention"), dim, 3 * dim),
                output: a.projection.then(|| parts.dense(&name("output"), dim, dim)),
                norm2: parts.norm(&name("norm2"), dim),
                inner: parts.dense(&name("inner"), dim, inner),
                outer: parts.dense(&name("outer"), inner, dim),
                norm3: (a.order == Order::Post).then(|| parts.norm(&name("norm3"), dim)),
            }
        };
        let blocks = (0..a.layers).map(&mut block).collect();
        let final_norm = a.final_norm.then(|| parts.norm("final_norm", dim));
        let head = a.head.then(|| (parts.dense("head", dim, dim), parts.norm("head_norm", dim)));
        let Parts { parts, total } = parts;
        Layout { positions, embed_norm, blocks, final_norm, head, parts, total }
    }
}

/// Parts that get their places one after the other.
#[derive(Default)]
pub(crate) struct Parts {
    /// Name, shape and beginning of each.
    pub(crate) parts: Vec<(String, Vec<usize>, usize)>,
    pub(crate) total: usize,
}

impl Parts {
    pub(crate) fn part(&mut self, name: &str, shape: &[usize]) -> usize {
        let at = self.total;
        self.parts.push((name.to_owned(), shape.to_vec(), at));
        self.total += shape.iter().product::<usize>();
        at
    }

    pub(crate) fn norm(&mut self, name: &str, dim: usize) -> Norm {
        let weight = self.part(&format!("{name}.weight"), &[dim]);
        Norm(weight, self.part(&format!("{name}.bias"), &[dim]))
    }

    pub(crate) fn dense(&mut self, name: &str, inputs: usize, outputs: usize) -> Dense {
        let weight = self.part(&format!("{name}.weight"), &[inputs, outputs]);
        let bias = self.part(&format!("{name}.bias"), &[outputs]);
        Dense { weight, bias, inputs, outputs }
    }
}
