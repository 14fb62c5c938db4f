//! Files that can be computed again: which a part has, lacks, or must drop. FORMAT.md chapter 9.
//!
//! A derived file is found, not listed: it says in its ORIGIN section from which segment and by which
//! recipe it was made. One that does not fit is removed by the next writer; one that is missing costs time only. A damaged one is an error, unless
//! `Options::rebuild_derived` says to build it again: a silent fallback would hide a failing disk.
//!
//! There are five: the events of a segment by item, here and in `by_item`; its graphs, in `graphs`
//! and `index`; what those grow from, in `seeds` and `sow`; its semantic IDs, in `semantic`; the words of
//! its texts, in `words`.

use crate::{
    error::Result,
    format::{Kind, names},
    key::Key,
    store::{
        Store, by_item, graphs, semantic,
        version::{Part, Version},
        words,
    },
};

use roaring::RoaringBitmap;

/// Fewer events than this are scanned faster than a file is opened.
pub(crate) const EVENTS_MIN: u32 = 4096;

impl Part {
    /// The positions of an item's events, dead ones among them.
    pub(crate) fn events_of(&self, item: &Key) -> Result<RoaringBitmap> {
        self.events_of_all([item])
    }

    /// The positions of the events of some items, dead ones among them. However many items they are, the
    /// events are gone through once.
    pub(crate) fn events_of_all<'k>(
        &self,
        items: impl IntoIterator<Item = &'k Key>,
    ) -> Result<RoaringBitmap> {
        let (mut items, mut positions) = (items.into_iter().peekable(), RoaringBitmap::new());
        let Some(events) = self.segment.events()?.filter(|_| items.peek().is_some()) else {
            return Ok(positions);
        };
        let (known, mut codes) = (events.items()?, RoaringBitmap::new());
        for item in items {
            codes.extend(known.find_key(item)?);
        }
        if let Some(by_item) = &self.by_item {
            for code in codes {
                positions.extend(by_item.events(code, events.count)?);
            }
            return Ok(positions);
        }
        if codes.is_empty() {
            return Ok(positions);
        }
        let column = events.column::<u32>(Kind::EVENT_ITEMS, 0..events.count)?;
        let theirs =
            (0..events.count).zip(column.iter()).filter(|(_, code)| codes.contains(**code));
        positions.extend(theirs.map(|(at, _)| at));
        Ok(positions)
    }

    /// Whether a derived file would be worth its while and is not there.
    pub(crate) fn lacks_by_item(&self) -> bool {
        !self.on_heap() && self.by_item.is_none() && self.segment.meta.events >= EVENTS_MIN
    }
}

impl Store {
    /// Opens what another process has derived since; says whether there was anything.
    pub(crate) fn adopt_derived(&self, version: &mut Version) -> Result<bool> {
        let (mode, db, mut any) = (&self.mode, &self.db, false);
        for part in version.parts.iter_mut().filter(|part| !part.on_heap()) {
            if part.lacks_by_item() {
                let rebuild = self.options.rebuild_derived;
                part.by_item = by_item::adopt(&*self.dir, mode, db, &part.segment, rebuild)?;
                any |= part.by_item.is_some();
            }
            let what = (&mut *part, &*version.schema);
            any |= graphs::adopt_all(&*self.dir, mode, db, what, &self.options)?;
            let what = (&mut *part, &*version.schema);
            any |= words::adopt_all(&*self.dir, mode, db, what, &self.options)?;
            let what = (part, &version.artifacts[..]);
            any |= semantic::adopt_all(&*self.dir, mode, db, what, &self.options)?;
        }
        Ok(any)
    }

    /// Derives what the first part that lacks something lacks; says whether there was one.
    pub(crate) fn derive(&self) -> Result<bool> {
        self.chore(|| {
            let version = self.current();
            let Some(at) = version.parts.iter().position(Part::lacks_by_item) else {
                return Ok(false);
            };
            let part = &version.parts[at];
            // Before it is there: it may be written and then not be read.
            self.published(names::derived(part.segment.uid, by_item::BY_ITEM));
            let by_item = by_item::write(&*self.dir, &self.mode, self.db, &part.segment)?;
            let writer = self.writer.lock();
            let now = self.current();
            let mut parts = now.parts.clone();
            parts[at].by_item = by_item;
            self.swap(Version { parts, ..(*now).clone() });
            drop(writer);
            Ok(true)
        })
    }
}
