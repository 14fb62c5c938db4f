//! Draw: items at random, each with a chance of its own, in constant time (Walker and Vose).

use super::dice::Dice;

/// A table to draw codes from.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    /// Per place: the chance, of 2^32, to stay; else its alias.
    stay: Vec<u32>,
    alias: Vec<u32>,
    chances: Vec<f32>,
}

impl Draw {
    /// Chances in proportion to weights, which are finite, not negative and not all 0.
    pub(crate) fn new(weights: &[f64]) -> Draw {
        let (n, total) = (weights.len(), weights.iter().sum::<f64>());
        let mut left: Vec<f64> = weights.iter().map(|w| w / total * n as f64).collect();
        let chances = left.iter().map(|share| (share / n as f64) as f32).collect();
        let mut alias: Vec<u32> = (0..n as u32).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|at| left[*at as usize] < 1.0);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            alias[low as usize] = high;
            left[high as usize] -= 1.0 - left[low as usize];
            if left[high as usize] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        // What is left over is 1 but for rounding, and its own alias.
        let stay = left.iter().map(|share| (share.clamp(0.0, 1.0) * u32::MAX as f64) as u32);
        Draw { stay: stay.collect(), alias, chances }
    }

    /// In proportion to counts to a power; counts of 0 are never drawn, unless all are 0, when all
    /// are alike.
    pub(crate) fn of_counts(counts: &[u32], power: f64) -> Draw {
        let weight = |count: &u32| if *count == 0 { 0.0 } else { f64::from(*count).powf(power) };
        let weights: Vec<f64> = counts.iter().map(weight).collect();
        match weights.iter().any(|w| *w > 0.0) {
            true => Draw::new(&weights),
            false => Draw::new(&vec![1.0; counts.len()]),
        }
    }

    /// One code.
    pub(crate) fn draw(&self, dice: &mut Dice) -> u32 {
        let number = dice.number();
        let at = (((number >> 32) * self.stay.len() as u64) >> 32) as usize;
        if (number as u32) < self.stay[at] { at as u32 } else { self.alias[at] }
    }

    /// The chance of each code.
    pub(crate) fn chances(&self) -> &[f32] {
        &self.chances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: codes come as often as their chances say, and those without one never.
    #[test]
    fn codes_are_drawn_by_their_chances() {
        let draw = Draw::of_counts(&[1, 0, 8, 27, 64], 1.0 / 3.0);
        let (mut dice, mut seen) = (Dice::new(7, 1), [0u32; 5]);
        for _ in 0..100_000 {
            seen[draw.draw(&mut dice) as usize] += 1;
        }
        for (seen, chance) in seen.iter().zip([0.1, 0.0, 0.2, 0.3, 0.4]) {
            let share = f64::from(*seen) / 100_000.0;
            assert!((share - chance).abs() < 0.01, "{share} of {chance}");
        }
        assert_eq!(seen[1], 0);
    }
}
