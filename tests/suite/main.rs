//! Properties of the whole, one file each.
#![allow(unreachable_pub)] // Modules of one binary: there is nobody to reach them from outside.

mod alike;
mod architecture;
mod boosts;
mod classify;
mod compat;
mod content;
mod corruption;
mod crash;
#[cfg(feature = "cuda")]
mod cuda;
mod defects;
mod derived;
mod directories;
mod erase;
mod eval;
mod examples;
mod explore;
mod flow;
mod forged;
mod format;
mod fuzz_bodies;
mod gate;
mod graphs;
mod hostile;
mod io_errors;
mod kept;
mod kill;
mod laws;
mod live;
mod memory_limits;
mod models;
#[cfg(feature = "onnx")]
mod onnx;
mod operators;
mod oracle;
#[cfg(all(feature = "onnx", feature = "ort"))]
mod ort;
#[cfg(feature = "plugin")]
mod plugin;
mod policy;
mod profiles;
mod races;
mod ranked;
mod ranker;
mod replay;
mod rqvae;
mod search;
mod seeds;
mod semantic;
mod semantic_exports;
mod suggest;
mod sustained;
mod swaps;
mod tiger;
mod tokenizer;
mod transformers;
mod trees;
mod tuned;
mod warm;
mod weights;
mod words;
mod worked_example;
