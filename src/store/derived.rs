//! Files that can be computed again: which a part has, lacks, or must drop. FORMAT.md chapter 9.
//!
//! A derived file is found, not listed: it says in its ORIGIN section from which segment (by number,
//! nonce and checksum) and by which recipe it was made. One that does not fit is removed by the next
//! writer; one that is missing costs time only. A damaged one is an error, unless
//! `Options::rebuild_derived` says to build it again: a silent fallback would hide a failing disk.
//!
//! So far there is one: the events of a segment by item.

use crate::{
    error::{Error, Result},
    format::{
        Kind, codec,
        envelope::{FileKind, Header, OpenMode, Sections},
        manifest::FileRef,
        names, sink,
    },
    io::Dir,
    key::{Key, Timestamp, UserId},
    limits::LIMIT_MAX,
    options::Verify,
    segment::Segment,
    store::{
        Store,
        snapshot::Snapshot,
        version::{Part, Version},
    },
};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The ending of its file.
pub(crate) const BY_ITEM: &str = "items";
/// Changes when the content would.
const RECIPE: &str = "by_item/1";
/// Fewer events than this are scanned faster than a file is opened.
pub(crate) const EVENTS_MIN: u32 = 4096;

/// What a derived file was made from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Origin {
    segment: FileRef,
    recipe: String,
}

/// The events of a segment by item: for each item of its list, where its events are.
#[derive(Debug)]
pub(crate) struct ByItem {
    sections: Sections,
}

impl ByItem {
    /// The positions of an item's events, ascending.
    fn events(&self, code: u32, limit: u32) -> Result<Vec<u32>> {
        let starts = self.sections.need(Kind::BY_ITEM_STARTS, 0)?;
        let pair = starts.column::<u32>(code.into()..u64::from(code) + 2)?;
        let events = self.sections.need(Kind::BY_ITEM_EVENTS, 0)?;
        let list = events.column::<u32>(pair[0].into()..pair[1].into())?;
        if !list.windows(2).all(|w| w[0] < w[1]) || list.last() >= Some(&limit) {
            return Err(events.corrupt(0, "positions of events").into());
        }
        Ok(list.to_vec())
    }
}

/// Opens what was derived from a segment, if it is there and fits. With `rebuild`, a damaged file is
/// as good as none, so all of it is read now: damage seen later could only be reported.
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    segment: &Segment,
    rebuild: bool,
) -> Result<Option<Arc<ByItem>>> {
    let mut mode = mode.clone();
    if rebuild && mode.verify == Verify::FirstTouch {
        mode.verify = Verify::Open;
    }
    match open(dir, &mode, db, segment) {
        Err(Error::Corrupt(_)) if rebuild => Ok(None),
        opened => opened,
    }
}

