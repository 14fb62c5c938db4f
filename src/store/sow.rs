//! What a merge leaves for the next graph: the links of the largest old one, between its vectors that are
//! still there.
//!
//! A graph that grows from an old one costs what is new in it, not what is all in it; without this,
//! merging a few fresh items into a large part would build its graph from nothing. The links are written
//! beside the merged segment before that is named, since the old graph goes with its segment.

use crate::{
    error::{Error, Result},
    format::names,
    progress::Progress,
    schema::Space,
    search::graph::{
        Graph,
        seed::{self, Seed},
    },
    segment::Stored,
    store::{
        Store,
        version::{Part, Version},
    },
};
use std::sync::Arc;

/// The place of a vector that is gone, or of one that is new.
const NOWHERE: u32 = u32::MAX;

/// Where the links of a part come from.
enum Source<'a> {
    Graph(&'a Graph),
    /// Merged again before its own graph was built: what it would have grown from still serves.
    Seed(&'a Seed),
}

impl Source<'_> {
    fn of<'a>(part: &'a Part, space: &Space) -> Option<Source<'a>> {
        let graph = part.graph(space.id).map(|graph| Source::Graph(graph));
        graph.or_else(|| part.seeds.get(&space.id).map(|seed| Source::Seed(seed)))
    }

    /// How many live vectors it has links of, about.
    fn nodes(&self, part: &Part) -> u64 {
        match self {
            Source::Graph(_) => part.live_rows(),
            Source::Seed(seed) => seed.linked().into(),
        }
    }

    fn links(&self, node: u32) -> Result<Vec<u32>> {
        match self {
            Source::Graph(graph) => graph.links(node),
            Source::Seed(seed) => seed.links(node),
        }
    }
}

impl Store {
    /// Gives `merged` a seed for every space whose graph it will lack and one of `inputs` can start.
    /// `rows` says for each row of it from which input it came, and from which row there.
    pub(crate) fn sow(
        &self,
        merged: &mut Part,
        inputs: &[&Part],
        rows: &[(u32, u32)],
        version: &Version,
    ) -> Result<()> {
        let mut seeds = Vec::new();
        for space in merged.graph_spaces(&version.schema, &self.options) {
            let known = (0u32..).zip(inputs).filter_map(|(at, part)| {
                Source::of(part, space).map(|source| (source.nodes(part), at, source))
            });
            let Some((_, at, source)) = known.max_by_key(|(nodes, ..)| *nodes) else { continue };
            let moves = Moves::of((inputs[at as usize], at), merged, rows, space)?;
            if let Some(seed) = self.write_links(merged, space, &source, &moves)? {
                self.published(names::seed(merged.segment.uid, space.id));
                seeds.push((space.id, seed));
            }
        }
        merged.seeds = Arc::new(seeds.into_iter().collect());
        Ok(())
    }

    /// Writes the links of `source` as they are in the merged part.
    fn write_links(
        &self,
        merged: &Part,
        space: &Space,
        source: &Source<'_>,
        moves: &Moves,
    ) -> Result<Option<Arc<Seed>>> {
        // A graph that cannot be read costs this one its start, and must not cost the merge.
        let mut unreadable = false;
        let mut links = |place: u32, to: &mut Vec<u32>| {
            let old = moves.old[place as usize];
            if old == NOWHERE {
                return Ok(());
            }
            let links = source.links(old).inspect_err(|_| unreadable = true)?;
            let new = links.iter().filter_map(|old| moves.new.get(*old as usize).copied());
            to.extend(new.filter(|new| *new != NOWHERE && *new != place));
            Ok(())
        };
        // Not to be cancelled: it is a small part of the merge, whose segment is there already.
        let (nodes, mut silent) = (moves.old.len() as u32, Progress::silent());
        let written = self.write_seed((&merged.segment, space), |sink| {
            seed::save((nodes, 0, None), &mut links, sink, &mut silent)
        });
        match written {
            Err(Error::Corrupt(_) | Error::Io { .. }) if unreadable => Ok(None),
            written => written,
        }
    }
}

/// Where the vectors of one input of a merge went.
struct Moves {
    /// From places in the input to places in the merged segment, and back.
    new: Vec<u32>,
    old: Vec<u32>,
}

impl Moves {
    fn of(
        (from, at): (&Part, u32),
        merged: &Part,
        rows: &[(u32, u32)],
        space: &Space,
    ) -> Result<Moves> {
        let mut moves = Moves { new: Vec::new(), old: Vec::new() };
        let (old, new) = (from.segment.space(space)?, merged.segment.space(space)?);
        let (Some(old), Some(new)) = (old, new) else { return Ok(moves) };
        moves.new.resize(old.count as usize, NOWHERE);
        moves.old.resize(new.count as usize, NOWHERE);
        let (old_places, new_places) = (Places::of(&old)?, Places::of(&new)?);
        for (new_row, (_, old_row)) in (0u32..).zip(rows).filter(|(_, (from, _))| *from == at) {
            if let (Some(old), Some(new)) = (old_places.find(*old_row), new_places.find(new_row)) {
                moves.new[old as usize] = new;
                moves.old[new as usize] = old;
            }
        }
        Ok(moves)
    }
}

