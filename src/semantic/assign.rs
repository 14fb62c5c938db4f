//! The IDs of the rows of a segment: from what is stored, so always the same.

use crate::{
    error::{Error, Result},
    schema::{Schema, Space},
    segment::Segment,
    semantic::{Codebook, SemanticId},
};
use std::ops::Range;

/// The spaces that a codebook reads, in its order.
///
/// # Errors
/// `Invalid` if the schema lacks one, or has it with another number of dimensions.
pub(crate) fn spaces<'s>(codebook: &Codebook, schema: &'s Schema) -> Result<Vec<&'s Space>> {
    let space = |input: &crate::semantic::Input| {
        let refuse = |why: String| Error::invalid("codebook", why);
        let space = schema.find_space(&input.space).map_err(|_| {
            refuse(format!("reads space {:?}, which the database has not got", input.space))
        })?;
        if space.dim != input.dim {
            let (name, reads, has) = (&input.space, input.dim, space.dim);
            return Err(refuse(format!("reads {reads} numbers of space {name:?}; it has {has}")));
        }
        Ok(space)
    };
    codebook.inputs().iter().map(space).collect()
}

/// The IDs of some rows of a segment, dead ones among them; `None` for a row that has none.
pub(crate) fn assign(
    segment: &Segment,
    (codebook, spaces): (&Codebook, &[&Space]),
    rows: Range<u32>,
) -> Result<Vec<Option<SemanticId>>> {
    if spaces.is_empty() {
        return rows.map(|row| Ok(codebook.find(&segment.key(row)?))).collect();
    }
    let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); spaces.len()];
    let one = |row| {
        let mut given: Vec<Option<&[f32]>> = Vec::with_capacity(spaces.len());
        for (space, room) in spaces.iter().zip(&mut vectors) {
            room.clear();
            let has = segment.vector(row, space, room)?;
            given.push(has.then_some(room.as_slice()));
        }
        codebook.encode(&given)
    };
    rows.map(one).collect()
}
