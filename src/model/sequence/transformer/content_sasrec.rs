//! ContentSasrec: SASRec over what items have, so that a new one has a place from the first minute.

use super::{
    blend::Blend,
    content::HIDDEN_MAX,
    fit::Fit,
    sasrec::{Plan, Sasrec},
};
use crate::{
    error::{Error, Result},
    limits::TERMS_MAX,
    model::{
        Model, Sequences, Training,
        semantic::points::{self, Given, Points},
        train::{adam::Pace, dice::Dice},
    },
    semantic::Input,
    store::Snapshot,
};

/// A [`Sasrec`] whose items are their content: a row of its table is a map of the item's vectors in
/// some spaces, plus something of the item's own.
///
/// The map and the rest are trained together. In every step some of the items are without their own
/// part, in histories, as answers and as wrong answers, so that content carries alone; an item that is
/// new afterwards has its row from its vectors, the moment it is written, and nothing is trained
/// again. This is the dense half of LIGER (Yang et al., 2024); adapting vectors of text by a map that
/// is learned with the sequences is UniSRec's (Hou et al., 2022).
///
/// The model is one of SASRec, published and asked like every other. Beside that,
/// [`Model::content_vector`] says the row of any item, [`NextNew`](crate::model::NextNew) finds new
/// items by it, and [`NextScore`](crate::model::NextScore) scores them beside those that are known.
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).event("view"))?;
/// for item in 0..8u64 {
///     let vector = if item % 2 == 0 { [1.0, item as f32 / 10.0] } else { [item as f32 / 10.0, 1.0] };
///     db.batch().put(Item::new(item).vector("text", vector)).commit()?;
/// }
/// for step in 0..60u64 {
///     let (user, item) = (step / 3, 2 * (step % 3) + step / 3 % 2);
///     db.batch().event(Event::new(user, item, "view", Timestamp(step as i64))).commit()?;
/// }
/// let snapshot = db.snapshot();
/// let sequences = Sequences::read(&snapshot, &Reading::default())?;
/// let small = Sasrec { dim: 8, layers: 1, epochs: Some(3), ..Sasrec::default() };
/// let options = ContentSasrec { sasrec: small, ..ContentSasrec::of(["text"]) };
/// let model = options.train(&snapshot, &sequences, &mut Training::new(7))?;
/// // Nobody has seen item 7, and it has a row.
/// assert_eq!(model.vector(&Key::Id(7)), None);
/// let row = model.content_vector(&snapshot, &Key::Id(7))?;
/// assert_eq!(row.map(|row| row.len()), Some(8));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ContentSasrec {
    /// The transformer, and how it is trained.
    pub sasrec: Sasrec,
    /// The spaces that are read, and how much each counts beside the others: vectors are scaled to
    /// length one, centred on all items, weighted and put end to end. An item without a vector in one
    /// of them counts as the mean there; one without any is known by its own part alone.
    pub inputs: Vec<(String, f32)>,
    /// Numbers of a hidden layer of the map, with ReLU; 0 for none, which leaves it linear.
    pub hidden: usize,
    /// The share of items that are without their own part in a step: 0 to 1. At 1 there is none at
    /// all; at 0 the map never does alone what it must do for new items.
    pub alone: f32,
}

impl ContentSasrec {
    /// Reading these spaces, of equal weight.
    pub fn of<'s>(spaces: impl IntoIterator<Item = &'s str>) -> ContentSasrec {
        let inputs = spaces.into_iter().map(|space| (space.to_owned(), 1.0)).collect();
        ContentSasrec { sasrec: Sasrec::default(), inputs, hidden: 0, alone: 0.5 }
    }

    /// Learns from sequences, and from the vectors of the items in a snapshot.
    ///
    /// # Errors
    /// As for [`Sasrec`](crate::model::Train::train); `NotFound` for an unknown space; `Invalid` for
    /// options out of range, or if no item of the sequences has a vector; `Cancelled`.
    pub fn train(
        &self,
        snapshot: &Snapshot,
        sequences: &Sequences,
        how: &mut Training<'_>,
    ) -> Result<Model> {
        self.check()?;
        let spaces: Vec<&str> = self.inputs.iter().map(|input| input.0.as_str()).collect();
        spaces.iter().try_for_each(|space| snapshot.schema().find_space(space).map(|_| ()))?;
        let Plan { recipe, windows, mut transformer, mut options } =
            self.sasrec.plan(sequences, how)?;
        let content = self.read(snapshot, &spaces, sequences, how)?;
        let dim = self.sasrec.dim;
        let own = match self.alone < 1.0 {
            true => std::mem::take(&mut transformer.items),
            false => vec![0.0; transformer.items.len()],
        };
        transformer.items = vec![0.0; own.len()];
        let pace = Pace { rate: recipe.rate, keep: (0.9, 0.98) };
        let mut dice = Dice::new(how.seed, 41);
        let blend = Blend::new(content, (self.hidden, dim), (own, self.alone), (pace, &mut dice));
        let fit = Fit::new(&transformer, windows, recipe, (how.seed, how.threads)).blending(blend);
        options.extend([
            ("inputs".into(), format!("{:?}", self.inputs)),
            ("hidden".into(), self.hidden.to_string()),
            ("alone".into(), self.alone.to_string()),
        ]);
        Ok(Model::trained(fit.run(transformer, how)?, options, sequences, how))
    }

    /// The inputs, centred on all items of the snapshot, and what they say of each code.
    fn read(
        &self,
        snapshot: &Snapshot,
        spaces: &[&str],
        sequences: &Sequences,
        how: &mut Training<'_>,
    ) -> Result<(Vec<Input>, Points, Vec<bool>)> {
        let found = points::read(snapshot, spaces, &mut how.progress)?;
        let (keys, items): (Vec<_>, Vec<Given>) = found.into_iter().unzip();
        let dims = spaces.iter().map(|space| Ok(snapshot.schema().find_space(space)?.dim as usize));
        let inputs = points::centred(&self.inputs, &dims.collect::<Result<Vec<_>>>()?, &items)?;
        let points = points::prepared(&inputs, &items)?;
        let vocabulary = sequences.vocabulary();
        let mut rows = vec![0f32; vocabulary.len() * points.dim];
        let mut has = vec![false; vocabulary.len()];
        for (at, key) in keys.iter().enumerate() {
            if let Some(code) = vocabulary.code(key) {
                let code = code as usize;
                rows[code * points.dim..][..points.dim].copy_from_slice(points.row(at));
                has[code] = true;
            }
        }
        match has.contains(&true) {
            true => Ok((inputs, Points { dim: points.dim, rows }, has)),
            false => {
                let why = format!("no item of the sequences has a vector in {spaces:?}");
                Err(Error::invalid("inputs of ContentSasrec", why))
            }
        }
    }

    fn check(&self) -> Result<()> {
        let wrong =
            |what: &str, why: String| Err(Error::invalid(format!("{what} of ContentSasrec"), why));
        if !(1..=TERMS_MAX).contains(&self.inputs.len()) {
            return wrong("inputs", format!("are {}; 1 to {TERMS_MAX}", self.inputs.len()));
        }
        if self.hidden > HIDDEN_MAX {
            return wrong("hidden", format!("is {}; at most {HIDDEN_MAX}", self.hidden));
        }
        match (0.0..=1.0).contains(&self.alone) {
            true => Ok(()),
            false => wrong("alone", format!("is {}; it must be 0 to 1", self.alone)),
        }
    }
}
