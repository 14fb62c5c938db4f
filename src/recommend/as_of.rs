//! As of: what a version knew by a time, where something in it is later than that.
//!
//! A clock that runs ahead, or a commit between the question and its snapshot, puts a few events later
//! than now into the latest parts, and who asks next has another now. So that what was summed up once
//! serves all of them, a part is summed up to a cut that depends on the part alone: the time of its 64th
//! latest event, or its 128th, and so on. The few events between the cut and now are added one by one.
//! Where very many are later, as in a replay of the past, the cut is now itself.

use crate::{
    error::Result,
    key::Timestamp,
    store::{
        Part, Version,
        weight::{Weight, block},
    },
};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// What a version knew by a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AsOf {
    /// For each part, up to when its events are taken all together; without one, all of them are.
    pub(crate) cuts: Vec<Option<Timestamp>>,
    /// The time, where anything is later: brought down to the latest event that was known by then. What
    /// is computed from events is the same until the next becomes known.
    pub(crate) at: Option<Timestamp>,
    /// How many of the first parts have cuts that others can use.
    steady: usize,
}

/// The latest events of a part, by when they were known, the latest first.
struct Latest {
    events: Vec<(i64, u32)>,
    /// Whether those are all events of the part.
    all: bool,
    /// When the first of all events was known.
    first: i64,
}

impl Weight for Latest {
    fn weight(&self) -> u64 {
        block(&self.events)
    }
}

/// The latest event that may be a cut, and as many events as are kept of a part; twice as many each time.
const RUNG: usize = 64;
/// More events than this later than now: the past.
const LATE_MAX: usize = 4096;

impl AsOf {
    /// What was known by `now`.
    pub(crate) fn of(version: &Version, now: Timestamp) -> Result<AsOf> {
        let count = version.parts.len();
        let mut as_of = AsOf { cuts: vec![None; count], steady: count, ..AsOf::default() };
        if !version.parts.iter().any(|part| known_later(part, now)) {
            return Ok(as_of);
        }
        let mut at = Timestamp(i64::MIN);
        for (place, part) in version.parts.iter().enumerate() {
            let last = Timestamp(part.segment.meta.clock_max);
            if !known_later(part, now) {
                let any = part.segment.meta.events > 0;
                at = if any { at.max(last) } else { at };
                continue;
            }
            let latest = Latest::of(part)?;
            as_of.cuts[place] = Some(match latest.cut(now) {
                Some((cut, between)) => {
                    at = at.max(between.first().map_or(cut, |event| Timestamp(event.0)));
                    cut
                }
                None => {
                    as_of.steady = as_of.steady.min(place);
                    at = now;
                    now
                }
            });
        }
        as_of.at = Some(at);
        Ok(as_of)
    }

