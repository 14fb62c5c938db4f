//! Rankers in shared libraries: built here from C, loaded, and refused for each way to be wrong.

use crate::ranked;
use bowerbird::{
    Item, Key, Timestamp,
    model::ranker::{Examples, Plugin, Rank, RankBatch, Ranker, Table},
    recommend::{NearInterests, Query, Recommender, Request},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compiles a file against the header, with options.
fn build(folder: &Path, compiler: &str, file: &str, options: &[&str]) -> PathBuf {
    let library = folder.join("libranker.so");
    let mut command = Command::new(compiler);
    command.arg(format!("-I{ROOT}/examples/plugin")).args(options).arg("-o").arg(&library);
    let done = command.arg(format!("{ROOT}/{file}")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{compiler} {file}: {said}");
    library
}

/// Compiles C, with warnings as errors.
fn built(file: &str, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = vec!["-std=c99", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"];
    options.extend(more);
    let library = build(folder.path(), "cc", file, &options);
    (folder, library)
}

fn load(path: &Path, config: &str) -> bowerbird::Result<Plugin> {
    // SAFETY: built from a source of this repository, or no library.
    #[allow(unsafe_code)]
    unsafe {
        Plugin::load(path, config)
    }
}

/// The plug-in that is wrong in one way; what loading it says.
fn refused(way: &[&str]) -> String {
    let (_folder, library) = built("tests/fixtures/plugin/odd.c", way);
    load(&library, "gpu 0").unwrap_err().to_string()
}

fn scores(ranker: &impl Ranker, batch: &RankBatch) -> Vec<f32> {
    let mut scores = vec![f32::NAN; batch.len()];
    ranker.rank(batch, &mut scores).unwrap();
    scores
}

/// What `dot` computes, said again.
fn dot(batch: &RankBatch, weights: &[f32]) -> Vec<f32> {
    let batch = batch.dense();
    let (dim, queries, asked) = batch.context(0);
    let (_, vectors, there) = batch.items(0).unwrap();
    let mut scores = Vec::new();
    for request in 0..batch.requests() {
        for row in batch.range(request) {
            let scalars = &batch.scalars()[row * weights.len()..][..weights.len()];
            let mut score = 0.0;
            weights.iter().zip(scalars).for_each(|(a, b)| score += a * b);
            if asked[request] == 1 && there[row] == 1 {
                let query = &queries[request * dim..][..dim];
                query.iter().zip(&vectors[row * dim..]).for_each(|(a, b)| score += a * b);
            }
            scores.push(score);
        }
    }
    scores
}

fn close(a: &[f32], b: &[f32], within: f32) {
    assert_eq!(a.len(), b.len());
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "score {at}: {a}, not {b}");
    }
}

/// Goal: the operator gives a plug-in rows of the table that it holds, and vectors of items that were written
/// after it: the same answers as without a table.
#[test]
fn the_plug_in_serves_what_was_written_since() {
    let (_folder, library) = built("examples/plugin/dot.c", &[]);
    let db = ranked::db();
    db.flush().unwrap();
    for id in 41..=44u64 {
        let vector: Vec<f32> = (0..6).map(|at| ranked::number(id * 9 + at)).collect();
        let item = Item::new(id).vector("text", vector).attr("stars", 0.25);
        db.batch()
            .put(if id == 43 { Item::new(id) } else { item })
            .delete(id - 30)
            .commit()
            .unwrap();
    }
    let snapshot = db.snapshot();
    let rank = || Rank::with(ranked::features(), load(&library, "0.5 -0.25 2").unwrap());
    let all = |rank: Rank| {
        let near = NearInterests::new("text", 60);
        let recommender = Recommender::new().summarize(Query).retrieve(near).score(rank);
        let query: Vec<f32> = (0..6).map(ranked::number).collect();
        let request = Request::new(60, Timestamp(1000)).query("text", query).task("search");
        let slate = recommender.run(&snapshot, &request).unwrap();
        assert!(slate.trace.degraded.is_empty(), "{:?}", slate.trace.degraded);
        slate.items
    };
    let (want, got) = (all(rank()), all(rank().resident()));
    assert!(want.iter().any(|item| item.key == Key::Id(44)), "new items are among them");
    assert_eq!(got, want);
}

/// Goal: a plug-in gets what a ranker gets. Method: the example in C says the same scores as the same
/// arithmetic here, by rows of a table and by columns, with vectors missing on either side.
#[test]
fn the_plug_in_in_c_scores_as_the_same_in_rust() {
    let (_folder, library) = built("examples/plugin/dot.c", &[]);
    let weights = [0.5, -0.25, 2.0];
    let plugin = load(&library, "0.5 -0.25 2").unwrap();
    assert_eq!(plugin.name(), "dot by plug-in");
    let examples: Examples = ranked::examples();
    let batch = examples.batch();
    assert!(batch.rows().is_some() && batch.dense().items(0).is_some());
    let (_, _, there) = batch.context(0);
    assert!(there.contains(&0) && there.contains(&1), "some requests have no query");
    close(&scores(&plugin, batch), &dot(batch, &weights), 1e-5);
    close(&scores(&plugin, &batch.dense()), &dot(batch, &weights), 1e-5);
    assert!(plugin.hold(batch.rows().unwrap().0).unwrap());
    assert!(plugin.hold(batch.rows().unwrap().0).unwrap());
    let other = Arc::new(Table::of(&ranked::db().snapshot(), &["text", "image"]).unwrap());
    assert!(plugin.hold(&other).unwrap());
    close(&scores(&plugin, batch), &dot(batch, &weights), 1e-5);
}

#[test]
fn a_plug_in_is_loaded_twice_and_used_by_threads() {
    let (_folder, library) = built("examples/plugin/dot.c", &[]);
    let (a, b) = (load(&library, "1 0 0").unwrap(), load(&library, "0 1 0").unwrap());
    let examples = ranked::examples();
    let batch = examples.batch();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| close(&scores(&a, batch), &dot(batch, &[1.0, 0.0, 0.0]), 1e-5));
            scope.spawn(|| close(&scores(&b, batch), &dot(batch, &[0.0, 1.0, 0.0]), 1e-5));
        }
    });
}

