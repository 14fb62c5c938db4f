//! Rank: the operator that asks a ranker.

use super::{
    assemble::{Assembler, came_with},
    batch::RankBatch,
    batcher::{Batcher, Batching},
    caught::caught,
    features::Features,
    hook::{Cpu, Device, Ranker},
    model::RankModel,
    run::{Answer, run},
    served::{Served, ServedLog},
};
use crate::{
    error::{Error, Result},
    recommend::{Candidates, Context, Job, Score},
    schema::Schema,
    store::Snapshot,
};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Scores candidates by a ranker: of the database, on a device, or one that is given.
///
/// A ranker that panics, fails, writes no number, or does not answer by the deadline costs its request
/// the new order and nothing else: the candidates keep the order they came in (that of the scorers before
/// this one, or of reciprocal rank fusion if there are none), and the trace says `degraded`, and why.
///
/// With a deadline, or with [`Rank::batched`], requests of all threads that use this operator are scored
/// by a thread of its own, those that wait at once.
///
/// ```
/// use bowerbird::{ms, recommend::*, model::ranker::*};
/// let for_you = Recommender::new()
///     .summarize(Recent::new("text", 20))
///     .retrieve(NearInterests::new("text", 400))
///     .retrieve(Popular::ever(["view"], 100))
///     .score(Rank::by("ranker").deadline(ms(20)));
/// ```
pub struct Rank {
    what: What,
    device: Arc<dyn Device>,
    deadline: Option<Duration>,
    resident: bool,
    batcher: Option<Batcher>,
    log: Option<Arc<ServedLog>>,
    loaded: Mutex<Vec<Arc<Loaded>>>,
}

/// What is asked.
enum What {
    /// The active version of an artifact.
    Named(String),
    Given(Arc<Features>, Arc<dyn Ranker>),
}

/// A ranker that is ready, for databases of one schema.
struct Loaded {
    /// The database, and the version of the artifact.
    of: ([u8; 16], u32),
    /// What the database had fields for: they come and go, and what is assembled goes by their numbers.
    schema: Arc<Schema>,
    name: String,
    ranker: Arc<dyn Ranker>,
    assembler: Assembler,
    /// The last table that it was given, and whether it has use for it.
    holds: Mutex<Option<(u64, bool)>>,
    /// Held while it is given one, so that each is given once.
    gate: Mutex<()>,
    /// Whether a thread is giving it one, while requests go on without.
    giving: AtomicBool,
}

/// Versions that are kept ready: readers of an older snapshot may still use the one before.
const LOADED_MAX: usize = 3;

impl Rank {
    /// By the active version of a trained ranker, on the processor.
    pub fn by(ranker: &str) -> Rank {
        Rank::of(What::Named(ranker.into()))
    }

    /// By a ranker of any kind, which wants these features.
    pub fn with(features: Features, ranker: impl Ranker + 'static) -> Rank {
        Rank::of(What::Given(Arc::new(features), Arc::new(ranker)))
    }

    fn of(what: What) -> Rank {
        Rank {
            what,
            device: Arc::new(Cpu),
            deadline: None,
            resident: false,
            batcher: None,
            log: None,
            loaded: Mutex::default(),
        }
    }

    /// On a device.
    pub fn on(mut self, device: impl Device + 'static) -> Rank {
        self.device = Arc::new(device);
        self
    }

    /// Scores must be there so long after scoring begins.
    pub fn deadline(mut self, deadline: Duration) -> Rank {
        self.deadline = Some(deadline);
        if self.batcher.is_none() {
            self.batcher = Some(Batcher::new(Batching::default()));
        }
        self
    }

    /// Puts requests of several threads together in this way.
    pub fn batched(mut self, batching: Batching) -> Rank {
        self.batcher = Some(Batcher::new(batching));
        self
    }

    /// Gives the ranker the vectors of all items once, where it has use for them, so that requests send
    /// numbers of rows. They are those that are on disk; what was written since comes with each request.
    /// With a deadline no request waits for this: until it is done, vectors come with all of them. So they do
    /// where the [memory limit](crate::Options::memory_limit_bytes) has no room for these vectors, until other
    /// data is on disk.
    pub fn resident(mut self) -> Rank {
        self.resident = true;
        self
    }

    /// Keeps the features of each request that has an [id](crate::recommend::Request::id), as they were served.
    pub fn log(mut self, log: &Arc<ServedLog>) -> Rank {
        self.log = Some(log.clone());
        self
    }

    /// What is ready for a snapshot; made if need be.
    fn ready(&self, snapshot: &Snapshot) -> Result<Arc<Loaded>> {
        let version = match &self.what {
            What::Named(name) => {
                let all = snapshot.version.artifacts.iter();
                let active = all.clone().find(|a| a.name == *name && a.active);
                active.ok_or_else(|| Error::missing("active artifact", name))?.version
            }
            What::Given(..) => 0,
        };
        let (of, schema) = ((snapshot.files.db, version), snapshot.version.schema.clone());
        let same = |loaded: &&Arc<Loaded>| loaded.of == of && Arc::ptr_eq(&loaded.schema, &schema);
        if let Some(found) = self.loaded.lock().iter().find(same) {
            return Ok(found.clone());
        }
        let (features, ranker, name) = match &self.what {
            What::Named(name) => {
                let model = snapshot.kept::<RankModel>(name)?;
                let (ranker, name) = (self.device.load(&model)?, format!("{name}@{version}"));
                (Arc::new(model.features().clone()), ranker, name)
            }
            What::Given(features, ranker) => (features.clone(), ranker.clone(), ranker.name()),
        };
        let assembler = Assembler::new(features, snapshot.schema())?;
        let loaded = Arc::new(Loaded {
            of,
            schema: schema.clone(),
            name,
            ranker,
            assembler,
            holds: Mutex::default(),
            gate: Mutex::default(),
            giving: AtomicBool::new(false),
        });
        let mut kept = self.loaded.lock();
        // Another thread may have been faster: all use the same one, so that they can be put together.
        let same = |l: &&Arc<Loaded>| l.of == of && Arc::ptr_eq(&l.schema, &loaded.schema);
        if let Some(found) = kept.iter().find(same) {
            return Ok(found.clone());
        }
        if kept.len() == LOADED_MAX {
            kept.remove(0);
        }
        kept.push(loaded.clone());
        Ok(loaded)
    }

