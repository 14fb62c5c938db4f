//! Grid: finite scalar quantization. Each number is bounded and rounded by itself; there is no codebook
//! that could collapse.

use super::quantizer::Said;
use crate::semantic::Level;

/// For each level the sizes of its numbers: a code says all of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid(pub(super) Vec<Vec<usize>>);

impl Grid {
    pub(super) fn dim(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Of each number its hyperbolic tangent, rounded to one of as many values from -1 to 1 as its
    /// size.
    pub(super) fn quantize(&self, latents: &[f32]) -> Said {
        let sizes: Vec<usize> = self.0.concat();
        let mut said = Said::default();
        for (latent, size) in latents.iter().zip(sizes.iter().cycle()) {
            let (bounded, steps) = (latent.tanh(), (*size - 1) as f32);
            said.read.push(2.0 * ((bounded + 1.0) / 2.0 * steps).round() / steps - 1.0);
            said.slope.push(1.0 - bounded * bounded);
        }
        said
    }

    /// As levels of a codebook. Each has zeros where the numbers of others are, so that what one level
    /// takes away is nothing to another; and prices that put the borders between its centroids where
    /// tangents are rounded: the latents of a codebook are not bounded.
    pub(super) fn done(&self) -> Vec<Level> {
        let (dim, mut first) = (self.dim(), 0);
        let mut levels = Vec::with_capacity(self.0.len());
        for sizes in &self.0 {
            let axes: Vec<Vec<(f32, f64)>> = sizes.iter().map(|size| axis(*size)).collect();
            let codes: usize = sizes.iter().product();
            let (mut centroids, mut prices) = (vec![0f32; codes * dim], Vec::with_capacity(codes));
            for (code, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
                let (mut rest, mut price) = (code, 0.0);
                for (axis, x) in axes.iter().zip(&mut centroid[first..]).rev() {
                    let (value, dear) = axis[rest % axis.len()];
                    (*x, price, rest) = (value, price + dear, rest / axis.len());
                }
                prices.push(price as f32);
            }
            levels.push(Level::priced(dim, centroids, prices));
            first += sizes.len();
        }
        levels
    }
}

/// The values of a number of so many, ascending, each with its price.
fn axis(size: usize) -> Vec<(f32, f64)> {
    let steps = (size - 1) as f64;
    let value = |at: f64| 2.0 * at / steps - 1.0;
    let (mut axis, mut price) = (Vec::with_capacity(size), 0.0);
    for at in (0..size).map(|at| at as f64) {
        axis.push((value(at) as f32, price));
        // (border - value)^2 + price is to be the same for this value and the next.
        let border = value(at + 0.5).atanh();
        price += (value(at + 1.0) - value(at)) * (2.0 * border - value(at) - value(at + 1.0));
    }
    axis
}
