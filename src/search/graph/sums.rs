//! Checksums of single rows: what is read here and there is checked alone.
//!
//! Files are checked block by block, at the first touch. A walk touches rows all over, and a block is
//! some thirty times a row: where a graph is larger than memory, that would be most of what is read. So
//! a graph has a checksum of each of its rows, and of each stored vector, which are scored after a walk.

use crate::{
    error::Result,
    format::{
        Kind,
        envelope::Sections,
        section::{Section, Slice},
    },
};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Which rows of a section were found whole.
#[derive(Debug)]
pub(super) struct Sums {
    /// Where their checksums are.
    kind: Kind,
    whole: Vec<AtomicU64>,
}

impl Sums {
    /// Of so many rows, none of which was looked at.
    pub(super) fn of(rows: u32, kind: Kind) -> Sums {
        Sums { kind, whole: (0..rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Reads row `at` of `section`, at `range`, and checks it at the first time, by a checksum in `graph`.
    #[inline]
    pub(super) fn read<'a>(
        &self,
        (section, range): (&'a Section, Range<u64>),
        graph: &Sections,
        at: u32,
    ) -> Result<Slice<'a>> {
        let Some(bytes) = section.peek(range.clone()) else { return section.read(range) };
        let (word, bit) = (&self.whole[(at / 64) as usize], 1u64 << (at % 64));
        if word.load(Ordering::Acquire) & bit == 0 {
            if !section.is_trusted() {
                let sum = graph.need(self.kind, 0)?.get::<u32>(at.into())?;
                if crc32c::crc32c(bytes) != sum {
                    // Whatever is wrong, the row or its checksum, the block knows.
                    section.read(range.clone())?;
                    return Err(section.corrupt(range.start, "a row's checksum").into());
                }
            }
            word.fetch_or(bit, Ordering::AcqRel);
        }
        Ok(Slice::Borrowed(bytes))
    }
}

/// The checksum of each row of `bytes`.
pub(super) fn sums_of(bytes: &[u8], row_bytes: usize) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(row_bytes.max(1)).map(crc32c::crc32c)
}
