//! Residual quantization: each level says what the levels before it left unsaid.

use crate::{
    error::{Error, Result},
    format::columns::raw,
    limits::LEVEL_CODES_MAX,
    vector::kernel::{Kernel, Numbers},
};

/// One level of a residual codebook: its centroids, and what each costs.
///
/// A code is the one with the least squared distance plus price. Prices are what makes a balanced
/// codebook balanced: a centroid that too many vectors are near is dear. Without prices it is the
/// nearest.
///
/// ```
/// use bowerbird::semantic::Level;
/// let level = Level::new(2, vec![0.0, 1.0, 1.0, 0.0]);
/// assert_eq!(level.codes(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    dim: usize,
    centroids: Vec<f32>,
    prices: Vec<f32>,
    /// Half the squared length of each centroid plus half its price: what an inner product lacks.
    halves: Vec<f32>,
}

impl Level {
    /// Of centroids of `dim` numbers that lie end to end.
    ///
    /// # Panics
    /// If they are not whole rows.
    pub fn new(dim: usize, centroids: Vec<f32>) -> Level {
        let codes = centroids.len() / dim.max(1);
        Level::priced(dim, centroids, vec![0.0; codes])
    }

    /// The same, each with a price, in squared distance.
    ///
    /// # Panics
    /// If they are not whole rows, or there is not one price for each.
    pub fn priced(dim: usize, centroids: Vec<f32>, prices: Vec<f32>) -> Level {
        assert!(dim > 0 && centroids.len() == prices.len() * dim, "one price for each centroid");
        let half = |(row, price): (&[f32], &f32)| {
            let square: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            ((square + f64::from(*price)) / 2.0) as f32
        };
        let halves = centroids.chunks_exact(dim).zip(&prices).map(half).collect();
        Level { dim, centroids, prices, halves }
    }

    /// How many codes there are.
    pub fn codes(&self) -> usize {
        self.prices.len()
    }

    /// The centroids, code by code.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// What each code costs, in squared distance.
    pub fn prices(&self) -> &[f32] {
        &self.prices
    }

    /// The centroid of a code.
    pub(crate) fn centroid(&self, code: u16) -> &[f32] {
        &self.centroids[usize::from(code) * self.dim..][..self.dim]
    }

    pub(crate) fn check(&self, number: usize, dim: usize) -> Result<()> {
        let refuse =
            |why: String| Err(Error::invalid(format!("level {number} of a codebook"), why));
        if self.dim != dim {
            return refuse(format!("has centroids of {} numbers, not {dim}", self.dim));
        }
        if !(1..=LEVEL_CODES_MAX).contains(&self.codes()) {
            return refuse(format!("has {} codes; 1 to {LEVEL_CODES_MAX}", self.codes()));
        }
        let numbers = [&self.centroids, &self.prices, &self.halves];
        match numbers.iter().all(|list| list.iter().all(|x| x.is_finite())) {
            true => Ok(()),
            false => refuse("has a number that is not finite, or too large to square".into()),
        }
    }

    /// The code of a vector, the lower of equals; and takes its centroid away from the vector.
    /// `room` has a place for every code.
    pub(crate) fn take(&self, residual: &mut [f32], room: &mut Vec<f32>) -> u16 {
        room.resize(self.codes(), 0.0);
        Kernel::best().dot_f32(&Numbers::new(residual), raw(&self.centroids), room);
        let (mut best, mut code) = (f32::NEG_INFINITY, 0);
        for (at, (dot, half)) in room.iter().zip(&self.halves).enumerate() {
            // A product that overflowed never wins.
            if dot - half > best {
                (best, code) = (dot - half, at as u16);
            }
        }
        for (x, c) in residual.iter_mut().zip(self.centroid(code)) {
            *x = (*x - c).clamp(f32::MIN, f32::MAX);
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_nearest_but_for_its_price() {
        let rows = vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
        let (plain, mut room) = (Level::new(2, rows.clone()), Vec::new());
        let mut vector = [0.9, 0.1];
        assert_eq!(plain.take(&mut vector, &mut room), 1);
        assert_eq!(vector, [0.9 - 1.0, 0.1]);
        let dear = Level::priced(2, rows, vec![0.0, 1.0, 0.0]);
        assert_eq!(dear.take(&mut [0.9, 0.1], &mut room), 0);
        assert_eq!(Level::new(1, vec![3.0, 3.0]).take(&mut [9.0], &mut room), 0);
    }

    #[test]
    fn overflow_still_says_a_code() {
        let level = Level::new(2, vec![1e18, 1e18, -1e18, 0.0]);
        let mut vector = [3e38, -3e38];
        assert!(level.take(&mut vector, &mut Vec::new()) < 2);
        assert!(vector.iter().all(|x| x.is_finite()));
    }
}
