//! The proximity graph of one space of one segment: found faster than scanned, and not always found.
//!
//! | file | it owns |
//! |---|---|
//! | `build`, `grow`, `prune`, `encode` | from the vectors of a segment to a graph |
//! | `course`, `seed` | in which steps, and from what links: an older graph's, or those of a build cut short |
//! | `beam`, `pool`, `links` | the walk: from doors to the nearest nodes, row by row |
//! | `walk` | from queries to rows of the segment, with the scores that a scan gives them |
//! | `codes`, `skim` | the same without a walk, where few rows are allowed: all are looked at by a bit per number |
//! | `sums` | what was read of a file is whole, row by row |
//! | `effort` | how far an effort goes, and what share of the nearest it found when that was tried |
//!
//! Node `i` is the vector at place `i` of the segment's VECTORS section. What a row of a node holds is
//! in `vector::hop`. The design is that of SymphonyQG (SIGMOD 2025): a hop reads one row, which has the
//! node's own code and codes of its 32 neighbours. Differences: own codes are of 8 bits, codes of short
//! vectors have two bits per number, walks begin at the best of a few hundred doors, and stop when the
//! next candidate is clearly farther than the `k`-th nearest (adaptive beam search, arXiv 2505.15636).
//!
//! It never panics on any bytes: ids are compared with the number of nodes where they are used, and
//! numbers that are not finite lose every comparison.

pub(crate) mod beam;
pub(crate) mod build;
mod codes;
pub(crate) mod course;
pub(crate) mod effort;
mod encode;
pub(crate) mod grow;
mod links;
mod pool;
mod prune;
pub(crate) mod seed;
pub(crate) mod skim;
mod sums;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use crate::{
    error::Result,
    format::{Kind, codec, envelope::Sections, section::Slice},
    io::hot::Hot,
    schema::{Encoding, Metric, Space},
    search::graph::{
        beam::{Beam, Measure},
        effort::Trial,
        links::LINKS_BYTES,
        sums::Sums,
        walk::Filed,
    },
    segment::{Segment, Stored},
    vector::{
        hop::{Layout, TABLES_MAX},
        rotate::Rotation,
        signs,
    },
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// What the rows of the graph hold: everything a hop needs, or links only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Fast,
    Compact,
}

/// GRAPH_META: what one must know to read the other sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) nodes: u32,
    pub(crate) dim: u32,
    /// Numbers that codes of neighbours cover, and bits per number.
    pub(crate) coded: u32,
    pub(crate) bits: u32,
    /// Whether rows hold links only.
    pub(crate) compact: bool,
    /// Of the rotation.
    pub(crate) seed: u64,
    pub(crate) scales: [f32; 2],
    pub(crate) doors: u32,
    /// What was found at which effort.
    pub(crate) trials: Vec<Trial>,
}

/// An open graph.
#[derive(Debug)]
pub(crate) struct Graph {
    sections: Sections,
    meta: Meta,
    measure: Measure,
    rotation: Rotation,
    /// Taken from every vector before it is rotated.
    center: Vec<f32>,
    /// Small, and used by every walk.
    doors: Vec<u8>,
    /// Rows of nodes and stored vectors that were found whole.
    rows: Sums,
    vectors: Sums,
    beams: Mutex<Vec<Beam>>,
    /// How often it was searched: what is read often is worth a copy on large pages.
    walks: AtomicU64,
    hot: OnceLock<Vec<(Kind, Hot)>>,
}

/// Most numbers of a vector that a graph can have: sums of codes fit 16 bits.
const DIM_MAX: u32 = 4096;
/// So many walks, and a graph is worth a copy in memory.
const WALKS_BUSY: u64 = 256;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Most doors: a few hundred nodes to begin with.
const DOORS_MAX: u32 = 1024;

impl Graph {
    /// Opens the sections of a derived file, whose origin has been checked.
    pub(crate) fn open(sections: Sections, segment: &Segment, space: &Space) -> Result<Graph> {
        let section = sections.need(Kind::GRAPH_META, 0)?;
        let meta: Meta = codec::decode(&section.all()?)
            .map_err(|why| section.corrupt(0, "fields").found(why))?;
        let count = segment.space(space)?.map_or(0, |stored| stored.count);
        let padded = (meta.dim as usize).next_multiple_of(16);
        let fits = meta.nodes == count
            && meta.dim == space.dim
            && meta.dim <= DIM_MAX
            && (16..=padded as u32).contains(&meta.coded)
            && meta.coded.is_multiple_of(16)
            && (1..=2).contains(&meta.bits)
            && (meta.coded * meta.bits) as usize <= TABLES_MAX * 4
            && meta.doors <= DOORS_MAX
            && meta.scales.iter().all(|scale| scale.is_finite());
        if !fits {
            return Err(section.corrupt(0, "fields").found("some that do not fit").into());
        }
        let layout = Layout::new(padded, meta.coded as usize, meta.bits as usize);
        let stride = if meta.compact { LINKS_BYTES } else { layout.stride };
        for (kind, bytes) in [
            (Kind::GRAPH_NODES, u64::from(meta.nodes) * stride as u64),
            (Kind::GRAPH_DOORS, u64::from(meta.doors) * layout.stride as u64),
            (Kind::GRAPH_CENTER, u64::from(meta.dim) * 4),
            (Kind::GRAPH_ROW_SUMS, u64::from(meta.nodes) * 4),
            (Kind::GRAPH_VECTOR_SUMS, u64::from(meta.nodes) * 4),
            (Kind::GRAPH_SIGNS, u64::from(meta.nodes) * signs::stride(padded) as u64),
        ] {
            let section = sections.need(kind, 0)?;
            if section.len != bytes {
                let damage = section.corrupt(0, "length").expected(bytes);
                return Err(damage.found(section.len).into());
            }
        }
        let center = sections.need(Kind::GRAPH_CENTER, 0)?;
        let center = center.column::<f32>(0..meta.dim.into())?.to_vec();
        let doors = sections.need(Kind::GRAPH_DOORS, 0)?.all()?.to_vec();
        let measure = Measure { layout, l2: by_distance(space), scales: meta.scales };
        let rotation = Rotation::new(meta.dim as usize, meta.seed);
        let (beams, walks, hot) = (Mutex::default(), AtomicU64::new(0), OnceLock::new());
        let rows = Sums::of(meta.nodes, Kind::GRAPH_ROW_SUMS);
        let vectors = Sums::of(meta.nodes, Kind::GRAPH_VECTOR_SUMS);
        sections.need(Kind::GRAPH_NODES, 0)?.scattered();
        if let Some(stored) = segment.space(space)? {
            stored.at(0).0.scattered();
        }
        Ok(Graph {
            sections,
            meta,
            measure,
            rotation,
            center,
            doors,
            rows,
            vectors,
            beams,
            walks,
            hot,
        })
    }

