//! What a user did, as it was known at a time.

use crate::{
    defects::{self, Defect},
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
    limits::LIMIT_MAX,
    segment::{Strings, events::Stored},
    store::{snapshot::Snapshot, version::Part},
};
use std::time::Duration;

/// Which events of a user to read. Start from `HistoryQuery::default()`, which is the last 1,000 of
/// everything known.
///
/// ```
/// use bowerbird::{HistoryQuery, Timestamp, days};
/// let query = HistoryQuery::default()
///     .as_of(Timestamp::from_secs(1_700_000_000))
///     .window(days(30))
///     .kinds(["buy"])
///     .limit(200);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// Both clocks: what had happened *and* was known by then.
    pub as_of: Timestamp,
    /// Only what happened less than this before `as_of`; `None` for all of it.
    pub window: Option<Duration>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<String>,
    /// The latest so many.
    pub limit: usize,
}

impl Default for HistoryQuery {
    fn default() -> HistoryQuery {
        HistoryQuery { as_of: Timestamp::MAX, window: None, kinds: Vec::new(), limit: 1000 }
    }
}

impl HistoryQuery {
    /// Reads what had happened and was known at a time.
    pub fn as_of(mut self, at: Timestamp) -> HistoryQuery {
        self.as_of = at;
        self
    }

    /// Reads only what happened less than this before `as_of`.
    pub fn window(mut self, window: Duration) -> HistoryQuery {
        self.window = Some(window);
        self
    }

    /// Reads only these kinds.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> HistoryQuery {
        self.kinds = kinds.into_iter().map(str::to_owned).collect();
        self
    }

    /// Reads the latest so many.
    pub fn limit(mut self, limit: usize) -> HistoryQuery {
        self.limit = limit;
        self
    }
}

/// One event of a user's history.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("view"))?;
/// db.batch().event(Event::new(7, 17u64, "view", Timestamp(5))).commit()?;
/// let history = db.snapshot().history(UserId(7), &HistoryQuery::default())?;
/// assert_eq!(history.deeds[0].item, Key::Id(17));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Deed {
    /// To which item.
    pub item: Key,
    /// What, as an index into [`crate::Schema::events`].
    pub kind: u8,
    /// When it happened.
    pub at: Timestamp,
    /// When it became known.
    pub recorded: Timestamp,
    /// A rating, a price, a duration.
    pub value: Option<f32>,
    /// Which answer of the recommender it belongs to.
    pub request: Option<u64>,
    /// At which position of that answer.
    pub position: Option<u16>,
}

/// What a user did, oldest first. Events at the same time are in order of recording, then arrival.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let history = Db::in_memory(Schema::new())?.snapshot().history(UserId(7), &HistoryQuery::default())?;
/// assert!(history.deeds.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The events.
    pub deeds: Vec<Deed>,
}

impl Snapshot {
    /// What a user had done by `query.as_of`, as far as it was known then.
    ///
    /// # Errors
    /// `NotFound` for an unknown kind of event; `Invalid` for a limit of 0 or more than a million.
    pub fn history(&self, user: UserId, query: &HistoryQuery) -> Result<History> {
        if query.limit == 0 || query.limit > LIMIT_MAX {
            let why = format!("is {}; it must be 1 to {LIMIT_MAX}", query.limit);
            return Err(Error::invalid("limit of a history", why));
        }
        let mut wanted = Wanted::new(self, query)?;
        let mut found: Vec<(Stored, u32)> = Vec::new();
        for (at, part) in (0u32..).zip(&self.version.parts) {
            wanted.read(part, user, |event| found.push((event, at)))?;
        }
        // Stable, and parts are in order of arrival, so events at the same time stay in that order.
        found.sort_by_key(|(event, _)| (event.at, event.recorded));
        let latest = found.split_off(found.len().saturating_sub(query.limit));
        let mut items: Vec<Option<Strings<'_>>> = Vec::new();
        for part in &self.version.parts {
            items.push(part.segment.events()?.map(|events| events.items()).transpose()?);
        }
        let mut deeds = Vec::with_capacity(latest.len());
        for (event, part) in latest {
            let Some(items) = &items[part as usize] else { continue };
            let Stored { kind, at, recorded, value, request, position, .. } = event;
            let item = items.key(event.item)?;
            deeds.push(Deed { item, kind, at, recorded, value, request, position });
        }
        Ok(History { deeds })
    }
}

/// A query with its kinds as numbers.
struct Wanted {
    as_of: Timestamp,
    after: Timestamp,
    kinds: Vec<u8>,
    limit: usize,
}

impl Wanted {
    fn new(snapshot: &Snapshot, query: &HistoryQuery) -> Result<Wanted> {
        let number = |kind: &String| snapshot.schema().find_event(kind);
        let kinds = query.kinds.iter().map(number).collect::<Result<_>>()?;
        let after = query.window.map_or(Timestamp(i64::MIN), |window| query.as_of.minus(window));
        Ok(Wanted { as_of: query.as_of, after, kinds, limit: query.limit })
    }

    /// The latest events of one part, oldest first.
    fn read(&mut self, part: &Part, user: UserId, mut push: impl FnMut(Stored)) -> Result<()> {
        let Some(events) = part.segment.events()? else { return Ok(()) };
        let range = events.of_user(user)?;
        if range.is_empty() {
            return Ok(());
        }
        let happened = events.happened_by(range.clone(), self.as_of)?;
        let details = events.details(range.start..range.start + happened)?;
        let (block, mut taken) = (&details.block, Vec::new());
        for i in (0..happened as usize).rev() {
            let (at, known) = (Timestamp(block.at[i]), Timestamp(block.recorded[i]));
            // Without a window, `after` is the earliest time there is, which counts as after itself.
            if (at <= self.after && self.after.0 != i64::MIN) || taken.len() == self.limit {
                break;
            }
            let known = known <= self.as_of || defects::on(Defect::AsOfIgnoresRecorded);
            let kind = self.kinds.is_empty() || self.kinds.contains(&block.kinds[i]);
            if known && kind && !part.dead.events.contains(range.start + i as u32) {
                taken.push(i);
            }
        }
        taken.into_iter().rev().for_each(|i| push(details.get(i)));
        Ok(())
    }
}
