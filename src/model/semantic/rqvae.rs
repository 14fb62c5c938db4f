//! RQ-VAE: residual codebooks from PyTorch, and back.

use crate::{
    error::{Error, Result},
    model::weights::Tensors,
    semantic::{Codebook, Encoder, Input, Level},
};
use serde::{Deserialize, Serialize};

/// What a manifest calls it.
const ARCHITECTURE: &str = "rq-vae";
/// What is between the layers of its encoder.
const ACTIVATION: &str = "relu";
/// Most layers of an encoder that are read.
const LAYERS_MAX: usize = 64;

/// What `manifest.json` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// 1.
    format: u32,
    /// [`ARCHITECTURE`].
    architecture: String,
    config: Config,
}

/// The part of it that says how to read the rest.
#[derive(Debug, Deserialize)]
struct Label {
    format: u32,
    architecture: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    inputs: Vec<Read>,
    /// How many numbers each layer says; `None` for no encoder.
    encoder: Option<Vec<usize>>,
    /// [`ACTIVATION`].
    activation: String,
    /// How many codes each level has.
    widths: Vec<usize>,
    /// Codes have prices.
    priced: bool,
}

/// An [`Input`], but for the numbers of its mean.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    space: String,
    dim: u32,
    normalize: bool,
    weight: f32,
    /// There is a mean.
    mean: bool,
}

/// The names of the tensors: those of LETTER's `RQVAE`, and two that it does not have.
mod name {
    /// Of a linear layer, `weight` or `bias`: a dropout is before it and an activation behind it.
    pub(super) fn layer(at: usize, part: &str) -> String {
        format!("encoder.mlp_layers.{}.{part}", 3 * at + 1)
    }

    pub(super) fn centroids(level: usize) -> String {
        format!("rq.vq_layers.{level}.embedding.weight")
    }

    pub(super) fn prices(level: usize) -> String {
        format!("rq.vq_layers.{level}.prices")
    }

    pub(super) fn mean(input: usize) -> String {
        format!("inputs.{input}.mean")
    }
}

impl Codebook {
    /// One that was trained elsewhere, from the bytes of `model.safetensors` and the text of
    /// `manifest.json`, as `examples/export/export_rqvae.py` writes them from a checkpoint of an RQ-VAE
    /// (Lee et al., 2022; TIGER, Rajput et al., 2023).
    ///
    /// Tensors have the names that LETTER (Wang et al., 2024) gives them. The manifest says the rest;
    /// nothing is guessed from shapes:
    ///
    /// ```json
    /// {"format": 1, "architecture": "rq-vae", "config": {
    ///   "inputs": [{"space": "text", "dim": 768, "normalize": false, "weight": 1.0, "mean": false}],
    ///   "encoder": [512, 256, 32], "activation": "relu", "widths": [256, 256, 256], "priced": false}}
    /// ```
    ///
    /// | field | it says | tensors |
    /// |---|---|---|
    /// | `inputs` | as [`Input`]; `mean`: whether one is subtracted | `inputs.N.mean` `[dim]` |
    /// | `encoder` | numbers that each linear layer says; `null` for none | layer N: `encoder.mlp_layers.(3N+1).weight` `[out, in]`, `.bias` `[out]` |
    /// | `activation` | `relu`, between layers and not after the last | |
    /// | `widths` | codes of each level | `rq.vq_layers.N.embedding.weight` `[codes, numbers]` |
    /// | `priced` | whether codes have prices, as [`Level::priced`] | `rq.vq_layers.N.prices` `[codes]` |
    ///
    /// Each level takes the nearest centroid. LETTER's own index file goes on from there and moves items
    /// that share an ID to other codes, so it differs in those items; here they share it. A space with
    /// [`Metric::Cosine`](crate::Metric) keeps vectors of length one: unless the RQ-VAE was trained on
    /// such, keep its vectors in a space with another metric.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` where the files do not fit each other: another architecture or activation,
    /// a field that is missing or not known, a tensor that is missing, left over, of another shape, or not
    /// finite; and as for [`Codebook::new`].
    ///
    /// ```
    /// use bowerbird::semantic::{Codebook, Input, Level};
    /// # fn main() -> bowerbird::Result<()> {
    /// let error = Codebook::import(&[], r#"{"format": 1, "architecture": "vq-vae"}"#).unwrap_err();
    /// assert!(error.to_string().contains("rq-vae"));
    ///
    /// let codebook = Codebook::new(vec![Input::new("text", 1)], vec![Level::new(1, vec![-1.0, 1.0])])?;
    /// let (weights, manifest) = codebook.export()?;
    /// assert_eq!(Codebook::import(&weights, &manifest)?, codebook);
    /// # Ok(()) }
    /// ```
    pub fn import(safetensors: &[u8], manifest: &str) -> Result<Codebook> {
        let config = Config::read(manifest)?;
        let mut tensors = Tensors::read(safetensors)?;
        let inputs = config.inputs(&mut tensors)?;
        let read: usize = inputs.iter().map(|input| input.dim as usize).sum();
        let encoder = config.encoder(read, &mut tensors)?;
        let levels = config.levels(encoder.as_ref().map_or(read, Encoder::output), &mut tensors)?;
        tensors.finish()?;
        match encoder {
            Some(encoder) => Codebook::with_encoder(inputs, encoder, levels),
            None => Codebook::new(inputs, levels),
        }
    }

