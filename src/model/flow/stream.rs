//! Stream: features while events come in.

use super::{Entry, Flow, Ledger, clamped, known, ledger};
use crate::{
    error::{Error, Result},
    item::Event,
    key::{Key, Timestamp, UserId},
};
use std::collections::HashMap;

/// Features of events as they come in, with what came before in memory: some microseconds each, and the
/// same numbers as [`Flow::read`] has from a snapshot of the same events.
///
/// Events are read in the order in which they became known: the later of `at` and `recorded` never goes
/// back. When they happened may be in any order.
///
/// Memory: 100 bytes or so per event within the longest window, at most a million events for each user
/// and item; [`tidy`](FlowStream::tidy) forgets users and items that have none left. Nothing is saved: after a
/// restart, read the events of the longest window again.
///
/// ```
/// use bowerbird::{model::flow::*, *};
/// # fn main() -> Result<()> {
/// let mut stream = Flow::new("pay").velocity(Entity::User, [days(1)]).stream()?;
/// for n in 0..3u64 {
///     let payment = Event::new(7, n, "pay", Timestamp(n as i64 * 1000)).value(5.0).request(n);
///     assert_eq!(stream.features(&payment)?, [n as f32 + 1.0, 5.0 * (n as f32 + 1.0), 5.0]);
///     stream.push(&payment)?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FlowStream {
    flow: Flow,
    /// How far back is kept.
    reach: i64,
    users: HashMap<UserId, Ledger>,
    items: HashMap<Key, Ledger>,
    /// The latest time at which something became known.
    clock: i64,
    /// What became known just then: it counts from the next millisecond on.
    fresh: Vec<Event>,
    nobody: Ledger,
}

impl Flow {
    /// A stream without events.
    ///
    /// # Errors
    /// `Invalid` for a declaration without windows, or that contradicts itself.
    pub fn stream(&self) -> Result<FlowStream> {
        self.check()?;
        Ok(FlowStream {
            flow: self.clone(),
            reach: self.reach(),
            users: HashMap::new(),
            items: HashMap::new(),
            clock: i64::MIN,
            fresh: Vec::new(),
            nobody: Ledger::default(),
        })
    }

    pub(super) fn check_event(&self, event: &Event) -> Result<()> {
        let what = || format!("event of user {} and item {}", event.user, event.item);
        if event.kind != self.kind {
            let why = format!("is a {:?}; features are those of {:?}", event.kind, self.kind);
            return Err(Error::invalid(what(), why));
        }
        check_value(event)
    }
}

fn check_value(event: &Event) -> Result<()> {
    match event.value.is_none_or(f32::is_finite) {
        true => Ok(()),
        false => {
            let what = format!("value of an event of user {}", event.user);
            Err(Error::invalid(what, "is not finite"))
        }
    }
}

impl FlowStream {
    /// The features of an event that becomes known now or later, by what became known before it. It
    /// is not added: [`push`](FlowStream::push) it then.
    ///
    /// # Errors
    /// `Invalid` for an event that was known before the last one that was pushed, of another kind, or with
    /// a value that is not finite.
    pub fn features(&mut self, event: &Event) -> Result<Vec<f32>> {
        self.flow.check_event(event)?;
        self.go_on(event)?;
        // What the ledgers have forgotten is too old for an event that was known at once; one that was
        // known late looks further back, and what is there is all there is.
        let user = self.users.get(&event.user).unwrap_or(&self.nobody);
        let item = self.items.get(&event.item).unwrap_or(&self.nobody);
        Ok(self.flow.features(event, user, item))
    }

    /// Adds an event, or a mark. Other kinds are passed over, and so are marks that name no event and
    /// numbers that were there before.
    ///
    /// # Errors
    /// `Invalid` for an event that was known before the last one, or with a value that is not finite.
    pub fn push(&mut self, event: &Event) -> Result<()> {
        let mark = Some(&event.kind) == self.flow.mark.as_ref();
        if event.kind != self.flow.kind && !mark {
            return Ok(());
        }
        check_value(event)?;
        self.go_on(event)?;
        self.fresh.push(event.clone());
        Ok(())
    }

    /// Forgets users and items of whom nothing is left within the longest window before a time; returns
    /// how many it keeps. It looks at all of them: once a day is enough.
    pub fn tidy(&mut self, now: Timestamp) -> usize {
        let until = now.0.min(self.clock).saturating_sub(self.reach);
        let keep = |ledger: &mut Ledger| {
            ledger.forget(until);
            !ledger.is_empty()
        };
        self.users.retain(|_, ledger| keep(ledger));
        self.items.retain(|_, ledger| keep(ledger));
        self.users.len() + self.items.len()
    }

    /// Moves the clock to when an event is known, and adds what was known before.
    fn go_on(&mut self, event: &Event) -> Result<()> {
        let now = known(event.at, event.recorded);
        if now < self.clock {
            let what = format!("event of user {} and item {}", event.user, event.item);
            let why = format!(
                "was known at {now} ms, and another at {} ms was read before. A stream reads events in \
                 the order in which they became known; `Flow::read` reads them in any",
                self.clock
            );
            return Err(Error::invalid(what, why));
        }
        if now > self.clock {
            // What became known together is in the order in which it happened.
            self.fresh.sort_by_key(|event| (event.at, event.recorded));
            for event in std::mem::take(&mut self.fresh) {
                self.add(&event);
            }
            self.clock = now;
        }
        Ok(())
    }

    fn add(&mut self, event: &Event) {
        let until = self.clock.saturating_sub(self.reach);
        let mark = event.kind != self.flow.kind;
        let (at, id, value) = (event.at.0, event.request, event.value.map(clamped));
        let user = self.users.entry(event.user).or_default();
        let item = self.items.entry(event.item.clone()).or_default();
        let item_number = ledger::item_number(&event.item);
        for (ledger, other) in [(user, item_number), (item, event.user.0)] {
            // Before, so that what is a replay does not hang on when the last event came; and after, since
            // this one may have happened long ago.
            ledger.forget(until);
            match (mark, id) {
                (true, Some(id)) => ledger.mark(id, at),
                (true, None) => {}
                (false, _) => ledger.push(Entry { at, value, other, id }),
            }
            ledger.forget(until);
        }
    }
}
