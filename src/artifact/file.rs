//! Saving and opening artifact files. FORMAT.md chapter 8.

use crate::{
    artifact::{Artifact, Provenance},
    error::{Corruption, Error, Result},
    format::{
        Kind, codec,
        envelope::{FileKind, Header, OpenMode, Sections},
        manifest::FileRef,
        section::Slice,
        sink,
    },
    io::Dir,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Deref, sync::Arc};

/// Takes the sections of an artifact that is being saved. See [`Artifact`].
///
/// ```
/// # use bowerbird::{Result, Saved};
/// fn save(weights: &[u8], out: &mut Saved) -> Result<()> {
///     out.section(0, weights)
/// }
/// ```
#[derive(Debug, Default)]
pub struct Saved {
    sections: BTreeMap<u16, Vec<u8>>,
}

impl Saved {
    /// Adds a section under a number of the artifact's choice, below 65,000, each once.
    pub fn section(&mut self, number: u16, bytes: &[u8]) -> Result<()> {
        let free = number < 65_000 && self.sections.insert(number, bytes.to_vec()).is_none();
        match free {
            true => Ok(()),
            false => {
                Err(Error::invalid(format!("section {number}"), "is there twice or over 65,000"))
            }
        }
    }
}

/// The sections of an artifact that is being opened; cheap to clone and to keep. See [`Artifact`].
///
/// ```
/// # use bowerbird::{Opened, Result};
/// fn weights(from: &Opened) -> Result<Vec<u8>> {
///     Ok(from.section(0)?.to_vec())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Opened {
    sections: Arc<Sections>,
}

/// Bytes of a section, mapped where files are mapped; the first is 64-byte aligned.
///
/// ```
/// # use bowerbird::{Opened, Result};
/// fn length(from: &Opened) -> Result<usize> {
///     Ok(from.section(0)?.len())
/// }
/// ```
pub struct Bytes<'a>(Slice<'a>);

impl Deref for Bytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

impl Opened {
    /// The bytes of a section; without it the artifact is damaged.
    pub fn section(&self, number: u16) -> Result<Bytes<'_>> {
        let kind = Kind(Kind::ARTIFACT_FIRST.saturating_add(number));
        Ok(Bytes(self.sections.need(kind, 0)?.all()?))
    }

    /// All sections, by the numbers of the file.
    pub(crate) fn all(&self) -> &Sections {
        &self.sections
    }

    /// What to return when a section cannot be true.
    pub fn damage(&self, what: &str) -> Error {
        Corruption::new(&self.sections.path, 0, what).into()
    }
}

/// What the PROVENANCE section says.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    name: String,
    version: u32,
    kind: String,
    format: u16,
    provenance: Provenance,
}

/// Writes an artifact file.
pub(crate) fn save<A: Artifact>(
    dir: &dyn Dir,
    path: &str,
    header: Header,
    (name, version): (&str, u32),
    (artifact, from): (&A, &Provenance),
) -> Result<FileRef> {
    let mut saved = Saved::default();
    artifact.save(&mut saved)?;
    let (name, kind, provenance) = (name.into(), A::KIND.into(), from.clone());
    let label = Label { name, version, kind, format: A::FORMAT, provenance };
    let mut bytes = Vec::new();
    codec::encode(&label, &mut bytes).map_err(|why| Error::invalid("provenance", why))?;
    sink::publish(dir, path, header, |sink| {
        sink.section(Kind::PROVENANCE, 0, &bytes)?;
        let number = |n: u16| Kind(Kind::ARTIFACT_FIRST + n);
        saved.sections.iter().try_for_each(|(n, bytes)| sink.section(number(*n), 0, bytes))
    })
}

/// Opens an artifact file that MANIFEST names.
pub(crate) fn open(
    dir: &dyn Dir,
    path: &str,
    (db, file): (&[u8; 16], FileRef),
    (name, version): (&str, u32),
    mode: &OpenMode,
) -> Result<(Opened, Provenance)> {
    let sections = Sections::open(dir, path, FileKind::Artifact, Some((db, file)), mode)?;
    let section = sections.need(Kind::PROVENANCE, 0)?;
    let label: Label =
        codec::decode(&section.all()?).map_err(|why| section.corrupt(0, "label").found(why))?;
    if (label.name.as_str(), label.version) != (name, version) {
        return Err(section.corrupt(0, "name of the artifact").found(label.name).into());
    }
    Ok((Opened { sections: Arc::new(sections) }, label.provenance))
}
