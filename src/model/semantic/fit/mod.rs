//! Fit: codebooks from vectors, by residual k-means.
//!
//! | file | it owns |
//! |---|---|
//! | `points` | the vectors of items, prepared as the codebook will read them |
//! | `kmeans` | one level: Lloyd, and moving what saves little; the same for any number of threads |
//! | `balance` | prices that make all codes of a level equally used |
//! | `copies` | points that are the same, and how much they count there |

mod balance;
mod copies;
pub(super) mod kmeans;
pub(crate) mod points;

use crate::{
    artifact::Provenance,
    error::{Error, Result},
    key::Seq,
    limits::{LEVEL_CODES_MAX, LEVELS_MAX},
    model::{Training, train::dice::Dice},
    semantic::{Codebook, Input, Level},
    store::Snapshot,
};
use kmeans::{Wanted, cluster};
use points::{Given, Points, centred, prepared};
use std::borrow::Borrow;

/// How to make a [`Codebook`] from the vectors of items: residual k-means over one space or several.
///
/// Vectors are scaled to length one, centred on the items, weighted and put end to end; each level
/// clusters what the levels before left (Chen et al. 2010; as tokenizer of items: Luo et al. 2024,
/// Deng et al. 2025). The same items, options and seed give the same codebook, byte by byte, with any
/// number of threads.
///
/// *Balanced* codebooks use all codes of a level about equally: fewer items share an ID, and a
/// decoder's steps say more. Each code has a price that is added to its distance, the dual of the
/// balanced assignment. What is the same cannot be told apart: items with equal vectors have one ID,
/// however many they are, and where these are more than the share of a code, the other items are
/// shared out among the other codes.
///
/// ```
/// use bowerbird::{*, model::{Training, semantic::Fit}};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine))?;
/// for key in 0..50u64 {
///     let angle = key as f32 / 8.0;
///     db.batch().put(Item::new(key).vector("text", [angle.cos(), angle.sin()])).commit()?;
/// }
/// let fit = Fit { levels: vec![4, 4], ..Fit::of(["text"]) };
/// let codebook = fit.fit(&db.snapshot(), &mut Training::new(7))?;
/// let version = db.publish("sid", &codebook, fit.provenance(db.snapshot().seq(), 7))?;
/// db.activate("sid", version)?;
/// assert!(db.snapshot().semantic_id("sid", &Key::Id(3))?.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Spaces, and how much each counts beside the others.
    pub inputs: Vec<(String, f32)>,
    /// How many codes each level has, coarse to fine: 1 to 8 levels of 1 to 65,536.
    pub levels: Vec<usize>,
    /// Whether codes are used about equally, as far as items differ.
    pub balanced: bool,
    /// Most iterations of k-means on each level.
    pub iterations: usize,
    /// Most items that are looked at: of more with a vector, so many are drawn, and only their vectors are
    /// read. This bounds what is held in memory: `items` times the numbers of all inputs, a few times over.
    pub items: usize,
}

impl Default for Fit {
    fn default() -> Fit {
        Fit {
            inputs: Vec::new(),
            levels: vec![256; 3],
            balanced: false,
            iterations: 40,
            items: 200_000,
        }
    }
}