fn open(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    segment: &Segment,
) -> Result<Option<Arc<ByItem>>> {
    let Some(file) = segment.file() else { return Ok(None) };
    let path = names::derived(segment.uid, BY_ITEM);
    let sections = match Sections::open(dir, &path, FileKind::Derived, None, mode) {
        Ok(sections) => sections,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let section = sections.need(Kind::ORIGIN, 0)?;
    let origin: Origin =
        codec::decode(&section.all()?).map_err(|why| section.corrupt(0, "origin").found(why))?;
    let ours = sections.header.is_some_and(|header| header.db == *db);
    if !ours || origin != (Origin { segment: file, recipe: RECIPE.into() }) {
        return Ok(None);
    }
    let starts = sections.need(Kind::BY_ITEM_STARTS, 0)?.len;
    let events = sections.need(Kind::BY_ITEM_EVENTS, 0)?.len;
    let meta = &segment.meta;
    let whole =
        (u64::from(meta.event_items) + 1) * 4 == starts && u64::from(meta.events) * 4 == events;
    if !whole {
        return Err(section.corrupt(0, "sections whose lengths do not fit the segment").into());
    }
    Ok(Some(Arc::new(ByItem { sections })))
}

impl Part {
    /// The positions of an item's events, ascending, dead ones among them.
    pub(crate) fn events_of(&self, item: &Key) -> Result<Vec<u32>> {
        let Some(events) = self.segment.events()? else { return Ok(Vec::new()) };
        let Some(code) = events.items()?.find_key(item)? else { return Ok(Vec::new()) };
        if let Some(by_item) = &self.by_item {
            return by_item.events(code, events.count);
        }
        let items = events.block(0..events.count)?.items;
        Ok((0..events.count).zip(items.iter()).filter(|(_, c)| **c == code).map(|p| p.0).collect())
    }

    /// Whether a derived file would be worth its while and is not there.
    pub(crate) fn lacks_by_item(&self) -> bool {
        !self.on_heap() && self.by_item.is_none() && self.segment.meta.events >= EVENTS_MIN
    }
}

impl Store {
    /// Derives what the first part that lacks something lacks; says whether there was one.
    pub(crate) fn derive(&self) -> Result<bool> {
        self.chore(|| {
            let version = self.current();
            let Some(at) = version.parts.iter().position(Part::lacks_by_item) else {
                return Ok(false);
            };
            let part = &version.parts[at];
            let by_item = self.write_by_item(&part.segment)?;
            let writer = self.writer.lock();
            let now = self.current();
            let mut parts = now.parts.clone();
            parts[at].by_item = by_item;
            self.swap(Version { parts, ..(*now).clone() });
            drop(writer);
            Ok(true)
        })
    }

    fn write_by_item(&self, segment: &Segment) -> Result<Option<Arc<ByItem>>> {
        let (Some(events), Some(file)) = (segment.events()?, segment.file()) else {
            return Ok(None);
        };
        let items = events.block(0..events.count)?.items;
        let (starts, order) = group(&items, segment.meta.event_items);
        let mut origin = Vec::new();
        codec::encode(&Origin { segment: file, recipe: RECIPE.into() }, &mut origin)
            .map_err(|why| Error::invalid("origin", why))?;
        let (id, nonce) = (segment.uid, self.dir.nonce()?);
        let header = Header::new(FileKind::Derived, self.db, id, nonce);
        let path = names::derived(segment.uid, BY_ITEM);
        sink::publish(&*self.dir, &path, header, |sink| {
            sink.section(Kind::ORIGIN, 0, &origin)?;
            sink.section(Kind::BY_ITEM_STARTS, 0, crate::format::columns::raw(&starts))?;
            sink.section(Kind::BY_ITEM_EVENTS, 0, crate::format::columns::raw(&order))
        })?;
        adopt(&*self.dir, &self.mode, &self.db, segment, false)
    }
}

/// Counting sort: where each code's places begin, and the places, ascending within a code.
fn group(codes: &[u32], count: u32) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count as usize + 1];
    let known = |code: &&u32| **code < count;
    codes.iter().filter(known).for_each(|code| starts[*code as usize + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0; codes.len()];
    for (place, code) in (0u32..).zip(codes).filter(|(_, code)| known(code)) {
        order[next[*code as usize] as usize] = place;
        next[*code as usize] += 1;
    }
    (starts, order)
}

/// Something that was done to an item.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("buy"))?;
/// db.batch().event(Event::new(7, 17u64, "buy", Timestamp(5))).commit()?;
/// let who = db.snapshot().item_history(&17u64.into(), Timestamp::MAX, 10)?;
/// assert_eq!(who[0].user, UserId(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interaction {
    /// Who.
    pub user: UserId,
    /// Which kind, as an index into [`crate::Schema::events`].
    pub kind: u8,
    /// When it happened.
    pub at: Timestamp,
    /// When it became known.
    pub recorded: Timestamp,
    /// A rating, a price, a duration.
    pub value: Option<f32>,
}

impl Snapshot {
    /// The latest `limit` events about an item that had happened and were known at `as_of`, oldest
    /// first.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0 or more than a million, or a key of the wrong kind.
    pub fn item_history(
        &self,
        item: &Key,
        as_of: Timestamp,
        limit: usize,
    ) -> Result<Vec<Interaction>> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(Error::invalid(
                "limit",
                format!("is {limit}; it must be 1 to {LIMIT_MAX}"),
            ));
        }
        super::encode::key(self.schema(), item)?;
        let mut found = Vec::new();
        for part in &self.version.parts {
            let positions =
                RoaringBitmap::from_sorted_iter(part.events_of(item)?).unwrap_or_default();
            collect(part, &(positions - &part.dead.events), as_of, &mut found)?;
        }
        found.sort_by_key(|i| (i.at, i.recorded));
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }
}

fn collect(
    part: &Part,
    positions: &RoaringBitmap,
    as_of: Timestamp,
    found: &mut Vec<Interaction>,
) -> Result<()> {
    let Some(events) = part.segment.events()? else { return Ok(()) };
    for at in positions {
        let e = events.get(at)?;
        if e.at <= as_of && e.recorded <= as_of {
            let user = events.owner(at)?;
            let (kind, at, recorded, value) = (e.kind, e.at, e.recorded, e.value);
            found.push(Interaction { user, kind, at, recorded, value });
        }
    }
    Ok(())
}