    /// What it is read from.
    pub(crate) fn sections(&self) -> &Sections {
        &self.sections
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.sections.bytes()
    }

    /// The recall that an effort had when it was tried.
    pub(crate) fn recall_at(&self, effort: u32) -> f32 {
        effort::recall_at(&self.meta.trials, effort)
    }

    /// What is read most: signs, and rows where these are more than links.
    fn busiest(&self) -> &'static [Kind] {
        match self.meta.compact {
            true => &[Kind::GRAPH_SIGNS],
            false => &[Kind::GRAPH_SIGNS, Kind::GRAPH_NODES],
        }
    }

    /// Bytes of memory that copies of what is read most take, or would take.
    pub(crate) fn hot_bytes(&self) -> u64 {
        let sections = self.busiest().iter().filter_map(|kind| self.sections.get(*kind, 0));
        sections.map(|section| section.len).sum()
    }

    /// Whether there are such copies.
    pub(crate) fn is_hot(&self) -> bool {
        self.hot.get().is_some()
    }

    /// Whether it is searched often enough for copies to pay.
    pub(crate) fn is_busy(&self) -> bool {
        self.walks.load(Ordering::Relaxed) >= WALKS_BUSY
    }

    /// Copies what is read most into memory on large pages; `go_on` is asked now and then.
    pub(crate) fn heat(&self, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut copies = Vec::new();
        for kind in self.busiest() {
            let section = self.sections.need(*kind, 0)?;
            let (mut hot, mut at) = (Hot::zeroed(section.len as usize)?, 0);
            for piece in hot.chunks_mut(PIECE_BYTES) {
                go_on()?;
                piece.copy_from_slice(&section.read(at..at + piece.len() as u64)?);
                at += piece.len() as u64;
            }
            copies.push((*kind, hot));
        }
        // Another thread may have been first, with the same bytes.
        let _ = self.hot.set(copies);
        Ok(())
    }

    /// The copy of a section in memory.
    #[inline]
    fn hot(&self, kind: Kind) -> Option<&[u8]> {
        self.hot.get()?.iter().find(|copy| copy.0 == kind).map(|copy| &copy.1[..])
    }

    /// The effort that found a share of the nearest when it was tried, or the largest tried.
    pub(crate) fn effort_for(&self, recall: f32) -> u32 {
        effort::effort_for(&self.meta.trials, recall)
    }

    /// The rows of nodes in the file.
    fn filed(&self) -> Result<Filed<'_>> {
        Ok(Filed {
            nodes: self.sections.need(Kind::GRAPH_NODES, 0)?,
            graph: &self.sections,
            whole: &self.rows,
            stride: match self.meta.compact {
                true => LINKS_BYTES as u64,
                false => self.measure.layout.stride as u64,
            },
            doors: &self.doors,
        })
    }

    /// A stored vector, which is a node of this graph.
    #[inline]
    fn vector<'s>(&self, stored: &Stored<'s>, place: u32) -> Result<Slice<'s>> {
        self.vectors.read(stored.at(place), &self.sections, place)
    }

    /// The links of a node.
    pub(crate) fn links(&self, node: u32) -> Result<Vec<u32>> {
        let layout = self.measure.layout;
        let (stride, from) =
            if self.meta.compact { (LINKS_BYTES, 0) } else { (layout.stride, layout.ids) };
        let at = u64::from(node) * stride as u64 + from as u64;
        let row = self.sections.need(Kind::GRAPH_NODES, 0)?.read(at..at + LINKS_BYTES as u64)?;
        let ids = row.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id));
        Ok(ids.filter(|id| *id < self.meta.nodes).collect())
    }
}

/// Whether a space can have graphs at all: vectors of bits are scanned, and very long ones.
pub(crate) fn fits(space: &Space) -> bool {
    space.encoding != Encoding::Binary && space.dim <= DIM_MAX
}

/// Cosine is the order of distances between unit vectors, and measured three times better that way.
fn by_distance(space: &Space) -> bool {
    space.metric != Metric::Dot
}

/// Names what a graph of this space and style is made by; it changes when the content would.
pub(crate) fn recipe(space: &Space, style: Style) -> String {
    let style = match style {
        Style::Fast => "3 fast",
        Style::Compact => "3 compact",
    };
    format!("graph/{style} {} {:?} {:?}", space.dim, space.metric, space.encoding)
}
