//! Every byte of every file, flipped: an error or the same answer, never another one.
//!
//! What an open database answers is asked in full before and after each flip: all items, histories,
//! filters, searches, pages, artifacts. `verify_dir` must report each flip; what it need not report
//! is listed here, in `unreported`.

use crate::fuzz_bodies::bodies::{
    attack::{self, Outcome},
    base::{self, Answer, Moment},
    seal,
};
use bowerbird::{io::fault::Fault, *};
use std::{collections::BTreeMap, sync::Arc};

/// All three masks on every byte, instead of one by its position: minutes, so not by default.
const DEEP: bool = option_env!("BOWERBIRD_DEEP").is_some();

fn masks(at: usize) -> &'static [u8] {
    if DEEP { &[0x01, 0x80, 0xff] } else { [&[0x01], &[0x80], &[0xff]][at % 3] }
}

/// What flips came to.
#[derive(Debug, Default)]
struct Counts {
    flips: usize,
    /// Opening or some question failed.
    errors: usize,
    /// Every answer was the same.
    same: usize,
    /// By name of file: flips that `verify_dir` did not report.
    unreported: BTreeMap<String, usize>,
}

/// Panics if an answer is neither an error nor the truth.
fn judge(outcome: &Outcome, truth: &[Answer], place: &str, counts: &mut Counts) {
    let mut all = true;
    for answers in [&outcome.read, &outcome.write] {
        let Ok(answers) = answers else {
            all = false;
            continue;
        };
        all &= answers.iter().all(|answer| answer.is.is_ok());
        if let Err(other) = base::agree(answers, truth) {
            panic!("{place}: another answer: {other}");
        }
    }
    counts.flips += 1;
    *(if all { &mut counts.same } else { &mut counts.errors }) += 1;
}

/// Flips bytes of the files of a moment that `chosen` chooses.
fn flip(moment: &Moment, mode: IoMode, chosen: &dyn Fn(&str, usize) -> bool) -> Counts {
    let (mut dir, mut counts) = (moment.dir.fork(), Counts::default());
    for (path, bytes) in moment.dir.files() {
        for at in (0..bytes.len()).filter(|at| chosen(&path, *at)) {
            for mask in masks(at) {
                let mut bad = bytes.clone();
                bad[at] ^= mask;
                dir.write_file(&path, bad);
                let place = format!("{path}, byte {at} of {}, mask {mask:#x}", bytes.len());
                let outcome = attack::ask(&dir, mode);
                judge(&outcome, &moment.answers, &place, &mut counts);
                if outcome.report.is_ok_and(|report| report.is_sound()) {
                    assert!(unreported(&path, &bytes, at), "{place}: verify says it is sound");
                    *counts.unreported.entry(path.clone()).or_default() += 1;
                }
                match outcome.write {
                    // Opening for writing changes files.
                    Ok(_) => dir = moment.dir.fork(),
                    Err(_) => dir.write_file(&path, bytes.clone()),
                }
            }
        }
    }
    counts
}

/// What `verify_dir` need not report: LOCK, whose bytes mean nothing; and the end of the active WAL
/// from its last record on, which is what a torn write looks like. Here that record is a seal, which
/// says only what the sync before it has done already, so nothing is lost with it.
fn unreported(path: &str, bytes: &[u8], at: usize) -> bool {
    let last = || seal::records(bytes).last().copied().unwrap_or(128);
    path == "LOCK" || (path.starts_with("wal/") && at >= last())
}

fn last(keys: KeyKind) -> Moment {
    let moment = base::life(keys, 1).pop().unwrap();
    let files = moment.dir.files();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= 64 << 10, "{bytes} bytes");
    for ending in [".seg", ".dead", ".art", ".wal", "MANIFEST"] {
        assert!(files.iter().any(|(path, _)| path.ends_with(ending)), "no {ending}");
    }
    moment
}

fn flip_all(keys: KeyKind, mode: IoMode) {
    let moment = last(keys);
    let counts = flip(&moment, mode, &|_, _| true);
    println!("{keys:?} {mode:?}: {counts:?}");
    assert!(counts.errors > counts.flips * 9 / 10, "{counts:?}");
}

/// Goal: no flipped byte changes an answer, and `verify` sees it (C1, C3). Method: every byte of a
/// database of less than 64 KiB that has every kind of file but derived ones.
// checks: C1 C2 C3 C7 C8
#[test]
fn a_flipped_byte_never_changes_an_answer_when_mapped() {
    flip_all(KeyKind::Id, IoMode::Mmap);
}

