//! Memory on large pages: what is read here and there is found with fewer look-ups of addresses.
//!
//! A walk through a graph reads rows from all over. On pages of 4 KiB every row costs the processor
//! a look-up in tables that are themselves not in its cache; on pages of 2 MiB few do. Files cannot
//! be mapped that way on most systems, so this is a copy.

use crate::error::{Error, Result};
use memmap2::MmapMut;

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
