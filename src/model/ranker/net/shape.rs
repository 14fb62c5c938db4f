//! Shape: which parameters a net has, where each lies, and how it begins.

use crate::{
    error::{Error, Result},
    model::{
        ranker::features::{Dims, Features},
        train::dice::Dice,
    },
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What is computed on the features.
///
/// ```
/// use bowerbird::model::ranker::Body;
/// let body = Body::Mlp { hidden: vec![256, 128] };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Body {
    /// A multi-layer perceptron with ReLU, over all features and the products of each vector of the request
    /// with each of the candidate.
    Mlp {
        /// The widths of its layers.
        hidden: Vec<u32>,
    },
    /// DCN-v2 (Wang et al. 2021), low-rank and parallel: cross layers beside a perceptron.
    Dcn {
        /// How many cross layers.
        layers: u32,
        /// The rank of their matrices.
        rank: u32,
        /// The widths of the perceptron's layers.
        hidden: Vec<u32>,
    },
    /// The candidate attends to the items of the history (Deep Interest Network, Zhou et al. 2018, with the
    /// attention of Vaswani et al. 2017), and a perceptron over that and all other features.
    Attention {
        /// How many heads; they share the width.
        heads: u32,
        /// The widths of the perceptron's layers.
        hidden: Vec<u32>,
    },
}

impl Body {
    pub(crate) fn hidden(&self) -> &[u32] {
        match self {
            Body::Mlp { hidden } | Body::Dcn { hidden, .. } | Body::Attention { hidden, .. } => {
                hidden
            }
        }
    }

    /// Its name in files.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Body::Mlp { .. } => "mlp",
            Body::Dcn { .. } => "dcn-v2",
            Body::Attention { .. } => "attention",
        }
    }
}

/// Everything that decides how many parameters there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) tasks: u32,
    pub(crate) dims: Dims,
    pub(crate) spaces: Spaces,
    pub(crate) places: u32,
    pub(crate) scalars: u32,
    /// What every vector is projected to.
    pub(crate) width: u32,
    pub(crate) body: Body,
}

/// Which space each vector is of, by number. Vectors of a space share its projection, whoever they belong
/// to: what one surface teaches of a space, the others know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spaces {
    pub(crate) context: Vec<u32>,
    pub(crate) items: Vec<u32>,
    pub(crate) history: Option<u32>,
}

impl Spaces {
    /// Spaces are numbered as they first come: in vectors of the request, of candidates, of the history.
    fn of(features: &Features) -> Spaces {
        let mut names: Vec<String> = Vec::new();
        let mut number = |name: &String| -> u32 {
            let at = names.iter().position(|known| known == name);
            at.unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            }) as u32
        };
        Spaces {
            context: features.context.iter().map(|slot| number(&slot.space)).collect(),
            items: features.items.iter().map(&mut number).collect(),
            history: features.history.as_ref().map(|history| number(&history.0)),
        }
    }
}

/// A parameter: its name, and its rows and columns; one row where it is a vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) at: usize,
}

impl Part {
    pub(crate) fn range(&self) -> Range<usize> {
        self.at..self.at + self.rows * self.columns
    }
}

const WIDTH_MAX: u32 = 1024;
const HIDDEN_MAX: u32 = 4096;
const LAYERS_MAX: usize = 8;
/// Most parameters: four gigabytes.
const PARAMETERS_MAX: usize = 1 << 30;

impl Shape {
    pub(crate) fn of(features: &Features, dims: &Dims, width: u32, body: Body) -> Shape {
        Shape {
            tasks: features.tasks.len() as u32,
            dims: dims.clone(),
            spaces: Spaces::of(features),
            places: features.history.as_ref().map_or(0, |history| history.1),
            scalars: features.scalars.len() as u32,
            width,
            body,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("shape of a ranker", why));
        if !(1..=WIDTH_MAX).contains(&self.width) {
            return refuse(format!("projects to {} numbers; 1 to {WIDTH_MAX}", self.width));
        }
        let hidden = self.body.hidden();
        let wide = hidden.iter().all(|n| (1..=HIDDEN_MAX).contains(n));
        if !(1..=LAYERS_MAX).contains(&hidden.len()) || !wide {
            return refuse(format!(
                "has layers of {hidden:?}; 1 to {LAYERS_MAX} of them, each of 1 to {HIDDEN_MAX}"
            ));
        }
        match &self.body {
            Body::Dcn { layers, rank, .. } => {
                if !(1..=LAYERS_MAX as u32).contains(layers) || !(1..=HIDDEN_MAX).contains(rank) {
                    return refuse(format!("has {layers} cross layers of rank {rank}"));
                }
            }
            Body::Attention { heads, .. } => {
                if *heads == 0 || !self.width.is_multiple_of(*heads) {
                    return refuse(format!("has {heads} heads for a width of {}", self.width));
                }
                if self.places == 0 || self.dims.items.is_empty() || self.dims.history.is_none() {
                    let why = "attends to a history: declare `history` and `item`";
                    return refuse(why.into());
                }
            }
            Body::Mlp { .. } => {}
        }
        let dims = self.dims.context.iter().chain(&self.dims.items).chain(&self.dims.history);
        if dims.clone().any(|dim| *dim == 0 || *dim > crate::limits::DIM_MAX) {
            return refuse("has a vector of no or of too many numbers".into());
        }
        let spaces = &self.spaces;
        let known = spaces.context.len() == self.dims.context.len()
            && spaces.items.len() == self.dims.items.len()
            && spaces.history.is_some() == self.dims.history.is_some()
            && self
                .numbered()
                .windows(2)
                .all(|pair| pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1);
        if !known {
            return refuse("has vectors of a space that have not as many numbers".into());
        }
        match self.size().is_some_and(|size| size <= PARAMETERS_MAX) {
            true => Ok(()),
            false => refuse("has more than a billion parameters".into()),
        }
    }