/// The same, read instead of mapped.
// checks: C1 C2 C3 C7 C8
#[test]
fn a_flipped_byte_never_changes_an_answer_when_read() {
    flip_all(KeyKind::Id, IoMode::Pread);
}

/// The same with names as keys.
// checks: C1 C2 C3
#[test]
fn a_flipped_byte_never_changes_an_answer_with_names_as_keys() {
    flip_all(KeyKind::Name, IoMode::Mmap);
}

/// Goal: the same for derived files, which need a larger database: one byte in three of the derived file,
/// one in 41 of the rest; and built again if asked for, it is right again (C4).
// checks: C1 C3 C4
#[test]
fn a_flipped_byte_of_a_derived_file_is_an_error_or_rebuilt() {
    let moment = base::derived(4200);
    for mode in [IoMode::Mmap, IoMode::Pread] {
        let chosen = |path: &str, at: usize| {
            let derived = path.starts_with("derived/");
            let phase = usize::from(mode == IoMode::Pread);
            at % (if DEEP {
                1
            } else if derived {
                3
            } else {
                41
            }) == phase
        };
        let counts = flip(&moment, mode, &chosen);
        println!("derived {mode:?}: {counts:?}");
    }
    let files = moment.dir.files();
    let (path, bytes) = files.iter().find(|(path, _)| path.starts_with("derived/")).unwrap();
    for at in (0..bytes.len()).step_by(if DEEP { 1 } else { 97 }) {
        let dir = moment.dir.fork();
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        dir.write_file(path, bad);
        let open = |options| Db::open_in(Arc::new(dir.clone()), options);
        assert!(matches!(open(base::options(IoMode::Mmap)), Err(Error::Corrupt(_))), "byte {at}");
        let db = open(base::options(IoMode::Mmap).rebuild_derived(true)).unwrap();
        base::agree(&base::answers(&db), &moment.answers).unwrap();
        while db.maintain().unwrap().is_some() {}
        let built = base::answers(&db);
        assert!(built.iter().all(|answer| answer.is.is_ok()));
        base::agree(&built, &moment.answers).unwrap();
        assert!(db.verify().unwrap().is_sound() && dir.paths().contains(path));
    }
}

/// Goal: the same for derived files that are too large to be checked when they are opened (C4).
/// Method: one flipped byte in the middle of the longest section.
// checks: C2 C4
#[test]
fn a_large_derived_file_that_is_damaged_is_rebuilt_if_asked_for() {
    let moment = base::derived(280_000);
    let files = moment.dir.files();
    let (path, bytes) = files.iter().find(|(path, _)| path.starts_with("derived/")).unwrap();
    assert!(bytes.len() as u64 > limits::SECTION_EAGER_BYTES);
    let dir = moment.dir.fork();
    dir.flip_bit(path, bytes.len() as u64 * 4);
    let open = |options| Db::open_in(Arc::new(dir.clone()), options).unwrap();
    let seen = base::answers(&open(base::options(IoMode::Mmap)));
    assert!(seen.iter().any(|answer| matches!(answer.is, Err(Error::Corrupt(_)))));
    base::agree(&seen, &moment.answers).unwrap();
    let db = open(base::options(IoMode::Mmap).rebuild_derived(true));
    while db.maintain().unwrap().is_some() {}
    let built = base::answers(&db);
    assert!(built.iter().all(|answer| answer.is.is_ok()));
    base::agree(&built, &moment.answers).unwrap();
    assert!(db.verify().unwrap().is_sound());
}

/// Goal: the same for codebooks and the IDs derived from them, read and rebuilt (C4). Method: one byte
/// in three of their files.
// checks: C1 C3 C4
#[test]
fn a_flipped_byte_of_semantic_ids_is_an_error_or_rebuilt() {
    for (keys, mode) in [(KeyKind::Id, IoMode::Mmap), (KeyKind::Name, IoMode::Pread)] {
        let moment = base::coded(keys);
        let phase = usize::from(mode == IoMode::Pread);
        let book = |path: &str| path.ends_with(".art") && !path.contains("next@");
        let ours = |path: &str| path.ends_with(".ids") || book(path);
        let chosen = |path: &str, at: usize| ours(path) && (DEEP || at % 3 == phase);
        let counts = flip(&moment, mode, &chosen);
        println!("semantic IDs {mode:?}: {counts:?}");
        assert!(counts.errors > counts.flips * 9 / 10 && counts.unreported.is_empty());
        let files = moment.dir.files();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".ids")) {
            let dir = moment.dir.fork();
            let mut bad = bytes.clone();
            bad[bytes.len() / 2] ^= 0x10;
            dir.write_file(path, bad);
            let open = |options| Db::open_in(Arc::new(dir.clone()), options);
            assert!(matches!(open(base::options(mode)), Err(Error::Corrupt(_))), "{path}");
            let db = open(base::options(mode).rebuild_derived(true)).unwrap();
            base::agree(&base::answers(&db), &moment.answers).unwrap();
            while db.maintain().unwrap().is_some() {}
            let built = base::answers(&db);
            assert!(built.iter().all(|answer| answer.is.is_ok()));
            base::agree(&built, &moment.answers).unwrap();
            // What was replayed made one segment more, so all were merged.
            assert!(db.verify().unwrap().is_sound());
            assert_eq!(dir.paths().iter().filter(|path| path.ends_with(".ids")).count(), 2);
        }
    }
}

