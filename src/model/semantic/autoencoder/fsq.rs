//! Fsq: finite scalar quantization, an autoencoder whose numbers are rounded one by one.

use super::{
    grid::Grid,
    network::{Autoencoded, Autoencoder, scaled},
    pass::Network,
    quantizer::Quantizer,
    run::{Learned, run},
};
use crate::{
    error::{Error, Result},
    limits::{LEVEL_CODES_MAX, LEVELS_MAX},
    model::{
        Training,
        semantic::fit::{
            Fit,
            points::{self, Given},
        },
        train::dice::Dice,
    },
    store::Snapshot,
};

/// How to make a codebook by finite scalar quantization (Mentzer et al. 2023).
///
/// As [`RqVae`](super::RqVae), but each number that the encoder says is bounded by a hyperbolic tangent
/// and rounded to one of a few values from -1 to 1, evenly apart. No codes have to be learned, so none
/// can go unused for want of items. A level's code says some of the numbers together: levels stand side
/// by side, and the first is no coarser than the others.
///
/// The paper shifts an even number of values so that 0 is one of them; here they lie around it. In the
/// codebook prices stand for tangents: its centroids are the values, and the borders between them are
/// where tangents are rounded.
///
/// ```
/// use bowerbird::{*, model::{Training, semantic::*}};
/// # fn main() -> Result<()> {
/// let items = (0..50).map(|n| vec![Some(vec![(n as f32 / 8.0).cos(), (n as f32 / 8.0).sin()])]);
/// let network = Autoencoder { hidden: vec![8], epochs: 5, ..Autoencoder::default() };
/// let fsq = Fsq { network, values: vec![vec![4], vec![4]], ..Fsq::of(["text"]) };
/// let made = fsq.fit_vectors(&items.collect::<Vec<_>>(), &mut Training::new(7))?;
/// assert_eq!(made.codebook.widths(), [4, 4]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fsq {
    /// Spaces, and how much each counts beside the others.
    pub inputs: Vec<(String, f32)>,
    /// For each level how many values each of its numbers has, 2 or more; it has as many codes as these
    /// have combinations, at most 65,536. One to eight levels.
    pub values: Vec<Vec<usize>>,
    /// The networks.
    pub network: Autoencoder,
    /// Most items that are looked at: of more with a vector, so many are drawn, and only their vectors are
    /// read.
    pub items: usize,
}

impl Fsq {
    /// Over these spaces, of equal weight: three levels of four numbers with four values each, which
    /// are 256 codes.
    pub fn of<'s>(spaces: impl IntoIterator<Item = &'s str>) -> Fsq {
        let Fit { inputs, items, .. } = Fit::of(spaces);
        Fsq { inputs, values: vec![vec![4; 4]; 3], network: Autoencoder::default(), items }
    }

    /// Learns from the items of a snapshot; of `how` it takes seed, threads, time budget and progress,
    /// and leaves the losses in its curve.
    ///
    /// # Errors
    /// `Invalid` for options out of range, if no item has a vector, or if training diverges; `NotFound`
    /// for an unknown space; `Cancelled`.
    ///
    /// ```no_run
    /// # use bowerbird::{Result, Snapshot, model::{Training, semantic::Fsq}};
    /// # fn made(snapshot: &Snapshot) -> Result<()> {
    /// let made = Fsq::of(["text"]).fit(snapshot, &mut Training::new(7).threads(2))?;
    /// println!("codes lose {:.0} % of the content", 100.0 * made.error);
    /// # Ok(()) }
    /// ```
    pub fn fit(&self, snapshot: &Snapshot, how: &mut Training<'_>) -> Result<Autoencoded> {
        self.check()?;
        let spaces: Vec<&str> = self.inputs.iter().map(|(space, _)| space.as_str()).collect();
        let most = (self.items, how.seed);
        let read = points::read_some(snapshot, &spaces, most, &mut how.progress)?;
        let items: Vec<Given> = read.into_iter().map(|(_, given)| given).collect();
        self.fit_vectors(&items, how)
    }

    /// The same of vectors that are in no database, as for [`Fit::fit_vectors`].
    ///
    /// # Errors
    /// As [`Fsq::fit`].
    pub fn fit_vectors(
        &self,
        items: &[Vec<Option<Vec<f32>>>],
        how: &mut Training<'_>,
    ) -> Result<Autoencoded> {
        self.check()?;
        how.begin(self.network.epochs)?;
        let items: Vec<&Given> =
            points::drawn(items.len(), self.items, how.seed).map(|at| &items[at]).collect();
        let inputs = Fit { inputs: self.inputs.clone(), ..Fit::default() }.centre(&items)?;
        let (points, by) = scaled(&inputs, &items)?;
        let grid = Grid(self.values.clone());
        let (there, back) = self.network.layers(points.dim, grid.dim());
        let network = Network { encoder: there, decoder: back, commitment: 0.0 };
        let mut dice = Dice::new(how.seed, 300);
        let mut theta = network.encoder.draw(&mut dice);
        theta.extend(network.decoder.draw(&mut dice));
        let learned = Learned { theta, quantizer: Quantizer::Grid(grid) };
        let learned = run(&network, &self.network, learned, &points, how)?;
        let levels = learned.quantizer.done();
        network.done(inputs, (&learned.theta, levels), (points, by), how.threads)
    }

    fn check(&self) -> Result<()> {
        self.network.check()?;
        let refuse = |why: String| Err(Error::invalid("options of Fsq", why));
        if self.inputs.is_empty() || self.items == 0 {
            return refuse("name no space, or look at no items".into());
        }
        if !(1..=LEVELS_MAX).contains(&self.values.len()) {
            return refuse(format!("have {} levels; 1 to {LEVELS_MAX}", self.values.len()));
        }
        for values in &self.values {
            let product = |codes: usize, values: &usize| codes.checked_mul(*values);
            let codes = values.iter().try_fold(1, product).unwrap_or(usize::MAX);
            if values.is_empty() || values.contains(&1) || !(2..=LEVEL_CODES_MAX).contains(&codes) {
                let why = "numbers of two or more values each, at most 65,536 codes together";
                return refuse(format!("have a level of {values:?} values; {why}"));
            }
        }
        Ok(())
    }
}
