//! Served: features as a ranker got them, kept, to train on exactly those.

use super::{
    batch::{Items, RankBatch},
    cells::Cells,
    examples::Examples,
    features::{Dims, Features},
    hook::Ranker,
    run::run,
};
use crate::{
    error::{Error, Result},
    format::codec,
    key::{Key, Timestamp, UserId},
    recommend::{Candidates, Context},
    store::{HistoryQuery, Snapshot},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc};

/// One request as it was served: its candidates, their features and their scores.
///
/// What was trained on what was served cannot differ from it, whatever has changed in the database since
/// (the gap between training and serving).
///
/// ```
/// use bowerbird::model::ranker::Served;
/// assert!(Served::read(b"not one").is_err());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served {
    /// The id of the request.
    pub request: u64,
    /// Whose it was.
    pub user: Option<UserId>,
    /// When.
    pub now: Timestamp,
    /// The ranker.
    pub ranker: String,
    /// The candidates.
    pub keys: Vec<Key>,
    /// Their scores, as served.
    pub scores: Vec<f32>,
    /// Why the ranker's scores were not used, if so.
    pub degraded: Option<String>,
    batch: RankBatch,
}

/// As it is saved; FORMAT.md chapter 8.
#[derive(Serialize, Deserialize)]
struct Record {
    format: u16,
    request: u64,
    user: Option<u64>,
    now: i64,
    ranker: String,
    keys: Vec<Key>,
    scores: Vec<f32>,
    degraded: Option<String>,
    features: Features,
    dims: Dims,
    task: u32,
    lived: Vec<u32>,
    context: Vec<Column>,
    history: Option<Column>,
    items: Vec<Column>,
    scalars: Vec<f32>,
}

/// Numbers, and which rows are there.
type Column = (Vec<f32>, Vec<u8>);

/// Requests as they were served, the newest ones.
///
/// ```
/// use bowerbird::model::ranker::{Rank, ServedLog};
/// let log = ServedLog::new(10_000);
/// let rank = Rank::by("ranker").log(&log);
/// assert!(log.take().is_empty());
/// ```
#[derive(Debug)]
pub struct ServedLog {
    most: usize,
    kept: Mutex<(VecDeque<Served>, u64)>,
}

impl ServedLog {
    /// Keeps so many, at most; older ones are dropped.
    pub fn new(most: usize) -> Arc<ServedLog> {
        Arc::new(ServedLog { most: most.max(1), kept: Mutex::default() })
    }

    pub(super) fn keep(&self, served: Served) {
        let mut kept = self.kept.lock();
        if kept.0.len() == self.most {
            kept.0.pop_front();
            kept.1 += 1;
        }
        kept.0.push_back(served);
    }

    /// Takes out all that is kept, oldest first.
    pub fn take(&self) -> Vec<Served> {
        std::mem::take(&mut self.kept.lock().0).into()
    }

    /// How many were dropped because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.kept.lock().1
    }
}

impl Served {
    pub(super) fn new(
        (request, ranker): (u64, &str),
        cx: &Context<'_>,
        candidates: &Candidates,
        (batch, at): (&RankBatch, usize),
        scores: &[f32],
        degraded: Option<String>,
    ) -> Served {
        Served {
            request,
            user: cx.request.user,
            now: cx.request.now,
            ranker: ranker.into(),
            keys: candidates.keys().to_vec(),
            scores: scores.to_vec(),
            degraded,
            batch: batch.request(at).dense(),
        }
    }

    /// The features.
    pub fn batch(&self) -> &RankBatch {
        &self.batch
    }

    /// What a ranker says of these very features; NaN for what it does not say.
    pub fn replay(&self, ranker: &dyn Ranker) -> Vec<f32> {
        run(ranker, &self.batch).scores
    }

    /// For each candidate 1 if the user acted on it and 0 if not, by the events that name this request:
    /// those of kinds `good`. If kinds of `shown` are named, candidates without such an event, or a good one,
    /// get `None`: nobody knows what the user would have done.
    ///
    /// # Errors
    /// `NotFound` for a kind of event that is not there.
    pub fn outcome(
        &self,
        snapshot: &Snapshot,
        good: &[&str],
        shown: &[&str],
    ) -> Result<Vec<Option<f32>>> {
        let number = |kind: &&str| snapshot.schema().find_event(kind);
        let good = good.iter().map(number).collect::<Result<Vec<u8>>>()?;
        let seen = shown.iter().map(number).collect::<Result<Vec<u8>>>()?;
        let everything = HistoryQuery::default().limit(crate::limits::LIMIT_MAX);
        let deeds = match self.user {
            Some(user) => snapshot.history(user, &everything)?.deeds,
            None => Vec::new(),
        };
        let of = |kinds: &[u8], key: &Key| {
            deeds.iter().any(|deed| {
                deed.request == Some(self.request)
                    && kinds.contains(&deed.kind)
                    && deed.item == *key
            })
        };
        let label = |key: &Key| match (of(&good, key), seen.is_empty() || of(&seen, key)) {
            (true, _) => Some(1.0),
            (false, true) => Some(0.0),
            (false, false) => None,
        };
        Ok(self.keys.iter().map(label).collect())
    }

