//! Linear: ridge regression that learns one example at a time, and how sure it is.

use crate::store::weight::{Weight, block};

/// What is believed of weights `w` where rewards are about `w . x`.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    dim: usize,
    /// The inverse of `ridge * I + sum of x x'`, row by row.
    inverse: Vec<f64>,
    /// The sum of rewards times `x`.
    right: Vec<f64>,
}

impl Weight for Linear {
    fn weight(&self) -> u64 {
        block(&self.inverse) + block(&self.right)
    }
}

impl Linear {
    /// Nothing learned; `ridge` is above 0.
    pub(super) fn new(dim: usize, ridge: f64) -> Linear {
        let mut inverse = vec![0.0; dim * dim];
        (0..dim).for_each(|at| inverse[at * dim + at] = 1.0 / ridge);
        Linear { dim, inverse, right: vec![0.0; dim] }
    }

    /// Learns that `x` was tried `times`, with so many rewards in all (Sherman and Morrison, 1950).
    pub(super) fn learn(&mut self, x: &[f64], times: f64, rewards: f64) {
        let side = self.times(x);
        let scale = times / (1.0 + times * dot(&side, x));
        for (row, a) in self.inverse.chunks_exact_mut(self.dim).zip(&side) {
            let share = scale * a;
            row.iter_mut().zip(&side).for_each(|(number, b)| *number -= share * b);
        }
        self.right.iter_mut().zip(x).for_each(|(right, x)| *right += rewards * x);
    }

    /// The weights.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.times(&self.right)
    }

    /// The standard deviation of what is believed of `x`, in units of that of a reward.
    pub(super) fn doubt(&self, x: &[f64]) -> f64 {
        dot(&self.times(x), x).max(0.0).sqrt()
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        self.inverse.chunks_exact(self.dim).map(|row| dot(row, x)).collect()
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::dice::Dice;

    /// Goal: one at a time is the same as all at once: `(ridge I + X'X) w = X'y`, and the inverse is one.
    #[test]
    fn one_at_a_time_solves_the_normal_equations() {
        let (dim, mut dice) = (9, Dice::new(4, 2));
        let mut linear = Linear::new(dim, 0.7);
        let mut left = vec![0.0; dim * dim];
        (0..dim).for_each(|at| left[at * dim + at] = 0.7);
        let mut right = vec![0.0; dim];
        for _ in 0..200 {
            let x: Vec<f64> = (0..dim).map(|_| f64::from(dice.normal())).collect();
            let (times, rewards) = (1.0 + dice.below(5) as f64, dice.fine());
            linear.learn(&x, times, rewards);
            for a in 0..dim {
                right[a] += rewards * x[a];
                (0..dim).for_each(|b| left[a * dim + b] += times * x[a] * x[b]);
            }
        }
        let weights = linear.weights();
        for (row, right) in left.chunks_exact(dim).zip(&right) {
            assert!((dot(row, &weights) - right).abs() < 1e-9);
        }
        let x = vec![1.0; dim];
        let back: Vec<f64> =
            left.chunks_exact(dim).map(|row| dot(row, &linear.times(&x))).collect();
        assert!(back.iter().all(|x| (x - 1.0).abs() < 1e-9));
    }
}
