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

#[cfg(feature = "boosting")]
mod boosting;
mod calibration;
mod classifier;
mod ensemble;
mod fit;
mod linear;
mod quality;
mod rows;

#[cfg(feature = "boosting")]
pub use boosting::Boosting;
pub use calibration::Calibrate;
pub use classifier::Classifier;
pub use fit::{FitClassifier, Learner};
pub use linear::Logistic;
pub use quality::Quality;
pub use rows::Rows;
