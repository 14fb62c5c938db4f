//! The threads of one open writer: one that keeps house, one that builds graphs.
//!
//! Two, because a graph may take an hour, in which flushes and merges must go on.

use crate::{
    error::{Error, Result},
    maintain::once,
    options::{Durability, Graphs},
    progress::Progress,
    store::Store,
};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::{Arc, Weak},
    thread::JoinHandle,
    time::Duration,
};

/// The threads of one open writer. They end when the handle drops.
#[derive(Debug)]
pub(crate) struct Keeper {
    house: Worker,
    graphs: Option<Worker>,
}

/// One thread, and what it shares with the others.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    work: bool,
    error: Option<Error>,
}

/// Without a commit that asks for work, a thread looks this often.
const IDLE: Duration = Duration::from_millis(200);

impl Keeper {
    pub(crate) fn start(store: &Arc<Store>) -> Result<Keeper> {
        let pause = match store.options.durability {
            Durability::Buffered { max_delay } => max_delay.clamp(Duration::from_millis(1), IDLE),
            _ => IDLE,
        };
        let house = Worker::start(store, pause, "bowerbird", once_more)?;
        let graphs = match store.options.graphs {
            Graphs::Off => None,
            _ => Some(Worker::start(store, IDLE, "bowerbird-graph", graph_once_more)?),
        };
        Ok(Keeper { house, graphs })
    }

    /// Wakes the thread if a commit has made work.
    pub(crate) fn notice(&self, store: &Store) {
        if store.flush_is_due() {
            self.house.shared.state.lock().work = true;
            self.house.shared.wake.notify_one();
        }
    }

    /// What the last round of housekeeping failed with. The store itself knows of graphs.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.house.shared.state.lock().error.as_ref().map(ToString::to_string)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Told first, so that both end at the same time.
        self.house.stop();
        self.graphs.iter().for_each(Worker::stop);
    }
}

/// One unit of work; says whether there was any.
type Job = fn(&Store, &Shared) -> Result<bool>;

fn once_more(store: &Store, _: &Shared) -> Result<bool> {
    once(store).map(|chore| chore.is_some())
}

fn graph_once_more(store: &Store, shared: &Shared) -> Result<bool> {
    let mut until_stopped = Progress::to(|_, _| !shared.is_stopped());
    if store.index_next(&mut until_stopped)?.is_some() {
        return Ok(true);
    }
    store.heat_next(false, &mut until_stopped).map(|bytes| bytes.is_some())
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }
}

impl Worker {
    fn start(store: &Arc<Store>, pause: Duration, name: &str, job: Job) -> Result<Worker> {
        let shared = Arc::new(Shared::default());
        let (store, theirs) = (Arc::downgrade(store), shared.clone());
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || keep(&store, &theirs, pause, job))
            .map_err(|e| Error::io("starting a thread", "maintenance", e))?;
        Ok(Worker { shared, thread: Some(thread) })
    }

    fn stop(&self) {
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_one();
    }
}

fn keep(store: &Weak<Store>, shared: &Shared, pause: Duration, job: Job) {
    loop {
        {
            let mut state = shared.state.lock();
            if !state.stop && !state.work {
                shared.wake.wait_for(&mut state, pause);
            }
            if state.stop {
                return;
            }
            state.work = false;
        }
        let Some(store) = store.upgrade() else { return };
        let done = work(&store, shared, job);
        let mut state = shared.state.lock();
        match done {
            // What failed is tried again later, and is in `stats` until it works.
            Err(error) => state.error = Some(error),
            Ok(()) => state.error = None,
        }
    }
}

/// Works until nothing is owed or the handle drops.
fn work(store: &Store, shared: &Shared, job: Job) -> Result<()> {
    while !shared.is_stopped() {
        match job(store, shared) {
            Ok(true) => {}
            Ok(false) | Err(Error::Poisoned { .. } | Error::Forked) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread has no panics of its own to report.
            let _ = thread.join();
        }
    }
}
