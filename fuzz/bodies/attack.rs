//! Changes to the files of a sound database, and everything that is then asked of it.

use super::{
    base::{self, Answer},
    seal::{self, Files},
};
use bowerbird::{io::fault::Fault, *};
use std::sync::Arc;

/// Bytes that decide things, read from the front; zeros when they are used up.
pub struct Choices<'d>(pub &'d [u8]);

impl Choices<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// One of so many, none of which is far less likely than another.
    pub fn below(&mut self, count: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % count.max(1)
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// A seeded stream of bytes: SplitMix64.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |state: &mut u64| {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next(&mut state)).collect();
    bytes.truncate(len);
    bytes
}

pub fn files(dir: &Fault) -> Files {
    dir.files().into_iter().collect()
}

pub fn dir(files: Files) -> Fault {
    Fault::from_files(files.into_iter().collect())
}

/// Changes one place of one file. With `sealed`, all checksums are made right afterwards.
///
/// Places are drawn by what they are (header, a section, table, tail), not by size, so that small
/// structures full of numbers get as much attention as long columns. Says what was done.
pub fn mutate(files: &mut Files, choices: &mut Choices<'_>, sealed: bool) -> String {
    let paths: Vec<String> = files.keys().filter(|path| *path != "LOCK").cloned().collect();
    let path = &paths[choices.below(paths.len())];
    let before = files[path].clone();
    let (from, to) = region(&before, choices);
    let how = choices.byte() % 10;
    let file = files.get_mut(path).expect("it was listed");
    let done = match how {
        0..=2 if to > from => flip(file, (from, to), choices),
        3..=7 if to > from => set_number(file, (from, to), choices),
        8 => resize(file, choices),
        _ => overwrite(file, (from, to), choices),
    };
    if sealed {
        seal::reseal_all(files, path, &before);
    }
    format!("{path}: {done}")
}

fn region(bytes: &[u8], choices: &mut Choices<'_>) -> (usize, usize) {
    let mut regions = vec![(0, bytes.len().min(64))];
    match seal::table(bytes) {
        Some((places, footer)) => {
            regions.extend(places.iter().map(|p| (p.at, p.at + p.len)));
            regions.extend([(footer, bytes.len() - 32), (footer, bytes.len() - 32)]);
            regions.push((bytes.len() - 32, bytes.len()));
        }
        None => {
            let starts = seal::records(bytes);
            regions.extend(starts.iter().map(|at| (*at, (at + 40).min(bytes.len()))));
            let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
            regions.extend(starts.iter().zip(ends).map(|(at, end)| (at + 40, end)));
        }
    }
    regions.retain(|(from, to)| from < to);
    regions.get(choices.below(regions.len())).copied().unwrap_or((0, bytes.len()))
}

fn flip(file: &mut [u8], (from, to): (usize, usize), choices: &mut Choices<'_>) -> String {
    let at = from + choices.below(to - from);
    let mask = choices.byte().max(1);
    file[at] ^= mask;
    format!("byte {at} flipped by {mask:#x}")
}

fn set_number(file: &mut [u8], (from, to): (usize, usize), choices: &mut Choices<'_>) -> String {
    let size = [1, 2, 4, 8, 8][choices.below(5)];
    let at = from + choices.below(to - from) / size * size;
    let Some(place) = file.get(at..at + size) else { return "nothing".into() };
    let mut old = [0; 8];
    old[..size].copy_from_slice(place);
    let old = u64::from_le_bytes(old);
    let len = file.len() as u64;
    let boundaries = [
        0,
        1,
        u64::MAX,
        u64::MAX - 1,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old.wrapping_mul(2),
        len,
        len + 1,
        len - 1,
        1 << 31,
        1 << 32,
        (1 << 31) - 1,
        1 << 62,
        1 << 63,
        choices.number(),
    ];
    let new = boundaries[choices.below(boundaries.len())];
    file[at..at + size].copy_from_slice(&new.to_le_bytes()[..size]);
    format!("{size} bytes at {at} from {old} to {new}")
}

