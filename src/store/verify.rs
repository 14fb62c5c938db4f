//! Verify: reads every byte of every file and lists everything that is wrong.

use crate::{
    error::{Corruption, Error, Result},
    format::{
        envelope::{FileKind, OpenMode, Sections},
        manifest::{Manifest, WalEntry},
        names, record,
        record::{WAL_HEADER_BYTES, WalId},
        section::BlockCache,
    },
    io::Dir,
    options::{IoMode, Verify},
    segment::{Segment, dead::Dead},
    store::{by_item, graphs, recover, seeds, semantic, words},
};
use std::collections::BTreeSet;

/// What `verify` found.
///
/// ```
/// # use bowerbird::*;
/// let report = Db::in_memory(Schema::new()).unwrap().verify().unwrap();
/// assert!(report.is_sound());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// And how many bytes.
    pub bytes: u64,
    /// Every damage that was found; at most one per file.
    pub faults: Vec<Corruption>,
    /// Names that are not ours. They are never touched.
    pub strangers: Vec<String>,
}

impl Report {
    /// Whether every file is as it was written.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Notes what reading a file came to. What is not damage (a device error) ends the work.
    fn note<T>(&mut self, path: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Corrupt(corruption)) => {
                self.faults.push(*corruption);
                Ok(None)
            }
            Err(error) if error.is_absent() => {
                self.faults.push(Corruption::new(path, 0, "the file is missing"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads every file of a database that nobody writes to, whether or not it can be opened.
///
/// ```
/// # use bowerbird::{*, io::Memory};
/// # use std::sync::Arc;
/// let dir = Arc::new(Memory::new());
/// Db::create_in(dir.clone(), Schema::new(), Options::default()).unwrap().close().unwrap();
/// assert!(verify_dir(&*dir).unwrap().is_sound());
/// ```
///
/// # Errors
/// `Io` where a device fails; `Incompatible` for files of a newer format. Damage is not an error: it
/// is in the report.
pub fn verify_dir(dir: &dyn Dir) -> Result<Report> {
    recover::refuse_unless_there(dir)?;
    let cache = BlockCache::new(1 << 20);
    let mode = OpenMode { io: IoMode::Pread, verify: Verify::Open, cache, write: false };
    let mut report = Report::default();
    let root = recover::read_root(dir, &mode);
    report.files += 1;
    let Some((db, manifest)) = report.note(names::MANIFEST, root)? else { return Ok(report) };
    let mut segments = Vec::new();
    for part in &manifest.parts {
        let path = names::segment(part.segment.id);
        let expected = Some((&db, part.segment));
        let segment = Sections::open(dir, &path, FileKind::Segment, expected, &mode)
            .and_then(|sections| Segment::open(sections, part.segment.id));
        let segment = segment.and_then(|segment| segment.check_deep().map(|()| segment));
        report.count(part.segment.len);
        let Some(segment) = report.note(&path, segment)? else { continue };
        if let Some(file) = part.dead {
            let path = names::dead(part.segment.id, file.id);
            let dead = Sections::open(dir, &path, FileKind::Dead, Some((&db, file)), &mode)
                .and_then(|s| Dead::load(&s, segment.rows(), segment.meta.events));
            report.count(file.len);
            report.note(&path, dead)?;
        }
        segments.push(segment);
    }
    verify_rest(dir, (db, &manifest), &segments, &mode, &mut report)?;
    Ok(report)
}

impl Report {
    fn count(&mut self, bytes: u64) {
        self.files += 1;
        // A length in MANIFEST may be anything.
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

fn verify_rest(
    dir: &dyn Dir,
    (db, manifest): ([u8; 16], &Manifest),
    segments: &[Segment],
    mode: &OpenMode,
    report: &mut Report,
) -> Result<()> {
    for artifact in &manifest.artifacts {
        let expected = Some((&db, artifact.file));
        let opened = Sections::open(dir, &artifact.path(), FileKind::Artifact, expected, mode);
        report.count(artifact.file.len);
        report.note(&artifact.path(), opened)?;
    }
    for segment in segments {
        let path = names::derived(segment.uid, by_item::BY_ITEM);
        let adopted = by_item::adopt(dir, mode, &db, segment, false);
        report.note(&path, adopted)?;
        for space in manifest.schema.spaces() {
            let path = names::graph(segment.uid, space.id);
            let what = (segment, space);
            let adopted = graphs::adopt(dir, mode, &db, what, false);
            report.note(&path, adopted)?;
            let adopted = seeds::adopt(dir, mode, &db, what, false);
            report.note(&names::seed(segment.uid, space.id), adopted)?;
        }
        for attr in manifest.schema.attrs() {
            let adopted = words::adopt(dir, mode, &db, (segment, attr.id), false);
            report.note(&names::words(segment.uid, attr.id), adopted)?;
        }
        for artifact in manifest.artifacts.iter().map(|artifact| artifact.file.id) {
            let adopted = semantic::adopt(dir, mode, &db, (segment, artifact), false);
            report.note(&names::ids(segment.uid, artifact), adopted)?;
        }
    }
    let mut next_lsn = manifest.wals.first().map_or(0, |wal| wal.first_lsn);
    for wal in &manifest.wals {
        let read = verify_wal(dir, (db, manifest), wal, &mut next_lsn, report);
        report.note(&names::wal(wal.id), read)?;
    }
    list_strangers(dir, report)
}

fn verify_wal(
    dir: &dyn Dir,
    (db, manifest): ([u8; 16], &Manifest),
    entry: &WalEntry,
    next_lsn: &mut u64,
    report: &mut Report,
) -> Result<()> {
    let path = names::wal(entry.id);
    let wal = WalId { id: entry.id, nonce: entry.nonce };
    let bytes = recover::read_wal(dir, &path)?;
    report.count(bytes.len() as u64);
    record::check_wal_header(&path, &bytes, (db, wal, entry.first_lsn))?;
    let synced = if entry.sealed.is_some() { 0 } else { manifest.synced };
    let place = (WAL_HEADER_BYTES, *next_lsn);
    *next_lsn = record::scan((&path, wal), &bytes, place, entry.sealed, synced)?.next_lsn;
    Ok(())
}

fn list_strangers(dir: &dyn Dir, report: &mut Report) -> Result<()> {
    let ours: BTreeSet<&str> = [names::MANIFEST, names::MANIFEST_TMP, names::LOCK]
        .into_iter()
        .chain(names::FOLDERS)
        .collect();
    let strange = dir.list("")?.into_iter().filter(|name| !ours.contains(name.as_str()));
    report.strangers.extend(strange);
    for folder in names::FOLDERS {
        let strange = dir.list(folder)?.into_iter().filter(|name| names::parse(name).is_none());
        report.strangers.extend(strange.map(|name| format!("{folder}/{name}")));
    }
    Ok(())
}
