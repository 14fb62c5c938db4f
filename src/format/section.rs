//! Reading a section: mapped, on the heap, or block by block from a file; verified at first touch.

use crate::{
    defects::{self, Defect},
    error::{Corruption, Error, Result},
    format::{
        Kind,
        columns::{Plain, typed},
    },
    io::{AlignedBytes, Source},
    limits::BLOCK_BYTES,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    marker::PhantomData,
    ops::{Deref, Range},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// An open file whose table of sections has been read.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) path: String,
    /// Names it in the block cache: its number in the header is not unique among kinds of files.
    pub(crate) id: u64,
    pub(crate) source: Arc<dyn Source>,
    /// CRC-32C of each block of each section, from the footer.
    pub(crate) blocks: Vec<u32>,
    /// Do not check blocks: the caller said that the files are trusted.
    pub(crate) trust: bool,
    pub(crate) cache: Arc<BlockCache>,
}

/// One section of a file, or of a segment on the heap.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) kind: Kind,
    /// The space or attribute it belongs to, or 0.
    pub(crate) field: u16,
    pub(crate) len: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Heap(AlignedBytes),
    File {
        file: Arc<OpenFile>,
        offset: u64,
        first_block: usize,
        verified: Box<[AtomicU64]>,
        /// Whether the system was told that it is read here and there.
        scattered: AtomicBool,
    },
}

/// Some bytes of a section.
pub(crate) enum Slice<'a> {
    Borrowed(&'a [u8]),
    Cached(Arc<AlignedBytes>, Range<usize>),
    Owned(AlignedBytes),
}

impl Deref for Slice<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Slice::Borrowed(bytes) => bytes,
            Slice::Cached(block, range) => &block[range.clone()],
            Slice::Owned(bytes) => bytes,
        }
    }
}

/// A piece of a column: borrowed from a mapped or heap section, or read from a file.
pub(crate) struct Column<'a, T> {
    slice: Slice<'a>,
    of: PhantomData<T>,
}

impl<'a, T: Plain> Column<'a, T> {
    /// `None` if the bytes do not fit the type.
    pub(crate) fn new(slice: Slice<'a>) -> Option<Column<'a, T>> {
        typed::<T>(&slice)?;
        Some(Column { slice, of: PhantomData })
    }
}

impl<T: Plain> Deref for Column<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // `new` has checked it, and a slice never moves or shrinks.
        typed(&self.slice).unwrap_or_default()
    }
}

impl Section {
    /// A section that was just built.
    pub(crate) fn heap(kind: Kind, field: u16, bytes: AlignedBytes) -> Section {
        Section { kind, field, len: bytes.len() as u64, data: Data::Heap(bytes) }
    }

    /// A section of a file; the envelope has checked that `offset` and `len` lie inside it and that
    /// the table has its blocks.
    pub(crate) fn file(
        (kind, field): (Kind, u16),
        file: Arc<OpenFile>,
        offset: u64,
        len: u64,
        first_block: usize,
    ) -> Section {
        let blocks = len.div_ceil(BLOCK_BYTES as u64);
        let verified = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let scattered = AtomicBool::new(false);
        Section {
            kind,
            field,
            len,
            data: Data::File { file, offset, first_block, verified, scattered },
        }
    }

    /// The same bytes under another name: a copy of what is on the heap, the same place of a file.
    pub(crate) fn renamed(&self, kind: Kind, field: u16) -> Section {
        match &self.data {
            Data::Heap(bytes) => {
                let mut copy = AlignedBytes::zeroed(bytes.len());
                copy.copy_from_slice(bytes);
                Section::heap(kind, field, copy)
            }
            Data::File { file, offset, first_block, .. } => {
                let (file, len) = (file.clone(), self.len);
                Section::file((kind, field), file, *offset, len, *first_block)
            }
        }
    }