#[test]
fn an_error_of_a_plug_in_is_told() {
    let (_folder, library) = built("examples/plugin/dot.c", &[]);
    let error = load(&library, "0.5 much").unwrap_err().to_string();
    assert!(error.contains("the config has much where a weight should be"), "{error}");
    let error = load(&library, "0.5\0").unwrap_err().to_string();
    assert!(error.contains("zero byte"), "{error}");
    let examples = ranked::examples();
    let mut scores = vec![f32::NAN; examples.batch().len()];
    let plugin = load(&library, "1").unwrap();
    let error = plugin.rank(examples.batch(), &mut scores).unwrap_err().to_string();
    let why = "failed in `rank` with 1; it says: the config has 1 weights, the batch 3 scalars";
    assert!(error.contains(why) && error.contains("libranker.so"), "{error}");
    let error = plugin.rank(examples.batch(), &mut scores[1..]).unwrap_err().to_string();
    assert!(error.contains("candidates are"), "{error}");
}

/// Goal: what is no plug-in of this version is refused, and the error says why.
#[test]
fn a_wrong_plug_in_is_refused() {
    for (way, why) in [
        ("-DABI=2", "has version 2 of the interface; this host has 1"),
        ("-DSIZE=16", "has a table of 16 bytes; version 1 needs 48"),
        ("-DDECLINES", "does not work with a host of version 1"),
        ("-DENTRY=other_entry", "has no symbol bowerbird_ranker_entry"),
        ("-DNO_RANK", "has no function `rank`"),
        ("-DNAME=NULL", "has no name"),
        ("-DCLOSED", "\"odd\" cannot open; it says: no device for gpu 0"),
    ] {
        let error = refused(&[way]);
        assert!(error.contains(why) && error.contains("libranker.so"), "{way}: {error}");
    }
}

#[test]
fn a_larger_table_of_functions_is_read_as_far_as_it_is_known() {
    let (_folder, library) = built("tests/fixtures/plugin/odd.c", &["-DSIZE=4096"]);
    assert_eq!(load(&library, "").unwrap().name(), "odd by plug-in");
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(&folder.path().join("none.so"), "").unwrap_err().to_string();
    assert!(error.contains("none.so: cannot be loaded: "), "{error}");
    assert!(error.contains("No such file"), "{error}");
    let error = load(&PathBuf::from(format!("{ROOT}/Cargo.toml")), "").unwrap_err().to_string();
    assert!(error.contains("Cargo.toml: cannot be loaded: "), "{error}");
    let error = load(Path::new("libranker.so"), "").unwrap_err().to_string();
    assert!(error.contains("is not an absolute path"), "{error}");
}

/// Goal: a plug-in that fails, or does nothing and says that all is well, harms nobody.
#[test]
fn a_bad_plug_in_harms_nobody() {
    let examples = ranked::examples();
    let batch = examples.batch();
    let (_folder, library) = built("tests/fixtures/plugin/odd.c", &[]);
    let silent = load(&library, "").unwrap();
    assert!(scores(&silent, batch).iter().all(|score| score.is_nan()));
    let table = batch.rows().unwrap().0;
    for again in [false, true] {
        let error = silent.hold(table).unwrap_err().to_string();
        let said = "failed in `hold` with -1; it says: too large for this card";
        assert!(error.contains(said), "{error}, again: {again}");
    }
    let (_folder, library) = built("tests/fixtures/plugin/odd.c", &["-DNO_USE"]);
    let of_no_use = load(&library, "").unwrap();
    assert_eq!((of_no_use.hold(table).unwrap(), of_no_use.hold(table).unwrap()), (false, false));
    let (_folder, library) = built("tests/fixtures/plugin/odd.c", &["-DFAILS"]);
    let mut scores = vec![f32::NAN; batch.len()];
    let error = load(&library, "").unwrap().rank(batch, &mut scores).unwrap_err().to_string();
    assert!(error.contains("with 7; it says: eee"), "{error}");
}

/// Goal: the plug-in in CUDA C++ compiles, and says on a card what the one in C says.
/// Method: only where there is a compiler for it, and a card; otherwise it says so.
#[test]
fn the_plug_in_in_cuda_scores_as_the_one_in_c() {
    if Command::new("nvcc").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no nvcc here, so examples/plugin/dot.cu was not compiled");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = ["-O2", "-shared", "-Xcompiler", "-fPIC"];
    let library = build(folder.path(), "nvcc", "examples/plugin/dot.cu", &options);
    let plugin = match load(&library, "0.5 -0.25 2") {
        Ok(plugin) => plugin,
        Err(why) => {
            eprintln!("SKIPPED: examples/plugin/dot.cu compiles, but was not run: {why}");
            return;
        }
    };
    let examples = ranked::examples();
    let batch = examples.batch();
    let expected = dot(batch, &[0.5, -0.25, 2.0]);
    close(&scores(&plugin, &batch.dense()), &expected, 1e-3);
    assert!(plugin.hold(batch.rows().unwrap().0).unwrap());
    close(&scores(&plugin, batch), &expected, 1e-3);
}
