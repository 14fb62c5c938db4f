//! Encoder: the network that some codebooks have before their first level (RQ-VAE).

use crate::{
    error::{Error, Result},
    format::columns::raw,
    vector::kernel::{Kernel, Numbers},
};
use serde::{Deserialize, Serialize};

/// A multi-layer perceptron: linear layers with ReLU between them, none after the last.
///
/// What an RQ-VAE (Lee et al. 2022) puts before its codebooks; see [`super::Codebook::with_encoder`].
///
/// ```
/// use bowerbird::semantic::Encoder;
/// let half = Encoder::new(2).layer(vec![0.5, 0.0, 0.0, 0.5], vec![0.0, 0.0]).unwrap();
/// assert_eq!((half.input(), half.output()), (2, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    input: usize,
    /// Weights in rows of the layer's input, one row for each output; and biases.
    layers: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Encoder {
    /// One without layers, for vectors of so many numbers.
    pub fn new(input: usize) -> Encoder {
        Encoder { input, layers: Vec::new() }
    }

    /// With a layer more: `weights` in rows of the layer's input, one row for each of `biases`.
    ///
    /// # Errors
    /// `Invalid` if the shapes do not fit or a number is not finite.
    pub fn layer(mut self, weights: Vec<f32>, biases: Vec<f32>) -> Result<Encoder> {
        self.layers.push((weights, biases));
        self.check()?;
        Ok(self)
    }

    /// How many numbers it reads.
    pub fn input(&self) -> usize {
        self.input
    }

    /// How many numbers it says.
    pub fn output(&self) -> usize {
        self.layers.last().map_or(self.input, |layer| layer.1.len())
    }

    /// Weights and biases of each layer.
    pub(crate) fn layers(&self) -> &[(Vec<f32>, Vec<f32>)] {
        &self.layers
    }

    pub(crate) fn check(&self) -> Result<()> {
        let mut width = self.input;
        for (at, (weights, biases)) in self.layers.iter().enumerate() {
            let refuse =
                |why: String| Err(Error::invalid(format!("layer {at} of an encoder"), why));
            if width == 0
                || biases.is_empty()
                || width.checked_mul(biases.len()) != Some(weights.len())
            {
                let (w, b) = (weights.len(), biases.len());
                return refuse(format!("has {w} weights for {width} inputs and {b} outputs"));
            }
            if !weights.iter().chain(biases).all(|x| x.is_finite()) {
                return refuse("has a number that is not finite".into());
            }
            width = biases.len();
        }
        Ok(())
    }

    /// Of a vector, what it says.
    pub(crate) fn encode(&self, vector: Vec<f32>) -> Vec<f32> {
        let (mut now, last) = (vector, self.layers.len().wrapping_sub(1));
        for (at, (weights, biases)) in self.layers.iter().enumerate() {
            let mut next = vec![0f32; biases.len()];
            Kernel::best().dot_f32(&Numbers::new(&now), raw(weights), &mut next);
            for (x, bias) in next.iter_mut().zip(biases) {
                // Weights that a forger made may overflow; `max` makes a number of NaN.
                *x = (*x + bias).max(if at == last { f32::MIN } else { 0.0 }).min(f32::MAX);
            }
            now = next;
        }
        now
    }
}
