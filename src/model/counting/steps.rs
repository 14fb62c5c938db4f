//! Steps: what stands before and after every occurrence of an item.

use crate::error::{Error, Result};

/// Sequences end to end, and where in them each item occurs.
///
/// Eight bytes an event. Every row of a table can be counted alone, so memory does not grow with the
/// number of pairs, as a map of pairs does, and threads share nothing.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Codes, with `END` before, between and after sequences.
    flat: Vec<u32>,
    /// Per item: where its places begin, and one more.
    starts: Vec<usize>,
    places: Vec<u32>,
}

/// No item: the end of a sequence. Codes stay far below it.
const END: u32 = u32::MAX;

impl Steps {
    /// Of lists of codes below `items`.
    ///
    /// # Errors
    /// `Invalid` for more than four billion events.
    pub(crate) fn new<'a>(lists: impl Iterator<Item = &'a [u32]>, items: usize) -> Result<Steps> {
        let (mut flat, mut starts) = (vec![END], vec![0usize; items + 1]);
        for list in lists {
            flat.extend_from_slice(list);
            flat.push(END);
            list.iter().for_each(|item| starts[*item as usize + 1] += 1);
        }
        if u32::try_from(flat.len()).is_err() {
            return Err(Error::invalid("sequences", "have more than 4,294,967,295 events"));
        }
        (0..items).for_each(|item| starts[item + 1] += starts[item]);
        let mut next = starts.clone();
        let mut places = vec![0u32; starts[items]];
        for (place, item) in (0u32..).zip(&flat).filter(|(_, item)| **item != END) {
            places[next[*item as usize]] = place;
            next[*item as usize] += 1;
        }
        Ok(Steps { flat, starts, places })
    }

    /// How many items there may be.
    pub(crate) fn items(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where an item occurs, in the order of sequences.
    pub(crate) fn places(&self, item: u32) -> &[u32] {
        &self.places[self.starts[item as usize]..self.starts[item as usize + 1]]
    }

    /// What comes after a place, nearest first, at most `reach` steps away.
    pub(crate) fn after(&self, place: u32, reach: usize) -> impl Iterator<Item = u32> {
        let rest = &self.flat[place as usize + 1..];
        rest.iter().copied().take(reach).take_while(|item| *item != END)
    }

    /// What comes before a place, nearest first, at most `reach` steps away.
    pub(crate) fn before(&self, place: u32, reach: usize) -> impl Iterator<Item = u32> {
        let rest = &self.flat[..place as usize];
        rest.iter().rev().copied().take(reach).take_while(|item| *item != END)
    }
}

/// The last `most` different items of a sequence, in the order of their last occurrence.
///
/// What a user has, where only that counts; the limit keeps a sequence of 100,000 events from
/// costing the square of that.
pub(crate) fn different(items: &[u32], most: usize) -> Vec<u32> {
    let mut seen = std::collections::HashSet::new();
    let last = items.iter().rev().filter(|item| seen.insert(**item)).take(most);
    let mut last: Vec<u32> = last.copied().collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: neighbours never come from another sequence, and are nearest first.
    #[test]
    fn steps_stay_within_a_sequence() {
        let lists: [&[u32]; 4] = [&[0, 1, 2], &[], &[1], &[2, 1, 0, 1]];
        let steps = Steps::new(lists.into_iter(), 4).unwrap();
        let after = |item, reach| -> Vec<Vec<u32>> {
            steps.places(item).iter().map(|p| steps.after(*p, reach).collect()).collect()
        };
        assert_eq!(after(1, 9), [vec![2], vec![], vec![0, 1], vec![]]);
        assert_eq!(after(2, 2), [vec![], vec![1, 0]]);
        assert!(after(3, 2).is_empty());
        let last = steps.places(0)[1];
        assert_eq!(steps.before(last, 9).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(steps.before(last, 1).collect::<Vec<_>>(), [1]);
    }

    /// Goal: of repeats the last counts, and the limit cuts the oldest.
    #[test]
    fn different_items_are_the_latest() {
        assert_eq!(different(&[5, 1, 2, 1, 3], 9), [5, 2, 1, 3]);
        assert_eq!(different(&[5, 1, 2, 1, 3], 2), [1, 3]);
        assert!(different(&[], 2).is_empty());
    }
}
