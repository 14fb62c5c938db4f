//! Input: a space that goes into a codebook.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// One space that a codebook reads, and what is done to its vectors before they are quantized.
///
/// In this order: scaled to length one if `normalize`, less the mean, times the weight. Several
/// inputs lie end to end. An item without a vector in one of the spaces counts as the mean there; an
/// item without any has no semantic ID.
///
/// ```
/// use bowerbird::semantic::Input;
/// let text = Input::new("text", 384);
/// let image = Input { weight: 0.5, ..Input::new("image", 128) };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The name of the space.
    pub space: String,
    /// How many numbers its vectors have.
    pub dim: u32,
    /// Scales vectors to length one first.
    pub normalize: bool,
    /// How much it counts beside the other inputs; above 0.
    pub weight: f32,
    /// What is subtracted, `dim` numbers; empty for nothing.
    pub mean: Vec<f32>,
}

impl Input {
    /// A space as it is: not centred, of weight 1, scaled to length one.
    pub fn new(space: &str, dim: u32) -> Input {
        Input { space: space.into(), dim, normalize: true, weight: 1.0, mean: Vec::new() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid(format!("input {:?}", self.space), why));
        if self.dim == 0 {
            return refuse("has no dimensions".into());
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return refuse(format!("has weight {}; it must be finite and above 0", self.weight));
        }
        if !self.mean.is_empty() && self.mean.len() != self.dim as usize {
            return refuse(format!("has a mean of {} numbers, not {}", self.mean.len(), self.dim));
        }
        match self.mean.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => refuse("has a mean that is not finite".into()),
        }
    }

    /// Appends a vector, prepared; zeros (the mean) for none.
    pub(crate) fn push(&self, vector: Option<&[f32]>, out: &mut Vec<f32>) {
        let Some(vector) = vector else {
            out.resize(out.len() + self.dim as usize, 0.0);
            return;
        };
        let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        let scale = if self.normalize && norm > 0.0 { (1.0 / norm) as f32 } else { 1.0 };
        // What is as short as the least numbers are has a scale that is too large for one.
        let scaled = |x: f32| match scale.is_finite() {
            true => x * scale,
            false => (f64::from(x) / norm) as f32,
        };
        let mean = self.mean.iter().copied().chain(std::iter::repeat(0.0));
        let number = |(x, mean): (&f32, f32)| {
            // Two finite numbers can be too far apart for one.
            ((scaled(*x) - mean) * self.weight).clamp(f32::MIN, f32::MAX)
        };
        out.extend(vector.iter().zip(mean).map(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One over the length of a vector of the least numbers is too large for `f32`: 0 times it was NaN,
    /// and one such item failed every fit.
    #[test]
    fn the_shortest_vectors_have_a_direction_too() {
        for least in [1e-45f32, 1e-40, 2e-39, 1e-30] {
            let mut out = Vec::new();
            Input::new("text", 3).push(Some(&[0.0, least, -least]), &mut out);
            let half = 0.5f32.sqrt();
            for (x, want) in out.iter().zip([0.0, half, -half]) {
                assert!((x - want).abs() < 1e-6, "{least}: {out:?}");
            }
        }
    }
}
