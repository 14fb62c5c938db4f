//! Weight: how many bytes of heap memory something takes.

use crate::{key::Key, segment::bits::Bits};
use roaring::RoaringBitmap;
use std::{collections::HashMap, mem::size_of, sync::Arc};

/// Bytes of heap memory, about: what a [`Memo`](super::memo::Memo) keeps must say it.
pub(crate) trait Weight {
    fn weight(&self) -> u64;
}

impl Weight for Vec<u32> {
    fn weight(&self) -> u64 {
        block(self)
    }
}

impl Weight for RoaringBitmap {
    fn weight(&self) -> u64 {
        self.serialized_size() as u64
    }
}

impl Weight for Vec<RoaringBitmap> {
    fn weight(&self) -> u64 {
        block(self) + self.iter().map(Weight::weight).sum::<u64>()
    }
}

impl Weight for Bits {
    fn weight(&self) -> u64 {
        self.bytes()
    }
}

impl Weight for Key {
    fn weight(&self) -> u64 {
        match self {
            Key::Id(_) => 0,
            Key::Name(name) => name.len() as u64,
        }
    }
}

impl<T: Copy> Weight for HashMap<Key, T> {
    fn weight(&self) -> u64 {
        slots(self) + self.keys().map(Key::weight).sum::<u64>()
    }
}

/// The block of a list, without what its entries point to.
pub(crate) fn block<T>(list: &Vec<T>) -> u64 {
    (list.capacity() * size_of::<T>()) as u64
}

/// The table of a map, without what its entries point to: an entry and a byte beside it for each slot,
/// of which an eighth is empty.
pub(crate) fn slots<K, V, S>(map: &HashMap<K, V, S>) -> u64 {
    (map.capacity() * 8 / 7 * (size_of::<(K, V)>() + 1)) as u64
}

/// Of something that may be kept elsewhere, too: nothing then, since it is counted there. A memo lets
/// nothing go that is in use, so it stays counted for as long as it is.
pub(crate) fn alone<T: Weight>(shared: &Arc<T>) -> u64 {
    if Arc::strong_count(shared) == 1 { shared.weight() } else { 0 }
}
