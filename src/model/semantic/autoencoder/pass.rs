//! Pass: a batch through encoder, quantizer and decoder, and back.

use super::{
    layers::Layers,
    network::Autoencoded,
    quantizer::{Quantizer, Said},
};
use crate::{
    error::Result,
    model::{
        semantic::fit::points::Points,
        train::{exp::add, share::share},
    },
    semantic::{Input, Level},
};

/// Rows that one thread takes at a time. Fixed, so that sums are the same for any number of threads.
const PART: usize = 128;

/// The two networks, whose parameters lie end to end.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) encoder: Layers,
    pub(super) decoder: Layers,
    /// How much the commitment counts beside what is lost.
    pub(super) commitment: f32,
}

/// What part of a batch says.
#[derive(Debug)]
pub(super) struct Part {
    /// The sum of losses of its rows.
    pub(super) loss: f64,
    /// The gradients of the batch's mean loss, as far as they are of these rows.
    pub(super) grads: Vec<f32>,
    pub(super) said: Said,
}

impl Network {
    pub(super) fn size(&self) -> usize {
        self.encoder.size() + self.decoder.size()
    }

    /// The loss of a row is the mean square of what is lost of its numbers, plus the mean square of
    /// what each level leaves of a latent times the commitment.
    pub(super) fn batch(
        &self,
        theta: &[f32],
        quantizer: &Quantizer,
        (points, batch): (&Points, &[usize]),
        threads: usize,
    ) -> Result<Vec<Part>> {
        let pieces = batch.chunks(PART).collect();
        share(pieces, threads, |_, rows: &[usize]| {
            let rows: Vec<f32> = rows.iter().flat_map(|at| points.row(*at)).copied().collect();
            self.part(theta, quantizer, &rows, batch.len() as f32)
        })
    }

    fn part(&self, theta: &[f32], quantizer: &Quantizer, rows: &[f32], batch: f32) -> Part {
        let (encodes, decodes) = theta.split_at(self.encoder.size());
        let mut grads = vec![0f32; theta.len()];
        let (by_encodes, by_decodes) = grads.split_at_mut(encodes.len());
        let encoded = self.encoder.forward(encodes, rows);
        let latents = encoded.last().map_or(rows, Vec::as_slice);
        let said = quantizer.quantize(latents);
        let decoded = self.decoder.forward(decodes, &said.read);
        let answer = decoded.last().map_or(&said.read, |answer| answer);
        let (wide, dim) = (points_dim(&self.encoder), quantizer.dim() as f32);
        let mut by_answer: Vec<f32> = answer.iter().zip(rows).map(|(a, x)| a - x).collect();
        let lost: f64 = by_answer.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        by_answer.iter_mut().for_each(|x| *x *= 2.0 / (wide * batch));
        let passed = (said.read.as_slice(), decoded.as_slice());
        let mut by_latents = self.decoder.backward(decodes, passed, by_answer, by_decodes, true);
        by_latents.iter_mut().zip(&said.slope).for_each(|(by, slope)| *by *= slope);
        add(&mut by_latents, &said.far, 2.0 * self.commitment / (dim * batch));
        self.encoder.backward(encodes, (rows, &encoded), by_latents, by_encodes, false);
        let loss = lost / f64::from(wide) + f64::from(self.commitment / dim) * said.commitment;
        Part { loss, grads, said }
    }

    /// Codebook and decoder of content as it is, given points that were multiplied by a number.
    pub(super) fn done(
        &self,
        inputs: Vec<Input>,
        (theta, levels): (&[f32], Vec<Level>),
        (mut points, by): (Points, f32),
        threads: usize,
    ) -> Result<Autoencoded> {
        let (encodes, decodes) = theta.split_at(self.encoder.size());
        let encoder = self.encoder.encoder(encodes, (by, 1.0))?;
        let decoder = self.decoder.encoder(decodes, (1.0, 1.0 / by))?;
        points.rows.iter_mut().for_each(|x| *x /= by);
        Autoencoded::new(inputs, (encoder, levels, decoder), &points, threads)
    }
}

fn points_dim(encoder: &Layers) -> f32 {
    encoder.0.first().map_or(1.0, |dim| *dim as f32)
}
