//! Gate: the operator that drops what is likely to be a bad match.

use super::gate_model::GateModel;
use crate::{
    error::{Error, Result},
    model::ranker::{Assembler, RankBatch},
    recommend::{Candidates, Context, Kept, Screen},
    schema::Schema,
    store::Snapshot,
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// Drops candidates that a [`GateModel`] says are bad matches, before anything is scored. Candidates further
/// down take the places of those that went.
///
/// The trace has how many were dropped, and how many were kept although bad
/// ([`Trace::screened`](crate::recommend::Trace)); it says so if too few were left for the slate.
///
/// ```
/// use bowerbird::{model::classify::Gate, recommend::*};
/// let careful = Recommender::new()
///     .retrieve(Popular::ever(["view"], 200))
///     .screen(Gate::by("bad_match").below(0.3).keep_at_least(10));
/// ```
pub struct Gate {
    model: String,
    rule: Rule,
    least: usize,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Bad is what is at least so likely to be.
    Below(f32),
    /// Bad is this share of the candidates, the worst.
    Share(f32),
}

/// A model that is ready, for databases of one schema.
struct Loaded {
    of: ([u8; 16], u32),
    schema: Arc<Schema>,
    model: Arc<GateModel>,
    assembler: Assembler,
}

impl Gate {
    /// By the active version of a model; what is more likely bad than not is dropped, unless set.
    pub fn by(model: &str) -> Gate {
        Gate { model: model.into(), rule: Rule::Below(0.5), least: 0, loaded: Mutex::default() }
    }

    /// Keeps what is bad with a probability below this, 0 to 1.
    pub fn below(mut self, probability: f32) -> Gate {
        self.rule = Rule::Below(probability);
        self
    }

    /// Drops this share of the candidates instead, those that are most likely bad; rounded down.
    pub fn drop_share(mut self, share: f32) -> Gate {
        self.rule = Rule::Share(share);
        self
    }

    /// Keeps so many, the least likely bad, whatever the model says; 0 unless set.
    pub fn keep_at_least(mut self, least: usize) -> Gate {
        self.least = least;
        self
    }

    fn ready(&self, snapshot: &Snapshot) -> Result<Arc<Loaded>> {
        let mut all = snapshot.version.artifacts.iter();
        let active = all.find(|a| a.name == self.model && a.active);
        let version = active.ok_or_else(|| Error::missing("active artifact", &self.model))?.version;
        let (of, schema) = ((snapshot.files.db, version), snapshot.version.schema.clone());
        let same = |loaded: &&Arc<Loaded>| loaded.of == of && Arc::ptr_eq(&loaded.schema, &schema);
        if let Some(found) = self.loaded.lock().as_ref().filter(same) {
            return Ok(found.clone());
        }
        let model = snapshot.kept::<GateModel>(&self.model)?;
        let assembler = Assembler::new(Arc::new(model.features().clone()), snapshot.schema())?;
        let loaded = Arc::new(Loaded { of, schema, model, assembler });
        *self.loaded.lock() = Some(loaded.clone());
        Ok(loaded)
    }

    /// How likely each candidate is bad.
    ///
    /// # Errors
    /// `NotFound` without an active model; those of features that cannot be computed.
    pub fn probabilities(&self, cx: &Context<'_>, candidates: &Candidates) -> Result<Vec<f32>> {
        let loaded = self.ready(cx.snapshot)?;
        let Loaded { model, assembler, .. } = &*loaded;
        let mut batch = RankBatch::new(assembler.features.clone(), assembler.dims.clone(), None);
        assembler.add(&mut batch, (cx, candidates), &vec![0.0; candidates.len()])?;
        let width = model.features().scalars().len();
        let rows = batch.scalars().chunks_exact(width);
        Ok(rows.map(|row| model.classifier().chance(row)).collect())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Screen for Gate {
    fn name(&self) -> String {
        match self.rule {
            Rule::Below(bound) => format!("Gate({} below {bound})", self.model),
            Rule::Share(share) => format!("Gate({} without {share})", self.model),
        }
    }

    fn screen(&self, cx: &Context<'_>, candidates: &Candidates, kept: &mut Kept) -> Result<()> {
        let (Rule::Below(number) | Rule::Share(number)) = self.rule;
        if !(0.0..=1.0).contains(&number) {
            let why = format!("is {number}; it must be 0 to 1");
            return Err(Error::invalid(format!("threshold of gate {:?}", self.model), why));
        }
        let chances = self.probabilities(cx, candidates)?;
        match self.rule {
            Rule::Below(bound) => {
                let bad = |at: &usize| chances[*at] >= bound;
                kept.drop_worst(candidates, self.least, bad, |at| chances[at]);
            }
            Rule::Share(share) => {
                let keys = candidates.keys();
                let mut order: Vec<usize> = (0..candidates.len()).collect();
                // The worst first; of equal ones, those with the larger keys.
                order.sort_by(|a, b| {
                    chances[*b].total_cmp(&chances[*a]).then_with(|| keys[*b].cmp(&keys[*a]))
                });
                let count = (f64::from(share) * candidates.len() as f64).floor() as usize;
                let mut bad = vec![false; candidates.len()];
                order.iter().take(count).for_each(|at| bad[*at] = true);
                kept.drop_worst(candidates, self.least, |at| bad[*at], |at| chances[at]);
            }
        }
        Ok(())
    }
}
