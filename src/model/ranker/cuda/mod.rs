//! Cuda: trained rankers on a card.
//!
//! | file | it owns |
//! |---|---|
//! | `forward` | the steps of a forward pass |
//! | `card` | what a card must be able to do for it |
//! | `nvidia`, `kernels.cu` | a card that can, by cuBLAS and five kernels |
//! | `plain` | the same without a card, for tests |

mod card;
mod forward;
mod nvidia;
#[cfg(test)]
mod plain;

use super::{
    batch::RankBatch,
    caught::caught,
    hook::{Device, Ranker},
    model::RankModel,
    table::Table,
};
use crate::error::Result;
use forward::Runner;
use nvidia::Nvidia;
use parking_lot::Mutex;
use std::sync::Arc;

/// A card that runs CUDA: a device for rankers of the bodies `Mlp` and `Dcn`.
///
/// CUDA need not be there when the program is compiled; the driver, cuBLAS and NVRTC are looked for by
/// [`Cuda::new`]. The vectors of all items go to the card once for each version of the database, so that
/// batches send numbers of rows.
///
/// ```no_run
/// use bowerbird::model::ranker::{Cpu, Cuda, Device};
/// use std::sync::Arc;
/// let device: Arc<dyn Device> = match Cuda::new(0) {
///     Ok(card) => Arc::new(card),
///     Err(why) => {
///         eprintln!("on the processor, then: {why}");
///         Arc::new(Cpu)
///     }
/// };
/// ```
#[derive(Clone, Debug)]
pub struct Cuda {
    ordinal: usize,
    name: String,
}

const WHAT: &str = "CUDA";

impl Cuda {
    /// The card with a number, from 0.
    ///
    /// # Errors
    /// `Invalid` if the driver, cuBLAS or NVRTC is not there, or no such card.
    pub fn new(ordinal: usize) -> Result<Cuda> {
        let card = caught(WHAT, || Nvidia::open(ordinal))??;
        let name = format!("cuda {ordinal}, {}", card.name()?);
        Ok(Cuda { ordinal, name })
    }
}

impl Device for Cuda {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn load(&self, model: &Arc<RankModel>) -> Result<Arc<dyn Ranker>> {
        let name = format!("{} on {}", model.body().tag(), self.name);
        // Each ranker has a queue of its own.
        let load = || Runner::new(Nvidia::open(self.ordinal)?, model.clone());
        let runner = Mutex::new(caught(WHAT, load)??);
        Ok(Arc::new(OnCuda { name, runner }))
    }
}

/// A trained ranker on a card.
struct OnCuda {
    name: String,
    runner: Mutex<Runner<Nvidia>>,
}

impl Ranker for OnCuda {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        let runner = self.runner.lock();
        caught(WHAT, || runner.rank(batch, scores))?
    }

    fn hold(&self, table: &Arc<Table>) -> Result<bool> {
        let mut runner = self.runner.lock();
        caught(WHAT, || runner.hold(table))??;
        Ok(true)
    }
}
