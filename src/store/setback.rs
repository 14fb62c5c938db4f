//! Setbacks: merges that could not be done, and rest, so that housekeeping goes on without them.
//!
//! A damaged block fails every merge of its part. Tried again at once and for ever, it would keep a core
//! and the disk busy, and all that comes after merges would never have its turn.

use crate::{
    error::{Error, Result},
    store::{Store, failure::Failure},
};

/// A merge that could not be done.
#[derive(Debug)]
pub(crate) struct Setback {
    /// The segments that it should have made one.
    segments: Vec<u64>,
    failure: Failure,
}

impl Store {
    /// Of these segments on disk, which are not to be merged now. Setbacks of others are forgotten.
    pub(crate) fn resting(&self, on_disk: &[u64]) -> Vec<bool> {
        let mut setbacks = self.setbacks.lock();
        setbacks.retain(|setback| setback.segments.iter().all(|id| on_disk.contains(id)));
        let rest = |id: &u64| setbacks.iter().any(|s| s.failure.rests() && s.segments.contains(id));
        on_disk.iter().map(rest).collect()
    }

    /// Remembers how a merge of these segments ended.
    pub(crate) fn remember<T>(&self, segments: Vec<u64>, done: &Result<T>) {
        let mut setbacks = self.setbacks.lock();
        let before = setbacks.iter().position(|setback| setback.segments == segments);
        let before = before.map(|at| setbacks.swap_remove(at).failure);
        match done {
            // Nobody's fault, and a poisoned writer merges nothing anyway.
            Ok(_) | Err(Error::Cancelled | Error::Poisoned { .. }) => {}
            Err(error) => {
                let failure = Failure::again(before.as_ref(), error);
                setbacks.push(Setback { segments, failure });
            }
        }
    }

    /// What the last merge failed with that still should be done.
    pub(crate) fn merge_error(&self) -> Option<String> {
        let there: Vec<u64> = self.current().parts.iter().map(|part| part.segment.uid).collect();
        let setbacks = self.setbacks.lock();
        let owed = |setback: &&Setback| setback.segments.iter().all(|id| there.contains(id));
        let failed = setbacks.iter().filter(owed).map(|setback| &setback.failure);
        failed.max_by_key(|failure| failure.since).map(|failure| failure.error.clone())
    }
}
