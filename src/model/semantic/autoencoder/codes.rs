//! Codes: residual codebooks that follow what they are given, by moving means.

use super::quantizer::Said;
use crate::{
    model::{
        semantic::fit::kmeans::{halves, products},
        train::{dice::Dice, exp::add},
    },
    semantic::Level,
};

/// What is kept of a code's mean from batch to batch (van den Oord et al. 2017, appendix).
const KEEP: f32 = 0.99;

/// The codebooks of all levels while they are learned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Codes {
    pub(super) dim: usize,
    pub(super) levels: Vec<Moving>,
}

/// One level: centroids, and the moving sums that they are means of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moving {
    pub(super) centroids: Vec<f32>,
    /// How many points of a batch each code is given.
    pub(super) sizes: Vec<f32>,
    pub(super) sums: Vec<f32>,
}

impl Codes {
    /// Those of a codebook, as if all codes had been used equally in batches of so many.
    pub(super) fn new(dim: usize, levels: &[Level], batch: usize) -> Codes {
        let moving = |level: &Level| {
            let (codes, centroids) = (level.codes(), level.centroids().to_vec());
            let size = batch as f32 / codes as f32;
            let sums = centroids.iter().map(|x| x * size).collect();
            Moving { centroids, sizes: vec![size; codes], sums }
        };
        Codes { dim, levels: levels.iter().map(moving).collect() }
    }

    /// As levels of a codebook.
    pub(super) fn done(&self) -> Vec<Level> {
        self.levels.iter().map(|level| Level::new(self.dim, level.centroids.clone())).collect()
    }

    /// Quantizes what an encoder said. The commitment is the squared distance of what each level was
    /// given from its centroid, which must not move for it (TIGER, Rajput et al. 2023).
    pub(super) fn quantize(&self, latents: &[f32]) -> Said {
        let (dim, mut residual) = (self.dim, latents.to_vec());
        let mut said = Said { far: vec![0.0; latents.len()], ..Said::default() };
        for level in &self.levels {
            let before = residual.clone();
            let halves = halves(&level.centroids, dim, &vec![0.0; level.sizes.len()]);
            let dots = products(&residual, &level.centroids, dim);
            let mut codes = Vec::with_capacity(latents.len() / dim);
            for (row, dots) in residual.chunks_exact_mut(dim).zip(dots.chunks_exact(halves.len())) {
                let (mut best, mut code) = (f32::NEG_INFINITY, 0);
                for (at, (dot, half)) in dots.iter().zip(&halves).enumerate() {
                    if dot - half > best {
                        (best, code) = (dot - half, at);
                    }
                }
                add(row, &level.centroids[code * dim..][..dim], -1.0);
                codes.push(code);
            }
            said.commitment += residual.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            add(&mut said.far, &residual, 1.0);
            said.given.push((codes, before));
        }
        said.read = latents.iter().zip(&residual).map(|(latent, left)| latent - left).collect();
        said
    }

    /// Moves every code towards the mean of what it was given in a batch.
    pub(super) fn follow(&mut self, batch: &[Said]) {
        let dim = self.dim;
        for (at, level) in self.levels.iter_mut().enumerate() {
            level.sizes.iter_mut().for_each(|size| *size *= KEEP);
            level.sums.iter_mut().for_each(|sum| *sum *= KEEP);
            for (codes, rows) in batch.iter().map(|said| &said.given[at]) {
                for (code, row) in codes.iter().zip(rows.chunks_exact(dim)) {
                    level.sizes[*code] += 1.0 - KEEP;
                    add(&mut level.sums[code * dim..][..dim], row, 1.0 - KEEP);
                }
            }
            let rows = level.centroids.chunks_exact_mut(dim).zip(level.sums.chunks_exact(dim));
            for ((centroid, sum), size) in rows.zip(&level.sizes) {
                // A code that nobody has had for long stays where it is: its sums are only rounding.
                if *size > 1e-6 {
                    centroid.iter_mut().zip(sum).for_each(|(x, sum)| *x = sum / size);
                }
            }
        }
    }

    /// Puts codes that are given less than `least` of an even share of a batch where a point of it is
    /// (the restarts of Zeghidour et al. 2021).
    pub(super) fn revive(&mut self, batch: &[Said], least: f32, dice: &mut Dice) {
        let dim = self.dim;
        for (at, level) in self.levels.iter_mut().enumerate() {
            let given: Vec<&[f32]> = batch
                .iter()
                .filter_map(|said| Some(said.given.get(at)?.1.chunks_exact(dim)))
                .flatten()
                .collect();
            if given.is_empty() {
                continue;
            }
            let even = given.len() as f32 / level.sizes.len() as f32;
            for code in 0..level.sizes.len() {
                if level.sizes[code] >= least * even {
                    continue;
                }
                let (row, place) = (given[dice.below(given.len())], code * dim..(code + 1) * dim);
                level.sizes[code] = even;
                level.centroids[place.clone()].copy_from_slice(row);
                level.sums[place].iter_mut().zip(row).for_each(|(sum, x)| *sum = even * x);
            }
        }
    }
}
