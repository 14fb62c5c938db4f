//! Cost: how much heap memory a merge needs for a segment, about.

use crate::{format::Kind, segment::Segment};

/// Bytes of heap memory that a merge needs for each of its inputs, about and rather too many; what it reads
/// of mapped files is not among them.
///
/// Columns are written one after the other, so the largest counts: vectors pass through, but texts are
/// gathered to be put in order. Places of all rows and events are there to the end; events come last.
pub(crate) fn merge_bytes(segment: &Segment) -> u64 {
    let (rows, events) = (u64::from(segment.rows()), u64::from(segment.meta.events));
    let column = |kind: Kind, len: u64| match kind {
        // What is gathered, and the order of it.
        Kind::KEY_BYTES => len + 60 * rows,
        Kind::TEXT_BYTES => len + 32 * rows,
        // Codes, the end of each list, postings.
        Kind::CODES => 3 * len + 8 * rows,
        _ => 40 * rows,
    };
    let columns = segment.sections.iter().map(|section| column(section.kind, section.len)).max();
    8 * (rows + events) + columns.unwrap_or(0).max(120 * events)
}
