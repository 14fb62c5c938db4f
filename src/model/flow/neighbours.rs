//! Neighbours: how far it is to the nearest known frauds, and to what is near at all.

use crate::{
    error::{Error, Result},
    filter::{Where, attr},
    key::{Key, Timestamp},
    schema::{AttrType, Metric},
    store::Snapshot,
};

/// How far a vector is from the nearest items of a kind, such as known frauds, and from the nearest of all
/// others, by a search in a space: three features of it.
///
/// Items are transactions, with the vector that describes them and attributes that say whether they were
/// bad and since when that is known. So an item counts from then on, and not before: ask as of the time of
/// the event. To know how dense a place is, a sample of the others will do.
///
/// ```
/// use bowerbird::{model::flow::*, *};
/// # fn main() -> Result<()> {
/// let schema = Schema::new()
///     .space("tx", 2, Metric::L2)
///     .attr("fraud", AttrType::Bool)
///     .attr("known", AttrType::Time);
/// let db = Db::in_memory(schema)?;
/// let item = |id: u64, at, fraud: bool, known: i64| {
///     Item::new(id).vector("tx", at).attr("fraud", fraud).attr("known", Timestamp(known))
/// };
/// db.batch()
///     .put(item(1, [3.0, 4.0], true, 100))
///     .put(item(2, [1.0, 0.0], true, 200))
///     .put(item(3, [0.0, 2.0], false, 0))
///     .commit()?;
/// let near = Neighbours::new("tx", attr("fraud").is(true), 2).known("known");
/// let [fraud, frauds, others] = near.distances(&db.snapshot(), &[0.0, 0.0], Timestamp(150), None)?;
/// assert_eq!((fraud, frauds, others), (5.0, 5.0, 2.0), "the second was not known yet");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Neighbours {
    space: String,
    marked: Where,
    known: Option<String>,
    k: usize,
}

/// Most neighbours.
const NEIGHBOURS_MAX: usize = 1_000;

impl Neighbours {
    /// The `k` nearest in a space of those that a filter allows, and of those that it does not; 1 to 1,000.
    pub fn new(space: &str, marked: Where, k: usize) -> Neighbours {
        Neighbours { space: space.into(), marked, known: None, k }
    }

    /// The time attribute that says since when an item is known; one without it never is. Without this,
    /// all are.
    pub fn known(mut self, attr: &str) -> Neighbours {
        self.known = Some(attr.into());
        self
    }

    /// The distance to the nearest of the kind, the mean of the `k` nearest, and the mean of the `k`
    /// nearest others, as of a time; NaN where there are none. In an L2 space it is Euclidean, in a cosine
    /// space 1 less the cosine, otherwise minus the inner product. `own` is the item itself, if it is
    /// there, which does not count.
    ///
    /// # Errors
    /// `NotFound` for an unknown space or attribute; `Invalid` for a vector that does not fit.
    pub fn distances(
        &self,
        snapshot: &Snapshot,
        vector: &[f32],
        now: Timestamp,
        own: Option<&Key>,
    ) -> Result<[f32; 3]> {
        if !(1..=NEIGHBOURS_MAX).contains(&self.k) {
            let why = format!("are {}; 1 to {NEIGHBOURS_MAX}", self.k);
            return Err(Error::invalid("neighbours", why));
        }
        let known = match &self.known {
            Some(name) => {
                if snapshot.schema().find_attr(name)?.ty != AttrType::Time {
                    return Err(Error::invalid(format!("attribute {name:?}"), "is not a time"));
                }
                attr(name).at_most(now)
            }
            None => Where::all(),
        };
        let marked = self.nearest(snapshot, vector, known.clone() & self.marked.clone(), own)?;
        let others = self.nearest(snapshot, vector, known & !self.marked.clone(), own)?;
        let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
        Ok([marked.first().copied().unwrap_or(f32::NAN), mean(&marked), mean(&others)])
    }

    fn nearest(
        &self,
        snapshot: &Snapshot,
        vector: &[f32],
        filter: Where,
        own: Option<&Key>,
    ) -> Result<Vec<f32>> {
        let metric = snapshot.schema().find_space(&self.space)?.metric;
        let near = snapshot.near(&self.space, vector).filter(filter).limit(self.k);
        let hits = near.exclude(own.cloned()).run()?;
        let distance = |score: f32| match metric {
            Metric::L2 => (-score).max(0.0).sqrt(),
            Metric::Cosine => 1.0 - score,
            Metric::Dot => -score,
        };
        Ok(hits.into_iter().map(|hit| distance(hit.score)).collect())
    }
}
