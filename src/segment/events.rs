//! Reading events: grouped by user, ordered by when they happened. FORMAT.md chapter 6.

use crate::{
    error::Result,
    format::{
        Kind,
        columns::Plain,
        section::{Column, Section},
    },
    key::{Timestamp, UserId},
    segment::{Segment, Strings},
};
use std::{cmp::Ordering, ops::Range};

/// The events of one segment.
pub(crate) struct Events<'a> {
    segment: &'a Segment,
    users: &'a Section,
    starts: &'a Section,
    pub(crate) count: u32,
}

/// One event as stored; `item` is a number in the segment's list of event items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) item: u32,
    pub(crate) kind: u8,
    pub(crate) at: Timestamp,
    pub(crate) recorded: Timestamp,
    pub(crate) value: Option<f32>,
    pub(crate) request: Option<u64>,
    pub(crate) position: Option<u16>,
}

pub(crate) const HAS_VALUE: u8 = 1;
pub(crate) const HAS_REQUEST: u8 = 2;
pub(crate) const HAS_POSITION: u8 = 4;

/// Columns of a range of events: what counting and learning read.
pub(crate) struct Block<'a> {
    pub(crate) items: Column<'a, u32>,
    pub(crate) kinds: Column<'a, u8>,
    pub(crate) at: Column<'a, i64>,
    pub(crate) recorded: Column<'a, i64>,
}

/// All columns of a range of events.
pub(crate) struct Details<'a> {
    pub(crate) block: Block<'a>,
    flags: Option<Column<'a, u8>>,
    values: Option<Column<'a, f32>>,
    requests: Option<Column<'a, u64>>,
    positions: Option<Column<'a, u16>>,
}

impl Details<'_> {
    /// The event at `i` of the range.
    pub(crate) fn get(&self, i: usize) -> Stored {
        let flags = self.flags.as_ref().map_or(0, |flags| flags[i]);
        let (block, has) = (&self.block, |flag| flags & flag != 0);
        Stored {
            item: block.items[i],
            kind: block.kinds[i],
            at: Timestamp(block.at[i]),
            recorded: Timestamp(block.recorded[i]),
            value: self.values.as_ref().map(|v| v[i]).filter(|_| has(HAS_VALUE)),
            request: self.requests.as_ref().map(|r| r[i]).filter(|_| has(HAS_REQUEST)),
            position: self.positions.as_ref().map(|p| p[i]).filter(|_| has(HAS_POSITION)),
        }
    }
}

impl Segment {
    /// Its events, if it has any.
    pub(crate) fn events(&self) -> Result<Option<Events<'_>>> {
        if self.meta.events == 0 {
            return Ok(None);
        }
        let users = self.sections.need(Kind::EVENT_USERS, 0)?;
        let starts = self.sections.need(Kind::EVENT_STARTS, 0)?;
        Ok(Some(Events { segment: self, users, starts, count: self.meta.events }))
    }
}

impl<'a> Events<'a> {
    /// How many distinct users there are.
    pub(crate) fn user_count(&self) -> u32 {
        self.segment.meta.users
    }

    /// The user at `index`, ascending, and where their events are.
    pub(crate) fn user(&self, index: u32) -> Result<(UserId, Range<u32>)> {
        let user = UserId(self.users.get::<u64>(index.into())?);
        Ok((user, self.range(index)?))
    }

    /// Where a user's events are; empty if there are none.
    pub(crate) fn of_user(&self, user: UserId) -> Result<Range<u32>> {
        let (mut low, mut high) = (0, self.user_count());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.users.get::<u64>(middle.into())?.cmp(&user.0) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return self.range(middle),
            }
        }
        Ok(0..0)
    }

    /// The user whose event is at a position.
    pub(crate) fn owner(&self, at: u32) -> Result<UserId> {
        let (mut low, mut high) = (0, self.user_count());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.starts.get::<u32>(middle.into())? <= at { low = middle } else { high = middle }
        }
        Ok(UserId(self.users.get::<u64>(low.into())?))
    }

    fn range(&self, index: u32) -> Result<Range<u32>> {
        let pair = self.starts.column::<u32>(index.into()..u64::from(index) + 2)?;
        if pair[0] > pair[1] || pair[1] > self.count {
            return Err(self.starts.corrupt(u64::from(index) * 4, "a range of events").into());
        }
        Ok(pair[0]..pair[1])
    }

    /// How many of `range`, which is one user's, happened at `as_of` or before: they come first.
    pub(crate) fn happened_by(&self, range: Range<u32>, as_of: Timestamp) -> Result<u32> {
        let at = self.column::<i64>(Kind::EVENT_AT, range)?;
        Ok(at.partition_point(|t| *t <= as_of.0) as u32)
    }

    /// The main columns of a range.
    pub(crate) fn block(&self, range: Range<u32>) -> Result<Block<'a>> {
        Ok(Block {
            items: self.column(Kind::EVENT_ITEMS, range.clone())?,
            kinds: self.column(Kind::EVENT_KINDS, range.clone())?,
            at: self.column(Kind::EVENT_AT, range.clone())?,
            recorded: self.column(Kind::EVENT_RECORDED, range)?,
        })
    }

    /// One column of a range.
    pub(crate) fn column<T: Plain>(&self, kind: Kind, range: Range<u32>) -> Result<Column<'a, T>> {
        self.segment.sections.need(kind, 0)?.column(range.start.into()..range.end.into())
    }

    /// One event, with everything that is known of it.
    pub(crate) fn get(&self, at: u32) -> Result<Stored> {
        Ok(self.details(at..at.saturating_add(1))?.get(0))
    }

    /// All columns of a range, to read many of its events.
    pub(crate) fn details(&self, range: Range<u32>) -> Result<Details<'a>> {
        Ok(Details {
            block: self.block(range.clone())?,
            flags: self.optional(Kind::EVENT_FLAGS, &range)?,
            values: self.optional(Kind::EVENT_VALUES, &range)?,
            requests: self.optional(Kind::EVENT_REQUESTS, &range)?,
            positions: self.optional(Kind::EVENT_POSITIONS, &range)?,
        })
    }

    fn optional<T: Plain>(&self, kind: Kind, range: &Range<u32>) -> Result<Option<Column<'a, T>>> {
        let section = self.segment.sections.get(kind, 0);
        section.map(|section| section.column(range.start.into()..range.end.into())).transpose()
    }

    /// The items of events, ascending; events refer to them by number.
    pub(crate) fn items(&self) -> Result<Strings<'a>> {
        let kinds = (Kind::ITEM_KEYS, Kind::ITEM_KEY_STARTS, Kind::ITEM_KEY_BYTES);
        Strings::open(self.segment, kinds, 0, self.segment.meta.event_items)
    }
}
