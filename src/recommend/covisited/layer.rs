//! One layer of the table of co-visits: what the events of one part have changed in it.

use super::pairs::Pairs;
use crate::{
    error::Result,
    key::{Key, Timestamp, UserId},
    recommend::Counting,
    segment::Strings,
    store::{
        Part,
        weight::{Weight, block},
    },
};
use std::collections::HashMap;

/// What the events of one part have changed in the table.
pub(super) struct Layer {
    /// The time that weights are decayed to.
    pub(super) reference: Timestamp,
    places: HashMap<Key, u32>,
    keys: Vec<Key>,
    starts: Vec<u32>,
    pairs: Vec<(u32, f64)>,
}

impl Weight for Layer {
    fn weight(&self) -> u64 {
        // A name is in the map and in the list.
        self.places.weight()
            + block(&self.keys)
            + self.keys.iter().map(Weight::weight).sum::<u64>()
            + block(&self.starts)
            + block(&self.pairs)
    }
}

impl Layer {
    /// What is co-visited with an item, and how much.
    pub(super) fn neighbours(&self, key: &Key) -> impl Iterator<Item = (&Key, f64)> {
        let range = self.places.get(key).map_or(0..0, |place| {
            let at = *place as usize;
            self.starts[at] as usize..self.starts[at + 1] as usize
        });
        self.pairs[range].iter().map(|(other, weight)| (&self.keys[*other as usize], *weight))
    }
}

/// A user's history as the builder reads it: when, when known, item.
type Step = (i64, i64, u32);

/// Builds the layer of the last of some parts.
pub(super) struct Builder<'p> {
    parts: &'p [Part],
    counting: &'p Counting,
    reference: Timestamp,
    reach: usize,
    /// Up to when the events of each part are known.
    cuts: Vec<i64>,
    items: Vec<Option<Strings<'p>>>,
    /// Numbers of items to ours: of the last part, all of whose items are met, and of earlier ones, of
    /// which a small part meets few.
    own: Vec<u32>,
    known: HashMap<(usize, u32), u32>,
    places: HashMap<Key, u32>,
    keys: Vec<Key>,
    pairs: Pairs,
}

/// No number yet.
const UNKNOWN: u32 = u32::MAX;

