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
use crate::{
    error::Result,
    format::Kind,
    io::hot::{Hot, Share},
    schema::Space,
    segment::Segment,
};
use std::sync::atomic::Ordering;

/// Memory with what it takes of a budget, if there is one.
pub(super) type Held = (Hot, Option<Share>);

/// So many walks, and a graph is worth memory.
const WALKS_BUSY: u64 = 256;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Rows made between two questions whether to go on.
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

    /// Bytes that making rows takes beside them.
    pub(crate) fn making_bytes(&self) -> u64 {
        u64::from(self.meta.nodes) * self.measure.layout.own as u64
    }

    pub(crate) fn has_signs(&self) -> bool {
        self.hot_signs.get().is_some()
    }

    pub(crate) fn has_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Bytes of memory that it holds now.
    pub(crate) fn hot_bytes(&self) -> u64 {
        let signs = if self.has_signs() { self.sign_bytes() } else { 0 };
        signs + if self.has_rows() { self.row_bytes() } else { 0 }
    }

    /// The rows, if they are there.
    #[inline]
    pub(super) fn rows(&self) -> Option<Rows<'_>> {
        let (all, _) = self.rows.as_ref()?;
        Some(Rows { all, stride: self.measure.layout.stride, doors: &self.doors })
    }

    /// Copies the signs into memory; `go_on` is asked now and then.
    pub(crate) fn copy_signs(
        &self,
        share: Option<Share>,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let section = self.sections.need(Kind::GRAPH_SIGNS, 0)?;
        let (mut copy, mut at) = (Hot::zeroed(section.len as usize)?, 0);
        for piece in copy.chunks_mut(PIECE_BYTES) {
            go_on()?;
            piece.copy_from_slice(&section.read(at..at + piece.len() as u64)?);
            at += piece.len() as u64;
        }
        // Another thread may have been first, with the same bytes.
        let _ = self.hot_signs.set((copy, share));
        Ok(())
    }

    /// The same graph with rows, made of the vectors that it is over; `go_on` is asked now and then.
    pub(crate) fn warmed(
        &self,
        (segment, space): (&Segment, &Space),
        (threads, share): (usize, Option<Share>),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Graph> {
        let (layout, nodes) = (self.measure.layout, self.meta.nodes);
        let turn = (&self.center[..], &self.rotation, &layout);
        let owns = build::owns(segment, space, turn, go_on, &mut |_, _| {})?;
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
        Ok(self.with_rows(grow.rows, share))
    }

    /// The same graph with rows that were made before.
    pub(crate) fn with_rows(&self, rows: Hot, share: Option<Share>) -> Graph {
        let fits = rows.len() as u64 == self.row_bytes();
        Graph { opened: self.opened.clone(), rows: fits.then_some((rows, share)) }
    }
}
