//! Handing a trie over to a decoder that runs elsewhere.
//!
//! | file | it owns |
//! |---|---|
//! | `array` | arrays with names and shapes, aligned for devices; safetensors |
//! | `csr` | STATIC's layout: dense first levels and one sparse matrix |
//! | `offsets` | values and offsets, level by level |
//! | `json` | IDs and their items as text |
//! | `save` | a file of an export: whole or not there |
//! | `mask` | masks of one step for a logits processor |
//! | `delta` | what has changed since another trie; from IDs back to items |
//!
//! A sub-trie is a [`Trie`](crate::semantic::Trie) that was made with a filter; all of this is the same
//! for it.

mod array;
mod csr;
mod delta;
mod json;
mod mask;
mod offsets;
mod save;

pub use array::{Array, Handover};
pub use delta::Delta;
pub use json::Catalogue;
