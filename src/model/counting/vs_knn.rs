//! VsKnn: sessions like this one, and what else they had.

use super::{grow::grown, lists::Lists, sessions::Sessions, steps::different};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{Grow, Model, Sequences, Train, Training, method::Method, shelf},
};

pub(crate) const NAME: &str = "vs-knn";

/// Vector session nearest neighbours: of the `sample` most recent sessions that share an item with a
/// history, the `neighbours` most similar vote for their items (Ludewig and Jannach, 2018; weights
/// as in session-rec: quadratic for similarity, by division for votes).
///
/// With `n` events in the history, its `c`-th counts `(c / n)^2`; a session's similarity is what the
/// items it shares come to, over how many different items the history has. It votes for each of its
/// items with its similarity, divided by how many events ago its latest shared item was, times
/// `1 + rarity * ln(sessions / events of the item)`.
///
/// ```
/// use bowerbird::model::VsKnn;
/// let fast = VsKnn { sample: 1_000, neighbours: 100, ..VsKnn::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VsKnn {
    /// How many sessions vote.
    pub neighbours: usize,
    /// How many sessions are looked at: those that ended last. Older ones are not kept.
    pub sample: usize,
    /// How much rare items gain.
    pub rarity: f32,
    /// How many of the last events of a history are looked at, and how many of the last different
    /// items of a session are kept; at most 1,000.
    pub recent: usize,
}

impl Default for VsKnn {
    fn default() -> VsKnn {
        VsKnn { neighbours: 500, sample: 5_000, rarity: 5.0, recent: 1_000 }
    }
}

/// The sum of the squares of so many positions fits 32 bits.
const RECENT_MAX: usize = 1_000;

/// Gains are then finite, whatever is counted.
const RARITIES: std::ops::RangeInclusive<f32> = 0.0..=1e6;

impl Train for VsKnn {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let least = self.neighbours.min(self.sample).min(self.recent);
        if least == 0 || self.recent > RECENT_MAX || !RARITIES.contains(&self.rarity) {
            let why = "needs neighbours and a sample of at least 1, a recent of 1 to 1,000, \
                       and a rarity of 0 to 1,000,000";
            return Err(Error::invalid("VsKnn", why));
        }
        how.begin(sequences.len())?;
        let end = |s: usize| sequences.at(s).last().copied().unwrap_or(i64::MIN);
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|s| std::cmp::Reverse((end(*s), *s)));
        let told = order.into_iter().map(|sequence| {
            how.progress.advance(1)?;
            Ok((end(sequence), different(sequences.items(sequence), self.recent)))
        });
        let events = sequences.counts().into_iter().map(u64::from).collect();
        let sessions = Sessions::gather(self.sample, (events, sequences.len() as u64), told)?;
        let options = vec![
            ("neighbours".into(), self.neighbours.to_string()),
            ("sample".into(), self.sample.to_string()),
            ("rarity".into(), self.rarity.to_string()),
            ("recent".into(), self.recent.to_string()),
        ];
        Ok(Model::trained(Visits::new(*self, sessions), options, sequences, how))
    }
}

/// Exact, though old sessions are cut: what is recent among all is recent where it came from. Of
/// sessions that ended at the same time the new ones count as later.
impl Grow for VsKnn {
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let since = self.train(more, how)?;
        grown(model, since, |parts, items| {
            let parts = parts.map(|(visits, codes): (&Visits, _)| (&visits.sessions, codes));
            Ok(Visits::new(*self, Sessions::joined(parts, items, self.sample, how)?))
        })
    }
}

/// Sessions, latest first, and which of them have an item.
#[derive(Debug)]
pub(crate) struct Visits {
    options: VsKnn,
    sessions: Sessions,
    /// Per item: its latest sessions.
    by_item: Lists,
    /// Per item: what a vote for it is multiplied by.
    gains: Vec<f32>,
}

/// An item of the history.
#[derive(Clone, Copy, Debug)]
struct Mark<'a> {
    /// Sessions that have it and were not looked at yet, latest first.
    sessions: &'a [u32],
    /// The square of its last position in the history, from 1.
    worth: u32,
    /// How many events ago it was, from 1.
    ago: u32,
}

/// A session that shares items with the history.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Like {
    session: u32,
    /// The sum of the squares of positions of what it shares.
    worth: u32,
    /// How many events ago its latest shared item was.
    ago: u32,
}

