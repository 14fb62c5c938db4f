//! Writing sections: to a file with checksums, or onto the heap without.

use crate::{
    defects::{self, Defect},
    error::{Error, Result},
    format::{
        Kind,
        envelope::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, MAGIC_END, Sections},
        manifest::FileRef,
        names,
        section::Section,
    },
    io::{AlignedBytes, Append, Dir},
    limits::BLOCK_BYTES,
};

/// Sections are written one after the other, in any order, each once.
pub(crate) struct Sink {
    out: Out,
    current: Option<(Kind, u16)>,
}

enum Out {
    Heap { done: Vec<Section>, bytes: AlignedBytes },
    File(Box<FileOut>),
}

struct FileOut {
    file: Box<dyn Append>,
    /// What was not yet handed to the file.
    buffer: Vec<u8>,
    header: Header,
    offset: u64,
    entries: Vec<Entry>,
    blocks: Vec<u32>,
    /// Of the current section: bytes so far, and the checksum of its unfinished block.
    len: u64,
    crc: u32,
}

/// Bytes gathered before a write: large writes are cheaper.
const BUFFER_BYTES: usize = 1 << 20;

impl Sink {
    /// Writes onto the heap.
    pub(crate) fn heap() -> Sink {
        let out = Out::Heap { done: Vec::new(), bytes: AlignedBytes::default() };
        Sink { out, current: None }
    }

    /// Writes into a new file, from its header on.
    pub(crate) fn file(file: Box<dyn Append>, header: Header) -> Sink {
        let (offset, buffer) = (HEADER_BYTES as u64, header.to_bytes().to_vec());
        let (entries, blocks) = (Vec::new(), Vec::new());
        let out = FileOut { file, buffer, header, offset, entries, blocks, len: 0, crc: 0 };
        Sink { out: Out::File(Box::new(out)), current: None }
    }

    /// Ends the section before and begins the next.
    pub(crate) fn begin(&mut self, kind: Kind, field: u16) -> Result<()> {
        self.end()?;
        self.current = Some((kind, field));
        Ok(())
    }

    /// Appends to the section.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        assert!(self.current.is_some(), "a section must begin before it is written");
        match &mut self.out {
            Out::Heap { bytes: all, .. } => {
                all.extend(bytes);
                Ok(())
            }
            Out::File(file) => file.write(bytes),
        }
    }

    /// A whole section at once.
    pub(crate) fn section(&mut self, kind: Kind, field: u16, bytes: &[u8]) -> Result<()> {
        self.begin(kind, field)?;
        self.write(bytes)
    }

    fn end(&mut self) -> Result<()> {
        let Some((kind, field)) = self.current.take() else { return Ok(()) };
        match &mut self.out {
            Out::Heap { done, bytes } => {
                let mut bytes = std::mem::take(bytes);
                bytes.shrink();
                done.push(Section::heap(kind, field, bytes));
                Ok(())
            }
            Out::File(file) => file.end(kind, field),
        }
    }

    /// Ends a heap segment.
    pub(crate) fn into_heap(mut self) -> Result<Sections> {
        self.end()?;
        match self.out {
            Out::Heap { done, .. } => Ok(Sections::heap(done)),
            Out::File(_) => Err(Error::invalid("sink", "writes a file, not onto the heap")),
        }
    }

    /// Writes footer and tail, and makes the file's bytes durable.
    pub(crate) fn finish(mut self) -> Result<FileRef> {
        self.end()?;
        match self.out {
            Out::File(file) => file.finish(),
            Out::Heap { .. } => Err(Error::invalid("sink", "writes onto the heap, not a file")),
        }
    }
}

impl FileOut {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - (self.len % BLOCK_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.crc = crc32c::crc32c_append(self.crc, now);
            self.buffer.extend_from_slice(now);
            self.len += now.len() as u64;
            if self.len.is_multiple_of(BLOCK_BYTES as u64) {
                self.blocks.push(std::mem::take(&mut self.crc));
            }
            if self.buffer.len() >= BUFFER_BYTES {
                self.drain()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn end(&mut self, kind: Kind, field: u16) -> Result<()> {
        let len = self.len;
        let new = self.entries.iter().all(|e| (e.kind, e.field) != (kind, field));
        assert!(new, "a section is written once: {kind:?} {field}");
        self.entries.push(Entry { kind, field, offset: self.offset, len, first_block: 0 });
        let padding = (len.next_multiple_of(64) - len) as usize;
        self.write(&[0; 64][..padding])?;
        if !self.len.is_multiple_of(BLOCK_BYTES as u64) {
            self.blocks.push(std::mem::take(&mut self.crc));
        }
        self.offset += std::mem::take(&mut self.len);
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<FileRef> {
        let mut footer = Vec::new();
        footer.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        footer.extend_from_slice(&[0; 4]);
        for e in &self.entries {
            let mut line = [0; ENTRY_BYTES];
            line[..2].copy_from_slice(&e.kind.0.to_le_bytes());
            line[2..4].copy_from_slice(&e.field.to_le_bytes());
            line[8..16].copy_from_slice(&e.offset.to_le_bytes());
            line[16..24].copy_from_slice(&e.len.to_le_bytes());
            footer.extend_from_slice(&line);
        }
        self.blocks.iter().for_each(|sum| footer.extend_from_slice(&sum.to_le_bytes()));
        let footer_crc = crc32c::crc32c(&footer);
        self.buffer.extend_from_slice(&footer);
        self.buffer.extend_from_slice(&self.offset.to_le_bytes());
        self.buffer.extend_from_slice(&(footer.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(&footer_crc.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&MAGIC_END);
        let len = self.offset + (footer.len() + super::envelope::TAIL_BYTES) as u64;
        self.drain()?;
        if !defects::on(Defect::FileNotSynced) {
            self.file.sync()?;
        }
        let Header { id, nonce, .. } = self.header;
        Ok(FileRef { id, len, nonce, footer_crc })
    }
}

/// Writes a file under a temporary name, makes it durable, and gives it its name.
///
/// The folder is synced last: a name that points at nothing is worse than no name.
pub(crate) fn publish(
    dir: &dyn Dir,
    path: &str,
    header: Header,
    fill: impl FnOnce(&mut Sink) -> Result<()>,
) -> Result<FileRef> {
    let tmp = names::tmp(path);
    remove_if_there(dir, &tmp)?;
    let mut sink = Sink::file(dir.create(&tmp)?, header);
    let file = fill(&mut sink).and_then(|()| sink.finish());
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            // Best effort: an orphan is also removed when a writer opens next.
            let _ = dir.remove(&tmp);
            return Err(error);
        }
    };
    dir.rename(&tmp, path).map_err(|error| unsure("renaming", path, error))?;
    if !defects::on(Defect::FolderNotSynced) {
        let folder = path.split_once('/').map_or("", |(folder, _)| folder);
        dir.sync_folder(folder).map_err(|error| unsure("syncing", path, error))?;
    }
    Ok(file)
}

/// Whatever a directory of the caller's says went wrong: nobody knows whether the file has its name
/// now, and who judges errors by what was being done must see that.
fn unsure(doing: &'static str, path: &str, error: Error) -> Error {
    match error {
        Error::Io { path, source, .. } => Error::Io { doing, path, source },
        other => Error::io(doing, path, std::io::Error::other(other)),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(dir: &dyn Dir, path: &str) -> Result<()> {
    match dir.remove(path) {
        Err(error) if !error.is_absent() => Err(error),
        _ => Ok(()),
    }
}