/// Rebuilds the file with one section longer, shorter, missing or twice.
fn resize(file: &mut Vec<u8>, choices: &mut Choices<'_>) -> String {
    let Some(mut envelope) = seal::Envelope::open(file) else {
        let len = choices.below(file.len() + 1);
        file.truncate(len);
        return format!("cut to {len}");
    };
    let at = choices.below(envelope.sections.len().max(1));
    let Some(section) = envelope.sections.get_mut(at) else { return "nothing".into() };
    let kind = section.0;
    let done = match choices.byte() % 5 {
        0 => {
            section.2.truncate(section.2.len().saturating_sub(1 + choices.below(16)));
            "shorter"
        }
        1 => {
            let more = choices.bytes(24);
            section.2.extend_from_slice(&more);
            "longer"
        }
        2 => {
            envelope.sections.remove(at);
            "removed"
        }
        3 => {
            section.1 = section.1.wrapping_add(1 + u16::from(choices.byte() % 4));
            "of another field"
        }
        _ => {
            let mut copy = section.clone();
            copy.0 = [16, 15, 17, 10, 36, 37, 50][choices.below(7)];
            copy.1 = choices.byte().into();
            envelope.sections.push(copy);
            "copied"
        }
    };
    *file = envelope.to_bytes();
    format!("section {kind} {done}")
}

fn overwrite(file: &mut [u8], (from, to): (usize, usize), choices: &mut Choices<'_>) -> String {
    let at = from + choices.below(to - from);
    let most = choices.below(32);
    let bytes = choices.bytes(most);
    let len = bytes.len().min(file.len() - at);
    file[at..at + len].copy_from_slice(&bytes[..len]);
    format!("{len} bytes at {at} written over")
}

/// What came of opening a directory and asking everything of it.
pub struct Outcome {
    pub read: Result<Vec<Answer>>,
    pub report: Result<Report>,
    pub write: Result<Vec<Answer>>,
}

/// Opens read-only, asks everything, verifies, opens for writing, asks again.
///
/// Panics if opening read-only changed anything (C8).
pub fn ask(dir: &Fault, mode: IoMode) -> Outcome {
    let calls = dir.calls();
    let read = Db::open_read_only_in(Arc::new(dir.clone()), base::options(mode));
    let read = read.map(|db| base::answers(&db));
    let report = verify_dir(dir);
    assert_eq!(dir.calls(), calls, "reading changed something");
    let write = Db::open_in(Arc::new(dir.clone()), base::options(mode));
    let write = write.map(|db| base::answers(&db));
    Outcome { read, report, write }
}

/// Opens for writing, writes, flushes, merges and asks: whatever comes, it must come as a value.
pub fn work(dir: &Fault, mode: IoMode) -> Result<()> {
    let db = Db::open_in(Arc::new(dir.clone()), base::options(mode))?;
    let keys = db.snapshot().schema().key_kind();
    let steps: [&dyn Fn() -> Result<()>; 6] = [
        &|| {
            db.batch().put(base::item(keys, 5, 1)).event(base::event(keys, 3, 1)).commit().map(drop)
        },
        &|| db.batch().delete(base::key(keys, 1)).erase_user(UserId(2)).commit().map(drop),
        &|| db.batch().erase_item(base::key(keys, 4)).commit().map(drop),
        &|| db.flush().map(drop),
        // An empty queue of chores may never come where files lie about what they hold.
        &|| (0..4).try_for_each(|_| db.maintain().map(drop)),
        &|| db.compact(),
    ];
    let mut first = Ok(());
    for step in steps {
        let done = step();
        first = first.and(done);
    }
    base::answers(&db);
    drop(db.stats());
    first
}

/// A few bytes of a file set, left out, doubled or put in; or its end is lost.
pub fn changed(sound: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..choices.byte() % 5 {
        if bytes.is_empty() {
            break;
        }
        let at = choices.below(bytes.len());
        match choices.byte() % 6 {
            0 => bytes[at] = choices.byte(),
            1 => bytes[at] ^= 1 << (choices.byte() % 8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, choices.byte()),
            // A digit more or less is another size, which a byte at random is seldom.
            4 => match bytes[at..].iter().position(u8::is_ascii_digit) {
                Some(digit) => bytes[at + digit] = b'0' + choices.byte() % 10,
                None => bytes.truncate(at),
            },
            _ => {
                let until = bytes.len().min(at + usize::from(choices.byte()));
                let part = bytes[at..until].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}
