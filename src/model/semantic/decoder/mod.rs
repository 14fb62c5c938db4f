//! A decoder trained in the library: from sequences of semantic IDs to the codes of the next.
//!
//! | file | it owns |
//! |---|---|
//! | `next_codes` | NextCodes: the method and its options |
//! | `sequences` | CodeSequences: what it reads |
//! | `tree` | the prefixes that were seen, each with a row of numbers |
//! | `plan` | which network it is, and where each of its numbers lies |
//! | `window` | a part of a sequence: what goes in, what is predicted |
//! | `head`, `level` | from a state to the probabilities of a level's codes, and back |
//! | `fit` | training: batches, groups, threads |
//! | `judge` | NDCG@10 after an epoch |
//! | `model`, `decode` | CodeModel: saved, opened, and asked level by level |

mod decode;
mod fit;
#[cfg(test)]
mod gradients;
mod head;
mod judge;
mod level;
mod model;
mod next_codes;
mod plan;
mod sequences;
#[cfg(test)]
mod tests;
mod tree;
mod window;

pub use model::{CodeCard, CodeModel};
pub use next_codes::NextCodes;
pub use sequences::CodeSequences;

/// The name of the method.
const NAME: &str = "next-codes";
