//! One error for the whole crate. Each variant is a way a caller can react.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// The result of everything in this crate that can fail.
///
/// ```
/// fn open() -> bowerbird::Result<()> {
///     Err(bowerbird::Error::Cancelled)
/// }
/// assert!(open().is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words for people, and as a variant for programs.
///
/// A failed commit is either *rejected* (certainly no effect; the handle stays usable) or
/// [`Error::Indeterminate`] (the writer is poisoned; after reopening, the batch is wholly there or
/// wholly absent).
///
/// ```
/// use bowerbird::{Error, Key, Schema, Db};
/// let error = Db::in_memory(Schema::new()).unwrap().snapshot().near("text", &[1.0]).run().unwrap_err();
/// assert!(matches!(error, Error::NotFound { kind: "space", .. }));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    Io {
        /// What was being done, for example "opening".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Bytes on disk are not what was written. Nothing was changed.
    Corrupt(Box<Corruption>),
    /// Written by a version of this crate that this one cannot read. Nothing was changed.
    Incompatible {
        /// The file.
        path: PathBuf,
        /// What it needs and what this version has.
        why: String,
    },
    /// The caller asked for something that can never work. No effect.
    Invalid {
        /// Which argument.
        what: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The directory is open for writing elsewhere.
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it, where the LOCK file says so.
        pid: Option<u32>,
    },
    /// A named thing does not exist.
    NotFound {
        /// "space", "attribute", "item", ...
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A named thing is already there.
    Exists {
        /// "database", "space", "attribute", ...
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The disk is full. The batch had no effect and may be tried again.
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The write may or may not survive; after reopening it is wholly there or wholly absent.
    Indeterminate {
        /// The failure that made it so. The writer is poisoned.
        cause: Arc<Error>,
    },
    /// An earlier write to the device failed. Reads go on; to write, reopen the directory.
    Poisoned {
        /// The first failure.
        first_cause: Arc<Error>,
    },
    /// The database was opened read-only.
    ReadOnly,
    /// The handle crossed a `fork()`. Open the database again in the child.
    Forked,
    /// The operation would exceed the memory limit in `Options`. No effect.
    MemoryLimit {
        /// What needs the memory.
        what: &'static str,
        /// Bytes in use and asked for, together.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The caller's progress function asked to stop. No effect.
    Cancelled,
}

/// Where a file is damaged, and how that was seen.
///
/// ```
/// use bowerbird::Corruption;
/// let damage = Corruption::new("segments/000038.seg", 4160, "section VECTORS").expected("0x51e0b7d4").found("0x9f31c2aa");
/// assert!(damage.to_string().starts_with("segments/000038.seg, byte 4160"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corruption {
    /// The file, relative to the database directory.
    pub path: String,
    /// Where in it the damage begins, in bytes.
    pub offset: u64,
    /// What is damaged.
    pub what: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Corruption {
    /// Damage to `what`, seen at `offset` of `path`.
    pub fn new(path: impl Into<String>, offset: u64, what: impl Into<String>) -> Corruption {
        let (expected, found) = (String::new(), String::new());
        Corruption { path: path.into(), offset, what: what.into(), expected, found }
    }

    /// Says what should be there.
    pub fn expected(mut self, what: impl fmt::Display) -> Corruption {
        self.expected = what.to_string();
        self
    }

    /// Says what is there.
    pub fn found(mut self, what: impl fmt::Display) -> Corruption {
        self.found = what.to_string();
        self
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {}", self.path, self.offset, self.what)?;
        match (self.expected.is_empty(), self.found.is_empty()) {
            (false, false) => write!(f, ": expected {}, found {}", self.expected, self.found)?,
            (false, true) => write!(f, ": expected {}", self.expected)?,
            (true, false) => write!(f, ": found {}", self.found)?,
            (true, true) => {}
        }
        f.write_str(
            ". The file was changed after it was written. Restore it from a backup; \
             `verify` lists every damaged file.",
        )
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Error {
        Error::Corrupt(Box::new(corruption))
    }
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Io { doing, path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Error {
        Error::Invalid { what: what.into(), why: why.into() }
    }

    pub(crate) fn missing(kind: &'static str, name: impl fmt::Display) -> Error {
        Error::NotFound { kind, name: name.to_string() }
    }

    /// Whether the system said that a file is not there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the disk, a quota or a size limit refused to let a file grow.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Error::Io { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, source } => write!(f, "{doing} {}: {source}", path.display()),
            Error::Corrupt(corruption) => corruption.fmt(f),
            Error::Incompatible { path, why } => {
                write!(f, "{}: {why} Nothing was changed.", path.display())
            }
            Error::Invalid { what, why } => write!(f, "{what}: {why}"),
            Error::Locked { path, pid } => {
                write!(f, "{} is already open for writing", path.display())?;
                if let Some(pid) = pid {
                    write!(f, " (pid {pid})")?;
                }
                f.write_str(". One handle at a time may write; others open it read-only.")
            }
            Error::NotFound { kind, name } => write!(f, "there is no {kind} {name:?}"),
            Error::Exists { kind, name } => write!(f, "{kind} {name:?} already exists"),
            Error::NoSpace { path } => write!(
                f,
                "{}: no space left. The batch had no effect; free space and commit it again.",
                path.display()
            ),
            Error::Indeterminate { cause } => write!(
                f,
                "the write may or may not survive ({cause}). Reopen the database: the batch is \
                 then wholly there or wholly absent."
            ),
            Error::Poisoned { first_cause } => write!(
                f,
                "an earlier write failed ({first_cause}). Reads go on; reopen the database to write."
            ),
            Error::ReadOnly => f.write_str("the database was opened read-only"),
            Error::Forked => f.write_str(
                "this handle was opened before a fork; open the database again in this process",
            ),
            Error::MemoryLimit { what, needed, limit } => write!(
                f,
                "{what} needs {needed} bytes in all, but the memory limit is {limit}. Flush, \
                 write smaller batches, or raise `Options::memory_limit_bytes`."
            ),
            Error::Cancelled => f.write_str("cancelled by the caller; nothing was changed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(&**source),
            Error::Indeterminate { cause } => Some(&**cause),
            Error::Poisoned { first_cause } => Some(&**first_cause),
            _ => None,
        }
    }
}
