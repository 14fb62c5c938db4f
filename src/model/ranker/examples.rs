//! Examples: requests, their candidates, and which of them were right.

use super::{
    assemble::{Assembler, came_with},
    batch::RankBatch,
    features::Features,
    table::Table,
};
use crate::{
    error::{Error, Result},
    key::Key,
    recommend::{Allowed, Candidates, Context, Found, Notes, Recommender, Request},
    store::{History, HistoryQuery, Snapshot},
};
use std::sync::Arc;

/// Lists of candidates with labels, each for a request: what rankers are trained on and judged by.
///
/// Features are computed as serving computes them, as of the request's `now`. A label is 0 for wrong and
/// larger for better; lists without both are of no use to training and are passed over there.
///
/// See [`RankModel`](super::RankModel) for an example.
#[derive(Clone)]
pub struct Examples {
    pub(crate) batch: RankBatch,
    pub(crate) labels: Vec<f32>,
    from: Option<(Arc<Assembler>, Snapshot)>,
}

impl std::fmt::Debug for Examples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lists, candidates) = (self.len(), self.labels.len());
        f.debug_struct("Examples").field("lists", &lists).field("candidates", &candidates).finish()
    }
}

/// The name of the source of candidates that were given.
const GIVEN: &str = "Given";
/// How much of a history there is, as recommenders read it.
const HISTORY_LIMIT: usize = 1000;

impl Examples {
    /// None yet, of a snapshot.
    ///
    /// # Errors
    /// As declared features that do not fit the schema, or contradict themselves.
    pub fn new(features: Features, snapshot: &Snapshot) -> Result<Examples> {
        let assembler = Arc::new(Assembler::new(Arc::new(features), snapshot.schema())?);
        let names: Vec<&str> = assembler.features.items.iter().map(String::as_str).collect();
        let table = Arc::new(Table::of(snapshot, &names)?);
        let (features, dims) = (assembler.features.clone(), assembler.dims.clone());
        let batch = RankBatch::new(features, dims, Some(table));
        Ok(Examples { batch, labels: Vec::new(), from: Some((assembler, snapshot.clone())) })
    }

    /// Of columns that were logged.
    pub(crate) fn of(batch: RankBatch, labels: Vec<f32>) -> Examples {
        Examples { batch, labels, from: None }
    }

    /// Adds a request and its candidates with their labels. Items that are not there are passed over,
    /// and so are repeats. The request is taken as it came: the rules of a recommender
    /// ([`Complete`](crate::recommend::Complete)) hold in [`Examples::run`].
    ///
    /// Nobody has scored the candidates, so their [`Scalar::Previous`](super::Scalar::Previous) is 0, and
    /// [`FitRanker`](super::FitRanker) learns not to look at it. Their order would be no score: it is that of
    /// their labels as often as not.
    ///
    /// # Errors
    /// `Invalid` for a label that is negative or not finite, or for examples that were logged; and
    /// whatever serving such a request would return. The examples are then as they were.
    pub fn push(&mut self, request: &Request, candidates: &[(Key, f32)]) -> Result<()> {
        let (assembler, snapshot) = self.source()?;
        let allowed = Allowed::all(&snapshot)?;
        let mut found = Candidates::default();
        let mut labels = Vec::with_capacity(candidates.len());
        let mut into = Found::begin(&allowed, &mut found, GIVEN.into());
        for (key, label) in candidates {
            check(*label)?;
            if let Some(addr) = snapshot.find(key)? {
                let before = into.len();
                into.push(addr, 0.0);
                labels.extend((into.len() > before).then_some(*label));
            }
        }
        found.resolve(&snapshot)?;
        let history = match request.user {
            Some(user) => {
                let query = HistoryQuery::default().as_of(request.now).limit(HISTORY_LIMIT);
                snapshot.history(user, &query)?
            }
            None => History::default(),
        };
        let (interests, notes) = (&[][..], &Notes::default());
        let cx = Context { snapshot: &snapshot, request, history: &history, interests, notes };
        let previous = vec![0f32; found.len()];
        let mut list = self.batch.of_none();
        assembler.add(&mut list, (&cx, &found), &previous)?;
        self.put(&list, &labels)
    }

    /// Adds a request and what a recommender finds for it, scored by the scorers it has, or else by reciprocal
    /// rank fusion, as [`Rank`](super::Rank) gets them behind it; `label` says how good an item is. Returns how
    /// many of the candidates have a label above 0.
    ///
    /// # Errors
    /// As for [`Examples::push`], and those of the recommender. The examples are then as they were.
    pub fn run(
        &mut self,
        recommender: &Recommender,
        request: &Request,
        label: impl Fn(&Key) -> f32,
    ) -> Result<usize> {
        let (assembler, snapshot) = self.source()?;
        let runs = recommender.run_to_end(&snapshot, std::slice::from_ref(request))?;
        let (mut lists, mut labels) = (self.batch.of_none(), Vec::new());
        for run in &runs {
            labels.extend(run.candidates.keys().iter().map(&label));
            let cx = run.context(&snapshot, request);
            let mut previous = run.scores.clone();
            came_with(&cx, &run.candidates, &mut previous)?;
            assembler.add(&mut lists, (&cx, &run.candidates), &previous)?;
        }
        check_all(&labels)?;
        self.put(&lists, &labels)?;
        Ok(labels.iter().filter(|label| **label > 0.0).count())
    }

