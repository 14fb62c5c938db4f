//! One immutable segment: rows ordered by key, events ordered by user and time.
//!
//! The same bytes on the heap or in a file, read through the same code. A segment knows nothing of
//! which of its rows are dead: that is `Dead`, kept beside it, since it changes.
//!
//! Rows have no order but that of their keys, so "ties by row" is "ties by key", and a lookup is a
//! binary search.

pub(crate) mod attrs;
pub(crate) mod bits;
pub(crate) mod build;
mod check;
mod columns;
pub(crate) mod cost;
pub(crate) mod dead;
mod estimate;
pub(crate) mod events;
mod few;
mod gather;
pub(crate) mod merge;
mod number;
pub(crate) mod predicate;
pub(crate) mod source;

pub(crate) use columns::Strings;
pub(crate) use estimate::Estimate;
pub(crate) use number::Numbers;

use crate::{
    error::{Corruption, Result},
    format::{
        Kind,
        archive::{self, Meta},
        columns::typed,
        envelope::Sections,
        manifest::FileRef,
        section::{Column, Section, Slice},
    },
    key::Key,
    limits::SEGMENT_ROWS_MAX,
    schema::{AttrType, Encoding, Space},
    vector::encode,
};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use std::{collections::HashMap, sync::Arc};

/// One immutable segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sections: Sections,
    pub(crate) meta: Meta,
    /// Names this segment within the process: numbers of files, or of heap segments.
    pub(crate) uid: u64,
    /// First and last key, so that most lookups elsewhere are over at once.
    bounds: Option<(Key, Key)>,
    /// Bitmaps that single-row reads need again and again.
    bitmaps: Mutex<HashMap<(Kind, u16), Arc<RoaringBitmap>>>,
}

/// How META writes an encoding.
pub(crate) fn encoding_number(encoding: Encoding) -> u16 {
    match encoding {
        Encoding::F32 => 0,
        Encoding::F16 => 1,
        Encoding::I8 => 2,
        Encoding::Binary => 3,
        Encoding::U8 => 4,
    }
}

/// How META writes an attribute's type.
pub(crate) fn type_number(ty: AttrType) -> u16 {
    match ty {
        AttrType::Bool => 16,
        AttrType::Int => 17,
        AttrType::Float => 18,
        AttrType::Time => 19,
        AttrType::Tag => 20,
        AttrType::Tags => 21,
        AttrType::Text => 22,
    }
}

impl Segment {
    /// Reads META and checks that every column has the length it must have.
    pub(crate) fn open(sections: Sections, uid: u64) -> Result<Segment> {
        let section = sections.need(Kind::META, 0)?;
        let meta = archive::load(&section.all()?)
            .map_err(|why| section.corrupt(0, "fields").found(why))?;
        let mut segment = Segment { sections, meta, uid, bounds: None, bitmaps: Mutex::default() };
        segment.check()?;
        if segment.rows() > 0 {
            segment.bounds = Some((segment.key(0)?, segment.key(segment.rows() - 1)?));
        }
        Ok(segment)
    }

    /// Two fields that say the same thing are reconciled at once.
    fn check(&self) -> Result<()> {
        let Meta { rows, events, users, event_items, .. } = self.meta;
        if u64::from(rows) > SEGMENT_ROWS_MAX || u64::from(events) > SEGMENT_ROWS_MAX {
            return Err(self.damage("counts in META").into());
        }
        match self.meta.key_kind {
            0 => self.expect(Kind::KEYS, 0, u64::from(rows) * 8)?,
            1 => self.expect(Kind::KEY_STARTS, 0, (u64::from(rows) + 1) * 8)?,
            _ => return Err(self.damage("kind of keys in META").into()),
        }
        if events > 0 {
            self.check_events(u64::from(events), u64::from(users), u64::from(event_items))?;
        }
        let sorted = self.meta.fields.windows(2).all(|pair| pair[0].id < pair[1].id);
        let within = self.meta.fields.iter().all(|field| field.count <= rows);
        if !sorted || !within {
            return Err(self.damage("fields in META").into());
        }
        self.meta.fields.iter().try_for_each(|field| self.check_field(field))
    }

