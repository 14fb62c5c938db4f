//! Selection: a set of items of one snapshot, resolved once and used in many searches.

use crate::{
    error::{Error, Result},
    filter::Where,
    key::{Addr, Key},
    segment::bits::Bits,
    store::{snapshot::Snapshot, version::Version},
};
use std::sync::{Arc, Weak};

/// Some items of a snapshot, for [`Near::within`](crate::Near::within) and
/// [`Near::without`](crate::Near::without).
///
/// It costs one bit for each item of the snapshot and answers in about a nanosecond, whether an item
/// is in it: resolve what a user has seen, or what a shop may show, once, and search with it often.
/// It does not keep its snapshot.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 1, Metric::Dot).attr("year", AttrType::Int))?;
/// for id in 0..9u64 {
///     db.batch().put(Item::new(id).vector("text", [id as f32]).attr("year", 1950 + id as i64)).commit()?;
/// }
/// let snapshot = db.snapshot();
/// let early = snapshot.select(&attr("year").at_most(1955))?;
/// let seen = snapshot.select_keys([4, 5, 77].map(Key::Id))?;
/// assert_eq!((early.len(), seen.len()), (6, 2));
/// let hits = snapshot.near("text", &[1.0]).within(&early).without(&seen).run()?;
/// assert_eq!(hits[0].key, Key::Id(3));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Selection {
    of: Weak<Version>,
    parts: Vec<Bits>,
}

impl Snapshot {
    /// The items that a filter allows.
    ///
    /// # Errors
    /// `NotFound` for an attribute, `Invalid` for a filter that cannot work.
    pub fn select(&self, filter: &Where) -> Result<Selection> {
        Ok(Selection::of(self, self.allowed(filter)?.iter().map(Bits::of).collect()))
    }

    /// The items with these keys; keys that no item has are passed over.
    ///
    /// # Errors
    /// `Invalid` for a key of the wrong kind.
    pub fn select_keys(&self, keys: impl IntoIterator<Item = Key>) -> Result<Selection> {
        let mut parts = vec![Bits::default(); self.version.parts.len()];
        for key in keys {
            if let Some(addr) = self.find(&key)? {
                parts[addr.part as usize].insert(addr.row.0);
            }
        }
        Ok(Selection::of(self, parts))
    }
}

impl Selection {
    /// Rows of each part of a snapshot.
    pub(crate) fn of(snapshot: &Snapshot, parts: Vec<Bits>) -> Selection {
        Selection { of: Arc::downgrade(&snapshot.version), parts }
    }

    /// How many items are in it.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Bits::len).sum()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the item at an address of the same snapshot is in it.
    pub fn contains(&self, addr: Addr) -> bool {
        self.parts.get(addr.part as usize).is_some_and(|rows| rows.contains(addr.row.0))
    }

    /// Its rows, one set per part of the snapshot, which must be the one that it was made of.
    pub(crate) fn rows(&self, snapshot: &Snapshot) -> Result<&[Bits]> {
        if std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(&snapshot.version)) {
            return Ok(&self.parts);
        }
        let why = "is of another snapshot; keep the snapshot for as long as you use its selections";
        Err(Error::invalid("selection", why))
    }
}