impl Fit {
    /// Over these spaces, of equal weight: three levels of 256 codes.
    pub fn of<'s>(spaces: impl IntoIterator<Item = &'s str>) -> Fit {
        let inputs = spaces.into_iter().map(|space| (space.to_owned(), 1.0)).collect();
        Fit { inputs, ..Fit::default() }
    }

    /// Makes a codebook from the items of a snapshot; of `how` it takes seed, threads and progress.
    ///
    /// # Errors
    /// `Invalid` for options out of range, or if no item has a vector; `NotFound` for an unknown
    /// space; `Cancelled`.
    pub fn fit(&self, snapshot: &Snapshot, how: &mut Training<'_>) -> Result<Codebook> {
        self.check()?;
        let most = (self.items, how.seed);
        let read = points::read_some(snapshot, &self.spaces(), most, &mut how.progress)?;
        let items: Vec<Given> = read.into_iter().map(|(_, given)| given).collect();
        self.fit_vectors(&items, how)
    }

    /// The same of vectors that are in no database: for each item one for each input, `None` where it
    /// has none.
    ///
    /// # Errors
    /// As [`Fit::fit`].
    pub fn fit_vectors(
        &self,
        items: &[Vec<Option<Vec<f32>>>],
        how: &mut Training<'_>,
    ) -> Result<Codebook> {
        self.check()?;
        how.progress.begin((self.levels.len() * self.iterations) as u64)?;
        let items: Vec<&Given> =
            points::drawn(items.len(), self.items, how.seed).map(|at| &items[at]).collect();
        let inputs = self.centre(&items)?;
        let levels = self.quantize(prepared(&inputs, &items)?, how)?;
        Codebook::new(inputs, levels)
    }

    /// Where it came from, to publish it with.
    pub fn provenance(&self, trained_at: Seq, seed: u64) -> Provenance {
        let note = |name: &str, value: String| (name.to_owned(), value);
        let notes = vec![
            note("inputs", format!("{:?}", self.inputs)),
            note("levels", format!("{:?}", self.levels)),
            note("balanced", self.balanced.to_string()),
        ];
        Provenance { trained_at, seed, parents: Vec::new(), notes }
    }

    pub(super) fn spaces(&self) -> Vec<&str> {
        self.inputs.iter().map(|(space, _)| space.as_str()).collect()
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("options of Fit", why));
        if self.inputs.is_empty() {
            return refuse("name no space".into());
        }
        if !(1..=LEVELS_MAX).contains(&self.levels.len()) {
            return refuse(format!("have {} levels; 1 to {LEVELS_MAX}", self.levels.len()));
        }
        if let Some(codes) = self.levels.iter().find(|n| !(1..=LEVEL_CODES_MAX).contains(*n)) {
            return refuse(format!("have a level of {codes} codes; 1 to {LEVEL_CODES_MAX}"));
        }
        match (self.iterations, self.items) {
            (0, _) => refuse("have no iterations".into()),
            (_, 0) => refuse("look at no items".into()),
            _ => Ok(()),
        }
    }

    /// The inputs, centred on these items.
    pub(super) fn centre(&self, items: &[impl Borrow<Given>]) -> Result<Vec<Input>> {
        let given = || items.iter().map(|given| -> &Given { given.borrow() });
        let mut dims = Vec::with_capacity(self.inputs.len());
        for (at, (space, _)) in self.inputs.iter().enumerate() {
            let vectors = given().filter_map(|given| given.get(at)?.as_ref());
            match vectors.map(Vec::len).next() {
                Some(dim) => dims.push(dim),
                None => {
                    let why = "has a vector of no item";
                    return Err(Error::invalid(format!("input {space:?} of Fit"), why));
                }
            }
        }
        if let Some(given) = given().find(|given| given.len() != self.inputs.len()) {
            let why = format!("has {} vectors for {} inputs", given.len(), self.inputs.len());
            return Err(Error::invalid("item of Fit", why));
        }
        centred(&self.inputs, &dims, items)
    }

    /// Clusters what each level leaves.
    pub(super) fn quantize(&self, points: Points, how: &mut Training<'_>) -> Result<Vec<Level>> {
        let mut points = points.sample(self.items, how.seed);
        let mut levels = Vec::with_capacity(self.levels.len());
        for (number, codes) in (1u64..).zip(&self.levels) {
            let wanted = Wanted {
                codes: *codes,
                iterations: self.iterations,
                balanced: self.balanced,
                threads: how.threads,
            };
            let mut dice = Dice::new(how.seed, number);
            let made = cluster(&points, wanted, &mut dice, &mut how.progress)?;
            let level = Level::priced(points.dim, made.centroids, made.prices);
            for (row, code) in points.rows.chunks_exact_mut(points.dim).zip(&made.codes) {
                row.iter_mut().zip(level.centroid(*code)).for_each(|(x, c)| *x -= c);
            }
            levels.push(level);
        }
        Ok(levels)
    }
}

#[cfg(test)]
mod tests;