/// The bytes of a graph file that are flipped: one in three of the first and last, few of the rest.
fn some_of_graph(at: usize, len: usize, phase: usize) -> bool {
    let edge = at < 1024 || at + 512 > len;
    at % (if DEEP {
        1
    } else if edge {
        3
    } else {
        397
    }) == phase
}

/// Goal: the same for graphs (C4). Method: bytes of the graph files of both styles, without dead rows
/// and with some. What walks found is the same too, or an error.
// checks: C1 C2 C3 C4
#[test]
fn a_flipped_byte_of_a_graph_is_an_error_or_changes_no_answer() {
    for (style, dead) in [(Graphs::Fast, false), (Graphs::Compact, true)] {
        let moment = base::graphs(style, dead);
        assert_eq!(moment.answers.last().map(|answer| answer.what), Some("walks"));
        let lens: BTreeMap<String, usize> =
            moment.dir.files().into_iter().map(|(path, bytes)| (path, bytes.len())).collect();
        for mode in [IoMode::Mmap, IoMode::Pread] {
            let phase = usize::from(mode == IoMode::Pread);
            let chosen = |path: &str, at: usize| {
                path.ends_with(".graph") && some_of_graph(at, lens[path], phase)
            };
            let counts = flip(&moment, mode, &chosen);
            println!("graphs {style:?} {mode:?}: {counts:?}");
            assert!(counts.errors > counts.flips * 9 / 10, "{counts:?}");
            assert!(counts.unreported.is_empty(), "{counts:?}");
        }
    }
}

/// Goal: a damaged graph is built again if that was asked for, and finds what it found (C4).
// checks: C1 C4
#[test]
fn a_flipped_byte_of_a_graph_is_rebuilt_if_asked_for() {
    for (style, dead) in [(Graphs::Fast, true), (Graphs::Compact, false)] {
        let moment = base::graphs(style, dead);
        let files = moment.dir.files();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".graph")) {
            for at in (0..bytes.len()).step_by(if DEEP { 97 } else { bytes.len() / 7 }) {
                let dir = moment.dir.fork();
                let mut bad = bytes.clone();
                bad[at] ^= 0x10;
                dir.write_file(path, bad);
                let open = |options| Db::open_in(Arc::new(dir.clone()), options);
                let options = base::graph_options(IoMode::Mmap, style);
                assert!(matches!(open(options.clone()), Err(Error::Corrupt(_))), "byte {at}");
                let db = open(options.clone().rebuild_derived(true)).unwrap();
                assert_eq!(db.stats().debt.unindexed_parts, 1, "{path}, byte {at}");
                let exact = moment.answers.len() - 1;
                base::agree(&base::answers(&db)[..exact], &moment.answers[..exact]).unwrap();
                db.index().unwrap();
                drop(db);
                // Without the rows that the build left in memory.
                let db = open(options).unwrap();
                let built = base::answers(&db);
                assert!(built.iter().all(|answer| answer.is.is_ok()));
                assert_eq!(built.len(), moment.answers.len());
                base::agree(&built, &moment.answers).unwrap();
                // All but the header, which has a nonce.
                let sections = |bytes: &[u8]| seal::Envelope::open(bytes).unwrap().sections;
                assert!(sections(&dir.read_file(path)) == sections(bytes), "{path}, byte {at}");
                assert!(db.verify().unwrap().is_sound());
            }
        }
    }
}

