//! The fuzz targets, without a fuzzer: what they found once, they find again on every machine.

use bodies::attack;
use std::{
    panic,
    time::{Duration, Instant},
};

#[allow(unreachable_pub, missing_docs, dead_code)]
#[path = "../../fuzz/bodies/mod.rs"]
pub(crate) mod bodies;

/// The files that are kept in `fuzz/corpus/<target>`.
#[allow(clippy::disallowed_methods)]
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs a body on its corpus, then for some seconds at most on `count` inputs: noise, and the corpus
/// with some bytes changed. A failure prints the input's number.
fn replay(target: &str, count: u64, body: fn(&[u8])) {
    let kept = corpus(target);
    for (at, input) in kept.iter().enumerate() {
        let done = panic::catch_unwind(|| body(input));
        assert!(done.is_ok(), "{target}: file {at} of the corpus");
    }
    let until = Instant::now() + Duration::from_secs(4);
    let mut done = 0;
    while done < count && Instant::now() < until {
        let input = input(done, &kept);
        let passed = panic::catch_unwind(|| body(&input));
        assert!(passed.is_ok(), "{target}: input {done}, {input:?}");
        done += 1;
    }
    println!("{target}: {} files, {done} inputs", kept.len());
}

fn input(number: u64, kept: &[Vec<u8>]) -> Vec<u8> {
    let noise = attack::noise(number, 512);
    if kept.is_empty() || number.is_multiple_of(3) {
        return noise[8..8 + usize::from(noise[0]) * 2 % 500].to_vec();
    }
    let mut input = kept[usize::from(noise[0]) % kept.len()].clone();
    for change in noise[8..].chunks(4).take(1 + usize::from(noise[1] % 5)) {
        if input.is_empty() {
            break;
        }
        let at = (usize::from(change[0]) << 8 | usize::from(change[1])) % input.len();
        match change[2] % 4 {
            0 => input[at] ^= 1 << (change[3] % 8),
            1 => input[at] = change[3],
            2 => drop(input.remove(at)),
            _ => input.insert(at, change[3]),
        }
    }
    input
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident: $target:ident, $count:literal;)*) => {
        $($(#[$doc])* #[test] fn $name() {
            replay(stringify!($target), $count, bodies::$target::run);
        })*
    };
}

bodies! {
    // checks: C3 C8
    any_changes_to_any_files_are_survived: open_dir, 4000;
    // checks: C3 C6
    any_records_in_a_wal_are_survived: wal_replay, 4000;
    // checks: C3
    any_fields_in_manifest_are_survived: manifest, 4000;
    // checks: C3
    any_table_of_sections_is_survived: segment_footer, 4000;
    // checks: C3
    any_bitmaps_are_survived: postings, 3000;
    // checks: C3
    any_events_are_survived: event_log, 3000;
    // checks: C3
    any_artifact_is_survived: model_artifact, 3000;
    // checks: C3 V8 V10
    any_model_is_survived: sequence_model, 4000;
    any_semantic_ids_are_survived: semantic_ids, 4000;
    any_index_is_a_codebook_or_an_error: index_json, 20000;
    any_ranker_and_any_log_is_a_value_or_an_error: ranker_files, 6000;
    any_ensemble_of_trees_is_survived: trees, 20000;
    any_labels_and_any_classifier_are_survived: labels, 20000;
    // checks: C3 C4 V8
    any_graph_is_survived_and_finds_only_what_is_there: graph_section, 3000;
    // checks: C3 C4 V8
    any_seed_is_survived_and_its_graph_finds_only_what_is_there: graph_seed, 3000;
    // checks: C3 V8
    any_words_and_any_text_find_only_what_is_there: words, 3000;
    any_lines_are_queries_or_an_error: queries, 4000;
    // checks: C5
    any_json_is_a_filter_or_an_error: filter_parse, 40000;
    // checks: A1 L1
    any_calls_agree_with_a_map: query_api, 2000;
    // checks: D1 D5
    any_operations_survive_a_power_failure_as_a_prefix: crash_ops, 4000;
}

#[cfg(feature = "onnx")]
bodies! {
    any_onnx_model_is_survived: onnx, 2000;
}

/// Goal: a fuzz target that fails is seen to fail. Method: the target that must.
#[test]
fn the_canary_fails() {
    bodies::canary::run(b"quiet");
    let sung = panic::catch_unwind(|| bodies::canary::run(b"bower!"));
    assert!(sung.is_err());
}

/// Goal: what a power failure leaves of a flush opens. The last seal of the finished WAL was not
/// durable, but MANIFEST said that the file ends behind it. Method: cut the power before each call.
// checks: D1 D5
#[test]
fn a_power_failure_in_a_flush_leaves_a_database_that_opens() {
    use bodies::base;
    use bowerbird::{Db, IoMode, Item, Schema, io::fault::Fault};
    use std::sync::Arc;
    let mut cut = 0;
    loop {
        let dir = Fault::new();
        let options = base::options(IoMode::Mmap);
        let db = Db::create_in(Arc::new(dir.clone()), Schema::new(), options.clone()).unwrap();
        db.batch().put(Item::new(1u64)).commit().unwrap();
        dir.cut_power_at(dir.calls() + cut);
        let flushed = db.flush();
        for left in dir.survivors(cut, 50) {
            let db = Db::open_in(Arc::new(left), options.clone()).unwrap();
            assert_eq!(db.snapshot().len(), 1, "cut before call {cut}");
        }
        if flushed.is_ok() {
            break;
        }
        cut += 1;
    }
    assert!(cut > 10);
}
