//! What every file shares: header, sections, footer, tail. FORMAT.md chapter 3.

use crate::{
    error::{Corruption, Error, Result},
    format::{
        Kind,
        manifest::FileRef,
        section::{BlockCache, OpenFile, Section},
    },
    io::{Dir, Source},
    limits::{BLOCK_BYTES, SECTION_EAGER_BYTES, SECTIONS_MAX},
    options::{IoMode, Verify},
};
use std::sync::Arc;

pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const TAIL_BYTES: usize = 32;
pub(crate) const ENTRY_BYTES: usize = 32;
pub(crate) const MAGIC: [u8; 8] = *b"BOWERBRD";
pub(crate) const MAGIC_END: [u8; 8] = *b"BOWEREND";

/// The format version this crate writes, and the oldest and newest it reads.
pub(crate) const VERSION: u16 = 1;
const VERSION_OLDEST: u16 = 1;
/// Features without which a file cannot be read, and without which it cannot be written beside.
const INCOMPAT_KNOWN: u32 = 0;
const RO_COMPAT_KNOWN: u32 = 0;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Manifest = 1,
    Wal = 2,
    Segment = 3,
    Dead = 4,
    Artifact = 5,
    Derived = 6,
}

/// The first 64 bytes of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: FileKind,
    /// The database it belongs to.
    pub(crate) db: [u8; 16],
    pub(crate) id: u64,
    pub(crate) nonce: u64,
    /// Whether this version knows every feature that one must know to write beside the file.
    pub(crate) writable: bool,
}

impl Header {
    /// The header of a new file.
    pub(crate) fn new(kind: FileKind, db: [u8; 16], id: u64, nonce: u64) -> Header {
        Header { kind, db, id, nonce, writable: true }
    }

