//! Shape: what follows from the size and shape of the data, where nobody said better.

use super::{fit::Recipe, sasrec::Loss};
use crate::{
    error::{Error, Result},
    model::Sequences,
};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) items: usize,
    /// Most sequences are no longer than this: nineteen of twenty.
    pub(crate) length: usize,
    /// Of the sequences.
    pub(crate) repeats: f64,
    /// Whether there are validation cases, so that training knows when to stop.
    pub(crate) judged: bool,
}

impl Shape {
    pub(crate) fn new(sequences: &Sequences, judged: bool) -> Shape {
        let mut lengths: Vec<usize> = sequences.iter().map(<[u32]>::len).collect();
        lengths.sort_unstable();
        let length = lengths.get(lengths.len() * 19 / 20).copied().unwrap_or(0);
        let items = sequences.vocabulary().len();
        Shape { items, length, repeats: sequences.repeats(), judged }
    }

    /// Items of a window: short ones cost little, and what is longer is cut into several.
    pub(crate) fn length_max(&self) -> usize {
        self.length.clamp(20, 200)
    }

    /// All items where their logits are cheap beside the rest of a step; else a sample that counts
    /// for all.
    pub(crate) fn loss(&self) -> Loss {
        match self.items {
            ..=5_000 => Loss::Full,
            _ => Loss::Sampled { negatives: 512, corrected: true },
        }
    }

    /// Most epochs: as many as may help where the best is kept, a modest number where nobody can
    /// tell.
    pub(crate) fn epochs(&self) -> usize {
        if self.judged { 200 } else { 40 }
    }
}

/// Refuses what cannot be trained with.
pub(crate) fn checked(method: &str, recipe: &Recipe) -> Result<()> {
    let wrong = |what: &str, why: &str| Err(Error::invalid(format!("{what} of {method}"), why));
    if !(0.0..=0.9).contains(&recipe.dropout) {
        return wrong("dropout", "must be 0 to 0.9");
    }
    if !(recipe.rate > 0.0 && recipe.rate <= 1.0) {
        return wrong("learning_rate", "must be more than 0, at most 1");
    }
    if recipe.batch == 0 || recipe.epochs == 0 || recipe.patience == 0 {
        return wrong("batch, epochs or patience", "must be at least 1");
    }
    match recipe.loss {
        Loss::Sampled { negatives: 0, .. } | Loss::Gbce { negatives: 0, .. } => {
            wrong("negatives", "must be at least 1")
        }
        Loss::Gbce { t, .. } if !(0.0..=1.0).contains(&t) => wrong("t", "must be 0 to 1"),
        _ => Ok(()),
    }
}

/// What a model was trained with, for its card.
pub(crate) fn options(
    recipe: &Recipe,
    architecture: &super::architecture::Architecture,
) -> Vec<(String, String)> {
    let a = architecture;
    [
        ("dim", a.dim.to_string()),
        ("layers", a.layers.to_string()),
        ("heads", a.heads.to_string()),
        ("length_max", a.positions.to_string()),
        ("dropout", recipe.dropout.to_string()),
        ("loss", format!("{:?}", recipe.loss)),
        ("learning_rate", recipe.rate.to_string()),
        ("batch", recipe.batch.to_string()),
        ("epochs", recipe.epochs.to_string()),
        ("patience", recipe.patience.to_string()),
        ("mask_share", recipe.mask.0.to_string()),
        ("last_share", recipe.mask.1.to_string()),
    ]
    .into_iter()
    .filter(|(name, _)| !a.causal || !name.ends_with("share"))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
