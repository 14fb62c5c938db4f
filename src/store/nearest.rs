//! Searching all parts of a snapshot and putting together what they found.

use crate::{
    defects::{self, Defect},
    error::Result,
    key::{Addr, Key, Row, Seq},
    schema::Space,
    search::{
        scan::{self, Query, Rows},
        top::Top,
    },
    store::snapshot::Snapshot,
    vector::probe::Probe,
};
use roaring::RoaringBitmap;
use std::{
    cmp::Ordering,
    sync::atomic::{AtomicUsize, Ordering as Atomic},
};

/// One item that was found.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
/// db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0])).commit()?;
/// let hits = db.snapshot().near("text", &[0.5, 0.0]).run()?;
/// assert_eq!((&hits[0].key, hits[0].score), (&Key::Id(1), 0.5));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// The item.
    pub key: Key,
    /// Larger is closer, whatever the metric; always finite.
    pub score: f32,
    /// Where it lives in the snapshot that was asked.
    pub addr: Addr,
}

/// How many items of each group have been returned.
pub(crate) type Groups = Vec<(String, usize)>;

/// Where a page ended. Good for the snapshot it came from.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 1, Metric::Dot))?;
/// for id in 0..3u64 {
///     db.batch().put(Item::new(id).vector("text", [1.0])).commit()?;
/// }
/// let snapshot = db.snapshot();
/// let first = snapshot.near("text", &[1.0]).limit(2).page(None)?;
/// let second = snapshot.near("text", &[1.0]).limit(2).page(first.next.as_ref())?;
/// assert_eq!((first.hits.len(), second.hits.len()), (2, 1));
/// assert!(second.next.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    pub(crate) seq: Seq,
    pub(crate) score: f32,
    pub(crate) key: Key,
    pub(crate) groups: Groups,
}

/// A checked query.
pub(crate) fn prepare(space: &Space, vector: &[f32], weight: f32) -> Result<Query> {
    Ok(Query { space: space.clone(), probe: Probe::new(space, vector)?, weight })
}

/// Rows per piece of work, when several threads share it.
const PIECE_ROWS: u32 = 1 << 16;

/// The best rows of a snapshot among `rows` (one bitmap per part), in total order.
pub(crate) fn search(
    snapshot: &Snapshot,
    queries: &[Query],
    rows: &[RoaringBitmap],
    (limit, threads): (usize, usize),
    after: Option<&Cursor>,
) -> Result<Vec<Hit>> {
    let mut pieces = Vec::new();
    for (at, part) in snapshot.version.parts.iter().enumerate() {
        let (count, piece) = (part.segment.rows(), if threads > 1 { PIECE_ROWS } else { u32::MAX });
        let mut start = 0;
        while start < count && !rows[at].is_empty() {
            let end = start.saturating_add(piece).min(count);
            pieces.push((at, start..end));
            start = end;
        }
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(f32, Addr)>> {
        let mut found = Vec::new();
        while let Some((at, range)) = pieces.get(next.fetch_add(1, Atomic::Relaxed)) {
            let part = *at as u32;
            let mut top = Top::new(limit);
            scan_piece(snapshot, queries, &rows[*at], (*at, range.clone()), after, &mut top)?;
            let addr = |row| Addr { part, row: Row(row) };
            found.extend(top.into_sorted().into_iter().map(|(score, row)| (score, addr(row))));
        }
        Ok(found)
    };
    let found = match threads.min(pieces.len()) {
        0 | 1 => work()?,
        workers => std::thread::scope(|scope| -> Result<Vec<_>> {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for handle in handles {
                let found = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.extend(found?);
            }
            Ok(all)
        })?,
    };
    order(snapshot, found, limit)
}

fn scan_piece(
    snapshot: &Snapshot,
    queries: &[Query],
    rows: &RoaringBitmap,
    (at, range): (usize, std::ops::Range<u32>),
    after: Option<&Cursor>,
    top: &mut Top,
) -> Result<()> {
    let segment = &snapshot.version.parts[at].segment;
    let all = rows.len() == u64::from(segment.rows());
    let which = if all { Rows::All } else { Rows::Only(rows) };
    let Some(cursor) = after else {
        return scan::scan(segment, queries, which, range, top);
    };
    // Rows are ordered by key, so "after this key" is "from this row on".
    let first = segment.keys()?.lower_bound(&cursor.key)?;
    scan::scored(segment, queries, which, range, &mut |rows, scores| {
        for (row, score) in rows.iter().zip(scores) {
            if *score < cursor.score || (*score == cursor.score && *row >= first) {
                top.push(*score, *row);
            }
        }
    })
}

/// The best `limit` of what the parts found: by score, then by key (V8).
fn order(snapshot: &Snapshot, mut found: Vec<(f32, Addr)>, limit: usize) -> Result<Vec<Hit>> {
    let by_score = |a: &(f32, Addr), b: &(f32, Addr)| b.0.total_cmp(&a.0);
    if found.len() > limit {
        // Keys are fetched only for what can still be among the best.
        let (_, last, _) = found.select_nth_unstable_by(limit - 1, by_score);
        let floor = last.0;
        found.retain(|(score, _)| *score >= floor);
    }
    let mut hits = Vec::with_capacity(found.len());
    for (score, addr) in found {
        hits.push(Hit { key: snapshot.key(addr)?, score, addr });
    }
    hits.sort_by(|a, b| {
        let ties = match defects::on(Defect::TiesUnordered) {
            true => Ordering::Equal,
            false => a.key.cmp(&b.key),
        };
        b.score.total_cmp(&a.score).then(ties)
    });
    hits.truncate(limit);
    Ok(hits)
}
