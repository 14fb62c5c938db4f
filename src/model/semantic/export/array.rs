//! Arrays for a decoder: named, shaped, aligned to 64 bytes.

use super::save;
use crate::{
    error::Result,
    format::columns::{raw, typed},
    io::AlignedBytes,
    key::Seq,
    model::weights::Tensors,
    semantic::Trie,
};
use std::path::Path;

/// A trie as arrays that a device can take as they are, with what they were made of.
///
/// ```
/// use bowerbird::{Result, model::semantic::Handover, semantic::Trie};
/// fn packed(trie: &Trie) -> Result<Handover> {
///     let handover = trie.to_static(256, 2)?;
///     assert_eq!(handover.codebook().0, trie.codebook().0);
///     Ok(handover)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Handover {
    codebook: String,
    version: u32,
    seq: Seq,
    arrays: Vec<Array>,
}

/// One array, in row order; its first byte is 64-byte aligned.
///
/// ```
/// use bowerbird::model::semantic::Handover;
/// fn rows(handover: &Handover) -> Option<&[i32]> {
///     handover.array("indptr")?.numbers()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Array {
    name: &'static str,
    level: Option<usize>,
    shape: Vec<usize>,
    pub(crate) is_bool: bool,
    bytes: AlignedBytes,
}

impl Handover {
    pub(super) fn new(trie: &Trie, arrays: Vec<Array>) -> Handover {
        let (codebook, version) = trie.codebook();
        Handover { codebook: codebook.into(), version, seq: trie.seq(), arrays }
    }

    /// Which codebook the codes are of, and which version of it.
    pub fn codebook(&self) -> (&str, u32) {
        (&self.codebook, self.version)
    }

    /// The commit of the snapshot that it was made of.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// All arrays.
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// The array of a name.
    pub fn array(&self, name: &str) -> Option<&Array> {
        self.arrays.iter().find(|array| array.name() == name)
    }

    /// The bytes of a safetensors file: arrays by name, and as metadata `codebook`, `version` and `seq`.
    ///
    /// # Errors
    /// `Invalid` if there is more than such a file can hold.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let metadata = [
            ("codebook", self.codebook.clone()),
            ("version", self.version.to_string()),
            ("seq", self.seq.0.to_string()),
        ];
        Tensors::write_arrays(&self.arrays, &metadata)
    }

    /// Writes them to a file of their own, in place of one of the same name: whole, or not at all.
    ///
    /// # Errors
    /// As [`Handover::to_safetensors`], and `Io`.
    ///
    /// ```
    /// use bowerbird::{Result, semantic::Trie};
    /// fn hand_over(trie: &Trie) -> Result<()> {
    ///     trie.to_static(256, 2)?.save("/srv/decoder/trie.safetensors")
    /// }
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save::write(path.as_ref(), &self.to_safetensors()?)
    }
}

impl Array {
    /// Of whole numbers.
    pub(super) fn i32s(name: &'static str, shape: &[usize], numbers: &[i32]) -> Array {
        Array::of(name, shape, false, raw(numbers))
    }

    /// Of bytes that are 0 or 1.
    pub(super) fn bools(name: &'static str, shape: &[usize], bits: &[u8]) -> Array {
        Array::of(name, shape, true, bits)
    }

    fn of(name: &'static str, shape: &[usize], is_bool: bool, from: &[u8]) -> Array {
        let mut bytes = AlignedBytes::default();
        bytes.extend(from);
        Array { name, level: None, shape: shape.to_vec(), is_bool, bytes }
    }

    /// The same, of a level.
    pub(super) fn of_level(self, level: usize) -> Array {
        Array { level: Some(level), ..self }
    }

    /// Its name; arrays of one level end in its number.
    pub fn name(&self) -> String {
        match self.level {
            Some(level) => format!("{}.{level}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// How many numbers it has in each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes: little-endian `i32`, or one byte, 0 or 1, for each truth value.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its whole numbers; `None` if it has truth values.
    pub fn numbers(&self) -> Option<&[i32]> {
        if self.is_bool { None } else { typed(&self.bytes) }
    }
}

/// A number for arrays.
pub(super) fn number(value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| {
        let why = format!("has {value} nodes; i32, which devices take, ends at {}", i32::MAX);
        crate::error::Error::invalid("trie", why)
    })
}
