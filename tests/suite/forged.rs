//! Corruption with right checksums: what a forger would do. Answers may differ, but they come.

use crate::{
    fuzz_bodies::bodies::{
        attack, base,
        graph_section::{self, Search, Sound},
        open_dir,
        seal::{self, Envelope, Files},
    },
    memory_limits::peak_of,
};
use bowerbird::{Db, Error, IoMode, KeyKind, io::fault::Fault};
use std::{
    panic,
    sync::Arc,
    time::{Duration, Instant},
};

/// Mutations of one test; two tests make the 20,000 of each run. A deep run does 100 times as many.
const MUTATIONS: u64 = if option_env!("BOWERBIRD_DEEP").is_some() { 1_000_000 } else { 10_000 };

/// Whether a case is tried: of two neighbours one, so that each value meets each kind of place; a deep run tries all.
fn tried(place: usize, value: usize) -> bool {
    option_env!("BOWERBIRD_DEEP").is_some() || (place + value).is_multiple_of(2)
}

/// The promise of C5 for a database of this size, with its factor: what is decoded is larger than
/// the bytes it was decoded from, and the whole is held a few times over while it is merged.
fn bytes_max(keys: KeyKind) -> u64 {
    let files: usize = open_dir::sound(keys).values().map(Vec::len).sum();
    (64 << 20) + 16 * files as u64
}

/// Goal: no file contents whatever make this crate panic, hang or take memory without bound (C3, C5).
/// Method: flips, boundary values in numeric fields, longer, shorter, missing, copied and renamed
/// sections, up to four of them; then right checksums all the way up to MANIFEST; then read, verify,
/// write, flush, merge. Scores must be finite. A failure prints its number.
fn forge(seed: u64, keys: KeyKind, flags: u8) {
    let (mut opened, mut most, mut slowest) = (0, 0, Duration::ZERO);
    let bytes_max = bytes_max(keys);
    for number in 0..MUTATIONS {
        let mut input = attack::noise(seed + number, 96);
        // One change mostly, so that it is not hidden behind another.
        input[0] = flags | if number % 4 == 0 { input[0] & 0xc0 } else { 0 } | (input[0] & 4);
        let start = Instant::now();
        let (done, peak) = peak_of(|| panic::catch_unwind(|| open_dir::describe(&input)));
        let Ok(done) = done else { panic!("mutation {number} of seed {seed:#x}: {input:?}") };
        let took = start.elapsed();
        assert!(peak <= bytes_max, "mutation {number}: {peak} bytes for {done}");
        assert!(took < Duration::from_secs(20), "mutation {number}: {took:?} for {done}");
        opened += u64::from(done.starts_with("opens"));
        (most, slowest) = (most.max(peak), slowest.max(took));
    }
    println!(
        "{keys:?}: {MUTATIONS} mutations, {opened} open; at most {most} bytes and {slowest:?}"
    );
}

// checks: C3 C5 L3 V10
#[test]
fn forged_files_are_values_or_errors_with_numbers_as_keys() {
    forge(0x5eed_0001_0000_0000, KeyKind::Id, 0);
}

// checks: C3 C5 L3
#[test]
fn forged_files_are_values_or_errors_with_names_as_keys() {
    forge(0x5eed_0002_0000_0000, KeyKind::Name, 2);
}

/// Where numbers are, by the files of a sound database: (path, from, to, step, size).
fn fields(files: &Files) -> Vec<(&str, usize, usize, usize, usize)> {
    let mut fields = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| *path != "LOCK") {
        let Some((places, footer)) = seal::table(bytes) else {
            fields.extend([(&**path, 40, 56, 8, 8), (&**path, 64, 72, 8, 8)]);
            for at in seal::records(bytes) {
                fields.extend([(&**path, at + 4, at + 8, 4, 4), (&**path, at + 8, at + 24, 8, 8)]);
                // Lengths and variants at the front of the operations.
                fields.push((&**path, at + 40, bytes.len().min(at + 72), 4, 4));
            }
            continue;
        };
        fields.extend([(&**path, 8, 20, 2, 2), (&**path, 40, 56, 8, 8)]);
        fields.extend([(&**path, footer, footer + 8, 4, 4)]);
        fields.extend([(&**path, footer + 8, footer + 8 + places.len() * 32, 8, 8)]);
        fields.push((&**path, bytes.len() - 32, bytes.len() - 8, 8, 8));
        for place in places {
            let (from, to) = (place.at, place.at + place.len);
            match place.kind {
                // Packed, with strings between the numbers.
                1 | 60 | 70 => {
                    fields.extend([(&**path, from, to, 1, 8), (&**path, from, to, 1, 4)])
                }
                10 => fields.extend([(&**path, from, to, 4, 4), (&**path, from, to, 2, 2)]),
                // Lists of numbers: their ends and their middle.
                11 | 12 | 19 | 22 | 23 | 25 | 27 | 30 | 31 | 40 | 41 => {
                    let size = if matches!(place.kind, 19 | 31) { 4 } else { 8 };
                    let middle = from + (to - from) / size / 2 * size;
                    for at in [from, middle, to.saturating_sub(size)] {
                        fields.push((&**path, at, (at + size).min(to), size, size));
                    }
                }
                17 | 20 | 26 | 50 | 51 => fields.push((&**path, from, to.min(from + 16), 2, 2)),
                _ => {}
            }
        }
    }
    fields
}

