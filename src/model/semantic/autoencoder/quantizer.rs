//! Quantizer: what is between the encoder and the decoder of an autoencoder.

use super::{codes::Codes, grid::Grid};
use crate::semantic::Level;

/// How numbers become codes.
#[derive(Clone, Debug)]
pub(super) enum Quantizer {
    Codes(Codes),
    Grid(Grid),
}

/// What became of some latents.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// What the decoder reads.
    pub(super) read: Vec<f32>,
    /// The commitment of all rows: a sum of squares.
    pub(super) commitment: f64,
    /// Half its gradient by the latents; empty without a commitment.
    pub(super) far: Vec<f32>,
    /// By how much what the decoder reads changes with the latents, as if nothing were rounded (the
    /// straight-through estimator of Bengio et al. 2013); empty for 1.
    pub(super) slope: Vec<f32>,
    /// On each level the code of each row, and what it was chosen for.
    pub(super) given: Vec<(Vec<usize>, Vec<f32>)>,
}

impl Quantizer {
    /// How many numbers a latent has.
    pub(super) fn dim(&self) -> usize {
        match self {
            Quantizer::Codes(codes) => codes.dim,
            Quantizer::Grid(grid) => grid.dim(),
        }
    }

    pub(super) fn quantize(&self, latents: &[f32]) -> Said {
        match self {
            Quantizer::Codes(codes) => codes.quantize(latents),
            Quantizer::Grid(grid) => grid.quantize(latents),
        }
    }

    /// As levels of a codebook.
    pub(super) fn done(&self) -> Vec<Level> {
        match self {
            Quantizer::Codes(codes) => codes.done(),
            Quantizer::Grid(grid) => grid.done(),
        }
    }
}
