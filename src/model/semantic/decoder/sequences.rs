//! CodeSequences: what users did, in order, as semantic IDs.

use crate::{
    error::{Error, Result},
    key::Key,
    model::Sequences,
    semantic::SemanticId,
};

/// No ID: the item has none, or it never occurs.
pub(super) const NONE: u32 = u32::MAX;

/// Sequences of semantic IDs, oldest first: all that [`NextCodes`](super::NextCodes) reads.
///
/// ```
/// use bowerbird::{Key, SemanticId, model::{Sequences, semantic::CodeSequences}};
/// let sequences = Sequences::new([(7, vec![(Key::Id(1), 10), (Key::Id(2), 20)])])?;
/// let codes = CodeSequences::of(&sequences, |key| match key {
///     Key::Id(id) => SemanticId::new(&[*id as u16, 0]).ok(),
///     Key::Name(_) => None,
/// });
/// assert_eq!((codes.len(), codes.events()), (1, 2));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CodeSequences {
    /// Those that occur, ascending.
    ids: Vec<SemanticId>,
    /// Numbers of `ids`, sequence after sequence.
    steps: Vec<u32>,
    starts: Vec<usize>,
    /// By code of the vocabulary; `None` where there is no vocabulary.
    of_item: Option<Vec<u32>>,
}

impl CodeSequences {
    /// Of lists, each in time order; empty ones are left out.
    ///
    /// Validation cases speak of items, so training on these cannot be judged: see
    /// [`CodeSequences::of`].
    pub fn new(lists: impl IntoIterator<Item = Vec<SemanticId>>) -> CodeSequences {
        let lists: Vec<Vec<SemanticId>> = lists.into_iter().collect();
        let mut ids: Vec<SemanticId> = lists.iter().flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut all = CodeSequences { ids, starts: vec![0], ..CodeSequences::default() };
        for list in &lists {
            all.steps.extend(list.iter().map(|id| number(&all.ids, Some(*id))));
            all.end();
        }
        all
    }

    /// Of sequences of items, and what says the ID of an item; items without one are passed over.
    pub fn of(
        sequences: &Sequences,
        mut id: impl FnMut(&Key) -> Option<SemanticId>,
    ) -> CodeSequences {
        let of_item: Vec<Option<SemanticId>> =
            sequences.vocabulary().keys().iter().map(&mut id).collect();
        let mut ids: Vec<SemanticId> =
            sequences.iter().flatten().filter_map(|item| of_item[*item as usize]).collect();
        ids.sort_unstable();
        ids.dedup();
        let of_item: Vec<u32> = of_item.into_iter().map(|id| number(&ids, id)).collect();
        let mut all = CodeSequences { ids, starts: vec![0], ..CodeSequences::default() };
        for items in sequences.iter() {
            let steps = items.iter().map(|item| of_item[*item as usize]);
            all.steps.extend(steps.filter(|id| *id != NONE));
            all.end();
        }
        all.of_item = Some(of_item);
        all
    }

    fn end(&mut self) {
        if self.starts.last() != Some(&self.steps.len()) {
            self.starts.push(self.steps.len());
        }
    }

    /// How many sequences there are.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events there are in all.
    pub fn events(&self) -> usize {
        self.steps.len()
    }

    /// The IDs that occur, ascending.
    pub fn ids(&self) -> &[SemanticId] {
        &self.ids
    }

    /// All sequences, as numbers of `ids`.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|ends| &self.steps[ends[0]..ends[1]])
    }

    /// How often each ID occurs.
    pub(super) fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0u32; self.ids.len()];
        self.steps.iter().for_each(|id| counts[*id as usize] += 1);
        counts
    }

    /// The share of events, first ones aside, whose ID the sequence had before.
    pub(super) fn repeats(&self) -> f64 {
        let (mut again, mut all, mut seen) = (0u64, 0u64, std::collections::HashSet::new());
        for ids in self.iter() {
            seen.clear();
            all += ids.len() as u64 - 1;
            again += ids.iter().filter(|id| !seen.insert(**id)).count() as u64;
        }
        if all == 0 { 0.0 } else { again as f64 / all as f64 }
    }

    /// The number of each item's ID, or `NONE`, by the item's code.
    ///
    /// # Errors
    /// `Invalid` if there never were items.
    pub(super) fn of_item(&self) -> Result<&[u32]> {
        let why = "were made of lists of IDs, so validation cases, which speak of items, cannot be \
                   read. Make them with `CodeSequences::of`, or train without cases.";
        self.of_item.as_deref().ok_or_else(|| Error::invalid("code sequences", why))
    }

    /// Refuses IDs that are not of these widths.
    pub(super) fn check(&self, widths: &[usize]) -> Result<()> {
        let fits = |id: &&SemanticId| fits(id, widths);
        match self.ids.iter().find(|id| !fits(id)) {
            None => Ok(()),
            Some(id) => {
                let why = format!(
                    "is not of the widths {widths:?}. Are sequences and widths of one codebook?"
                );
                Err(Error::invalid(format!("semantic ID {id} of a sequence"), why))
            }
        }
    }
}

/// Whether an ID has these levels, and its codes are below their widths.
pub(super) fn fits(id: &SemanticId, widths: &[usize]) -> bool {
    id.codes().len() == widths.len()
        && id.codes().iter().zip(widths).all(|(code, width)| usize::from(*code) < *width)
}

fn number(ids: &[SemanticId], id: Option<SemanticId>) -> u32 {
    id.and_then(|id| ids.binary_search(&id).ok()).map_or(NONE, |at| at as u32)
}
