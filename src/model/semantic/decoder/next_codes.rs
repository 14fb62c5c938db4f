//! NextCodes: a transformer over items that says the codes of the next one.

use super::{
    fit::{Fit, Recipe},
    judge::ndcg_10,
    model::{CodeCard, CodeModel, Learned},
    plan::{Plan, Shape},
    sequences::CodeSequences,
    tree::Tree,
    window::{Paths, Window},
};
use crate::{
    error::{Error, Result},
    model::{Cases, Training, train::dice::Dice},
};

/// A decoder-only next-code model, trained on sequences of semantic IDs.
///
/// A transformer reads one item at a time, not one code, so a history is as long as it has items;
/// at every item a head per level says the codes of the next one, each given those before it. In
/// that it is the RQ-Transformer (Lee et al., 2022), with a feed-forward head in place of its small
/// depth transformer: what a beam remembers is one vector.
///
/// An item goes in as the sum of the vectors of its codes and of its prefixes of two codes and
/// more, and is compared with the same vectors: a code says what it means wherever it is, a prefix
/// that training saw corrects that, as the prefix n-grams of YouTube's rankers do (Singh et al.,
/// 2023). So a new item, whose whole ID nobody has seen, still goes by what its coarser codes have
/// learned; and with the vectors of prefixes alone this is a hierarchical softmax (Morin and
/// Bengio, 2005) whose tree is the codebook.
///
/// What is `None` follows from the data.
///
/// ```
/// use bowerbird::{SemanticId, model::{Training, semantic::{CodeSequences, NextCode, NextCodes}}};
/// let id = |a, b| SemanticId::new(&[a, b]);
/// let list = vec![id(0, 1)?, id(1, 0)?, id(0, 2)?];
/// let sequences = CodeSequences::new(vec![list; 4]);
/// let options = NextCodes { dim: 8, epochs: Some(2), ..NextCodes::default() };
/// let model = options.train(&sequences, &[2, 3], &mut Training::new(7))?;
/// assert_eq!(model.widths(), [2, 3]);
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NextCodes {
    /// Numbers per code, and per state.
    pub dim: usize,
    /// Blocks of attention and feed-forward.
    pub blocks: usize,
    /// Heads of attention; divides `dim`.
    pub heads: usize,
    /// Most items of a history that are looked at.
    pub length_max: Option<usize>,
    /// The share of numbers that are dropped in training: 0 to 0.9.
    pub dropout: f32,
    /// The size of steps.
    pub learning_rate: f32,
    /// Windows per step.
    pub batch: usize,
    /// Most passes over the data.
    pub epochs: Option<usize>,
    /// Passes without a better one, by the validation cases, before training stops.
    pub patience: usize,
}

impl Default for NextCodes {
    fn default() -> NextCodes {
        NextCodes {
            dim: 64,
            blocks: 2,
            heads: 1,
            length_max: None,
            dropout: 0.4,
            learning_rate: 1e-3,
            batch: 128,
            epochs: None,
            patience: 5,
        }
    }
}

impl NextCodes {
    /// Learns from sequences of IDs that have these widths.
    ///
    /// Validation cases, if `how` has any, are judged by beam search over the IDs that occur:
    /// NDCG@10 of IDs, where items that share one count as one.
    ///
    /// # Errors
    /// `Invalid` for options out of range, no sequences, IDs that do not fit the widths, or cases
    /// where `sequences` were made without items; `Cancelled` when the progress function says so.
    pub fn train(
        &self,
        sequences: &CodeSequences,
        widths: &[usize],
        how: &mut Training<'_>,
    ) -> Result<CodeModel> {
        self.check()?;
        if sequences.is_empty() {
            let why = "are none, or no item of any has an ID: there is nothing to learn from";
            return Err(Error::invalid("sequences of NextCodes", why));
        }
        let judged = how.validation.is_some_and(|cases| !cases.is_empty());
        if judged {
            sequences.of_item()?;
        }
        let length = self.length_max.unwrap_or_else(|| length(sequences));
        let shape = Shape::new(widths, (self.dim, self.blocks, self.heads), length)?;
        sequences.check(widths)?;
        let recipe = Recipe {
            rate: self.learning_rate,
            batch: self.batch,
            epochs: self.epochs.unwrap_or(if judged { EPOCHS_MAX } else { EPOCHS }),
            patience: self.patience,
            dropout: self.dropout,
        };
        let (plan, ids) = (Plan::new(shape), sequences.ids().to_vec());
        let tree = Tree::new(widths, &ids);
        let seen = (&ids[..], &sequences.counts()[..]);
        let (theta, nodes) = plan.fresh(&tree, seen, &mut Dice::new(how.seed, 1));
        let paths = Paths::new(&tree, plan.levels(), &ids);
        let mut windows = Vec::new();
        sequences.iter().for_each(|list| Window::all(list, plan.positions(), &mut windows));
        let learned = Learned { plan, ids, tree, theta, nodes };
        let fit = Fit::new(&learned, windows, &paths, recipe, (how.seed, how.threads));
        let (exclude, threads) = (how.excludes(sequences.repeats()), how.threads);
        let judge = |learned: &Learned, cases: &Cases| {
            ndcg_10(learned.network(), sequences, cases, exclude, threads)
        };
        let learned = fit.run(learned, judge, how)?;
        let card = CodeCard {
            widths: widths.to_vec(),
            options: self.options(&recipe, length),
            seed: how.seed,
            sequences: sequences.len() as u64,
            events: sequences.events() as u64,
            ids: learned.ids.len() as u64,
            curve: how.curve().iter().map(|epoch| (epoch.loss, epoch.ndcg_10)).collect(),
        };
        Ok(CodeModel::trained(card, learned, how.seconds()))
    }

    fn check(&self) -> Result<()> {
        let wrong =
            |what: &str, why: &str| Err(Error::invalid(format!("{what} of NextCodes"), why));
        if !(0.0..=0.9).contains(&self.dropout) {
            return wrong("dropout", "must be 0 to 0.9");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return wrong("learning_rate", "must be more than 0, at most 1");
        }
        if self.batch == 0 || self.epochs == Some(0) || self.patience == 0 {
            return wrong("batch, epochs or patience", "must be at least 1");
        }
        Ok(())
    }

    fn options(&self, recipe: &Recipe, length: usize) -> Vec<(String, String)> {
        [
            ("dim", self.dim.to_string()),
            ("blocks", self.blocks.to_string()),
            ("heads", self.heads.to_string()),
            ("length_max", length.to_string()),
            ("dropout", recipe.dropout.to_string()),
            ("learning_rate", recipe.rate.to_string()),
            ("batch", recipe.batch.to_string()),
            ("epochs", recipe.epochs.to_string()),
            ("patience", recipe.patience.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Most passes over the data: as many as may help where the best is kept, a modest number where
/// nobody can tell. On reviews of 22,000 users the best is after about ten.
const EPOCHS_MAX: usize = 200;
const EPOCHS: usize = 10;

/// Items of a window: as many as nineteen of twenty sequences have. What is longer is cut into
/// several.
fn length(sequences: &CodeSequences) -> usize {
    let mut lengths: Vec<usize> = sequences.iter().map(<[u32]>::len).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() * 19 / 20).copied().unwrap_or(0).clamp(20, 200)
}
