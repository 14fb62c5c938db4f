//! Numbers: an attribute of numbers as a column to read at random, and in the order of its values.

use crate::{
    error::Result,
    format::{
        Kind,
        section::{Column, Section},
    },
    segment::Segment,
};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The ints, floats or times of one attribute of one segment.
pub(crate) struct Numbers<'a> {
    values: Column<'a, i64>,
    float: bool,
    /// The rows that have a value, if not all have.
    present: Option<Arc<RoaringBitmap>>,
    /// The rows that have one, by value, smallest first.
    order: Column<'a, u32>,
    sorted: &'a Section,
    rows: u32,
}

impl Segment {
    /// The numbers of an attribute; `None` if no row has it, or it is not of numbers here.
    pub(crate) fn numbers(&self, attr: u16) -> Result<Option<Numbers<'_>>> {
        let Some((ty @ 17..=19, count)) = self.attr_type(attr) else { return Ok(None) };
        let rows = self.rows();
        let sorted = self.sections.need(Kind::SORTED, attr)?;
        let present = match count == rows {
            true => None,
            false => Some(self.bitmap(Kind::PRESENT, attr)?),
        };
        Ok(Some(Numbers {
            values: self.sections.need(Kind::VALUES, attr)?.column(0..rows.into())?,
            float: ty == 18,
            present,
            order: sorted.column(0..count.into())?,
            sorted,
            rows,
        }))
    }
}

impl Numbers<'_> {
    /// The number of a row; `None` if it has none. Beyond 2^53, ints are rounded.
    pub(crate) fn get(&self, row: u32) -> Option<f64> {
        if self.present.as_ref().is_some_and(|present| !present.contains(row)) {
            return None;
        }
        let bits = *self.values.get(row as usize)?;
        Some(if self.float { f64::from_bits(bits.cast_unsigned()) } else { bits as f64 })
    }

    /// How many rows have a number.
    pub(crate) fn count(&self) -> u32 {
        self.order.len() as u32
    }

    /// The row at a place of the order of the numbers; smallest first.
    pub(crate) fn row(&self, place: u32) -> Result<u32> {
        match self.order.get(place as usize) {
            Some(row) if *row < self.rows => Ok(*row),
            _ => {
                let at = u64::from(place) * 4;
                Err(self.sorted.corrupt(at, "a row that does not exist").into())
            }
        }
    }
}
