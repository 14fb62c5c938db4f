//! Margin: which items to explore come near enough to those that they would push out.

use crate::recommend::{Chosen, Ranked};

/// How far an item's score may be below that of the one whose place it gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margin(pub(super) f32);

impl Margin {
    fn is_wide(self) -> bool {
        self.0 == f32::INFINITY
    }

    fn near(self, ranked: &Ranked<'_>, arm: usize, score: f32) -> bool {
        ranked.score(arm) + self.0 >= score
    }

    /// How many of the first items to explore are worth their places, where they get them in order: up
    /// to the first that is not.
    pub(super) fn first(
        self,
        ranked: &Ranked<'_>,
        usual: &[Chosen],
        (arms, limit): (&[usize], usize),
    ) -> usize {
        if self.is_wide() {
            return arms.len();
        }
        let worth = |(at, arm): (usize, &usize)| {
            // Where the item has a place by its own score, or the slate is shorter than was asked for,
            // nobody loses one.
            let own = usual.iter().any(|chosen| chosen.place == *arm);
            let mut others = usual.iter().filter(|other| !arms[..at].contains(&other.place));
            let last = limit.checked_sub(at + 1).and_then(|last| others.nth(last));
            own || last.is_none_or(|last| self.near(ranked, *arm, ranked.score(last.place)))
        };
        arms.iter().enumerate().take_while(|arm| worth(*arm)).count()
    }

    /// The items to explore that may have any of the last places, whoever gets the others, and how many
    /// places those are, at most `most`.
    ///
    /// The items above those places stay there and are not among them, so who is above does not hang on
    /// who gets a place. The fewer places, the lower what is pushed out; so there are as many places as
    /// there are items near enough to the best that would lose one.
    pub(super) fn any(
        self,
        ranked: &Ranked<'_>,
        usual: &[Chosen],
        arms: Vec<usize>,
        (most, limit): (usize, usize),
    ) -> (Vec<usize>, usize) {
        if self.is_wide() {
            return (arms, most);
        }
        for slots in (1..=most).rev() {
            let (stay, tail) = usual.split_at((limit - slots).min(usual.len()));
            let is_in = |list: &[Chosen], arm: usize| list.iter().any(|one| one.place == arm);
            let best = tail.iter().map(|one| ranked.score(one.place)).reduce(f32::max);
            let near = |arm: &usize| {
                let near = best.is_none_or(|best| self.near(ranked, *arm, best));
                !is_in(stay, *arm) && (near || is_in(tail, *arm))
            };
            let near: Vec<usize> = arms.iter().copied().filter(near).collect();
            if near.len() >= slots {
                return (near, slots);
            }
        }
        (Vec::new(), 0)
    }
}
