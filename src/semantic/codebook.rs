//! Codebook: from an item to its semantic ID.

use crate::{
    artifact::{Artifact, Opened, Saved, shelf},
    error::{Error, Result},
    key::Key,
    limits::LEVELS_MAX,
    semantic::{Encoder, Input, Level, SemanticId, listed::Listed},
};
use serde::{Deserialize, Serialize};

/// What gives every item its [`SemanticId`], as an artifact.
///
/// Most are *residual*: the vectors of an item in one or more spaces lie end to end; each level
/// takes the code of the nearest centroid, and the next level gets what is left. A new item needs no
/// training to get its ID. A *listed* codebook is an index that somebody else made: it knows the IDs
/// of some items by their keys, and new items have none.
///
/// ```
/// use bowerbird::semantic::{Codebook, Input, Level};
/// # fn main() -> bowerbird::Result<()> {
/// let coarse = Level::new(1, vec![-1.0, 1.0]);
/// let fine = Level::new(1, vec![-0.5, 0.0, 0.5]);
/// let input = Input { normalize: false, ..Input::new("price", 1) };
/// let codebook = Codebook::new(vec![input], vec![coarse, fine])?;
/// let id = codebook.encode(&[Some(&[1.4])])?.unwrap();
/// assert_eq!(id.codes(), [1, 2]);
/// assert_eq!(codebook.decode(&id)?, [1.5]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    inputs: Vec<Input>,
    encoder: Option<Encoder>,
    says: Says,
}

#[derive(Clone, Debug, PartialEq)]
enum Says {
    Residual(Vec<Level>),
    Listed(Listed),
}

/// What section 0 says.
#[derive(Debug, Serialize, Deserialize)]
struct Shape {
    inputs: Vec<Input>,
    encoder: Option<Encoder>,
    /// How many codes each level has.
    widths: Vec<usize>,
    /// Numbers in a centroid; 0 for a list.
    dim: usize,
    /// Keys of a list are names.
    names: bool,
}

const SHAPE: u16 = 0;
/// Centroids and prices of level `n` are sections `1 + 2n` and `2 + 2n`.
const LEVELS: u16 = 1;

impl Codebook {
    /// A residual codebook.
    ///
    /// # Errors
    /// `Invalid` for no input or level, more than eight levels or 65,536 codes on one, shapes that
    /// do not fit, or numbers that are not finite.
    pub fn new(inputs: Vec<Input>, levels: Vec<Level>) -> Result<Codebook> {
        Codebook { inputs, encoder: None, says: Says::Residual(levels) }.checked()
    }

    /// A residual codebook behind a network: RQ-VAE. The first level quantizes what `encoder` says.
    ///
    /// # Errors
    /// As for [`Codebook::new`].
    pub fn with_encoder(
        inputs: Vec<Input>,
        encoder: Encoder,
        levels: Vec<Level>,
    ) -> Result<Codebook> {
        let encoder = Some(encoder);
        Codebook { inputs, encoder, says: Says::Residual(levels) }.checked()
    }

    /// The IDs of these items, and of no others.
    ///
    /// # Errors
    /// `Invalid` for no items, an item twice, IDs of different lengths, or keys of both kinds.
    pub fn listed(items: impl IntoIterator<Item = (Key, SemanticId)>) -> Result<Codebook> {
        let says = Says::Listed(Listed::new(items)?);
        Ok(Codebook { inputs: Vec::new(), encoder: None, says })
    }

    fn checked(self) -> Result<Codebook> {
        let refuse = |why: String| Err(Error::invalid("codebook", why));
        let Says::Residual(levels) = &self.says else { return Ok(self) };
        if self.inputs.is_empty() {
            return refuse("has no input".into());
        }
        self.inputs.iter().try_for_each(Input::check)?;
        if !(1..=LEVELS_MAX).contains(&levels.len()) {
            return refuse(format!("has {} levels; 1 to {LEVELS_MAX}", levels.len()));
        }
        let read: usize = self.inputs.iter().map(|input| input.dim as usize).sum();
        let dim = match &self.encoder {
            Some(encoder) if encoder.input() != read => {
                let wants = encoder.input();
                return refuse(format!("has {read} numbers of input; its encoder reads {wants}"));
            }
            Some(encoder) => {
                encoder.check()?;
                encoder.output()
            }
            None => read,
        };
        levels.iter().enumerate().try_for_each(|(at, level)| level.check(at, dim))?;
        Ok(self)
    }