    fn check_events(&self, events: u64, users: u64, items: u64) -> Result<()> {
        self.expect(Kind::EVENT_USERS, 0, users * 8)?;
        self.expect(Kind::EVENT_STARTS, 0, (users + 1) * 4)?;
        self.expect(Kind::EVENT_ITEMS, 0, events * 4)?;
        self.expect(Kind::EVENT_KINDS, 0, events)?;
        self.expect(Kind::EVENT_AT, 0, events * 8)?;
        self.expect(Kind::EVENT_RECORDED, 0, events * 8)?;
        match self.meta.key_kind {
            0 => self.expect(Kind::ITEM_KEYS, 0, items * 8),
            _ => self.expect(Kind::ITEM_KEY_STARTS, 0, (items + 1) * 8),
        }
    }

    fn check_field(&self, field: &archive::Field) -> Result<()> {
        let (rows, count) = (u64::from(self.meta.rows), u64::from(field.count));
        let encoding = match field.ty {
            0 => Encoding::F32,
            1 => Encoding::F16,
            2 => Encoding::I8,
            3 => Encoding::Binary,
            4 => Encoding::U8,
            16 => return self.sections.need(Kind::TRUE, field.id).map(drop),
            17..=19 => {
                self.expect(Kind::VALUES, field.id, rows * 8)?;
                return self.expect(Kind::SORTED, field.id, count * 4);
            }
            20 => return self.expect(Kind::CODES, field.id, rows * 4),
            21 => return self.expect(Kind::LISTS, field.id, (rows + 1) * 8),
            22 => {
                self.expect(Kind::TEXT_STARTS, field.id, (rows + 1) * 8)?;
                return self.expect(Kind::SORTED, field.id, count * 4);
            }
            _ => return Err(self.damage("type of a field in META").into()),
        };
        self.expect(Kind::VECTORS, field.id, encoding.row_bytes(field.dim) as u64 * count)?;
        if encoding == Encoding::I8 {
            self.expect(Kind::SCALES, field.id, count * 4)?;
        }
        if count < rows {
            self.expect(Kind::VECTOR_ROWS, field.id, count * 4)?;
        }
        Ok(())
    }

    fn expect(&self, kind: Kind, field: u16, bytes: u64) -> Result<()> {
        let section = self.sections.need(kind, field)?;
        if section.len != bytes {
            let damage = section.corrupt(0, "length").expected(bytes);
            return Err(damage.found(section.len).into());
        }
        Ok(())
    }

    /// Damage that has no better place than the file.
    pub(crate) fn damage(&self, what: &str) -> Corruption {
        Corruption::new(&self.sections.path, 0, what)
    }

    /// How many rows there are, dead or alive.
    pub(crate) fn rows(&self) -> u32 {
        self.meta.rows
    }

    /// Its file, if it has one.
    pub(crate) fn file(&self) -> Option<FileRef> {
        self.sections.file
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sections.bytes()
    }

    /// The keys of its rows, ascending.
    pub(crate) fn keys(&self) -> Result<Strings<'_>> {
        Strings::open(self, (Kind::KEYS, Kind::KEY_STARTS, Kind::KEY_BYTES), 0, self.rows())
    }

    /// The key of a row.
    pub(crate) fn key(&self, row: u32) -> Result<Key> {
        match &self.bounds {
            // Ascending numbers without a gap: nothing has to be read.
            Some((Key::Id(first), Key::Id(last)))
                if last.checked_sub(*first) == Some(u64::from(self.rows() - 1))
                    && row < self.rows() =>
            {
                Ok(Key::Id(first + u64::from(row)))
            }
            _ => self.keys()?.key(row),
        }
    }

    /// The row of a key, dead or alive.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<u32>> {
        match &self.bounds {
            Some((first, last)) if key >= first && key <= last => self.keys()?.find_key(key),
            _ => Ok(None),
        }
    }

    /// The space as this segment stores it, if it has any vectors in it.
    pub(crate) fn space(&self, space: &Space) -> Result<Option<Stored<'_>>> {
        let Ok(at) = self.meta.fields.binary_search_by_key(&space.id, |f| f.id) else {
            return Ok(None);
        };
        let field = self.meta.fields[at];
        if field.ty != encoding_number(space.encoding) || field.dim != space.dim {
            return Err(self.damage("a space that differs from the schema's").into());
        }
        let vectors = self.sections.need(Kind::VECTORS, space.id)?;
        let scales = match space.encoding {
            Encoding::I8 => Some(self.sections.need(Kind::SCALES, space.id)?),
            // One that a forger added would not fit the query.
            _ => None,
        };
        let rows = self.sections.get(Kind::VECTOR_ROWS, space.id);
        let row_bytes = space.encoding.row_bytes(space.dim) as u64;
        Ok(Some(Stored { vectors, scales, rows, row_bytes, count: field.count }))
    }

    /// Appends the row's vector to `out`, decoded; `false` if it has none.
    pub(crate) fn vector(&self, row: u32, space: &Space, out: &mut Vec<f32>) -> Result<bool> {
        let Some(stored) = self.space(space)? else { return Ok(false) };
        let Some(at) = stored.position(row)? else { return Ok(false) };
        let scale = match stored.scales {
            Some(scales) => scales.get::<f32>(at.into())?,
            None => 1.0,
        };
        encode::decode(space, &stored.read(at, at + 1)?, scale, out);
        Ok(true)
    }
}

