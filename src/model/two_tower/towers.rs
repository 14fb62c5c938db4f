//! Towers: what was learned, as an artifact, and the vectors that it makes.

use super::{
    lessons::unit,
    shape::{Input, Shape},
};
use crate::{
    artifact::{Artifact, Opened, Provenance, Saved, shelf},
    error::{Error, Result},
    filter::Where,
    item::Item,
    key::{Key, Seq},
    store::Snapshot,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Trained towers: vectors of items, users and queries that are near where they belong together.
///
/// All vectors have length 1, so they are compared by [`Metric::Dot`](crate::Metric) or cosine. Put
/// those of items into a space of the database ([`Towers::items`]), and look there by the vectors of
/// users and queries ([`TowerUser`](super::TowerUser), [`TowerQuery`](super::TowerQuery)). A new item
/// has a vector at once: nothing is learned of items, only of what they have.
///
/// ```
/// use bowerbird::{Db, Item, Result, model::Towers};
/// fn fill(db: &Db, towers: &Towers) -> Result<()> {
///     let snapshot = db.snapshot();
///     let mut batch = db.batch();
///     for (key, vector) in towers.items(&snapshot)? {
///         if let Some(item) = snapshot.get(&key)? {
///             batch.put(item.vector("towers", vector));
///         }
///     }
///     batch.commit().map(|_| ())
/// }
/// ```
#[derive(Clone)]
pub struct Towers {
    pub(super) head: Head,
    pub(super) theta: Vec<f32>,
    pub(super) seconds: f64,
}

impl fmt::Debug for Towers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Towers({:?}, {} numbers)", self.head, self.theta.len())
    }
}

/// What is known beside the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) shape: Shape,
    /// The space that queries are vectors of.
    pub(super) query: Option<String>,
    pub(super) kinds: Vec<String>,
    pub(super) recent: u64,
    pub(super) decay: f32,
    pub(super) seed: u64,
    pub(super) options: Vec<(String, String)>,
    pub(super) curve: Vec<(f64, Option<f64>)>,
}

const HEAD: u16 = 0;
const THETA: u16 = 1;

/// Items that go through a tower together.
const BLOCK: usize = 256;

impl Towers {
    /// How many numbers the vectors have.
    pub fn dim(&self) -> usize {
        self.head.shape.dim as usize
    }

