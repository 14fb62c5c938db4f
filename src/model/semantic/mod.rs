//! What is learned about semantic IDs, and what is done with them.
//!
//! | file | it owns |
//! |---|---|
//! | `next_code` | the door for decoders: how likely each code comes next |
//! | `decoder` | NextCodes: a decoder trained in the library |

mod decoder;
mod next_code;

pub use decoder::{CodeCard, CodeModel, CodeSequences, NextCodes};
pub use next_code::{Decoding, NextCode};
