//! The fields of MANIFEST, the one root. FORMAT.md chapter 4.
//!
//! The order of fields is the format. Everything that belongs to the state of a database is named
//! here, so replacing this one small file is the one commit point.

use crate::{
    error::{Corruption, Result},
    format::{codec, names},
    limits::{NAME_BYTES_MAX, NUMBER_MAX},
    schema::Schema,
};
use serde::{Deserialize, Serialize};

/// What a parent knows of a child file: a swapped, stale or foreign file does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRef {
    /// In the file's name and header. Never reused.
    pub(crate) id: u64,
    /// Exact length in bytes.
    pub(crate) len: u64,
    /// In the file's header.
    pub(crate) nonce: u64,
    /// Checksum of the file's footer, which holds the checksums of everything else.
    pub(crate) footer_crc: u32,
}

/// One segment of the database and which of its rows are dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEntry {
    pub(crate) segment: FileRef,
    pub(crate) dead: Option<FileRef>,
    /// It holds erased bytes: merge it soon, whatever its size.
    pub(crate) erasing: bool,
}

/// One WAL file, oldest first. All but the last are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WalEntry {
    pub(crate) id: u64,
    pub(crate) nonce: u64,
    /// The number of the first commit that may be in it.
    pub(crate) first_lsn: u64,
    /// Its valid length and last commit, once nothing more will be appended.
    pub(crate) sealed: Option<(u64, u64)>,
}

/// One published artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArtifactEntry {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) kind: String,
    pub(crate) format: u16,
    pub(crate) active: bool,
    /// What it was trained on; these must be active for it to be.
    pub(crate) parents: Vec<(String, u32)>,
    pub(crate) file: FileRef,
}

impl ArtifactEntry {
    pub(crate) fn path(&self) -> String {
        names::artifact(&self.name, self.version, self.file.id)
    }
}

/// The whole of MANIFEST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// One more than its predecessor's.
    pub(crate) generation: u64,
    /// Every commit up to here is in the parts.
    pub(crate) flushed: u64,
    /// Every commit up to here was known to be durable when this was written.
    pub(crate) synced: u64,
    /// No file has this number or a larger one.
    pub(crate) next_id: u64,
    pub(crate) schema: Schema,
    pub(crate) parts: Vec<PartEntry>,
    pub(crate) wals: Vec<WalEntry>,
    pub(crate) artifacts: Vec<ArtifactEntry>,
}

impl Manifest {
    /// The bytes of the MANIFEST section. One that could not be read again is refused: it would be in
    /// place of one that can.
    pub(crate) fn save(&self) -> Result<Vec<u8>, String> {
        self.check()?;
        let mut bytes = Vec::new();
        codec::encode(self, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the MANIFEST section and checks that it can be true.
    pub(crate) fn load(bytes: &[u8]) -> Result<Manifest> {
        let damaged = |why: String| Corruption::new(names::MANIFEST, 64, "fields").found(why);
        let manifest: Manifest = codec::decode(bytes).map_err(damaged)?;
        manifest.schema.check().map_err(|e| damaged(e.to_string()))?;
        manifest.check().map_err(|why| damaged(why.into()))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), &'static str> {
        let ends = self.wals.iter().flat_map(|wal| [Some(wal.first_lsn), wal.sealed.map(|s| s.1)]);
        let counters = [self.generation, self.flushed, self.synced, self.next_id];
        if ends.flatten().chain(counters).any(|number| number > NUMBER_MAX) {
            return Err("a number that counting never reaches");
        }
        if self.wals.iter().any(|wal| wal.first_lsn == 0) {
            return Err("a WAL that begins before the first commit");
        }
        let version = |a: &ArtifactEntry| (1..u32::MAX).contains(&a.version);
        if !self.artifacts.iter().all(version) {
            return Err("a version of an artifact that none can have");
        }
        let mut ids: Vec<u64> = self.files().map(|(_, file)| file.id).collect();
        ids.extend(self.wals.iter().map(|wal| wal.id));
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a file number that is there twice");
        }
        if ids.last() >= Some(&self.next_id) {
            return Err("a file number beyond next_id");
        }
        let sealed = |wal: &WalEntry| wal.sealed.is_some();
        if self.wals.iter().rev().skip(1).any(|wal| !sealed(wal)) {
            return Err("an unsealed WAL before the last");
        }
        if self.wals.windows(2).any(|pair| pair[0].first_lsn > pair[1].first_lsn) {
            return Err("WALs out of order");
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let named = |a: &ArtifactEntry| {
            (1..=NAME_BYTES_MAX).contains(&a.name.len()) && a.name.bytes().all(plain)
        };
        if !self.artifacts.iter().all(named) {
            return Err("a name of an artifact that none can have");
        }
        let mut active: Vec<_> = self.artifacts.iter().filter(|a| a.active).collect();
        active.sort_unstable_by_key(|a| &a.name);
        if active.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err("two active versions of an artifact");
        }
        let mut names: Vec<_> = self.artifacts.iter().map(|a| (&a.name, a.version)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("an artifact that is there twice");
        }
        Ok(())
    }

    /// Every file named here except WALs: its path and what it must match.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, FileRef)> + '_ {
        let parts = self.parts.iter().flat_map(|part| {
            let segment = (names::segment(part.segment.id), part.segment);
            let dead = part.dead.map(|file| (names::dead(part.segment.id, file.id), file));
            std::iter::once(segment).chain(dead)
        });
        parts.chain(self.artifacts.iter().map(|a| (a.path(), a.file)))
    }
}
