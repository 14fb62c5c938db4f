//! The threads of one open writer: one that keeps house, one that builds graphs, and one that keeps the
//! time of `Durability::Buffered`.
//!
//! More than one, because a graph may take an hour, in which flushes and merges must go on, and a merge
//! minutes, in which commits must not stay unsynced.

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
    syncs: Option<Worker>,
}

/// One thread, and what it shares with the others.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The process in which the thread is: a fork has no copy of it.
    pid: u32,
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
/// The least and the most time between two looks for what must be synced.
const SYNCS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(3600)];

impl Keeper {
    pub(crate) fn start(store: &Arc<Store>) -> Result<Keeper> {
        let house = Worker::start(store, idle, "bowerbird", once_more)?;
        let graphs = match store.options.graphs {
            Graphs::Off => None,
            _ => Some(Worker::start(store, idle, "bowerbird-graph", graph_once_more)?),
        };
        let syncs = match store.options.durability {
            Durability::Buffered { .. } => {
                Some(Worker::start(store, until_due, "bowerbird-sync", sync_once_more)?)
            }
            _ => None,
        };
        Ok(Keeper { house, graphs, syncs })
    }

    /// Tells all threads to end, those that merge or build in the middle of it.
    pub(crate) fn stop(&self) {
        [Some(&self.house), self.graphs.as_ref(), self.syncs.as_ref()]
            .into_iter()
            .flatten()
            .for_each(Worker::stop);
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
        let said =
            |worker: &Worker| worker.shared.state.lock().error.as_ref().map(Error::to_string);
        said(&self.house).or_else(|| self.syncs.as_ref().and_then(said))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Told first, so that all end at the same time.
        self.stop();
    }
}

/// One unit of work; says whether there was any.
type Job = fn(&Store, &Shared) -> Result<bool>;

/// How long to wait if nobody asks for work.
type Pause = fn(&Store) -> Duration;

fn idle(_: &Store) -> Duration {
    IDLE
}

/// What is committed after this look is due no earlier than `max_delay` from now.
fn until_due(store: &Store) -> Duration {
    let Durability::Buffered { max_delay } = store.options.durability else { return IDLE };
    store.sync_due_in().unwrap_or(max_delay).clamp(SYNCS[0], SYNCS[1])
}

fn once_more(store: &Store, shared: &Shared) -> Result<bool> {
    let mut until_stopped = Progress::to(|_, _| !shared.is_stopped());
    once(store, &mut until_stopped).map(|chore| chore.is_some())
}

fn sync_once_more(store: &Store, _: &Shared) -> Result<bool> {
    store.sync_if_due().map(|_| false)
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
    fn start(store: &Arc<Store>, pause: Pause, name: &str, job: Job) -> Result<Worker> {
        let shared = Arc::new(Shared::default());
        let (store, theirs) = (Arc::downgrade(store), shared.clone());
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || keep(&store, &theirs, pause, job))
            .map_err(|e| Error::io("starting a thread", "maintenance", e))?;
        Ok(Worker { shared, thread: Some(thread), pid: std::process::id() })
    }

    fn stop(&self) {
        // In a child there is no thread to tell, and it may have held the lock when it was not copied.
        if self.pid != std::process::id() {
            return;
        }
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_one();
    }
}

fn keep(store: &Weak<Store>, shared: &Shared, pause: Pause, job: Job) {
    loop {
        let Some(pause) = store.upgrade().map(|store| pause(&store)) else { return };
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
            Ok(false) | Err(Error::Poisoned { .. } | Error::Forked | Error::Cancelled) => {
                return Ok(());
            }
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
            && self.pid == std::process::id()
        {
            // The thread has no panics of its own to report.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{io::Memory, options::Options, schema::Schema};
    use std::time::Instant;

    /// Goal: the child of a fork does not wait for a thread that only its parent has (I4).
    /// Method: a worker that never ends, and another process's number on it.
    #[test]
    fn a_child_does_not_wait_for_its_parents_threads() {
        let dir = Arc::new(Memory::new());
        let store = Arc::new(Store::create(dir, Schema::new(), Options::default()).unwrap());
        let never = |_: &Store, shared: &Shared| {
            while !shared.is_stopped() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(false)
        };
        let mut worker = Worker::start(&store, idle, "never", never).unwrap();
        let (shared, since) = (worker.shared.clone(), Instant::now());
        worker.pid += 1;
        drop(worker);
        assert!(!shared.is_stopped() && since.elapsed() < Duration::from_secs(60));
        shared.state.lock().stop = true;
    }
}