    /// Bytes of heap memory it holds.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match &self.data {
            Data::Heap(bytes) => bytes.capacity() as u64,
            Data::File { .. } => 0,
        }
    }

    /// The bytes of `range`, checked against their checksums if they were not before.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Slice<'_>> {
        if range.start > range.end || range.end > self.len {
            let why = format!("bytes {}..{} of {}", range.start, range.end, self.len);
            return Err(self
                .corrupt(range.start, "a position outside the section")
                .found(why)
                .into());
        }
        match &self.data {
            Data::Heap(bytes) => {
                Ok(Slice::Borrowed(&bytes[range.start as usize..range.end as usize]))
            }
            Data::File { file, offset, .. } => match file.source.bytes() {
                Some(bytes) => {
                    self.verify_range(bytes, &range)?;
                    let at = (offset + range.start) as usize..(offset + range.end) as usize;
                    Ok(Slice::Borrowed(&bytes[at]))
                }
                None => self.read_blocks(range),
            },
        }
    }

    /// Whether all of it can be read in place, without copying.
    pub(crate) fn in_memory(&self) -> bool {
        match &self.data {
            Data::Heap(_) => true,
            Data::File { file, .. } => file.source.bytes().is_some(),
        }
    }

    /// The bytes of `range`, if they are in memory or mapped, unchecked: good for nothing but asking
    /// for them to be brought nearer.
    pub(crate) fn peek(&self, range: Range<u64>) -> Option<&[u8]> {
        let within = range.start <= range.end && range.end <= self.len;
        match &self.data {
            Data::Heap(bytes) => bytes.get(range.start as usize..range.end as usize),
            Data::File { file, offset, .. } if within => file
                .source
                .bytes()?
                .get((offset + range.start) as usize..(offset + range.end) as usize),
            Data::File { .. } => None,
        }
    }

    /// Whether its checksums are not to be looked at.
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(&self.data, Data::File { file, .. } if file.trust)
    }

    /// Says that it is read here and there: what lies around a row is not worth reading.
    pub(crate) fn scattered(&self) {
        if let Data::File { file, offset, scattered, .. } = &self.data {
            file.source.scattered(*offset..offset + self.len);
            scattered.store(true, Ordering::Relaxed);
        }
    }

    /// Asks for all of many bytes to be fetched at once, where the system would not do that by itself.
    pub(crate) fn ask(&self, range: Range<u64>) {
        if let Data::File { file, offset, scattered, .. } = &self.data
            && scattered.load(Ordering::Relaxed)
            && range.end - range.start >= BLOCK_BYTES as u64
        {
            file.source.ask(offset + range.start..offset + range.end.min(self.len));
        }
    }

    /// All bytes.
    pub(crate) fn all(&self) -> Result<Slice<'_>> {
        self.read(0..self.len)
    }

    /// How many numbers of type `T` it holds.
    pub(crate) fn count<T: Plain>(&self) -> u64 {
        self.len / size_of::<T>() as u64
    }

    /// The numbers of `range`.
    pub(crate) fn column<T: Plain>(&self, range: Range<u64>) -> Result<Column<'_, T>> {
        let size = size_of::<T>() as u64;
        let bytes = range.start.checked_mul(size).zip(range.end.checked_mul(size));
        let (start, end) = bytes.unwrap_or((u64::MAX, u64::MAX));
        let column = Column::new(self.read(start..end)?);
        column.ok_or_else(|| self.corrupt(start, "numbers that do not fit").into())
    }

    /// Number `at`.
    #[inline]
    pub(crate) fn get<T: Plain>(&self, at: u64) -> Result<T> {
        let size = size_of::<T>() as u64;
        let from = at.checked_mul(size).filter(|from| *from < self.len);
        let ready = from.and_then(|from| typed::<T>(self.ready(from, size)?));
        match ready.and_then(<[T]>::first) {
            Some(number) => Ok(*number),
            None => Ok(self.column::<T>(at..at.saturating_add(1))?[0]),
        }
    }

    /// Bytes that are in memory or mapped and were found whole before: what single numbers are read by.
    #[inline]
    pub(crate) fn ready(&self, from: u64, len: u64) -> Option<&[u8]> {
        let end = from.checked_add(len)?;
        let bytes = self.peek(from..end)?;
        let Data::File { file, verified, .. } = &self.data else { return Some(bytes) };
        let block = |at: u64| at / BLOCK_BYTES as u64;
        let (first, last) = (block(from), block(end.saturating_sub(1)));
        let word = verified.get((first / 64) as usize)?.load(Ordering::Acquire);
        (file.trust || (first == last && word >> (first % 64) & 1 == 1)).then_some(bytes)
    }

    /// Checks every block, now.
    pub(crate) fn verify(&self) -> Result<()> {
        let mut at = 0;
        while at < self.len {
            let end = self.len.min(at + BLOCK_BYTES as u64);
            match &self.data {
                Data::Heap(_) => {}
                Data::File { file, .. } if file.source.bytes().is_none() => {
                    self.load_block(at / BLOCK_BYTES as u64)?;
                }
                Data::File { .. } => drop(self.read(at..end)?),
            }
            at = end;
        }
        Ok(())
    }

    /// A copy on the heap that no longer needs the file.
    pub(crate) fn load(self) -> Result<Section> {
        let mut bytes = AlignedBytes::default();
        bytes.extend(&self.all()?);
        bytes.shrink();
        Ok(Section::heap(self.kind, self.field, bytes))
    }

    /// Damage at a byte of this section.
    pub(crate) fn corrupt(&self, at: u64, what: &str) -> Corruption {
        let what = format!("section {} of field {}: {what}", self.kind.name(), self.field);
        match &self.data {
            Data::Heap(_) => Corruption::new("heap segment or small section", at, what),
            Data::File { file, offset, .. } => {
                Corruption::new(&file.path, offset.saturating_add(at), what)
            }
        }
    }

    fn verify_range(&self, bytes: &[u8], range: &Range<u64>) -> Result<()> {
        let Data::File { file, offset, first_block, verified, .. } = &self.data else {
            return Ok(());
        };
        if file.trust || range.is_empty() {
            return Ok(());
        }
        let block = BLOCK_BYTES as u64;
        for index in range.start / block..range.end.div_ceil(block) {
            let (word, bit) = (&verified[(index / 64) as usize], 1u64 << (index % 64));
            if word.load(Ordering::Acquire) & bit != 0 {
                continue;
            }
            let (from, to) = self.block_range(*offset, index);
            // One read of a block, not one for each of its pages.
            self.ask(from - offset..to - offset);
            self.check_block(file, *first_block, index, &bytes[from as usize..to as usize])?;
            word.fetch_or(bit, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Where a block lies in the file: whole, or up to the end of the section's padding.
    fn block_range(&self, offset: u64, index: u64) -> (u64, u64) {
        let from = index * BLOCK_BYTES as u64;
        let to = self.len.next_multiple_of(64).min(from + BLOCK_BYTES as u64);
        (offset + from, offset + to)
    }

    fn check_block(&self, file: &OpenFile, first: usize, index: u64, bytes: &[u8]) -> Result<()> {
        let expected = file.blocks[first + index as usize];
        let found = crc32c::crc32c(bytes);
        if found != expected && !defects::on(Defect::ChecksumNotChecked) {
            let damage = self.corrupt(index * BLOCK_BYTES as u64, "a block's checksum");
            let damage = damage.expected(format!("{expected:#010x}"));
            return Err(damage.found(format!("{found:#010x}")).into());
        }
        Ok(())
    }

    /// One block from the cache, or read and checked.
    fn load_block(&self, index: u64) -> Result<Arc<AlignedBytes>> {
        let Data::File { file, offset, first_block, .. } = &self.data else {
            return Err(Error::invalid("section", "is not in a file"));
        };
        let name = (file.id, (*first_block as u64) + index);
        if let Some(block) = file.cache.get(name) {
            return Ok(block);
        }
        let (from, to) = self.block_range(*offset, index);
        let mut bytes = AlignedBytes::zeroed((to - from) as usize);
        file.source.read_at(from, &mut bytes)?;
        if !file.trust {
            self.check_block(file, *first_block, index, &bytes)?;
        }
        let block = Arc::new(bytes);
        file.cache.put(name, block.clone());
        Ok(block)
    }

    fn read_blocks(&self, range: Range<u64>) -> Result<Slice<'_>> {
        let block = BLOCK_BYTES as u64;
        let (first, last) =
            (range.start / block, range.end.saturating_sub(1).max(range.start) / block);
        if range.is_empty() {
            return Ok(Slice::Borrowed(&[]));
        }
        let within = |index: u64| {
            let base = index * block;
            (range.start.max(base) - base) as usize..(range.end.min(base + block) - base) as usize
        };
        if first == last {
            return Ok(Slice::Cached(self.load_block(first)?, within(first)));
        }
        let mut bytes = AlignedBytes::default();
        for index in first..=last {
            bytes.extend(&self.load_block(index)?[within(index)]);
        }
        Ok(Slice::Owned(bytes))
    }
}

type BlockName = (u64, u64);

/// The blocks, and their names in order of arrival.
type Blocks = (HashMap<BlockName, Arc<AlignedBytes>>, VecDeque<BlockName>);

/// Blocks read lately by one database handle, oldest out first.
#[derive(Debug)]
pub(crate) struct BlockCache {
    blocks: Mutex<Blocks>,
    blocks_max: usize,
    files: AtomicU64,
}

impl BlockCache {
    /// A cache of at most so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Arc<BlockCache> {
        let blocks_max = (bytes_max / BLOCK_BYTES as u64).max(1) as usize;
        Arc::new(BlockCache { blocks: Mutex::default(), blocks_max, files: AtomicU64::new(0) })
    }

    /// A name for a file that is being opened.
    pub(crate) fn new_file(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    fn get(&self, name: BlockName) -> Option<Arc<AlignedBytes>> {
        self.blocks.lock().0.get(&name).cloned()
    }

    fn put(&self, name: BlockName, block: Arc<AlignedBytes>) {
        let (blocks, order) = &mut *self.blocks.lock();
        if blocks.insert(name, block).is_none() {
            order.push_back(name);
        }
        if blocks.len() > self.blocks_max
            && let Some(oldest) = order.pop_front()
        {
            blocks.remove(&oldest);
        }
    }
}
