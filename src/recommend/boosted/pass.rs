//! Pass: every allowed row of a part is scored, so that nothing is missed.

use super::{ask::Ask, quality::Quality};
use crate::{
    error::Result,
    key::{Addr, Row},
    search::{scan, top::Top},
    store::{sieve::Sieve, spread},
};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Rows per piece of work, when several threads share a pass.
const PIECE_ROWS: u32 = 1 << 16;

/// The best rows of a part, and how many were scored.
pub(super) fn pass(
    ask: &Ask<'_>,
    at: usize,
    sieve: &Sieve<'_>,
    qualities: &[Quality<'_>],
) -> Result<(Vec<(f32, Addr)>, u64)> {
    let segment = &ask.snapshot.version.parts[at].segment;
    let size = if ask.threads > 1 { PIECE_ROWS } else { u32::MAX };
    let pieces = (segment.rows().div_ceil(size)) as usize;
    let scored = AtomicU64::new(0);
    let piece = |piece: usize| {
        let start = piece as u32 * size;
        let range = start..start.saturating_add(size).min(segment.rows());
        let mut top = Top::new(ask.limit);
        scored.fetch_add(stretch(ask, at, (sieve, range), qualities, &mut top)?, Ordering::Relaxed);
        Ok(top.into_sorted())
    };
    let addr = |row| Addr { part: at as u32, row: Row(row) };
    let found = spread(pieces, ask.threads, piece)?.into_iter().flatten();
    let found = found.map(|(score, row)| (score, addr(row))).collect();
    Ok((found, scored.into_inner()))
}

fn stretch(
    ask: &Ask<'_>,
    at: usize,
    (sieve, range): (&Sieve<'_>, Range<u32>),
    qualities: &[Quality<'_>],
    top: &mut Top,
) -> Result<u64> {
    let segment = &ask.snapshot.version.parts[at].segment;
    let mut scored = 0;
    sieve.scan(|rows| {
        scan::apart(segment, &ask.sum.queries, rows, range, &mut |rows, similarities| {
            scored += rows.len() as u64;
            ask.sum.offer((rows, similarities), qualities, top);
            Ok(())
        })
    })?;
    Ok(scored)
}
