//! The lists of one attribute of one segment: FORMAT.md chapter 9.

use crate::{
    error::Result,
    format::{
        Kind,
        envelope::Sections,
        section::{Column, Section},
        sink::Sink,
    },
    segment::{Strings, bits::Bits},
};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use std::{ops::Range, sync::OnceLock};

/// Which rows have which words. Dead rows are among them.
#[derive(Debug)]
pub(crate) struct Words {
    sections: Sections,
    attr: u16,
    rows: u32,
    /// How many texts and words there are, dead ones among them.
    totals: OnceLock<Totals>,
    /// The same without the dead, by how many of these there are: their number only grows.
    living: Mutex<Option<(u64, Totals)>>,
}

/// How many texts there are, and of how many words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) texts: u64,
    pub(crate) words: u64,
}

/// The list of one word.
pub(crate) struct List<'a> {
    pub(crate) rows: Column<'a, u32>,
    pub(crate) counts: Column<'a, u16>,
}

impl Words {
    /// Bytes of heap memory, about; none for those of a file.
    pub(crate) fn weight(&self) -> u64 {
        self.sections.heap_bytes()
    }

    /// Reconciles the lengths of the sections, which are of a segment with so many rows.
    pub(crate) fn open(sections: Sections, attr: u16, rows: u32) -> Result<Words> {
        let words =
            Words { sections, attr, rows, totals: OnceLock::new(), living: Mutex::default() };
        let (starts, lists) = (words.need(Kind::WORD_STARTS)?, words.need(Kind::WORD_LISTS)?);
        let (all, counts) = (words.need(Kind::WORD_ROWS)?, words.need(Kind::WORD_COUNTS)?);
        let lengths = words.need(Kind::WORD_LENGTHS)?;
        let whole = starts.len == lists.len
            && starts.len >= 8
            && starts.len % 8 == 0
            && u32::try_from(starts.len / 8 - 1).is_ok()
            && all.len % 4 == 0
            && all.len / 2 == counts.len
            && lengths.len == u64::from(rows) * 4;
        if !whole {
            return Err(starts.corrupt(0, "sections whose lengths do not fit together").into());
        }
        Ok(words)
    }

    fn need(&self, kind: Kind) -> Result<&Section> {
        self.sections.need(kind, self.attr)
    }

    /// Writes the same sections elsewhere.
    pub(crate) fn save(&self, sink: &mut Sink) -> Result<()> {
        for section in self.sections.iter().filter(|section| section.kind != Kind::ORIGIN) {
            sink.section(section.kind, section.field, &section.all()?)?;
        }
        Ok(())
    }

    /// How many rows the segment has.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// The words, ascending by their bytes.
    pub(crate) fn all(&self) -> Result<Strings<'_>> {
        Strings::texts(self.need(Kind::WORD_STARTS)?, self.need(Kind::WORD_BYTES)?)
    }

    /// The place of a word.
    pub(crate) fn find(&self, word: &str) -> Result<Option<u32>> {
        Ok(self.all()?.find_text(word)?.ok())
    }

    /// The places of the words that begin with these letters.
    pub(crate) fn beginning(&self, letters: &str) -> Result<Range<u32>> {
        let all = self.all()?;
        let from = all.find_text(letters)?.unwrap_or_else(|at| at);
        // Where it would be among the first so many bytes of each word, after its equals.
        let until = all.find(|at| {
            let word = all.text(at)?;
            let head = &word[..word.len().min(letters.len())];
            Ok(head.cmp(letters.as_bytes()).then(std::cmp::Ordering::Less))
        })?;
        let until = until.unwrap_or_else(|at| at);
        Ok(from..until.max(from))
    }

    /// Where the list of the word at a place lies.
    pub(crate) fn range(&self, at: u32) -> Result<Range<u64>> {
        let lists = self.need(Kind::WORD_LISTS)?;
        let pair = lists.column::<u64>(at.into()..u64::from(at) + 2)?;
        if pair[0] > pair[1] || pair[1] > self.need(Kind::WORD_ROWS)?.count::<u32>() {
            return Err(lists.corrupt(u64::from(at) * 8, "where lists begin").into());
        }
        Ok(pair[0]..pair[1])
    }

    /// The list of the word at a place.
    pub(crate) fn list(&self, at: u32) -> Result<List<'_>> {
        let range = self.range(at)?;
        let rows = self.need(Kind::WORD_ROWS)?.column::<u32>(range.clone())?;
        let counts = self.need(Kind::WORD_COUNTS)?.column::<u16>(range)?;
        Ok(List { rows, counts })
    }

    /// The rows of several lists, one after the other.
    pub(crate) fn listed(&self, places: Range<u32>) -> Result<Column<'_, u32>> {
        let (from, to) = match places.is_empty() {
            true => (0, 0),
            false => (self.range(places.start)?.start, self.range(places.end - 1)?.end),
        };
        self.need(Kind::WORD_ROWS)?.column::<u32>(from..to)
    }

    /// How many words each row has.
    pub(crate) fn lengths(&self) -> Result<Column<'_, u32>> {
        self.need(Kind::WORD_LENGTHS)?.column::<u32>(0..self.rows.into())
    }

    /// Damage in a list.
    pub(crate) fn damage(&self, what: &str) -> crate::error::Error {
        match self.need(Kind::WORD_ROWS) {
            Ok(section) => section.corrupt(0, what).into(),
            Err(error) => error,
        }
    }

    /// How many texts and words there are, but for those of dead rows.
    pub(crate) fn totals(&self, dead: &RoaringBitmap) -> Result<Totals> {
        let mut living = self.living.lock();
        if let Some((_, totals)) = living.filter(|(known, _)| *known == dead.len()) {
            return Ok(totals);
        }
        let lengths = self.lengths()?;
        let mut totals = match self.totals.get() {
            Some(totals) => *totals,
            None => {
                let mut totals = Totals::default();
                lengths.iter().for_each(|length| totals.add(*length));
                *self.totals.get_or_init(|| totals)
            }
        };
        let gone = dead.iter().filter_map(|row| lengths.get(row as usize));
        gone.for_each(|length| totals.take(*length));
        *living = Some((dead.len(), totals));
        Ok(totals)
    }

    /// How many rows have the word at a place, but for those that are dead.
    pub(crate) fn frequency(&self, at: u32, dead: Option<&Bits>) -> Result<u64> {
        let range = self.range(at)?;
        let Some(dead) = dead else { return Ok(range.end - range.start) };
        let rows = self.need(Kind::WORD_ROWS)?.column::<u32>(range)?;
        Ok(rows.iter().filter(|row| !dead.contains(**row)).count() as u64)
    }
}

impl Totals {
    fn add(&mut self, length: u32) {
        self.texts += u64::from(length > 0);
        self.words += u64::from(length);
    }

    fn take(&mut self, length: u32) {
        self.texts -= u64::from(length > 0);
        self.words -= u64::from(length);
    }
}
