//! Spreading work over threads.

use crate::error::Result;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `count` pieces of work with at most so many threads; results in the order of the pieces.
///
/// Whoever is free takes the next piece, so pieces may be of any size. After an error no further
/// piece is begun.
pub(crate) fn spread<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = threads.min(count);
    if workers <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<(usize, T)>> {
        let mut done = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return Ok(done);
            }
            match work(piece) {
                Ok(result) => done.push((piece, result)),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut all = std::thread::scope(|scope| -> Result<Vec<(usize, T)>> {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::with_capacity(count);
        for handle in handles {
            let done = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.extend(done?);
        }
        Ok(all)
    })?;
    all.sort_unstable_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 50] {
            let squares = spread(40, threads, |piece| Ok(piece * piece)).unwrap();
            assert!(squares.into_iter().eq((0..40).map(|n| n * n)));
            assert!(spread(0, threads, |_| Ok(())).unwrap().is_empty());
            let failed = spread(40, threads, |piece| match piece {
                7 => Err(Error::invalid("piece", "is the seventh")),
                _ => Ok(()),
            });
            assert!(failed.is_err());
        }
    }
}
