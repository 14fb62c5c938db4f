//! Checksums made right again after bytes were changed: what a forger does.
//!
//! Written from FORMAT.md, apart from the crate's own code, so that it also shows that the document
//! says enough.

use std::collections::BTreeMap;

/// A directory as a map.
pub type Files = BTreeMap<String, Vec<u8>>;

const HEADER: usize = 64;
const TAIL: usize = 32;
const ENTRY: usize = 32;
const BLOCK: usize = 64 << 10;
/// Id, length, nonce and checksum of the footer, as MANIFEST has them.
pub type FileRef = [u8; 28];

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(what.len())) {
        place.copy_from_slice(what);
    }
}

/// One section: kind, field, and where its bytes are.
#[derive(Clone, Debug)]
pub struct Place {
    pub kind: u16,
    pub field: u16,
    pub at: usize,
    pub len: usize,
}

/// The table of sections, and where the footer begins; `None` for a file without.
pub fn table(bytes: &[u8]) -> Option<(Vec<Place>, usize)> {
    let tail = bytes.len().checked_sub(TAIL)?;
    let footer = usize::try_from(u64_at(bytes, tail)?).ok()?;
    let count = u32_at(bytes, footer)?;
    let mut places = Vec::new();
    for n in 0..count.min(1 << 16) {
        let line = footer.checked_add(8 + n * ENTRY)?;
        let (kind, field) = (u16_at(bytes, line)?, u16_at(bytes, line + 2)?);
        let at = usize::try_from(u64_at(bytes, line + 8)?).ok()?;
        let len = usize::try_from(u64_at(bytes, line + 16)?).ok()?;
        bytes.get(at..at.checked_add(len)?)?;
        places.push(Place { kind, field, at, len });
    }
    Some((places, footer))
}

/// A file taken apart.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub header: Vec<u8>,
    pub sections: Vec<(u16, u16, Vec<u8>)>,
}

impl Envelope {
    pub fn open(bytes: &[u8]) -> Option<Envelope> {
        let (places, _) = table(bytes)?;
        let section = |p: Place| (p.kind, p.field, bytes[p.at..p.at + p.len].to_vec());
        let sections = places.into_iter().map(section).collect();
        Some(Envelope { header: bytes.get(..HEADER)?.to_vec(), sections })
    }

    /// The section, to be changed.
    pub fn section(&mut self, kind: u16) -> Option<&mut Vec<u8>> {
        self.sections.iter_mut().find(|s| s.0 == kind).map(|s| &mut s.2)
    }

    /// The file, with every checksum right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        let (mut lines, mut sums) = (Vec::new(), Vec::new());
        for (kind, field, section) in &self.sections {
            let at = bytes.len();
            lines.extend_from_slice(&kind.to_le_bytes());
            lines.extend_from_slice(&field.to_le_bytes());
            lines.extend_from_slice(&[0; 4]);
            lines.extend_from_slice(&(at as u64).to_le_bytes());
            lines.extend_from_slice(&(section.len() as u64).to_le_bytes());
            lines.extend_from_slice(&[0; 8]);
            bytes.extend_from_slice(section);
            bytes.resize(bytes.len().next_multiple_of(64), 0);
            for block in bytes[at..].chunks(BLOCK) {
                sums.extend_from_slice(&crc32c::crc32c(block).to_le_bytes());
            }
        }
        let (footer, count) = (bytes.len() as u64, self.sections.len() as u32);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&lines);
        bytes.extend_from_slice(&sums);
        let size = bytes.len() as u64 - footer;
        bytes.extend_from_slice(&footer.to_le_bytes());
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(b"BOWEREND");
        reseal(&mut bytes);
        bytes
    }
}

/// Makes the checksums of header, blocks and footer right, as far as the table can be followed.
pub fn reseal(bytes: &mut [u8]) {
    reseal_header(bytes);
    if let Some((places, footer)) = table(bytes) {
        let mut sum = footer + 8 + places.len() * ENTRY;
        for place in places {
            let end = (place.at + place.len).next_multiple_of(64).min(bytes.len());
            for at in (place.at..end).step_by(BLOCK) {
                let crc = crc32c::crc32c(&bytes[at..end.min(at + BLOCK)]);
                put(bytes, sum, &crc.to_le_bytes());
                sum += 4;
            }
        }
    }
    let Some(tail) = bytes.len().checked_sub(TAIL) else { return };
    let at = u64_at(bytes, tail).and_then(|at| usize::try_from(at).ok());
    if let Some(footer) = at.and_then(|at| bytes.get(at..tail)) {
        let crc = crc32c::crc32c(footer);
        put(bytes, tail + 16, &crc.to_le_bytes());
    }
}