/// Goal: the same for what graphs grow from: `verify` reports it, and so does who would build, unless it
/// was asked to do without (C4). Method: one byte in 149 of the seeds, then one in 9973.
// checks: C1 C3 C4
#[test]
fn a_flipped_byte_of_a_seed_is_an_error_or_done_without() {
    let moment = base::seeded();
    for mode in [IoMode::Mmap, IoMode::Pread] {
        let phase = usize::from(mode == IoMode::Pread);
        let chosen = |path: &str, at: usize| path.ends_with(".seed") && (DEEP || at % 149 == phase);
        let counts = flip(&moment, mode, &chosen);
        println!("seeds {mode:?}: {counts:?}");
        assert!(counts.flips > 300 && counts.unreported.is_empty(), "{counts:?}");
    }
    let files = moment.dir.files();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".seed")) {
        for at in (0..bytes.len()).step_by(if DEEP { 97 } else { 9973 }) {
            let dir = moment.dir.fork();
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            dir.write_file(path, bad);
            let open = |options| Db::open_in(Arc::new(dir.clone()), options);
            let options = base::graph_options(IoMode::Mmap, Graphs::Fast);
            assert!(matches!(open(options.clone()), Err(Error::Corrupt(_))), "byte {at}");
            let db = open(options.rebuild_derived(true)).unwrap();
            base::agree(&base::answers(&db), &moment.answers).unwrap();
            db.index().unwrap();
            base::agree(&base::answers(&db), &moment.answers).unwrap();
            assert!(db.verify().unwrap().is_sound(), "{path}, byte {at}");
            assert!(dir.paths().iter().all(|path| !path.ends_with(".seed")));
        }
    }
}

/// Goal: what is too large to be checked when it is opened is checked when it is read (C2).
/// Method: 150 bytes of a section of 1.3 MiB; the same with `Verify::Open`, which does not open.
// checks: C2 C3 C7
#[test]
fn damage_in_a_large_section_is_seen_at_first_touch() {
    let moment = base::large();
    let files = moment.dir.files();
    let (path, bytes) = files.iter().find(|(path, _)| path.ends_with(".seg")).unwrap();
    let step = bytes.len() / if DEEP { 5000 } else { 75 };
    for mode in [IoMode::Mmap, IoMode::Pread] {
        let chosen = |file: &str, at: usize| file == path && at % step == step / 2;
        let counts = flip(&moment, mode, &chosen);
        println!("large {mode:?}: {counts:?}");
        assert_eq!((counts.errors, counts.unreported.len()), (counts.flips, 0));
        let dir = moment.dir.fork();
        dir.flip_bit(path, bytes.len() as u64 * 4);
        let open = |verify| {
            let options = base::options(mode).verify(verify);
            Db::open_read_only_in(Arc::new(dir.clone()), options)
        };
        assert!(open(Verify::FirstTouch).is_ok());
        assert!(matches!(open(Verify::Open), Err(Error::Corrupt(_))));
    }
}

/// A WAL with three commits after the last thing that anybody called durable, and the state before
/// and after each.
fn unsealed() -> (Fault, Vec<Vec<Answer>>) {
    let dir = last(KeyKind::Id).dir;
    let options = base::options(IoMode::Mmap).durability(Durability::None);
    let db = Db::open_in(Arc::new(dir.clone()), options).unwrap();
    let mut states = vec![base::answers(&db)];
    for n in 0..3 {
        db.batch().put(base::item(KeyKind::Id, 30 + n, n)).delete(n).commit().unwrap();
        states.push(base::answers(&db));
    }
    (dir.fork(), states)
}

/// Goal: rot in commits that nobody called durable looks like a torn write, and leaves exactly the
/// commits before it (C6, D5). Method: every byte of three such records.
// checks: C6 D5
#[test]
fn rot_in_the_unsealed_end_of_a_wal_leaves_the_commits_before_it() {
    let (dir, states) = unsealed();
    let files = dir.files();
    let (path, bytes) = files.iter().find(|(path, _)| path.starts_with("wal/")).unwrap();
    let starts = seal::records(bytes);
    assert_eq!(starts.len(), 3);
    for at in 0..bytes.len() {
        for mask in masks(at) {
            let bad = dir.fork();
            let mut rotten = bytes.clone();
            rotten[at] ^= mask;
            bad.write_file(path, rotten);
            let outcome = attack::ask(&bad, IoMode::Mmap);
            let Some(left) = starts.iter().rposition(|start| *start <= at) else {
                assert!(outcome.read.is_err() && outcome.write.is_err(), "header, byte {at}");
                continue;
            };
            for answers in [outcome.read.unwrap(), outcome.write.unwrap()] {
                assert!(answers.iter().all(|answer| answer.is.is_ok()));
                base::agree(&answers, &states[left]).unwrap();
            }
        }
    }
}
