//! The proximity graph of one space of one segment: found faster than scanned, and not always found.
//!
//! | file | it owns |
//! |---|---|
//! | `build`, `grow`, `prune`, `encode` | from the vectors of a segment to a graph |
//! | `course`, `seed` | in which steps, and from what links: an older graph's, or those of a build cut short |
//! | `twins` | nodes that are the same: left out while a graph grows, and tied in at its end |
//! | `beam`, `pool`, `kept`, `links` | the walk: from doors to the nearest nodes, row by row |
//! | `walk` | from queries to rows of the segment, with the scores that a scan gives them |
//! | `heat` | copies in memory of what is read most, and rows that are only there |
//! | `codes`, `skim` | the same without a walk, where few rows are allowed: all are looked at by a bit per number |
//! | `sums` | what was read of a file is whole, row by row |
//! | `effort`, `trials` | how far an effort goes, and what share of the nearest it found when that was tried |
//!
//! Node `i` is the vector at place `i` of the segment's VECTORS section. The file has its 32 links and a
//! bit per number of it, which is enough to walk. A graph that is searched often has rows in memory, made
//! from links and vectors; what one holds is in `vector::hop`. Their design is that of SymphonyQG (SIGMOD
//! 2025): a hop reads one row, which has the node's own code and codes of its neighbours. Differences: own
//! codes are of 8 bits, codes of short vectors have two bits per number, walks begin at the best of a few
//! hundred doors, and stop when the next candidate is clearly farther than the `k`-th nearest (adaptive
//! beam search, arXiv 2505.15636).
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
mod heat;
mod kept;
mod links;
mod pool;
mod prune;
pub(crate) mod seed;
pub(crate) mod skim;
mod sums;
#[cfg(test)]
mod tests;
mod trials;
mod twins;
pub(crate) mod walk;

use crate::{
    error::Result,
    format::{Kind, codec, envelope::Sections, section::Slice},
    schema::{Encoding, Metric, Space},
    search::graph::{
        beam::{Beam, Measure},
        effort::Trial,
        heat::Held,
        links::{LINKS_BYTES, Links},
        sums::Sums,
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
use std::{
    ops::Deref,
    sync::{Arc, OnceLock, atomic::AtomicU64},
};

/// GRAPH_META: what one must know to read the other sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) nodes: u32,
    pub(crate) dim: u32,
    /// Numbers that codes of neighbours cover in rows, and bits per number.
    pub(crate) coded: u32,
    pub(crate) bits: u32,
    /// Of the rotation.
    pub(crate) seed: u64,
    pub(crate) scales: [f32; 2],
    pub(crate) doors: u32,
    /// What was found at which effort: over links, and over rows.
    pub(crate) trials: Vec<Trial>,
    pub(crate) row_trials: Vec<Trial>,
}

/// An open graph, with rows or without. Rows are not added to one that there is: a walk over links misses other
/// rows than one over rows, and a snapshot does not change (V4).
#[derive(Debug)]
pub(crate) struct Graph {
    opened: Arc<Opened>,
    /// Rows of nodes, which are not in the file.
    rows: Option<Held>,
}

/// What a graph is with rows and without.
#[derive(Debug)]
pub(crate) struct Opened {
    sections: Sections,
    meta: Meta,
    measure: Measure,
    rotation: Rotation,
    /// Taken from every vector before it is rotated.
    center: Vec<f32>,
    /// Small, and used by every walk.
    doors: Vec<u8>,
    /// Links of nodes and stored vectors that were found whole.
    links: Sums,
    vectors: Sums,
    beams: Mutex<Vec<Beam>>,
    /// How often it was searched: what is read often is worth a copy on large pages.
    walks: AtomicU64,
    hot_signs: OnceLock<Held>,
}

impl Deref for Graph {
    type Target = Opened;
    fn deref(&self) -> &Opened {
        &self.opened
    }
}

/// Most numbers of a vector that a graph can have: sums of codes fit 16 bits.
const DIM_MAX: u32 = 4096;
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
        for (kind, bytes) in [
            (Kind::GRAPH_NODES, u64::from(meta.nodes) * LINKS_BYTES as u64),
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
        let (beams, walks) = (Mutex::default(), AtomicU64::new(0));
        let links = Sums::of(meta.nodes, Kind::GRAPH_ROW_SUMS);
        let vectors = Sums::of(meta.nodes, Kind::GRAPH_VECTOR_SUMS);
        sections.need(Kind::GRAPH_NODES, 0)?.scattered();
        if let Some(stored) = segment.space(space)? {
            stored.at(0).0.scattered();
        }
        let opened = Opened {
            sections,
            meta,
            measure,
            rotation,
            center,
            doors,
            links,
            vectors,
            beams,
            walks,
            hot_signs: OnceLock::new(),
        };
        Ok(Graph { opened: Arc::new(opened), rows: None })
    }

    /// What it is read from.
    pub(crate) fn sections(&self) -> &Sections {
        &self.sections
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.sections.bytes()
    }

    /// What was found when it was tried, by the way in which it is walked now.
    fn trials(&self) -> &[Trial] {
        if self.has_rows() { &self.meta.row_trials } else { &self.meta.trials }
    }

    /// The recall that an effort had when it was tried.
    pub(crate) fn recall_at(&self, effort: u32) -> f32 {
        effort::recall_at(self.trials(), effort)
    }

    /// The effort that found a share of the nearest when it was tried, or the largest tried.
    pub(crate) fn effort_for(&self, recall: f32) -> u32 {
        effort::effort_for(self.trials(), recall)
    }

    /// A stored vector, which is a node of this graph.
    #[inline]
    fn vector<'s>(&self, stored: &Stored<'s>, place: u32) -> Result<Slice<'s>> {
        self.vectors.read(stored.at(place), &self.sections, place)
    }

    /// The links of a node.
    pub(crate) fn links(&self, node: u32) -> Result<Vec<u32>> {
        let row = Links::of(self)?.get(node)?;
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

/// Names what a graph of this space is made by; it changes when the content would.
pub(crate) fn recipe(space: &Space) -> String {
    format!("graph/5 {} {:?} {:?}", space.dim, space.metric, space.encoding)
}
