//! Rows: those of a table that were asked for, as many as there is room for.

use super::layer::Layer;
use crate::{key::Key, store::weight::Weight};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Some rows of a table, by the item that they are of.
pub(super) struct Rows<R> {
    kept: Mutex<Kept<R>>,
    /// Bytes that they may take: they come after the table was weighed, so it weighs that much.
    room: u64,
}

struct Kept<R> {
    rows: HashMap<Key, Arc<R>>,
    bytes: u64,
}

/// Bytes of room, at least and at most.
const ROOM: (u64, u64) = (1 << 16, 1 << 24);
/// What a row takes beside its neighbours, about.
const EACH: u64 = 96;

impl<R: Weight> Rows<R> {
    /// None yet; room for as much as the layers take that they are summed from.
    pub(super) fn beside<'l>(layers: impl IntoIterator<Item = &'l Arc<Layer>>) -> Rows<R> {
        let room: u64 = layers.into_iter().map(|layer| layer.weight()).sum();
        let kept = Kept { rows: HashMap::new(), bytes: 0 };
        Rows { kept: Mutex::new(kept), room: room.clamp(ROOM.0, ROOM.1) }
    }

    pub(super) fn find(&self, seed: &Key) -> Option<Arc<R>> {
        self.kept.lock().rows.get(seed).cloned()
    }

    /// Keeps a row; forgets the others first if there is no room beside them.
    pub(super) fn keep(&self, seed: &Key, row: R) -> Arc<R> {
        let bytes = row.weight() + seed.weight() + EACH;
        let row = Arc::new(row);
        let mut kept = self.kept.lock();
        if kept.bytes + bytes > self.room {
            kept.rows = HashMap::new();
            kept.bytes = 0;
        }
        if bytes <= self.room && kept.rows.insert(seed.clone(), row.clone()).is_none() {
            kept.bytes += bytes;
        }
        row
    }
}

impl<R> Weight for Rows<R> {
    fn weight(&self) -> u64 {
        self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is kept never takes more than there is room for, and what does not fit is answered.
    #[test]
    fn rows_stay_within_their_room() {
        let rows: Rows<Vec<u32>> = Rows::beside([]);
        let row = |numbers: usize| vec![7u32; numbers];
        for id in 0..1000u64 {
            assert_eq!(rows.keep(&Key::Id(id), row(500)).len(), 500);
            rows.keep(&Key::Id(id), row(500));
            let kept = rows.kept.lock();
            let bytes: u64 = kept.rows.values().map(|row| row.weight() + EACH).sum();
            assert!(bytes == kept.bytes && bytes <= rows.weight());
        }
        assert!(rows.find(&Key::Id(999)).is_some() && rows.find(&Key::Id(0)).is_none());
        assert_eq!(rows.keep(&Key::Id(1), row(20_000)).len(), 20_000);
        assert!(rows.find(&Key::Id(1)).is_none());
    }
}
