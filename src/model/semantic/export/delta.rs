//! What has changed since another trie, and from IDs back to items.

use crate::{
    error::{Error, Result},
    key::{Addr, Key},
    semantic::{Node, SemanticId, Trie},
    store::Snapshot,
};

/// The IDs that one trie has and another has not. See [`Trie::delta`].
///
/// ```
/// assert!(bowerbird::model::semantic::Delta::default().added.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Delta {
    /// IDs that have come, ascending.
    pub added: Vec<SemanticId>,
    /// IDs that have gone, ascending.
    pub removed: Vec<SemanticId>,
}

impl Trie {
    /// What a decoder that has an older trie must add and remove to have this one.
    ///
    /// # Errors
    /// `Invalid` if they are not of the same version of the same codebook.
    ///
    /// ```
    /// use bowerbird::{Result, model::semantic::Delta, semantic::Trie};
    /// fn update(before: &Trie, now: &Trie) -> Result<Delta> {
    ///     now.delta(before)
    /// }
    /// ```
    pub fn delta(&self, older: &Trie) -> Result<Delta> {
        let ((name, version), (other, before)) = (self.codebook(), older.codebook());
        if (name, version) != (other, before) {
            let why = format!("is of {name}@{version}, the older one of {other}@{before}");
            return Err(Error::invalid("trie", why));
        }
        let (new, old) = (self.ids(), older.ids());
        Ok(Delta { added: missing(&new, &old), removed: missing(&old, &new) })
    }

    /// The keys of the items that have an ID, or whose ID begins with it, ascending; none if there is
    /// no such item any more, or none that the trie allows. What was deleted or erased between the trie
    /// and the snapshot is not among them.
    ///
    /// # Errors
    /// As [`Snapshot::key`]; `Invalid` if the trie is not of the snapshot.
    ///
    /// ```
    /// use bowerbird::{*, semantic::Trie};
    /// fn titles(snapshot: &Snapshot, trie: &Trie, text: &str) -> Result<Vec<Key>> {
    ///     trie.keys(snapshot, &text.parse()?)
    /// }
    /// ```
    pub fn keys(&self, snapshot: &Snapshot, prefix: &SemanticId) -> Result<Vec<Key>> {
        self.must_be_of(snapshot)?;
        let Some(node) = self.find(prefix) else { return Ok(Vec::new()) };
        let mut keys = self
            .items_in(snapshot, &node)
            .map(|a| snapshot.key(a))
            .collect::<Result<Vec<Key>>>()?;
        keys.sort();
        Ok(keys)
    }

    /// The items below a node that the snapshot still has: a commit that only deletes leaves addresses
    /// as they are.
    pub(in crate::model::semantic) fn items_in<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        node: &Node,
    ) -> impl Iterator<Item = Addr> + 'a {
        self.items(node).filter(|addr| snapshot.is_alive(*addr))
    }

    /// Refuses another snapshot: an address there is another item.
    pub(in crate::model::semantic) fn must_be_of(&self, snapshot: &Snapshot) -> Result<()> {
        if snapshot.segments() == self.segments {
            return Ok(());
        }
        let (own, other) = (self.seq().0, snapshot.seq().0);
        let why = format!("of commit {own} is not of this snapshot, of commit {other}");
        Err(Error::invalid("trie", why))
    }

    /// From decoded IDs to items: for each ID the keys of its items, in the order of the IDs.
    ///
    /// # Errors
    /// `Invalid` for an ID of another length or with a code that is not there, and as [`Trie::keys`].
    ///
    /// ```
    /// use bowerbird::{*, semantic::Trie};
    /// fn items(snapshot: &Snapshot, trie: &Trie, beams: &[SemanticId]) -> Result<Vec<Key>> {
    ///     Ok(trie.resolve(snapshot, beams)?.into_iter().flatten().collect())
    /// }
    /// ```
    pub fn resolve(&self, snapshot: &Snapshot, beams: &[SemanticId]) -> Result<Vec<Vec<Key>>> {
        let resolve = |id: &SemanticId| {
            let (codes, widths) = (id.codes(), self.widths());
            let known = codes.iter().zip(widths).all(|(code, width)| usize::from(*code) < *width);
            if codes.len() != widths.len() || !known {
                let (name, version) = self.codebook();
                let why = format!("is not of {name}@{version}, whose widths are {widths:?}");
                return Err(Error::invalid(format!("semantic ID {id}"), why));
            }
            self.keys(snapshot, id)
        };
        beams.iter().map(resolve).collect()
    }
}

/// What the first of two ascending lists has and the second has not.
fn missing(list: &[SemanticId], other: &[SemanticId]) -> Vec<SemanticId> {
    let mut rest = other.iter().peekable();
    let lacks = |id: &&SemanticId| {
        while rest.next_if(|next| next < id).is_some() {}
        rest.peek() != Some(id)
    };
    list.iter().filter(lacks).copied().collect()
}
