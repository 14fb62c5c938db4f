//! Words: which rows of a segment have which words in a text attribute, and how well they match.
//!
//! | file | it owns |
//! |---|---|
//! | `analyze` | from a text to its words; the same for what is stored and what is asked |
//! | `index` | [`Words`]: the lists of one attribute of one segment, on the heap or in a file |
//! | `build` | making those lists |
//! | `score` | BM25, in windows of rows |
//! | `close` | words close to one that nobody has written |
//! | `typed` | the rows that have all words of a text whose last word may be unfinished |
//!
//! Nothing here knows of other segments: how rare a word is in the whole database is told.

pub(crate) mod analyze;
pub(crate) mod build;
mod close;
pub(crate) mod index;
pub(crate) mod score;
pub(crate) mod typed;

pub(crate) use index::Words;

/// Changes when the words of a text would, or how lists are written.
pub(crate) const RECIPE: &str = "words/1";
