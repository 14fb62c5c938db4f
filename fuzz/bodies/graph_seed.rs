//! Any seed, under right checksums: the graph that grows from it may find too little, never what is not
//! there, and a build goes on or says what is wrong.

use super::{
    attack::{self, Choices},
    base,
    graph_section::{self, BOUNDARIES, Search},
    seal::{Envelope, Files},
};
use bowerbird::*;
use std::sync::{Arc, OnceLock};

/// SEED_META, SEED_LINKS and SEED_ROLES.
const META: u16 = 88;
const LINKS: u16 = 89;
const ROLES: u16 = 90;

fn sound() -> &'static Files {
    static SOUND: OnceLock<Files> = OnceLock::new();
    SOUND.get_or_init(|| attack::files(&base::seeded().dir))
}

/// Flags, the search, the file, then changes: which section, where, how, and with what.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let flags = choices.byte();
    let mode = if flags & 1 == 0 { IoMode::Mmap } else { IoMode::Pread };
    let search = Search { seed: choices.byte().into(), limit: 5, effort: 8, year_min: 3 };
    let mut files = sound().clone();
    let paths: Vec<String> = files.keys().filter(|path| path.ends_with(".seed")).cloned().collect();
    let path = paths[choices.below(paths.len())].clone();
    let Some(mut envelope) = Envelope::open(&files[&path]) else { return };
    for _ in 0..16 {
        if choices.is_empty() {
            break;
        }
        change(&mut envelope, &mut choices);
    }
    files.insert(path, envelope.to_bytes());
    let dir = attack::dir(files);
    let _ = verify_dir(&dir);
    let options = base::graph_options(mode, Graphs::Fast);
    let db = match Db::open_in(Arc::new(dir.clone()), options) {
        Ok(db) => db,
        Err(Error::Corrupt(_)) => return,
        Err(error) => panic!("only a seed was changed: {error}"),
    };
    if flags & 6 == 0 {
        // Merged before it was built: seeds may cost the next ones, never the merge.
        let more = Item::new(1000u64).vector("text", base::spot(6, 1)).attr("year", 9);
        db.batch().put(more).delete(7u64).commit().expect("only a seed was changed");
        db.compact().expect("only a seed was changed");
    }
    match db.index() {
        Ok(()) | Err(Error::Corrupt(_)) => {}
        Err(error) => panic!("only a seed was changed: {error}"),
    }
    graph_section::try_search(&db.snapshot(), search);
}

fn change(envelope: &mut Envelope, choices: &mut Choices<'_>) {
    let kind = [META, LINKS, LINKS, ROLES][choices.below(4)];
    let Some(section) = envelope.section(kind) else { return };
    let mut at = (choices.below(1 << 16) * section.len()) >> 16;
    let how = choices.byte();
    if !how.is_multiple_of(4) && kind != ROLES {
        at -= at % 4;
    }
    let bytes = match how % 4 {
        0 => choices.bytes(1 + usize::from(how >> 5)),
        1 => BOUNDARIES[choices.below(BOUNDARIES.len())].to_le_bytes().to_vec(),
        // Roles of all kinds, links to the first few.
        2 => vec![how >> 6; 1 + choices.below(2048)],
        _ => {
            let id = choices.below(2 * base::NODES as usize) as u32;
            id.to_le_bytes().repeat(1 + usize::from(how))
        }
    };
    let len = bytes.len().min(section.len() - at);
    section[at..at + len].copy_from_slice(&bytes[..len]);
}
