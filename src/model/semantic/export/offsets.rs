//! Values and offsets, level by level: tables for engines that look up the next tokens of a prefix.

use super::array::{Array, Handover, number};
use crate::{
    error::Result,
    semantic::{SemanticId, Trie},
};

impl Trie {
    /// The trie level by level, as compressed rows: `values.l` are the codes of all nodes of level `l`,
    /// those of one parent side by side and ascending; the children of node `n` of level `l - 1` (of the
    /// root, for level 0) are `values.l[offsets.l[n]..offsets.l[n + 1]]`. `by_code` (widths\[0\] + 1, where
    /// there is a second level) are the offsets of level 1 once more, by the first code instead of the
    /// node: codes that no ID begins with have none. All numbers are `i32`.
    ///
    /// Of three levels these are the constraint tables of xLLM (jd-opensource/xllm, `RecVocabDict`), with
    /// a vocabulary of the first level's width:
    ///
    /// | here | there |
    /// |---|---|
    /// | `values.0` | `first_token_ids` |
    /// | `by_code`, `values.1` | `prefix1_offsets`, `prefix1_values` |
    /// | `offsets.2`, `values.2` | `prefix2_value_offsets`, `prefix2_values` |
    ///
    /// Its `prefix1_pair_keys` are first code times vocabulary plus second code of the same pairs.
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
            // The root is there even if nothing is below it.
            if ids.is_empty() && level == 0 {
                offsets.push(0);
            }
            arrays.push(Array::i32s("values", &[values.len()], &values).of_level(level));
            arrays.push(Array::i32s("offsets", &[offsets.len()], &offsets).of_level(level));
        }
        if self.widths().len() > 1 {
            let by_code = by_code(&ids, self.widths()[0])?;
            arrays.push(Array::i32s("by_code", &[by_code.len()], &by_code));
        }
        Ok(Handover::new(self, arrays))
    }
}

/// Of every first code, and of the end, how many prefixes of two codes come before it.
fn by_code(ids: &[SemanticId], width: usize) -> Result<Vec<i32>> {
    let (mut counts, mut before) = (vec![0usize; width + 1], None);
    for pair in ids.iter().map(|id| id.prefix(2)) {
        if before.replace(pair) != Some(pair) {
            counts[usize::from(pair.codes()[0]) + 1] += 1;
        }
    }
    let mut sum = 0;
    let add = |count: usize| {
        sum += count;
        number(sum)
    };
    counts.into_iter().map(add).collect()
}
