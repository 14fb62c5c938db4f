//! Network: how an autoencoder looks and learns, and what comes of it.

use super::layers::Layers;
use crate::{
    error::{Error, Result},
    model::{
        semantic::fit::points::{Given, Points, prepared},
        train::share::share,
    },
    semantic::{Codebook, Encoder, Input, Level, SemanticId},
};

/// The networks of an autoencoder, and how they learn.
///
/// The encoder has linear layers with ReLU between them, the decoder the same the other way around.
/// Both learn by AdamW (Loshchilov and Hutter 2019), in steps that get shorter to the end.
///
/// ```
/// use bowerbird::model::semantic::{Autoencoder, RqVae};
/// let network = Autoencoder { hidden: vec![128], epochs: 20, ..Autoencoder::default() };
/// let fit = RqVae { network, ..RqVae::of(["text"]) };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    /// How many numbers each layer of the encoder says, but for the last; at most eight layers of 1
    /// to 65,536. None: both networks are linear.
    pub hidden: Vec<usize>,
    /// Passes over all items.
    pub epochs: usize,
    /// Items in a batch.
    pub batch: usize,
    /// Adam's step, at first.
    pub learning_rate: f32,
    /// The share of each parameter that is taken away at each step, times the size of the step.
    pub weight_decay: f32,
}

impl Default for Autoencoder {
    fn default() -> Autoencoder {
        Autoencoder {
            hidden: vec![256, 128],
            epochs: 100,
            batch: 256,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
        }
    }
}

/// A codebook that an autoencoder has learned, and the way back.
///
/// ```no_run
/// use bowerbird::{*, model::{Training, semantic::RqVae}};
/// fn of_an_item(snapshot: &Snapshot, id: &SemanticId) -> Result<Vec<f32>> {
///     let made = RqVae::of(["text"]).fit(snapshot, &mut Training::new(7).threads(2))?;
///     println!("codes lose {:.0} % of the content", 100.0 * made.error);
///     made.content(id)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Autoencoded {
    /// To publish: encoder and codes.
    pub codebook: Codebook,
    /// From what [`Codebook::decode`] says to content, as the codebook reads it.
    pub decoder: Encoder,
    /// The squared distance of items from what the decoder makes of their codes, as a share of that
    /// from their mean. Unlike the error in `Figures`, which is of what the encoder says, it can be
    /// compared with that of a codebook without an encoder.
    pub error: f64,
}

impl Autoencoded {
    /// What an ID, or a prefix of one, stands for: vectors as the codebook reads them, end to end.
    ///
    /// # Errors
    /// As [`Codebook::decode`].
    pub fn content(&self, id: &SemanticId) -> Result<Vec<f32>> {
        Ok(self.decoder.encode(self.codebook.decode(id)?))
    }

    /// Says how much is lost of points.
    pub(super) fn new(
        inputs: Vec<Input>,
        (encoder, levels, decoder): (Encoder, Vec<Level>, Encoder),
        points: &Points,
        threads: usize,
    ) -> Result<Autoencoded> {
        let pieces: Vec<&[f32]> = points.rows.chunks(1024 * points.dim).collect();
        let lost = share(pieces, threads, |_, rows| {
            let (mut lost, mut room) = (0f64, Vec::new());
            for row in rows.chunks_exact(points.dim) {
                let latent = encoder.encode(row.to_vec());
                let mut left = latent.clone();
                levels.iter().for_each(|level| {
                    level.take(&mut left, &mut room);
                });
                let read = latent.iter().zip(&left).map(|(x, left)| x - left).collect();
                let said = decoder.encode(read);
                let squares = said.iter().zip(row).map(|(a, b)| f64::from(a - b).powi(2));
                lost += squares.sum::<f64>();
            }
            lost
        })?;
        let all = spread(points);
        let error = if all > 0.0 { lost.iter().sum::<f64>() / all } else { 0.0 };
        let codebook = Codebook::with_encoder(inputs, encoder, levels)?;
        Ok(Autoencoded { codebook, decoder, error })
    }
}

/// The squared distance of all points from their mean.
fn spread(points: &Points) -> f64 {
    let (mut squares, mut sums) = (0f64, vec![0f64; points.dim]);
    for row in points.rows.chunks_exact(points.dim) {
        for (x, sum) in row.iter().map(|x| f64::from(*x)).zip(&mut sums) {
            squares += x * x;
            *sum += x;
        }
    }
    squares - sums.iter().map(|sum| sum * sum / points.len().max(1) as f64).sum::<f64>()
}

impl Autoencoder {
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("options of Autoencoder", why));
        if self.hidden.len() > 8 || self.hidden.iter().any(|width| !(1..=65_536).contains(width)) {
            return refuse(format!("have hidden layers {:?}; 8 of 1 to 65,536", self.hidden));
        }
        if self.epochs == 0 || self.batch == 0 {
            return refuse("have no epoch, or nothing in a batch".into());
        }
        let rate = self.learning_rate > 0.0 && self.learning_rate < 1.0;
        match rate && (0.0..1.0).contains(&self.weight_decay) {
            true => Ok(()),
            false => refuse("have a learning rate or weight decay outside of 0 to 1".into()),
        }
    }

    /// Encoder and decoder, from rows of `wide` numbers to `dim` and back.
    pub(super) fn layers(&self, wide: usize, dim: usize) -> (Layers, Layers) {
        let mut widths = vec![wide];
        widths.extend(&self.hidden);
        widths.push(dim);
        let there = Layers(widths.clone());
        widths.reverse();
        (there, Layers(widths))
    }
}

/// Points as networks read them: of mean square 1, so that learning is the same for content of any
/// length; and what they were multiplied by.
pub(super) fn scaled(inputs: &[Input], items: &[&Given]) -> Result<(Points, f32)> {
    let mut points = prepared(inputs, items)?;
    let square: f64 = points.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let mean = square / points.rows.len().max(1) as f64;
    let by = if mean > 1e-30 { (1.0 / mean.sqrt()) as f32 } else { 1.0 };
    points.rows.iter_mut().for_each(|x| *x *= by);
    Ok((points, by))
}
