//! Pairs: co-visits as they are gathered, equal ones summed now and then.

/// Items that were visited together, and how much.
pub(super) struct Pairs {
    all: Vec<(u32, u32, f64)>,
    /// How many there may be before equal ones are summed.
    most: usize,
}

/// Pairs gathered before equal ones are summed for the first time.
const GATHERED: usize = 1 << 22;

impl Pairs {
    /// None yet.
    pub(super) fn new() -> Pairs {
        Pairs { all: Vec::new(), most: GATHERED }
    }

    /// Adds a pair both ways.
    pub(super) fn add(&mut self, from: u32, to: u32, weight: f64) {
        self.all.push((from, to, weight));
        self.all.push((to, from, weight));
    }

    /// Sums equal pairs where many have been gathered; says whether it did. Memory is then twice what
    /// the pairs take that differ, or what [`GATHERED`] do, and what one user adds.
    pub(super) fn settle(&mut self) -> bool {
        if self.all.len() <= self.most {
            return false;
        }
        self.sum();
        // As many again: where most pairs differ, a sum after each user would sort them all each time.
        self.most = self.most.max(2 * self.all.len());
        true
    }

    /// All pairs, each once, in order.
    pub(super) fn summed(mut self) -> Vec<(u32, u32, f64)> {
        self.sum();
        self.all
    }

    /// Sums equal pairs; stable, so that sums do not depend on anything but the order of users.
    fn sum(&mut self) {
        self.all.sort_by_key(|pair| (pair.0, pair.1));
        self.all.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        self.all.retain(|pair| pair.2 != 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: many pairs that all differ are sorted a few times, not once for each user; and sums are
    /// those of adding.
    #[test]
    fn pairs_that_differ_are_not_summed_after_each_user() {
        let mut pairs = Pairs { most: 8, ..Pairs::new() };
        let sums = (0..10_000u32)
            .filter(|user| {
                pairs.add(0, user + 1, 1.0);
                pairs.add(0, 1, 0.5);
                pairs.settle()
            })
            .count();
        assert!((5..=30).contains(&sums), "{sums} sums for 20,000 pairs that differ");
        let all = pairs.summed();
        assert_eq!(all.len(), 20_000);
        assert_eq!((all[0], all[1]), ((0, 1, 5_001.0), (0, 2, 1.0)));
        assert!(
            all.iter().filter(|pair| pair.1 == 0).all(|pair| pair.2 == all[pair.0 as usize - 1].2)
        );
    }
}
