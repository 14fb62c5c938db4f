//! Browsing a trie: what is below a prefix, how much of it, and some of it to look at.

use crate::{
    error::Result,
    key::Key,
    semantic::{SemanticId, Trie},
    store::Snapshot,
};

/// What is below one prefix. See [`Trie::browse`].
///
/// ```
/// use bowerbird::model::semantic::Shelf;
/// fn line(shelf: &Shelf) -> String {
///     format!("{}: {} items, like {:?}", shelf.prefix, shelf.count, shelf.keys)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shelf {
    /// The prefix, one code longer than what was browsed.
    pub prefix: SemanticId,
    /// How many items are below it: the area in a treemap.
    pub count: u64,
    /// The keys of some of them, ascending.
    pub keys: Vec<Key>,
}

impl Trie {
    /// The children of a prefix, most items first and equals by code, each with the keys of at most `some`
    /// of its items. They are taken at even steps through the items in the order of their IDs, so that a
    /// person sees how different they are. None if nothing is below the prefix. What was deleted or erased
    /// between the trie and the snapshot does not count.
    ///
    /// Takes a step for each item below the prefix.
    ///
    /// # Errors
    /// As [`Snapshot::key`]; `Invalid` if the trie is not of the snapshot.
    ///
    /// ```
    /// use bowerbird::{*, semantic::Trie};
    /// fn print(snapshot: &Snapshot, trie: &Trie, prefix: &SemanticId) -> Result<()> {
    ///     for shelf in trie.browse(snapshot, prefix, 5)? {
    ///         println!("{} {} {:?}", shelf.prefix, shelf.count, shelf.keys);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn browse(
        &self,
        snapshot: &Snapshot,
        prefix: &SemanticId,
        some: usize,
    ) -> Result<Vec<Shelf>> {
        self.must_be_of(snapshot)?;
        let Some(node) = self.find(prefix) else { return Ok(Vec::new()) };
        // Of one commit: all that the trie has is there.
        let same = self.seq() == snapshot.seq();
        let mut shelves = Vec::new();
        for (code, child) in self.children(&node) {
            let count = match same {
                true => self.count(&child),
                false => self.items_in(snapshot, &child).count() as u64,
            };
            if count == 0 {
                continue;
            }
            let mut keys = Vec::new();
            if some > 0 {
                let step = (count as usize).div_ceil(some).max(1);
                for addr in self.items_in(snapshot, &child).step_by(step) {
                    keys.push(snapshot.key(addr)?);
                }
            }
            keys.sort_unstable();
            let prefix = SemanticId::new(&[prefix.codes(), &[code]].concat())?;
            shelves.push(Shelf { prefix, count, keys });
        }
        // Stable: equals stay in order of their codes.
        shelves.sort_by_key(|shelf| std::cmp::Reverse(shelf.count));
        Ok(shelves)
    }
}
