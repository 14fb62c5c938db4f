//! Ledger: the events of one user or item, in the order in which they happened, and how many lie between
//! two times, what they sum to, and how many of them are bad.
//!
//! Values are summed as whole numbers of 2^-20, so that a sum does not depend on the order in which it was
//! made: adding and taking away gives what adding alone does.

use crate::key::{Key, fnv};
use std::collections::HashMap;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) at: i64,
    pub(super) value: Option<f32>,
    /// Whom it was with: the item of a user's event, the user of an item's.
    pub(super) other: u64,
    /// The number of the transaction.
    pub(super) id: Option<u64>,
}

/// The events of an entity that are not too old.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// Sums before each entry, and of all at the end.
    sums: Vec<Sums>,
    /// How many of the first entries are too old; they are there until they are many.
    stale: usize,
    /// When bad events happened, ascending.
    marked: Vec<i64>,
    /// When the events with these numbers happened, and whether they are bad; `None` if they have
    /// not come yet: a mark may come first.
    ids: HashMap<u64, (Option<i64>, bool)>,
    /// When marks that came first did.
    waiting: Vec<(i64, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    units: i128,
    valued: u64,
}

/// What lies between two times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Between {
    pub(super) count: u64,
    pub(super) units: i128,
    pub(super) valued: u64,
    pub(super) marked: u64,
}

const UNIT: f64 = (1u32 << 20) as f64;
/// Most events of one entity; the oldest go first.
const ENTRIES_MAX: usize = crate::limits::LIMIT_MAX;

/// A value, which is at most a billion, in units.
pub(super) fn units(value: f32) -> i128 {
    (f64::from(value) * UNIT).round() as i128
}

/// Units as a number.
pub(super) fn number(units: i128) -> f64 {
    units as f64 / UNIT
}

/// An item as a number: names by a hash, since only equality matters.
pub(super) fn item_number(key: &Key) -> u64 {
    match key {
        Key::Id(id) => *id,
        Key::Name(name) => fnv(name.bytes()),
    }
}

impl Ledger {
    /// Adds an event, unless its number was there before.
    pub(super) fn push(&mut self, entry: Entry) {
        self.push_among(entry, ENTRIES_MAX);
    }

    /// The same, where at most so many are kept.
    fn push_among(&mut self, entry: Entry, most: usize) {
        let mut bad = false;
        if let Some(id) = entry.id {
            let known = self.ids.entry(id).or_insert((None, false));
            if known.0.is_some() {
                return;
            }
            known.0 = Some(entry.at);
            bad = known.1;
        }
        if self.sums.is_empty() {
            self.sums.push(Sums::default());
        }
        // Equal times in order of arrival. Most events come last, and cost nothing more.
        let place = self.entries.partition_point(|other| other.at <= entry.at);
        self.entries.insert(place, entry);
        self.sums.truncate(place + 1);
        let mut sums = self.sums[place];
        for entry in &self.entries[place..] {
            sums.units += entry.value.map_or(0, units);
            sums.valued += u64::from(entry.value.is_some());
            self.sums.push(sums);
        }
        if bad {
            self.note(entry.at);
        }
        if self.entries.len() - self.stale > most {
            self.age(1);
        }
    }

    /// The event with a number is bad, whether it has come or will. `at` says when the mark is forgotten
    /// if it does not come.
    pub(super) fn mark(&mut self, id: u64, at: i64) {
        let known = self.ids.entry(id).or_insert((None, false));
        if std::mem::replace(&mut known.1, true) {
            return;
        }
        match known.0 {
            Some(when) => self.note(when),
            None => self.waiting.push((at, id)),
        }
    }

    fn note(&mut self, at: i64) {
        let place = self.marked.partition_point(|other| *other <= at);
        self.marked.insert(place, at);
    }

    /// Forgets what happened at `until` or before.
    pub(super) fn forget(&mut self, until: i64) {
        let old = self.entries[self.stale..].partition_point(|entry| entry.at <= until);
        self.age(old);
        if self.waiting.iter().any(|(at, _)| *at <= until) {
            for (_, id) in self.waiting.extract_if(.., |(at, _)| *at <= until) {
                if self.ids.get(&id).is_some_and(|known| known.0.is_none()) {
                    self.ids.remove(&id);
                }
            }
        }
    }

    /// The oldest so many are too old, and so are as many of the oldest marks as there are bad ones
    /// among them.
    fn age(&mut self, count: usize) {
        let mut bad = 0;
        for entry in &self.entries[self.stale..self.stale + count] {
            let known = entry.id.and_then(|id| self.ids.remove(&id));
            bad += usize::from(known.is_some_and(|known| known.1));
        }
        self.marked.drain(..bad);
        self.stale += count;
        if self.stale > self.entries.len() / 2 {
            self.entries.drain(..self.stale);
            self.sums.drain(..self.stale);
            self.stale = 0;
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == self.stale && self.ids.is_empty()
    }

    /// What happened after `after` and before `before`.
    pub(super) fn between(&self, after: i64, before: i64) -> Between {
        let place = |test: &dyn Fn(i64) -> bool| {
            self.stale + self.entries[self.stale..].partition_point(|entry| test(entry.at))
        };
        let (from, to) = (place(&|at| at <= after), place(&|at| at < before));
        if from >= to {
            return Between::default();
        }
        let (a, b) = (self.sums[from], self.sums[to]);
        let bad = self.marked.partition_point(|at| *at < before)
            - self.marked.partition_point(|at| *at <= after);
        Between {
            count: (to - from) as u64,
            units: b.units - a.units,
            valued: b.valued - a.valued,
            marked: bad as u64,
        }
    }

    /// The last so many events after one time and before another, oldest first.
    pub(super) fn last(&self, after: i64, before: i64, count: usize) -> &[Entry] {
        let here = &self.entries[self.stale..];
        let end = here.partition_point(|entry| entry.at < before);
        let begin = here.partition_point(|entry| entry.at <= after).min(end);
        &here[begin.max(end.saturating_sub(count))..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: of an entity with too many events the oldest go with their marks: a share of bad ones is of
    /// those that are left.
    #[test]
    fn the_oldest_events_take_their_marks_with_them() {
        let mut ledger = Ledger::default();
        for id in 0..20u64 {
            let at = (id / 2) as i64;
            ledger.push_among(Entry { at, value: None, other: 0, id: Some(id) }, 5);
            if id % 3 != 0 {
                ledger.mark(id, at);
            }
            let left = (0..=id).rev().take(5);
            let between = ledger.between(-1, 100);
            let bad = left.filter(|id| id % 3 != 0).count();
            assert_eq!((between.count, between.marked), ((id + 1).min(5), bad as u64), "{id}");
        }
        ledger.forget(8);
        let between = ledger.between(-1, 100);
        assert_eq!((between.count, between.marked), (2, 1), "18 and 19, which is bad");
        ledger.forget(9);
        assert!(ledger.is_empty() && ledger.marked.is_empty());
    }
}
