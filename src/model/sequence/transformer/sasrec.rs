//! SASRec: a transformer that looks back, and says at every step what comes next.

use super::{
    architecture::{Architecture, Tag, number},
    fit::{Fit, Recipe},
    shape::{Shape, checked, options},
    trained::Transformer,
};
use crate::{
    error::{Error, Result},
    model::{Model, Sequences, Train, Training, train::dice::Dice},
};

/// What a step of training compares the next item with.
///
/// ```
/// use bowerbird::model::Loss;
/// let loss = Loss::Sampled { negatives: 512, corrected: false };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// All items: cross-entropy.
    Full,
    /// Some items, drawn anew for every part of a batch, all alike: cross-entropy among them.
    Sampled {
        /// How many.
        negatives: usize,
        /// Whether they count for all that were not drawn (the logQ correction): nearer to `Full`.
        corrected: bool,
    },
    /// Some items, each for itself, where the next item counts less the fewer were drawn: gBCE
    /// (Petrov and Macdonald, 2023).
    Gbce {
        /// How many.
        negatives: usize,
        /// How much less: 0 not at all, 1 as much as calibrated scores need.
        t: f32,
    },
    /// One item per step, drawn for it alone: as SASRec was first published.
    Bce,
}

/// SASRec (Kang and McAuley, 2018): a transformer over the last items of a history, each seeing
/// those before it, trained at every step to score the next item above others.
///
/// Norms come before attention and the feed-forward part, and the same vectors say what was and
/// what will be. Users are vectors: the score of an item is an inner product.
///
/// What is `None` follows from the data.
///
/// ```
/// use bowerbird::model::{Loss, Sasrec};
/// let sasrec = Sasrec { dim: 128, loss: Some(Loss::Full), ..Sasrec::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sasrec {
    /// Numbers per item.
    pub dim: usize,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Heads of attention; divides `dim`.
    pub heads: usize,
    /// Most items of a history that are looked at.
    pub length_max: Option<usize>,
    /// The share of numbers that are dropped in training: 0 to 0.9.
    pub dropout: f32,
    /// What the next item is compared with.
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

impl Default for Sasrec {
    fn default() -> Sasrec {
        Sasrec {
            dim: 64,
            layers: 2,
            heads: 1,
            length_max: None,
            dropout: 0.2,
            loss: None,
            learning_rate: 1e-3,
            batch: 128,
            epochs: None,
            patience: 10,
        }
    }
}

/// What training begins with.
pub(super) struct Plan<'s> {
    pub(super) recipe: Recipe,
    pub(super) windows: Vec<&'s [u32]>,
    pub(super) transformer: Transformer,
    pub(super) options: Vec<(String, String)>,
}

impl Sasrec {
    pub(super) fn plan<'s>(
        &self,
        sequences: &'s Sequences,
        how: &Training<'_>,
    ) -> Result<Plan<'s>> {
        let wrong = |what: &str, why: &str| Err(Error::invalid(format!("{what} of Sasrec"), why));
        let shape = Shape::new(sequences, how.judges());
        let recipe = Recipe {
            loss: self.loss.unwrap_or(shape.loss()),
            rate: self.learning_rate,
            batch: self.batch,
            epochs: self.epochs.unwrap_or(shape.epochs()),
            patience: self.patience,
            dropout: self.dropout,
            mask: (0.0, 0.0),
            repeats: shape.repeats,
        };
        checked("Sasrec", &recipe)?;
        let length = self.length_max.unwrap_or(shape.length_max());
        let windows = windows(sequences, length.saturating_add(1).max(2));
        if windows.is_empty() {
            return wrong("sequences", "have one item each: there is nothing that comes next");
        }
        let mut architecture = Architecture::new(Tag::PreLn, shape.items, self.dim, length)?;
        architecture.layers = number(self.layers);
        architecture.heads = number(self.heads);
        architecture.check()?;
        let options = options(&recipe, &architecture);
        let transformer = Transformer::fresh(architecture, &mut Dice::new(how.seed, 1))?;
        Ok(Plan { recipe, windows, transformer, options })
    }
}

impl Train for Sasrec {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let Plan { recipe, windows, transformer, options } = self.plan(sequences, how)?;
        let fit = Fit::new(&transformer, windows, recipe, (how.seed, how.threads));
        Ok(Model::trained(fit.run(transformer, how)?, options, sequences, how))
    }
}

/// All sequences from their ends, in windows of at most `length` items that share one with the
/// next: every item but the first of a sequence is predicted once. At least two each.
pub(crate) fn windows(sequences: &Sequences, length: usize) -> Vec<&[u32]> {
    let mut windows = Vec::new();
    for mut items in sequences.iter() {
        while items.len() > 1 {
            let from = items.len() - items.len().min(length);
            windows.push(&items[from..]);
            items = &items[..=from];
        }
    }
    windows
}
