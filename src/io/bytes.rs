//! Bytes on the heap, aligned so that columns of any type can be read in place.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Chunk([u8; 64]);

/// A growable buffer whose first byte is 64-byte aligned, as every section of a file is.
///
/// ```
/// let mut bytes = bowerbird::io::AlignedBytes::default();
/// bytes.extend(&[1, 2, 3]);
/// assert_eq!(bytes.as_ptr() as usize % 64, 0);
/// assert_eq!(&bytes[..], [1, 2, 3]);
/// ```
#[derive(Clone, Default)]
pub struct AlignedBytes {
    chunks: Vec<Chunk>,
    len: usize,
}

impl AlignedBytes {
    /// That many zeros.
    pub fn zeroed(len: usize) -> AlignedBytes {
        AlignedBytes { chunks: vec![Chunk::new_zeroed(); len.div_ceil(64)], len }
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        let from = self.len;
        self.len += bytes.len();
        let need = self.len.div_ceil(64);
        if need > self.chunks.capacity() {
            self.chunks.reserve((need - self.chunks.len()).max(self.chunks.len()));
        }
        self.chunks.resize(need, Chunk::new_zeroed());
        let to = self.len;
        self.chunks.as_mut_slice().as_mut_bytes()[from..to].copy_from_slice(bytes);
    }

    /// Appends zeros.
    pub(crate) fn extend_zeros(&mut self, count: usize) {
        // What is behind the end is zero: chunks come as zeros, and nothing is ever taken away.
        self.len += count;
        self.chunks.resize(self.len.div_ceil(64), Chunk::new_zeroed());
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.chunks.capacity() * 64
    }

    /// Gives back what growing took too much of.
    pub fn shrink(&mut self) {
        self.chunks.shrink_to_fit();
    }
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.chunks.as_slice().as_bytes()[..self.len]
    }
}

impl std::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.chunks.as_mut_slice().as_mut_bytes()[..self.len]
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}
