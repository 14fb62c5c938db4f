//! Read: the features of an event from a snapshot, as of the event.

use super::{Entity, Entry, Flow, Ledger, known, ledger};
use crate::{
    error::Result,
    item::Event,
    key::{Timestamp, days, ms},
    limits::LIMIT_MAX,
    store::{HistoryQuery, Snapshot},
};
use std::collections::HashMap;

/// An event of one entity, when it was known, and whether it is a mark.
type Step = (i64, bool, Entry);

impl Flow {
    /// The features of an event by what a snapshot knew before it, whether the event itself is there yet
    /// or not. As many numbers as [`names`](Flow::names), all finite.
    ///
    /// An event costs the events of its user and its item within the longest window. For items with many
    /// events, and for many events in a row, [`stream`](Flow::stream) costs less. Of one user or item the
    /// latest million events count.
    ///
    /// # Errors
    /// `NotFound` for kinds that the schema lacks; `Invalid` for a declaration without windows, an event
    /// of another kind or a value that is not finite.
    pub fn read(&self, snapshot: &Snapshot, event: &Event) -> Result<Vec<f32>> {
        self.check()?;
        self.check_event(event)?;
        let kind = snapshot.schema().find_event(&self.kind)?;
        let mark = self.mark.as_ref().map(|kind| snapshot.schema().find_event(kind)).transpose()?;
        let before = Timestamp(known(event.at, event.recorded)).minus(ms(1));
        let (mut user, mut item) = (Vec::new(), Vec::new());
        if self.looks_at(Entity::User) {
            // Both ends are beyond what counts; the ledger is asked for exact times.
            let late = before.0.saturating_sub(event.at.0).max(0);
            let far = self.reach().saturating_add(self.horizon()).saturating_add(late);
            let window = ms(far as u64).saturating_add(days(1));
            let kinds = self.mark.iter().chain([&self.kind]).map(String::as_str);
            let query = HistoryQuery::default().as_of(before).window(window).kinds(kinds);
            let query = query.limit(LIMIT_MAX);
            for deed in snapshot.history(event.user, &query)?.deeds {
                let other = ledger::item_number(&deed.item);
                let entry = Entry { at: deed.at.0, value: deed.value, other, id: deed.request };
                let is_mark = Some(deed.kind) == mark;
                if is_mark || deed.kind == kind {
                    user.push((known(deed.at, deed.recorded), is_mark, entry));
                }
            }
        }
        if self.looks_at(Entity::Item) {
            for deed in snapshot.item_history(&event.item, before, LIMIT_MAX)? {
                let entry = Entry {
                    at: deed.at.0,
                    value: deed.value,
                    other: deed.user.0,
                    id: deed.request,
                };
                let is_mark = Some(deed.kind) == mark;
                if is_mark || deed.kind == kind {
                    item.push((known(deed.at, deed.recorded), is_mark, entry));
                }
            }
        }
        Ok(self.features(event, &self.ledger(user, event), &self.ledger(item, event)))
    }

    /// A ledger of what is not too old, in the order in which it became known.
    ///
    /// What is too old itself may be what a later event repeats, so replays are found before anything is
    /// left out, as a stream finds them: by the numbers of twice the longest window before they were known.
    fn ledger(&self, mut steps: Vec<Step>, event: &Event) -> Ledger {
        let oldest = event.at.0.saturating_sub(self.reach());
        steps.retain(|step| step.2.at > oldest.saturating_sub(self.horizon()) || step.1);
        steps.sort_by_key(|step| step.0);
        let (mut ledger, mut firsts) = (Ledger::default(), HashMap::<u64, i64>::new());
        for (known, is_mark, entry) in steps {
            let since = known.saturating_sub(self.reach());
            let first = entry.id.and_then(|id| firsts.get(&id).copied()).filter(|at| *at > since);
            match (is_mark, entry.id) {
                // A mark of what is left out is none of a later event with the same number.
                (true, Some(id)) if first.is_none_or(|at| at > oldest) => ledger.mark(id, entry.at),
                (true, _) => {}
                (false, _) if first.is_some() => {}
                (false, id) => {
                    if let Some(id) = id {
                        firsts.insert(id, entry.at);
                    }
                    if entry.at > oldest {
                        ledger.push(Entry { value: entry.value.map(super::clamped), ..entry });
                    }
                }
            }
        }
        ledger
    }
}
