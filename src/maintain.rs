//! Housekeeping: one chore at a time, and the thread that does them.

use crate::{
    error::{Error, Result},
    options::Durability,
    progress::Progress,
    store::Store,
};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::{Arc, Weak},
    thread::JoinHandle,
    time::Duration,
};

/// A unit of housekeeping that was done.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new())?;
/// while let Some(chore) = db.maintain()? {
///     println!("{chore:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chore {
    /// Commits that were buffered for long enough were made durable.
    Synced,
    /// The heap was written to disk.
    Flushed,
    /// So many parts became one.
    Merged {
        /// How many.
        parts: usize,
    },
    /// A derived file was made.
    Derived,
    /// Files that nobody uses were removed.
    Removed {
        /// How many.
        files: usize,
    },
}

/// Does the most useful chore.
pub(crate) fn once(store: &Store) -> Result<Option<Chore>> {
    if store.sync_if_due()? {
        return Ok(Some(Chore::Synced));
    }
    if store.flush_is_due() && store.flush(&mut Progress::silent())? {
        return Ok(Some(Chore::Flushed));
    }
    if let Some(parts) = store.compact(&mut Progress::silent())? {
        return Ok(Some(Chore::Merged { parts }));
    }
    if store.derive()? {
        return Ok(Some(Chore::Derived));
    }
    match store.sweep() {
        0 => Ok(None),
        files => Ok(Some(Chore::Removed { files })),
    }
}

/// The thread of one open writer. It ends when the handle drops.
#[derive(Debug)]
pub(crate) struct Keeper {
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

/// Without a commit that asks for work, the thread looks this often.
const IDLE: Duration = Duration::from_millis(200);

impl Keeper {
    pub(crate) fn start(store: &Arc<Store>) -> Result<Keeper> {
        let shared = Arc::new(Shared::default());
        let pause = match store.options.durability {
            Durability::Buffered { max_delay } => max_delay.clamp(Duration::from_millis(1), IDLE),
            _ => IDLE,
        };
        let (store, theirs) = (Arc::downgrade(store), shared.clone());
        let thread = std::thread::Builder::new()
            .name("bowerbird".into())
            .spawn(move || keep(&store, &theirs, pause))
            .map_err(|e| Error::io("starting a thread", "maintenance", e))?;
        Ok(Keeper { shared, thread: Some(thread) })
    }

    /// Wakes the thread if a commit has made work.
    pub(crate) fn notice(&self, store: &Store) {
        if store.flush_is_due() {
            self.shared.state.lock().work = true;
            self.shared.wake.notify_one();
        }
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.shared.state.lock().error.as_ref().map(ToString::to_string)
    }
}

fn keep(store: &Weak<Store>, shared: &Shared, pause: Duration) {
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
        let done = work(&store, shared);
        let mut state = shared.state.lock();
        match done {
            // What failed is tried again later, and is in `stats` until it works.
            Err(error) => state.error = Some(error),
            Ok(()) => state.error = None,
        }
    }
}

/// Chores until nothing is owed or the handle drops.
fn work(store: &Store, shared: &Shared) -> Result<()> {
    while !shared.state.lock().stop {
        match once(store) {
            Ok(Some(_)) => {}
            Ok(None) | Err(Error::Poisoned { .. } | Error::Forked) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread has no panics of its own to report.
            let _ = thread.join();
        }
    }
}
