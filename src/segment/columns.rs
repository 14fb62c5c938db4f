//! A sorted or unsorted list of keys or strings in a segment: numbers, or bytes with starts.

use crate::{
    error::Result,
    format::{
        Kind,
        section::{Section, Slice},
    },
    key::Key,
    segment::Segment,
};
use std::cmp::Ordering;

/// A list of keys, terms or texts. Number keys need one section; everything else starts and bytes.
pub(crate) struct Strings<'a> {
    ids: Option<&'a Section>,
    starts: Option<&'a Section>,
    bytes: Option<&'a Section>,
    len: u32,
}

impl<'a> Strings<'a> {
    /// Keys of the segment's kind.
    pub(crate) fn open(
        segment: &'a Segment,
        (ids, starts, bytes): (Kind, Kind, Kind),
        field: u16,
        len: u32,
    ) -> Result<Strings<'a>> {
        let need = |kind| segment.sections.need(kind, field).map(Some);
        match segment.meta.key_kind {
            0 => Ok(Strings { ids: need(ids)?, starts: None, bytes: None, len }),
            _ => Ok(Strings { ids: None, starts: need(starts)?, bytes: need(bytes)?, len }),
        }
    }

    /// Strings with starts and bytes: as many as there are starts, less one.
    pub(crate) fn texts(starts: &'a Section, bytes: &'a Section) -> Result<Strings<'a>> {
        let count = starts.count::<u64>().checked_sub(1).and_then(|n| u32::try_from(n).ok());
        let len = count.ok_or_else(|| starts.corrupt(0, "length of a list of strings"))?;
        Ok(Strings { ids: None, starts: Some(starts), bytes: Some(bytes), len })
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The bytes of string `at`.
    pub(crate) fn text(&self, at: u32) -> Result<Slice<'a>> {
        match (self.starts, self.bytes) {
            (Some(starts), Some(bytes)) => {
                let pair = starts.column::<u64>(at.into()..u64::from(at) + 2)?;
                bytes.read(pair[0]..pair[1])
            }
            _ => Ok(Slice::Borrowed(&[])),
        }
    }

    /// String `at`, as the text it must be.
    pub(crate) fn string(&self, at: u32) -> Result<String> {
        let bytes = self.text(at)?;
        let text = std::str::from_utf8(&bytes).map(str::to_owned);
        text.map_err(|e| match self.bytes {
            Some(section) => section.corrupt(0, "a text").found(e).into(),
            None => crate::error::Error::invalid("text", e.to_string()),
        })
    }

    /// Key `at`.
    pub(crate) fn key(&self, at: u32) -> Result<Key> {
        match self.ids {
            Some(ids) => Ok(Key::Id(ids.get::<u64>(at.into())?)),
            None => Ok(Key::Name(self.string(at)?.into())),
        }
    }

    /// All keys, of a list of number keys.
    pub(crate) fn id_column(&self) -> Result<Option<crate::format::section::Column<'a, u64>>> {
        self.ids.map(|ids| ids.column(0..self.len.into())).transpose()
    }

    /// Where a key is in an ascending list.
    pub(crate) fn find_key(&self, key: &Key) -> Result<Option<u32>> {
        let at = match (key, self.ids) {
            (Key::Id(id), Some(ids)) => self.find(|at| Ok(ids.get::<u64>(at.into())?.cmp(id)))?,
            (Key::Name(name), None) => self.find_text(name)?,
            _ => return Ok(None),
        };
        Ok(at.ok())
    }

    /// How many keys of an ascending list are not beyond a key.
    pub(crate) fn lower_bound(&self, key: &Key) -> Result<u32> {
        let place = self.find(|at| Ok(self.key(at)?.cmp(key)))?;
        Ok(place.map_or_else(|at| at, |at| at + 1))
    }

    /// Where a text is in an ascending list, or where it would be.
    pub(crate) fn find_text(&self, text: &str) -> Result<Result<u32, u32>> {
        self.find(|at| Ok((*self.text(at)?).cmp(text.as_bytes())))
    }

    /// Binary search.
    pub(crate) fn find(
        &self,
        compare: impl Fn(u32) -> Result<Ordering>,
    ) -> Result<Result<u32, u32>> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(middle)? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Ok(middle)),
            }
        }
        Ok(Err(low))
    }
}
