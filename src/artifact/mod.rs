//! Trained things as files: saved whole, never edited, with a note of where they came from.

mod file;
pub(crate) mod shelf;

pub use file::{Bytes, Opened, Saved};
pub(crate) use file::{open, save};

use crate::{
    error::{Error, Result},
    key::Seq,
    limits::NAME_BYTES_MAX,
};
use serde::{Deserialize, Serialize};

/// Where an artifact came from: enough to make it again, or to explain a result made with it.
///
/// ```
/// use bowerbird::{Provenance, Seq};
/// let from = Provenance { trained_at: Seq(41), seed: 7, ..Provenance::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The commit of the snapshot it was trained on.
    pub trained_at: Seq,
    /// The seed of everything random in its training.
    pub seed: u64,
    /// Artifacts it was trained on, by name and version. It can be active only while they are.
    pub parents: Vec<(String, u32)>,
    /// Anything else, for people: options, measured quality.
    pub notes: Vec<(String, String)>,
}

/// A trained thing that is saved whole and never edited.
///
/// Artifacts are data: nothing in one is ever executed. Bytes in a file may be damaged or forged, so
/// `open` checks everything that it will rely on and returns [`Error::Corrupt`] otherwise.
///
/// ```
/// use bowerbird::*;
///
/// /// The mean rating: the smallest model there is.
/// struct Mean(f32);
///
/// impl Artifact for Mean {
///     const KIND: &'static str = "mean";
///     const FORMAT: u16 = 1;
///     fn save(&self, out: &mut Saved) -> Result<()> {
///         out.section(0, &self.0.to_le_bytes())
///     }
///     fn open(from: &Opened) -> Result<Mean> {
///         let bytes = from.section(0)?;
///         let four: [u8; 4] = bytes[..].try_into().map_err(|_| from.damage("length of the mean"))?;
///         Ok(Mean(f32::from_le_bytes(four)))
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new())?;
/// let version = db.publish("mean", &Mean(3.5), Provenance::default())?;
/// db.activate("mean", version)?;
/// assert_eq!(db.snapshot().artifact::<Mean>("mean")?.0, 3.5);
/// # Ok(()) }
/// ```
pub trait Artifact: Sized + Send + Sync + 'static {
    /// What it is; an artifact of another kind is not opened as this one.
    const KIND: &'static str;
    /// The version of its sections; another is not opened.
    const FORMAT: u16;
    /// Writes its sections.
    fn save(&self, out: &mut Saved) -> Result<()>;
    /// Reads its sections.
    fn open(from: &Opened) -> Result<Self>;
}

/// An artifact of a database, as [`crate::Db::artifacts`] lists it.
///
/// ```
/// # use bowerbird::*;
/// assert!(Db::in_memory(Schema::new()).unwrap().artifacts().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ArtifactRef {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// What it is.
    pub kind: String,
    /// Whether readers get this version.
    pub active: bool,
    /// What it was trained on.
    pub parents: Vec<(String, u32)>,
}

/// The name is part of a file's name, so its grammar is narrow (S1).
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let why = format!("has 1 to {NAME_BYTES_MAX} of a-z, 0-9, _ and -");
        return Err(Error::invalid(format!("name {name:?} of an artifact"), why));
    }
    Ok(())
}
