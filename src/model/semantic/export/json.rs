//! A trie as text.

use crate::{error::Result, key::Key, semantic::Trie, store::Snapshot};
use std::fmt::Write;

impl Trie {
    /// The trie as JSON: every ID as the text of its codes, with the keys of its items, ascending:
    /// `{"12,7,3":["4","9"],"12,8,0":["2"]}`. A catalogue that FlashRec reads, which looks at the IDs only.
    ///
    /// # Errors
    /// As [`Snapshot::key`]; `Invalid` if the trie is not of the snapshot.
    pub fn to_json(&self, snapshot: &Snapshot) -> Result<String> {
        let mut text = String::from("{");
        for (at, id) in self.ids().into_iter().enumerate() {
            let codes: Vec<String> = id.codes().iter().map(u16::to_string).collect();
            let keys = self.keys(snapshot, &id)?;
            let names: Vec<String> = keys.iter().map(Key::to_string).collect();
            let names = serde_json::to_string(&names).unwrap_or_default();
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(text, "{comma}\"{}\":{names}", codes.join(","));
        }
        text.push('}');
        Ok(text)
    }
}
