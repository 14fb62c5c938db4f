//! A sound database with up to four changes anywhere, with or without right checksums.

use super::{
    attack::{self, Choices},
    base,
    seal::Files,
};
use bowerbird::{IoMode, KeyKind};
use std::sync::OnceLock;

/// The files of a database with that kind of keys.
pub fn sound(keys: KeyKind) -> &'static Files {
    static IDS: OnceLock<Files> = OnceLock::new();
    static NAMES: OnceLock<Files> = OnceLock::new();
    let place = if keys == KeyKind::Id { &IDS } else { &NAMES };
    place.get_or_init(|| {
        let life = base::life(keys, 1);
        attack::files(&life[life.len() - 1].dir)
    })
}

/// The first byte: whether checksums are made right, kind of keys, way of reading, how many changes.
pub fn run(data: &[u8]) {
    describe(data);
}

/// The same, and says what was changed.
pub fn describe(data: &[u8]) -> String {
    let mut choices = Choices(data);
    let flags = choices.byte();
    let keys = if flags & 2 == 0 { KeyKind::Id } else { KeyKind::Name };
    let mode = if flags & 4 == 0 { IoMode::Mmap } else { IoMode::Pread };
    let mut files = sound(keys).clone();
    let mut done = Vec::new();
    for _ in 0..=flags >> 6 {
        if choices.is_empty() {
            break;
        }
        done.push(attack::mutate(&mut files, &mut choices, flags & 1 == 0));
    }
    let dir = attack::dir(files);
    let outcome = attack::ask(&dir, mode);
    let _ = attack::work(&dir, mode);
    let state = if outcome.read.is_ok() { "opens" } else { "does not open" };
    format!("{state}: {}", done.join("; "))
}
