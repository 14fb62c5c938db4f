//! What the fuzz targets run: plain functions of bytes. `tests/suite/fuzz_bodies.rs` runs them too.

pub mod attack;
pub mod base;
pub mod canary;
pub mod crash_ops;
pub mod event_log;
pub mod filter_parse;
pub mod graph_section;
pub mod graph_seed;
pub mod index_json;
pub mod labels;
pub mod manifest;
pub mod model_artifact;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod open_dir;
pub mod postings;
pub mod queries;
pub mod query_api;
pub mod ranker_files;
pub mod seal;
pub mod segment_footer;
pub mod semantic_ids;
pub mod sequence_model;
pub mod trees;
pub mod wal_replay;
pub mod words;
