//! Rankers: one scorer for search, similar items and for-you, on this processor or on a device.
//!
//! | file | it owns |
//! |---|---|
//! | `features` | what a ranker looks at, declared once |
//! | `assemble` | from a request and its candidates to columns, for training and for serving |
//! | `cells`, `table`, `batch` | those columns |
//! | `hook` | [`Ranker`] and [`Device`]: the door to everything that can score |
//! | `cpu`, `net` | the rankers that are built in |
//! | `examples`, `fit`, `model` | training, and what comes of it |

mod assemble;
mod batch;
mod cells;
mod cpu;
mod examples;
mod features;
mod fit;
mod hook;
mod model;
mod net;
mod table;

pub use batch::RankBatch;
pub use examples::Examples;
pub use features::{Features, Role, Scalar};
pub use fit::{FitRanker, RankLoss};
pub use hook::{Cpu, Device, Ranker};
pub use model::RankModel;
pub use net::Body;
pub use table::Table;
