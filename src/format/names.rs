//! The names of files: a fixed grammar, so that no path is ever built from user or file content (S1).

use crate::limits::{FIELDS_MAX, NUMBER_MAX};

/// The root.
pub(crate) const MANIFEST: &str = "MANIFEST";
/// The root while it is being written.
pub(crate) const MANIFEST_TMP: &str = "MANIFEST.tmp";
/// Held by the one writer; never removed.
pub(crate) const LOCK: &str = "LOCK";
/// The folders, in the order they are created.
pub(crate) const FOLDERS: [&str; 4] = ["wal", "segments", "artifacts", "derived"];

/// `wal/000041.wal`
pub(crate) fn wal(id: u64) -> String {
    format!("wal/{id:06}.wal")
}

/// `segments/000038.seg`
pub(crate) fn segment(id: u64) -> String {
    format!("segments/{id:06}.seg")
}

/// `segments/000038.000041.dead`: which rows of 38 are dead, in file 41.
pub(crate) fn dead(segment: u64, id: u64) -> String {
    format!("segments/{segment:06}.{id:06}.dead")
}

/// `artifacts/sid@3.000052.art`: names of artifacts are narrow enough to be part of a path.
pub(crate) fn artifact(name: &str, version: u32, id: u64) -> String {
    format!("artifacts/{name}@{version}.{id:06}.art")
}

/// `derived/000038.items`: the segment, and what was derived from it.
pub(crate) fn derived(segment: u64, what: &str) -> String {
    format!("derived/{segment:06}.{what}")
}

/// `derived/000038.000002.graph`: the graph of segment 38 in space 2.
pub(crate) fn graph(segment: u64, space: u16) -> String {
    format!("derived/{segment:06}.{space:06}.graph")
}

/// `derived/000038.000002.seed`: what that graph grows from.
pub(crate) fn seed(segment: u64, space: u16) -> String {
    format!("derived/{segment:06}.{space:06}.seed")
}

/// `derived/000038.000052.ids`: the semantic IDs of segment 38 by the codebook in file 52.
pub(crate) fn ids(segment: u64, artifact: u64) -> String {
    format!("derived/{segment:06}.{artifact:06}.ids")
}

/// `derived/000038.000007.words`: the words of segment 38 in attribute 7.
pub(crate) fn words(segment: u64, attr: u16) -> String {
    format!("derived/{segment:06}.{attr:06}.words")
}

/// The name of a file while it is being written.
pub(crate) fn tmp(path: &str) -> String {
    format!("{path}.tmp")
}

/// The numbers in a name of ours: (the first, the second if it has one, the ending). `None` for a
/// name that we never make; such files are reported by `verify` and never touched.
pub(crate) fn parse(name: &str) -> Option<(u64, Option<u64>, &str)> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-@".contains(&b);
    let (mut first, mut rest) = name.split_once('.')?;
    if first.contains('@') && first.bytes().all(plain) {
        (first, rest) = rest.split_once('.')?;
    }
    let first = number(first)?;
    match rest.split_once('.') {
        Some((second, "dead")) => number(second).map(|second| (first, Some(second), "dead")),
        Some((second, "graph")) => field(second).map(|second| (first, Some(second), "graph")),
        Some((second, "seed")) => field(second).map(|second| (first, Some(second), "seed")),
        Some((second, "words")) => field(second).map(|second| (first, Some(second), "words")),
        Some((second, "ids")) => number(second).map(|second| (first, Some(second), "ids")),
        Some((second, "ids.tmp")) if number(second).is_some() => Some((first, None, "tmp")),
        Some((second, "dead.tmp")) if number(second).is_some() => Some((first, None, "tmp")),
        Some((second, "graph.tmp" | "seed.tmp" | "words.tmp")) if field(second).is_some() => {
            Some((first, None, "tmp"))
        }
        Some((ending, "tmp")) if is_ending(ending) => Some((first, None, "tmp")),
        None if is_ending(rest) => Some((first, None, rest)),
        _ => None,
    }
}

/// The endings that this version makes. Others are not ours to remove, even beside our own.
fn is_ending(text: &str) -> bool {
    ["wal", "seg", "art", "items"].contains(&text)
}

/// The number of a space or attribute.
fn field(text: &str) -> Option<u64> {
    number(text).filter(|field| *field < FIELDS_MAX.into())
}

/// Six digits or more, without a needless leading zero beyond six.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() >= 6 && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() == 6 || !text.starts_with('0');
    // A number that counting never reaches is a stranger's, and is not counted on from. The last four
    // billion are not reached either: whoever had one could not go on.
    let reached = |number: &u64| *number < NUMBER_MAX - (1 << 32);
    (digits && padded).then(|| text.parse().ok().filter(reached)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_strangers_are_not() {
        let name = |path: String| path.split_once('/').unwrap().1.to_owned();
        assert_eq!(parse(&name(wal(41))), Some((41, None, "wal")));
        assert_eq!(parse(&name(dead(38, 1_234_567))), Some((38, Some(1_234_567), "dead")));
        assert_eq!(parse(&name(tmp(&segment(38)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(tmp(&dead(38, 40)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(graph(38, 2))), Some((38, Some(2), "graph")));
        assert_eq!(parse(&name(tmp(&graph(38, 2)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(seed(38, 2))), Some((38, Some(2), "seed")));
        assert_eq!(parse(&name(tmp(&seed(38, 2)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(words(38, 7))), Some((38, Some(7), "words")));
        assert_eq!(parse(&name(tmp(&words(38, 7)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(ids(38, 52))), Some((38, Some(52), "ids")));
        assert_eq!(parse(&name(tmp(&ids(38, 52)))), Some((38, None, "tmp")));
        assert_eq!(parse(&name(artifact("sid", 3, 52))), Some((52, None, "art")));
        for stranger in [
            "",
            "notes.txt",
            "1.seg",
            "0000001.seg",
            "000038.SEG",
            "000038.",
            "000038.bak",
            "a.b.c",
            "000038.graph",
            "000038.graph.tmp",
            "000038.2.graph",
            "000038.text.graph",
            "000038.070000.graph",
            "000038.seed",
            "000038.070000.seed",
            "000038.words",
            "000038.070000.words",
            "000038.000002.items",
            "000038.000002.graph.bak",
            "000038.000002.graph.tmp.tmp",
            "9223372036854775807.seg",
            "4611686018427387903.seg",
            "4611686014132420608.seg",
        ] {
            assert_eq!(parse(stranger), None, "{stranger}");
        }
    }
}
