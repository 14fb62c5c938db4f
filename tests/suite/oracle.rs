//! The reference that the database is compared with: maps and lists, nothing clever.

use bowerbird::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a test writes. Small numbers on purpose: collisions are where mistakes hide.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Put { key: u64, number: i64, tags: Vec<String>, vector: Option<[f32; 2]> },
    Delete(u64),
    Event { user: u64, item: u64, at: i64, recorded: i64, value: Option<f32> },
    EraseUser(u64),
    EraseItem(u64),
}

/// An item as the reference sees it: number, tags, vector.
pub type Thing = (i64, Vec<String>, Option<[u32; 2]>);
/// An event: item, at, recorded, value bits.
pub type Happened = (u64, i64, i64, Option<u32>);

/// Everything a reader can see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub items: BTreeMap<u64, Thing>,
    pub events: BTreeMap<u64, Vec<Happened>>,
}

pub fn schema() -> Schema {
    Schema::new()
        .space("v", 2, Metric::Dot)
        .attr("number", AttrType::Int)
        .attr("tags", AttrType::Tags)
        .event("e")
}

impl State {
    /// Applies a batch, one write after the other.
    pub fn apply(&mut self, batch: &[Write]) {
        for write in batch {
            match write {
                Write::Put { key, number, tags, vector } => {
                    let tags: BTreeSet<String> = tags.iter().cloned().collect();
                    let bits = vector.map(|v| v.map(f32::to_bits));
                    self.items.insert(*key, (*number, tags.into_iter().collect(), bits));
                }
                Write::Delete(key) => drop(self.items.remove(key)),
                Write::Event { user, item, at, recorded, value } => {
                    let list = self.events.entry(*user).or_default();
                    list.push((*item, *at, *recorded, value.map(f32::to_bits)));
                    list.sort_by_key(|e| (e.1, e.2));
                }
                Write::EraseUser(user) => drop(self.events.remove(user)),
                Write::EraseItem(key) => {
                    self.items.remove(key);
                    for list in self.events.values_mut() {
                        list.retain(|event| event.0 != *key);
                    }
                    self.events.retain(|_, list| !list.is_empty());
                }
            }
        }
    }

    /// Reads everything from a snapshot.
    pub fn read(snapshot: &Snapshot) -> Result<State> {
        let mut state = State::default();
        for key in snapshot.keys(&Where::all(), 1_000_000)? {
            let item = snapshot.get(&key)?.expect("a key that was listed");
            let Key::Id(id) = key else { panic!("a name in a database of numbers") };
            let Some(Value::Int(number)) = item.get("number") else {
                panic!("no number: {item:?}")
            };
            let Some(Value::Tags(tags)) = item.get("tags") else { panic!("no tags: {item:?}") };
            let vector = item.vectors.first().map(|(_, v)| [v[0].to_bits(), v[1].to_bits()]);
            state.items.insert(id, (*number, tags.clone(), vector));
        }
        for user in 0..8 {
            let deeds =
                snapshot.history(UserId(user), &HistoryQuery::default().limit(100_000))?.deeds;
            let event = |deed: Deed| match deed.item {
                Key::Id(id) => (id, deed.at.0, deed.recorded.0, deed.value.map(f32::to_bits)),
                Key::Name(_) => panic!("a name in a database of numbers"),
            };
            if !deeds.is_empty() {
                state.events.insert(user, deeds.into_iter().map(event).collect());
            }
        }
        assert_eq!(snapshot.len(), state.items.len() as u64, "`len` and `keys` disagree");
        Ok(state)
    }
}

/// Puts a batch of writes into a database.
pub fn commit(db: &Db, batch: &[Write]) -> Result<Seq> {
    let mut out = db.batch();
    for write in batch {
        match write {
            Write::Put { key, number, tags, vector } => {
                let mut item = Item::new(*key).attr("number", *number).attr("tags", tags.clone());
                if let Some(vector) = vector {
                    item = item.vector("v", *vector);
                }
                out.put(item)
            }
            Write::Delete(key) => out.delete(*key),
            Write::Event { user, item, at, recorded, value } => {
                let event = Event::new(*user, *item, "e", Timestamp(*at));
                let event = event.recorded(Timestamp(*recorded));
                out.event(value.map_or(event.clone(), |value| event.value(value)))
            }
            Write::EraseUser(user) => out.erase_user(UserId(*user)),
            Write::EraseItem(key) => out.erase_item(*key),
        };
    }
    out.commit()
}

/// A small generator: the same numbers for the same seed, everywhere.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub fn write(&mut self) -> Write {
        let key = self.roll(24);
        match self.roll(20) {
            0..=9 => Write::Put {
                key,
                number: self.roll(10) as i64 - 5,
                tags: (0..self.roll(3)).map(|_| format!("tag{}", self.roll(5))).collect(),
                vector: (self.roll(5) > 0)
                    .then(|| [self.roll(9) as f32 - 4.0, self.roll(9) as f32 - 4.0]),
            },
            10..=12 => Write::Delete(key),
            13..=17 => {
                let at = self.roll(50) as i64;
                Write::Event {
                    user: self.roll(6),
                    item: key,
                    at,
                    recorded: at + self.roll(20) as i64,
                    value: (self.roll(2) > 0).then(|| self.roll(5) as f32),
                }
            }
            18 => Write::EraseUser(self.roll(6)),
            _ => Write::EraseItem(key),
        }
    }

    pub fn batch(&mut self, most: u64) -> Vec<Write> {
        (0..1 + self.roll(most)).map(|_| self.write()).collect()
    }
}