    fn asked(&self, loaded: &Loaded, batch: &Arc<RankBatch>, begun: Instant) -> Answer {
        let Some(batcher) = &self.batcher else { return run(&*loaded.ranker, batch) };
        // A deadline that is too far away to be told is none.
        let until = self.deadline.and_then(|deadline| begun.checked_add(deadline));
        match batcher.ask(&loaded.ranker, batch, until) {
            Ok(answer) => answer,
            Err(why) => Answer::failed(batch, &why),
        }
    }

    /// Scores jobs that are all of one snapshot.
    fn score_jobs(&self, jobs: &mut [(Context<'_>, &Candidates, &mut [f32])]) -> Result<()> {
        let begun = Instant::now();
        let Some(first) = jobs.first() else { return Ok(()) };
        let snapshot = first.0.snapshot;
        let loaded = self.ready(snapshot)?;
        let table = match self.resident {
            true => loaded.table(snapshot, self.deadline.is_some())?,
            false => None,
        };
        let Assembler { features, dims, .. } = &loaded.assembler;
        let mut batch = RankBatch::new(features.clone(), dims.clone(), table);
        for (cx, candidates, scores) in jobs.iter_mut() {
            came_with(cx, candidates, scores)?;
            loaded.assembler.add(&mut batch, (cx, candidates), scores)?;
        }
        let batch = Arc::new(batch);
        let answer = self.asked(&loaded, &batch, begun);
        for (request, (cx, candidates, scores)) in jobs.iter_mut().enumerate() {
            match &answer.wrong[request] {
                None => scores.copy_from_slice(&answer.scores[batch.range(request)]),
                Some(why) => {
                    let name = self.name();
                    cx.degraded(format!(
                        "{name}: {} {why}; the order before it is kept",
                        loaded.name
                    ));
                }
            }
            if let (Some(log), Some(id)) = (&self.log, cx.request.id) {
                let wrong = answer.wrong[request].clone();
                log.keep(Served::new(
                    (id, &loaded.name),
                    cx,
                    candidates,
                    (&batch, request),
                    scores,
                    wrong,
                ));
            }
        }
        Ok(())
    }
}

impl Loaded {
    /// The table of a snapshot, if the ranker has it and has use for it. Who is in a `hurry` does not wait
    /// until it is made and given.
    fn table(
        self: &Arc<Loaded>,
        snapshot: &Snapshot,
        hurry: bool,
    ) -> Result<Option<Arc<super::Table>>> {
        let made = self.assembler.table(snapshot, !hurry)?;
        let held = made.as_ref().and_then(|table| self.held(table));
        match (held, made) {
            (Some(useful), made) => Ok(made.filter(|_| useful)),
            (None, made) if !hurry => Ok(made.filter(|table| self.give(table))),
            (None, _) => {
                if !self.giving.swap(true, Ordering::AcqRel) {
                    let (loaded, snapshot) = (self.clone(), snapshot.clone());
                    let give = move || {
                        // What cannot be read is an error of the requests that read it.
                        if let Ok(Some(table)) = loaded.assembler.table(&snapshot, true) {
                            loaded.give(&table);
                        }
                        loaded.giving.store(false, Ordering::Release);
                    };
                    if std::thread::Builder::new().name("table".into()).spawn(give).is_err() {
                        self.giving.store(false, Ordering::Release);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Gives the ranker a table; says whether it has use for it. A device that cannot take it is sent
    /// vectors.
    fn give(&self, table: &Arc<super::Table>) -> bool {
        let _alone = self.gate.lock();
        if let Some(useful) = self.held(table) {
            return useful;
        }
        let said = caught("ranker", || self.ranker.hold(table));
        let useful = matches!(said, Ok(Ok(true)));
        *self.holds.lock() = Some((table.id(), useful));
        useful
    }

    /// Whether it has use for a table that it was given last; `None` for another.
    fn held(&self, table: &super::Table) -> Option<bool> {
        let holds = *self.holds.lock();
        holds.filter(|(id, _)| *id == table.id()).map(|(_, useful)| useful)
    }
}

impl fmt::Debug for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Score for Rank {
    fn name(&self) -> String {
        match &self.what {
            What::Named(name) => format!("Rank({name} on {})", self.device.name()),
            What::Given(_, ranker) => format!("Rank({})", ranker.name()),
        }
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        self.score_jobs(&mut [(*cx, candidates, scores)])
    }

    fn score_all(&self, jobs: &mut [Job<'_>]) -> Result<()> {
        let mut all: Vec<(Context<'_>, &Candidates, &mut [f32])> =
            jobs.iter_mut().map(|job| (job.cx, job.candidates, &mut *job.scores)).collect();
        self.score_jobs(&mut all)
    }
}
