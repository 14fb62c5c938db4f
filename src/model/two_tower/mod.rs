//! Two towers: questions and items as vectors of one space, learned from what answered what.
//!
//! | file | it owns |
//! |---|---|
//! | `shape`, `input` | what goes in, and where the numbers of each tower are |
//! | `mlp` | a tower, forward and backward |
//! | `contrast` | the loss |
//! | `lessons` | what is learned from |
//! | `batch`, `fit` | a step, and all of them |
//! | `towers` | what was learned, as an artifact |
//! | `operate` | users and queries as interests |

mod batch;
mod contrast;
mod fit;
mod input;
mod lessons;
mod mlp;
mod operate;
mod shape;
#[cfg(test)]
mod tests;
mod towers;

pub use operate::{TowerQuery, TowerUser};
pub use towers::Towers;

use crate::{
    error::{Error, Result},
    key::Key,
    limits::{DIM_MAX, TERMS_MAX},
    model::{
        Sequences, Training,
        train::epochs::{self, Epochs},
    },
    store::Snapshot,
};
use fit::Fit;
use lessons::Lessons;
use shape::{HIDDEN_MAX, Shape};
use towers::Head;

const NAME: &str = "two-tower";

/// A two-tower trainer (Yi et al., 2019; Huang et al., 2020): one network for items, one for users and
/// one for queries, whose vectors are near where they belong together.
///
/// An item goes in by its vectors in several spaces, end to end; where one is missing, a vector that
/// is learned takes its place. A user goes in as the mean of the latest items' vectors, later ones
/// counting more; a query by a vector of its own. Others to tell an item apart from are the items of
/// the other lessons in a batch and items drawn at random, corrected for how often they come; of those
/// drawn, more and more are the nearest wrong ones, in a straight line from none (as at Etsy, 2023).
/// Drawn from are the items of histories and answers: one that nobody has met is wrong in no lesson,
/// so that new items are judged by what they have and not by being new. Only where fewer than
/// `negatives` items are met, all are drawn from.
///
/// Same seed, same bytes; one thread.
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// let schema = Schema::new().space("text", 2, Metric::Cosine).event("view");
/// let db = Db::in_memory(schema)?;
/// for item in 0..8u64 {
///     let vector = if item % 2 == 0 { [1.0, item as f32 / 10.0] } else { [item as f32 / 10.0, 1.0] };
///     db.batch().put(Item::new(item).vector("text", vector)).commit()?;
/// }
/// for step in 0..64 {
///     let (user, item) = (step % 16, (step % 2 + 2 * (step / 16)) as u64);
///     db.batch().event(Event::new(user, item, "view", Timestamp(step as i64))).commit()?;
/// }
/// let snapshot = db.snapshot();
/// let sequences = Sequences::read(&snapshot, &Reading::default())?;
/// let options = TwoTower { dim: 4, epochs: 2, ..TwoTower::of(["text"]) };
/// let towers = options.train(&snapshot, &sequences, &[], &mut Training::new(7))?;
/// assert_eq!(towers.items(&snapshot)?[0].1.len(), 4);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TwoTower {
    /// The spaces of items to read.
    pub parts: Vec<String>,
    /// The space that queries are vectors of; without one there is no tower for them.
    pub query: Option<String>,
    /// Numbers per vector.
    pub dim: usize,
    /// Numbers of the hidden layer of each tower; 0 for none, which leaves one linear layer.
    pub hidden: usize,
    /// Times through the lessons.
    pub epochs: usize,
    /// Lessons per step.
    pub batch: usize,
    /// Items drawn at random, of those that somebody has met, for every step: all its lessons choose
    /// others from them.
    pub pool: usize,
    /// Of these, how many each lesson is told apart from.
    pub negatives: usize,
    /// The share of those that are the nearest wrong ones at the end: 0 to 1.
    pub hard: f32,
    /// Similarities are divided by this: the smaller, the more the nearest wrong ones count.
    pub temperature: f32,
    /// The step at first; it falls in a straight line to nothing.
    pub learning_rate: f32,
    /// How many of the last items make a user.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// How many of the last items of each user are lessons.
    pub targets: usize,
}

