//! The runner: operators in order, for one request or many.

use crate::{
    error::{Error, Result},
    key::Addr,
    limits::LIMIT_MAX,
    recommend::{
        Allowed, Candidates, Chosen, Complete, Context, Filter, Found, Interest, Job, Kept, Notes,
        Ranked, Recommended, Request, Retrieve, Rrf, Score, Screen, Screened, Select, Slate, Stage,
        Summarize, Top, Trace,
        past::{HISTORY_LIMIT, Pasts, numbers},
    },
    store::{History, HistoryQuery, Snapshot},
};
use std::{fmt, time::Instant};

/// A list of operators. Built by chaining; cheap to keep and to share between threads.
///
/// Without a scorer, candidates are ranked by reciprocal rank fusion of their sources; without a
/// selector, the best are taken.
///
/// See the [module](crate::recommend) for an example.
#[derive(Default)]
pub struct Recommender {
    complete: Complete,
    acts: Vec<String>,
    pub(crate) summarize: Vec<Box<dyn Summarize>>,
    pub(crate) filter: Vec<Box<dyn Filter>>,
    pub(crate) retrieve: Vec<Box<dyn Retrieve>>,
    pub(crate) screen: Vec<Box<dyn Screen>>,
    pub(crate) score: Vec<Box<dyn Score>>,
    pub(crate) select: Option<Box<dyn Select>>,
}

impl fmt::Debug for Recommender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = Some("Complete".to_owned()).filter(|_| self.complete != Complete::default());
        let mut names: Vec<String> = rules.into_iter().collect();
        names.extend(self.summarize.iter().map(|op| op.name()));
        names.extend(self.filter.iter().map(|op| op.name()));
        names.extend(self.retrieve.iter().map(|op| op.name()));
        names.extend(self.screen.iter().map(|op| op.name()));
        names.extend(self.score.iter().map(|op| op.name()));
        names.extend(self.select.iter().map(|op| op.name()));
        f.debug_tuple("Recommender").field(&names).finish()
    }
}

/// Most retrievers of one recommender.
const RETRIEVERS_MAX: usize = 64;

/// One request on its way through the operators.
pub(crate) struct Run {
    /// What was asked, where something had to be filled in.
    completed: Option<Request>,
    pub(crate) history: History,
    pub(crate) interests: Vec<Interest>,
    pub(crate) candidates: Candidates,
    /// What screens took away, and which.
    pub(crate) dropped: Vec<(Addr, usize)>,
    pub(crate) scores: Vec<f32>,
    pub(crate) order: Vec<u32>,
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) trace: Trace,
    pub(crate) notes: Notes,
}

impl Run {
    pub(crate) fn context<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        request: &'a Request,
    ) -> Context<'a> {
        let Run { completed, history, interests, notes, .. } = self;
        let request = completed.as_ref().unwrap_or(request);
        Context { snapshot, request, history, interests, notes }
    }

    pub(crate) fn ranked(&self) -> Ranked<'_> {
        Ranked { candidates: &self.candidates, scores: &self.scores, order: &self.order }
    }

    fn note(&mut self, verb: &'static str, name: String, numbers: (u64, u64), start: Instant) {
        let micros = start.elapsed().as_micros() as u64;
        self.trace.degraded.extend(self.notes.take());
        self.trace.stages.push(Stage { verb, name, seen: numbers.0, kept: numbers.1, micros });
    }
}

impl Recommender {
    /// No operators yet.
    pub fn new() -> Recommender {
        Recommender::default()
    }

    /// Sets the rules by which requests that lack something are completed, before any operator.
    pub fn complete(mut self, rules: Complete) -> Recommender {
        self.complete = rules;
        self
    }

    /// Says which kinds of events are what a user did: the [history](Context::history) that operators and
    /// rankers see is of these. None means all, as unless set.
    ///
    /// Where impressions are logged, name the kinds that are acts: else what was shown counts as what the
    /// user wants, and pushes out of the history what they did. Operators that name kinds themselves, as
    /// [`Seen`](crate::recommend::Seen), [`Cooldown`](crate::recommend::Cooldown) or [`CoVisited`](crate::recommend::CoVisited), read those whatever is said here.
    ///
    /// ```
    /// use bowerbird::{days, recommend::*};
    /// let for_you = Recommender::new()
    ///     .acts(["view", "buy"])
    ///     .summarize(Decayed::new("text", days(14)))
    ///     .filter(Cooldown::new("impression", 3, days(7)))
    ///     .retrieve(NearInterests::new("text", 500));
    /// ```
    pub fn acts<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Recommender {
        self.acts = kinds.into_iter().map(str::to_owned).collect();
        self
    }

    /// Adds a summarizer.
    pub fn summarize(mut self, op: impl Summarize + 'static) -> Recommender {
        self.summarize.push(Box::new(op));
        self
    }

    /// Adds a filter; all of them hold.
    pub fn filter(mut self, op: impl Filter + 'static) -> Recommender {
        self.filter.push(Box::new(op));
        self
    }

