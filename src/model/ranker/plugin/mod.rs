//! Plugin: a ranker in a shared library that the host program chooses to load.
//!
//! | file | it owns |
//! |---|---|
//! | `abi` | the structs of `examples/plugin/bowerbird_ranker.h`, and a batch as one of them |
//! | `library` | opening a library, shaking hands, calling it: all that is unsafe |
//!
//! Nothing in a database directory ever names a library: the path is an argument.

mod abi;
mod library;

use super::{batch::RankBatch, hook::Ranker, table::Table};
use crate::error::{Error, Result};
use library::Library;
use parking_lot::Mutex;
use std::sync::Arc;

/// A ranker in a shared library, behind the C interface of `examples/plugin/bowerbird_ranker.h`.
///
/// Its functions are called one at a time; who wants them to run beside each other loads it twice.
///
/// ```no_run
/// use bowerbird::model::ranker::{Plugin, Ranker};
/// # fn main() -> bowerbird::Result<()> {
/// // SAFETY: we built this library ourselves, against the header.
/// let dot = unsafe { Plugin::load("/opt/shop/libdot.so", "0.5 0.25") }?;
/// assert_eq!(dot.name(), "dot by plug-in");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Plugin {
    name: String,
    library: Mutex<Library>,
}

impl Ranker for Plugin {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        if scores.len() != batch.len() {
            let (are, needed) = (scores.len(), batch.len());
            return Err(Error::invalid("scores", format!("are {are}; candidates are {needed}")));
        }
        let columns = abi::Columns::of(batch);
        self.library.lock().rank(&columns, scores)
    }

    fn hold(&self, table: &Arc<Table>) -> Result<bool> {
        self.library.lock().hold(table)
    }
}
