//! What a merge leaves for the next graph: the largest old one, and where its vectors went.
//!
//! A graph that grows from an old one costs what is new in it, not what is all in it; without this,
//! merging a few fresh items into a large part would build its graph from nothing.

use crate::{
    error::Result,
    options::Options,
    schema::Space,
    search::graph::Seed,
    segment::Stored,
    store::version::{Part, Version},
};
use std::{collections::BTreeMap, sync::Arc};

/// The place of a vector that is gone.
const NOWHERE: u32 = u32::MAX;

/// Gives `merged` a seed for every space whose graph it will lack and one of `inputs` can start.
/// `rows` says for each row of it from which input it came, and from which row there.
pub(crate) fn sow(
    merged: &mut Part,
    inputs: &[&Part],
    rows: &[(u32, u32)],
    (version, options): (&Version, &Options),
) -> Result<()> {
    let mut seeds = BTreeMap::new();
    for space in merged.graph_spaces(&version.schema, options) {
        let known = (0u32..).zip(inputs).filter_map(|(at, part)| Some((at, nodes(part, space)?)));
        let Some((source, _)) = known.max_by_key(|(_, nodes)| *nodes) else { continue };
        if let Some(seed) = grow(inputs[source as usize], source, merged, rows, space)? {
            seeds.insert(space.id, seed);
        }
    }
    merged.seeds = Arc::new(seeds);
    Ok(())
}

/// How many live vectors of a part some graph has nodes for; `None` if there is no graph.
fn nodes(part: &Part, space: &Space) -> Option<u64> {
    if part.graph(space.id).is_some() {
        return Some(part.live_rows());
    }
    let seed = part.seeds.get(&space.id)?;
    Some(seed.places.iter().filter(|place| **place != NOWHERE).count() as u64)
}

fn grow(
    from: &Part,
    source: u32,
    merged: &Part,
    rows: &[(u32, u32)],
    space: &Space,
) -> Result<Option<Seed>> {
    let (Some(old), Some(new)) = (from.segment.space(space)?, merged.segment.space(space)?) else {
        return Ok(None);
    };
    let (old_places, new_places) = (Places::of(&old)?, Places::of(&new)?);
    let mut moved = vec![NOWHERE; old.count as usize];
    for (new_row, (_, old_row)) in (0u32..).zip(rows).filter(|(_, (from, _))| *from == source) {
        if let (Some(old), Some(new)) = (old_places.find(*old_row), new_places.find(new_row)) {
            moved[old as usize] = new;
        }
    }
    if let Some(graph) = from.graph(space.id) {
        return Ok(Some(Seed { graph: graph.clone(), places: moved }));
    }
    // Merged again before its own graph was built: what it would have grown from still serves.
    let Some(seed) = from.seeds.get(&space.id) else { return Ok(None) };
    let on = |place: &u32| moved.get(*place as usize).copied().unwrap_or(NOWHERE);
    let places = seed.places.iter().map(on).collect();
    Ok(Some(Seed { graph: seed.graph.clone(), places }))
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
        options::Maintenance,
        progress::Progress,
        schema::{Metric, Schema},
        store::Store,
    };

    fn write(store: &Store, keys: impl Iterator<Item = u64>) {
        let schema = store.current().schema.clone();
        let item = |key: u64| match key.is_multiple_of(3) {
            // Rows and places differ: not every item has a vector.
            true => Item::new(key),
            false => Item::new(key).vector("v", [key as f32, 1.0]),
        };
        let ops = keys.map(|key| store.op_put(&schema, &item(key)).unwrap()).collect();
        store.commit(ops).unwrap();
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

    /// How many nodes of `old` have a place in `new`; each must be the place of the same key.
    fn compare(old: &Part, new: &Part, dead: impl Fn(u64) -> bool) -> usize {
        let space = &Schema::new().space("v", 2, Metric::Dot).spaces()[0].clone();
        let seed = &new.seeds[&space.id];
        let (old, new) = (keys(old, space), keys(new, space));
        assert_eq!(old.len(), seed.places.len());
        for (key, place) in old.iter().zip(&seed.places) {
            assert_eq!(*place == NOWHERE, dead(*key), "{key}");
            assert!(*place == NOWHERE || new[*place as usize] == *key, "{key} at {place}");
        }
        seed.places.iter().filter(|place| **place != NOWHERE).count()
    }

    /// Goal: after a merge, and after another before there was time to build, each node of the old
    /// graph is known by the place of the same vector, unless that died.
    #[test]
    fn seeds_know_where_every_vector_went() {
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
