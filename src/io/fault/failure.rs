//! How and when calls fail.

use rustix::io::Errno;
use std::io;

/// How a call fails. One that does not fit its call, as a short write of a name, is `Eio`.
///
/// ```
/// use bowerbird::io::{Dir, fault::{Failure, Fault}};
/// let dir = Fault::new();
/// dir.fail_at(0, Failure::Emfile, false);
/// assert!(dir.create("a").is_err());
/// assert!(dir.create("a").is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The device failed; nothing happened.
    Eio,
    /// The call took effect, and still says that the device failed.
    EioAfter,
    /// The disk is full. Reads and removals go on.
    Enospc,
    /// The quota is used up. Reads and removals go on.
    Edquot,
    /// Too many open files.
    Emfile,
    /// Not allowed.
    Eacces,
    /// An append writes that many bytes, then the device fails.
    ShortWrite(usize),
    /// An append writes that many bytes, then the disk is full.
    ShortWriteFull(usize),
    /// A sync fails, and what it should have written never will be, though it can be read until the
    /// power fails. A later sync succeeds and leaves zeros there. Linux does this.
    SyncDropsPages,
    /// A sync fails, and a later one may succeed.
    SyncKeepsPages,
}

impl Failure {
    pub(super) fn error(self) -> io::Error {
        let errno = match self {
            Failure::Enospc => Errno::NOSPC,
            Failure::Edquot => Errno::DQUOT,
            Failure::Emfile => Errno::MFILE,
            Failure::Eacces => Errno::ACCESS,
            _ => Errno::IO,
        };
        errno.into()
    }

    pub(super) fn fits(self, call: Call) -> bool {
        let full = matches!(self, Failure::Enospc | Failure::Edquot);
        !(full && matches!(call, Call::Read | Call::Remove))
    }
}

/// What a call does, as far as failures care.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    Remove,
    Change,
}

#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) at: u64,
    pub(super) changes_only: bool,
    pub(super) forever: bool,
    pub(super) failure: Failure,
}
