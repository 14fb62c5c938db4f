//! One layer of the table of co-visits: what the events of one part have changed in it.

use crate::{
    error::Result,
    key::{Key, Timestamp, UserId},
    recommend::counts::Counting,
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
    as_of: i64,
    items: Vec<Option<Strings<'p>>>,
    /// Numbers of items to ours: of the last part, all of whose items are met, and of earlier ones, of
    /// which a small part meets few.
    own: Vec<u32>,
    known: HashMap<(usize, u32), u32>,
    places: HashMap<Key, u32>,
    keys: Vec<Key>,
    pairs: Vec<(u32, u32, f64)>,
}

/// No number yet.
const UNKNOWN: u32 = u32::MAX;
/// Pairs gathered before equal ones are summed: it bounds memory.
const PAIRS_MAX: usize = 1 << 22;

impl<'p> Builder<'p> {
    /// For the last of `parts`, with the others as what came before.
    pub(super) fn new(
        parts: &'p [Part],
        counting: &'p Counting,
        reach: usize,
        as_of: Option<Timestamp>,
    ) -> Result<Builder<'p>> {
        let mut items = Vec::new();
        for part in parts {
            items.push(part.segment.events()?.map(|events| events.items()).transpose()?);
        }
        let count = parts.last().map_or(0, |part| part.segment.meta.event_items);
        let (own, known) = (vec![UNKNOWN; count as usize], HashMap::new());
        let as_of = as_of.unwrap_or(Timestamp::MAX);
        let with_events = parts.iter().filter(|part| part.segment.meta.events > 0);
        let latest = with_events.map(|part| Timestamp(part.segment.meta.clock_max)).max();
        let reference = latest.unwrap_or_default().min(as_of);
        let (places, keys, pairs) = (HashMap::new(), Vec::new(), Vec::new());
        let as_of = as_of.0;
        Ok(Builder {
            parts,
            counting,
            reference,
            reach,
            as_of,
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
        if let Some(events) = self.parts[last].segment.events()? {
            for index in 0..events.user_count() {
                let (user, _) = events.user(index)?;
                let before = self.history(user, last)?;
                let mut after = before.clone();
                self.read(user, last, &mut after)?;
                after.sort_by_key(|step| (step.0, step.1));
                if after.len() > before.len() {
                    self.add(&before, -1.0);
                    self.add(&after, 1.0);
                }
                if self.pairs.len() > PAIRS_MAX {
                    self.sum();
                }
            }
        }
        self.sum();
        let mut starts = vec![0u32; self.keys.len() + 1];
        self.pairs.iter().for_each(|pair| starts[pair.0 as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let pairs = self.pairs.into_iter().map(|(_, other, weight)| (other, weight)).collect();
        let Builder { reference, places, keys, .. } = self;
        Ok(Layer { reference, places, keys, starts, pairs })
    }

    /// A user's events in the parts before `until`, in order.
    fn history(&mut self, user: UserId, until: usize) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for part in 0..until {
            self.read(user, part, &mut steps)?;
        }
        steps.sort_by_key(|step| (step.0, step.1));
        Ok(steps)
    }

    fn read(&mut self, user: UserId, part: usize, steps: &mut Vec<Step>) -> Result<()> {
        let here = &self.parts[part];
        let Some(events) = here.segment.events()? else { return Ok(()) };
        let range = events.of_user(user)?;
        if range.is_empty() {
            return Ok(());
        }
        let block = events.block(range.clone())?;
        for (i, at) in range.enumerate() {
            let known = block.at[i] <= self.as_of && block.recorded[i] <= self.as_of;
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
                    self.pairs.push((from.2, to.2, weight));
                    self.pairs.push((to.2, from.2, weight));
                }
            }
        }
    }

    /// Sums equal pairs; stable, so that sums do not depend on anything but the order of users.
    fn sum(&mut self) {
        self.pairs.sort_by_key(|pair| (pair.0, pair.1));
        self.pairs.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        self.pairs.retain(|pair| pair.2 != 0.0);
    }
}
