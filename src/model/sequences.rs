//! Sequences: what users did, in order, as numbers. All that training reads.

use crate::{
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
    model::{Case, Cases, Vocabulary},
    store::{HistoryQuery, Snapshot},
};
use std::{collections::BTreeMap, sync::Arc};

/// Which events of a snapshot to read. Start from `Reading::default()`: all kinds, all of time.
///
/// ```
/// use bowerbird::{Timestamp, model::Reading};
/// let reading = Reading { kinds: vec!["buy".into()], ..Reading::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Reading {
    /// Only events of these kinds; empty for all.
    pub kinds: Vec<String>,
    /// Only what had happened and was known by then, as [`HistoryQuery::as_of`] says.
    pub as_of: Timestamp,
    /// The latest so many events of each user.
    pub latest: usize,
    /// Leaves out items with fewer events than this.
    pub count_min: u32,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { kinds: Vec::new(), as_of: Timestamp::MAX, latest: 100_000, count_min: 1 }
    }
}

/// What users did, oldest first, with items as codes of a [`Vocabulary`].
///
/// A user of a shop and an anonymous session are the same thing here: one sequence.
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("view"))?;
/// db.batch()
///     .event(Event::new(7, 30u64, "view", Timestamp(1)))
///     .event(Event::new(7, 10u64, "view", Timestamp(2)))
///     .commit()?;
/// let sequences = Sequences::read(&db.snapshot(), &Reading::default())?;
/// assert_eq!(sequences.items(0), [1, 0]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Sequences {
    vocabulary: Arc<Vocabulary>,
    users: Vec<u64>,
    starts: Vec<usize>,
    items: Vec<u32>,
    at: Vec<i64>,
    kinds: Vec<String>,
}

impl Sequences {
    /// From lists of items and times in milliseconds, each in time order.
    ///
    /// # Errors
    /// `Invalid` as for [`Vocabulary::new`].
    pub fn new(lists: impl IntoIterator<Item = (u64, Vec<(Key, i64)>)>) -> Result<Sequences> {
        let lists: Vec<(u64, Vec<(Key, i64)>)> = lists.into_iter().collect();
        let keys = lists.iter().flat_map(|(_, list)| list.iter().map(|(key, _)| key.clone()));
        let vocabulary = Arc::new(Vocabulary::new(keys)?);
        let mut all = Sequences::empty(vocabulary.clone(), &[]);
        for (user, list) in lists {
            let steps = list.iter().filter_map(|(key, at)| Some((vocabulary.code(key)?, *at)));
            all.push(user, steps);
        }
        Ok(all)
    }

    /// The events of a snapshot, user by user, ascending; within a user as [`Snapshot::history`]
    /// orders them.
    ///
    /// # Errors
    /// `NotFound` for an unknown kind of event; `Corrupt` or `Io` where a file cannot be read.
    pub fn read(snapshot: &Snapshot, reading: &Reading) -> Result<Sequences> {
        let query = HistoryQuery::default()
            .as_of(reading.as_of)
            .kinds(reading.kinds.iter().map(String::as_str))
            .limit(reading.latest);
        let mut codes: BTreeMap<Key, u32> = BTreeMap::new();
        let mut lists = Vec::new();
        for user in snapshot.users()? {
            let history = snapshot.history(user, &query)?;
            let mut list = Vec::with_capacity(history.deeds.len());
            for deed in history.deeds {
                let next = codes.len() as u32;
                list.push((*codes.entry(deed.item).or_insert(next), deed.at.0));
            }
            lists.push((user, list));
        }
        Sequences::gathered(codes, lists, reading)
    }

    /// From codes in the order of first sight to codes in the order of keys.
    fn gathered(
        codes: BTreeMap<Key, u32>,
        lists: Vec<(UserId, Vec<(u32, i64)>)>,
        reading: &Reading,
    ) -> Result<Sequences> {
        let mut counts = vec![0u32; codes.len()];
        lists.iter().flat_map(|(_, list)| list).for_each(|(code, _)| counts[*code as usize] += 1);
        let mut now = vec![None; codes.len()];
        let mut keys = Vec::new();
        for (key, code) in codes {
            if counts[code as usize] >= reading.count_min {
                now[code as usize] = Some(keys.len() as u32);
                keys.push(key);
            }
        }
        let mut all = Sequences::empty(Arc::new(Vocabulary::new(keys)?), &reading.kinds);
        for (user, list) in lists {
            all.push(
                user.0,
                list.iter().filter_map(|(code, at)| Some((now[*code as usize]?, *at))),
            );
        }
        Ok(all)
    }

