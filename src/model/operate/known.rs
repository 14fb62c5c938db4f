//! Which items of a snapshot a model knows: from allowed rows to allowed codes.

use crate::{
    error::Result,
    model::Model,
    recommend::{Allowed, Context},
    segment::bits::Bits,
    store::{Part, Snapshot},
};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The code of a row that a model does not know.
const NONE: u32 = u32::MAX;

/// The codes of the items that a request may return.
///
/// Codes of rows are kept with their part, and those of all live rows with the version; a request
/// pays for what its filters took away, or for what they left, whichever is less.
pub(super) fn allowed(cx: &Context<'_>, model: &Model, allowed: &Allowed) -> Result<Bits> {
    let version = &cx.snapshot.version;
    let (hash, mut away, mut left) = (model.vocabulary().hash(), Vec::new(), 0);
    for (part, rows) in version.parts.iter().zip(allowed.rows()) {
        let gone = live(part) - rows;
        left += rows.len();
        away.push(gone);
    }
    let lost: u64 = away.iter().map(RoaringBitmap::len).sum();
    if lost > left {
        let mut codes = Bits::default();
        for (part, rows) in version.parts.iter().zip(allowed.rows()) {
            let of = codes_of(part, model)?;
            rows.iter()
                .map(|row| of[row as usize])
                .filter(|c| *c != NONE)
                .for_each(|c| codes.insert(c));
        }
        return Ok(codes);
    }
    let all = version.memo.get(&format!("known {hash:x}"), || -> Result<Bits> {
        let mut codes = Bits::default();
        for part in &version.parts {
            let of = codes_of(part, model)?;
            let rows = live(part);
            rows.iter()
                .map(|row| of[row as usize])
                .filter(|c| *c != NONE)
                .for_each(|c| codes.insert(c));
        }
        Ok(codes)
    })?;
    let mut codes = (*all).clone();
    for (part, rows) in version.parts.iter().zip(&away).filter(|(_, rows)| !rows.is_empty()) {
        let of = codes_of(part, model)?;
        rows.iter()
            .map(|row| of[row as usize])
            .filter(|c| *c != NONE)
            .for_each(|c| codes.remove(c));
    }
    Ok(codes)
}

/// The rows of each part, dead ones among them, that a model does not know.
pub(crate) fn unknown_rows(snapshot: &Snapshot, model: &Model) -> Result<Vec<Arc<RoaringBitmap>>> {
    let recipe = format!("unknown {:x}", model.vocabulary().hash());
    let rows = |part: &Part| {
        part.memo.get(&recipe, || {
            let codes = codes_of(part, model)?;
            let rows = (0u32..).zip(codes.iter()).filter(|(_, code)| **code == NONE);
            Ok(rows.map(|(row, _)| row).collect())
        })
    };
    snapshot.version.parts.iter().map(rows).collect()
}

fn live(part: &Part) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(0..part.segment.rows());
    rows - &part.dead.rows
}

/// The code of each row of a part.
fn codes_of(part: &Part, model: &Model) -> Result<Arc<Vec<u32>>> {
    let vocabulary = model.vocabulary();
    part.memo.get(&format!("codes {:x}", vocabulary.hash()), || {
        let code = |row| Ok(vocabulary.code(&part.segment.key(row)?).unwrap_or(NONE));
        (0..part.segment.rows()).map(code).collect()
    })
}
