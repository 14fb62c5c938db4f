//! Flow: what an event looks like beside what its user and its item did before it.
//!
//! Card payments are the case in mind: users are cards or customers, items are terminals or merchants,
//! the value is the amount, and the request is the number of the transaction. That a payment was a fraud
//! is another event with the same number, which becomes known days later.
//!
//! | file | it owns |
//! |---|---|
//! | this one | which features there are, declared once |
//! | `ledger` | the events of one user or item: windows in logarithmic time |
//! | `pulse` | the state of an entity: its last events, each counting less the older it is |
//! | `read` | the features of an event from a snapshot |
//! | `stream` | the same while events come in: the same numbers, bit for bit |
//! | `neighbours` | how far it is to the nearest known frauds |

mod ledger;
mod neighbours;
mod pulse;
mod read;
mod stream;

pub use neighbours::Neighbours;
pub use stream::FlowStream;

use crate::{
    error::{Error, Result},
    item::Event,
    key::Timestamp,
};
use ledger::{Entry, Ledger};
use std::time::Duration;

/// Whose events are looked at.
///
/// ```
/// use bowerbird::model::flow::Entity;
/// assert_ne!(Entity::User, Entity::Item);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// Those of the event's user.
    User,
    /// Those of the event's item, whoever's they are.
    Item,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Velocity(Entity, Duration),
    Risk(Entity, Duration, Duration),
    Pulse(Entity, Duration),
}

/// Features of one event by what was known before it, from a [snapshot](Flow::read) or from a
/// [stream](Flow::stream).
///
/// What counts is what happened before the event (its `at`) and became known before it (the later of its
/// two clocks): nothing of the same millisecond, so that the order of arrival there does not matter, and
/// no label that came later. The event itself counts in velocities.
///
/// How unusual events are taken:
/// - out of order: by when they happened, from when they were known;
/// - a number that was there already (a replay): passed over, as long as the first is within twice the
///   longest window; the one that was known first counts;
/// - without a value: counts, but has no part in sums and means; 0 is a value;
/// - negative (a refund): counts, and lowers the sum;
/// - beyond a billion, either way: as a billion; not finite: refused;
/// - a user or an item never seen: no events before, so counts of 1, a mean of its own value, no risk.
///
/// ```
/// use bowerbird::{model::flow::*, *};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("pay").event("fraud"))?;
/// let day = |n: u64| Timestamp(0).plus(days(n));
/// db.batch()
///     .event(Event::new(7, 1u64, "pay", day(1)).value(10.0).request(1))
///     .event(Event::new(8, 1u64, "pay", day(2)).value(20.0).request(2))
///     .event(Event::new(8, 1u64, "fraud", day(2)).recorded(day(5)).request(2))
///     .commit()?;
/// let flow = Flow::new("pay")
///     .marked("fraud")
///     .velocity(Entity::User, [days(1), days(30)])
///     .risk(Entity::Item, days(3), [days(7)]);
/// assert_eq!(flow.names()[3], "user count 30d");
/// let next = Event::new(7, 1u64, "pay", day(6)).value(30.0).request(3);
/// let features = flow.read(&db.snapshot(), &next)?;
/// // Of the card: 1 event within a day, 2 within 30, with their sums and means. Of the terminal: 2, half bad.
/// assert_eq!(features, [1.0, 30.0, 30.0, 2.0, 40.0, 20.0, 2.0, 0.5]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    kind: String,
    mark: Option<String>,
    parts: Vec<Part>,
}

/// Most windows and half-lives.
const PARTS_MAX: usize = 64;
/// Longest window: 100 years.
const WINDOW_MAX: Duration = crate::key::days(36_525);
/// A state forgets what is so many half-lives old: it counts less than one in four billion.
const HALF_LIVES: u32 = 32;
/// Values beyond this count as this.
const VALUE_MAX: f32 = 1e9;

impl Flow {
    /// Of events of a kind; nothing yet.
    pub fn new(kind: &str) -> Flow {
        Flow { kind: kind.into(), mark: None, parts: Vec::new() }
    }

    /// Events of this kind say that the event with the same request number, user and item was bad.
    pub fn marked(mut self, kind: &str) -> Flow {
        self.mark = Some(kind.into());
        self
    }

    /// Per window: how many events there were, the event itself included, the sum of their values, and
    /// the mean.
    pub fn velocity(mut self, of: Entity, windows: impl IntoIterator<Item = Duration>) -> Flow {
        self.parts.extend(windows.into_iter().map(|window| Part::Velocity(of, window)));
        self
    }

    /// Per window, which ends `delay` before the event: how many events there were, and the share of
    /// them that is known to be bad. With a delay of as long as marks take, the share is not too low.
    pub fn risk(
        mut self,
        of: Entity,
        delay: Duration,
        windows: impl IntoIterator<Item = Duration>,
    ) -> Flow {
        self.parts.extend(windows.into_iter().map(|window| Part::Risk(of, delay, window)));
        self
    }

