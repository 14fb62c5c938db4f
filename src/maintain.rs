//! Housekeeping: one chore at a time, and the threads that do them.

mod keeper;

pub(crate) use keeper::Keeper;

use crate::{error::Result, options::Maintenance, progress::Progress, store::Store};

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
    /// A graph was built.
    Indexed {
        /// Of so many vectors.
        rows: u64,
    },
    /// What is read most of a graph that is searched often was brought into memory, onto large pages.
    Heated {
        /// How many bytes.
        bytes: u64,
    },
    /// Files that nobody uses were removed.
    Removed {
        /// How many.
        files: usize,
    },
}

/// Does the most useful chore. Where there are threads, one of its own builds the graphs.
///
/// `progress` can end what takes long and is of no use half done. A flush it cannot: that is short, and
/// what it writes need not be replayed.
pub(crate) fn once(store: &Store, progress: &mut Progress<'_>) -> Result<Option<Chore>> {
    if store.sync_if_due()? {
        return Ok(Some(Chore::Synced));
    }
    if store.flush_is_due() && store.flush(&mut Progress::silent())? {
        return Ok(Some(Chore::Flushed));
    }
    if let Some(parts) = store.compact(progress)? {
        return Ok(Some(Chore::Merged { parts }));
    }
    if store.derive()? || store.derive_ids()? || store.derive_words(progress)? {
        return Ok(Some(Chore::Derived));
    }
    let manual = store.options.maintenance == Maintenance::Manual;
    if manual && let Some(rows) = store.index_next(progress)? {
        return Ok(Some(Chore::Indexed { rows }));
    }
    if manual && let Some(bytes) = store.heat_next(false, progress)? {
        return Ok(Some(Chore::Heated { bytes }));
    }
    match store.sweep() {
        0 => Ok(None),
        files => Ok(Some(Chore::Removed { files })),
    }
}
