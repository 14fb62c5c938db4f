//! Side information: words about items, as symbols beside them.

use crate::{key::Key, model::Vocabulary};
use std::collections::BTreeMap;

/// The tokens of all items. A *symbol* is an item's code, or the number of items plus the place of
/// a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    /// All that occur, ascending.
    pub(super) names: Vec<String>,
    /// By code, where the symbols of its tokens begin; empty if there are no tokens at all.
    starts: Vec<usize>,
    symbols: Vec<u32>,
}

impl Tokens {
    pub(super) fn new(side_info: &[(Key, Vec<String>)], vocabulary: &Vocabulary) -> Tokens {
        let mut lists: BTreeMap<u32, Vec<&String>> = BTreeMap::new();
        for (key, tokens) in side_info {
            if let Some(code) = vocabulary.code(key) {
                lists.entry(code).or_default().extend(tokens);
            }
        }
        let mut names: Vec<String> = lists.values().flatten().map(|name| (*name).clone()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Tokens::default();
        }
        let items = vocabulary.len() as u32;
        let (mut starts, mut symbols) = (vec![0], Vec::new());
        for code in 0..items {
            let mut own: Vec<u32> = lists
                .get(&code)
                .into_iter()
                .flatten()
                .flat_map(|name| names.binary_search(name).ok().map(|at| items + at as u32))
                .collect();
            own.sort_unstable();
            own.dedup();
            symbols.extend(own);
            starts.push(symbols.len());
        }
        Tokens { names, starts, symbols }
    }

    /// The tokens of an item, as symbols.
    pub(super) fn of(&self, code: u32) -> &[u32] {
        match self.starts.is_empty() {
            true => &[],
            false => &self.symbols[self.starts[code as usize]..self.starts[code as usize + 1]],
        }
    }
}
