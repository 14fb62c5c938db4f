//! WAL framing and the torn-tail rule: arithmetic on bytes. FORMAT.md chapter 5.

use crate::{
    defects::{self, Defect},
    error::{Corruption, Error, Result},
    format::envelope::{FileKind, HEADER_BYTES, Header, u16_at, u32_at, u64_at},
    limits::RECORD_BYTES_MAX,
};

/// Header of the file, then the number of the first commit, zeros, a checksum.
pub(crate) const WAL_HEADER_BYTES: usize = 128;
pub(crate) const RECORD_HEADER_BYTES: usize = 40;
const MAGIC: u32 = 0x4c57_4242;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// One batch: takes the next number.
    Batch = 1,
    /// "Everything up to this number is durable": takes no number and has no payload.
    Seal = 2,
}

/// A WAL file's identity, which every record's checksum covers: bytes that were copied, recycled or
/// written to the wrong place never look valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalId {
    pub(crate) id: u64,
    pub(crate) nonce: u64,
}

/// The first bytes of a WAL.
pub(crate) fn wal_header(db: [u8; 16], wal: WalId, first_lsn: u64) -> [u8; WAL_HEADER_BYTES] {
    let mut bytes = [0; WAL_HEADER_BYTES];
    let header = Header::new(FileKind::Wal, db, wal.id, wal.nonce);
    bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    bytes[64..72].copy_from_slice(&first_lsn.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Checks the first bytes of a WAL against what MANIFEST says of it.
pub(crate) fn check_wal_header(
    path: &str,
    bytes: &[u8],
    (db, wal, first_lsn): ([u8; 16], WalId, u64),
) -> Result<Header> {
    let header = Header::read(path, bytes, FileKind::Wal)?;
    let rest = bytes.get(HEADER_BYTES..WAL_HEADER_BYTES).unwrap_or(&[0; 64]);
    let whole = u32_at(rest, 60) == crc32c::crc32c(&bytes[..WAL_HEADER_BYTES.min(bytes.len()) - 4]);
    let zeros = rest[8..60] == [0; 52];
    let same = (header.db, header.id, header.nonce) == (db, wal.id, wal.nonce);
    if !(whole && zeros && same && u64_at(rest, 0) == first_lsn) {
        let damage = Corruption::new(path, 0, "header of the WAL");
        let damage =
            damage.expected(format!("file {} of this database, from commit {first_lsn}", wal.id));
        return Err(damage.found(format!("file {}", header.id)).into());
    }
    Ok(header)
}

/// Appends one record to `out`, to be written at `offset` of the file.
pub(crate) fn frame(
    (wal, offset): (WalId, u64),
    kind: RecordKind,
    (lsn, durable_lsn): (u64, u64),
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&(MAGIC ^ wal.nonce as u32).to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&lsn.to_le_bytes());
    out.extend_from_slice(&durable_lsn.to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0, 0, 0, 0, 0, 0, 0]);
    let crc = checksum((wal, offset), &out[start..start + 32], payload);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out.resize(start + (RECORD_HEADER_BYTES + payload.len()).next_multiple_of(8), 0);
}

fn checksum((wal, offset): (WalId, u64), header: &[u8], payload: &[u8]) -> u32 {
    let mut place = [0; 24];
    place[..8].copy_from_slice(&wal.nonce.to_le_bytes());
    place[8..16].copy_from_slice(&wal.id.to_le_bytes());
    place[16..].copy_from_slice(&offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&place), header);
    crc32c::crc32c_append(crc, payload)
}

/// A record as it lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    pub(crate) lsn: u64,
    pub(crate) durable_lsn: u64,
    pub(crate) payload: std::ops::Range<usize>,
    /// Where the next record begins.
    pub(crate) end: usize,
}

/// The record at `at`, if a whole valid one is there.
fn record_at(wal: WalId, bytes: &[u8], at: usize) -> Option<Record> {
    let header = bytes.get(at..at.checked_add(RECORD_HEADER_BYTES)?)?;
    let len = u32_at(header, 4) as usize;
    if u32_at(header, 0) != MAGIC ^ wal.nonce as u32 || len > RECORD_BYTES_MAX {
        return None;
    }
    let start = at + RECORD_HEADER_BYTES;
    let end = start.checked_add(len.next_multiple_of(8))?;
    let body = bytes.get(start..end)?;
    let (payload, padding) = body.split_at(len);
    let zeros = u16_at(header, 26) == 0 && u32_at(header, 28) == 0 && u32_at(header, 36) == 0;
    let whole = checksum((wal, at as u64), &header[..32], payload) == u32_at(header, 32);
    if !whole || !zeros || header[25] != 0 || padding.iter().any(|b| *b != 0) {
        return None;
    }
    let kind = match header[24] {
        1 => RecordKind::Batch,
        2 if len == 0 => RecordKind::Seal,
        _ => return None,
    };
    let (lsn, durable_lsn) = (u64_at(header, 8), u64_at(header, 16));
    Some(Record { kind, lsn, durable_lsn, payload: start..start + len, end })
}

/// What a scan of a WAL found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) batches: Vec<Record>,
    /// Where the valid records end.
    pub(crate) end: usize,
    /// The number the next batch would have had.
    pub(crate) next_lsn: u64,
    /// Bytes of a torn tail.
    pub(crate) dropped: usize,
}

