//! Memory on large pages: what is read here and there is found with fewer look-ups of addresses.
//!
//! A walk through a graph reads rows from all over. On pages of 4 KiB every row costs the processor
//! a look-up in tables that are themselves not in its cache; on pages of 2 MiB few do. Files cannot
//! be mapped that way on most systems, so this is a copy.

use crate::error::{Error, Result};
use memmap2::MmapMut;
use parking_lot::Mutex;
use std::sync::Arc;

/// Bytes of our own, zero at first, on large pages where the system has them.
#[derive(Debug)]
pub(crate) struct Hot {
    memory: MmapMut,
    len: usize,
}

impl Hot {
    /// That many zeros.
    pub(crate) fn zeroed(len: usize) -> Result<Hot> {
        // Nothing cannot be mapped.
        let memory = MmapMut::map_anon(len.max(1))
            .map_err(|e| Error::io("mapping", "memory for a graph", e))?;
        // Advice: a system without large pages serves as well, a little slower.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Hot { memory, len })
    }
}

impl std::ops::Deref for Hot {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl std::ops::DerefMut for Hot {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

/// How much memory of this kind there is in use: what only makes things faster has a limit.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: Mutex<u64>,
}

/// Bytes of a budget, which are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// That many bytes, if all that are in use are then at most `limit`.
    pub(crate) fn take(self: &Arc<Budget>, bytes: u64, limit: u64) -> Option<Share> {
        let mut used = self.used.lock();
        *used = used.checked_add(bytes).filter(|sum| *sum <= limit)?;
        Some(Share { of: self.clone(), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.of.used.lock() -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_more_than_its_limit() {
        let budget = Arc::new(Budget::default());
        let first = budget.take(60, 100).unwrap();
        assert!(budget.take(41, 100).is_none() && budget.take(u64::MAX, u64::MAX).is_none());
        let second = budget.take(40, 100).unwrap();
        assert!(budget.take(1, 100).is_none());
        drop(first);
        let third = budget.take(60, 100).unwrap();
        drop((second, third));
        assert_eq!(*budget.used.lock(), 0);
    }
}
