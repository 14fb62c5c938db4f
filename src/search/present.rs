//! Which rows have a vector in a space, and where those vectors are.

use crate::{error::Result, segment::Stored};
use std::borrow::Cow;

/// With so many vectors between the first of some rows and the last for each of these, each is looked up by
/// itself; with fewer, the numbers between are gone through.
const FEW: usize = 32;

/// Drops rows without a vector from ascending ones.
pub(super) fn keep(stored: &Stored<'_>, rows: &mut Vec<u32>) -> Result<()> {
    if stored.is_whole() {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(rows.len());
    each(stored, rows, &mut |row, _| kept.push(row))?;
    *rows = kept;
    Ok(())
}

/// Where the vectors of ascending rows are that all have one.
pub(super) fn places<'r>(stored: &Stored<'_>, rows: &'r [u32]) -> Result<Cow<'r, [u32]>> {
    if stored.is_whole() {
        return Ok(Cow::Borrowed(rows));
    }
    let mut places = Vec::with_capacity(rows.len());
    each(stored, rows, &mut |_, place| places.push(place))?;
    Ok(Cow::Owned(places))
}

/// Those of ascending rows that have a vector, with its place. Never reads more than what lies between them:
/// a block of rows is one of thousands.
fn each(stored: &Stored<'_>, rows: &[u32], visit: &mut dyn FnMut(u32, u32)) -> Result<()> {
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let (from, to) = (stored.at_least(first)?, stored.at_least(last.saturating_add(1))?);
    if to.saturating_sub(from) as usize > FEW * rows.len() {
        for row in rows {
            if let Some(place) = stored.position(*row)? {
                visit(*row, place);
            }
        }
        return Ok(());
    }
    let present = stored.rows_of(from..to.max(from))?;
    let mut rows = rows.iter().copied().peekable();
    for (place, has) in (from..).zip(present.iter().copied()) {
        while rows.next_if(|row| *row < has).is_some() {}
        if let Some(row) = rows.next_if_eq(&has) {
            visit(row, place);
        }
    }
    Ok(())
}
