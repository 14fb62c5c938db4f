//! BERT4Rec: a transformer that looks both ways, and fills in items that were masked.

use super::{
    architecture::{Activation, Architecture, Tag, number},
    fit::{Fit, Recipe},
    sasrec::Loss,
    shape::{Shape, checked, options},
    trained::Transformer,
};
use crate::{
    error::{Error, Result},
    model::{Model, Sequences, Train, Training, train::dice::Dice},
};

/// BERT4Rec (Sun and others, 2019): a transformer over the last items of a history, each seeing all
/// others, trained to tell which items were replaced by a mask. What comes next is what a mask at
/// the end stands for; some windows are trained with just that (as the paper ends its training).
///
/// What is `None` follows from the data.
///
/// ```
/// use bowerbird::model::Bert4Rec;
/// let bert4rec = Bert4Rec { dim: 128, mask_share: 0.2, ..Bert4Rec::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bert4Rec {
    /// Numbers per item.
    pub dim: usize,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Heads of attention; divides `dim`.
    pub heads: usize,
    /// Most items of a history that are looked at, the mask among them.
    pub length_max: Option<usize>,
    /// The share of items of a window that are masked in training: more than 0, less than 1.
    pub mask_share: f32,
    /// The share of windows of which only the last item is masked: 0 to 1.
    pub last_share: f32,
    /// The share of numbers that are dropped in training: 0 to 0.9.
    pub dropout: f32,
    /// What masked items are compared with; `None` for all items, or a sample where those are very
    /// many.
    pub loss: Option<Loss>,
    /// The size of steps.
    pub learning_rate: f32,
    /// Windows per step.
    pub batch: usize,
    /// Most passes over the data.
    pub epochs: Option<usize>,
    /// Passes without a better one, by the validation cases, before training stops.
    pub patience: usize,
}

impl Default for Bert4Rec {
    fn default() -> Bert4Rec {
        Bert4Rec {
            dim: 64,
            layers: 2,
            heads: 2,
            length_max: None,
            mask_share: 0.2,
            last_share: 0.1,
            dropout: 0.1,
            loss: None,
            learning_rate: 1e-3,
            batch: 128,
            epochs: None,
            patience: 15,
        }
    }
}

impl Train for Bert4Rec {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let wrong = |what: &str, why: &str| Err(Error::invalid(format!("{what} of Bert4Rec"), why));
        if !(self.mask_share > 0.0 && self.mask_share < 1.0) {
            return wrong("mask_share", "must be more than 0, less than 1");
        }
        if !(0.0..=1.0).contains(&self.last_share) {
            return wrong("last_share", "must be 0 to 1");
        }
        let shape = Shape::new(sequences, how.judges());
        let recipe = Recipe {
            loss: self.loss.unwrap_or(shape.loss()),
            rate: self.learning_rate,
            batch: self.batch,
            epochs: self.epochs.unwrap_or(shape.epochs()),
            patience: self.patience,
            dropout: self.dropout,
            mask: (self.mask_share, self.last_share),
            repeats: shape.repeats,
        };
        checked("Bert4Rec", &recipe)?;
        let length = self.length_max.unwrap_or(shape.length_max());
        let windows = windows(sequences, length);
        if windows.is_empty() {
            return wrong("sequences", "have one item each: there is nothing to tell it by");
        }
        let mut architecture = Architecture::new(Tag::PreLn, shape.items, self.dim, length)?;
        architecture.causal = false;
        architecture.activation = Activation::Gelu;
        architecture.layers = number(self.layers);
        architecture.heads = number(self.heads);
        architecture.inner = number(self.dim.saturating_mul(4));
        architecture.check()?;
        let options = options(&recipe, &architecture);
        let transformer = Transformer::fresh(architecture, &mut Dice::new(how.seed, 1))?;
        let fit = Fit::new(&transformer, windows, recipe, (how.seed, how.threads));
        Ok(Model::trained(fit.run(transformer, how)?, options, sequences, how))
    }
}

/// All sequences from their ends, in windows of at most `length` items; what is left of one is a
/// window if it has at least two.
fn windows(sequences: &Sequences, length: usize) -> Vec<&[u32]> {
    let windows = sequences.iter().flat_map(|items| items.rchunks(length.max(1)));
    windows.filter(|window| window.len() > 1).collect()
}
