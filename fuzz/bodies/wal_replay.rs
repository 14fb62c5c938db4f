//! A WAL of any records, with right checksums where it has any, under a sound MANIFEST.

use super::{
    attack::{self, Choices},
    open_dir, seal,
};
use bowerbird::{IoMode, KeyKind};

/// Each record: what to do, then its fields, then its payload. Payloads are operations as they are,
/// or those of the sound WAL with some bytes changed.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let flags = choices.byte();
    let keys = if flags & 1 == 0 { KeyKind::Id } else { KeyKind::Name };
    let mut files = open_dir::sound(keys).clone();
    let Some(path) = files.keys().find(|path| path.starts_with("wal/")).cloned() else { return };
    let before = files[&path].clone();
    let starts = seal::records(&before);
    let first = before[64..72].iter().rev().fold(0, |n: u64, b| n << 8 | u64::from(*b));
    let (mut bytes, mut lsn) = (before[..128].to_vec(), first);
    while !choices.is_empty() && bytes.len() < 1 << 16 {
        let how = choices.byte();
        let payload = match how & 3 {
            0 => {
                let most = choices.below(512);
                choices.bytes(most)
            }
            _ => {
                let at = choices.below(starts.len());
                let end = starts.get(at + 1).copied().unwrap_or(before.len());
                let mut payload = before[starts[at] + 40..end].to_vec();
                for _ in 0..how & 3 {
                    let place = choices.below(payload.len());
                    let byte = choices.byte();
                    if let Some(old) = payload.get_mut(place) {
                        *old ^= byte;
                    }
                }
                payload
            }
        };
        let number = if how & 0x10 == 0 { lsn } else { choices.number() };
        let durable = if how & 0x20 == 0 { lsn - 1 } else { choices.number() };
        let kind = if how & 0xc0 == 0xc0 { choices.byte() } else { 1 };
        seal::push_record(&mut bytes, kind, (number, durable), &payload);
        lsn = lsn.wrapping_add(1);
        if how & 8 != 0 {
            let junk = choices.below(64);
            let junk = choices.bytes(junk);
            bytes.extend_from_slice(&junk);
        }
    }
    files.insert(path, bytes);
    let dir = attack::dir(files);
    attack::ask(&dir, IoMode::Pread);
    let _ = attack::work(&dir, IoMode::Mmap);
}
