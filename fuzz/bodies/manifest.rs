//! Any fields in MANIFEST, under right checksums.

use super::{
    attack::{self, Choices},
    open_dir,
    seal::Envelope,
};
use bowerbird::{IoMode, KeyKind};

/// An even first byte: the rest is MANIFEST as it is. Odd: places of the sound one to write over.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let mut files = open_dir::sound(KeyKind::Id).clone();
    let Some(mut root) = files.get("MANIFEST").and_then(|b| Envelope::open(b)) else { return };
    let Some(fields) = root.section(1) else { return };
    if choices.byte() & 1 == 0 {
        *fields = choices.0.to_vec();
    } else {
        while !choices.is_empty() {
            let (at, len) = (choices.below(fields.len()), 1 + choices.below(8));
            let new = choices.bytes(len);
            let end = fields.len().min(at + new.len());
            fields[at..end].copy_from_slice(&new[..end - at]);
        }
    }
    // The generation is in the header too, where it must be the same.
    let generation: Vec<u8> = fields.iter().copied().chain([0; 8]).take(8).collect();
    root.header[40..48].copy_from_slice(&generation);
    files.insert("MANIFEST".into(), root.to_bytes());
    let dir = attack::dir(files);
    attack::ask(&dir, IoMode::Mmap);
    let _ = attack::work(&dir, IoMode::Pread);
}
