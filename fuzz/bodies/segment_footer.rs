//! Any table of sections in a segment, under right checksums.

use super::{attack, open_dir, seal};
use bowerbird::{IoMode, KeyKind};

/// The first two bytes say how much of the table to keep; the rest takes the place of what follows.
pub fn run(data: &[u8]) {
    let mut choices = attack::Choices(data);
    let mut files = open_dir::sound(KeyKind::Id).clone();
    let Some(path) = files.keys().find(|path| path.ends_with(".seg")).cloned() else { return };
    let before = files[&path].clone();
    let Some((_, footer)) = seal::table(&before) else { return };
    let table = &before[footer..before.len() - 32];
    let keep = choices.below(table.len() + 1);
    let mut bytes = before[..footer + keep].to_vec();
    bytes.extend_from_slice(choices.0);
    let same = before.len() - 32;
    if bytes.len() < same && data.len().is_multiple_of(2) {
        // As long as before, so that more of it can be true.
        let rest = before[bytes.len()..same].to_vec();
        bytes.extend_from_slice(&rest);
    }
    let size = (bytes.len() - footer) as u64;
    bytes.extend_from_slice(&(footer as u64).to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(b"BOWEREND");
    files.insert(path.clone(), bytes);
    seal::reseal_all(&mut files, &path, &before);
    let dir = attack::dir(files);
    attack::ask(&dir, IoMode::Mmap);
    let _ = attack::work(&dir, IoMode::Pread);
}
