//! Caught: what others compute, with their panics as errors.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `work` returns, or an error that names `what` if it panics: a model or a library that is missing
/// must not end the program.
pub(crate) fn caught<T>(what: &str, work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        Error::invalid(what, format!("what computes it panics: {text}"))
    })
}
