//! The house rules, as tests: layers, lengths, names, and who may name which crate.

use std::{collections::BTreeSet, fs, path::Path};

/// Lowest layer first, as `src/lib.rs` draws it. Modules on one line are neighbours and may use each
/// other only where `NEIGHBOURS` says so.
const LAYERS: &[&[&str]] = &[
    &["error", "key", "limits", "progress", "defects"],
    &["schema", "item", "filter", "options", "eval"],
    &["io", "vector"],
    &["format"],
    &["segment"],
    &["search", "artifact"],
    &["semantic"],
    &["store"],
    &["recommend"],
    &["model"],
    &["db", "maintain"],
];

/// Who may use a neighbour: words are made of words, values of values, and the handle of two files.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("progress", "error"),
    ("filter", "schema"),
    ("filter", "item"),
    ("schema", "item"),
    ("db", "maintain"),
];

const LINES_MAX: usize = 600;
const NAMES_BANNED: &[&str] =
    &["util", "utils", "common", "helpers", "misc", "core", "types", "base"];
const ENDINGS_BANNED: &[&str] = &["Manager", "Handler", "Provider", "Service", "Impl", "Ext"];

/// A crate or path, and the only files that may name it.
const NAMED_IN: &[(&str, &[&str])] = &[
    ("memmap2", &["io/disk.rs", "io/hot.rs"]),
    ("std::fs", &["io/disk.rs", "io/disk/lock.rs", "io/room.rs", "io/rules.rs"]),
    (
        "rustix::",
        &[
            "io/disk.rs",
            "io/disk/lock.rs",
            "io/rules.rs",
            "io/fault/failure.rs",
            "io/fault/state.rs",
        ],
    ),
    ("simsimd::", &["vector/kernel.rs"]),
    ("bincode::", &["format/codec.rs"]),
    ("rkyv::", &["format/archive.rs"]),
    ("matrixmultiply::", &["model/train/gemm.rs"]),
    ("forust_ml::", &["model/classify/boosting.rs"]),
    ("cudarc::", &["model/ranker/cuda/nvidia.rs"]),
    ("libloading::", &["model/ranker/plugin/library.rs"]),
    ("::ort::", &["model/ranker/ort.rs"]),
    ("rten::", &["model/ranker/onnx/mod.rs"]),
    ("rten_tensor::", &["model/ranker/onnx/mod.rs"]),
    ("unicode_normalization::", &["search/words/analyze.rs"]),
    ("safetensors::", &["model/weights/tensors.rs"]),
    (
        "std::arch",
        &[
            "vector/kernel.rs",
            "vector/kernel/avx2.rs",
            "vector/kernel/avx512.rs",
            "vector/kernel/hop2.rs",
            "vector/kernel/hop512.rs",
            "vector/kernel/hop_neon.rs",
        ],
    ),
];

/// Every source file: its path under `src` and its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, under: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{under}{}", path.file_name().unwrap().to_str().unwrap());
            match path.is_dir() {
                true => walk(&path, &format!("{name}/"), found),
                false => found.push((name, fs::read_to_string(&path).unwrap())),
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut found);
    assert!(found.len() > 40, "where is the source?");
    found.sort();
    found
}

/// The code of a file: no comments, no tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let line = |line: &str| line.split("//").next().unwrap_or("").to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The first path segment of every `crate::...` in a source file.
fn uses(source: &str) -> BTreeSet<String> {
    let ident = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(ident(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && depth == 0 && c.is_alphabetic() => {
                    found.insert(ident(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn wrong_uses(path: &str, text: &str) -> Vec<String> {
    let from = module(path);
    let Some(layer) = layer_of(from) else { return Vec::new() };
    let mut wrong = Vec::new();
    for used in uses(&code(text)) {
        let Some(other) = layer_of(&used) else { continue };
        let neighbour = other == layer && NEIGHBOURS.contains(&(from, used.as_str()));
        if used != from && other >= layer && !neighbour {
            wrong.push(format!("src/{path}: `{from}` must not use `{used}`"));
        }
    }
    wrong
}

// checks: V11
#[test]
fn modules_only_use_the_layers_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path != "lib.rs" {
            assert!(layer_of(module(&path)).is_some(), "src/{path} has no place in LAYERS");
            wrong.extend(wrong_uses(&path, &text));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The test of the test: a wrong use, in each form, is seen.
#[test]
fn a_module_that_looks_up_is_caught() {
    for text in
        ["use crate::store::Store;", "use crate::{\n    error::Error,\n    db::{Db, Batch},\n};"]
    {
        assert_eq!(wrong_uses("segment/mod.rs", text).len(), 1, "{text}");
    }
    assert_eq!(wrong_uses("search/scan.rs", "use crate::artifact::Artifact;").len(), 1);
    assert!(wrong_uses("store/mod.rs", "use crate::{format::Kind, key::Key};").is_empty());
}

/// The types that a file defines.
fn defined(code: &str) -> Vec<String> {
    let words: Vec<&str> =
        code.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let defines = |word: &str| ["struct", "enum", "trait", "type"].contains(&word);
    words.windows(2).filter(|w| defines(w[0])).map(|w| w[1].to_owned()).collect()
}

#[test]
fn files_are_short_ascii_and_well_named() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "src/{path} has {lines} lines; split it at {LINES_MAX}");
        assert!(text.is_ascii(), "src/{path} is not ASCII");
        for part in path.trim_end_matches(".rs").split('/') {
            assert!(!NAMES_BANNED.contains(&part), "src/{path}: {part} says nothing");
        }
        for name in defined(&code(&text)) {
            let bad = ENDINGS_BANNED.iter().any(|ending| name.ends_with(ending));
            assert!(!bad, "src/{path}: the name {name} says nothing");
        }
    }
}

#[test]
fn each_outside_crate_is_named_where_it_belongs() {
    for (path, text) in sources() {
        for (name, files) in NAMED_IN {
            let here = code(&text).contains(name);
            assert!(!here || files.contains(&path.as_str()), "src/{path} must not name {name}");
        }
    }
}

/// Every clause of the promises is checked by a test that says so.
#[test]
fn every_promise_has_a_test() {
    let mut all = String::new();
    for (_, text) in sources() {
        all.push_str(&text);
    }
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite");
    for entry in fs::read_dir(tests).unwrap() {
        all.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let named: BTreeSet<&str> = all
        .lines()
        .filter_map(|line| line.trim().strip_prefix("// checks: "))
        .flat_map(str::split_whitespace)
        .collect();
    let series = [("D", 6), ("A", 3), ("I", 5), ("C", 8), ("F", 4), ("L", 3), ("S", 3), ("V", 11)];
    for (letter, count) in series {
        for number in 1..=count {
            let clause = format!("{letter}{number}");
            assert!(named.contains(clause.as_str()), "no test says that it checks {clause}");
        }
    }
}