impl TwoTower {
    /// Reading these spaces, with options that suit some thousands of items.
    pub fn of<'s>(parts: impl IntoIterator<Item = &'s str>) -> TwoTower {
        TwoTower {
            parts: parts.into_iter().map(str::to_owned).collect(),
            query: None,
            dim: 64,
            hidden: 128,
            epochs: 10,
            batch: 256,
            pool: 512,
            negatives: 128,
            hard: 0.5,
            temperature: 0.07,
            learning_rate: 1e-3,
            recent: 20,
            decay: 0.8,
            targets: 50,
        }
    }

    /// Learns from what users did, one item after the other, and from queries with the items that
    /// answered them. Items are those of the snapshot with a vector in one of the spaces.
    ///
    /// # Errors
    /// `NotFound` for an unknown space; `Invalid` for options out of range, for queries that do not
    /// fit, and if there is nothing to learn from; `Cancelled`.
    pub fn train(
        &self,
        snapshot: &Snapshot,
        sequences: &Sequences,
        queries: &[(Vec<f32>, Key)],
        how: &mut Training<'_>,
    ) -> Result<Towers> {
        self.check()?;
        let shape = self.shape(snapshot)?;
        let lessons = Lessons::read(self, &shape, snapshot, sequences, queries)?;
        let fit = Fit::new(self, &shape, &lessons, (how.seed, sequences.repeats()));
        let (epochs, windows, batch) = (self.epochs, lessons.lessons.len(), self.batch);
        let theta = epochs::run(fit, shape.draw(how.seed), Epochs { epochs, windows, batch }, how)?;
        let head = Head {
            shape: shape.clone(),
            query: self.query.clone(),
            kinds: sequences.kinds().to_vec(),
            recent: self.recent as u64,
            decay: self.decay,
            seed: how.seed,
            options: self.said(),
            curve: how.curve().iter().map(|epoch| (epoch.loss, epoch.ndcg_10)).collect(),
        };
        Ok(Towers { head, theta, seconds: how.seconds() })
    }

    fn shape(&self, snapshot: &Snapshot) -> Result<Shape> {
        let dim = |space: &String| -> Result<u32> { Ok(snapshot.schema().find_space(space)?.dim) };
        let part = |space: &String| Ok((space.clone(), dim(space)?));
        Ok(Shape {
            parts: self.parts.iter().map(part).collect::<Result<_>>()?,
            query: self.query.as_ref().map_or(Ok(0), dim)?,
            hidden: self.hidden as u32,
            dim: self.dim as u32,
        })
    }

    fn check(&self) -> Result<()> {
        let wrong =
            |what: &str, why: String| Err(Error::invalid(format!("{what} of TwoTower"), why));
        let counts = [
            ("parts", self.parts.len(), TERMS_MAX),
            ("dim", self.dim, DIM_MAX as usize),
            ("epochs", self.epochs, 100_000),
            ("batch", self.batch, 65_536),
            ("pool", self.pool, 65_536),
            ("negatives", self.negatives, 65_536),
            ("recent", self.recent, 100_000),
            ("targets", self.targets, 100_000),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return wrong(name, format!("is {value}; it must be 1 to {most}"));
            }
        }
        if self.hidden > HIDDEN_MAX as usize {
            return wrong("hidden", format!("is {}; at most {HIDDEN_MAX}", self.hidden));
        }
        for (name, share) in [("hard", self.hard), ("decay", self.decay)] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(name, format!("is {share}; it must be 0 to 1"));
            }
        }
        for (name, value) in
            [("temperature", self.temperature), ("learning_rate", self.learning_rate)]
        {
            if !(1e-6..=10.0).contains(&value) {
                return wrong(name, format!("is {value}; it must be 0.000001 to 10"));
            }
        }
        Ok(())
    }

    /// The options, for the artifact.
    fn said(&self) -> Vec<(String, String)> {
        let query = self.query.clone().unwrap_or_default();
        let said = [
            ("parts", self.parts.join(" ")),
            ("query", query),
            ("dim", self.dim.to_string()),
            ("hidden", self.hidden.to_string()),
            ("epochs", self.epochs.to_string()),
            ("batch", self.batch.to_string()),
            ("pool", self.pool.to_string()),
            ("negatives", self.negatives.to_string()),
            ("hard", self.hard.to_string()),
            ("temperature", self.temperature.to_string()),
            ("learning_rate", self.learning_rate.to_string()),
            ("recent", self.recent.to_string()),
            ("decay", self.decay.to_string()),
            ("targets", self.targets.to_string()),
        ];
        said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
