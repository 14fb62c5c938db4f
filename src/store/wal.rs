//! The write-ahead log: append, sync, seal. FORMAT.md chapter 5.

use crate::{
    error::Result,
    format::{
        manifest::WalEntry,
        names,
        record::{self, RecordKind, WalId},
    },
    io::{Append, Dir},
};

/// The WAL file being written. A recovered file is never appended to; each opening starts a new one.
#[derive(Debug)]
pub(crate) struct Wal {
    file: Box<dyn Append>,
    id: WalId,
    first_lsn: u64,
    /// The end of the last good record. Bytes beyond it are of an append that failed.
    pub(crate) len: u64,
    pub(crate) last_lsn: u64,
    /// Every commit up to here has been synced.
    pub(crate) synced_lsn: u64,
    /// And every byte up to here.
    synced_len: u64,
    /// An append failed: nothing may follow in this file.
    pub(crate) full: bool,
    buffer: Vec<u8>,
}

impl Wal {
    /// Creates a file for commits from `first_lsn` on, durable in its folder. MANIFEST must name it
    /// before anything in it is acknowledged.
    pub(crate) fn create(dir: &dyn Dir, db: [u8; 16], id: u64, first_lsn: u64) -> Result<Wal> {
        let id = WalId { id, nonce: dir.nonce()? };
        let mut file = dir.create(&names::wal(id.id))?;
        let header = record::wal_header(db, id, first_lsn);
        file.append(&header)?;
        file.sync()?;
        dir.sync_folder("wal")?;
        Ok(Wal {
            file,
            id,
            first_lsn,
            len: header.len() as u64,
            last_lsn: first_lsn - 1,
            synced_lsn: first_lsn - 1,
            synced_len: header.len() as u64,
            full: false,
            buffer: Vec::new(),
        })
    }

    /// What MANIFEST says of it; `sealed` once nothing more will be appended.
    pub(crate) fn entry(&self, sealed: bool) -> WalEntry {
        let sealed = sealed.then_some((self.len, self.last_lsn));
        WalEntry { id: self.id.id, nonce: self.id.nonce, first_lsn: self.first_lsn, sealed }
    }

    /// Appends a batch. After a failure the file's end is unknown and it takes no more.
    pub(crate) fn append(&mut self, lsn: u64, payload: &[u8]) -> Result<()> {
        self.write(RecordKind::Batch, lsn, payload)?;
        self.last_lsn = lsn;
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync()?;
        (self.synced_lsn, self.synced_len) = (self.last_lsn, self.len);
        Ok(())
    }

    /// Whether nothing was appended, not even in vain.
    pub(crate) fn is_empty(&self) -> bool {
        self.last_lsn < self.first_lsn && !self.full
    }

    /// Whether every byte is durable, seals among them.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced_len == self.len
    }

    /// Says in the file that everything so far is durable, so that later damage to it is not taken
    /// for a torn tail. Not synced itself.
    pub(crate) fn seal(&mut self) -> Result<()> {
        if self.full {
            return Ok(());
        }
        self.write(RecordKind::Seal, self.last_lsn, &[])
    }

    fn write(&mut self, kind: RecordKind, lsn: u64, payload: &[u8]) -> Result<()> {
        assert!(!self.full, "nothing follows a failed append in the same file");
        self.buffer.clear();
        let place = (self.id, self.len);
        record::frame(place, kind, (lsn, self.synced_lsn), payload, &mut self.buffer);
        if let Err(error) = self.file.append(&self.buffer) {
            self.full = true;
            return Err(error);
        }
        self.len += self.buffer.len() as u64;
        if self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}