impl<'p> Builder<'p> {
    /// For the last of `parts`, with the others as what came before, each up to its cut.
    pub(super) fn new(
        parts: &'p [Part],
        counting: &'p Counting,
        reach: usize,
        cuts: &[Option<Timestamp>],
    ) -> Result<Builder<'p>> {
        let mut items = Vec::new();
        for part in parts {
            items.push(part.segment.events()?.map(|events| events.items()).transpose()?);
        }
        let count = parts.last().map_or(0, |part| part.segment.meta.event_items);
        let (own, known) = (vec![UNKNOWN; count as usize], HashMap::new());
        let cuts: Vec<i64> = cuts.iter().map(|cut| cut.unwrap_or(Timestamp::MAX).0).collect();
        let with_events = parts.iter().zip(&cuts).filter(|(part, _)| part.segment.meta.events > 0);
        let latest = with_events.map(|(part, cut)| part.segment.meta.clock_max.min(*cut)).max();
        let reference = latest.map(Timestamp).unwrap_or_default();
        let (places, keys, pairs) = (HashMap::new(), Vec::new(), Pairs::new());
        Ok(Builder {
            parts,
            counting,
            reference,
            reach,
            cuts,
            items,
            own,
            known,
            places,
            keys,
            pairs,
        })
    }

    /// Walks the history of every user with an event in the last part.
    pub(super) fn layer(mut self) -> Result<Layer> {
        let last = self.parts.len() - 1;
        let by = self.cuts[last];
        if let Some(events) = self.parts[last].segment.events()? {
            for index in 0..events.user_count() {
                let (user, _) = events.user(index)?;
                let before = self.history(user, last, None)?;
                let mut after = before.clone();
                self.read(user, last, by, &mut after)?;
                after.sort_by_key(|step| (step.0, step.1));
                self.change(&before, &after);
            }
        }
        Ok(self.done())
    }

    /// Walks the history of every user with one of these events, which lie beyond the cuts of their parts,
    /// up to a time.
    pub(super) fn late(mut self, between: &[(usize, u32)], to: Timestamp) -> Result<Layer> {
        let mut users = Vec::new();
        for (part, at) in between {
            if let Some(events) = self.parts[*part].segment.events()? {
                users.push(events.owner(*at)?);
            }
        }
        users.sort_unstable();
        users.dedup();
        self.reference = to;
        for user in users {
            let before = self.history(user, self.parts.len(), None)?;
            let after = self.history(user, self.parts.len(), Some(to))?;
            self.change(&before, &after);
        }
        Ok(self.done())
    }

    /// What more events of a user change. No event is taken away, so as many are the same ones.
    fn change(&mut self, before: &[Step], after: &[Step]) {
        if after.len() > before.len() {
            self.add(before, -1.0);
            self.add(after, 1.0);
        }
        self.pairs.settle();
    }

    fn done(self) -> Layer {
        let Builder { reference, places, keys, pairs, .. } = self;
        let pairs = pairs.summed();
        let mut starts = vec![0u32; keys.len() + 1];
        pairs.iter().for_each(|pair| starts[pair.0 as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let pairs = pairs.into_iter().map(|(_, other, weight)| (other, weight)).collect();
        Layer { reference, places, keys, starts, pairs }
    }

    /// A user's events in the parts before `until`, in order: up to the cuts of the parts, or to a time.
    fn history(&mut self, user: UserId, until: usize, to: Option<Timestamp>) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for part in 0..until {
            let by = to.map_or(self.cuts[part], |to| to.0);
            self.read(user, part, by, &mut steps)?;
        }
        steps.sort_by_key(|step| (step.0, step.1));
        Ok(steps)
    }

    fn read(&mut self, user: UserId, part: usize, by: i64, steps: &mut Vec<Step>) -> Result<()> {
        let here = &self.parts[part];
        let Some(events) = here.segment.events()? else { return Ok(()) };
        let range = events.of_user(user)?;
        if range.is_empty() {
            return Ok(());
        }
        let block = events.block(range.clone())?;
        for (i, at) in range.enumerate() {
            let known = block.at[i] <= by && block.recorded[i] <= by;
            let kinds = &self.counting.kinds;
            let counts = kinds.is_empty() || kinds.contains(&block.kinds[i]);
            if known && counts && !here.dead.events.contains(at) {
                let item = self.place(part, block.items[i])?;
                steps.push((block.at[i], block.recorded[i], item));
            }
        }
        Ok(())
    }

    /// Our number of a part's item.
    fn place(&mut self, part: usize, code: u32) -> Result<u32> {
        let last = part + 1 == self.parts.len();
        let known = match last {
            true => self.own.get(code as usize).copied().filter(|place| *place != UNKNOWN),
            false => self.known.get(&(part, code)).copied(),
        };
        if let Some(place) = known {
            return Ok(place);
        }
        let Some(items) = &self.items[part] else { return Ok(0) };
        let key = items.key(code)?;
        let place = *self.places.entry(key.clone()).or_insert(self.keys.len() as u32);
        if place as usize == self.keys.len() {
            self.keys.push(key);
        }
        match self.own.get_mut(code as usize).filter(|_| last) {
            Some(known) => *known = place,
            None => drop(self.known.insert((part, code), place)),
        }
        Ok(place)
    }

    fn add(&mut self, steps: &[Step], sign: f64) {
        for (at, from) in steps.iter().enumerate() {
            for (distance, to) in (1..=self.reach).zip(&steps[at + 1..]) {
                if from.2 != to.2 {
                    let age = self.counting.decay(Timestamp(to.0), self.reference);
                    let weight = sign * age / distance as f64;
                    self.pairs.add(from.2, to.2, weight);
                }
            }
        }
    }
}
