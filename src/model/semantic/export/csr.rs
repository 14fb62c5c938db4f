//! STATIC's layout: a table for the first levels, one sparse matrix for all.
//!
//! The layout is that of github.com/youtube/static-constraint-decoding, Apache License 2.0, of whose code
//! nothing is here. `tests/parity/make_static.py` runs its builder, and `tests/suite/semantic_exports.rs`
//! compares number by number.

use super::array::{Array, Handover, number};
use crate::{
    error::{Error, Result},
    semantic::{SemanticId, Trie},
};

/// Most entries of a dense table: 1 GiB of states.
const DENSE_MAX: usize = 1 << 28;

impl Trie {
    /// The trie in the layout of STATIC (Sparse Transition-Accelerated Trie Index, YouTube 2026), the
    /// same arrays as its own builder makes of the same IDs:
    ///
    /// | array | shape | |
    /// |---|---|---|
    /// | `packed_csr` | edges + vocabulary, 2 | of every edge below the first level its code and the state it leads to, 0 at the end |
    /// | `indptr` | states + 2 | where the edges of each state begin |
    /// | `layer_max_branches` | levels | most children of a node of each level |
    /// | `start_mask` | vocabulary | which codes an ID begins with |
    /// | `dense_mask`, `dense_states` | vocabulary, `dense` times | which first `dense` codes there are, and the state they lead to |
    ///
    /// State 0 is the end, state `c + 1` the first code `c`; states of longer prefixes follow level by
    /// level, in order. `vocabulary` is the number of codes the decoder has on every level. All numbers
    /// are `i32`, masks bytes of 0 or 1.
    ///
    /// # Errors
    /// `Invalid` for an empty trie, a vocabulary that has not all codes, `dense` outside of 1 to one less
    /// than the levels, or tables that are too large.
    pub fn to_static(&self, vocabulary: usize, dense: usize) -> Result<Handover> {
        let (ids, levels) = (self.ids(), self.widths().len());
        check(self, &ids, vocabulary, dense)?;
        let build = Build::new(&ids, levels, vocabulary)?;
        let edges = build.edges(&ids)?;
        let states = build.next;
        let mut counts = vec![0usize; states];
        edges.iter().for_each(|edge| counts[edge.0] += 1);
        let mut indptr = Vec::with_capacity(states + 2);
        let mut sum = 0usize;
        indptr.push(0);
        for count in &counts {
            sum += count;
            indptr.push(number(sum)?);
        }
        indptr.push(number(sum + vocabulary)?);
        let mut packed = Vec::with_capacity(2 * (edges.len() + vocabulary));
        for (_, code, child) in &edges {
            packed.extend([i32::from(*code), number(*child)?]);
        }
        packed.extend(std::iter::repeat_n([number(vocabulary)?, 0], vocabulary).flatten());
        let branches = build.branches(&ids, &counts)?;
        let (start, mask, places) = build.dense(&ids, dense)?;
        let cube = vec![vocabulary; dense];
        let arrays = vec![
            Array::i32s("packed_csr", &[packed.len() / 2, 2], &packed),
            Array::i32s("indptr", &[indptr.len()], &indptr),
            Array::i32s("layer_max_branches", &[levels], &branches),
            Array::bools("start_mask", &[vocabulary], &start),
            Array::bools("dense_mask", &cube, &mask),
            Array::i32s("dense_states", &cube, &places),
        ];
        Ok(Handover::new(self, arrays))
    }
}

fn check(trie: &Trie, ids: &[SemanticId], vocabulary: usize, dense: usize) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid("export in STATIC's layout", why));
    let levels = trie.widths().len();
    if ids.is_empty() {
        return refuse("is of a trie without items".into());
    }
    if let Some(width) = trie.widths().iter().find(|width| **width > vocabulary) {
        return refuse(format!("has a vocabulary of {vocabulary}; a level has {width} codes"));
    }
    if !(1..levels).contains(&dense) {
        return refuse(format!("has {dense} dense levels of {levels}; 1 to one less than all"));
    }
    match u32::try_from(dense).ok().and_then(|d| vocabulary.checked_pow(d)) {
        Some(entries) if entries <= DENSE_MAX => Ok(()),
        _ => refuse(format!("has {dense} dense levels of {vocabulary} codes: too large a table")),
    }
}

/// States of the prefixes of sorted IDs.
struct Build {
    levels: usize,
    vocabulary: usize,
    /// For every ID the state of its prefix of each length below the whole.
    states: Vec<usize>,
    /// The first state of each level from the second on, and the end.
    begins: Vec<usize>,
    next: usize,
}

impl Build {
    fn new(ids: &[SemanticId], levels: usize, vocabulary: usize) -> Result<Build> {
        let mut build = Build {
            levels,
            vocabulary,
            states: vec![0; ids.len() * (levels - 1)],
            begins: Vec::new(),
            next: vocabulary + 1,
        };
        let width = levels - 1;
        for (at, id) in ids.iter().enumerate() {
            build.states[at * width] = usize::from(id.codes()[0]) + 1;
        }
        for depth in 1..width {
            build.begins.push(build.next);
            for at in 0..ids.len() {
                build.next += usize::from(is_new(ids, at, depth));
                build.states[at * width + depth] = build.next - 1;
            }
        }
        build.begins.push(build.next);
        number(build.next)?;
        Ok(build)
    }

    /// From which state by which code to which, level by level, ascending.
    fn edges(&self, ids: &[SemanticId]) -> Result<Vec<(usize, u16, usize)>> {
        let (width, mut edges) = (self.levels - 1, Vec::new());
        for depth in 1..self.levels {
            for (at, id) in ids.iter().enumerate().filter(|(at, _)| is_new(ids, *at, depth)) {
                let states = &self.states[at * width..][..width];
                let child = states.get(depth).copied().unwrap_or(0);
                edges.push((states[depth - 1], id.codes()[depth], child));
            }
        }
        number(edges.len())?;
        Ok(edges)
    }

    fn branches(&self, ids: &[SemanticId], counts: &[usize]) -> Result<Vec<i32>> {
        let first = (0..ids.len()).filter(|at| is_new(ids, *at, 0)).count();
        let most = |range: &[usize]| range.iter().copied().max().unwrap_or(0);
        let mut branches = vec![first, most(&counts[1..=self.vocabulary])];
        branches.extend(self.begins.windows(2).map(|pair| most(&counts[pair[0]..pair[1]])));
        branches.into_iter().map(number).collect()
    }

    #[allow(clippy::type_complexity)] // Three arrays.
    fn dense(&self, ids: &[SemanticId], dense: usize) -> Result<(Vec<u8>, Vec<u8>, Vec<i32>)> {
        let entries = self.vocabulary.pow(dense as u32);
        let mut start = vec![0u8; self.vocabulary];
        let (mut mask, mut places) = (vec![0u8; entries], vec![0i32; entries]);
        for (at, id) in ids.iter().enumerate() {
            let codes = &id.codes()[..dense];
            start[usize::from(codes[0])] = 1;
            let place = |sum, code: &u16| sum * self.vocabulary + usize::from(*code);
            let place = codes.iter().fold(0, place);
            mask[place] = 1;
            places[place] = number(self.states[at * (self.levels - 1) + dense - 1])?;
        }
        Ok((start, mask, places))
    }
}

/// Whether the prefix that ends at a depth begins with this ID.
fn is_new(ids: &[SemanticId], at: usize, depth: usize) -> bool {
    at == 0 || ids[at].shared(&ids[at - 1]) <= depth
}
