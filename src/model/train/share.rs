//! Share: pieces of work that own what they change, on several threads.

use crate::{error::Result, store::spread};
use parking_lot::Mutex;

/// Does each piece of work once, with at most so many threads; results in the order of the pieces.
///
/// What a piece makes must not depend on when it is done, so that any number of threads makes the
/// same.
pub(crate) fn share<T: Send, R: Send>(
    pieces: Vec<T>,
    threads: usize,
    work: impl Fn(usize, T) -> R + Sync,
) -> Result<Vec<R>> {
    if threads.min(pieces.len()) <= 1 {
        return Ok(pieces.into_iter().enumerate().map(|(at, piece)| work(at, piece)).collect());
    }
    let waiting: Vec<Mutex<Option<T>>> = pieces.into_iter().map(|p| Mutex::new(Some(p))).collect();
    let one = |at: usize| {
        let piece = waiting[at].lock().take();
        Ok(work(at, piece.expect("each piece is taken once")))
    };
    spread(waiting.len(), threads, one)
}
