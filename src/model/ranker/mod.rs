//! Rankers: one scorer for search, similar items and for-you, on this processor or on a device.
//!
//! | file | it owns |
//! |---|---|
//! | `features` | what a ranker looks at, declared once |
//! | `assemble` | from a request and its candidates to columns, for training and for serving |
//! | `cells`, `table`, `batch` | those columns |
//! | `hook` | [`Ranker`] and [`Device`]: the door to everything that can score |
//! | `dense` | the vectors of candidates, for rankers that hold no table |
//! | `cpu`, `net` | the rankers that are built in |
//! | `rank` | the operator |
//! | `unified` | the recommender to begin with |
//! | `run`, `batcher` | asking a ranker: alone or with others, with a deadline, whatever it does |
//! | `cuda` | trained rankers on a card; a feature |
//! | `caught` | panics of others as errors |
//! | `plugin` | rankers in shared libraries; a feature |
//! | `feeds`, `onnx`, `ort` | rankers in ONNX files, by two runtimes; features |
//! | `trees` | ensembles of decision trees that others trained |
//! | `examples`, `fit`, `model` | training, and what comes of it |
//! | `served` | features as they were served, to train on exactly those |

mod assemble;
mod batch;
mod batcher;
pub(super) mod caught;
mod cells;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dense;
mod examples;
mod features;
#[cfg(any(feature = "onnx", feature = "ort"))]
mod feeds;
mod fit;
mod hook;
mod model;
mod net;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "ort")]
mod ort;
#[cfg(feature = "plugin")]
mod plugin;
mod rank;
mod run;
mod served;
mod table;
mod trees;
mod unified;

pub(super) use assemble::Assembler;
pub use batch::RankBatch;
pub use batcher::Batching;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use examples::Examples;
pub use features::{Features, Role, Scalar};
pub use fit::{FitRanker, RankLoss};
pub use hook::{Cpu, Device, Ranker};
pub use model::RankModel;
pub use net::Body;
#[cfg(feature = "onnx")]
pub use onnx::Onnx;
#[cfg(feature = "ort")]
pub use ort::{Ort, OrtOn};
#[cfg(feature = "plugin")]
pub use plugin::Plugin;
pub use rank::Rank;
pub use served::{Served, ServedLog};
pub use table::Table;
pub use trees::Trees;
pub use unified::Unified;
