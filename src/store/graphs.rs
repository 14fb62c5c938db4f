//! Which graphs the parts have, lack, or must drop: derived files, one for each segment and space.
//!
//! A part lacks a graph if its space can have one and it has enough vectors. The options say whether graphs
//! are used at all, and whether they may have rows in memory.

use crate::{
    error::Result,
    format::{envelope::OpenMode, names},
    io::Dir,
    options::{Graphs, Options},
    schema::{Schema, Space},
    search::graph::{self, Graph},
    segment::Segment,
    store::{
        origin,
        version::{Part, Version},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// The recipe in the file's ORIGIN. Spaces may be alike in all but their number, so that is in it too.
pub(crate) fn recipe(space: &Space) -> String {
    format!("{} of {}", graph::recipe(space), space.id)
}

/// Opens the graph of a segment in a space, if it is there.
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (segment, space): (&Segment, &Space),
    rebuild: bool,
) -> Result<Option<Arc<Graph>>> {
    if segment.file().is_none() || !graph::fits(space) {
        return Ok(None);
    }
    let path = names::graph(segment.uid, space.id);
    let recipes = [recipe(space)];
    origin::adopt(mode, rebuild, |mode| {
        match origin::open(dir, mode, db, segment, (&path, &recipes))? {
            Some(sections) => Ok(Some(Arc::new(Graph::open(sections, segment, space)?))),
            None => Ok(None),
        }
    })
}

/// Opens every graph of a part that is there and that the part has not got; says whether one was.
pub(crate) fn adopt_all(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (part, schema): (&mut Part, &Schema),
    options: &Options,
) -> Result<bool> {
    let mut graphs = BTreeMap::new();
    if options.graphs == Graphs::Off {
        return Ok(false);
    }
    for space in schema.spaces().iter().filter(|space| part.vectors(space.id) > 0) {
        let what = (&*part.segment, space);
        let graph = match part.graph(space.id) {
            Some(_) => continue,
            None => adopt(dir, mode, db, what, options.rebuild_derived)?,
        };
        graphs.extend(graph.map(|graph| (space.id, graph)));
    }
    let any = !graphs.is_empty();
    if any {
        graphs.extend(part.graphs.iter().map(|(space, graph)| (*space, graph.clone())));
        part.graphs = Arc::new(graphs);
    }
    Ok(any)
}

/// A graph that would serve, and is not there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lack {
    pub(crate) segment: u64,
    pub(crate) space: Space,
    pub(crate) rows: u32,
}

impl Part {
    /// The spaces whose graph would serve here, there or not.
    pub(crate) fn graph_spaces<'s>(
        &'s self,
        schema: &'s Schema,
        options: &'s Options,
    ) -> impl Iterator<Item = &'s Space> {
        let wanted = !self.on_heap() && options.graphs != Graphs::Off;
        schema.spaces().iter().filter(move |space| {
            let rows = self.vectors(space.id);
            wanted && graph::fits(space) && rows > 0 && rows >= options.graph_rows_min
        })
    }

    /// Of these, the ones whose graph is not there.
    pub(crate) fn lacks<'s>(
        &'s self,
        schema: &'s Schema,
        options: &'s Options,
    ) -> impl Iterator<Item = &'s Space> {
        let there = |space: &&Space| self.graph(space.id).is_none();
        self.graph_spaces(schema, options).filter(there)
    }

    /// Whether a graph that would serve is not there.
    pub(crate) fn lacks_graph(&self, schema: &Schema, options: &Options) -> bool {
        self.lacks(schema, options).next().is_some()
    }

    /// Removes graphs and seeds of spaces that the schema has not got; says which files they were.
    pub(crate) fn drop_graphs(&mut self, schema: &Schema) -> Vec<String> {
        let known = |id: &u16| schema.spaces().iter().any(|space| space.id == *id);
        let gone: Vec<u16> = self.graphs.keys().copied().filter(|id| !known(id)).collect();
        if !gone.is_empty() {
            Arc::make_mut(&mut self.graphs).retain(|id, _| known(id));
        }
        let unsown: Vec<u16> = self.seeds.keys().copied().filter(|id| !known(id)).collect();
        let seeds: Vec<String> = unsown.into_iter().filter_map(|id| self.drop_seed(id)).collect();
        let uid = self.segment.uid;
        gone.into_iter().map(|id| names::graph(uid, id)).chain(seeds).collect()
    }

    /// The files of its graphs.
    pub(crate) fn graph_files(&self) -> impl Iterator<Item = String> {
        self.graphs.keys().map(|space| names::graph(self.segment.uid, *space))
    }
}

/// Where the part is that lacks a graph, if that is still so.
pub(crate) fn place(version: &Version, lack: &Lack) -> Option<usize> {
    let known = version.schema.spaces().iter().any(|space| space.id == lack.space.id);
    let at = version.parts.iter().position(|part| part.segment.uid == lack.segment)?;
    (known && version.parts[at].graph(lack.space.id).is_none()).then_some(at)
}

/// Every graph that would serve and is not there, the largest first: there is most to gain from it.
pub(crate) fn lacking(version: &Version, options: &Options) -> Vec<Lack> {
    let mut all: Vec<Lack> = Vec::new();
    for part in &version.parts {
        all.extend(part.lacks(&version.schema, options).map(|space| Lack {
            segment: part.segment.uid,
            space: space.clone(),
            rows: part.vectors(space.id),
        }));
    }
    all.sort_by_key(|lack| std::cmp::Reverse(lack.rows));
    all
}
