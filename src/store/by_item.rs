//! The events of a segment by item: a derived file. FORMAT.md chapter 9.

use crate::{
    error::Result,
    format::{
        Kind,
        columns::raw,
        envelope::{OpenMode, Sections},
        names,
    },
    io::Dir,
    segment::Segment,
    store::origin,
};
use std::sync::Arc;

/// The ending of its file.
pub(crate) const BY_ITEM: &str = "items";
/// Changes when the content would.
const RECIPE: &str = "by_item/1";

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

/// Opens what was derived from a segment, if it is there and fits; see [`origin::adopt`].
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    segment: &Segment,
    rebuild: bool,
) -> Result<Option<Arc<ByItem>>> {
    origin::adopt(mode, rebuild, |mode| open(dir, mode, db, segment))
}

fn open(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    segment: &Segment,
) -> Result<Option<Arc<ByItem>>> {
    let path = names::derived(segment.uid, BY_ITEM);
    let sections = origin::open(dir, mode, db, segment, (&path, &[RECIPE.to_owned()]))?;
    let Some(sections) = sections else { return Ok(None) };
    let starts = sections.need(Kind::BY_ITEM_STARTS, 0)?;
    let events = sections.need(Kind::BY_ITEM_EVENTS, 0)?.len;
    let meta = &segment.meta;
    let whole =
        (u64::from(meta.event_items) + 1) * 4 == starts.len && u64::from(meta.events) * 4 == events;
    if !whole {
        return Err(starts.corrupt(0, "sections whose lengths do not fit the segment").into());
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
    let path = names::derived(segment.uid, BY_ITEM);
    origin::publish(dir, db, file, (&path, RECIPE), |sink| {
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