/// Reads the records of a WAL from `from`, expecting batch `next_lsn` first.
///
/// At the first bad record, someone must have claimed that what stood there was durable for it to be
/// damage: a later record of this file, `sealed` or `synced` from MANIFEST. Otherwise it was never
/// acknowledged and is dropped (C6, D5).
pub(crate) fn scan(
    (path, wal): (&str, WalId),
    bytes: &[u8],
    (from, mut next_lsn): (usize, u64),
    sealed: Option<(u64, u64)>,
    synced: u64,
) -> Result<Scan> {
    let limit = match sealed {
        Some((len, _)) => bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX)),
        None => bytes.len(),
    };
    let (mut at, mut batches) = (from, Vec::new());
    while let Some(record) = record_at(wal, &bytes[..limit], at) {
        let expected = next_lsn - u64::from(record.kind == RecordKind::Seal);
        if record.lsn != expected {
            let damage = Corruption::new(path, at as u64, "number of a record");
            return Err(damage.expected(expected).found(record.lsn).into());
        }
        at = record.end;
        if record.kind == RecordKind::Batch {
            next_lsn += 1;
            batches.push(record);
        }
    }
    let damage = |what: &str| -> Error {
        let damage = Corruption::new(path, at as u64, format!("commit {next_lsn} {what}"));
        damage.into()
    };
    if let Some((len, last)) = sealed {
        if at as u64 != len || next_lsn != last + 1 {
            return Err(damage("is missing from a finished WAL"));
        }
        return Ok(Scan { batches, end: at, next_lsn, dropped: 0 });
    }
    if synced >= next_lsn {
        return Err(damage("was durable when MANIFEST was written, and is damaged"));
    }
    if !defects::on(Defect::DurableMarkIgnored) && later_claims(wal, bytes, at, next_lsn) {
        return Err(damage("was durable when a later record was written, and is damaged"));
    }
    Ok(Scan { batches, end: at, next_lsn, dropped: bytes.len() - at })
}

/// Whether any valid record after a bad one says that `lsn` was durable.
///
/// Forged lengths could make this quadratic, so the work is bounded; a file that uses it up was not
/// torn by accident.
fn later_claims(wal: WalId, bytes: &[u8], from: usize, lsn: u64) -> bool {
    let magic = (MAGIC ^ wal.nonce as u32).to_le_bytes();
    let (mut at, mut work) = (from.next_multiple_of(8), 0);
    while at + RECORD_HEADER_BYTES <= bytes.len() {
        if bytes[at..at + 4] != magic {
            at += 8;
            continue;
        }
        work += (u32_at(bytes, at + 4) as usize).min(bytes.len() - at);
        match record_at(wal, bytes, at) {
            Some(record) if record.durable_lsn >= lsn => return true,
            Some(record) => at = record.end,
            None => at += 8,
        }
        if work > 16 * bytes.len() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAL: WalId = WalId { id: 7, nonce: 0x1234_5678_9abc_def0 };

    /// Batches 1..=n; each says that the ones before it are durable if `durable`.
    fn log(n: u64, durable: bool) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (wal_header([1; 16], WAL, 1).to_vec(), Vec::new());
        for lsn in 1..=n {
            starts.push(bytes.len());
            let place = (WAL, bytes.len() as u64);
            let numbers = (lsn, if durable { lsn - 1 } else { 0 });
            frame(
                place,
                RecordKind::Batch,
                numbers,
                &vec![lsn as u8; lsn as usize * 3],
                &mut bytes,
            );
        }
        (bytes, starts)
    }

    fn read(bytes: &[u8], sealed: Option<(u64, u64)>, synced: u64) -> Result<Scan> {
        scan(("wal", WAL), bytes, (WAL_HEADER_BYTES, 1), sealed, synced)
    }

    // checks: C6
    #[test]
    fn a_torn_tail_is_dropped_wherever_it_is_torn() {
        let (bytes, starts) = log(3, true);
        for cut in starts[2]..bytes.len() {
            let scan = read(&bytes[..cut], None, 2).unwrap();
            assert_eq!((scan.batches.len(), scan.dropped), (2, cut - starts[2]));
        }
    }

    // checks: C6 D1
    #[test]
    fn a_damaged_record_that_was_acknowledged_is_corrupt() {
        let (bytes, starts) = log(3, true);
        let (free, _) = log(3, false);
        for at in starts[0]..starts[1] {
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                bytes[at] ^= 0x10;
                bytes
            };
            assert!(matches!(read(&flip(&bytes), None, 0), Err(Error::Corrupt(_))), "{at}");
            assert!(read(&flip(&free), None, 0).unwrap().batches.is_empty());
            assert!(matches!(read(&flip(&free), None, 1), Err(Error::Corrupt(_))));
            let sealed = Some((bytes.len() as u64, 3));
            assert!(matches!(read(&flip(&free), sealed, 0), Err(Error::Corrupt(_))));
        }
    }

    // checks: C1
    #[test]
    fn records_are_not_valid_anywhere_else() {
        let (bytes, starts) = log(2, false);
        let mut moved = bytes[..starts[1]].to_vec();
        moved.extend_from_slice(&bytes[starts[0]..starts[1]]);
        assert_eq!(read(&moved, None, 0).unwrap().batches.len(), 1);
        let mut zeros = bytes.clone();
        zeros.extend_from_slice(&[0; 4096]);
        assert_eq!(read(&zeros, None, 0).unwrap().dropped, 4096);
    }
}
