//! Any graph, under right checksums: it may find too little, never what is not there.

use super::{
    attack::{self, Choices},
    base,
    seal::{Envelope, Files},
};
use bowerbird::{io::fault::Fault, *};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

/// GRAPH_META, GRAPH_NODES, GRAPH_DOORS, GRAPH_CENTER and GRAPH_SIGNS.
pub const META: u16 = 92;
pub const NODES: u16 = 74;
pub const DOORS: u16 = 75;
pub const CENTER: u16 = 76;
pub const SIGNS: u16 = 91;

/// A sound database with graphs, and the exact scores of all items in each of its spaces.
pub struct Sound {
    pub files: Files,
    pub style: Graphs,
    truth: Vec<Scores>,
}

type Scores = BTreeMap<Key, u32>;

/// The database with graphs that have rows in memory or, if they are to be compact, have not; with dead rows
/// or without.
pub fn sound(compact: bool, dead: bool) -> &'static Sound {
    static ALL: [OnceLock<Sound>; 4] = [const { OnceLock::new() }; 4];
    ALL[usize::from(compact) * 2 + usize::from(dead)].get_or_init(|| {
        let style = if compact { Graphs::Compact } else { Graphs::Fast };
        let dir = base::graphs(style, dead).dir;
        let db = Db::open_read_only_in(Arc::new(dir.fork()), base::options(IoMode::Mmap));
        let truth = truth(&db.expect("it is sound").snapshot()).expect("it is sound");
        Sound { files: attack::files(&dir), style, truth }
    })
}

/// The files of its graphs.
pub fn graphs(files: &Files) -> Vec<&String> {
    files.keys().filter(|path| path.ends_with(".graph")).collect()
}

fn truth(snapshot: &Snapshot) -> Result<Vec<Scores>> {
    let spaces = snapshot.schema().spaces().iter();
    let exact = |space: &Space| {
        let query = base::spot(space.dim as usize, 1000);
        all(snapshot.near(&space.name, &query))
    };
    spaces.map(exact).collect()
}

/// Every item that a search may return, and its score.
fn all(near: Near<'_>) -> Result<Scores> {
    let hits = near.limit(2 * base::NODES as usize).exact().run()?;
    Ok(hits.into_iter().map(|hit| (hit.key, hit.score.to_bits())).collect())
}

/// A search that is tried on a forged graph.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    pub seed: u64,
    pub limit: usize,
    pub effort: u32,
    pub year_min: i64,
}

/// Opens and searches; whether it opens.
///
/// Panics unless what is found is alive, allowed, scored as a scan scores it, found once, in order,
/// and as much as was asked for.
pub fn examine(dir: &Fault, mode: IoMode, sound: &Sound, search: Search) -> bool {
    let _ = verify_dir(dir);
    let options = base::options(mode).graphs(sound.style);
    let db = Db::open_read_only_in(Arc::new(dir.clone()), options);
    let Ok(db) = db else { return false };
    // Rows of what is forged, or an error that says so.
    let _ = db.warm();
    let snapshot = db.snapshot();
    let exact = truth(&snapshot).expect("only a graph was changed");
    assert!(exact == sound.truth, "a graph changed what a scan finds");
    try_search(&snapshot, search);
    try_search(&snapshot, Search { limit: 1, effort: 1, ..search });
    true
}

/// Searches in every way; panics as `examine` does.
pub fn try_search(snapshot: &Snapshot, search: Search) {
    for space in snapshot.schema().spaces() {
        let dim = space.dim as usize;
        let queries = [base::spot(dim, search.seed), base::spot(dim, search.seed + 1)];
        let one = || snapshot.near(&space.name, &queries[0]);
        let any = || snapshot.near_any(&space.name, &queries);
        let some = || attr("year").at_least(search.year_min);
        check(&one, search);
        check(&|| one().filter(some()), search);
        check(&any, search);
        check(&|| any().filter(some()), search);
        let _ = one().limit(search.limit).recall(0.9).run();
        let like = snapshot.like(&space.name, search.seed % base::NODES);
        let _ = like.limit(search.limit).effort(search.effort).run();
    }
}

