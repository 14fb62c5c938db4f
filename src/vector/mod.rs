//! Arithmetic on vectors: from numbers to stored rows, and from rows to scores.
//!
//! Everything here is a function of its arguments. This floor knows no files and no keys, and it
//! must never learn of them: a row is a slice of bytes, a block is many rows end to end.
//!
//! ```text
//!   encode   checks a vector, and turns it into the bytes of a row and back
//!   probe    a query prepared once: block of rows in, block of scores out
//!   hop      one step of a walk: a row with codes of 32 neighbours
//!   signs    one bit per number of a vector: how near it may be, before it is read
//!   kernel   the loops under `probe`, by instruction set; each with its plain twin
//! ```
//!
//! What holds here, and is tested here:
//!
//! - A larger score is closer, whatever the metric.
//! - A score is finite, even of bytes that no vector was encoded to.
//! - On one machine a row has the same score, bit for bit, wherever in a block it stands. Between
//!   machines the last bits may differ, because kernels add in different orders.

pub(crate) mod dice;
pub(crate) mod encode;
pub(crate) mod hop;
pub(crate) mod kernel;
pub(crate) mod probe;
pub(crate) mod rotate;
pub(crate) mod signs;
