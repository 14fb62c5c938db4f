//! Many questions at once, spread over threads.

use crate::{
    error::{Error, Result},
    search::scan::{Blend, Query},
    store::{
        knobs::{self, Knobs},
        nearest::{self, Hit, Question},
        snapshot::Snapshot,
        spread::spread,
    },
};
use std::slice;

/// Many questions for the nearest items that differ only in their vectors, put together by chaining
/// and answered by [`NearBatch::run`].
///
/// Each answer is what [`Near`](crate::Near) gives for the vector alone; a filter is resolved once
/// for all, and whole questions are spread over threads.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
/// # db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0])).commit()?;
/// let queries = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]];
/// let answers = db.snapshot().near_batch("text", &queries).limit(10).threads(2).run()?;
/// assert_eq!(answers.len(), 3);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is searched before `run`"]
pub struct NearBatch<'s> {
    snapshot: &'s Snapshot,
    queries: Result<Vec<Query>>,
    knobs: Knobs<'s>,
}

knobs::setters!(NearBatch);

impl Snapshot {
    /// The items nearest to each of many vectors in a space.
    ///
    /// Errors of the arguments are reported by `run`, as those of [`Snapshot::near`] are.
    pub fn near_batch(&self, space: &str, queries: &[impl AsRef<[f32]>]) -> NearBatch<'_> {
        let queries = self.space(space).and_then(|space| {
            let prepare = |(at, query): (usize, &_)| {
                nearest::prepare(&space, AsRef::<[f32]>::as_ref(query), 1.0).map_err(|error| {
                    match error {
                        Error::Invalid { why, .. } => Error::invalid(format!("query {at}"), why),
                        other => other,
                    }
                })
            };
            queries.iter().enumerate().map(prepare).collect()
        });
        NearBatch { snapshot: self, queries, knobs: Knobs::default() }
    }
}

impl NearBatch<'_> {
    /// Answers with this many threads, each a question at a time; 1 unless set.
    pub fn threads(mut self, threads: usize) -> Self {
        self.knobs.threads = threads;
        self
    }

    /// The nearest items for each vector, in the order of the vectors.
    ///
    /// # Errors
    /// If one question cannot be answered, none is.
    pub fn run(self) -> Result<Vec<Vec<Hit>>> {
        self.knobs.check()?;
        let queries = self.queries.as_ref().map_err(Error::clone)?;
        let sieves = self.knobs.sieves(self.snapshot)?;
        spread(queries.len(), self.knobs.threads, |at| {
            let question = Question {
                queries: slice::from_ref(&queries[at]),
                blend: Blend::Sum,
                limit: self.knobs.limit,
                depth: self.knobs.depth,
                after: None,
            };
            Ok(nearest::search(self.snapshot, &sieves, &question, 1)?.0)
        })
    }
}