    /// Adds a retriever.
    pub fn retrieve(mut self, op: impl Retrieve + 'static) -> Recommender {
        self.retrieve.push(Box::new(op));
        self
    }

    /// Adds a screen, which takes away what is not good enough before anything is scored.
    pub fn screen(mut self, op: impl Screen + 'static) -> Recommender {
        self.screen.push(Box::new(op));
        self
    }

    /// Adds a scorer, which sees the scores of those before it.
    pub fn score(mut self, op: impl Score + 'static) -> Recommender {
        self.score.push(Box::new(op));
        self
    }

    /// Sets the selector.
    pub fn select(mut self, op: impl Select + 'static) -> Recommender {
        self.select = Some(Box::new(op));
        self
    }

    /// Answers a request.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0 or more than a million, for an operator that breaks its law, and
    /// whatever an operator returns: tolerance is an operator that one adds on purpose.
    pub fn run(&self, snapshot: &Snapshot, request: &Request) -> Result<Slate> {
        let mut slates = self.run_all(snapshot, std::slice::from_ref(request))?;
        slates.pop().ok_or_else(|| Error::invalid("requests", "there are none"))
    }

    /// Answers several requests on one snapshot; scorers get all of them at once. The answers are the
    /// same as one by one.
    pub fn run_all(&self, snapshot: &Snapshot, requests: &[Request]) -> Result<Vec<Slate>> {
        let runs = self.run_to_end(snapshot, requests)?;
        runs.into_iter().map(|run| slate(&run)).collect()
    }

    pub(crate) fn run_to_end(&self, snapshot: &Snapshot, requests: &[Request]) -> Result<Vec<Run>> {
        let found = |request| self.find(snapshot, request);
        let mut runs = requests.iter().map(found).collect::<Result<Vec<Run>>>()?;
        if self.score.is_empty() {
            score_all(snapshot, requests, &mut runs, &Rrf::default())?;
        }
        for op in &self.score {
            score_all(snapshot, requests, &mut runs, &**op)?;
        }
        for (run, request) in runs.iter_mut().zip(requests) {
            self.choose(snapshot, request, run)?;
        }
        Ok(runs)
    }

    /// Summarize, filter, retrieve, screen.
    fn find(&self, snapshot: &Snapshot, request: &Request) -> Result<Run> {
        if request.limit == 0 || request.limit > LIMIT_MAX {
            let why = format!("is {}; it must be 1 to {LIMIT_MAX}", request.limit);
            return Err(Error::invalid("limit of the request", why));
        }
        if self.retrieve.len() > RETRIEVERS_MAX {
            return Err(Error::invalid("recommender", "has more than 64 retrievers"));
        }
        let acts = || self.acts.iter().map(String::as_str);
        let pasts = Pasts::of(numbers(snapshot.schema(), acts())?);
        let mut history = match request.user {
            Some(user) => {
                let query = HistoryQuery::default().as_of(request.now).limit(HISTORY_LIMIT);
                snapshot.history(user, &query.kinds(acts()))?
            }
            None => History::default(),
        };
        let mut run = Run {
            completed: self.complete.fill(snapshot, request, &mut history)?,
            history,
            interests: Vec::new(),
            candidates: Candidates::default(),
            dropped: Vec::new(),
            scores: Vec::new(),
            order: Vec::new(),
            chosen: Vec::new(),
            trace: Trace::default(),
            notes: Notes { pasts, ..Notes::default() },
        };
        self.say_interests(snapshot, request, &mut run)?;
        let allowed = self.allow(snapshot, request, &mut run)?;
        self.gather(snapshot, request, &allowed, &mut run)?;
        self.sift(snapshot, request, &mut run)?;
        run.scores = vec![0.0; run.candidates.len()];
        Ok(run)
    }

    fn say_interests(&self, snapshot: &Snapshot, request: &Request, run: &mut Run) -> Result<()> {
        for op in &self.summarize {
            let start = Instant::now();
            let said = op.summarize(&run.context(snapshot, request))?;
            let (seen, kept) = (run.history.deeds.len() as u64, said.len() as u64);
            run.interests.extend(said);
            run.note("summarize", op.name(), (seen, kept), start);
        }
        Ok(())
    }

    fn allow(&self, snapshot: &Snapshot, request: &Request, run: &mut Run) -> Result<Allowed> {
        let start = Instant::now();
        let mut allowed = Allowed::all(snapshot)?;
        let all = allowed.len();
        for key in request.exclude.iter().chain(&request.item) {
            allowed.remove_key(snapshot, key)?;
        }
        run.note("filter", EXCLUDED.into(), (all, allowed.len()), start);
        for op in &self.filter {
            let (start, seen) = (Instant::now(), allowed.len());
            op.filter(&run.context(snapshot, request), &mut allowed)?;
            run.note("filter", op.name(), (seen, allowed.len()), start);
        }
        Ok(allowed)
    }

