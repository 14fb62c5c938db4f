//! Library: opening a shared library, shaking hands with it, and calling it. All that is unsafe about
//! plug-ins is here; what keeps it sound is what the header asks of them.
#![allow(unsafe_code)] // Foreign functions.

use super::{
    Plugin,
    abi::{self, Close, Columns, Entry, Held, Hold, Rank, RawRanker},
};
use crate::{
    error::{Error, Result},
    model::ranker::{batch::RankBatch, table::Table},
};
use parking_lot::Mutex;
use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::Path,
    ptr::NonNull,
    sync::Arc,
};

/// A library that is loaded, and the handle that it opened.
pub(super) struct Library {
    place: String,
    name: String,
    handle: NonNull<c_void>,
    rank: Rank,
    hold: Option<Hold>,
    close: Close,
    /// The table that it was offered last, which it may read until it is offered another.
    offer: Option<Offer>,
    /// Last: what was taken from it must not be called once it is gone.
    _code: libloading::Library,
}

/// A table, and what was said of it.
struct Offer {
    held: Held,
    status: c_int,
    said: Said,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({:?} of {})", self.name, self.place)
    }
}

// SAFETY: the header says that functions of a handle are called from any thread, one at a time; `Plugin`
// keeps a `Library` behind a lock, and it is not `Sync`.
unsafe impl Send for Library {}

/// How long what a plug-in says of an error may be.
const ERROR_BYTES_MAX: usize = 1024;

/// Room for what a plug-in says of an error.
struct Said([u8; ERROR_BYTES_MAX]);

impl Said {
    fn new() -> Said {
        Said([0; ERROR_BYTES_MAX])
    }

    fn room(&mut self) -> (*mut c_char, usize) {
        (self.0.as_mut_ptr().cast(), self.0.len())
    }

    /// The text up to its end, or all of it where a plug-in has forgotten the end.
    fn text(&self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        match end {
            0 => "nothing".into(),
            end => String::from_utf8_lossy(&self.0[..end]).into_owned(),
        }
    }
}

impl Plugin {
    /// Loads the library at an absolute path and opens a ranker in it. `config` is for the plug-in alone to
    /// understand.
    ///
    /// # Errors
    /// `Invalid` if the path is relative; if there is no library, or one that has not the symbol
    /// `bowerbird_ranker_entry`; if it has another version, or lacks a function; and what it says when it
    /// cannot open.
    ///
    /// # Safety
    /// Loading a library runs its code, with all rights of this process. The caller trusts the file, and
    /// trusts it to keep what the header says.
    pub unsafe fn load(path: impl AsRef<Path>, config: &str) -> Result<Plugin> {
        let path = path.as_ref();
        let place = format!("plug-in {}", path.display());
        if !path.is_absolute() {
            let why = "is not an absolute path, so it would be another file in another folder";
            return Err(Error::invalid(place, why));
        }
        // SAFETY: the caller trusts the library.
        let library = unsafe { Library::open(path, &place, config) }?;
        let name = format!("{} by plug-in", library.name());
        Ok(Plugin { name, library: Mutex::new(library) })
    }
}

