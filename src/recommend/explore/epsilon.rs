//! Epsilon-greedy: mostly the best so far, now and then anything.

use super::{Arm, Bandit, Deal, Rewards, best_first};
use crate::{
    error::{Error, Result},
    recommend::Context,
    vector::dice::Dice,
};

/// Gives each slot to the best arm that is left, or, with a probability, to any that is left.
///
/// The best is that with the largest mean (successes + prior) / (chances + prior); equal ones in the
/// order of the arms. Propensities are exact: the probability of an arm to get a slot, over all that the
/// lots could have done in the slots before it.
///
/// ```
/// use bowerbird::recommend::*;
/// let one_in_ten = EpsilonGreedy::new(0.1, Rewards::new(["click"], ["impression"]));
/// let explore = Explore::unshown(["impression"], 100, 1).bandit(one_in_ten);
/// ```
#[derive(Clone, Debug)]
pub struct EpsilonGreedy {
    epsilon: f64,
    rewards: Rewards,
}

/// What its lots are drawn for.
const LOTS: u64 = 2;

impl EpsilonGreedy {
    /// Anything with probability `epsilon`, 0 to 1.
    pub fn new(epsilon: f64, rewards: Rewards) -> EpsilonGreedy {
        EpsilonGreedy { epsilon, rewards }
    }
}

impl Bandit for EpsilonGreedy {
    fn name(&self) -> String {
        format!("EpsilonGreedy({}, {})", self.epsilon, self.rewards.name())
    }

    fn deal(&self, cx: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal> {
        if !(0.0..=1.0).contains(&self.epsilon) {
            let why = format!("is {}; it must be 0 to 1", self.epsilon);
            return Err(Error::invalid("epsilon of EpsilonGreedy", why));
        }
        let beta = self.rewards.of(cx, arms)?;
        let means: Vec<f64> = beta.iter().map(|(won, lost)| won / (won + lost)).collect();
        let order = best_first(&means);
        let mut dice = Dice::new(cx.request.lots(), LOTS);
        let (mut left, mut picks) = (order.clone(), Vec::with_capacity(slots));
        for _ in 0..slots.min(arms.len()) {
            let any = dice.fine() < self.epsilon;
            picks.push(left.remove(if any { dice.below(left.len()) } else { 0 }));
        }
        let mut chances = vec![0f32; slots * arms.len()];
        let shares = shares(arms.len(), slots, self.epsilon);
        for (rank, arm) in order.iter().enumerate() {
            let share = &shares[rank.min(shares.len() - 1)];
            for (slot, chance) in share.iter().enumerate() {
                chances[slot * arms.len() + arm] = *chance as f32;
            }
        }
        Ok(Deal::new(picks, chances))
    }
}

/// How likely the arm at a rank is to get each slot. Below the number of slots all ranks are alike: what
/// is best cannot get to them; so there are at most one more lists than slots.
fn shares(arms: usize, slots: usize, epsilon: f64) -> Vec<Vec<f64>> {
    (0..arms.min(slots + 1)).map(|rank| share(arms, rank, slots, epsilon)).collect()
}

/// The same for one rank. What is known of the arms before a slot is how many better ones are left: that
/// many, with such a probability, and this one not taken yet.
fn share(arms: usize, rank: usize, slots: usize, epsilon: f64) -> Vec<f64> {
    let mut better = vec![0.0; rank + 1];
    better[rank] = 1.0;
    let mut share = Vec::with_capacity(slots);
    for slot in 0..slots.min(arms) {
        let left = (arms - slot) as f64;
        let mut next = vec![0.0; rank + 1];
        let mut taken = 0.0;
        for (count, chance) in better.iter().enumerate().filter(|(_, chance)| **chance > 0.0) {
            let greedy = 1.0 - epsilon;
            taken += chance * epsilon / left;
            match count {
                0 => taken += chance * greedy,
                _ => next[count - 1] += chance * (greedy + epsilon * count as f64 / left),
            }
            next[count] += chance * epsilon * (left - 1.0 - count as f64).max(0.0) / left;
        }
        share.push(taken);
        better = next;
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: shares are the probabilities of the process. Method: walk all that can happen.
    #[test]
    fn shares_are_those_of_all_that_can_happen() {
        fn walk(
            left: &[usize],
            slot: usize,
            chance: f64,
            (slots, epsilon): (usize, f64),
            sum: &mut [Vec<f64>],
        ) {
            if slot == slots {
                return;
            }
            for (at, rank) in left.iter().enumerate() {
                let greedy = if at == 0 { 1.0 - epsilon } else { 0.0 };
                let here = chance * (greedy + epsilon / left.len() as f64);
                sum[*rank][slot] += here;
                let rest: Vec<usize> = left.iter().copied().filter(|r| r != rank).collect();
                walk(&rest, slot + 1, here, (slots, epsilon), sum);
            }
        }
        for (arms, slots, epsilon) in
            [(5, 3, 0.3), (4, 4, 0.1), (6, 2, 1.0), (3, 1, 0.0), (7, 4, 0.5)]
        {
            let mut sum = vec![vec![0.0; slots]; arms];
            walk(&(0..arms).collect::<Vec<_>>(), 0, 1.0, (slots, epsilon), &mut sum);
            let shares = shares(arms, slots, epsilon);
            for (rank, sum) in sum.iter().enumerate() {
                for (a, b) in sum.iter().zip(&shares[rank.min(shares.len() - 1)]) {
                    assert!((a - b).abs() < 1e-12, "{arms} {slots} {epsilon} {rank}: {a} {b}");
                }
            }
        }
    }
}
