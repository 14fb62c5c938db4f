//! Content: the vector of an item by what the item has, for items that a model was never trained on.

use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    format::{Kind, columns::raw},
    key::Addr,
    limits::TERMS_MAX,
    model::shelf,
    schema::Schema,
    semantic::{Encoder, Input},
    store::Snapshot,
};
use serde::Deserialize;

/// Most numbers of a hidden layer.
pub(crate) const HIDDEN_MAX: usize = 16_384;

/// A map from the vectors of an item in some spaces to its row in a model's table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    inputs: Vec<Input>,
    encoder: Encoder,
    hash: u64,
}

impl Content {
    /// That reads these inputs, end to end, and says `dim` numbers.
    ///
    /// # Errors
    /// `Invalid` if the parts do not fit each other.
    pub(crate) fn new(inputs: Vec<Input>, encoder: Encoder, dim: usize) -> Result<Content> {
        let refuse = |why: String| Err(Error::invalid("content map of a model", why));
        if !(1..=TERMS_MAX).contains(&inputs.len()) {
            return refuse(format!("reads {} spaces; 1 to {TERMS_MAX}", inputs.len()));
        }
        inputs.iter().try_for_each(Input::check)?;
        encoder.check()?;
        let wide = inputs.iter().map(|input| input.dim as usize).fold(0, usize::saturating_add);
        if (encoder.input(), encoder.output()) != (wide, dim) {
            let (from, to) = (encoder.input(), encoder.output());
            return refuse(format!("maps {from} numbers to {to}; it must map {wide} to {dim}"));
        }
        let hash = hash(&inputs, &encoder);
        Ok(Content { inputs, encoder, hash })
    }

    /// The spaces that it reads.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.space.as_str())
    }

    /// Which map it is: what was computed by it is kept under this.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The row of an item with these vectors, one for each space; `None` if it has none at all.
    ///
    /// # Errors
    /// `Invalid` for a vector of another length, or with numbers that are not finite.
    pub(crate) fn read(&self, vectors: &[Option<&[f32]>]) -> Result<Option<Vec<f32>>> {
        let mut numbers = Vec::with_capacity(self.encoder.input());
        for (at, input) in self.inputs.iter().enumerate() {
            let vector = vectors.get(at).copied().flatten();
            if let Some(vector) = vector
                && (vector.len() != input.dim as usize || !vector.iter().all(|x| x.is_finite()))
            {
                let why =
                    format!("must have {} finite numbers, and has {}", input.dim, vector.len());
                return Err(Error::invalid(format!("vector in space {:?}", input.space), why));
            }
            input.push(vector, &mut numbers);
        }
        let any = vectors.iter().any(Option::is_some);
        Ok(any.then(|| self.encoder.encode(numbers)))
    }

    /// The number of each space in a schema; `None` for one that is gone, or that has other vectors by
    /// now. Numbers are never used twice: what was computed from other spaces has other numbers.
    pub(crate) fn numbers(&self, schema: &Schema) -> Vec<Option<u16>> {
        let number = |input: &Input| {
            let space = schema.find_space(&input.space).ok()?;
            (space.dim == input.dim).then_some(space.id)
        };
        self.inputs.iter().map(number).collect()
    }

    /// The row of an item of a snapshot; `None` if it has a vector in none of the spaces.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for a space that is gone, or has other vectors.
    pub(crate) fn at(&self, snapshot: &Snapshot, addr: Addr) -> Result<Option<Vec<f32>>> {
        self.at_left(snapshot, addr, &vec![Some(0); self.inputs.len()])
    }

    /// The same by the spaces alone that have a number; in others the item counts as the mean.
    pub(crate) fn at_left(
        &self,
        snapshot: &Snapshot,
        addr: Addr,
        numbers: &[Option<u16>],
    ) -> Result<Option<Vec<f32>>> {
        let mut given = Vec::with_capacity(self.inputs.len());
        for (space, number) in self.spaces().zip(numbers) {
            let mut vector = Vec::new();
            let has = number.is_some() && snapshot.vector(addr, space, &mut vector)?;
            given.push(has.then_some(vector));
        }
        let vectors: Vec<Option<&[f32]>> = given.iter().map(Option::as_deref).collect();
        self.read(&vectors)
    }

    /// The same map of other inputs.
    #[cfg(test)]
    pub(super) fn with_inputs(&self, inputs: Vec<Input>) -> Content {
        Content { inputs, ..self.clone() }
    }

    pub(crate) fn save(&self, out: &mut Saved, section: u16) -> Result<()> {
        shelf::put(out, section, &(&self.inputs, &self.encoder))
    }

    /// What `save` wrote; `None` where the section is not there.
    pub(crate) fn open(from: &Opened, section: u16, dim: usize) -> Result<Option<Content>> {
        let kind = Kind::ARTIFACT_FIRST + section;
        if from.all().iter().all(|section| section.kind.0 != kind) {
            return Ok(None);
        }
        let (inputs, encoder) = shelf::take(from, section)?;
        match Content::new(inputs, encoder, dim) {
            Ok(content) => Ok(Some(content)),
            Err(why) => Err(from.damage(&why.to_string())),
        }
    }

    /// As tensors, and as what a manifest says of them: the inputs without their means, and how many
    /// layers there are. Weights are `[outputs, inputs]`, as PyTorch's.
    pub(crate) fn weights(&self) -> (serde_json::Value, Vec<Named>) {
        let (mut inputs, mut parts) = (Vec::new(), Vec::new());
        for (at, input) in self.inputs.iter().enumerate() {
            inputs.push(serde_json::json!({
                "space": input.space, "dim": input.dim, "normalize": input.normalize,
                "weight": input.weight,
            }));
            let mut mean = input.mean.clone();
            mean.resize(input.dim as usize, 0.0);
            parts.push((format!("content.inputs.{at}.mean"), vec![mean.len()], mean));
        }
        for (at, (weights, biases)) in self.encoder.layers().iter().enumerate() {
            let shape = vec![biases.len(), weights.len() / biases.len()];
            parts.push((format!("content.layers.{at}.weight"), shape, weights.clone()));
            parts.push((format!("content.layers.{at}.bias"), vec![biases.len()], biases.clone()));
        }
        let layers: Vec<usize> = self.encoder.layers().iter().map(|l| l.1.len()).collect();
        (serde_json::json!({ "inputs": inputs, "layers": layers }), parts)
    }

    /// What [`Content::weights`] said, of `take`, which hands out tensors by name and shape.
    pub(crate) fn from_weights(
        said: &serde_json::Value,
        dim: usize,
        mut take: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Content> {
        let Said { inputs: listed, layers } = Said::deserialize(said)
            .map_err(|why| Error::invalid("content in the config", why.to_string()))?;
        let mut inputs = Vec::with_capacity(listed.len().min(TERMS_MAX));
        for (at, one) in listed.into_iter().enumerate() {
            let mean = take(&format!("content.inputs.{at}.mean"), &[one.dim as usize])?;
            let SaidInput { space, dim, normalize, weight } = one;
            inputs.push(Input { space, dim, normalize, weight, mean });
        }
        let mut wide = inputs.iter().map(|i| i.dim as usize).fold(0, usize::saturating_add);
        let mut encoder = Encoder::new(wide);
        for (at, outputs) in layers.into_iter().enumerate() {
            let weights = take(&format!("content.layers.{at}.weight"), &[outputs, wide])?;
            let biases = take(&format!("content.layers.{at}.bias"), &[outputs])?;
            encoder = encoder.layer(weights, biases)?;
            wide = outputs;
        }
        Content::new(inputs, encoder, dim)
    }
}