impl Library {
    /// # Safety
    /// The code of the library is run, and trusted to be what the header says.
    pub(super) unsafe fn open(path: &Path, place: &str, config: &str) -> Result<Library> {
        let refuse = |why: String| Error::invalid(place, why);
        let config = CString::new(config)
            .map_err(|_| Error::invalid("config of a plug-in", "has a zero byte in it"))?;
        // SAFETY: the caller trusts what the library runs when it is loaded.
        let code = unsafe { libloading::Library::new(path) }
            .map_err(|why| refuse(format!("cannot be loaded: {}", reason(&why))))?;
        // SAFETY: a symbol of this name is a function of this type, by the header.
        let entry = unsafe { code.get::<Entry>(c"bowerbird_ranker_entry") }.map_err(|why| {
            let what = "has no symbol bowerbird_ranker_entry. Is it a ranker, and is it exported?";
            refuse(format!("{what} ({})", reason(&why)))
        })?;
        // SAFETY: it is that function, and takes any number.
        let table = unsafe { entry(abi::ABI) };
        // SAFETY: it came from the entry just now, and the library is loaded.
        let table = unsafe { shake_hands(table) }.map_err(&refuse)?;
        let lacks = |what: &str| refuse(format!("has no function `{what}`"));
        let open = table.open.ok_or_else(|| lacks("open"))?;
        let rank = table.rank.ok_or_else(|| lacks("rank"))?;
        let close = table.close.ok_or_else(|| lacks("close"))?;
        if table.name.is_null() {
            return Err(refuse("has no name".into()));
        }
        // SAFETY: not null, so it is a text that ends with 0, by the header.
        let name = unsafe { CStr::from_ptr(table.name) }.to_string_lossy().into_owned();
        let mut said = Said::new();
        let (err, size) = said.room();
        // SAFETY: both pointers are valid for the call, and `err` for `size` bytes.
        let handle = unsafe { open(config.as_ptr(), err, size) };
        let handle = NonNull::new(handle)
            .ok_or_else(|| refuse(format!("{name:?} cannot open; it says: {}", said.text())))?;
        let place = place.to_owned();
        Ok(Library { place, name, handle, rank, hold: table.hold, close, offer: None, _code: code })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Scores all candidates; there are as many scores.
    pub(super) fn rank(&mut self, columns: &Columns<'_>, scores: &mut [f32]) -> Result<()> {
        assert_eq!(scores.len(), columns.batch().len(), "a score for each candidate");
        let (raw, mut said) = (columns.raw(cancelled), Said::new());
        let (err, size) = said.room();
        // SAFETY: `raw` is valid while `columns` is, `scores` is as long as the batch has candidates, `err`
        // has `size` bytes, and the handle is open.
        let status = unsafe {
            (self.rank)(self.handle.as_ptr(), &raw const raw, scores.as_mut_ptr(), err, size)
        };
        match status {
            0 => Ok(()),
            _ => Err(self.failed("rank", status, &said.text())),
        }
    }

    /// Offers a table, once; asked again about the one offered last, it says again what was said then.
    pub(super) fn hold(&mut self, table: &Arc<Table>) -> Result<bool> {
        let Some(hold) = self.hold else { return Ok(false) };
        let offer = match self.offer.take() {
            Some(offer) if offer.held.is(table) => offer,
            before => {
                let (held, mut said) = (Held::of(table.clone()), Said::new());
                let (err, size) = said.room();
                // SAFETY: `held` keeps what it points to, `err` has `size` bytes, and the handle is open.
                let status = unsafe { hold(self.handle.as_ptr(), held.raw(), err, size) };
                // Only now may the one before go.
                drop(before);
                Offer { held, status, said }
            }
        };
        let Offer { status, said, .. } = self.offer.insert(offer);
        match *status {
            0 | 1 => Ok(*status == 1),
            status => {
                let why = said.text();
                Err(self.failed("hold", status, &why))
            }
        }
    }

    fn failed(&self, what: &str, status: c_int, said: &str) -> Error {
        let why = format!("failed in `{what}` with {status}; it says: {said}");
        Error::invalid(&self.place, why)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this library, is closed once, and the library is loaded.
        unsafe { (self.close)(self.handle.as_ptr()) }
    }
}

/// What the system says, which is under what the crate says.
fn reason(why: &libloading::Error) -> String {
    std::error::Error::source(why).map_or_else(|| why.to_string(), |said| said.to_string())
}

/// The table of functions, if it is of a version that is known.
///
/// # Safety
/// `table` is what the entry of a loaded library returned.
unsafe fn shake_hands(table: *const RawRanker) -> Result<RawRanker, String> {
    const NEEDED: usize = size_of::<RawRanker>();
    let ours = abi::ABI;
    if table.is_null() || !table.is_aligned() {
        return Err(format!("does not work with a host of version {ours} of the interface"));
    }
    // Size and version come first in all versions: nothing else is read before they are right.
    let first = table.cast::<u32>();
    // SAFETY: not null and aligned, so it points to a table, by the header.
    let size = unsafe { first.read() };
    // SAFETY: as above; the version is the second field.
    let version = unsafe { first.wrapping_add(1).read() };
    if version != ours {
        return Err(format!(
            "has version {version} of the interface; this host has {ours}. \
             Compile it with this version's bowerbird_ranker.h."
        ));
    }
    if (size as usize) < NEEDED {
        return Err(format!("has a table of {size} bytes; version {ours} needs {NEEDED}"));
    }
    // SAFETY: it has at least as many bytes as are read, and pointers to functions may be null.
    Ok(unsafe { table.read() })
}

/// What a plug-in asks when it takes long.
extern "C" fn cancelled(token: *const c_void) -> c_int {
    // SAFETY: the token of a batch is a pointer to it, and batches are asked while `rank` runs.
    let batch = unsafe { token.cast::<RankBatch>().as_ref() };
    c_int::from(batch.is_some_and(RankBatch::cancelled))
}
