//! The filter of bad matches: classifiers whose numbers are probabilities.
//!
//! | file | it owns |
//! |---|---|
//! | `rows` | a table of examples |
//! | `linear`, `boosting`, `ensemble` | logistic regression; trees, how they are trained and what comes of it |
//! | `calibration` | from log-odds to probabilities |
//! | `fit` | training: folds, calibration on what was held out, the final classifier |
//! | `classifier` | what was trained, as an artifact |
//! | `quality` | how good it is |
//! | `pair`, `teacher` | what is labelled, and by whom |
//! | `labels`, `lines`, `agreement` | who says what of which pair; as JSON lines; whether they agree |
//! | `questions` | the pairs that are worth labelling |
//! | `lessons`, `gate_model`, `gate` | labelled pairs with the engine's features; what learns from them; the operator |

mod agreement;
#[cfg(feature = "boosting")]
mod boosting;
mod calibration;
mod classifier;
mod ensemble;
mod fit;
mod gate;
mod gate_model;
mod labels;
mod lessons;
mod linear;
mod lines;
mod pair;
mod quality;
mod questions;
mod rows;
mod teacher;

pub use agreement::Agreement;
#[cfg(feature = "boosting")]
pub use boosting::Boosting;
pub use calibration::Calibrate;
pub use classifier::Classifier;
pub use fit::{FitClassifier, Learner};
pub use gate::Gate;
pub use gate_model::GateModel;
pub use labels::{Label, LabelReport, Labels, Verdict};
pub use lessons::Lessons;
pub use linear::Logistic;
pub use pair::{Asked, Pair};
pub use quality::Quality;
pub use questions::Questions;
pub use rows::Rows;
pub use teacher::Teacher;
