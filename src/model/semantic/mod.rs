//! What is learned about semantic IDs, and what is done with them.
//!
//! | file | it owns |
//! |---|---|
//! | `next_code` | the door for decoders: how likely each code comes next |
//! | `tiger` | a decoder that was trained elsewhere |

mod next_code;
mod tiger;

pub use next_code::{Decoding, NextCode};
pub use tiger::Tiger;
