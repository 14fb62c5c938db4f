//! What is learned about semantic IDs, and what is done with them.
//!
//! | file | it owns |
//! |---|---|
//! | `next_code` | the door for decoders: how likely each code comes next |

mod next_code;

pub use next_code::{Decoding, NextCode};
