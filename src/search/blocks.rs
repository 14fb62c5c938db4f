//! The rows of a segment that are looked at, a block at a time.

use roaring::RoaringBitmap;
use std::ops::Range;

/// Rows scored at a time: their scores stay in the first-level cache.
const BLOCK_ROWS: u32 = 1024;

/// Which rows of a segment to look at.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    All,
    Only(&'a RoaringBitmap),
    /// Ascending.
    List(&'a [u32]),
    Where(&'a dyn Fn(u32) -> bool),
}

/// The rows to look at, a block at a time.
pub(super) struct Blocks<'a> {
    range: Range<u32>,
    rows: Left<'a>,
}

enum Left<'a> {
    All,
    Only(roaring::bitmap::Iter<'a>),
    List(&'a [u32]),
    Where(&'a dyn Fn(u32) -> bool),
}

impl<'a> Blocks<'a> {
    pub(super) fn new(rows: Rows<'a>, range: Range<u32>) -> Blocks<'a> {
        let rows = match rows {
            Rows::All => Left::All,
            Rows::Only(bitmap) => Left::Only(bitmap.range(range.clone())),
            Rows::List(list) => {
                let place = |row| list.partition_point(|one| *one < row);
                Left::List(&list[place(range.start)..place(range.end)])
            }
            Rows::Where(allowed) => Left::Where(allowed),
        };
        Blocks { range, rows }
    }

    /// Puts the next rows into `block`, perhaps none; `false` after the last.
    pub(super) fn next(&mut self, block: &mut Vec<u32>) -> bool {
        block.clear();
        let start = self.range.start;
        let end = self.range.end.min(start.saturating_add(BLOCK_ROWS));
        match &mut self.rows {
            Left::Only(rows) => block.extend(rows.by_ref().take(BLOCK_ROWS as usize)),
            Left::List(list) => {
                let (now, rest) = list.split_at(list.len().min(BLOCK_ROWS as usize));
                block.extend(now);
                *list = rest;
            }
            Left::All => block.extend(start..end),
            Left::Where(allowed) => block.extend((start..end).filter(|row| allowed(*row))),
        }
        match self.rows {
            Left::Only(_) | Left::List(_) => !block.is_empty(),
            Left::All | Left::Where(_) => {
                self.range.start = end;
                start < end
            }
        }
    }
}
