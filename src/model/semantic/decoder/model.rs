//! CodeModel: what was learned of codes, as an artifact and as a decoder.

use super::{
    decode::Decode,
    level::Network,
    plan::{Plan, Shape},
    sequences::fits,
    tree::Tree,
};
use crate::{
    artifact::{Artifact, Opened, Provenance, Saved, shelf},
    error::Result,
    key::Seq,
    model::semantic::{Decoding, NextCode},
    semantic::SemanticId,
};
use serde::{Deserialize, Serialize};

/// A network with its numbers, and the prefixes that have some of their own.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    pub(super) plan: Plan,
    /// The IDs that training saw, ascending.
    pub(super) ids: Vec<SemanticId>,
    pub(super) tree: Tree,
    pub(super) theta: Vec<f32>,
    pub(super) nodes: Vec<f32>,
}

impl Learned {
    pub(super) fn network(&self) -> Network<'_> {
        Network { plan: &self.plan, tree: &self.tree, theta: &self.theta, nodes: &self.nodes }
    }
}

/// What a [`CodeModel`] is: how it was trained, on what, and what was measured then.
///
/// ```
/// use bowerbird::model::semantic::CodeCard;
/// fn title(card: &CodeCard) -> String {
///     format!("{} levels, {} IDs", card.widths.len(), card.ids)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CodeCard {
    /// How many codes each level has.
    pub widths: Vec<usize>,
    /// The options of [`NextCodes`](super::NextCodes), by name, as they were used.
    pub options: Vec<(String, String)>,
    /// The seed.
    pub seed: u64,
    /// How many sequences it was trained on.
    pub sequences: u64,
    /// How many events.
    pub events: u64,
    /// How many different IDs they had.
    pub ids: u64,
    /// Per epoch: the mean training loss of an ID, in nats, and NDCG@10 of IDs on the validation
    /// cases where there were any.
    pub curve: Vec<(f64, Option<f64>)>,
}

/// A trained [`NextCodes`](super::NextCodes): says how likely each code comes next.
///
/// It speaks the codes of one codebook. Publish it with that codebook, by name and version, among
/// the parents of its [`Provenance`] ([`CodeModel::provenance`] does), so that it is never asked
/// about others.
///
/// ```
/// use bowerbird::{Result, SemanticId, model::semantic::{CodeModel, NextCode}};
/// fn likeliest_first_code(model: &CodeModel, history: &[SemanticId]) -> Result<usize> {
///     let mut log_probs = vec![0f32; model.widths()[0]];
///     model.begin(history)?.step(&[], &[], &mut log_probs)?;
///     let best = (0..log_probs.len()).max_by(|a, b| log_probs[*a].total_cmp(&log_probs[*b]));
///     Ok(best.unwrap_or(0))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CodeModel {
    card: CodeCard,
    learned: Learned,
    seconds: f64,
}

const CARD: u16 = 0;
/// What the network is, its numbers, those of prefixes, and the IDs that were seen, code by code.
const SHAPE: u16 = 100;
const THETA: u16 = 101;
const NODES: u16 = 102;
const IDS: u16 = 103;

impl CodeModel {
    pub(super) fn trained(card: CodeCard, learned: Learned, seconds: f64) -> CodeModel {
        CodeModel { card, learned, seconds }
    }

    /// What it is.
    pub fn card(&self) -> &CodeCard {
        &self.card
    }

    /// The IDs that it was trained on, ascending.
    pub fn ids(&self) -> &[SemanticId] {
        &self.learned.ids
    }

    /// Most items of a history that are looked at.
    pub fn length_max(&self) -> usize {
        self.learned.plan.positions()
    }

    #[cfg(test)]
    pub(super) fn learned(&self) -> &Learned {
        &self.learned
    }

    #[cfg(test)]
    pub(super) fn learned_mut(&mut self) -> &mut Learned {
        &mut self.learned
    }

    /// Where it came from, to publish it with: trained on the snapshot of a commit, and on the IDs
    /// of a version of a codebook.
    pub fn provenance(&self, trained_at: Seq, codebook: (&str, u32)) -> Provenance {
        let mut notes = vec![("method".to_owned(), super::NAME.to_owned())];
        notes.extend(self.card.options.iter().cloned());
        notes.push(("train_seconds".to_owned(), format!("{:.1}", self.seconds)));
        if let Some(best) = self.card.curve.iter().filter_map(|epoch| epoch.1).reduce(f64::max) {
            notes.push(("validation_ndcg_10".to_owned(), format!("{best:.4}")));
        }
        let parents = vec![(codebook.0.to_owned(), codebook.1)];
        Provenance { trained_at, seed: self.card.seed, parents, notes }
    }
}

impl NextCode for CodeModel {
    fn widths(&self) -> &[usize] {
        &self.learned.plan.widths
    }

    fn begin(&self, history: &[SemanticId]) -> Result<Box<dyn Decoding + '_>> {
        Ok(Box::new(Decode::begin(self.learned.network(), history)))
    }
}

impl Artifact for CodeModel {
    const KIND: &'static str = "code-model";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        let Learned { plan, ids, theta, nodes, .. } = &self.learned;
        shelf::put(out, CARD, &self.card)?;
        shelf::put(out, SHAPE, &plan.shape)?;
        shelf::put_f32(out, THETA, theta)?;
        shelf::put_f32(out, NODES, nodes)?;
        let codes: Vec<u32> =
            ids.iter().flat_map(|id| id.codes()).map(|code| u32::from(*code)).collect();
        shelf::put_u32(out, IDS, &codes)
    }

    fn open(from: &Opened) -> Result<CodeModel> {
        let card: CodeCard = shelf::take(from, CARD)?;
        let shape: Shape = shelf::take(from, SHAPE)?;
        shape.check().map_err(|_| from.damage("shape of the next-code model"))?;
        let plan = Plan::new(shape);
        let (count, levels) = (shelf::count(from, IDS)?, plan.levels());
        let codes = shelf::take_u32(from, IDS, count, 1 << 16)?;
        let mut ids = Vec::with_capacity(count / levels);
        for codes in codes.chunks(levels) {
            let codes: Vec<u16> = codes.iter().map(|code| *code as u16).collect();
            ids.push(SemanticId::new(&codes)?);
        }
        let sound = ids.iter().all(|id| fits(id, &plan.widths)) && ids.is_sorted_by(|a, b| a < b);
        if !sound || card.widths != plan.widths || card.ids != ids.len() as u64 {
            return Err(from.damage("IDs of the next-code model"));
        }
        let tree = Tree::new(&plan.widths, &ids);
        let theta = shelf::take_f32(from, THETA, plan.total)?;
        let nodes = shelf::take_f32(from, NODES, tree.rows() * (plan.dim() + 1))?;
        Ok(CodeModel { card, learned: Learned { plan, ids, tree, theta, nodes }, seconds: 0.0 })
    }
}