    /// The spaces that it reads; none if it is listed.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The network before the first level, if it has one.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_ref()
    }

    /// Its levels; none if it is listed.
    pub fn levels(&self) -> &[Level] {
        match &self.says {
            Says::Residual(levels) => levels,
            Says::Listed(_) => &[],
        }
    }

    /// How many codes each level has, coarse to fine.
    pub fn widths(&self) -> Vec<usize> {
        match &self.says {
            Says::Residual(levels) => levels.iter().map(Level::codes).collect(),
            Says::Listed(listed) => listed.widths.clone(),
        }
    }

    /// The items of a listed codebook with their IDs, ascending by key; none if it is residual.
    pub fn items(&self) -> Box<dyn Iterator<Item = (&Key, &SemanticId)> + '_> {
        match &self.says {
            Says::Residual(_) => Box::new(std::iter::empty()),
            Says::Listed(listed) => Box::new(listed.iter()),
        }
    }

    /// The ID of an item by its vectors, one for each input; `None` if it has none, or if the
    /// codebook is listed. Greedy: each level takes the best code for what is left.
    ///
    /// # Errors
    /// `Invalid` if vectors do not fit the inputs, or a number is not finite.
    pub fn encode(&self, vectors: &[Option<&[f32]>]) -> Result<Option<SemanticId>> {
        let Says::Residual(levels) = &self.says else { return Ok(None) };
        if vectors.len() == self.inputs.len() && vectors.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut residual = self.read(vectors)?;
        let (mut codes, mut room) = (Vec::with_capacity(levels.len()), Vec::new());
        codes.extend(levels.iter().map(|level| level.take(&mut residual, &mut room)));
        SemanticId::new(&codes).map(Some)
    }

    /// The ID of an item by its key: only in a listed codebook.
    pub fn find(&self, key: &Key) -> Option<SemanticId> {
        match &self.says {
            Says::Residual(_) => None,
            Says::Listed(listed) => listed.find(key),
        }
    }

    /// What the first level quantizes: inputs prepared, end to end, through the encoder.
    ///
    /// # Errors
    /// `Invalid` if vectors do not fit the inputs, or a number is not finite.
    pub fn read(&self, vectors: &[Option<&[f32]>]) -> Result<Vec<f32>> {
        if vectors.len() != self.inputs.len() {
            let why = format!("are {}; the codebook reads {}", vectors.len(), self.inputs.len());
            return Err(Error::invalid("vectors", why));
        }
        let mut read = Vec::with_capacity(self.inputs.iter().map(|i| i.dim as usize).sum());
        for (input, vector) in self.inputs.iter().zip(vectors) {
            let fits =
                |v: &&[f32]| v.len() != input.dim as usize || !v.iter().all(|x| x.is_finite());
            if let Some(wrong) = vector.as_ref().filter(|v| fits(v)) {
                let (has, wants) = (wrong.len(), input.dim);
                let why = format!("has {has} numbers; {wants} finite ones are read");
                return Err(Error::invalid(format!("vector in space {:?}", input.space), why));
            }
            input.push(*vector, &mut read);
        }
        Ok(match &self.encoder {
            Some(encoder) => encoder.encode(read),
            None => read,
        })
    }

    /// What an ID, or a prefix of one, stands for: the sum of its centroids. Compare it with
    /// [`Codebook::read`].
    ///
    /// # Errors
    /// `Invalid` if it has more levels than the codebook, or a code that is not there.
    pub fn decode(&self, id: &SemanticId) -> Result<Vec<f32>> {
        let levels = self.levels();
        let known = id.codes().len() <= levels.len()
            && id.codes().iter().zip(levels).all(|(c, level)| usize::from(*c) < level.codes());
        if !known || levels.is_empty() {
            let why = format!("is not of a codebook with {:?} codes", self.widths());
            return Err(Error::invalid(format!("semantic ID {id}"), why));
        }
        let mut sum = vec![0f32; levels[0].centroids().len() / levels[0].codes()];
        for (code, level) in id.codes().iter().zip(levels) {
            sum.iter_mut().zip(level.centroid(*code)).for_each(|(x, c)| *x += c);
        }
        Ok(sum)
    }
}