/// Goal: no number in a file is believed (C3, C5). Method: 0, 1, the largest, one more, one less and
/// the like in every numeric field of the roots, tables, headers and records, and in the first, middle
/// and last number of each list, half of the values in each; then right checksums; then everything as above.
// checks: C3 C5
#[test]
fn boundary_values_in_every_numeric_field_are_survived() {
    let files = open_dir::sound(KeyKind::Id);
    let (bytes_max, mut count, mut opened) = (bytes_max(KeyKind::Id), 0, 0);
    let mut panics = Vec::new();
    for (path, from, to, step, size) in fields(files) {
        for at in (from..to).step_by(step).filter(|at| at + size <= to) {
            let mut old = [0; 8];
            old[..size].copy_from_slice(&files[path][at..at + size]);
            let old = u64::from_le_bytes(old);
            let values = [0, 1, u64::MAX, u64::MAX - 1, old.wrapping_add(1), old.wrapping_sub(1)];
            let more = [1 << 31, 1 << 63, files[path].len() as u64];
            for (nth, new) in values.into_iter().chain(more).enumerate() {
                if !tried(at / step, nth) {
                    continue;
                }
                let bytes = &new.to_le_bytes()[..size];
                if bytes == &old.to_le_bytes()[..size] {
                    continue;
                }
                let mut files = files.clone();
                let before = files[path].clone();
                files.get_mut(path).unwrap()[at..at + size].copy_from_slice(bytes);
                seal::reseal_all(&mut files, path, &before);
                let mode = if at % 2 == 0 { IoMode::Mmap } else { IoMode::Pread };
                let (done, peak) = peak_of(|| {
                    panic::catch_unwind(|| {
                        let dir = attack::dir(files);
                        let outcome = attack::ask(&dir, mode);
                        let _ = attack::work(&dir, mode);
                        outcome.read.is_ok()
                    })
                });
                let place = format!("{path}: {size} bytes at {at} from {old} to {new}");
                assert!(peak <= bytes_max, "{place}: {peak} bytes");
                count += 1;
                match done {
                    Ok(open) => opened += u64::from(open),
                    Err(_) => panics.push(place),
                }
            }
        }
    }
    println!("{count} boundary values, {opened} open");
    assert!(panics.is_empty(), "{} panics: {:?}", panics.len(), &panics[..panics.len().min(5)]);
}

/// Goal: which sections a file has is not believed either (C3). Method: each section of each segment
/// missing, empty, one byte shorter, twice as long, and copied to every other field.
// checks: C3 C5
#[test]
fn sections_missing_resized_or_of_another_field_are_survived() {
    let mut count = 0;
    for keys in [KeyKind::Id, KeyKind::Name] {
        let files = open_dir::sound(keys);
        for (path, before) in files.iter().filter(|(path, _)| path.contains('/')) {
            let Some(sound) = seal::Envelope::open(before) else { continue };
            for at in 0..sound.sections.len() {
                let mut forged = vec![sound.clone(); 4];
                forged[0].sections.remove(at);
                forged[1].sections[at].2.clear();
                forged[2].sections[at].2.pop();
                let twice = sound.sections[at].2.repeat(2);
                forged[3].sections[at].2 = twice;
                for field in (0..11).filter(|_| path.ends_with(".seg")) {
                    let mut copied = sound.clone();
                    let (kind, _, bytes) = sound.sections[at].clone();
                    copied.sections.retain(|section| (section.0, section.1) != (kind, field));
                    copied.sections.push((kind, field, bytes));
                    forged.push(copied);
                }
                for (how, envelope) in forged.into_iter().enumerate() {
                    let mut files = files.clone();
                    files.insert(path.clone(), envelope.to_bytes());
                    seal::reseal_all(&mut files, path, before);
                    let done = panic::catch_unwind(|| {
                        let dir = attack::dir(files);
                        attack::ask(&dir, IoMode::Mmap);
                        let _ = attack::work(&dir, IoMode::Mmap);
                    });
                    let (kind, field, _) = &sound.sections[at];
                    assert!(done.is_ok(), "{path}: section {kind} of field {field}, way {how}");
                    count += 1;
                }
            }
        }
    }
    println!("{count} ways");
}