    /// The spaces of items that are read.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.head.shape.parts.iter().map(|part| part.0.as_str())
    }

    /// The options of [`TwoTower`](super::TwoTower), by name, as they were used.
    pub fn options(&self) -> &[(String, String)] {
        &self.head.options
    }

    /// Per epoch: the mean training loss of a lesson, in nats, and NDCG@10 on the validation cases
    /// where there were any.
    pub fn curve(&self) -> &[(f64, Option<f64>)] {
        &self.head.curve
    }

    /// The vector of an item by its vectors in the spaces that are read; `None` if it has none.
    ///
    /// # Errors
    /// `Invalid` for a vector of another length, or with numbers that are not finite.
    pub fn item(&self, item: &Item) -> Result<Option<Vec<f32>>> {
        let input = self.head.shape.of_known_item(item)?;
        Ok(input.there.contains(&true).then(|| self.of_items(&[input])))
    }

    /// The vectors of all items of a snapshot that have one, ascending by key.
    pub fn items(&self, snapshot: &Snapshot) -> Result<Vec<(Key, Vec<f32>)>> {
        let mut all = Vec::new();
        for keys in snapshot.keys(&Where::all(), usize::MAX)?.chunks(BLOCK) {
            let (mut inputs, mut known) = (Vec::new(), Vec::new());
            for key in keys {
                let Some(addr) = snapshot.find(key)? else { continue };
                let input = self.head.shape.at(snapshot, addr)?;
                if input.there.contains(&true) {
                    inputs.push(input);
                    known.push(key);
                }
            }
            let vectors = self.of_items(&inputs);
            let vectors = vectors.chunks_exact(self.dim()).map(<[f32]>::to_vec);
            all.extend(known.into_iter().cloned().zip(vectors));
        }
        Ok(all)
    }

    /// The vector of a user by past items, oldest first; `None` if none of the latest has a vector.
    ///
    /// # Errors
    /// As [`Towers::item`].
    pub fn user(&self, history: &[Item]) -> Result<Option<Vec<f32>>> {
        let inputs = history.iter().map(|item| self.head.shape.of_known_item(item));
        Ok(self.of_user(&inputs.collect::<Result<Vec<_>>>()?))
    }

    /// The vector of a query by its own.
    ///
    /// # Errors
    /// `Invalid` if the towers have none for queries, or the vector does not fit.
    pub fn query(&self, vector: &[f32]) -> Result<Vec<f32>> {
        let shape = &self.head.shape;
        let input = unit(shape, vector, 0)?;
        Ok(checked(shape.query().forward(&self.theta[shape.of_query()], &input, 1).out))
    }

    /// The space that queries are vectors of, if there is a tower for them.
    pub fn query_space(&self) -> Option<&str> {
        self.head.query.as_deref()
    }

    /// Where they came from, to publish them with: trained on the snapshot of a commit.
    pub fn provenance(&self, trained_at: Seq) -> Provenance {
        let mut notes = vec![("method".to_owned(), super::NAME.to_owned())];
        notes.extend(self.head.options.iter().cloned());
        notes.push(("train_seconds".to_owned(), format!("{:.1}", self.seconds)));
        Provenance { trained_at, seed: self.head.seed, parents: Vec::new(), notes }
    }

    fn of_items(&self, inputs: &[Input]) -> Vec<f32> {
        let shape = &self.head.shape;
        let filled = shape.filled(&self.theta, inputs);
        checked(shape.item().forward(&self.theta[shape.of_item()], &filled, inputs.len()).out)
    }

    /// Of a user's known past items, oldest first.
    pub(super) fn of_user(&self, inputs: &[Input]) -> Option<Vec<f32>> {
        let shape = &self.head.shape;
        let known: Vec<&Input> = inputs.iter().filter(|i| i.there.contains(&true)).collect();
        let recent = usize::try_from(self.head.recent).unwrap_or(usize::MAX);
        let recent = &known[known.len().saturating_sub(recent)..];
        if recent.is_empty() {
            return None;
        }
        let input = shape.of_history(recent.iter().copied(), self.head.decay);
        Some(checked(shape.user().forward(&self.theta[shape.of_user()], &input, 1).out))
    }
}

/// Numbers that a forger made may overflow; what is no number becomes 0.
fn checked(mut vector: Vec<f32>) -> Vec<f32> {
    vector.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
    vector
}

impl Artifact for Towers {
    const KIND: &'static str = "two-tower";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, HEAD, &self.head)?;
        shelf::put_f32(out, THETA, &self.theta)
    }

    fn open(from: &Opened) -> Result<Towers> {
        let head: Head = shelf::take(from, HEAD)?;
        head.shape.check(from)?;
        let named = head.query.is_some() == (head.shape.query > 0);
        if !named || !(0.0..=1.0).contains(&head.decay) {
            return Err(from.damage("options of the towers"));
        }
        let theta = shelf::take_f32(from, THETA, head.shape.size())?;
        Ok(Towers { head, theta, seconds: 0.0 })
    }
}

/// Refuses a space of the database that cannot hold the vectors.
pub(super) fn check_space(towers: &Towers, snapshot: &Snapshot, space: &str) -> Result<()> {
    let dim = snapshot.schema().find_space(space)?.dim as usize;
    if dim != towers.dim() {
        let why = format!("has {dim} numbers; vectors of the towers have {}", towers.dim());
        return Err(Error::invalid(format!("space {space:?}"), why));
    }
    Ok(())
}
