//! Policy: how good another recommender would have been, from what this one has shown and how likely it
//! was to show it.
//!
//! | file | it owns |
//! |---|---|
//! | `logged` | impressions and what came of them, from events; the other recommender's choice |
//! | `estimate` | inverse propensities: estimates and their intervals |
//!
//! Unlike [`replay`](super::replay), which asks what users did anyway, this counts only what was shown,
//! weighted by how unlikely that was; so it is not deceived by what the old recommender preferred.

mod estimate;
mod logged;

pub(crate) use estimate::ratio_of;
pub use estimate::{Estimate, Weighed, Worth};
pub use logged::{Logged, Shown};
