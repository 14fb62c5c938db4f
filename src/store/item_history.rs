//! What was done to an item, by whomever.

use crate::{
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
    limits::LIMIT_MAX,
    store::{snapshot::Snapshot, version::Part},
};
use roaring::RoaringBitmap;

/// Something that was done to an item.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("buy"))?;
/// db.batch().event(Event::new(7, 17u64, "buy", Timestamp(5))).commit()?;
/// let who = db.snapshot().item_history(&17u64.into(), Timestamp::MAX, 10)?;
/// assert_eq!(who[0].user, UserId(7));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interaction {
    /// Who.
    pub user: UserId,
    /// Which kind, as an index into [`crate::Schema::events`].
    pub kind: u8,
    /// When it happened.
    pub at: Timestamp,
    /// When it became known.
    pub recorded: Timestamp,
    /// A rating, a price, a duration.
    pub value: Option<f32>,
    /// Which answer of the recommender, or which transaction, it belongs to.
    pub request: Option<u64>,
}

impl Snapshot {
    /// The latest `limit` events about an item that had happened and were known at `as_of`, oldest
    /// first.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0 or more than a million, or a key of the wrong kind.
    pub fn item_history(
        &self,
        item: &Key,
        as_of: Timestamp,
        limit: usize,
    ) -> Result<Vec<Interaction>> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(Error::invalid(
                "limit",
                format!("is {limit}; it must be 1 to {LIMIT_MAX}"),
            ));
        }
        super::encode::key(self.schema(), item)?;
        let mut found = Vec::new();
        for part in &self.version.parts {
            let positions = part.events_of(item)? - &part.dead.events;
            collect(part, &positions, as_of, &mut found)?;
        }
        found.sort_by_key(|i| (i.at, i.recorded));
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }
}

fn collect(
    part: &Part,
    positions: &RoaringBitmap,
    as_of: Timestamp,
    found: &mut Vec<Interaction>,
) -> Result<()> {
    let Some(events) = part.segment.events()? else { return Ok(()) };
    for at in positions {
        let e = events.get(at)?;
        if e.at <= as_of && e.recorded <= as_of {
            let user = events.owner(at)?;
            let (kind, at, recorded, value, request) =
                (e.kind, e.at, e.recorded, e.value, e.request);
            found.push(Interaction { user, kind, at, recorded, value, request });
        }
    }
    Ok(())
}
