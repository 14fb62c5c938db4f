//! Any artifact file, under right checksums.

use super::{
    attack::{self, Choices},
    open_dir,
    seal::{self, Envelope},
};
use bowerbird::{IoMode, KeyKind};

/// Its sections one after the other: kind, length, bytes. An odd first byte keeps those it has.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let mut files = open_dir::sound(KeyKind::Id).clone();
    let Some(path) = files.keys().find(|path| path.ends_with(".art")).cloned() else { return };
    let before = files[&path].clone();
    let Some(mut envelope) = Envelope::open(&before) else { return };
    if choices.byte() & 1 == 0 {
        envelope.sections.clear();
    }
    while !choices.is_empty() && envelope.sections.len() < 64 {
        let kind = [60, 256, 257, 60][choices.below(4)];
        let most = choices.below(256);
        let bytes = choices.bytes(most);
        match envelope.section(kind) {
            Some(section) => {
                let len = bytes.len().min(section.len());
                section[..len].copy_from_slice(&bytes[..len]);
            }
            None => envelope.sections.push((kind, 0, bytes)),
        }
    }
    files.insert(path.clone(), envelope.to_bytes());
    seal::reseal_all(&mut files, &path, &before);
    let dir = attack::dir(files);
    attack::ask(&dir, IoMode::Mmap);
    let _ = attack::work(&dir, IoMode::Pread);
}
