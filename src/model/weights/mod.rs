//! Weights in and out: models trained elsewhere, as safetensors and a manifest.
//!
//! | file | it owns |
//! |---|---|
//! | `tensors` | tensors by name |
//! | `manifest` | the architecture, its sizes, the items |
//! | `foreign` | from the tensors of each architecture to a method |
//!
//! The architecture is said, never guessed from shapes: code that looks alike computes different
//! things. `examples/export` has the scripts that write both files from PyTorch checkpoints.

mod foreign;
mod manifest;
mod tensors;

use crate::{
    error::{Error, Result},
    model::{Card, Model, method::Weights},
};
use manifest::Manifest;
use std::sync::Arc;

pub(crate) use tensors::{Tensors, turned};

impl Model {
    /// A model that was trained elsewhere, from the bytes of `model.safetensors` and the text of
    /// `manifest.json`, as the scripts in `examples/export` write them.
    ///
    /// | architecture | whose code |
    /// |---|---|
    /// | `pmixer` | SASRec.pytorch before it had `norm_first`, after Kang and McAuley (2018) |
    /// | `pmixer-pre-ln`, `pmixer-post-ln` | SASRec.pytorch with and without `norm_first` |
    /// | `gsasrec` | gSASRec-pytorch (Petrov and Macdonald, 2023) |
    /// | `gpt2` | Hugging Face's GPT2Model on items |
    /// | `bert4rec` | Hugging Face's BertForMaskedLM as bert4rec_repro uses it |
    /// | `gru4rec` | GRU4Rec_PyTorch_Official, one layer |
    /// | `bowerbird` | what [`Model::export`] writes |
    ///
    /// # Errors
    /// `Invalid` or `NotFound` where the files do not fit each other: an unknown architecture, a
    /// tensor that is missing, left over, of another shape, or not finite, items whose hash is not
    /// that of the manifest.
    ///
    /// ```no_run
    /// use bowerbird::{*, model::Model};
    /// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    /// # let db = Db::in_memory(Schema::new())?;
    /// let weights = std::fs::read("out/model.safetensors")?;
    /// let model = Model::import(&weights, &std::fs::read_to_string("out/manifest.json")?)?;
    /// let version = db.publish("sasrec", &model, model.provenance(Seq(0)))?;
    /// db.activate("sasrec", version)?;
    /// # Ok(()) }
    /// ```
    pub fn import(safetensors: &[u8], manifest: &str) -> Result<Model> {
        let manifest = Manifest::read(manifest)?;
        let vocabulary = Arc::new(manifest.vocabulary()?);
        let mut tensors = Tensors::read(safetensors)?;
        let method = foreign::read(&manifest, vocabulary.len(), &mut tensors)?;
        tensors.finish()?;
        let sizes = manifest.config.iter().map(|(name, value)| (name.clone(), value.to_string()));
        let mut options = vec![("architecture".to_owned(), manifest.architecture.clone())];
        options.extend(sizes);
        let card = Card { options, ..Card::of(method.name(), &vocabulary) };
        Ok(Model::with(card, vocabulary, method))
    }

    /// The bytes of `model.safetensors` and the text of `manifest.json` for PyTorch and others;
    /// [`Model::import`] reads them, too.
    ///
    /// # Errors
    /// `Invalid` for a method that has no weights: those that count.
    pub fn export(&self) -> Result<(Vec<u8>, String)> {
        let Some(Weights { architecture, config, parts }) = self.method().weights() else {
            let why = "has no weights of a network; it can be published, but not exported";
            return Err(Error::invalid(format!("method {}", self.card().method), why));
        };
        let mut tensors = Tensors::default();
        parts.into_iter().for_each(|(name, shape, numbers)| tensors.put(name, &shape, numbers));
        let manifest = Manifest::new(architecture, config, self.vocabulary());
        Ok((tensors.write()?, manifest.write()?))
    }
}
