//! What a checksum cannot say: that lists are in order and numbers refer to something.
//!
//! A merge relies on it for its bounds on memory and time, `verify` for its report. Single reads do
//! not: they check what they touch.

use crate::{
    error::Result,
    format::{Kind, section::Section},
    segment::{Segment, numbers},
};

/// Numbers checked at a time.
const PIECE: u64 = 8192;

impl Segment {
    /// Checks all lists of starts, all keys, users and numbers of items.
    pub(crate) fn check_deep(&self) -> Result<()> {
        for section in self.sections.iter() {
            match section.kind {
                Kind::KEYS | Kind::EVENT_USERS | Kind::ITEM_KEYS => {
                    ascending::<u64>(section, |a, b| a < b)?;
                }
                Kind::KEY_STARTS | Kind::TERM_STARTS | Kind::TEXT_STARTS => {
                    ascending::<u64>(section, |a, b| a <= b)?;
                }
                Kind::POSTING_STARTS | Kind::LISTS | Kind::ITEM_KEY_STARTS => {
                    ascending::<u64>(section, |a, b| a <= b)?;
                }
                Kind::VECTOR_ROWS => ascending::<u32>(section, |a, b| a < b)?,
                Kind::EVENT_STARTS => {
                    ascending::<u32>(section, |a, b| a < b)?;
                    let (count, last) = (section.count::<u32>(), self.meta.events);
                    if section.get::<u32>(0)? != 0 || section.get::<u32>(count - 1)? != last {
                        return Err(section.corrupt(0, "ranges that leave out events").into());
                    }
                }
                Kind::EVENT_ITEMS => below(section, self.meta.event_items)?,
                Kind::SORTED => below(section, self.rows())?,
                _ => {}
            }
        }
        match self.meta.key_kind {
            1 => self.check_names(),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<()> {
        let keys = self.keys()?;
        for row in 1..keys.len() {
            if *keys.text(row - 1)? >= *keys.text(row)? {
                return Err(self.damage("keys out of order").into());
            }
        }
        Ok(())
    }
}

fn ascending<T: crate::format::columns::Plain>(
    section: &Section,
    fine: impl Fn(&T, &T) -> bool,
) -> Result<()> {
    let count = section.count::<T>();
    let mut at = 0;
    while at < count {
        // One number of the next piece, so that pieces are compared with each other too.
        let end = count.min(at + PIECE + 1);
        let size = size_of::<T>() as u64;
        let bytes = section.read(at * size..end * size)?;
        if !numbers::<T>(section, &bytes)?.windows(2).all(|w| fine(&w[0], &w[1])) {
            return Err(section.corrupt(at * size, "numbers out of order").into());
        }
        at += PIECE;
    }
    Ok(())
}

fn below(section: &Section, limit: u32) -> Result<()> {
    let count = section.count::<u32>();
    let mut at = 0;
    while at < count {
        let end = count.min(at + PIECE);
        if section.column::<u32>(at..end)?.iter().any(|n| *n >= limit) {
            return Err(section.corrupt(at * 4, "a number that refers to nothing").into());
        }
        at = end;
    }
    Ok(())
}