fn check<'s>(near: &dyn Fn() -> Near<'s>, search: Search) {
    let exact = all(near()).expect("only a graph was changed");
    let Ok(hits) = near().limit(search.limit).effort(search.effort).run() else { return };
    for hit in &hits {
        assert_eq!(exact.get(&hit.key), Some(&hit.score.to_bits()), "{search:?}: {hit:?}");
        assert!(hit.score.is_finite(), "{search:?}: {hit:?}");
    }
    let keys: BTreeSet<&Key> = hits.iter().map(|hit| &hit.key).collect();
    assert_eq!(keys.len(), hits.len(), "{search:?}: one twice: {hits:?}");
    assert_eq!(hits.len(), search.limit.min(exact.len()), "{search:?}: too few");
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score), "{search:?}: {hits:?}");
}

/// Merges and builds graphs anew, with the forged ones as a start; then everything is right.
pub fn rebuild(dir: &Fault, sound: &Sound, search: Search) -> Result<()> {
    let db = Db::open_in(Arc::new(dir.clone()), base::graph_options(IoMode::Mmap, sound.style))?;
    let more = Item::new(1000u64).vector("text", base::spot(6, 1)).attr("year", 9);
    db.batch().put(more).delete(7u64).commit()?;
    db.flush()?;
    db.compact()?;
    db.index()?;
    try_search(&db.snapshot(), search);
    Ok(())
}

/// Numbers that are seldom right: as ids, as f32, as two f16.
pub const BOUNDARIES: [u32; 12] = [
    0,
    1,
    base::NODES as u32 - 1,
    base::NODES as u32,
    1 << 31,
    u32::MAX,
    u32::MAX - 1,
    0x7fc0_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7e00_7e00,
    0xfc00_7c00,
];

/// Flags, the search, the file, then changes: which section, where, how, and with what.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let flags = choices.byte();
    let sound = sound(flags & 1 != 0, flags & 2 != 0);
    let mode = if flags & 4 == 0 { IoMode::Mmap } else { IoMode::Pread };
    let search = Search {
        seed: choices.byte().into(),
        limit: 1 + usize::from(choices.byte() % 8),
        effort: 1 + u32::from(choices.byte() % 16),
        year_min: (choices.byte() % 10).into(),
    };
    let mut files = sound.files.clone();
    let paths = graphs(&files);
    let path = paths[choices.below(paths.len())].clone();
    let Some(mut envelope) = Envelope::open(&files[&path]) else { return };
    for _ in 0..32 {
        if choices.is_empty() {
            break;
        }
        change(&mut envelope, &mut choices);
    }
    files.insert(path, envelope.to_bytes());
    let dir = attack::dir(files);
    let opens = examine(&dir, mode, sound, search);
    // A build is far more work than searches: some will do.
    if opens && flags >> 3 == 0 {
        rebuild(&dir, sound, search).expect("only a graph was changed");
    }
}

fn change(envelope: &mut Envelope, choices: &mut Choices<'_>) {
    let kind = [META, CENTER, DOORS, NODES, SIGNS][choices.below(5)];
    let Some(section) = envelope.section(kind) else { return };
    let mut at = (choices.below(1 << 16) * section.len()) >> 16;
    let how = choices.byte();
    if !how.is_multiple_of(4) {
        // A number, at its place.
        at -= at % 4;
    }
    let bytes = match how % 4 {
        0 => choices.bytes(1 + usize::from(how >> 5)),
        1 => BOUNDARIES[choices.below(BOUNDARIES.len())].to_le_bytes().to_vec(),
        2 => {
            let four = BOUNDARIES[choices.below(BOUNDARIES.len())].to_le_bytes();
            four.repeat(1 + choices.below(2048))
        }
        _ => attack::noise(choices.number(), choices.below(4096)),
    };
    let len = bytes.len().min(section.len() - at);
    section[at..at + len].copy_from_slice(&bytes[..len]);
}