    /// The bytes of `model.safetensors` and the text of `manifest.json`, for PyTorch and for
    /// [`Codebook::import`], which see for the names.
    ///
    /// # Errors
    /// `Invalid` for a listed codebook: it has no numbers. Write its [`Codebook::items`] as you like.
    ///
    /// ```no_run
    /// # use bowerbird::{Result, semantic::Codebook};
    /// # fn copy(codebook: &Codebook) -> Result<Codebook> {
    /// let (weights, manifest) = codebook.export()?;
    /// Codebook::import(&weights, &manifest)
    /// # }
    /// ```
    pub fn export(&self) -> Result<(Vec<u8>, String)> {
        if self.levels().is_empty() {
            let why = "is a list of items with their IDs, and has no centroids to export";
            return Err(Error::invalid("codebook", why));
        }
        let mut tensors = Tensors::default();
        let config = Config::of(self, &mut tensors);
        let manifest = Manifest { format: 1, architecture: ARCHITECTURE.into(), config };
        let manifest = serde_json::to_string(&manifest)
            .map_err(|why| Error::invalid("manifest", why.to_string()))?;
        Ok((tensors.write()?, manifest))
    }
}

impl Config {
    /// Of a manifest that can be obeyed.
    fn read(manifest: &str) -> Result<Config> {
        let wrong =
            |why: serde_json::Error| Error::invalid("manifest", format!("cannot be read: {why}"));
        let label: Label = serde_json::from_str(manifest).map_err(wrong)?;
        if label.architecture != ARCHITECTURE {
            let what = format!("architecture {:?}", label.architecture);
            let why = format!("is not {ARCHITECTURE}, which is known here");
            return Err(Error::invalid(what, why));
        }
        if label.format != 1 {
            let why =
                format!("is of format {}; this version reads 1. Upgrade the crate.", label.format);
            return Err(Error::invalid("manifest", why));
        }
        let Manifest { config, .. } = serde_json::from_str(manifest).map_err(wrong)?;
        if config.activation != ACTIVATION {
            let what = format!("activation {:?} in the config", config.activation);
            return Err(Error::invalid(what, format!("is not {ACTIVATION}, which is known here")));
        }
        let layers = config.encoder.as_ref().map_or(0, Vec::len);
        if layers > LAYERS_MAX {
            let why = format!("has {layers} layers; at most {LAYERS_MAX}");
            return Err(Error::invalid("encoder in the config", why));
        }
        Ok(config)
    }

    /// What a codebook is, and its numbers.
    fn of(codebook: &Codebook, tensors: &mut Tensors) -> Config {
        let mut read = Vec::new();
        for (at, input) in codebook.inputs().iter().enumerate() {
            let Input { space, dim, normalize, weight, mean } = input.clone();
            read.push(Read { space, dim, normalize, weight, mean: !mean.is_empty() });
            if !mean.is_empty() {
                tensors.put(name::mean(at), &[dim as usize], mean);
            }
        }
        let layers = codebook.encoder().map(Encoder::layers);
        for (at, (weights, biases)) in layers.into_iter().flatten().enumerate() {
            let (inputs, outputs) = (weights.len() / biases.len().max(1), biases.len());
            tensors.put(name::layer(at, "weight"), &[outputs, inputs], weights.clone());
            tensors.put(name::layer(at, "bias"), &[outputs], biases.clone());
        }
        let priced = |level: &Level| level.prices().iter().any(|price| *price != 0.0);
        let priced = codebook.levels().iter().any(priced);
        for (at, level) in codebook.levels().iter().enumerate() {
            let (codes, rows) = (level.codes(), level.centroids());
            tensors.put(name::centroids(at), &[codes, rows.len() / codes.max(1)], rows.to_vec());
            if priced {
                tensors.put(name::prices(at), &[codes], level.prices().to_vec());
            }
        }
        Config {
            inputs: read,
            encoder: layers.map(|layers| layers.iter().map(|layer| layer.1.len()).collect()),
            activation: ACTIVATION.into(),
            widths: codebook.widths(),
            priced,
        }
    }

    fn inputs(&self, tensors: &mut Tensors) -> Result<Vec<Input>> {
        let input = |(at, read): (usize, &Read)| {
            let mean = match read.mean {
                true => tensors.take(&name::mean(at), &[read.dim as usize])?,
                false => Vec::new(),
            };
            let Read { space, dim, normalize, weight, .. } = read;
            let (space, dim, normalize) = (space.clone(), *dim, *normalize);
            Ok(Input { space, dim, normalize, weight: *weight, mean })
        };
        self.inputs.iter().enumerate().map(input).collect()
    }

    fn encoder(&self, read: usize, tensors: &mut Tensors) -> Result<Option<Encoder>> {
        let Some(outputs) = &self.encoder else { return Ok(None) };
        let mut encoder = Encoder::new(read);
        for (at, output) in outputs.iter().enumerate() {
            let input = encoder.output();
            let weights = tensors.take(&name::layer(at, "weight"), &[*output, input])?;
            let biases = tensors.take(&name::layer(at, "bias"), &[*output])?;
            encoder = encoder.layer(weights, biases)?;
        }
        Ok(Some(encoder))
    }

    fn levels(&self, dim: usize, tensors: &mut Tensors) -> Result<Vec<Level>> {
        if dim == 0 {
            let why = "say that a centroid has no numbers; there must be an input, with dimensions";
            return Err(Error::invalid("inputs in the config", why));
        }
        let level = |(at, codes): (usize, &usize)| {
            let centroids = tensors.take(&name::centroids(at), &[*codes, dim])?;
            let prices = match self.priced {
                true => tensors.take(&name::prices(at), &[*codes])?,
                false => vec![0.0; *codes],
            };
            Ok(Level::priced(dim, centroids, prices))
        };
        self.widths.iter().enumerate().map(level).collect()
    }
}
