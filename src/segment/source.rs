//! What a merge reads: a batch, or a segment and what of it is dead.

use crate::{
    format::batch::{EventRow, Row},
    segment::{Segment, dead::Dead},
};

/// Where rows and events come from.
pub(crate) enum Source<'a> {
    /// A batch.
    Fresh { rows: &'a [&'a Row], events: &'a [&'a EventRow] },
    /// A segment, and what of it is dead.
    Part { segment: &'a Segment, dead: &'a Dead },
}
