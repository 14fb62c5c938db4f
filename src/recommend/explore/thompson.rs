//! Thompson sampling: each arm as often as it may be the best (Thompson, 1933; Chapelle and Li, 2011).

use super::{Arm, Bandit, Deal, Rewards, best_first};
use crate::{
    error::{Error, Result},
    recommend::Context,
    vector::dice::Dice,
};

/// Draws a rate for each arm from what is believed of it, Beta(successes, failures), and gives the slots
/// to the largest.
///
/// What is likely to be good is shown often, what is uncertain now and then, and what is known to be bad
/// hardly ever. Propensities are estimated: all arms are drawn [`draws`](Thompson::draws) times, the slate
/// is the first drawing, and an arm's chance at a slot is the share of drawings that gave it that slot. As
/// the first is one of them, no chance of what is shown is 0; and the mean of one over the estimate is
/// `(1 - (1 - p)^draws) / p`, so that inverse-propensity estimates miss by a share of `(1 - p)^draws`:
/// with 500 draws, by less than a hundredth for what is shown in at least 1 of 100 cases.
///
/// ```
/// use bowerbird::recommend::*;
/// let thompson = Thompson::new(Rewards::new(["click"], ["impression"])).draws(1000);
/// let explore = Explore::unshown(["impression"], 100, 2).bandit(thompson);
/// ```
#[derive(Clone, Debug)]
pub struct Thompson {
    rewards: Rewards,
    draws: usize,
}

const DRAWS: usize = 500;
const DRAWS_MAX: usize = 100_000;
/// What its lots are drawn for.
const LOTS: u64 = 3;

impl Thompson {
    /// By these rewards.
    pub fn new(rewards: Rewards) -> Thompson {
        Thompson { rewards, draws: DRAWS }
    }

    /// How often arms are drawn, 1 to 100,000; 500 unless set.
    pub fn draws(mut self, draws: usize) -> Thompson {
        self.draws = draws;
        self
    }
}

impl Bandit for Thompson {
    fn name(&self) -> String {
        format!("Thompson({})", self.rewards.name())
    }

    fn deal(&self, cx: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal> {
        if !(1..=DRAWS_MAX).contains(&self.draws) {
            let why = format!("are {}; 1 to {DRAWS_MAX}", self.draws);
            return Err(Error::invalid("draws of Thompson", why));
        }
        let beliefs = self.rewards.of(cx, arms)?;
        let mut dice = Dice::new(cx.request.lots(), LOTS);
        let (mut picks, mut counts) = (Vec::new(), vec![0u32; slots * arms.len()]);
        let mut rates = vec![0f64; arms.len()];
        for _ in 0..self.draws {
            for (rate, (won, lost)) in rates.iter_mut().zip(&beliefs) {
                *rate = beta(&mut dice, *won, *lost);
            }
            let order = first(&rates, slots);
            for (slot, arm) in order.iter().enumerate() {
                counts[slot * arms.len() + arm] += 1;
            }
            if picks.is_empty() {
                picks = order;
            }
        }
        let chances = counts.into_iter().map(|count| count as f32 / self.draws as f32).collect();
        Ok(Deal::new(picks, chances))
    }
}

/// The best arms, best first.
fn first(rates: &[f64], slots: usize) -> Vec<usize> {
    // One slot is the usual case, and needs no sorting.
    if slots == 1 {
        let better = |best: usize, at: usize| if rates[at] > rates[best] { at } else { best };
        return (0..rates.len()).reduce(better).into_iter().collect();
    }
    let mut order = best_first(rates);
    order.truncate(slots);
    order
}

/// A number from Beta(a, b), as the share of one of two gamma numbers.
fn beta(dice: &mut Dice, a: f64, b: f64) -> f64 {
    let (x, y) = (gamma(dice, a), gamma(dice, b));
    if x + y > 0.0 { x / (x + y) } else { 0.5 }
}

/// A number from Gamma(shape, 1) (Marsaglia and Tsang, 2000).
fn gamma(dice: &mut Dice, shape: f64) -> f64 {
    if shape < 1.0 {
        let unit = (dice.number() >> 11) as f64 + 0.5;
        return gamma(dice, shape + 1.0) * (unit / (1u64 << 53) as f64).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(dice.normal());
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - dice.fine()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: numbers have the mean and the variance of the beta distribution.
    #[test]
    fn beta_numbers_have_their_mean_and_variance() {
        let mut dice = Dice::new(7, 1);
        for (a, b) in [(1.0, 1.0), (0.3, 0.7), (2.0, 98.0), (50.0, 5.0)] {
            let n = 40_000;
            let all: Vec<f64> = (0..n).map(|_| beta(&mut dice, a, b)).collect();
            assert!(all.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = all.iter().sum::<f64>() / f64::from(n);
            let var = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            let (m, v) = (a / (a + b), a * b / ((a + b) * (a + b) * (a + b + 1.0)));
            assert!((mean - m).abs() < 4.0 * (v / f64::from(n)).sqrt(), "{a} {b}: {mean} {m}");
            assert!((var / v - 1.0).abs() < 0.06, "{a} {b}: {var} {v}");
        }
    }
}
