//! Which rows and events of a segment are dead. FORMAT.md chapter 7.

use crate::{
    error::Result,
    format::{Kind, envelope::Sections, sink::Sink},
    segment::{bits::Bits, read_bitmap},
};
use roaring::RoaringBitmap;
use std::sync::OnceLock;

/// Dead rows were deleted or replaced; dead events were erased.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dead {
    pub(crate) rows: RoaringBitmap,
    pub(crate) events: RoaringBitmap,
    tested: Tested,
}

/// The dead rows once more, for testing one at a time; made when first asked for.
///
/// A copy starts without: whoever copies a list of the dead is about to change it.
#[derive(Debug, Default)]
struct Tested(OnceLock<Bits>);

impl Clone for Tested {
    fn clone(&self) -> Tested {
        Tested::default()
    }
}

impl PartialEq for Tested {
    fn eq(&self, _: &Tested) -> bool {
        true
    }
}

impl Dead {
    /// Bytes of heap memory, about.
    pub(crate) fn weight(&self) -> u64 {
        (self.rows.serialized_size() + self.events.serialized_size()) as u64
    }

    /// The dead rows as bits. From the first call on the rows must stay as they are.
    pub(crate) fn bits(&self) -> &Bits {
        self.tested.0.get_or_init(|| Bits::of(&self.rows))
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
        let (rows, events) = (read(Kind::DEAD_ROWS, rows)?, read(Kind::DEAD_EVENTS, events)?);
        Ok(Dead { rows, events, tested: Tested::default() })
    }
}

/// A bitmap in the portable format of the Roaring specification.
pub(crate) fn bitmap_bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    // Writing into a vector cannot fail.
    let _ = bitmap.serialize_into(&mut bytes);
    bytes
}
