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
//! | `plugin` | rankers in shared libraries; a feature |
//! | `feeds`, `onnx` | rankers in ONNX files; a feature |
//! | `trees` | ensembles of decision trees that others trained |
//! | `examples`, `fit`, `model` | training, and what comes of it |
//! | `served` | features as they were served, to train on exactly those |

mod assemble;
mod batch;
mod batcher;
mod cells;
mod cpu;
mod dense;
mod examples;
mod features;
#[cfg(feature = "onnx")]
mod feeds;
mod fit;
mod hook;
mod model;
mod net;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "plugin")]
mod plugin;
mod rank;
mod run;
mod served;
mod table;
mod trees;
mod unified;

pub use batch::RankBatch;
pub use batcher::Batching;
pub use examples::Examples;
pub use features::{Features, Role, Scalar};
pub use fit::{FitRanker, RankLoss};
pub use hook::{Cpu, Device, Ranker};
pub use model::RankModel;
pub use net::Body;
#[cfg(feature = "onnx")]
pub use onnx::Onnx;
#[cfg(feature = "plugin")]
pub use plugin::Plugin;
pub use rank::Rank;
pub use served::{Served, ServedLog};
pub use table::Table;
pub use trees::Trees;
pub use unified::Unified;
