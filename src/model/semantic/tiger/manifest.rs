//! Manifest: a TIGER from PyTorch, and back.

use super::{ARCHITECTURE, Error, Network, Part, Result, Shape, Tiger};
use crate::model::weights::{Tensors, turned as transposed};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What `manifest.json` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// 1.
    format: u32,
    /// [`ARCHITECTURE`].
    architecture: String,
    config: Shape,
}

/// The part of it that says how to read the rest.
#[derive(Debug, Deserialize)]
struct Label {
    format: u32,
    architecture: String,
}

impl Tiger {
    /// One that was trained elsewhere, from the bytes of `model.safetensors` and the text of
    /// `manifest.json`, as `examples/export/export_tiger.py` writes them from a checkpoint.
    ///
    /// Tensors have the names of Hugging Face's `T5ForConditionalGeneration`. The manifest says the
    /// rest; nothing is guessed from shapes:
    ///
    /// ```json
    /// {"format": 1, "architecture": "tiger-t5", "config": {
    ///   "d_model": 128, "d_kv": 64, "heads": 6, "layers": 4, "decoder_layers": 4, "d_ff": 1024,
    ///   "activation": "relu", "eps": 1e-6, "buckets": 32, "max_distance": 128,
    ///   "tied": false, "scale_outputs": false, "vocab": 3034,
    ///   "widths": [256, 256, 256, 256], "first": [0, 256, 512, 768],
    ///   "pad": 3033, "eos": 3032, "start": 3031,
    ///   "users": {"first": 1024, "count": 2000, "hash": "murmur3", "place": "last"},
    ///   "append_eos": false, "max_items": 19}}
    /// ```
    ///
    /// | field | it says |
    /// |---|---|
    /// | `activation` | `relu` or `gated-gelu` |
    /// | `eps` | what norms add to the mean square |
    /// | `buckets`, `max_distance` | relative positions |
    /// | `tied` | one table to read and to score tokens by; else there is `lm_head.weight` |
    /// | `scale_outputs` | scores are divided by the root of `d_model`, as T5 does if tied |
    /// | `widths`, `first` | codes of each level, and the token of its code 0 |
    /// | `pad`, `eos`, `start` | the tokens that an empty history is, that may end one, and that the decoder reads first |
    /// | `users` | tokens of users, their hash (`murmur3` or `modulo`) and place (`first`, `last`); or `null` |
    /// | `append_eos` | whether histories end by `eos` |
    /// | `max_items` | how many items are read of a history: the last |
    ///
    /// # Errors
    /// `Invalid` or `NotFound` where the files do not fit each other: another architecture, a field
    /// that is missing or not known, codes beyond the vocabulary, a tensor that is missing, left
    /// over, of another shape, or not finite.
    ///
    /// ```
    /// # use bowerbird::model::semantic::Tiger;
    /// let error = Tiger::import(&[], r#"{"format": 1, "architecture": "t5"}"#).unwrap_err();
    /// assert!(error.to_string().contains("tiger-t5"));
    /// ```
    pub fn import(safetensors: &[u8], manifest: &str) -> Result<Tiger> {
        let wrong =
            |why: serde_json::Error| Error::invalid("manifest", format!("cannot be read: {why}"));
        let label: Label = serde_json::from_str(manifest).map_err(wrong)?;
        if label.architecture != ARCHITECTURE {
            let what = format!("architecture {:?}", label.architecture);
            return Err(Error::invalid(
                what,
                format!("is not {ARCHITECTURE}, which is known here"),
            ));
        }
        if label.format != 1 {
            let why =
                format!("is of format {}; this version reads 1. Upgrade the crate.", label.format);
            return Err(Error::invalid("manifest", why));
        }
        let Manifest { config, .. } = serde_json::from_str(manifest).map_err(wrong)?;
        config.check()?;
        let mut tensors = Tensors::read(safetensors)?;
        let take = |_: usize, part: &Part| match part.turned {
            true => tensors.take_turned(&part.name, part.shape[0], part.shape[1]),
            false => tensors.take(&part.name, &part.shape),
        };
        let network = Network::new(config, take)?;
        tensors.finish()?;
        Ok(Tiger { network: Arc::new(network), user: None })
    }

    /// The bytes of `model.safetensors` and the text of `manifest.json`, for PyTorch and for
    /// [`Tiger::import`].
    ///
    /// # Errors
    /// `Invalid` if they cannot be written, which would be a defect here.
    ///
    /// ```no_run
    /// # use bowerbird::{Result, model::semantic::Tiger};
    /// # fn copy(tiger: &Tiger) -> Result<Tiger> {
    /// let (weights, manifest) = tiger.export()?;
    /// Tiger::import(&weights, &manifest)
    /// # }
    /// ```
    pub fn export(&self) -> Result<(Vec<u8>, String)> {
        let (network, mut tensors) = (&self.network, Tensors::default());
        for (Part { name, shape, turned }, numbers) in
            network.layout.parts.iter().zip(&network.parts)
        {
            let numbers = match turned {
                true => transposed(numbers, shape[1], shape[0]),
                false => numbers.clone(),
            };
            tensors.put(name, shape, numbers);
        }
        let (format, architecture) = (1, ARCHITECTURE.to_owned());
        let manifest = Manifest { format, architecture, config: network.shape.clone() };
        let manifest = serde_json::to_string(&manifest)
            .map_err(|why| Error::invalid("manifest", why.to_string()))?;
        Ok((tensors.write()?, manifest))
    }
}
