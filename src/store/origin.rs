//! What a derived file was made from, and by which recipe. FORMAT.md chapter 9.
//!
//! A derived file is found by its name, so it has to say for itself that it fits: its ORIGIN section
//! names the segment (by number, nonce and checksum) and the recipe. One that does not fit is not used.

use crate::{
    error::{Error, Result},
    format::{
        Kind, codec,
        envelope::{FileKind, Header, OpenMode, Sections},
        manifest::FileRef,
        sink::{self, Sink},
    },
    io::Dir,
    options::Verify,
    segment::Segment,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Origin {
    segment: FileRef,
    recipe: String,
}

/// Opens a derived file of a segment, if it is there and was made by one of these recipes.
pub(crate) fn open(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    segment: &Segment,
    (path, recipes): (&str, &[String]),
) -> Result<Option<Sections>> {
    let Some(file) = segment.file() else { return Ok(None) };
    let sections = match Sections::open(dir, path, FileKind::Derived, None, mode) {
        Ok(sections) => sections,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let section = sections.need(Kind::ORIGIN, 0)?;
    let origin: Origin =
        codec::decode(&section.all()?).map_err(|why| section.corrupt(0, "origin").found(why))?;
    let ours = sections.header.is_some_and(|header| header.db == *db);
    let fits = ours && origin.segment == file && recipes.contains(&origin.recipe);
    Ok(fits.then_some(sections))
}

/// Publishes a derived file: ORIGIN, and what `fill` writes.
pub(crate) fn publish(
    dir: &dyn Dir,
    db: [u8; 16],
    segment: FileRef,
    (path, recipe): (&str, &str),
    fill: impl FnOnce(&mut Sink) -> Result<()>,
) -> Result<()> {
    let mut origin = Vec::new();
    codec::encode(&Origin { segment, recipe: recipe.into() }, &mut origin)
        .map_err(|why| Error::invalid("origin", why))?;
    let header = Header::new(FileKind::Derived, db, segment.id, dir.nonce()?);
    sink::publish(dir, path, header, |sink| {
        sink.section(Kind::ORIGIN, 0, &origin)?;
        fill(sink)
    })?;
    Ok(())
}

/// Opens what was derived. With `rebuild`, a damaged file is as good as none, so all of it is read
/// now: damage seen later could only be reported.
pub(crate) fn adopt<T>(
    mode: &OpenMode,
    rebuild: bool,
    open: impl FnOnce(&OpenMode) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut mode = mode.clone();
    if rebuild && mode.verify == Verify::FirstTouch {
        mode.verify = Verify::Open;
    }
    match open(&mode) {
        Err(Error::Corrupt(_)) if rebuild => Ok(None),
        opened => opened,
    }
}
