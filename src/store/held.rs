//! Held: how much memory a database holds, and whether there is room for what can be computed again.
//!
//! Segments on the heap are what must be held: they are there, or a commit is refused. Semantic IDs,
//! words, counts and tables of parts are only kept, so that they need not be computed for each question. They
//! take what segments leave of the limit. Where that is full, the ones used last stay; what finds no
//! room is computed again for the next question: slower, with the same answer.

use crate::store::memo::Memo;
use parking_lot::Mutex;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

/// Bytes of heap memory of one open database, which the parts of all its versions share.
#[derive(Debug)]
pub(crate) struct Held {
    limit: u64,
    /// What the current version must hold.
    must: AtomicU64,
    /// What is kept beside it, by any version that somebody still has.
    kept: AtomicU64,
    /// Who keeps it.
    memos: Mutex<Vec<Weak<Memo>>>,
}

impl Held {
    pub(crate) fn new(limit: u64) -> Held {
        Held { limit, must: AtomicU64::new(0), kept: AtomicU64::new(0), memos: Mutex::default() }
    }

    /// What is kept and could be computed again.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Another version is the current one. What is kept makes room for it.
    pub(crate) fn must_hold(&self, bytes: u64) {
        self.must.store(bytes, Ordering::Relaxed);
        if bytes.saturating_add(self.kept()) > self.limit {
            self.forget();
        }
    }

    /// Forgets everything that could be computed again: something must be held that leaves no room for
    /// it.
    pub(crate) fn forget(&self) {
        let memos = self.memos.lock().clone();
        // What one memo lets go of may have been all that used what another keeps.
        let mut before = u64::MAX;
        while self.kept() < before {
            before = self.kept();
            memos.iter().filter_map(Weak::upgrade).for_each(|memo| memo.forget());
        }
    }

    /// From now on counts what a memo keeps.
    pub(super) fn watch(&self, memo: &Arc<Memo>) {
        let mut memos = self.memos.lock();
        memos.retain(|memo| memo.strong_count() > 0);
        memos.push(Arc::downgrade(memo));
    }

    /// Takes room for something to keep, if there is enough.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let must = self.must.load(Ordering::Relaxed);
        let left = self.limit.saturating_sub(must);
        let with = |kept: u64| kept.checked_add(bytes).filter(|all| *all <= left);
        self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok()
    }

    /// Gives room back.
    pub(super) fn give(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }
}