    /// The events beyond the cut of their part that were known by then: the part, and which, ascending.
    pub(crate) fn between(&self, version: &Version) -> Result<Vec<(usize, u32)>> {
        let (mut all, Some(at)) = (Vec::new(), self.at) else { return Ok(Vec::new()) };
        for (place, _) in self.cuts_of(self.cuts.len()) {
            // Nothing became known between this time and the one that was asked for: the cut is the same.
            if let Some((_, between)) = Latest::of(&version.parts[place])?.cut(at) {
                all.extend(between.iter().map(|event| (place, event.1)));
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// How many of the first parts to sum up together and keep that for later: those on disk. As of the
    /// past it is none: it would be asked for once.
    pub(crate) fn kept_parts(&self, version: &Version) -> usize {
        let on_disk = super::disk_parts(version);
        if on_disk <= self.steady { on_disk } else { 0 }
    }

    /// For recipes: what sums over the first parts depend on, beside the parts.
    pub(crate) fn cuts_of(&self, parts: usize) -> Vec<(usize, Timestamp)> {
        let cuts = self.cuts[..parts].iter().enumerate();
        cuts.filter_map(|(part, cut)| Some((part, (*cut)?))).collect()
    }
}

impl Latest {
    fn of(part: &Part) -> Result<Arc<Latest>> {
        part.memo.get("latest events", || {
            let mut first = i64::MAX;
            let mut heap: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
            let count = part.segment.meta.events;
            if let Some(events) = part.segment.events()? {
                let block = events.block(0..count)?;
                for at in 0..count {
                    let known = block.at[at as usize].max(block.recorded[at as usize]);
                    first = first.min(known);
                    if heap.len() < LATE_MAX {
                        heap.push(Reverse((known, at)));
                    } else if heap.peek().is_some_and(|least| (known, at) > least.0) {
                        heap.pop();
                        heap.push(Reverse((known, at)));
                    }
                }
            }
            // Ascending by what is reversed, so the latest first.
            let events: Vec<(i64, u32)> = heap.into_sorted_vec().into_iter().map(|r| r.0).collect();
            let all = events.len() == count as usize;
            Ok(Latest { events, all, first })
        })
    }

    /// Up to when to take the events together, and those between then and now, the latest first; `None`
    /// if too many are later.
    fn cut(&self, now: Timestamp) -> Option<(Timestamp, &[(i64, u32)])> {
        let never = Timestamp(i64::MIN);
        if self.first > now.0 {
            return Some((never, &[]));
        }
        let later = self.events.partition_point(|event| event.0 > now.0);
        let mut rung = RUNG;
        while rung <= self.events.len() {
            let cut = self.events[rung - 1].0;
            if cut <= now.0 {
                // What was known just at the cut is taken with the rest.
                let until = self.events.partition_point(|event| event.0 > cut);
                return Some((Timestamp(cut), &self.events[later..until]));
            }
            rung *= 2;
        }
        self.all.then(|| (never, &self.events[later..]))
    }
}

/// Whether a part holds events that had not happened, or were not known, at a time.
fn known_later(part: &Part, now: Timestamp) -> bool {
    part.segment.meta.events > 0 && part.segment.meta.clock_max > now.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Db, Event, Item, Maintenance, Options, Schema, Snapshot,
        recommend::{Counting, *},
        vector::dice::Dice,
    };

    fn filled(parts: &[(u64, u64)]) -> Db {
        let schema =
            Schema::new().space("taste", 2, crate::Metric::Dot).event("view").event("shown");
        let options = Options::default().maintenance(Maintenance::Manual);
        let db = Db::create_in(Arc::new(crate::io::Memory::new()), schema, options).unwrap();
        let mut dice = Dice::new(5, 0);
        let mut batch = db.batch();
        for key in 0..40u64 {
            batch.put(Item::new(key).vector("taste", [1.0, key as f32]));
        }
        batch.commit().unwrap();
        for (count, spread) in parts {
            let mut batch = db.batch();
            for _ in 0..*count {
                let at = dice.below(*spread as usize) as i64;
                let (user, item) = (dice.below(50) as u64, dice.below(40) as u64);
                let late = Timestamp(at + dice.below(100) as i64);
                let kind = ["view", "shown"][dice.below(2)];
                let event = Event::new(user, item, kind, Timestamp(at)).recorded(late);
                batch.event(event.value(1.0));
            }
            batch.commit().unwrap();
            db.flush().unwrap();
        }
        db
    }

    /// Goal: what is up to the cuts and what is between them and now are what was known by now, each
    /// event once; and most nows have cuts that others share.
    #[test]
    fn cuts_and_what_is_between_are_what_was_known() {
        let db = filled(&[(10_000, 20_000), (700, 20_100), (30, 21_000), (5, 30_000)]);
        let snapshot = db.snapshot();
        let version = &snapshot.version;
        let mut shared = 0;
        for now in (-50..30_200).step_by(97).map(Timestamp) {
            let as_of = AsOf::of(version, now).unwrap();
            let between = as_of.between(version).unwrap();
            let mut latest = None;
            for (place, part) in version.parts.iter().enumerate() {
                let Some(events) = part.segment.events().unwrap() else { continue };
                let block = events.block(0..events.count).unwrap();
                for at in 0..events.count {
                    let known = block.at[at as usize].max(block.recorded[at as usize]);
                    let together = as_of.cuts[place].is_none_or(|cut| known <= cut.0);
                    let single = between.binary_search(&(place, at)).is_ok();
                    assert!(!(together && single), "{now:?} {place} {at}");
                    assert_eq!(together || single, known <= now.0, "{now:?} {place} {at}");
                    latest = latest.max(Some(known).filter(|known| *known <= now.0));
                }
            }
            if as_of.steady == version.parts.len() {
                shared += 1;
                let at = as_of.at.map(|at| at.0).filter(|at| *at > i64::MIN);
                assert!(as_of.at.is_none() || at == latest, "{now:?}: {at:?}, not {latest:?}");
            }
        }
        assert!((150..300).contains(&shared), "{shared}");
    }

    fn ask(snapshot: &Snapshot, now: i64) -> Vec<(crate::Key, f32)> {
        let half = crate::ms(9_000);
        let rewards = Rewards::new(["view"], ["shown"]).half_life(half);
        let explore =
            Explore::unshown(["shown"], u64::MAX, 2).bandit(LinUcb::new("taste", rewards));
        let recommender = Recommender::new()
            .retrieve(Popular::new(["view"], half, 20))
            .retrieve(CoVisited::new(["view"], 20).half_life(half))
            .score(Weighted::new().add(1.0, ItemMean::new(["view"], 2.0)).add(1.0, Rrf::default()))
            .select(explore);
        let slate = recommender.run(snapshot, &Request::new(10, Timestamp(now)).user(3)).unwrap();
        slate.items.into_iter().map(|item| (item.key, item.score)).collect()
    }

    /// Goal: an event later than now does not make each question sum up the database for itself.
    #[test]
    fn an_event_of_tomorrow_leaves_what_was_summed_up_in_use() {
        let db = filled(&[(5_000, 1_000)]);
        db.batch().event(Event::new(3, 1u64, "view", Timestamp(50_000))).commit().unwrap();
        let snapshot = db.snapshot();
        let recipes = || -> Vec<Vec<String>> {
            let memos = snapshot.version.parts.iter().map(|part| part.memo.recipes());
            let mut all: Vec<_> = memos.chain([snapshot.version.memo.recipes()]).collect();
            all.iter_mut().for_each(|recipes| recipes.sort());
            all
        };
        let first = ask(&snapshot, 2_000);
        let kept = recipes();
        for now in 2_001..2_060 {
            assert_eq!(ask(&snapshot, now).len(), first.len());
        }
        assert_eq!(recipes(), kept);
        let counting = Counting::new(&snapshot, &["view".into()], None).unwrap();
        let counts = |now: i64| counting.counts(&snapshot, Timestamp(now)).unwrap();
        assert!(Arc::ptr_eq(&counts(2_000), &counts(40_000)));
        assert_eq!(
            counts(50_000).get(&1u64.into(), Timestamp(50_000)),
            1.0 + counts(49_999).get(&1u64.into(), Timestamp(49_999))
        );
    }
}