fn reseal_header(bytes: &mut [u8]) {
    if let Some(head) = bytes.get(..60) {
        let crc = crc32c::crc32c(head);
        put(bytes, 60, &crc.to_le_bytes());
    }
}

/// What a parent would say of a file.
pub fn file_ref(bytes: &[u8]) -> Option<FileRef> {
    let mut file = [0; 28];
    let tail = bytes.len().checked_sub(TAIL)?;
    file[..8].copy_from_slice(bytes.get(40..48)?);
    file[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    file[16..24].copy_from_slice(bytes.get(48..56)?);
    file[24..].copy_from_slice(bytes.get(tail + 16..tail + 20)?);
    Some(file)
}

/// Makes everything fit the changed file `path`: its own checksums, and what MANIFEST and derived
/// files say of it. `before` is the file as it was.
pub fn reseal_all(files: &mut Files, path: &str, before: &[u8]) {
    let Some(file) = files.get_mut(path) else { return };
    if path.starts_with("wal/") {
        reseal_wal(file, before);
        let (old, new) = (wal_entry(before), wal_entry(file));
        replace_everywhere(files, path, old, new);
        return;
    }
    reseal(file);
    if path != "MANIFEST" {
        let (old, new) = (file_ref(before), file_ref(file));
        replace_everywhere(files, path, old.map(Vec::from), new.map(Vec::from));
    }
}

fn replace_everywhere(files: &mut Files, path: &str, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
    let (Some(old), Some(new)) = (old, new) else { return };
    for (name, bytes) in files.iter_mut() {
        if name != path && (name == "MANIFEST" || name.starts_with("derived/")) {
            let found = bytes.windows(old.len()).position(|window| window == old);
            if let Some(at) = found {
                put(bytes, at, &new);
                reseal(bytes);
            }
        }
    }
}

const RECORD: usize = 40;
const WAL_HEADER: usize = 128;
const MAGIC: u32 = 0x4c57_4242;

/// Id, nonce and first commit, as MANIFEST has them.
fn wal_entry(bytes: &[u8]) -> Option<Vec<u8>> {
    Some([bytes.get(40..56)?, bytes.get(64..72)?].concat())
}

/// Where the records of a sound WAL begin.
pub fn records(bytes: &[u8]) -> Vec<usize> {
    let (mut starts, mut at) = (Vec::new(), WAL_HEADER);
    while let Some(len) = u32_at(bytes, at + 4).filter(|_| at + RECORD <= bytes.len()) {
        starts.push(at);
        at += (RECORD + len).next_multiple_of(8);
    }
    starts
}

fn reseal_wal(bytes: &mut [u8], before: &[u8]) {
    reseal_header(bytes);
    if let Some(head) = bytes.get(..124) {
        let crc = crc32c::crc32c(head);
        put(bytes, 124, &crc.to_le_bytes());
    }
    for at in records(before) {
        reseal_record(bytes, at);
    }
}

/// Makes the checksum of a record right, wherever it ends.
pub fn reseal_record(bytes: &mut [u8], at: usize) -> Option<()> {
    let (id, nonce) = (u64_at(bytes, 40)?, u64_at(bytes, 48)?);
    put(bytes, at, &(MAGIC ^ nonce as u32).to_le_bytes());
    let len = u32_at(bytes, at + 4)?;
    let mut place = Vec::new();
    place.extend_from_slice(&nonce.to_le_bytes());
    place.extend_from_slice(&id.to_le_bytes());
    place.extend_from_slice(&(at as u64).to_le_bytes());
    place.extend_from_slice(bytes.get(at..at + 32)?);
    place.extend_from_slice(bytes.get(at + RECORD..(at + RECORD).checked_add(len)?)?);
    let crc = crc32c::crc32c(&place);
    put(bytes, at + 32, &crc.to_le_bytes());
    Some(())
}

/// Appends a record with a right checksum.
pub fn push_record(bytes: &mut Vec<u8>, kind: u8, (lsn, durable): (u64, u64), payload: &[u8]) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; RECORD]);
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    put(bytes, at + 4, &(payload.len() as u32).to_le_bytes());
    put(bytes, at + 8, &lsn.to_le_bytes());
    put(bytes, at + 16, &durable.to_le_bytes());
    bytes[at + 24] = kind;
    reseal_record(bytes, at);
}
