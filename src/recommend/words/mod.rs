//! Operators that look for the words of a request's text.

mod matches;
mod scores;
mod typed;

pub use matches::Matches;
pub use scores::{Begins, Bm25};
pub use typed::Typed;