// A filter that leaves so few that graphs are walked in all spaces, with it and without.
const SEARCH: Search = Search { seed: 77, limit: 3, effort: 3, year_min: 8 };

/// What came of forged graphs.
#[derive(Debug, Default)]
struct Forged {
    count: usize,
    opened: usize,
    built: usize,
    slowest: Duration,
    failures: Vec<String>,
}

impl Forged {
    /// Examines a database whose graph in one space was changed.
    fn examine(&mut self, sound: &Sound, path: &str, envelope: &Envelope, place: String) {
        let mut files = sound.files.clone();
        files.insert(path.into(), envelope.to_bytes());
        // A build is far more work than searches: some will do.
        let builds = self.count.is_multiple_of(17);
        let mode = if self.count.is_multiple_of(2) { IoMode::Mmap } else { IoMode::Pread };
        let begun = Instant::now();
        let done = panic::catch_unwind(|| {
            let dir = attack::dir(files);
            let opens = graph_section::examine(&dir, mode, sound, SEARCH);
            if opens && builds {
                graph_section::rebuild(&dir, sound, SEARCH).unwrap();
            }
            opens
        });
        self.count += 1;
        self.slowest = self.slowest.max(begun.elapsed());
        self.built += usize::from(builds && done.as_ref().is_ok_and(|opens| *opens));
        match done {
            Ok(opens) => self.opened += usize::from(opens),
            Err(_) => self.failures.push(place),
        }
    }

    /// Panics if anything did.
    fn check(mut self) {
        self.failures.truncate(9);
        println!("{self:?}");
        assert!(self.failures.is_empty() && self.slowest < Duration::from_secs(20), "{self:?}");
        assert!(self.opened > 0 && self.built > 0, "{self:?}");
    }
}

/// Goal: no bytes of a graph make this crate panic, hang, or return what a scan would not (C3, C4, V8).
/// Method: the fuzz target, on noise.
// checks: C3 C4 C5 V8
#[test]
fn forged_graphs_find_only_what_is_there() {
    for number in 0..MUTATIONS / 10 {
        let mut input = attack::noise(0x5eed_0003_0000_0000 + number, 64);
        // One change mostly, so that it is not hidden behind another.
        input.truncate(if number % 4 == 0 { 64 } else { 16 });
        let done = panic::catch_unwind(|| graph_section::run(&input));
        assert!(done.is_ok(), "mutation {number}: {input:?}");
    }
}