/// Sessions looked at in one go: their sums stay in the cache.
const WINDOW: u32 = 4096;

impl Visits {
    fn new(options: VsKnn, sessions: Sessions) -> Visits {
        let gains = sessions.gains(options.rarity);
        let by_item = sessions.sets.inverted(gains.len(), options.sample);
        Visits { options, sessions, by_item, gains }
    }

    pub(crate) fn open(from: &Opened, items: usize) -> Result<Visits> {
        let (neighbours, sample, recent, rarity): (u64, u64, u64, f32) =
            shelf::take(from, shelf::OWN)?;
        let [neighbours, sample, recent] = [neighbours, sample, recent].map(|n| n as usize);
        // Shares are sums over different items of at most RECENT_MAX, or they would not fit.
        if neighbours.min(sample) == 0
            || !(1..=RECENT_MAX).contains(&recent)
            || !RARITIES.contains(&rarity)
        {
            return Err(from.damage("settings of the model"));
        }
        let sessions = Sessions::open(from, shelf::OWN + 1, (items, recent))?;
        Ok(Visits::new(VsKnn { neighbours, sample, rarity, recent }, sessions))
    }

    /// The different items of a history, latest first.
    fn marks(&self, history: &[u32]) -> Vec<Mark<'_>> {
        let mut seen = std::collections::HashSet::new();
        let events = history.len() as u32;
        let mark = |(ago, item): (u32, &u32)| Mark {
            sessions: self.by_item.get(*item),
            worth: (events - ago).pow(2),
            ago: ago + 1,
        };
        let latest = (0u32..).zip(history.iter().rev());
        latest.filter(|(_, item)| seen.insert(**item)).map(mark).collect()
    }

    /// The latest `sample` sessions that share an item.
    ///
    /// Goes through sessions from the latest on, a window at a time, and jumps over windows that
    /// nothing is in; so the cost is that of the entries, whatever the number of sessions.
    fn alike(&self, mut marks: Vec<Mark<'_>>) -> Vec<Like> {
        let mut window = vec![(0u32, 0u32); WINDOW as usize];
        let (mut touched, mut found) = (Vec::new(), Vec::new());
        while let Some(first) = marks.iter().filter_map(|mark| mark.sessions.first()).min().copied()
        {
            for mark in &mut marks {
                let inside = mark.sessions.iter().take_while(|s| **s - first < WINDOW).count();
                let (now, later) = mark.sessions.split_at(inside);
                mark.sessions = later;
                for session in now {
                    let (worth, ago) = &mut window[(session - first) as usize];
                    if *worth == 0 {
                        // Marks come latest first.
                        *ago = mark.ago;
                        touched.push(*session);
                    }
                    *worth += mark.worth;
                }
            }
            touched.sort_unstable();
            for session in touched.drain(..) {
                let (worth, ago) = std::mem::take(&mut window[(session - first) as usize]);
                found.push(Like { session, worth, ago });
            }
            if found.len() >= self.options.sample {
                found.truncate(self.options.sample);
                break;
            }
        }
        found
    }
}

impl Method for Visits {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        let history = &history[history.len().saturating_sub(self.options.recent)..];
        let marks = self.marks(history);
        let whole = (history.len() * history.len() * marks.len()) as f64;
        let mut alike = self.alike(marks);
        if alike.len() > self.options.neighbours {
            let order = |like: &Like| (std::cmp::Reverse(like.worth), like.session);
            alike.select_nth_unstable_by_key(self.options.neighbours - 1, order);
            alike.truncate(self.options.neighbours);
            // Sums depend on their order in the last bit.
            alike.sort_unstable_by_key(order);
        }
        for Like { session, worth, ago } in alike {
            let vote = (f64::from(worth) / whole / f64::from(ago)) as f32;
            self.sessions.sets.get(session).iter().for_each(|item| scores[*item as usize] += vote);
        }
        scores.iter_mut().zip(&self.gains).for_each(|(score, gain)| *score *= gain);
        Ok(())
    }

    fn silence(&self) -> Option<f32> {
        Some(0.0)
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        let VsKnn { neighbours, sample, rarity, recent } = self.options;
        let numbers = (neighbours as u64, sample as u64, recent as u64, rarity);
        shelf::put(out, shelf::OWN, &numbers)?;
        self.sessions.save(out, shelf::OWN + 1)
    }
}