/// The vectors of one space in one segment: packed, for the rows that have one.
pub(crate) struct Stored<'a> {
    vectors: &'a Section,
    pub(crate) scales: Option<&'a Section>,
    rows: Option<&'a Section>,
    pub(crate) row_bytes: u64,
    pub(crate) count: u32,
}

impl<'a> Stored<'a> {
    /// The stored bytes of positions `from..to`.
    pub(crate) fn read(&self, from: u32, to: u32) -> Result<Slice<'a>> {
        self.vectors.read(u64::from(from) * self.row_bytes..u64::from(to) * self.row_bytes)
    }

    /// The section of the vectors, and where in it one is: what is checked by a sum of its own.
    pub(crate) fn at(&self, place: u32) -> (&'a Section, std::ops::Range<u64>) {
        let from = u64::from(place) * self.row_bytes;
        (self.vectors, from..from + self.row_bytes)
    }

    /// Asks for the vectors of places to be fetched, before they are read one after the other.
    pub(crate) fn ask(&self, from: u32, to: u32) {
        self.vectors.ask(u64::from(from) * self.row_bytes..u64::from(to) * self.row_bytes);
    }

    /// Asks for the vector at a place to be brought nearer.
    pub(crate) fn touch(&self, place: u32) {
        let (from, to) = (u64::from(place), u64::from(place) + 1);
        if let Some(bytes) = self.vectors.peek(from * self.row_bytes..to * self.row_bytes) {
            crate::vector::kernel::hop::touch(bytes);
        }
    }

    /// Whether every row has a vector, so that places are rows.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.is_none()
    }

    /// Whose vector is at a place.
    pub(crate) fn row(&self, place: u32) -> Result<u32> {
        self.rows.map_or(Ok(place), |rows| rows.get::<u32>(place.into()))
    }

    /// Where a row's vector is.
    pub(crate) fn position(&self, row: u32) -> Result<Option<u32>> {
        let Some(rows) = self.rows else {
            return Ok((row < self.count).then_some(row));
        };
        let place = self.at_least(row)?;
        Ok((place < self.count && rows.get::<u32>(place.into())? == row).then_some(place))
    }

    /// The first place whose row is this one or one after it.
    pub(crate) fn at_least(&self, row: u32) -> Result<u32> {
        let Some(rows) = self.rows else { return Ok(row.min(self.count)) };
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match rows.get::<u32>(middle.into())? < row {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// Whose vectors are at some places, ascending, where not every row has one.
    pub(crate) fn rows_of(&self, places: std::ops::Range<u32>) -> Result<Column<'a, u32>> {
        let rows = self.rows.unwrap_or(self.vectors);
        let list = rows.column::<u32>(places.start.into()..places.end.into())?;
        if !list.is_sorted_by(|a, b| a < b) {
            return Err(rows.corrupt(0, "rows out of order").into());
        }
        Ok(list)
    }

    /// The rows that have a vector, ascending; `None` if all have.
    pub(crate) fn row_list(&self) -> Result<Option<Vec<u32>>> {
        if self.rows.is_none() {
            return Ok(None);
        }
        let list = self.rows_of(0..self.count)?;
        Ok(Some(list.to_vec()))
    }
}

/// Reads a stored bitmap, checked: no row is beyond `limit`.
pub(crate) fn read_bitmap(section: &Section, bytes: &[u8], limit: u32) -> Result<RoaringBitmap> {
    let bitmap = RoaringBitmap::deserialize_from(bytes)
        .map_err(|e| section.corrupt(0, "a bitmap").found(e))?;
    if bitmap.max() >= Some(limit) {
        return Err(section.corrupt(0, "a bitmap").found("a row that does not exist").into());
    }
    Ok(bitmap)
}

/// The numbers of a slice that was checked to hold whole numbers.
pub(crate) fn numbers<'s, T: crate::format::columns::Plain>(
    section: &Section,
    slice: &'s [u8],
) -> Result<&'s [T]> {
    typed(slice).ok_or_else(|| section.corrupt(0, "numbers that do not fit").into())
}
