//! Heat: what is read most, in memory on large pages: copies of signs, and rows, which a file has not got.
//!
//! A row is made from the links of its node and from vectors, so it says what it said when the graph was
//! built; it takes 1.4 times the bytes of a vector of 384 numbers as f32, and a walk over rows .6 of the time or less.

use super::{
    Graph,
    beam::Rows,
    build,
    grow::{Care, Grow},
};
use crate::{error::Result, format::Kind, io::hot::Hot, schema::Space, segment::Segment};
use std::sync::atomic::Ordering;

/// So many walks, and a graph is worth memory.
const WALKS_BUSY: u64 = 256;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Rows made, or vectors rotated, between two questions whether to go on.
const PIECE: u32 = 4096;

impl Graph {
    /// Whether it is searched often enough to be worth memory.
    pub(crate) fn is_busy(&self) -> bool {
        self.walks.load(Ordering::Relaxed) >= WALKS_BUSY
    }

    /// Bytes that a copy of all signs takes.
    pub(crate) fn sign_bytes(&self) -> u64 {
        self.sections.get(Kind::GRAPH_SIGNS, 0).map_or(0, |section| section.len)
    }

    /// Bytes that rows take.
    pub(crate) fn row_bytes(&self) -> u64 {
        u64::from(self.meta.nodes) * self.measure.layout.stride as u64
    }

    pub(crate) fn has_signs(&self) -> bool {
        self.hot_signs.get().is_some()
    }

    pub(crate) fn has_rows(&self) -> bool {
        self.hot_rows.get().is_some()
    }

    /// Bytes of memory that it holds now.
    pub(crate) fn hot_bytes(&self) -> u64 {
        let signs = if self.has_signs() { self.sign_bytes() } else { 0 };
        signs + if self.has_rows() { self.row_bytes() } else { 0 }
    }

    /// The rows, if they are there.
    #[inline]
    pub(super) fn rows(&self) -> Option<Rows<'_>> {
        let all = self.hot_rows.get()?;
        Some(Rows { all, stride: self.measure.layout.stride, doors: &self.doors })
    }

    /// Copies the signs into memory; `go_on` is asked now and then.
    pub(crate) fn copy_signs(&self, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let section = self.sections.need(Kind::GRAPH_SIGNS, 0)?;
        let (mut copy, mut at) = (Hot::zeroed(section.len as usize)?, 0);
        for piece in copy.chunks_mut(PIECE_BYTES) {
            go_on()?;
            piece.copy_from_slice(&section.read(at..at + piece.len() as u64)?);
            at += piece.len() as u64;
        }
        // Another thread may have been first, with the same bytes.
        let _ = self.hot_signs.set(copy);
        Ok(())
    }

    /// Makes the rows, of the vectors that the graph is over; `go_on` is asked now and then.
    pub(crate) fn make_rows(
        &self,
        (segment, space): (&Segment, &Space),
        threads: usize,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let (layout, nodes) = (self.measure.layout, self.meta.nodes);
        let (turn, mut at) = ((&self.center[..], &self.rotation, &layout), 0);
        let owns = build::owns(segment, space, turn, &mut |_, _| {
            at += 1;
            if at % PIECE == 1 { go_on() } else { Ok(()) }
        })?;
        let threads = threads.max(1);
        let care = Care::for_count(nodes);
        let mut grow = Grow::new((layout, self.measure.l2), nodes, threads, care, owns)?;
        grow.measure.scales = self.meta.scales;
        for from in (0..nodes).step_by(PIECE as usize) {
            go_on()?;
            let to = nodes.min(from.saturating_add(PIECE));
            let linked = (from..to).map(|node| Ok((node, self.links(node)?)));
            grow.write(&linked.collect::<Result<Vec<_>>>()?)?;
        }
        self.keep_rows(grow.rows);
        Ok(())
    }

    /// Has rows that were made before.
    pub(crate) fn keep_rows(&self, rows: Hot) {
        if rows.len() as u64 == self.row_bytes() {
            let _ = self.hot_rows.set(rows);
        }
    }
}