    /// Refuses to write beside a file with features that forbid it.
    pub(crate) fn allows(&self, path: &str, write: bool) -> Result<()> {
        if write && !self.writable {
            let why = "has features that this version cannot write beside; open it read-only.";
            return Err(Error::Incompatible { path: path.into(), why: why.into() });
        }
        Ok(())
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&(self.kind as u16).to_le_bytes());
        bytes[10..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.db);
        bytes[40..48].copy_from_slice(&self.id.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.nonce.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header of the given kind. Features come before the checksum of anything else, so that
    /// an old program on a new file says "too new", not "damaged" (F3).
    pub(crate) fn read(path: &str, bytes: &[u8], kind: FileKind) -> Result<Header> {
        let damage = |at, what: &str| Corruption::new(path, at, what);
        let Some(bytes) = bytes.get(..HEADER_BYTES) else {
            return Err(damage(0, "header").found("a file that is too short").into());
        };
        if bytes[..8] != MAGIC {
            return Err(damage(0, "magic").expected("BOWERBRD").into());
        }
        let (found, expected) = (crc32c::crc32c(&bytes[..60]), u32_at(bytes, 60));
        if found != expected {
            let damage = damage(60, "header checksum").expected(format!("{expected:#010x}"));
            return Err(damage.found(format!("{found:#010x}")).into());
        }
        let version = u16_at(bytes, 10);
        let incompat = u32_at(bytes, 12);
        if !(VERSION_OLDEST..=VERSION).contains(&version) || incompat & !INCOMPAT_KNOWN != 0 {
            let why = format!(
                "was written with format {version}, features {incompat:#x}; this version reads \
                 formats {VERSION_OLDEST} to {VERSION}. Upgrade the crate."
            );
            return Err(Error::Incompatible { path: path.into(), why });
        }
        if u16_at(bytes, 8) != kind as u16 || bytes[56..60] != [0; 4] {
            let what = damage(8, "kind of file").expected(format!("{kind:?}"));
            return Err(what.found(u16_at(bytes, 8)).into());
        }
        let mut db = [0; 16];
        db.copy_from_slice(&bytes[24..40]);
        let writable = u32_at(bytes, 16) & !RO_COMPAT_KNOWN == 0;
        Ok(Header { kind, db, id: u64_at(bytes, 40), nonce: u64_at(bytes, 48), writable })
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// How files are opened: shared by all files of one database handle.
#[derive(Clone, Debug)]
pub(crate) struct OpenMode {
    pub(crate) io: IoMode,
    pub(crate) verify: Verify,
    pub(crate) cache: Arc<BlockCache>,
    /// To write beside the files: they must have no feature that forbids it (F3).
    pub(crate) write: bool,
}

/// The sections of one file or heap segment.
#[derive(Debug)]
pub(crate) struct Sections {
    pub(crate) path: String,
    pub(crate) header: Option<Header>,
    pub(crate) file: Option<FileRef>,
    /// Ascending by (kind, field).
    sections: Vec<Section>,
}

impl Sections {
    /// Sections that were just built on the heap.
    pub(crate) fn heap(sections: Vec<Section>) -> Sections {
        Sections::part_of("heap", sections)
    }

    /// Some sections of a file, under names of their own.
    pub(crate) fn part_of(path: &str, mut sections: Vec<Section>) -> Sections {
        sections.sort_by_key(|s| (s.kind, s.field));
        Sections { path: path.into(), header: None, file: None, sections }
    }

    /// The section, if the file has it.
    pub(crate) fn get(&self, kind: Kind, field: u16) -> Option<&Section> {
        let at = self.sections.binary_search_by_key(&(kind, field), |s| (s.kind, s.field)).ok()?;
        Some(&self.sections[at])
    }

    /// The section; without it the file is damaged.
    pub(crate) fn need(&self, kind: Kind, field: u16) -> Result<&Section> {
        self.get(kind, field).ok_or_else(|| {
            let what = format!("section {} of field {field} is missing", kind.name());
            Corruption::new(&self.path, 0, what).into()
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// Bytes of all sections.
    pub(crate) fn bytes(&self) -> u64 {
        self.sections.iter().map(|s| s.len).sum()
    }

    /// Bytes of heap memory held.
    pub(crate) fn heap_bytes(&self) -> u64 {
        self.sections.iter().map(Section::heap_bytes).sum()
    }

    /// Opens a file: header, tail, footer, and the blocks of small sections.
    ///
    /// `expected` is what the parent knows of it. Without a parent (MANIFEST, derived files) only
    /// what the file says about itself is checked.
    pub(crate) fn open(
        dir: &dyn Dir,
        path: &str,
        kind: FileKind,
        expected: Option<(&[u8; 16], FileRef)>,
        mode: &OpenMode,
    ) -> Result<Sections> {
        let source = dir.open(path, mode.io == IoMode::Mmap)?;
        let len = source.len();
        if let Some((_, file)) = expected
            && file.len != len
        {
            let damage = Corruption::new(path, len.min(file.len), "length of the file");
            return Err(damage.expected(file.len).found(len).into());
        }
        let mut head = [0; HEADER_BYTES];
        read_owned(&*source, path, 0, &mut head)?;
        let header = Header::read(path, &head, kind)?;
        header.allows(path, mode.write)?;
        let footer = Footer::read(&*source, path, len)?;
        if let Some((db, file)) = expected {
            let found = (header.db, header.id, header.nonce, footer.crc);
            if found != (*db, file.id, file.nonce, file.footer_crc) {
                let damage = Corruption::new(path, 0, "identity: another file is in its place");
                return Err(damage.into());
            }
        }
        let file = FileRef { id: header.id, len, nonce: header.nonce, footer_crc: footer.crc };
        let open = OpenFile {
            path: path.into(),
            id: mode.cache.new_file(),
            source,
            blocks: footer.blocks,
            trust: mode.verify == Verify::Trust,
            cache: mode.cache.clone(),
        };
        let sections = open_sections(Arc::new(open), &footer.entries, mode)?;
        Ok(Sections { path: path.into(), header: Some(header), file: Some(file), sections })
    }
}

fn open_sections(file: Arc<OpenFile>, table: &[Entry], mode: &OpenMode) -> Result<Vec<Section>> {
    let mut sections = Vec::with_capacity(table.len());
    for e in table {
        let name = (e.kind, e.field);
        let mut section = Section::file(name, file.clone(), e.offset, e.len, e.first_block);
        if e.len <= SECTION_EAGER_BYTES || mode.verify == Verify::Open {
            section.verify()?;
        }
        if e.len <= SECTION_EAGER_BYTES && mode.io == IoMode::Pread {
            section = section.load()?;
        }
        sections.push(section);
    }
    sections.sort_by_key(|s| (s.kind, s.field));
    Ok(sections)
}

/// One line of the table of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) field: u16,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// Index of its first checksum; not stored, since sections come in order.
    pub(crate) first_block: usize,
}

struct Footer {
    entries: Vec<Entry>,
    blocks: Vec<u32>,
    crc: u32,
}

impl Footer {
    fn read(source: &dyn Source, path: &str, len: u64) -> Result<Footer> {
        let damage = |at, what: &str| Corruption::new(path, at, what);
        let smallest = (HEADER_BYTES + 8 + TAIL_BYTES) as u64;
        if len < smallest {
            return Err(damage(len, "end of the file").expected("a footer and a tail").into());
        }
        let tail_at = len - TAIL_BYTES as u64;
        let mut tail = [0; TAIL_BYTES];
        read_owned(source, path, tail_at, &mut tail)?;
        let (at, size, crc) = (u64_at(&tail, 0), u64_at(&tail, 8), u32_at(&tail, 16));
        let whole = at.checked_add(size) == Some(tail_at) && at >= HEADER_BYTES as u64;
        if tail[24..] != MAGIC_END || tail[20..24] != [0; 4] || !whole {
            return Err(damage(tail_at, "tail").into());
        }
        // A sparse file can be of any length; a table and one checksum per block cannot.
        let table = 8 + (SECTIONS_MAX * ENTRY_BYTES) as u64;
        if size > table + 4 * (len / BLOCK_BYTES as u64 + SECTIONS_MAX as u64) {
            return Err(damage(at, "footer").found(format!("{size} bytes")).into());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| damage(at, "footer"))?];
        read_owned(source, path, at, &mut bytes)?;
        let found = crc32c::crc32c(&bytes);
        if found != crc {
            let damage = damage(at, "footer checksum").expected(format!("{crc:#010x}"));
            return Err(damage.found(format!("{found:#010x}")).into());
        }
        Footer::parse(&bytes, at)
            .map(|(entries, blocks)| Footer { entries, blocks, crc })
            .ok_or_else(|| {
                damage(at, "table of sections").found("entries that cannot be true").into()
            })
    }

    /// The table and the checksums; `None` unless they account for every byte of the file.
    fn parse(bytes: &[u8], footer_at: u64) -> Option<(Vec<Entry>, Vec<u32>)> {
        let count = u32_at(bytes.get(..8)?, 0) as usize;
        let table = bytes.get(8..count.checked_mul(ENTRY_BYTES)?.checked_add(8)?)?;
        let sums = &bytes[8 + table.len()..];
        if count > SECTIONS_MAX || u32_at(bytes, 4) != 0 || !sums.len().is_multiple_of(4) {
            return None;
        }
        let (mut entries, mut at, mut block) = (Vec::with_capacity(count), HEADER_BYTES as u64, 0);
        for line in table.chunks_exact(ENTRY_BYTES) {
            let (offset, len) = (u64_at(line, 8), u64_at(line, 16));
            let zeros = line[4..8] == [0; 4] && line[24..] == [0; 8];
            let end = offset.checked_add(len.checked_next_multiple_of(64)?)?;
            if offset != at || end > footer_at || !zeros {
                return None;
            }
            let (kind, field) = (Kind(u16_at(line, 0)), u16_at(line, 2));
            entries.push(Entry { kind, field, offset, len, first_block: block });
            (at, block) = (end, block + len.div_ceil(BLOCK_BYTES as u64) as usize);
        }
        let mut names: Vec<_> = entries.iter().map(|e: &Entry| (e.kind, e.field)).collect();
        names.sort_unstable();
        let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
        if at != footer_at || block * 4 != sums.len() || twice {
            return None;
        }
        Some((entries, sums.chunks_exact(4).map(|sum| u32_at(sum, 0)).collect()))
    }
}

/// Reads into memory of our own, so that nothing can change between a check and its use.
fn read_owned(source: &dyn Source, path: &str, at: u64, into: &mut [u8]) -> Result<()> {
    let end = at.checked_add(into.len() as u64);
    if end.is_none_or(|end| end > source.len()) {
        return Err(Corruption::new(path, at, "a file that is too short").into());
    }
    match source.bytes() {
        Some(bytes) => {
            into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
            Ok(())
        }
        None => source.read_at(at, into),
    }
}
