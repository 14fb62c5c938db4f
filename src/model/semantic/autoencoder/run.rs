//! Run: epochs over batches, until networks and codes say as much as they can.

use super::{
    network::Autoencoder,
    pass::Network,
    quantizer::{Quantizer, Said},
};
use crate::{
    error::Result,
    model::{
        Training,
        semantic::fit::points::Points,
        train::{
            adam::{Adam, Pace},
            dice::Dice,
        },
        training::Next,
    },
};

/// A code that is given less than this share of an even one is put elsewhere.
const LEAST: f32 = 0.1;
/// Until this share of all steps: later ones could not settle any more.
const REVIVED: f32 = 0.75;

/// What is learned.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    /// The parameters of encoder and decoder.
    pub(super) theta: Vec<f32>,
    pub(super) quantizer: Quantizer,
}

/// What steps need.
pub(super) struct Run<'a> {
    network: &'a Network,
    options: &'a Autoencoder,
    threads: usize,
    adam: Adam,
    dice: Dice,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        network: &'a Network,
        options: &'a Autoencoder,
        (seed, threads): (u64, usize),
    ) -> Run<'a> {
        let pace = Pace { rate: options.learning_rate, keep: (0.9, 0.999) };
        let (adam, dice) = (Adam::new(pace, network.size()), Dice::new(seed, 301));
        Run { network, options, threads, adam, dice }
    }

    /// A step along the gradient of a batch, of which `rate` says how long it is; codes follow what
    /// they were given, and those that get less than `least` of an even share are put elsewhere. Says
    /// the sum of losses.
    pub(super) fn step(
        &mut self,
        learned: &mut Learned,
        (points, batch): (&Points, &[usize]),
        (rate, least): (f32, f32),
    ) -> Result<f64> {
        let Learned { theta, quantizer } = learned;
        let parts = self.network.batch(theta, quantizer, (points, batch), self.threads)?;
        let grads: Vec<&[f32]> = parts.iter().map(|part| part.grads.as_slice()).collect();
        self.adam.begin(rate);
        self.adam.fade(theta, self.options.weight_decay);
        self.adam.all(theta, &grads, self.threads);
        let loss = parts.iter().map(|part| part.loss).sum();
        if let Quantizer::Codes(codes) = quantizer {
            let said: Vec<Said> = parts.into_iter().map(|part| part.said).collect();
            codes.follow(&said);
            if least > 0.0 {
                codes.revive(&said, least, &mut self.dice);
            }
        }
        Ok(loss)
    }
}

/// Learns from points. `how` has begun.
pub(super) fn run(
    network: &Network,
    options: &Autoencoder,
    mut learned: Learned,
    points: &Points,
    how: &mut Training<'_>,
) -> Result<Learned> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let steps = order.len().div_ceil(options.batch) * options.epochs;
    let mut run = Run::new(network, options, (how.seed, how.threads));
    let (mut step, mut examples) = (0, 0);
    for epoch in 0..options.epochs {
        Dice::new(how.seed, 1_000 + epoch as u64).shuffle(&mut order);
        let mut loss = 0.0;
        for batch in order.chunks(options.batch) {
            how.progress.poll()?;
            let done = step as f32 / steps as f32;
            let rate = options.learning_rate * (1.0 - done);
            let least = if done < REVIVED { LEAST } else { 0.0 };
            loss += run.step(&mut learned, (points, batch), (rate, least))?;
            step += 1;
        }
        examples += points.len() as u64;
        let mean = loss / points.len().max(1) as f64;
        match how.epoch_with((mean, examples), "an autoencoder", None, usize::MAX)? {
            Next::Better | Next::Worse => {}
            Next::Stop | Next::StopHere => break,
        }
    }
    Ok(learned)
}