    fn empty(vocabulary: Arc<Vocabulary>, kinds: &[String]) -> Sequences {
        let (users, items, at) = (Vec::new(), Vec::new(), Vec::new());
        Sequences { vocabulary, users, starts: vec![0], items, at, kinds: kinds.to_vec() }
    }

    /// Appends a sequence; one without steps is left out.
    fn push(&mut self, user: u64, steps: impl Iterator<Item = (u32, i64)>) {
        for (item, at) in steps {
            self.items.push(item);
            self.at.push(at);
        }
        if self.items.len() > self.starts[self.users.len()] {
            self.users.push(user);
            self.starts.push(self.items.len());
        }
    }

    /// How many sequences there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many events there are in all.
    pub fn events(&self) -> usize {
        self.items.len()
    }

    /// The items that occur, or occurred before some were held out.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The kinds of events that were read; empty for all.
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Whose sequence it is.
    pub fn user(&self, sequence: usize) -> u64 {
        self.users[sequence]
    }

    /// The codes of a sequence, oldest first.
    pub fn items(&self, sequence: usize) -> &[u32] {
        &self.items[self.starts[sequence]..self.starts[sequence + 1]]
    }

    /// When its events happened, in milliseconds.
    pub fn at(&self, sequence: usize) -> &[i64] {
        &self.at[self.starts[sequence]..self.starts[sequence + 1]]
    }

    /// All sequences, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|sequence| self.items(sequence))
    }

    /// How many events each item has, by code.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0u32; self.vocabulary.len()];
        self.items.iter().for_each(|item| counts[*item as usize] += 1);
        counts
    }

    /// The share of events, first ones of a sequence aside, whose item the sequence had before: 0
    /// where each is rated once, large for clicks and songs. 0 if there are no such events.
    pub fn repeats(&self) -> f64 {
        let (mut again, mut all, mut seen) = (0u64, 0u64, std::collections::HashSet::new());
        for items in self.iter() {
            seen.clear();
            all += items.len() as u64 - 1;
            again += items.iter().filter(|item| !seen.insert(**item)).count() as u64;
        }
        if all == 0 { 0.0 } else { again as f64 / all as f64 }
    }

    /// Holds out the last event of every sequence with at least two: what is before is the history
    /// of a case, the event its target (leave-one-out). Other sequences stay whole.
    pub fn hold_out_last(&self) -> (Sequences, Cases) {
        let (mut rest, mut cases) =
            (Sequences::empty(self.vocabulary.clone(), &self.kinds), Vec::new());
        for sequence in 0..self.len() {
            let (items, at) = (self.items(sequence), self.at(sequence));
            let mut keep = items.len();
            if let [history @ .., _, target] = items {
                let _ = history;
                keep -= 1;
                cases.push(Case { history: items[..keep].to_vec(), target: Some(*target) });
            }
            let steps = items[..keep].iter().copied().zip(at[..keep].iter().copied());
            rest.push(self.users[sequence], steps);
        }
        (rest, Cases::new(cases))
    }

    /// Holds out whole sequences: those that ended last, this share of them, rounded down. Every
    /// event of one but the first is the target of a case, the events before it the history.
    ///
    /// # Errors
    /// `Invalid` for a share that is not between 0 and 1.
    pub fn hold_out_latest(&self, share: f64) -> Result<(Sequences, Cases)> {
        if !(0.0..=1.0).contains(&share) {
            let why = format!("is {share}; it must be 0 to 1");
            return Err(Error::invalid("share of sequences to hold out", why));
        }
        let end = |sequence: usize| self.at(sequence).last().copied().unwrap_or(i64::MIN);
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|sequence| (end(*sequence), *sequence));
        let keep = self.len() - (self.len() as f64 * share) as usize;
        let (mut rest, mut cases) =
            (Sequences::empty(self.vocabulary.clone(), &self.kinds), Vec::new());
        let mut kept: Vec<usize> = order[..keep].to_vec();
        kept.sort_unstable();
        for sequence in kept {
            let steps = self.items(sequence).iter().copied().zip(self.at(sequence).iter().copied());
            rest.push(self.users[sequence], steps);
        }
        for sequence in &order[keep..] {
            let items = self.items(*sequence);
            for at in 1..items.len() {
                cases.push(Case { history: items[..at].to_vec(), target: Some(items[at]) });
            }
        }
        Ok((rest, Cases::new(cases)))
    }
}