/// From rows to places of vectors.
struct Places {
    count: u32,
    /// The rows that have a vector, if not all have.
    rows: Option<Vec<u32>>,
}

impl Places {
    fn of(stored: &Stored<'_>) -> Result<Places> {
        Ok(Places { count: stored.count, rows: stored.row_list()? })
    }

    fn find(&self, row: u32) -> Option<u32> {
        match &self.rows {
            None => (row < self.count).then_some(row),
            Some(rows) => rows.binary_search(&row).ok().map(|place| place as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::Memory,
        item::Item,
        options::{Maintenance, Options},
        schema::{Metric, Schema},
        store::Store,
    };
    use std::collections::BTreeMap;

    fn write(store: &Store, keys: impl Iterator<Item = u64>) {
        let schema = store.current().schema.clone();
        let item = |key: u64| match key.is_multiple_of(3) {
            // Rows and places differ: not every item has a vector.
            true => Item::new(key),
            false => Item::new(key).vector("v", [key as f32, 1.0]),
        };
        let ops = keys.map(|key| store.op_put(&schema, &item(key)).unwrap()).collect();
        store.commit(&Arc::new(ops)).unwrap();
        store.flush(&mut Progress::silent()).unwrap();
    }

    /// The key of every vector of a part, by place.
    fn keys(part: &Part, space: &Space) -> Vec<u64> {
        let stored = part.segment.space(space).unwrap().unwrap();
        let rows = stored.row_list().unwrap().unwrap_or_else(|| (0..stored.count).collect());
        let key = |row: &u32| match part.segment.key(*row).unwrap() {
            crate::key::Key::Id(id) => id,
            other => panic!("{other:?}"),
        };
        rows.iter().map(key).collect()
    }

    /// The links of every vector of a part, all by their keys.
    fn links(part: &Part) -> BTreeMap<u64, Vec<u64>> {
        let space = &Schema::new().space("v", 2, Metric::Dot).spaces()[0].clone();
        let (source, keys) = (Source::of(part, space).unwrap(), keys(part, space));
        let named = |to: u32| keys[to as usize];
        let links = |node| source.links(node).unwrap().into_iter().map(named).collect();
        (0..).zip(&keys).map(|(node, key)| (*key, links(node))).collect()
    }

    /// How many vectors of `new` have links: those that they had in `old`, but for dead ones.
    fn compare(old: &Part, new: &Part, dead: impl Fn(u64) -> bool) -> usize {
        let (old, new) = (links(old), links(new));
        for (key, links) in &new {
            let mut known = old.get(key).filter(|_| !dead(*key)).cloned().unwrap_or_default();
            known.retain(|to| !dead(*to));
            assert_eq!(*links, known, "{key}");
        }
        assert!(old.keys().all(|key| dead(*key) || new.contains_key(key)));
        new.values().filter(|links| !links.is_empty()).count()
    }

    /// Goal: after a merge, and after another before there was time to build, each vector of the old
    /// graph has the links that it had, unless it or they died.
    #[test]
    fn seeds_have_the_links_of_every_vector_that_lives_on() {
        let schema = Schema::new().space("v", 2, Metric::Dot);
        let options = Options::default().maintenance(Maintenance::Manual).graph_rows_min(10);
        let store = Store::create(Arc::new(Memory::new()), schema, options).unwrap();
        write(&store, (0..300).map(|n| n * 2));
        write(&store, 1000..1020);
        store.index(&mut Progress::silent()).unwrap();
        let first = store.current();
        assert!(first.parts.iter().all(|part| part.graphs.len() == 1));
        // Replaces multiples of 10, and brings new ones in between.
        write(&store, (0..60).map(|n| n * 10));
        assert!(store.compact_all(&mut Progress::silent()).unwrap());
        let merged = store.current();
        let replaced = |key: u64| key.is_multiple_of(10);
        assert_eq!(compare(&first.parts[0], &merged.parts[0], replaced), 160);
        write(&store, (0..60).map(|n| n * 10 + 4));
        assert!(store.compact_all(&mut Progress::silent()).unwrap());
        let again = store.current();
        let replaced = |key: u64| key.is_multiple_of(10) || key % 10 == 4;
        assert_eq!(compare(&first.parts[0], &again.parts[0], replaced), 120);
        store.index(&mut Progress::silent()).unwrap();
        let built = store.current();
        assert!(built.parts[0].seeds.is_empty() && built.parts[0].graphs.len() == 1);
    }
}
