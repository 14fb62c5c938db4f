//! The events of a segment by item: a derived file, found and proven. FORMAT.md chapter 9.
//!
//! It says in its ORIGIN section from which segment (by number, nonce and checksum) and by which recipe
//! it was made; one that does not fit is not used.

use crate::{
    error::{Error, Result},
    format::{
        Kind, codec,
        columns::raw,
        envelope::{FileKind, Header, OpenMode, Sections},
        manifest::FileRef,
        names, sink,
    },
    io::Dir,
    options::Verify,
    segment::Segment,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The ending of its file.
pub(crate) const BY_ITEM: &str = "items";
/// Changes when the content would.
const RECIPE: &str = "by_item/1";
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
    pub(crate) fn events(&self, code: u32, limit: u32) -> Result<Vec<u32>> {
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

/// Writes the file for a segment and opens it; nothing if there are no events, or no file to go with.
pub(crate) fn write(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: [u8; 16],
    segment: &Segment,
) -> Result<Option<Arc<ByItem>>> {
    let (Some(events), Some(file)) = (segment.events()?, segment.file()) else {
        return Ok(None);
    };
    let items = events.block(0..events.count)?.items;
    let (starts, order) = group(&items, segment.meta.event_items);
    let mut origin = Vec::new();
    codec::encode(&Origin { segment: file, recipe: RECIPE.into() }, &mut origin)
        .map_err(|why| Error::invalid("origin", why))?;
    let (id, nonce) = (segment.uid, dir.nonce()?);
    let header = Header::new(FileKind::Derived, db, id, nonce);
    let path = names::derived(segment.uid, BY_ITEM);
    sink::publish(dir, &path, header, |sink| {
        sink.section(Kind::ORIGIN, 0, &origin)?;
        sink.section(Kind::BY_ITEM_STARTS, 0, raw(&starts))?;
        sink.section(Kind::BY_ITEM_EVENTS, 0, raw(&order))
    })?;
    adopt(dir, mode, &db, segment, false)
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