    /// Examples of what was served; `label` says how good each candidate was, `None` for one to leave out.
    /// Requests of other features than the first are an error: they are to be trained on apart.
    ///
    /// # Errors
    /// `Invalid` as said, for no request at all, and for labels that are negative or not finite.
    pub fn examples(
        served: &[Served],
        label: impl Fn(&Served) -> Result<Vec<Option<f32>>>,
    ) -> Result<Examples> {
        let first = served.first().ok_or_else(|| Error::invalid("served requests", "are none"))?;
        let mut all = first.batch.of_none();
        let mut labels = Vec::new();
        for one in served {
            if !one.batch.fits(&all) {
                let why = format!("has other features than request {}", first.request);
                return Err(Error::invalid(format!("request {}", one.request), why));
            }
            let said = label(one)?;
            if said.len() != one.keys.len() {
                let why = format!("are {} for {} candidates", said.len(), one.keys.len());
                return Err(Error::invalid(format!("labels of request {}", one.request), why));
            }
            super::examples::check_all(said.iter().flatten())?;
            let rows: Vec<usize> = (0..said.len()).filter(|at| said[*at].is_some()).collect();
            all.append(&one.batch.only(&rows));
            labels.extend(said.into_iter().flatten());
        }
        Ok(Examples::of(all, labels))
    }

    /// As bytes, to keep or send.
    ///
    /// # Errors
    /// `Invalid` if it is too large to be written.
    pub fn save(&self) -> Result<Vec<u8>> {
        let column = |cells: &Cells| (cells.numbers().to_vec(), cells.present().to_vec());
        let Items::Dense(items) = &self.batch.items else {
            return Err(Error::invalid("served request", "has no vectors"));
        };
        let record = Record {
            format: 1,
            request: self.request,
            user: self.user.map(|user| user.0),
            now: self.now.0,
            ranker: self.ranker.clone(),
            keys: self.keys.clone(),
            scores: self.scores.clone(),
            degraded: self.degraded.clone(),
            features: (*self.batch.features).clone(),
            dims: (*self.batch.dims).clone(),
            task: self.batch.tasks[0],
            lived: self.batch.lived.clone(),
            context: self.batch.context.iter().map(column).collect(),
            history: self.batch.history.as_ref().map(column),
            items: items.iter().map(column).collect(),
            scalars: self.batch.scalars.numbers().to_vec(),
        };
        let mut bytes = Vec::new();
        codec::encode(&record, &mut bytes).map_err(|why| Error::invalid("served request", why))?;
        Ok(bytes)
    }

    /// From bytes that [`Served::save`] made.
    ///
    /// # Errors
    /// `Invalid` for any other bytes.
    pub fn read(bytes: &[u8]) -> Result<Served> {
        let refuse = |why: &str| Error::invalid("bytes of a served request", why);
        let said: Record = codec::decode(bytes).map_err(|why| refuse(&why.to_string()))?;
        if said.format != 1 {
            return Err(refuse(&format!("are of format {}; 1 can be read", said.format)));
        }
        said.features.check()?;
        let batch = said.batch().ok_or_else(|| refuse("do not fit each other"))?;
        if said.keys.len() != batch.len() || said.scores.len() != batch.len() {
            return Err(refuse("have other numbers of keys, scores and candidates"));
        }
        Ok(Served {
            request: said.request,
            user: said.user.map(UserId),
            now: Timestamp(said.now),
            ranker: said.ranker,
            keys: said.keys,
            scores: said.scores,
            degraded: said.degraded,
            batch,
        })
    }
}

impl Record {
    /// Its columns, if they have the sizes that the features say.
    fn batch(&self) -> Option<RankBatch> {
        let (features, dims) = (&self.features, &self.dims);
        let count = self.keys.len();
        let cells = |(numbers, present): &Column, dim: u32, rows: usize| {
            let fine = present.len() == rows
                && present.iter().all(|there| *there <= 1)
                && numbers.iter().all(|x| x.is_finite());
            Cells::of(dim as usize, numbers, present.clone()).filter(|_| fine)
        };
        let columns = |all: &[Column], dims: &[u32], rows: usize| -> Option<Vec<Cells>> {
            let fits = all.len() == dims.len();
            let made = all.iter().zip(dims).map(|(column, dim)| cells(column, *dim, rows));
            made.collect::<Option<Vec<Cells>>>().filter(|_| fits)
        };
        let slots = dims.context.len() == features.context.len()
            && dims.items.len() == features.items.len()
            && dims.history.is_some() == features.history.is_some();
        let (places, width) = (features.history.as_ref().map(|h| h.1), features.scalars.len());
        let lived = match places {
            Some(places) => self.lived.len() == 1 && self.lived[0] <= places,
            None => self.lived.is_empty(),
        };
        let task = self.task == 0 || (self.task as usize) < features.tasks.len();
        if !slots || !lived || !task || u32::try_from(count).is_err() {
            return None;
        }
        let history = match (&self.history, dims.history, places) {
            (Some(column), Some(dim), Some(places)) => Some(cells(column, dim, places as usize)?),
            (None, None, None) => None,
            _ => return None,
        };
        Some(RankBatch {
            starts: vec![0, count as u32],
            tasks: vec![self.task],
            context: columns(&self.context, &dims.context, 1)?,
            history,
            lived: self.lived.clone(),
            items: Items::Dense(columns(&self.items, &dims.items, count)?),
            scalars: cells(&(self.scalars.clone(), vec![1; count]), width as u32, count)?,
            features: Arc::new(features.clone()),
            dims: Arc::new(dims.clone()),
            cancelled: Arc::default(),
        })
    }
}
