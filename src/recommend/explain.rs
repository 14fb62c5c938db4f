//! Why is this item here, or not? The recommender runs again and is watched.

use crate::{
    error::{Error, Result},
    key::Key,
    recommend::{
        Allowed, Recommender, Request,
        recommender::{EXCLUDED, Run},
    },
    store::Snapshot,
};
use std::fmt;

/// What became of one item in one answer.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().attr("genre", AttrType::Tag))?;
/// db.batch().put(Item::new(1u64).attr("genre", "rock")).commit()?;
/// let jazz = Recommender::new().filter(attr("genre").is("jazz"));
/// let why = jazz.explain(&db.snapshot(), &Request::new(5, Timestamp(0)), &Key::Id(1))?;
/// assert!(matches!(why.fate, Fate::Filtered { .. }));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The item.
    pub key: Key,
    /// What became of it.
    pub fate: Fate,
    /// Who found it: source, place from 0, hint.
    pub found: Vec<(String, u32, f32)>,
    /// Its score, if it got so far.
    pub score: Option<f32>,
    /// Its place in the ranked order, from 0, if it got so far.
    pub rank: Option<usize>,
}

/// What became of an item. See [`Explanation`].
///
/// ```
/// use bowerbird::recommend::Fate;
/// assert_ne!(Fate::Unknown, Fate::NotFound);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fate {
    /// There is no such item.
    Unknown,
    /// A filter took it away.
    Filtered {
        /// Which.
        by: String,
    },
    /// It was allowed, but no retriever found it.
    NotFound,
    /// It was found, but a screen took it away.
    Screened {
        /// Which.
        by: String,
    },
    /// It was ranked, but not chosen.
    PassedOver {
        /// Which selector.
        by: String,
    },
    /// It is in the slate.
    Chosen {
        /// Where, from 0.
        place: usize,
    },
}

impl Recommender {
    /// Says what became of one item in the answer to a request, and why.
    pub fn explain(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        key: &Key,
    ) -> Result<Explanation> {
        let unknown = Explanation {
            key: key.clone(),
            fate: Fate::Unknown,
            found: Vec::new(),
            score: None,
            rank: None,
        };
        let Some(addr) = snapshot.find(key)? else { return Ok(unknown) };
        let mut runs = self.run_to_end(snapshot, std::slice::from_ref(request))?;
        let run = runs.pop().ok_or_else(|| Error::invalid("requests", "there are none"))?;
        if let Some(by) = self.filtered_by(snapshot, request, &run, key)? {
            return Ok(Explanation { fate: Fate::Filtered { by }, ..unknown });
        }
        if let Some((_, number)) = run.dropped.iter().find(|(dropped, _)| *dropped == addr) {
            let by = self.screen.get(*number).map_or_else(String::new, |op| op.name());
            return Ok(Explanation { fate: Fate::Screened { by }, ..unknown });
        }
        let Some(candidate) = run.candidates.place(addr) else {
            return Ok(Explanation { fate: Fate::NotFound, ..unknown });
        };
        let sources = run.candidates.sources().enumerate();
        let find = |(source, name): (usize, &str)| {
            let (rank, hint) = run.candidates.find(source, candidate)?;
            Some((name.to_owned(), rank, hint))
        };
        let rank = run.order.iter().position(|c| *c as usize == candidate);
        let fate = match run.chosen.iter().position(|at| Some(at.place) == rank) {
            Some(place) => Fate::Chosen { place },
            None => {
                Fate::PassedOver { by: self.select.as_ref().map_or("Top".into(), |op| op.name()) }
            }
        };
        let score = Some(run.scores[candidate]);
        Ok(Explanation { fate, found: sources.filter_map(find).collect(), score, rank, ..unknown })
    }

    /// The first filter that takes a key away.
    fn filtered_by(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        run: &Run,
        key: &Key,
    ) -> Result<Option<String>> {
        if request.exclude.contains(key) || request.item.as_ref() == Some(key) {
            return Ok(Some(EXCLUDED.into()));
        }
        let Some(addr) = snapshot.find(key)? else { return Ok(None) };
        let mut allowed = Allowed::all(snapshot)?;
        for op in &self.filter {
            op.filter(&run.context(snapshot, request), &mut allowed)?;
            if !allowed.contains(addr) {
                return Ok(Some(op.name()));
            }
        }
        Ok(None)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.fate {
            Fate::Unknown => return write!(f, "there is no item {key}"),
            Fate::Filtered { by } => return write!(f, "{key} was taken away by {by}"),
            Fate::NotFound => return write!(f, "{key} was allowed, but nothing retrieved it"),
            Fate::Screened { by } => return write!(f, "{key} was found, but {by} took it away"),
            Fate::PassedOver { by } => write!(f, "{key} was passed over by {by}")?,
            Fate::Chosen { place } => write!(f, "{key} is number {}", place + 1)?,
        }
        for (i, (source, rank, hint)) in self.found.iter().enumerate() {
            let with = if i == 0 { "; found by" } else { "," };
            write!(f, "{with} {source} as number {} ({hint:.3})", rank + 1)?;
        }
        match (self.score, self.rank) {
            (Some(score), Some(rank)) => {
                write!(f, "; scored {score:.4}, ranked number {}", rank + 1)
            }
            _ => Ok(()),
        }
    }
}
