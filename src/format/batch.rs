//! The operations of a batch, as the WAL stores them. FORMAT.md chapter 5.
//!
//! Fields are numbers here, vectors are in the bytes of their space's encoding, and every value has
//! the type its schema says: names, types and limits were checked before. The order of variants and
//! of fields is the format: append, never reorder.

use crate::{
    format::codec::Blob,
    item::Value,
    key::{Key, Timestamp, UserId},
};
use serde::{Deserialize, Serialize};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Insert the row, or replace the one with its key.
    Put(Row),
    /// Remove the row with this key, if there is one.
    Delete(Key),
    /// A user did something.
    Event(EventRow),
    /// Forget every event of a user.
    EraseUser(UserId),
    /// Forget an item and every event about it.
    EraseItem(Key),
}

/// An item as stored: fields ascending by number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) vectors: Vec<(u16, Blob)>,
    pub(crate) attrs: Vec<(u16, Value)>,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventRow {
    pub(crate) user: UserId,
    pub(crate) item: Key,
    pub(crate) kind: u8,
    pub(crate) at: Timestamp,
    pub(crate) recorded: Timestamp,
    pub(crate) value: Option<f32>,
    pub(crate) request: Option<u64>,
    pub(crate) position: Option<u16>,
}

impl Row {
    /// The stored bytes of its vector in a space.
    pub(crate) fn vector(&self, space: u16) -> Option<&[u8]> {
        let at = self.vectors.binary_search_by_key(&space, |(id, _)| *id).ok()?;
        Some(&self.vectors[at].1.0)
    }

    /// Its value of an attribute.
    pub(crate) fn attr(&self, attr: u16) -> Option<&Value> {
        let at = self.attrs.binary_search_by_key(&attr, |(id, _)| *id).ok()?;
        Some(&self.attrs[at].1)
    }
}
