//! Hybrid search: words and vectors in one answer.

use crate::{
    error::{Error, Result},
    key::Addr,
    limits::{LIMIT_MAX, TERMS_MAX},
    schema::Metric,
    segment::bits::Bits,
    store::{
        check_number,
        knobs::{self, Knobs},
        matching::Matching,
        near::Near,
        nearest::{self, Hit},
        selection::Selection,
        snapshot::Snapshot,
    },
};
use std::collections::HashMap;

/// How the lists of a [`Hybrid`] search become one.
///
/// ```
/// use bowerbird::Fusion;
/// assert_eq!(Fusion::default(), Fusion::Ranks { k: 60.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fusion {
    /// Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the sum over the lists that have an
    /// item of weight / (k + rank), ranks from 1. It needs no common scale.
    Ranks {
        /// How little the first places stand out; above -1.
        k: f32,
    },
    /// A weighted sum of scores, each brought to 0..1 between the least that is possible (0 for words, -1
    /// for cosines; the least of the candidates for other vectors) and the best of its list (Bruch, Gai and
    /// Ingber, 2023). What only some lists have found is scored by the others, too.
    Scores,
}

impl Default for Fusion {
    fn default() -> Fusion {
        Fusion::Ranks { k: 60.0 }
    }
}

/// A part of a [`Hybrid`] search: a question by words or by vectors, with filters of its own.
///
/// ```
/// # use bowerbird::*;
/// fn legs<'s>(snapshot: &'s Snapshot, vector: &[f32]) -> [Leg<'s>; 2] {
///     [snapshot.matching("title", "star wars").into(), snapshot.near("text", vector).into()]
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Leg<'s> {
    /// By words.
    Matching(Matching<'s>),
    /// By vectors.
    Near(Near<'s>),
}

impl<'s> From<Matching<'s>> for Leg<'s> {
    fn from(question: Matching<'s>) -> Leg<'s> {
        Leg::Matching(question)
    }
}

impl<'s> From<Near<'s>> for Leg<'s> {
    fn from(question: Near<'s>) -> Leg<'s> {
        Leg::Near(question)
    }
}

/// Several questions answered as one, put together by chaining and answered by [`Hybrid::run`].
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let schema = Schema::new().space("text", 2, Metric::Cosine).attr("title", AttrType::Text);
/// let db = Db::in_memory(schema)?;
/// db.batch()
///     .put(Item::new(1u64).attr("title", "Star Wars").vector("text", [1.0, 0.0]))
///     .put(Item::new(2u64).attr("title", "Galaxy Quest").vector("text", [0.9, 0.1]))
///     .put(Item::new(3u64).attr("title", "Paris, Texas").vector("text", [0.0, 1.0]))
///     .commit()?;
/// let snapshot = db.snapshot();
/// let hits = snapshot
///     .hybrid()
///     .add(1.0, snapshot.matching("title", "star wars"))
///     .add(1.0, snapshot.near("text", &[1.0, 0.0]))
///     .limit(2)
///     .run()?;
/// assert_eq!(hits.iter().map(|hit| &hit.key).collect::<Vec<_>>(), [&Key::Id(1), &Key::Id(2)]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is searched before `run`"]
pub struct Hybrid<'s> {
    snapshot: &'s Snapshot,
    legs: Vec<(f32, Leg<'s>)>,
    depth: usize,
    fusion: Fusion,
    knobs: Knobs<'s>,
}

knobs::narrowing!(Hybrid);

/// Candidates of each list, unless the caller says.
const DEPTH: usize = 100;

impl Snapshot {
    /// A search of several questions, such as one by words and one by vectors.
    pub fn hybrid(&self) -> Hybrid<'_> {
        let (fusion, knobs) = (Fusion::default(), Knobs::default());
        Hybrid { snapshot: self, legs: Vec::new(), depth: DEPTH, fusion, knobs }
    }
}

impl<'s> Hybrid<'s> {
    /// Adds a question with a weight of 0 or more. Its own limit does not count.
    pub fn add(mut self, weight: f32, question: impl Into<Leg<'s>>) -> Self {
        self.legs.push((weight, question.into()));
        self
    }

    /// How many candidates each question brings; 100 unless set, and never fewer than the limit.
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// How the lists become one; by reciprocal ranks unless set.
    pub fn fuse(mut self, fusion: Fusion) -> Self {
        self.fusion = fusion;
        self
    }

    /// The best of all lists, best first; equal scores are ordered by key.
    ///
    /// # Errors
    /// Those of the questions, and `Invalid` for weights that are negative or not finite, a depth that is 0 or more than
    /// a million, no question or more than 64, and a `k` of -1 or less.
    pub fn run(mut self) -> Result<Vec<Hit>> {
        self.check()?;
        let depth = self.depth.max(self.knobs.limit);
        let legs = std::mem::take(&mut self.legs);
        let mut lists = Vec::with_capacity(legs.len());
        let mut asked = Vec::with_capacity(legs.len());
        for (weight, leg) in legs {
            let leg = leg.narrowed(&self.knobs);
            lists.push((weight, leg.run(depth, None)?));
            asked.push(leg);
        }
        let found = match self.fusion {
            Fusion::Ranks { k } => by_rank(&lists, k.into()),
            Fusion::Scores => self.by_score(&lists, &asked)?,
        };
        nearest::order(self.snapshot, found, self.knobs.limit)
    }