    /// Puts lists that are whole behind the others: what went wrong while they were made left nothing here.
    fn put(&mut self, lists: &RankBatch, labels: &[f32]) -> Result<()> {
        let all = self.batch.len().checked_add(lists.len()).and_then(|n| u32::try_from(n).ok());
        if all.is_none() {
            return Err(Error::invalid("examples", "would have over 4 billion candidates"));
        }
        self.batch.append(lists);
        self.labels.extend_from_slice(labels);
        Ok(())
    }

    fn source(&self) -> Result<(Arc<Assembler>, Snapshot)> {
        self.from.clone().ok_or_else(|| {
            Error::invalid("examples", "were logged: nothing can be computed for them")
        })
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.batch.requests()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the lists, in this order: those of one task, or those to train on and those to choose by.
    /// Lists that there are not are passed over.
    ///
    /// ```
    /// use bowerbird::model::ranker::Examples;
    /// fn halves(all: &Examples) -> (Examples, Examples) {
    ///     let (even, odd): (Vec<_>, Vec<_>) = (0..all.len()).partition(|list| list % 2 == 0);
    ///     (all.some(even), all.some(odd))
    /// }
    /// ```
    pub fn some(&self, lists: impl IntoIterator<Item = usize>) -> Examples {
        let mut some =
            Examples { batch: self.batch.of_none(), labels: vec![], from: self.from.clone() };
        for list in lists.into_iter().filter(|list| *list < self.len()) {
            some.batch.append(&self.batch.request(list));
            some.labels.extend_from_slice(&self.labels[self.batch.range(list)]);
        }
        some
    }

    /// The same lists for a ranker that is not told which surface it ranks for: to see what telling it is
    /// worth.
    ///
    /// # Errors
    /// As for [`Examples::new`].
    ///
    /// ```
    /// use bowerbird::{*, model::ranker::*};
    /// # fn main() -> Result<()> {
    /// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
    /// let told = Examples::new(Features::new().tasks(["home", "basket"]).item("text"), &db.snapshot())?;
    /// assert!(told.without_tasks()?.batch().features().task_names().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn without_tasks(&self) -> Result<Examples> {
        let mut features = (*self.batch.features).clone();
        features.tasks.clear();
        let features = Arc::new(features);
        let mut same = self.clone();
        same.batch.tasks.fill(0);
        same.batch.features = features.clone();
        if let Some((assembler, snapshot)) = &mut same.from {
            *assembler = Arc::new(Assembler::new(features, snapshot.schema())?);
        }
        Ok(same)
    }

    /// The features of all lists.
    pub fn batch(&self) -> &RankBatch {
        &self.batch
    }

    /// The label of each candidate, list by list.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// The mean NDCG at `k` of scores over the lists with a label above 0; equal scores are in the order
    /// of the candidates. Labels are gains. 0 if there is no such list.
    pub fn ndcg(&self, scores: &[f32], k: usize) -> f64 {
        let all = self.ndcgs(scores, k);
        let (sum, count) = all.iter().flatten().fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }

    /// The NDCG at `k` of each list; `None` where no label is above 0.
    pub fn ndcgs(&self, scores: &[f32], k: usize) -> Vec<Option<f64>> {
        let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
        let sum = |gains: &[f32]| -> f64 {
            let gains = gains.iter().take(k).enumerate();
            gains.map(|(place, gain)| f64::from(*gain) * discount(place)).sum()
        };
        let one = |list: usize| {
            let range = self.batch.range(list);
            let (labels, scores) = (&self.labels[range.clone()], scores.get(range)?);
            let mut order: Vec<usize> = (0..labels.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let gains: Vec<f32> = order.iter().map(|at| labels[*at]).collect();
            let mut best = labels.to_vec();
            best.sort_by(|a, b| b.total_cmp(a));
            let most = sum(&best);
            (most > 0.0).then(|| sum(&gains) / most)
        };
        (0..self.len()).map(one).collect()
    }
}

pub(super) fn check_all<'l>(labels: impl IntoIterator<Item = &'l f32>) -> Result<()> {
    labels.into_iter().try_for_each(|label| check(*label))
}

fn check(label: f32) -> Result<()> {
    match label.is_finite() && label >= 0.0 {
        true => Ok(()),
        false => Err(Error::invalid("label", format!("is {label}; 0 for wrong, above for right"))),
    }
}
