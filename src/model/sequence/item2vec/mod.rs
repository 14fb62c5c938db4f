//! item2vec: items that come near each other get vectors that point the same way.

mod blocks;
mod learn;
mod pairs;
mod side;
mod table;
#[cfg(test)]
mod tests;

pub use table::NewItem;
pub(crate) use table::{NAME, Table};

use crate::{
    error::{Error, Result},
    key::Key,
    model::{Model, Sequences, Train, Training, train::dice::Dice, training::Next},
};
use blocks::Blocks;
use pairs::Pairs;
use side::Tokens;

/// Skip-gram with negative sampling over items (Mikolov et al., 2013; Barkan and Koenigstein,
/// 2016).
///
/// An item has two vectors: one as what was looked at ("in"), one as what comes near it ("out").
/// The inner product of an in with an out vector is high where the two items come near each other
/// more often than their counts explain. Next items are found by in and out, similar ones by the
/// cosine of two in vectors.
///
/// Same seed, same bytes, on any number of threads.
///
/// ```
/// use bowerbird::model::Item2Vec;
/// let songs = Item2Vec { alpha: -0.5, ..Item2Vec::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Item2Vec {
    /// Numbers per vector.
    pub dim: usize,
    /// Most steps from an item to one that counts as near; drawn anew each time from 1 to this, so
    /// that nearer ones count more. At most 100; for whole sets see `order_aware`.
    pub window: usize,
    /// Items drawn at random for every one that did come near.
    pub negatives: usize,
    /// Those are drawn by count to this power. Below 0, rare ones are drawn more often than others;
    /// those without any event are never drawn.
    pub alpha: f64,
    /// Items that make up more than this share of events are passed over at random, the more often
    /// the more frequent they are. 0 passes over none.
    pub subsample: f64,
    /// Times through the sequences. Without it, as many as make about 4 million events, but 10 to
    /// 60.
    pub epochs: Option<usize>,
    /// Whether nearness is steps in the sequence; if not, its items are a set, in a new random
    /// order each time.
    pub order_aware: bool,
    /// Whether only later items count as near.
    pub directed: bool,
    /// The step at first; it falls in a straight line to nothing.
    pub learning_rate: f32,
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item of a history counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// Words about items (a brand, a category), each with its kind: "brand:x". They get vectors of
    /// their own, so that a new item can get one too (Meta-Prod2Vec, Vasile et al., 2016). Items
    /// that are not in the sequences are passed over.
    pub side_info: Vec<(Key, Vec<String>)>,
}

impl Default for Item2Vec {
    fn default() -> Item2Vec {
        Item2Vec {
            dim: 64,
            window: 5,
            negatives: 5,
            alpha: 0.5,
            subsample: 0.0,
            epochs: None,
            order_aware: true,
            directed: false,
            learning_rate: 0.05,
            recent: 20,
            decay: 0.5,
            side_info: Vec::new(),
        }
    }
}

/// Events seen in all, where nothing is said about epochs.
const EVENTS_SEEN: usize = 4_000_000;
/// Most reports while training: each may cost a look at validation cases.
const REPORTS_MAX: usize = 10;

impl Train for Item2Vec {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        self.check()?;
        let items = sequences.vocabulary().len();
        let longest = sequences.iter().map(<[u32]>::len).max().unwrap_or(0);
        if longest < 2 {
            let why = "have no sequence of two events: nothing comes after anything";
            return Err(Error::invalid("sequences for Item2Vec", why));
        }
        let epochs = self.epochs(sequences.events());
        let reports = epochs.min(REPORTS_MAX);
        how.begin(reports)?;
        let tokens = Tokens::new(&self.side_info, sequences.vocabulary());
        let pairs = Pairs::new(self, sequences);
        let mut blocks = Blocks::new(self, &sequences.counts(), &tokens, how.seed);
        let rate = |share: f64| (f64::from(self.learning_rate) * (1.0 - share).max(1e-4)) as f32;
        let (mut best, mut examples) = (None, 0);
        let repeats = sequences.repeats();
        for report in 0..reports {
            let passes = report * epochs / reports..(report + 1) * epochs / reports;
            let (mut loss, mut seen) = (0.0, 0);
            for pass in passes {
                let mut dice = Dice::new(how.seed, 1 + pass as u64);
                blocks.shuffle(&mut dice);
                let mut at = 0;
                while at < sequences.len() {
                    let share = |at: usize| {
                        (pass as f64 + at as f64 / sequences.len() as f64) / epochs as f64
                    };
                    let (from, to) =
                        (at, pairs.fill(sequences, at, &tokens, &mut blocks, &mut dice));
                    let rates = (rate(share(from)), rate(share(to)));
                    let (sum, count, pairs) = blocks.learn(rates, dice.number(), how.threads)?;
                    (loss, seen, examples) = (loss + sum, seen + count, examples + pairs);
                    at = to;
                    how.progress.check()?;
                }
            }
            let table = blocks.table(self, &tokens, items);
            let mean = loss / (seen as f64).max(1.0);
            // The rate falls to nothing by plan, so a bad report is no reason to stop.
            let next = how.epoch((mean, examples), (&table, items), (repeats, reports + 1))?;
            if matches!(next, Next::Better | Next::StopHere) {
                best = Some(table);
            }
            if matches!(next, Next::Stop | Next::StopHere) {
                break;
            }
        }
        let Some(table) = best else {
            return Err(Error::invalid("Item2Vec", "learned nothing"));
        };
        Ok(Model::trained(table, self.said(epochs), sequences, how))
    }
}

impl Item2Vec {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str, why: &str| Err(Error::invalid(format!("{what} of Item2Vec"), why));
        let counts = [
            ("dim", self.dim, 4096),
            ("window", self.window, 100),
            ("negatives", self.negatives, 10_000),
            ("epochs", self.epochs.unwrap_or(1), 100_000),
            ("recent", self.recent, 100_000),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return wrong(name, &format!("is {value}; it must be 1 to {most}"));
            }
        }
        if !(self.alpha.is_finite() && self.alpha.abs() <= 10.0) {
            return wrong("alpha", "must be -10 to 10");
        }
        if !(self.subsample.is_finite() && self.subsample >= 0.0) {
            return wrong("subsample", "must be a number of at least 0");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return wrong("learning_rate", "must be more than 0, at most 1");
        }
        if !(0.0..=1.0).contains(&self.decay) {
            return wrong("decay", "must be 0 to 1");
        }
        Ok(())
    }

    fn epochs(&self, events: usize) -> usize {
        self.epochs.unwrap_or((EVENTS_SEEN / events.max(1)).clamp(10, 60))
    }

    /// The options, for the card.
    fn said(&self, epochs: usize) -> Vec<(String, String)> {
        vec![
            ("dim".into(), self.dim.to_string()),
            ("window".into(), self.window.to_string()),
            ("negatives".into(), self.negatives.to_string()),
            ("alpha".into(), self.alpha.to_string()),
            ("subsample".into(), self.subsample.to_string()),
            ("epochs".into(), epochs.to_string()),
            ("order_aware".into(), self.order_aware.to_string()),
            ("directed".into(), self.directed.to_string()),
            ("learning_rate".into(), self.learning_rate.to_string()),
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("side_info".into(), self.side_info.len().to_string()),
        ]
    }
}