    fn check(&self) -> Result<()> {
        self.knobs.check()?;
        check_number("depth", self.depth, LIMIT_MAX)?;
        check_number("number of questions", self.legs.len(), TERMS_MAX)?;
        if let Some((weight, _)) = self.legs.iter().find(|(w, _)| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::invalid("weight", format!("is {weight}; it must be 0 or more")));
        }
        let grouped = |leg: &Leg<'_>| matches!(leg, Leg::Near(near) if near.group.is_some());
        if self.legs.iter().any(|(_, leg)| grouped(leg)) {
            let why = "limits one list only; it has no meaning where lists become one";
            return Err(Error::invalid("group_by of a question", why));
        }
        match self.fusion {
            Fusion::Ranks { k } if !(k > -1.0 && k.is_finite()) => {
                Err(Error::invalid("k of Fusion::Ranks", format!("is {k}; it must be above -1")))
            }
            _ => Ok(()),
        }
    }

    fn by_score(&self, lists: &[List], legs: &[Leg<'s>]) -> Result<Vec<(f32, Addr)>> {
        let mut rows = vec![Bits::default(); self.snapshot.version.parts.len()];
        let all = lists.iter().flat_map(|(_, hits)| hits);
        all.for_each(|hit| rows[hit.addr.part as usize].insert(hit.addr.row.0));
        let union = Selection::of(self.snapshot, rows);
        let count = usize::try_from(union.len()).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
        let mut sums: HashMap<Addr, f64> = HashMap::new();
        for ((weight, _), leg) in lists.iter().zip(legs).filter(|_| count > 0) {
            let hits = leg.run(count, Some(&union))?;
            let (Some(best), Some(last)) = (hits.first(), hits.last()) else { continue };
            let low = leg.least()?.unwrap_or(last.score);
            let span = f64::from(best.score) - f64::from(low);
            for hit in &hits {
                let above = f64::from(hit.score) - f64::from(low);
                let share = if span > 0.0 { above / span } else { 1.0 };
                *sums.entry(hit.addr).or_default() += f64::from(*weight) * share;
            }
        }
        Ok(finite(sums))
    }
}

/// Sums as scores. Weights may be as large as numbers get; scores stay finite (L3).
fn finite(sums: HashMap<Addr, f64>) -> Vec<(f32, Addr)> {
    sums.into_iter().map(|(addr, sum)| ((sum as f32).min(f32::MAX), addr)).collect()
}

/// A weight and what its question has found.
type List = (f32, Vec<Hit>);

fn by_rank(lists: &[List], k: f64) -> Vec<(f32, Addr)> {
    let mut sums: HashMap<Addr, f64> = HashMap::new();
    for (weight, hits) in lists {
        for (rank, hit) in hits.iter().enumerate() {
            *sums.entry(hit.addr).or_default() += f64::from(*weight) / (k + rank as f64 + 1.0);
        }
    }
    finite(sums)
}

impl<'s> Leg<'s> {
    fn knobs(&mut self) -> &mut Knobs<'s> {
        match self {
            Leg::Matching(question) => &mut question.knobs,
            Leg::Near(question) => &mut question.knobs,
        }
    }

    /// The question with the filters of the whole besides its own.
    fn narrowed(mut self, by: &Knobs<'s>) -> Leg<'s> {
        let mine = self.knobs();
        mine.filter = std::mem::take(&mut mine.filter) & by.filter.clone();
        mine.within.extend(&by.within);
        mine.without.extend(&by.without);
        mine.exclude.extend(by.exclude.iter().cloned());
        self
    }

    /// Its best, among some items if so told; those are scored exactly.
    fn run(&self, limit: usize, within: Option<&Selection>) -> Result<Vec<Hit>> {
        let (snapshot, knobs) = match self {
            Leg::Matching(question) => (question.snapshot, &question.knobs),
            Leg::Near(question) => (question.snapshot, &question.knobs),
        };
        let mut knobs = Knobs { limit, ..knobs.clone() };
        if let Some(within) = within {
            knobs.depth = nearest::Depth::Exact;
            knobs.within.push(within);
        }
        knobs.check()?;
        let sieves = knobs.sieves(snapshot)?;
        match self {
            Leg::Matching(question) => question.search(&sieves, limit),
            Leg::Near(question) => question.search_as(&sieves, &knobs),
        }
    }

    /// The least score that is possible, where that is known.
    fn least(&self) -> Result<Option<f32>> {
        match self {
            Leg::Matching(_) => Ok(Some(0.0)),
            Leg::Near(question) => {
                let queries = question.queries.as_ref().map_err(Error::clone)?;
                let cosine = queries.iter().all(|query| query.space.metric == Metric::Cosine);
                let weights: f32 = queries.iter().map(|query| query.weight.abs()).sum();
                Ok(cosine.then_some(-weights))
            }
        }
    }
}