    /// How many numbers a vector is projected to.
    pub(crate) fn p(&self) -> usize {
        self.width as usize
    }

    /// Whether tasks are told apart.
    pub(crate) fn has_task(&self) -> bool {
        self.tasks > 1
    }

    /// The pairs whose products are features: of a vector of the request and one of the candidate.
    pub(crate) fn pairs(&self) -> usize {
        match self.body {
            Body::Dcn { .. } => 0,
            _ => self.dims.context.len() * self.dims.items.len(),
        }
    }

    pub(crate) fn attends(&self) -> bool {
        matches!(self.body, Body::Attention { .. })
    }

    /// How many inputs are the same for all candidates of a request.
    pub(crate) fn request_width(&self) -> usize {
        let context = self.dims.context.len();
        (usize::from(self.has_task()) + context) * self.p() + context
    }

    /// How many inputs are the candidate's.
    pub(crate) fn item_width(&self) -> usize {
        let items = self.dims.items.len();
        let vectors = items + self.pairs() + if self.attends() { 2 } else { 0 };
        vectors * self.p() + self.scalars as usize + items
    }

    /// The number and the dimension of the space of each vector, ascending.
    fn numbered(&self) -> Vec<(u32, u32)> {
        let (spaces, dims) = (&self.spaces, &self.dims);
        let context = spaces.context.iter().zip(&dims.context);
        let others =
            spaces.items.iter().zip(&dims.items).chain(spaces.history.iter().zip(&dims.history));
        let mut all: Vec<(u32, u32)> = context.chain(others).map(|(at, dim)| (*at, *dim)).collect();
        all.sort_unstable();
        all
    }

    fn size(&self) -> Option<usize> {
        self.parts().iter().try_fold(0usize, |sum, part| {
            part.rows.checked_mul(part.columns).and_then(|size| sum.checked_add(size))
        })
    }

    /// All parameters, in the order in which they lie.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut parts = Parts::default();
        let p = self.p();
        if self.has_task() {
            parts.add("task".into(), self.tasks as usize, p);
        }
        let mut spaces = self.numbered();
        spaces.dedup_by_key(|space| space.0);
        for (at, dim) in spaces {
            parts.add(format!("space.{at}.weight"), dim as usize, p);
        }
        (0..self.dims.context.len()).for_each(|at| parts.add(format!("context.{at}.null"), 1, p));
        (0..self.dims.items.len()).for_each(|at| parts.add(format!("item.{at}.null"), 1, p));
        if self.attends() {
            parts.add("history.place".into(), self.places as usize, p);
            parts.add("history.null".into(), 1, p);
            for name in ["query", "key", "value", "out"] {
                parts.add(format!("attention.{name}"), p, p);
            }
        }
        let all = self.request_width() + self.item_width();
        if let Body::Dcn { layers, rank, .. } = self.body {
            for layer in 0..layers {
                parts.add(format!("cross.{layer}.down"), all, rank as usize);
                parts.add(format!("cross.{layer}.up"), rank as usize, all);
                parts.add(format!("cross.{layer}.bias"), 1, all);
            }
            parts.add("cross.out".into(), 1, all);
        }
        let mut width = all;
        for (at, hidden) in self.body.hidden().iter().enumerate() {
            parts.add(format!("hidden.{at}.weight"), width, *hidden as usize);
            parts.add(format!("hidden.{at}.bias"), 1, *hidden as usize);
            width = *hidden as usize;
        }
        parts.add("out.weight".into(), 1, width);
        parts.add("out.bias".into(), 1, 1);
        parts.0
    }

    /// Parameters to begin with.
    pub(crate) fn start(&self, seed: u64) -> Vec<f32> {
        let mut numbers = Vec::new();
        for part in self.parts() {
            let mut dice = Dice::new(seed, 1_000_000 + part.at as u64);
            let spread = match part.name.as_str() {
                name if name.ends_with(".bias") || name.ends_with(".null") => 0.0,
                // Lengths are kept: rows of unit vectors have projections of about unit length, so the sum
                // of a product of two begins as about their inner product.
                name if name.starts_with("space.") => 1.0 / (part.columns as f32).sqrt(),
                "task" | "history.place" => 0.1,
                _ => (2.0 / (part.rows + part.columns) as f32).sqrt(),
            };
            numbers.extend((0..part.rows * part.columns).map(|_| spread * dice.normal()));
        }
        numbers
    }
}

#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn add(&mut self, name: String, rows: usize, columns: usize) {
        let at = self.0.last().map_or(0, |last| last.range().end);
        self.0.push(Part { name, rows, columns, at });
    }
}
