//! A trie as text.

use super::save;
use crate::{
    error::{Error, Result},
    key::{Key, Seq},
    semantic::Trie,
    store::Snapshot,
};
use std::{fmt::Write, path::Path};

/// IDs and their items as JSON, with what they were made of. See [`Trie::to_json`].
///
/// ```
/// fn name(catalogue: &bowerbird::model::semantic::Catalogue) -> String {
///     let (codebook, version) = catalogue.codebook();
///     format!("{codebook}-{version}-{}.json", catalogue.seq().0)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    codebook: String,
    version: u32,
    seq: Seq,
    text: String,
}

impl Catalogue {
    /// Which codebook the codes are of, and which version of it.
    pub fn codebook(&self) -> (&str, u32) {
        (&self.codebook, self.version)
    }

    /// The commit as of which the items are there: that of the snapshot that it was made of, or of the
    /// trie if that is later.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the JSON to a file, in place of one of the same name: whole, or not at all.
    ///
    /// # Errors
    /// `Io`; `Invalid` for a path that names no file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save::write(path.as_ref(), self.text.as_bytes())
    }
}

impl Trie {
    /// The trie as JSON that FlashRec takes for a catalogue (`--sid-vocab-file`): one object on one line,
    /// without spaces. Every ID is a member, ascending: its name is the codes in decimal, coarse to fine,
    /// with commas; its value is the list of the keys of its items as strings, ascending.
    ///
    /// ```text
    /// {"12,7,3":["4","9"],"12,8,0":["2"]}
    /// ```
    ///
    /// What was deleted or erased between the trie and the snapshot is left out, and so are IDs that no item
    /// has any more.
    ///
    /// FlashRec looks at the names only. It takes each of them for an ID, so codebook, version and commit
    /// have no place in the text: they are beside it, and a file should be named by them.
    ///
    /// # Errors
    /// As [`Snapshot::key`]; `Invalid` if the trie is not of the snapshot.
    pub fn to_json(&self, snapshot: &Snapshot) -> Result<Catalogue> {
        self.must_be_of(snapshot)?;
        let mut text = String::from("{");
        for id in self.ids() {
            let codes: Vec<String> = id.codes().iter().map(u16::to_string).collect();
            let keys = self.keys(snapshot, &id)?;
            if keys.is_empty() {
                continue;
            }
            let names: Vec<String> = keys.iter().map(Key::to_string).collect();
            let names = serde_json::to_string(&names)
                .map_err(|why| Error::invalid("keys of items", why.to_string()))?;
            let comma = if text.len() > 1 { "," } else { "" };
            let _ = write!(text, "{comma}\"{}\":{names}", codes.join(","));
        }
        text.push('}');
        let (codebook, version) = self.codebook();
        let seq = self.seq().max(snapshot.seq());
        Ok(Catalogue { codebook: codebook.into(), version, seq, text })
    }
}