/// Name, shape and numbers of a tensor.
type Named = (String, Vec<usize>, Vec<f32>);

/// What a manifest says of content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    inputs: Vec<SaidInput>,
    layers: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidInput {
    space: String,
    dim: u32,
    normalize: bool,
    weight: f32,
}

/// FNV-1a, 64 bits, of all that is computed with.
fn hash(inputs: &[Input], encoder: &Encoder) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |bytes: &[u8]| {
        bytes.iter().for_each(|b| hash = (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    };
    for input in inputs {
        eat(input.space.as_bytes());
        eat(&[0xff, u8::from(input.normalize)]);
        eat(&input.weight.to_le_bytes());
        eat(raw(&input.mean));
    }
    for (weights, biases) in encoder.layers() {
        eat(raw(weights));
        eat(raw(biases));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::Tensors;

    /// Goal: the map says of vectors, also where one is missing, what PyTorch said, for which
    /// `tests/parity/make_content.py` wrote it.
    #[test]
    fn rows_are_those_of_pytorch() {
        let file = include_bytes!("../../../../tests/fixtures/weights/content/content.safetensors");
        let mut tensors = Tensors::read(file).unwrap();
        let said = serde_json::json!({"layers": [7, 5], "inputs": [
            {"space": "text", "dim": 6, "normalize": true, "weight": 1.0},
            {"space": "image", "dim": 3, "normalize": false, "weight": 0.5},
        ]});
        let content = Content::from_weights(&said, 5, |name, shape| tensors.take(name, shape));
        let mut take = |name: &str, dim| tensors.take(name, &[40, dim]).unwrap();
        let (text, image, rows) = (take("text", 6), take("image", 3), take("rows", 5));
        tensors.finish().unwrap();
        let content = content.unwrap();
        for (at, row) in rows.chunks_exact(5).enumerate() {
            // Every fourth has no text, every fifth no image.
            let text = Some(&text[at * 6..at * 6 + 6]).filter(|_| at % 4 != 3);
            let image = Some(&image[at * 3..at * 3 + 3]).filter(|_| at % 5 != 4);
            let Some(said) = content.read(&[text, image]).unwrap() else {
                assert_eq!(at % 20, 19);
                continue;
            };
            let far = said.iter().zip(row).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-5, "item {at}: {far}");
        }
    }
}
