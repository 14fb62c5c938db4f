//! Which rows and events of a segment are dead. FORMAT.md chapter 7.

use crate::{
    error::Result,
    format::{Kind, envelope::Sections, sink::Sink},
    segment::read_bitmap,
};
use roaring::RoaringBitmap;

/// Dead rows were deleted or replaced; dead events were erased.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dead {
    pub(crate) rows: RoaringBitmap,
    pub(crate) events: RoaringBitmap,
}

impl Dead {
    /// Bytes of heap memory, about.
    pub(crate) fn weight(&self) -> u64 {
        (self.rows.serialized_size() + self.events.serialized_size()) as u64
    }

    /// Writes the two sections of a `.dead` file.
    pub(crate) fn save(&self, sink: &mut Sink) -> Result<()> {
        for (kind, bitmap) in [(Kind::DEAD_ROWS, &self.rows), (Kind::DEAD_EVENTS, &self.events)] {
            sink.section(kind, 0, &bitmap_bytes(bitmap))?;
        }
        Ok(())
    }

    /// Reads a `.dead` file of a segment with so many rows and events.
    pub(crate) fn load(sections: &Sections, rows: u32, events: u32) -> Result<Dead> {
        let read = |kind, limit| {
            let section = sections.need(kind, 0)?;
            read_bitmap(section, &section.all()?, limit)
        };
        Ok(Dead { rows: read(Kind::DEAD_ROWS, rows)?, events: read(Kind::DEAD_EVENTS, events)? })
    }
}

/// A bitmap in the portable format of the Roaring specification.
pub(crate) fn bitmap_bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    // Writing into a vector cannot fail.
    let _ = bitmap.serialize_into(&mut bytes);
    bytes
}