    /// Per half-life, the state of an entity: the last 256 events of its last 32 half-lives, each counting
    /// half one half-life later. As logarithms of one more than the sum: all events; those whose value is within a factor
    /// of two of this one's; of these, those with another counterpart (other cards at this terminal);
    /// those whose counterpart was new; and the time since the last event, in half-lives.
    pub fn pulse(mut self, of: Entity, half_lives: impl IntoIterator<Item = Duration>) -> Flow {
        self.parts.extend(half_lives.into_iter().map(|half| Part::Pulse(of, half)));
        self
    }

    /// What the features are called, in their order: "user count 7d".
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for part in &self.parts {
            let (of, length, what): (_, _, &[&str]) = match part {
                Part::Velocity(of, window) => (of, window, &["count", "sum", "mean"]),
                Part::Risk(of, _, window) => (of, window, &["known count", "risk"]),
                Part::Pulse(of, half) => (of, half, &pulse::NAMES),
            };
            let of = if *of == Entity::User { "user" } else { "item" };
            names.extend(what.iter().map(|what| format!("{of} {what} {}", short(*length))));
        }
        names
    }

    /// How many features there are.
    pub fn width(&self) -> usize {
        let width = |part: &Part| match part {
            Part::Velocity(..) => 3,
            Part::Risk(..) => 2,
            Part::Pulse(..) => pulse::NAMES.len(),
        };
        self.parts.iter().map(width).sum()
    }

    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::invalid(format!("flow of {:?}", self.kind), why));
        if self.parts.is_empty() || self.parts.len() > PARTS_MAX {
            return wrong(format!("needs 1 to {PARTS_MAX} windows or half-lives"));
        }
        for part in &self.parts {
            let (length, delay) = match part {
                Part::Velocity(_, window) => (*window, Duration::ZERO),
                Part::Risk(_, delay, window) => (*window, *delay),
                Part::Pulse(_, half) => (*half, Duration::ZERO),
            };
            if length.as_millis() == 0 || length.max(delay) > WINDOW_MAX {
                return wrong(format!("has {part:?}; windows are a millisecond to 100 years"));
            }
            if matches!(part, Part::Risk(..)) && self.mark.is_none() {
                return wrong("has risks, but does not say what marks bad events: `marked`".into());
            }
        }
        Ok(())
    }

    /// How far back anything looks, in milliseconds.
    fn horizon(&self) -> i64 {
        let reach = |part: &Part| match part {
            Part::Velocity(_, window) => millis(*window),
            Part::Risk(_, delay, window) => millis(*delay).saturating_add(millis(*window)),
            Part::Pulse(_, half) => millis(*half).saturating_mul(i64::from(HALF_LIVES)),
        };
        self.parts.iter().map(reach).max().unwrap_or(0)
    }

    /// How far back is kept: twice as far, for events that come late, and to know replays.
    fn reach(&self) -> i64 {
        self.horizon().saturating_mul(2)
    }

    fn looks_at(&self, entity: Entity) -> bool {
        self.parts.iter().any(|part| {
            let (Part::Velocity(of, _) | Part::Risk(of, ..) | Part::Pulse(of, _)) = part;
            *of == entity
        })
    }

    /// The features of an event, given what was known of its user and its item.
    fn features(&self, event: &Event, user: &Ledger, item: &Ledger) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.width());
        let (at, value) = (event.at.0, event.value.map(clamped));
        for part in &self.parts {
            let of = |entity: &Entity| if *entity == Entity::User { user } else { item };
            match part {
                Part::Velocity(entity, window) => {
                    let before = of(entity).between(at.saturating_sub(millis(*window)), at);
                    let count = before.count + 1;
                    let units = before.units + value.map_or(0, ledger::units);
                    let valued = before.valued + u64::from(value.is_some());
                    let sum = ledger::number(units);
                    let mean = if valued > 0 { sum / valued as f64 } else { 0.0 };
                    out.extend([count as f32, sum as f32, mean as f32]);
                }
                Part::Risk(entity, delay, window) => {
                    // The end is part of the window: as old as marks take.
                    let end = at.saturating_sub(millis(*delay)).saturating_add(1).min(at);
                    let before = of(entity)
                        .between(end.saturating_sub(1).saturating_sub(millis(*window)), end);
                    let share = before.marked as f64 / before.count.max(1) as f64;
                    out.extend([before.count as f32, share as f32]);
                }
                Part::Pulse(entity, half) => {
                    let other = match entity {
                        Entity::User => ledger::item_number(&event.item),
                        Entity::Item => event.user.0,
                    };
                    let half = millis(*half);
                    let begin = at.saturating_sub(half.saturating_mul(HALF_LIVES.into()));
                    let last = of(entity).last(begin, at, pulse::EVENTS);
                    out.extend(pulse::state(last, (at, value, other), half));
                }
            }
        }
        out
    }
}

/// What happens to a value that is too large.
fn clamped(value: f32) -> f32 {
    value.clamp(-VALUE_MAX, VALUE_MAX)
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// When an event had happened and was known.
fn known(at: Timestamp, recorded: Timestamp) -> i64 {
    at.0.max(recorded.0)
}

/// The length of a window for people.
fn short(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{}ms", length.as_millis()),
        _ if length.subsec_millis() > 0 => format!("{}ms", length.as_millis()),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
