//! Snapshot: the database as it was at one commit, for as long as it is held.

use crate::{
    error::{Error, Result},
    filter::Where,
    format::envelope::OpenMode,
    io::Dir,
    item::Item,
    key::{Addr, Key, Row, Seq, UserId},
    schema::Schema,
    segment::Segment,
    store::{
        Store,
        memo::Memo,
        version::{Part, Version},
    },
};
use roaring::RoaringBitmap;
use std::{collections::BTreeSet, sync::Arc};

/// The database at one commit. It never changes (V4), is cheap to clone, and may outlive the `Db`.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().attr("year", AttrType::Int))?;
/// db.batch().put(Item::new(1u64).attr("year", 1959)).commit()?;
/// let before = db.snapshot();
/// db.batch().delete(1u64).commit()?;
/// assert_eq!(before.get(&1u64.into())?.unwrap().get("year"), Some(&Value::Int(1959)));
/// assert!(db.snapshot().get(&1u64.into())?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) version: Arc<Version>,
    pub(crate) files: Arc<Files>,
}

/// What a snapshot needs to open artifacts, without keeping the database's lock.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) mode: OpenMode,
    pub(crate) db: [u8; 16],
    /// Artifacts that were opened before, by name and version.
    pub(crate) opened: Arc<Memo>,
}

impl Store {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (dir, mode, db) = (self.dir.clone(), self.mode.clone(), self.db);
        let opened = self.opened.clone();
        Snapshot { version: self.current(), files: Arc::new(Files { dir, mode, db, opened }) }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seq, parts) = (self.seq(), self.version.parts.len());
        f.debug_struct("Snapshot").field("seq", &seq).field("parts", &parts).finish()
    }
}

impl Snapshot {
    /// The last commit in it.
    pub fn seq(&self) -> Seq {
        self.version.seq
    }

    /// What the database holds.
    pub fn schema(&self) -> &Schema {
        &self.version.schema
    }

    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.version.parts.iter().map(Part::live_rows).sum()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item with a key: all its vectors, decoded, and all its attributes.
    ///
    /// A vector comes back as it is stored: normalized in a cosine space, rounded in `f16` and `i8`.
    ///
    /// # Errors
    /// `Invalid` for a key of the wrong kind; `Corrupt` or `Io` where a file cannot be read.
    pub fn get(&self, key: &Key) -> Result<Option<Item>> {
        self.find(key)?.map(|addr| self.item(addr)).transpose()
    }

    /// Whether there is an item with a key.
    pub fn contains(&self, key: &Key) -> Result<bool> {
        Ok(self.find(key)?.is_some())
    }

    /// Where an item lives in this snapshot.
    pub fn find(&self, key: &Key) -> Result<Option<Addr>> {
        super::encode::key(&self.version.schema, key)?;
        Ok(self.version.find(key)?.map(|(part, row)| Addr { part, row: Row(row) }))
    }

    /// The key of the item at an address.
    pub fn key(&self, addr: Addr) -> Result<Key> {
        self.segment(addr)?.key(addr.row.0)
    }

    /// The item at an address.
    pub fn item(&self, addr: Addr) -> Result<Item> {
        let segment = self.segment(addr)?;
        let mut item = Item::new(segment.key(addr.row.0)?);
        for space in self.version.schema.spaces() {
            let mut vector = Vec::new();
            if segment.vector(addr.row.0, space, &mut vector)? {
                item.vectors.push((space.name.clone(), vector));
            }
        }
        for attr in self.version.schema.attrs() {
            if let Some(value) = segment.value(addr.row.0, attr.id, attr.ty)? {
                item.attrs.push((attr.name.clone(), value));
            }
        }
        Ok(item)
    }

    /// One attribute of the item at an address; `None` if it is missing.
    pub fn value(&self, addr: Addr, attr: &str) -> Result<Option<crate::item::Value>> {
        let attr = self.version.schema.find_attr(attr)?;
        self.segment(addr)?.value(addr.row.0, attr.id, attr.ty)
    }

    /// Appends the vector of the item at an address to `out`, decoded; `false` if it has none.
    pub fn vector(&self, addr: Addr, space: &str, out: &mut Vec<f32>) -> Result<bool> {
        let space = self.version.schema.find_space(space)?;
        self.segment(addr)?.vector(addr.row.0, space, out)
    }

    /// The keys of all items that a filter allows, ascending, at most `limit`.
    pub fn keys(&self, filter: &Where, limit: usize) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        for (part, rows) in self.version.parts.iter().zip(self.allowed(filter)?) {
            for row in rows.iter().take(limit) {
                keys.push(part.segment.key(row)?);
            }
        }
        keys.sort();
        keys.truncate(limit);
        Ok(keys)
    }

    /// Where all items that a filter allows live, by part and row.
    pub(crate) fn addrs(&self, filter: &Where) -> Result<Vec<Addr>> {
        let parts = (0u32..).zip(self.allowed(filter)?);
        let all = parts
            .flat_map(|(part, rows)| rows.into_iter().map(move |row| Addr { part, row: Row(row) }));
        Ok(all.collect())
    }

    /// How many items a filter allows.
    pub fn count(&self, filter: &Where) -> Result<u64> {
        Ok(self.allowed(filter)?.iter().map(RoaringBitmap::len).sum())
    }

    /// Every user with an event, ascending.
    pub fn users(&self) -> Result<Vec<UserId>> {
        let mut users = BTreeSet::new();
        for part in &self.version.parts {
            let Some(events) = part.segment.events()? else { continue };
            for index in 0..events.user_count() {
                let (user, range) = events.user(index)?;
                let dead = &part.dead.events;
                if dead.is_empty() || range.clone().any(|at| !dead.contains(at)) {
                    users.insert(user);
                }
            }
        }
        Ok(users.into_iter().collect())
    }

    /// The live rows that a filter allows, one bitmap per part.
    pub(crate) fn allowed(&self, filter: &Where) -> Result<Vec<RoaringBitmap>> {
        let filter = filter.resolve(&self.version.schema)?;
        let rows = |part: &Part| Ok(part.segment.allowed(&filter)? - &part.dead.rows);
        self.version.parts.iter().map(rows).collect()
    }

    pub(crate) fn segment(&self, addr: Addr) -> Result<&Segment> {
        let part = self.version.parts.get(addr.part as usize);
        match part.filter(|part| addr.row.0 < part.segment.rows()) {
            Some(part) => Ok(&part.segment),
            None => Err(Error::invalid("address", "is not of this snapshot")),
        }
    }
}
