//! Lists: rows of codes that lie end to end.

use super::rows::starts;
use crate::{
    artifact::{Opened, Saved},
    error::Result,
    model::shelf,
};

/// Lists of numbers, end to end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lists {
    starts: Vec<usize>,
    all: Vec<u32>,
}

impl Lists {
    pub(crate) fn new() -> Lists {
        Lists { starts: vec![0], all: Vec::new() }
    }

    pub(crate) fn push(&mut self, list: impl IntoIterator<Item = u32>) {
        self.all.extend(list);
        self.starts.push(self.all.len());
    }

    /// How many lists there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many numbers there are in all.
    pub(crate) fn total(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, list: u32) -> &[u32] {
        &self.all[self.starts[list as usize]..self.starts[list as usize + 1]]
    }

    /// For every number below `below`: the lists that have it, ascending, the first `most` of them.
    pub(crate) fn inverted(&self, below: usize, most: usize) -> Lists {
        let mut lengths = vec![0u32; below];
        let room = |lengths: &[u32], number: u32| (lengths[number as usize] as usize) < most;
        for number in &self.all {
            if room(&lengths, *number) {
                lengths[*number as usize] += 1;
            }
        }
        let starts = starts(&lengths);
        let mut all = vec![0u32; starts[below]];
        lengths.fill(0);
        for list in 0..self.len() as u32 {
            for number in self.get(list) {
                if room(&lengths, *number) {
                    let number = *number as usize;
                    all[starts[number] + lengths[number] as usize] = list;
                    lengths[number] += 1;
                }
            }
        }
        Lists { starts, all }
    }

    /// Saves to two sections from `number` on.
    pub(crate) fn save(&self, out: &mut Saved, number: u16) -> Result<()> {
        let lengths: Vec<u32> = self.starts.windows(2).map(|p| (p[1] - p[0]) as u32).collect();
        shelf::put_u32(out, number, &lengths)?;
        shelf::put_u32(out, number + 1, &self.all)
    }

    /// Opens what [`Lists::save`] saved: numbers below `below`.
    pub(crate) fn open(from: &Opened, number: u16, below: usize) -> Result<Lists> {
        let count = shelf::count(from, number)?;
        let lengths = shelf::take_u32(from, number, count, u32::MAX)?;
        let count = shelf::count(from, number + 1)?;
        let all =
            shelf::take_u32(from, number + 1, count, u32::try_from(below).unwrap_or(u32::MAX))?;
        let starts = starts(&lengths);
        match starts.last() == Some(&count) {
            true => Ok(Lists { starts, all }),
            false => Err(from.damage("lengths of lists")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: turning lists inside out keeps the first lists of each number, in order.
    #[test]
    fn inverted_lists_are_ascending_and_cut() {
        let mut lists = Lists::new();
        [vec![2, 0], vec![], vec![0], vec![0, 2]].into_iter().for_each(|list| lists.push(list));
        let by = lists.inverted(4, 2);
        let got: Vec<&[u32]> = (0..4).map(|number| by.get(number)).collect();
        assert_eq!(got, [&[0, 2][..], &[], &[0, 3], &[]]);
    }
}