/// Goal: no number in GRAPH_META is believed (C3, C5). Method: boundary values in every field up to the
/// third trial, and three values in every byte; then right checksums, and searches over links and over rows.
// checks: C3 C5 V8
#[test]
fn boundary_values_in_the_fields_of_a_graph_are_survived() {
    let mut forged = Forged::default();
    for compact in [false, true] {
        let sound = graph_section::sound(compact, true);
        let path = graph_section::graphs(&sound.files)[0];
        let envelope = Envelope::open(&sound.files[path]).unwrap();
        let meta = envelope.clone().section(graph_section::META).unwrap().clone();
        for at in 0..68 {
            let old = u32::from(meta[at]);
            let near = [old + 1, old.wrapping_sub(1), old * 2];
            let wide = graph_section::BOUNDARIES.into_iter().chain(near).map(|value| (value, 4));
            let wide = wide.filter(|_| at % 4 == 0);
            for (value, size) in [(0, 1), (1, 1), (255, 1)].into_iter().chain(wide) {
                let mut envelope = envelope.clone();
                let section = envelope.section(graph_section::META).unwrap();
                section[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
                let place = format!("compact {compact}: {size} bytes at {at}: {value:#x}");
                forged.examine(sound, path, &envelope, place);
            }
        }
    }
    forged.check();
}

/// Where a row has its numbers: (name, from, to). The offsets are those of FORMAT.md for vectors of up
/// to 16 numbers.
fn parts_of_row(kind: u16, stride: usize) -> Vec<(&'static str, usize, usize)> {
    if kind == graph_section::NODES {
        return vec![("links", 0, 128)];
    }
    vec![
        ("length", 56, 60),
        ("scale", 60, 64),
        ("codes", 64, stride - 256),
        ("links", stride - 256, stride - 128),
        ("factors", stride - 128, stride),
    ]
}

/// Goal: links that lead nowhere, in circles or to all the same node, and lengths, scales and factors
/// that are no numbers, cost recall and nothing else (C3, V8). Method: each such value in each part of
/// a row: its first number or all, in one row or in all, half of these ways for each; also in the center.
// checks: C3 C5 V8
#[test]
fn links_and_factors_of_a_graph_are_not_believed() {
    let mut forged = Forged::default();
    for (compact, dead) in [(false, false), (true, true)] {
        let sound = graph_section::sound(compact, dead);
        for (space, path) in graph_section::graphs(&sound.files).into_iter().enumerate() {
            let envelope = Envelope::open(&sound.files[path]).unwrap();
            use graph_section::{CENTER, DOORS, NODES, SIGNS};
            // Doors and center are what they are for walks over rows, too.
            let kinds =
                if compact { vec![NODES, SIGNS] } else { vec![DOORS, NODES, CENTER, SIGNS] };
            for kind in kinds {
                let len = envelope.clone().section(kind).map_or(0, |section| section.len());
                assert!(len > 0, "{kind} is in every graph");
                let (stride, parts) = match kind {
                    CENTER => (len, vec![("center", 0, len)]),
                    SIGNS => (16, vec![("factor", 2, 6), ("length", 6, 10)]),
                    _ => {
                        let stride = if kind == NODES { 128 } else { row_bytes(len) };
                        (stride, parts_of_row(kind, stride))
                    }
                };
                for (name, from, to) in parts {
                    for (nth, value) in graph_section::BOUNDARIES.into_iter().enumerate() {
                        let ways = [(false, false), (true, true), (false, true), (true, false)];
                        for (way, (all_rows, all_numbers)) in ways.into_iter().enumerate() {
                            if !tried(nth, way) {
                                continue;
                            }
                            let mut envelope = envelope.clone();
                            let section = envelope.section(kind).unwrap();
                            let rows = if all_rows { usize::MAX } else { 1 };
                            for row in section.chunks_mut(stride).take(rows) {
                                let to = if all_numbers { to } else { from + 4 };
                                for number in row[from..to].chunks_mut(4) {
                                    number.copy_from_slice(&value.to_le_bytes());
                                }
                            }
                            let place = format!(
                                "compact {compact}, dead {dead}, space {space}, {kind}, {name}, \
                                 {value:#x}, all rows {all_rows}, all numbers {all_numbers}"
                            );
                            forged.examine(sound, path, &envelope, place);
                        }
                    }
                }
            }
        }
    }
    forged.check();
}

/// Bytes of a row with codes of one or of two bits, of vectors of up to 16 numbers.
fn row_bytes(section: usize) -> usize {
    if section.is_multiple_of(448) { 448 } else { 384 }
}

/// Goal: what a newer program wrote is said to be too new, not damaged; nothing is changed, and what
/// this version wrote is read (F3, F4). Method: another version, and one unknown feature of each
/// kind, in the header of each file in turn, under right checksums.
// checks: F3 F4
#[test]
fn files_of_other_formats_are_refused_and_left_alone() {
    let files = open_dir::sound(KeyKind::Id);
    let open = |dir: &Fault, write: bool| {
        let (dir, options) = (Arc::new(dir.clone()), base::options(IoMode::Mmap));
        if write { Db::open_in(dir, options) } else { Db::open_read_only_in(dir, options) }
    };
    assert!(open(&attack::dir(files.clone()), false).is_ok());
    for (path, before) in files.iter().filter(|(path, _)| *path != "LOCK") {
        // The version, then features to read it and to write beside it.
        for (at, value) in [(10, 0), (10, 2), (12, 1), (16, 1)] {
            let mut files = files.clone();
            files.get_mut(path).unwrap()[at] = value;
            seal::reseal_all(&mut files, path, before);
            let dir = attack::dir(files);
            for write in [false, true] {
                // An artifact is opened when it is asked for.
                let opened = open(&dir, write)
                    .and_then(|db| db.snapshot().artifact::<base::Mean>("mean").map(drop));
                let place = format!("{path}: {value} at {at}");
                match opened {
                    // What only matters to writers leaves reading alone.
                    Ok(()) if at == 16 && !write => {}
                    Err(Error::Incompatible { path: named, why }) => {
                        assert!(named.ends_with(path), "{place}: {named:?} {why}");
                    }
                    other => panic!("{place}: {other:?}"),
                }
            }
            assert!(path.ends_with(".art") || dir.calls() == 0, "{path}: something was changed");
        }
    }
}
