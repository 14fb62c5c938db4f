//! RankModel: a trained ranker as an artifact, and as files for others.

use super::{
    features::{Dims, Features},
    net::{Body, Net, Shape},
};
use crate::{
    artifact::{Artifact, Opened, Provenance, Saved, shelf},
    error::{Error, Result},
    key::Seq,
    model::weights::Tensors,
};
use serde::{Deserialize, Serialize};

/// A trained ranker: its features and its network.
///
/// ```
/// use bowerbird::{*, model::{Training, ranker::*}};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().attr("stars", AttrType::Float))?;
/// for id in 1..=4u64 {
///     db.batch().put(Item::new(id).attr("stars", id as f64)).commit()?;
/// }
/// let stars = Scalar::Attr { name: "stars".into(), otherwise: 0.0 };
/// let mut examples = Examples::new(Features::new().scalar(stars), &db.snapshot())?;
/// let request = recommend::Request::new(4, Timestamp(0)).user(7);
/// for _ in 0..20 {
///     examples.push(&request, &[(Key::Id(1), 0.0), (Key::Id(4), 1.0), (Key::Id(2), 0.0)])?;
/// }
/// let fit = FitRanker { epochs: 20, ..FitRanker::of(Body::Mlp { hidden: vec![8] }) };
/// let model = fit.train(&examples, None, &mut Training::new(7))?;
/// let version = db.publish("ranker", &model, model.provenance(db.snapshot().seq()))?;
/// db.activate("ranker", version)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RankModel {
    pub(crate) features: Features,
    pub(crate) net: Net,
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) seed: u64,
}

/// What is saved beside the numbers; FORMAT.md chapter 8.
#[derive(Serialize, Deserialize)]
struct Card {
    features: Features,
    shape: Shape,
    norm: Vec<(f32, f32)>,
    notes: Vec<(String, String)>,
    seed: u64,
}

/// What `manifest.json` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    architecture: String,
    features: Features,
    dims: Dims,
    width: u32,
    body: Body,
    /// Of each scalar: what is taken from it, and what it is multiplied by then.
    scales: Vec<(f32, f32)>,
}

const CARD: u16 = 0;
const NUMBERS: u16 = 100;
const ARCHITECTURE: &str = "bowerbird-ranker";

impl RankModel {
    /// Of parts that must fit each other.
    pub(crate) fn new(
        features: Features,
        net: Net,
        notes: Vec<(String, String)>,
        seed: u64,
    ) -> Result<RankModel> {
        features.check()?;
        let shape = &net.shape;
        let again = Shape::of(&features, &shape.dims, shape.width, shape.body.clone());
        let dims = &shape.dims;
        let slots = dims.context.len() == features.context.len()
            && dims.items.len() == features.items.len()
            && dims.history.is_some() == features.history.is_some();
        if again != *shape || !slots {
            return Err(Error::invalid("ranker", "has a network for other features than its own"));
        }
        let scales = net.norm.iter().all(|(a, b)| a.is_finite() && b.is_finite());
        if !scales || !net.numbers.iter().all(|x| x.is_finite()) {
            return Err(Error::invalid("weights of a ranker", "have a number that is not finite"));
        }
        Ok(RankModel { features, net, notes, seed })
    }

    /// What it looks at.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// What it computes.
    pub fn body(&self) -> &Body {
        &self.net.shape.body
    }

    /// How many numbers it has learned.
    pub fn parameters(&self) -> usize {
        self.net.numbers.len()
    }

    /// Where it came from, to publish it with: trained on the snapshot of a commit.
    pub fn provenance(&self, trained_at: Seq) -> Provenance {
        let notes = self.notes.clone();
        Provenance { trained_at, seed: self.seed, parents: Vec::new(), notes }
    }

    /// The bytes of `ranker.safetensors` and the text of `manifest.json`. Weights of layers are
    /// `[inputs, outputs]`; the manifest says what the inputs are. FORMAT.md has their order.
    ///
    /// # Errors
    /// `Invalid` if the files cannot be written.
    pub fn export(&self) -> Result<(Vec<u8>, String)> {
        let mut tensors = Tensors::default();
        for part in &self.net.parts {
            let numbers = self.net.numbers[part.range()].to_vec();
            tensors.put(part.name.clone(), &[part.rows, part.columns], numbers);
        }
        let manifest = Manifest {
            format: 1,
            architecture: ARCHITECTURE.into(),
            features: self.features.clone(),
            dims: self.net.shape.dims.clone(),
            width: self.net.shape.width,
            body: self.net.shape.body.clone(),
            scales: self.net.norm.clone(),
        };
        let text = serde_json::to_string(&manifest)
            .map_err(|why| Error::invalid("manifest", why.to_string()))?;
        Ok((tensors.write()?, text))
    }

    /// A ranker that was trained elsewhere, from files as [`RankModel::export`] writes them.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` where the files do not fit each other: another architecture, a tensor that
    /// is missing, left over, of another shape or not finite.
    pub fn import(safetensors: &[u8], manifest: &str) -> Result<RankModel> {
        let said: Manifest = serde_json::from_str(manifest)
            .map_err(|why| Error::invalid("manifest", format!("cannot be read: {why}")))?;
        if said.format != 1 || said.architecture != ARCHITECTURE {
            let why = format!(
                "is of {:?}, format {}; {ARCHITECTURE:?}, format 1, can be read",
                said.architecture, said.format
            );
            return Err(Error::invalid("manifest", why));
        }
        let shape = Shape::of(&said.features, &said.dims, said.width, said.body);
        shape.check()?;
        let mut tensors = Tensors::read(safetensors)?;
        let mut numbers = Vec::new();
        for part in shape.parts() {
            numbers.extend(tensors.take(&part.name, &[part.rows, part.columns])?);
        }
        tensors.finish()?;
        let net = Net::new(shape, numbers, said.scales)?;
        RankModel::new(said.features, net, vec![("imported".into(), "yes".into())], 0)
    }
}

impl Artifact for RankModel {
    const KIND: &'static str = "ranker";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        let card = Card {
            features: self.features.clone(),
            shape: self.net.shape.clone(),
            norm: self.net.norm.clone(),
            notes: self.notes.clone(),
            seed: self.seed,
        };
        shelf::put(out, CARD, &card)?;
        shelf::put_f32(out, NUMBERS, &self.net.numbers)
    }

    fn open(from: &Opened) -> Result<RankModel> {
        let card: Card = shelf::take(from, CARD)?;
        let damage = |why: Error| from.damage(&why.to_string());
        card.shape.check().map_err(damage)?;
        let count = card.shape.parts().last().map_or(0, |last| last.range().end);
        let numbers = shelf::take_f32(from, NUMBERS, count)?;
        let net = Net::new(card.shape, numbers, card.norm).map_err(damage)?;
        RankModel::new(card.features, net, card.notes, card.seed).map_err(damage)
    }
}
