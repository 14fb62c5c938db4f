//! The nearest rows inside one segment, and those that have the words of a text.
//!
//! `scan` is exact, and the oracle for `graph`, which walks, or skims few rows, and may miss a little;
//! `choose` says which is likely to take least time; `blocks` and `present` say which rows are looked at, and
//! which of them have a vector; `top` keeps the best rows in a total order: score,
//! then row, which is by key; `words` is full text. Nothing here knows of versions or dead rows beyond the
//! set of rows it is allowed to look at.

pub(crate) mod blocks;
pub(crate) mod choose;
pub(crate) mod graph;
mod present;
pub(crate) mod scan;
pub(crate) mod top;
pub(crate) mod words;
