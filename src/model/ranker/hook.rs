//! Ranker and Device: where scores come from.

use super::{batch::RankBatch, model::RankModel, table::Table};
use crate::error::Result;
use std::sync::Arc;

/// Scores all candidates of a batch in one call.
///
/// A ranker may be slow, wrong or lost: [`Rank`](super::Rank) puts the candidates in their previous
/// order, and says so. `scores` come filled with NaN, so what a ranker does not write is noticed.
///
/// See [`RankBatch`] for an example.
pub trait Ranker: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;

    /// Writes one score for each candidate, larger is better.
    ///
    /// The score of a candidate must not depend on the other requests of the batch: which requests are
    /// put together is chance.
    ///
    /// # Errors
    /// Anything: the requests of the batch keep their previous order.
    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()>;

    /// Takes the vectors of all items, so that batches need only say rows. `false` if it has no use
    /// for them, and wants vectors with each batch.
    ///
    /// # Errors
    /// As a device likes: then batches come with vectors.
    fn hold(&self, _table: &Arc<Table>) -> Result<bool> {
        Ok(false)
    }
}

/// A place where rankers run. [`Cpu`] is built in, and is what the others are measured by.
///
/// ```
/// use bowerbird::{Result, model::ranker::*};
/// use std::sync::Arc;
/// /// Runs on the processor, whatever it is called.
/// struct Elsewhere;
/// impl Device for Elsewhere {
///     fn name(&self) -> String {
///         "elsewhere".into()
///     }
///     fn load(&self, model: &Arc<RankModel>) -> Result<Arc<dyn Ranker>> {
///         Cpu.load(model)
///     }
/// }
/// let rank = Rank::by("ranker").on(Elsewhere);
/// ```
pub trait Device: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;

    /// Makes a trained ranker ready to run here.
    ///
    /// # Errors
    /// `Invalid` for a model that cannot run here; what the device says.
    fn load(&self, model: &Arc<RankModel>) -> Result<Arc<dyn Ranker>>;
}

/// The processor: the reference.
///
/// ```
/// use bowerbird::model::ranker::{Cpu, Device};
/// assert_eq!(Cpu.name(), "cpu");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cpu;

impl Device for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn load(&self, model: &Arc<RankModel>) -> Result<Arc<dyn Ranker>> {
        Ok(Arc::new(super::cpu::OnCpu::new(model.clone())))
    }
}
