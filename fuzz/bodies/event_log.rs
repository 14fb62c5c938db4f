//! Any events in a segment, under right checksums.

use super::{
    attack::{self, Choices},
    open_dir,
    seal::{self, Envelope},
};
use bowerbird::{IoMode, KeyKind};

/// EVENT_USERS to EVENT_POSITIONS, ITEM_KEYS and its strings.
const KINDS: [u16; 12] = [30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41];

/// Each change: which section, how, and with which bytes.
pub fn run(data: &[u8]) {
    change(&mut Choices(data), &KINDS);
}

/// Changes sections of some kinds, makes all checksums right, and asks everything.
pub fn change(choices: &mut Choices<'_>, kinds: &[u16]) {
    let keys = if choices.byte() & 1 == 0 { KeyKind::Id } else { KeyKind::Name };
    let mut files = open_dir::sound(keys).clone();
    let ours = |path: &&String| path.ends_with(".seg") || path.ends_with(".dead");
    let paths: Vec<String> = files.keys().filter(ours).cloned().collect();
    for _ in 0..3 {
        if choices.is_empty() {
            break;
        }
        let path = &paths[choices.below(paths.len())];
        let before = files[path].clone();
        let Some(mut envelope) = Envelope::open(&before) else { return };
        let here: Vec<usize> = (0..envelope.sections.len())
            .filter(|at| kinds.contains(&envelope.sections[*at].0))
            .collect();
        let Some(at) = here.get(choices.below(here.len())) else { continue };
        let section = &mut envelope.sections[*at].2;
        if choices.byte() & 1 == 0 {
            let most = choices.below(2048);
            *section = choices.bytes(most);
        } else {
            let (at, most) = (choices.below(section.len()), choices.below(64));
            let new = choices.bytes(most);
            let end = section.len().min(at + new.len());
            section[at..end].copy_from_slice(&new[..end - at]);
        }
        files.insert(path.clone(), envelope.to_bytes());
        seal::reseal_all(&mut files, path, &before);
    }
    let dir = attack::dir(files);
    attack::ask(&dir, IoMode::Mmap);
    let _ = attack::work(&dir, IoMode::Pread);
}