impl Artifact for Codebook {
    const KIND: &'static str = "codebook";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        let (dim, names) = match &self.says {
            Says::Residual(levels) => (levels[0].centroids().len() / levels[0].codes(), false),
            Says::Listed(listed) => (0, listed.has_names()),
        };
        let (inputs, encoder) = (self.inputs.clone(), self.encoder.clone());
        shelf::put(out, SHAPE, &Shape { inputs, encoder, widths: self.widths(), dim, names })?;
        match &self.says {
            Says::Residual(levels) => (0u16..).zip(levels).try_for_each(|(at, level)| {
                shelf::put_f32(out, LEVELS + 2 * at, level.centroids())?;
                shelf::put_f32(out, LEVELS + 2 * at + 1, level.prices())
            }),
            Says::Listed(listed) => listed.save(out),
        }
    }

    fn open(from: &Opened) -> Result<Codebook> {
        let shape: Shape = shelf::take(from, SHAPE)?;
        if !(1..=LEVELS_MAX).contains(&shape.widths.len()) {
            return Err(from.damage("number of levels"));
        }
        let says = match shape.dim {
            0 => Says::Listed(Listed::open(from, shape.names, shape.widths.len())?),
            dim => {
                let mut levels = Vec::new();
                for (at, codes) in (0u16..).zip(&shape.widths) {
                    let count = codes.checked_mul(dim).unwrap_or(usize::MAX);
                    let centroids = shelf::take_f32(from, LEVELS + 2 * at, count)?;
                    let prices = shelf::take_f32(from, LEVELS + 2 * at + 1, *codes)?;
                    levels.push(Level::priced(dim, centroids, prices));
                }
                Says::Residual(levels)
            }
        };
        let codebook = Codebook { inputs: shape.inputs, encoder: shape.encoder, says };
        codebook.checked().map_err(|error| from.damage(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Metric, Provenance, Schema};

    fn two_spaces() -> Codebook {
        let text = Input { mean: vec![0.5, 0.0], ..Input::new("text", 2) };
        let image = Input { weight: 2.0, normalize: false, ..Input::new("image", 1) };
        let coarse = Level::priced(3, vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0], vec![0.0, 0.25]);
        Codebook::new(vec![text, image], vec![coarse, Level::new(3, vec![0.0; 9])]).unwrap()
    }

    #[test]
    fn inputs_are_prepared_and_what_is_missing_is_the_mean() {
        let book = two_spaces();
        let read = |v: &[Option<&[f32]>]| book.read(v).unwrap();
        assert_eq!(read(&[Some(&[0.0, 3.0]), Some(&[4.0])]), [-0.5, 1.0, 8.0]);
        assert_eq!(read(&[None, Some(&[4.0])]), [0.0, 0.0, 8.0]);
        assert_eq!(read(&[Some(&[0.0, 0.0]), None]), [-0.5, 0.0, 0.0]);
        assert_eq!(book.encode(&[None, None]).unwrap(), None);
        assert!(book.encode(&[Some(&[1.0]), None]).is_err());
        assert!(book.encode(&[Some(&[f32::NAN, 0.0]), None]).is_err());
        assert!(book.encode(&[None]).is_err());
    }

    #[test]
    fn a_codebook_comes_back_from_a_database() {
        let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot)).unwrap();
        let id = |n: u16| SemanticId::new(&[n, 300]).unwrap();
        let encoder = Encoder::new(3).layer(vec![1.0; 6], vec![0.0; 2]).unwrap();
        let levels = vec![Level::new(2, vec![1.0; 4])];
        let names = [("b", 2), ("a", 1)].map(|(key, n)| (Key::from(key), id(n)));
        for book in [
            two_spaces(),
            Codebook::with_encoder(vec![Input::new("text", 3)], encoder, levels).unwrap(),
            Codebook::listed([(Key::Id(3), id(7)), (Key::Id(1), id(7))]).unwrap(),
            Codebook::listed(names).unwrap(),
        ] {
            let version = db.publish("sid", &book, Provenance::default()).unwrap();
            let back: Codebook = db.snapshot().artifact_version("sid", version).unwrap();
            assert_eq!(back, book);
        }
    }

    #[test]
    fn codebooks_that_cannot_be_are_refused() {
        let input = || vec![Input::new("text", 2)];
        let level = || Level::new(2, vec![0.0; 4]);
        assert!(Codebook::new(input(), vec![level()]).is_ok());
        assert!(Codebook::new(vec![], vec![level()]).is_err());
        assert!(Codebook::new(input(), vec![]).is_err());
        assert!(Codebook::new(input(), vec![level(); 9]).is_err());
        assert!(Codebook::new(input(), vec![Level::new(3, vec![0.0; 6])]).is_err());
        assert!(Codebook::new(input(), vec![Level::new(2, vec![f32::NAN; 2])]).is_err());
        assert!(Codebook::new(input(), vec![Level::new(2, vec![3e38; 2])]).is_err());
        assert!(Codebook::new(vec![Input::new("text", 0)], vec![level()]).is_err());
        let id = |codes: &[u16]| SemanticId::new(codes).unwrap();
        assert!(Codebook::listed([]).is_err());
        assert!(Codebook::listed([(Key::Id(1), id(&[1])), (Key::Id(1), id(&[2]))]).is_err());
        assert!(Codebook::listed([(Key::Id(1), id(&[1])), (Key::Id(2), id(&[1, 2]))]).is_err());
        assert!(Codebook::listed([(Key::Id(1), id(&[1])), (Key::from("a"), id(&[2]))]).is_err());
        assert!(Codebook::listed([(Key::Id(1), id(&[]))]).is_err());
    }
}