    fn gather(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        allowed: &Allowed,
        run: &mut Run,
    ) -> Result<()> {
        let mut candidates = Candidates::default();
        for op in &self.retrieve {
            let start = Instant::now();
            let mut found = Found::begin(allowed, &mut candidates, op.name());
            op.retrieve(&run.context(snapshot, request), allowed, &mut found)?;
            let kept = found.len() as u64;
            run.note("retrieve", op.name(), (allowed.len(), kept), start);
        }
        candidates.resolve(snapshot)?;
        run.candidates = candidates;
        Ok(())
    }

    fn sift(&self, snapshot: &Snapshot, request: &Request, run: &mut Run) -> Result<()> {
        let all = run.candidates.len();
        for (number, op) in self.screen.iter().enumerate() {
            let (start, seen) = (Instant::now(), run.candidates.len());
            let mut kept = Kept::all(seen);
            op.screen(&run.context(snapshot, request), &run.candidates, &mut kept)?;
            let (left, spared) = (kept.len() as u64, kept.spared as u64);
            if left < seen as u64 {
                let gone = run.candidates.addrs().iter().zip(&kept.keep);
                let gone = gone.filter(|(_, keep)| !**keep).map(|(addr, _)| (*addr, number));
                run.dropped.extend(gone.collect::<Vec<_>>());
                run.candidates = run.candidates.only(&kept.keep);
            }
            let dropped = seen as u64 - left;
            run.trace.screened.push(Screened { by: op.name(), dropped, kept: left, spared });
            run.note("screen", op.name(), (seen as u64, left), start);
        }
        let (left, limit) = (run.candidates.len(), request.limit);
        if left < limit && left < all {
            let why = format!("screens left {left} of {all} candidates for {limit} places");
            run.trace.degraded.push(format!("{why}: retrieve more, or keep at least as many"));
        }
        Ok(())
    }

    /// Order and select.
    fn choose(&self, snapshot: &Snapshot, request: &Request, run: &mut Run) -> Result<()> {
        let keys = run.candidates.keys();
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        let scores = &run.scores;
        order.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            scores[b].total_cmp(&scores[a]).then_with(|| keys[a].cmp(&keys[b]))
        });
        run.order = order;
        let (start, limit) = (Instant::now(), request.limit);
        let op = self.select.as_deref().unwrap_or(&Top);
        let cx = run.context(snapshot, request);
        let chosen = op.choose(&cx, &run.ranked(), limit)?;
        let mut seen = vec![false; run.order.len()];
        let mut fresh =
            |at: &Chosen| seen.get_mut(at.place).is_some_and(|s| !std::mem::replace(s, true));
        if chosen.len() > limit || !chosen.iter().all(&mut fresh) {
            let why = "chose more than the limit, a place that does not exist, or one twice";
            return Err(Error::invalid(format!("selector {}", op.name()), why));
        }
        if let Some(at) = chosen.iter().find(|at| !(at.propensity > 0.0 && at.propensity <= 1.0)) {
            let why = format!("gave a propensity of {}; above 0, at most 1", at.propensity);
            return Err(Error::invalid(format!("selector {}", op.name()), why));
        }
        let numbers = (run.order.len() as u64, chosen.len() as u64);
        run.chosen = chosen;
        run.note("select", op.name(), numbers, start);
        Ok(())
    }
}

/// The name of the filter that every recommender has: the request's own exclusions.
pub(crate) const EXCLUDED: &str = "Request";

/// What a score that was not finite becomes: the lowest.
pub(crate) const SUNK: f32 = f32::MIN;

fn score_all(
    snapshot: &Snapshot,
    requests: &[Request],
    runs: &mut [Run],
    op: &dyn Score,
) -> Result<()> {
    let start = Instant::now();
    let mut jobs = Vec::with_capacity(runs.len());
    for (run, request) in runs.iter_mut().zip(requests) {
        let Run { completed, history, interests, candidates, scores, notes, .. } = run;
        let request = completed.as_ref().unwrap_or(request);
        let cx = Context { snapshot, request, history, interests, notes };
        jobs.push(Job { cx, candidates, scores });
    }
    op.score_all(&mut jobs)?;
    for run in runs {
        let bad = run.scores.iter().filter(|score| !score.is_finite()).count();
        if bad > 0 {
            let scores = run.scores.iter_mut();
            scores.filter(|score| !score.is_finite()).for_each(|score| *score = SUNK);
            run.trace.degraded.push(format!("{}: {bad} scores were not finite", op.name()));
        }
        // One zero, so that the order has no opinion on its sign.
        run.scores.iter_mut().for_each(|score| *score += 0.0);
        let count = run.candidates.len() as u64;
        run.note("score", op.name(), (count, count), start);
    }
    Ok(())
}

fn slate(run: &Run) -> Result<Slate> {
    let ranked = run.ranked();
    let item = |chosen: &Chosen| {
        let (place, candidate) = (chosen.place, ranked.candidate(chosen.place));
        Recommended {
            key: run.candidates.keys()[candidate].clone(),
            addr: ranked.addr(place),
            score: ranked.score(place),
            sources: run.candidates.sources_of(candidate),
            propensity: chosen.propensity,
        }
    };
    Ok(Slate { items: run.chosen.iter().map(item).collect(), trace: run.trace.clone() })
}
