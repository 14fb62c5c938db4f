//! Semantic IDs: what turns an item into a path of codes, and where the paths of many items lead.
//!
//! | file | it owns |
//! |---|---|
//! | `id` | SemanticId: at most eight codes, coarse to fine |
//! | `codebook` | Codebook: from an item's vectors (or its key) to its ID |
//! | `input`, `residual`, `encoder`, `listed` | what goes into a codebook; the ways it says codes |
//! | `assign` | the IDs of the rows of a segment, from its vectors or keys |
//! | `ids` | the IDs of one segment: sorted columns, the row of each rank, the nodes above them |
//! | `alive`, `bits` | which of them a request may return |
//! | `trie` | the IDs of a whole snapshot under a filter: nodes, children, masks, items |
//!
//! This floor knows segments and their rows, not time: which codebook is active, and which parts
//! there are, is `store`'s business; how a codebook is fitted is `model`'s.
//!
//! The ID of a row is a function of its bytes and the codebook. So it is derived: the same whether
//! it was computed at the write, at a merge, or after the file was lost.

mod alive;
pub(crate) mod assign;
mod bits;
pub(crate) mod codebook;
mod encoder;
mod id;
pub(crate) mod ids;
mod input;
mod listed;
mod residual;
pub(crate) mod trie;

pub(crate) use alive::Alive;
pub use codebook::Codebook;
pub use encoder::Encoder;
pub use id::SemanticId;
pub use input::Input;
pub use residual::Level;
pub(crate) use trie::Branch;
pub use trie::{Node, Trie};
