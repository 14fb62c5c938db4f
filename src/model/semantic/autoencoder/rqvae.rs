//! RqVae: codes of what is left by the codes before, behind an encoder that learns with them.

use super::{
    codes::Codes,
    network::{Autoencoded, Autoencoder, scaled},
    pass::Network,
    quantizer::Quantizer,
    run::{Learned, run},
};
use crate::{
    error::{Error, Result},
    model::{
        Training,
        semantic::fit::{
            Fit,
            points::{self, Given, Points},
        },
        train::dice::Dice,
    },
    store::Snapshot,
};

/// How to make a codebook by an RQ-VAE (Lee et al. 2022; of items: TIGER, Rajput et al. 2023).
///
/// An encoder says a few numbers of the content, residual codes stand for them, and a decoder is to
/// find the content again; all three learn together. Gradients go around the rounding as if it were not
/// there; the encoder is held near its codes; codes begin as k-means of what the untrained encoder
/// says, follow as moving means, and move to where an item is when nearly nobody has them (van den Oord
/// et al. 2017, Zeghidour et al. 2021). The loss of an item is the mean square of what is lost, with
/// content scaled to a mean square of 1, plus `commitment` times the mean square of what each level
/// leaves of a latent.
///
/// What comes of it is a [`Codebook`](crate::semantic::Codebook) with an encoder, as
/// [`Codebook::import`](crate::semantic::Codebook::import) reads it: new items get their ID when they
/// are written. The same items, options and seed give the same, byte by byte, with any number of
/// threads.
///
/// ```
/// use bowerbird::{*, model::{Training, semantic::*}};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine))?;
/// for key in 0..50u64 {
///     let angle = key as f32 / 8.0;
///     db.batch().put(Item::new(key).vector("text", [angle.cos(), angle.sin()])).commit()?;
/// }
/// let fit = Fit { levels: vec![4, 4], ..Fit::of(["text"]) };
/// let network = Autoencoder { hidden: vec![8], epochs: 5, ..Autoencoder::default() };
/// let rq_vae = RqVae { fit, network, dim: 2, ..RqVae::of(["text"]) };
/// let made = rq_vae.fit(&db.snapshot(), &mut Training::new(7))?;
/// let version = db.publish("sid", &made.codebook, Provenance::default())?;
/// db.activate("sid", version)?;
/// assert!(db.snapshot().semantic_id("sid", &Key::Id(3))?.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RqVae {
    /// Which spaces are read, how many codes each level has, and how many items are learned from. Codes
    /// begin by its k-means; if `balanced`, they are found again by it in the end, so that all are used
    /// about equally, and the decoder has not met them.
    pub fit: Fit,
    /// The networks.
    pub network: Autoencoder,
    /// How many numbers the encoder says, 1 to 4,096.
    pub dim: usize,
    /// How much it counts that these are near their codes.
    pub commitment: f32,
}

impl RqVae {
    /// Over these spaces, of equal weight: three levels of 256 codes for 32 numbers, as TIGER has them.
    pub fn of<'s>(spaces: impl IntoIterator<Item = &'s str>) -> RqVae {
        let network = Autoencoder::default();
        RqVae { fit: Fit::of(spaces), network, dim: 32, commitment: 0.25 }
    }

    /// Learns from the items of a snapshot; of `how` it takes seed, threads, time budget and progress,
    /// and leaves the losses in its curve.
    ///
    /// # Errors
    /// As [`Fit::fit`]; `Invalid` for options out of range, or if training diverges.
    pub fn fit(&self, snapshot: &Snapshot, how: &mut Training<'_>) -> Result<Autoencoded> {
        self.check()?;
        let most = (self.fit.items, how.seed);
        let read = points::read_some(snapshot, &self.fit.spaces(), most, &mut how.progress)?;
        let items: Vec<Given> = read.into_iter().map(|(_, given)| given).collect();
        self.fit_vectors(&items, how)
    }

    /// The same of vectors that are in no database, as for [`Fit::fit_vectors`].
    ///
    /// # Errors
    /// As [`RqVae::fit`].
    pub fn fit_vectors(
        &self,
        items: &[Vec<Option<Vec<f32>>>],
        how: &mut Training<'_>,
    ) -> Result<Autoencoded> {
        self.check()?;
        let clusterings = self.fit.levels.len() * self.fit.iterations;
        how.begin(self.network.epochs + clusterings * (1 + usize::from(self.fit.balanced)))?;
        let items: Vec<&Given> =
            points::drawn(items.len(), self.fit.items, how.seed).map(|at| &items[at]).collect();
        let inputs = self.fit.centre(&items)?;
        let (points, by) = scaled(&inputs, &items)?;
        let (there, back) = self.network.layers(points.dim, self.dim);
        let network = Network { encoder: there, decoder: back, commitment: self.commitment };
        let mut dice = Dice::new(how.seed, 300);
        let mut theta = network.encoder.draw(&mut dice);
        theta.extend(network.decoder.draw(&mut dice));
        let plain = Fit { balanced: false, ..self.fit.clone() };
        let first = plain.quantize(latents(&network, &theta, &points), how)?;
        let codes = Codes::new(self.dim, &first, self.network.batch.min(points.len()));
        let learned = Learned { theta, quantizer: Quantizer::Codes(codes) };
        let learned = run(&network, &self.network, learned, &points, how)?;
        let levels = match self.fit.balanced {
            true => self.fit.quantize(latents(&network, &learned.theta, &points), how)?,
            false => learned.quantizer.done(),
        };
        network.done(inputs, (&learned.theta, levels), (points, by), how.threads)
    }

    fn check(&self) -> Result<()> {
        self.fit.check()?;
        self.network.check()?;
        let refuse = |why: String| Err(Error::invalid("options of RqVae", why));
        if !(1..=4096).contains(&self.dim) {
            return refuse(format!("have an encoder of {} numbers; 1 to 4,096", self.dim));
        }
        match self.commitment.is_finite() && self.commitment >= 0.0 {
            true => Ok(()),
            false => refuse(format!("have a commitment of {}; 0 or more", self.commitment)),
        }
    }
}

/// What the encoder says of all points.
fn latents(network: &Network, theta: &[f32], points: &Points) -> Points {
    let mut rows = Vec::new();
    for some in points.rows.chunks(1024 * points.dim) {
        let said = network.encoder.forward(&theta[..network.encoder.size()], some).pop();
        rows.extend(said.unwrap_or_default());
    }
    Points { dim: network.encoder.0.last().copied().unwrap_or(1), rows }
}
