//! What every directory does alike: paths, reads past an end, copies, random bits.

use super::{Dir, Source};
use crate::error::{Error, Result};
use std::io;

/// How much of a file is copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// Cuts a path into folder ("" for none) and name, and refuses any that could lead elsewhere.
pub(super) fn split<'a>(doing: &'static str, path: &'a str) -> Result<(&'a str, &'a str)> {
    let (folder, name) = path.split_once('/').unwrap_or(("", path));
    if path.contains('/') {
        check_folder(doing, folder)?;
    }
    check_folder(doing, name)?;
    Ok((folder, name))
}

/// Refuses what is not one plain name.
pub(super) fn check_folder(doing: &'static str, name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        let why = "a path here is a name, or a folder and a name";
        let error = io::Error::new(io::ErrorKind::InvalidInput, why);
        return Err(Error::io(doing, name, error));
    }
    Ok(())
}

/// Copies out of `bytes` from `offset`, or fails as a read past the end of a file does.
pub(super) fn fill(bytes: &[u8], offset: u64, into: &mut [u8]) -> io::Result<()> {
    let from = usize::try_from(offset).ok();
    let tail = from.and_then(|from| bytes.get(from..)).and_then(|tail| tail.get(..into.len()));
    let Some(wanted) = tail else {
        let why = format!("the file ends at byte {}, before the read does", bytes.len());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    };
    into.copy_from_slice(wanted);
    Ok(())
}

/// Copies a file into another directory, a part at a time, and makes its bytes durable there.
pub(super) fn copy(source: &dyn Source, path: &str, other: &dyn Dir) -> Result<()> {
    let mut target = other.create(path)?;
    let (len, mut done) = (source.len(), 0);
    let mut part = vec![0; len.min(COPY_BYTES) as usize];
    while done < len {
        let part = &mut part[..(len - done).min(COPY_BYTES) as usize];
        source.read_at(done, part)?;
        target.append(part)?;
        done += part.len() as u64;
    }
    target.sync()
}

/// Random bits from the system, never zero.
pub(super) fn random() -> Result<u64> {
    loop {
        let mut bytes = [0; 8];
        fill_random(&mut bytes).map_err(|error| Error::io("reading", "/dev/urandom", error))?;
        if bytes != [0; 8] {
            return Ok(u64::from_le_bytes(bytes));
        }
    }
}

/// A request this small is never answered in part, once the system has been started.
#[cfg(target_os = "linux")]
fn fill_random(into: &mut [u8; 8]) -> io::Result<()> {
    let flags = rustix::rand::GetRandomFlags::empty();
    let got = rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut into[..], flags))?;
    if got < into.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn fill_random(into: &mut [u8; 8]) -> io::Result<()> {
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, into)
}
