//! Values and offsets, level by level: tables for engines that look up the next tokens of a prefix.

use super::array::{Array, Handover, number};
use crate::{
    error::Result,
    semantic::{SemanticId, Trie},
};

impl Trie {
    /// The trie level by level, as compressed rows: `values.l` are the codes of all nodes of level `l`,
    /// those of one parent side by side and ascending; the children of node `n` of level `l - 1` (of the
    /// root, for level 0) are `values.l[offsets.l[n]..offsets.l[n + 1]]`. What a table from prefixes to
    /// next tokens says (as xLLM keeps for three levels), without hashing.
    ///
    /// # Errors
    /// `Invalid` if there are more nodes than `i32` counts.
    pub fn to_offsets(&self) -> Result<Handover> {
        let ids = self.ids();
        let mut arrays = Vec::new();
        for level in 0..self.widths().len() {
            let (mut values, mut offsets) = (Vec::new(), Vec::new());
            let mut before: Option<&SemanticId> = None;
            for id in &ids {
                let shared = before.map_or(0, |before| id.shared(before));
                if before.is_none() || shared < level {
                    offsets.push(number(values.len())?);
                }
                if before.is_none() || shared <= level {
                    values.push(i32::from(id.codes()[level]));
                }
                before = Some(id);
            }
            offsets.push(number(values.len())?);
            if offsets.len() == 1 {
                offsets.push(0);
            }
            arrays.push(Array::i32s("values", &[values.len()], &values).of_level(level));
            arrays.push(Array::i32s("offsets", &[offsets.len()], &offsets).of_level(level));
        }
        Ok(Handover::new(self, arrays))
    }
}
