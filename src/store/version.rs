//! Version and Part: the immutable list that is the database.

use crate::{
    format::{envelope::Sections, manifest::ArtifactEntry},
    key::{Key, Seq},
    schema::Schema,
    search::{
        graph::{Graph, seed::Seed},
        words::Words,
    },
    segment::{Segment, dead::Dead},
    store::{by_item::ByItem, memo::Memo},
};
use std::{collections::BTreeMap, sync::Arc};

/// A segment as one version sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) dead: Arc<Dead>,
    /// It holds erased bytes: merge it soon, whatever its size.
    pub(crate) erasing: bool,
    /// How many dead rows and events its `.dead` file has; both only grow.
    pub(crate) saved: (u64, u64),
    /// Events by item, where that was derived.
    pub(crate) by_item: Option<Arc<ByItem>>,
    /// The graphs that were found or built, by number of their space.
    pub(crate) graphs: Arc<BTreeMap<u16, Arc<Graph>>>,
    /// What the next graphs grow from, by number of their space; only a writer has them.
    pub(crate) seeds: Arc<BTreeMap<u16, Arc<Seed>>>,
    /// Its semantic IDs by codebook, as far as they are in memory; the same for every version, dead
    /// rows among them.
    pub(crate) ids: Arc<Memo>,
    /// The files of its semantic IDs, by number of the codebook's file.
    pub(crate) id_files: Arc<BTreeMap<u64, Arc<Sections>>>,
    /// The files of words that were found or written, by number of their attribute.
    pub(crate) words: Arc<BTreeMap<u16, Arc<Words>>>,
    /// Words that have no file, as far as they are in memory; the same for every version.
    pub(crate) texts: Arc<Memo>,
    /// What operators computed from this part's events and may compute again at any time.
    pub(crate) memo: Arc<Memo>,
}

impl Part {
    pub(crate) fn new(segment: Arc<Segment>, dead: Dead) -> Part {
        Part {
            segment,
            dead: Arc::new(dead),
            erasing: false,
            saved: (0, 0),
            by_item: None,
            graphs: Arc::default(),
            seeds: Arc::default(),
            ids: Arc::default(),
            id_files: Arc::default(),
            words: Arc::default(),
            texts: Arc::default(),
            memo: Arc::default(),
        }
    }

    /// The same segment with other dead rows. What was computed from events holds on only if no
    /// event died.
    pub(crate) fn with_dead(&self, dead: Dead, erasing: bool) -> Part {
        let same = dead.events == self.dead.events;
        let memo = if same { self.memo.clone() } else { Arc::new(Memo::default()) };
        let erasing = self.erasing || erasing;
        Part { dead: Arc::new(dead), erasing, memo, ..self.clone() }
    }

    pub(crate) fn on_heap(&self) -> bool {
        self.segment.file().is_none()
    }

    /// The graph of a space, if there is one.
    pub(crate) fn graph(&self, space: u16) -> Option<&Arc<Graph>> {
        self.graphs.get(&space)
    }

    /// How many vectors a space has here, dead ones among them.
    pub(crate) fn vectors(&self, space: u16) -> u32 {
        let fields = &self.segment.meta.fields;
        let at = fields.binary_search_by_key(&space, |field| field.id);
        at.map_or(0, |at| fields[at].count)
    }

    pub(crate) fn live_rows(&self) -> u64 {
        u64::from(self.segment.rows()) - self.dead.rows.len()
    }

    /// Bytes of heap memory, about.
    pub(crate) fn heap_bytes(&self) -> u64 {
        self.segment.sections.heap_bytes() + self.dead.weight()
    }
}

/// The database at one commit. Parts on disk come first, then parts on the heap; within each kind,
/// older first.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) seq: Seq,
    pub(crate) schema: Arc<Schema>,
    pub(crate) parts: Vec<Part>,
    pub(crate) artifacts: Arc<Vec<ArtifactEntry>>,
    /// How many erasures there have been: what was learned before one is not used after it.
    pub(crate) erasures: u64,
    /// What was computed from this very version.
    pub(crate) memo: Arc<Memo>,
}

impl Version {
    /// Where the live row of a key is: at most one exists (V5).
    pub(crate) fn find(&self, key: &Key) -> crate::error::Result<Option<(u32, u32)>> {
        // Newest first: what was written last is read most.
        for (at, part) in self.parts.iter().enumerate().rev() {
            if let Some(row) = part.segment.find(key)?
                && !part.dead.rows.contains(row)
            {
                return Ok(Some((at as u32, row)));
            }
        }
        Ok(None)
    }

    pub(crate) fn heap_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.on_heap())
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.parts.iter().map(Part::heap_bytes).sum()
    }
}
