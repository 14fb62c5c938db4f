//! RQ-VAEs of PyTorch: the codes that they said there, they say here.
//!
//! The fixtures were written by `tests/parity/make_rqvae.py` with the arithmetic of LETTER's `RQVAE` in
//! numpy. `BOWERBIRD_TORCH=1` makes them again, in a virtual environment of its own, and compares.
#![allow(clippy::disallowed_methods)] // Fixtures, read as files; a knob of the test.

use crate::weights::made_by;
use bowerbird::{
    Error, Key, SemanticId,
    semantic::{Codebook, Encoder, Input, Level},
};
use safetensors::SafeTensors;
use std::{fs, path::Path};

/// ReLU alone; batch norms that were folded, vectors scaled to length one, levels of different widths.
const MODELS: [&str; 2] = ["plain", "norms"];

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/semantic/rqvae");

fn read(folder: &Path) -> (Vec<u8>, String) {
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    (fs::read(folder.join("model.safetensors")).unwrap(), manifest)
}

/// Every code is that of numpy, and what the encoder says is nearly the same.
fn check(folder: &Path) {
    let (weights, manifest) = read(folder);
    let codebook = Codebook::import(&weights, &manifest).unwrap();
    let expected = fs::read(folder.join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&expected).unwrap();
    let bytes = |name: &str| file.tensor(name).unwrap().data().to_vec();
    let floats = |name: &str| -> Vec<f32> {
        bytes(name).as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let codes: Vec<u16> =
        bytes("codes").as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    let (vectors, latent) = (floats("vectors"), floats("latent"));
    let dim = codebook.inputs()[0].dim as usize;
    let output = codebook.encoder().unwrap().output();
    assert_eq!(vectors.len(), 200 * dim);
    let rows = vectors.chunks_exact(dim).zip(latent.chunks_exact(output));
    for ((vector, latent), codes) in rows.zip(codes.chunks_exact(codebook.widths().len())) {
        let id = codebook.encode(&[Some(vector)]).unwrap().unwrap();
        assert_eq!(id.codes(), codes, "{folder:?}");
        let said = codebook.read(&[Some(vector)]).unwrap();
        let far = said.iter().zip(latent).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4, "{folder:?}: {far}");
    }
}

#[test]
fn imported_codebooks_say_the_codes_of_their_rq_vae() {
    MODELS.iter().for_each(|name| check(&Path::new(FIXTURES).join(name)));
}

#[test]
fn codebooks_made_now_say_the_same() {
    let Some(made) = made_by("tests/parity/make_rqvae.py") else { return };
    MODELS.iter().for_each(|name| check(&made.path().join(name)));
}

/// Goal: what is exported can be imported, and is the same codebook, with all that one can have.
#[test]
fn exported_codebooks_can_be_imported() {
    let import = |name: &str| {
        let (weights, manifest) = read(&Path::new(FIXTURES).join(name));
        Codebook::import(&weights, &manifest).unwrap()
    };
    let text = Input { mean: vec![0.1, -0.3], weight: 0.7, ..Input::new("text", 2) };
    let inputs = vec![text, Input { normalize: false, ..Input::new("image", 1) }];
    let dear = Level::priced(3, vec![0.5; 12], vec![0.0, 0.25, -1.0, 1e-9]);
    let plain = Level::new(3, vec![-1.0; 6]);
    let priced = Codebook::new(inputs.clone(), vec![dear, plain.clone()]).unwrap();
    let idle = Codebook::with_encoder(inputs, Encoder::new(3), vec![plain]).unwrap();
    for codebook in [import("plain"), import("norms"), priced, idle] {
        let (weights, manifest) = codebook.export().unwrap();
        assert_eq!(Codebook::import(&weights, &manifest).unwrap(), codebook);
    }
    let id = SemanticId::new(&[1]).unwrap();
    let list = Codebook::listed([(Key::Id(1), id)]).unwrap();
    assert!(matches!(list.export(), Err(Error::Invalid { .. })));
}

/// Goal: files that do not fit each other are refused, by name of what is wrong.
#[test]
fn codebooks_that_do_not_fit_are_refused() {
    let (weights, manifest) = read(&Path::new(FIXTURES).join("plain"));
    let refused = |weights: &[u8], manifest: &str, what: &str| {
        let error = Codebook::import(weights, manifest).unwrap_err().to_string();
        assert!(error.contains(what), "{what:?} is not in {error:?}");
    };
    let said: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let with = |at: &str, value: serde_json::Value| {
        let mut said = said.clone();
        *said.pointer_mut(at).unwrap() = value;
        said.to_string()
    };
    refused(&weights[..100], &manifest, "safetensors");
    refused(&weights, "", "manifest");
    refused(&weights, &"[".repeat(100_000), "manifest");
    refused(&weights, &with("/format", 2.into()), "format 2");
    refused(&weights, &with("/architecture", "letter".into()), "letter");
    refused(&weights, &with("/config/activation", "silu".into()), "silu");
    refused(&weights, &with("/config/encoder", vec![32; 65].into()), "65 layers");
    refused(&weights, &with("/config/encoder", vec![32, 16].into()), "rq.vq_layers.0");
    refused(&weights, &with("/config/encoder", vec![32, 16, 9].into()), "mlp_layers.7");
    refused(&weights, &with("/config/encoder", vec![usize::MAX, 16, 8].into()), "mlp_layers.1");
    refused(&weights, &with("/config/encoder", serde_json::Value::Null), "rq.vq_layers.0");
    refused(&weights, &with("/config/widths", vec![32, 32].into()), "rq.vq_layers.2");
    refused(&weights, &with("/config/widths", vec![32; 9].into()), "rq.vq_layers.3");
    refused(&weights, &with("/config/widths", vec![32, 31, 32].into()), "rq.vq_layers.1");
    refused(&weights, &with("/config/priced", true.into()), "rq.vq_layers.0.prices");
    refused(&weights, &with("/config/inputs", serde_json::json!([])), "mlp_layers.1");
    refused(&weights, &with("/config/inputs/0/dim", 0.into()), "mlp_layers.1");
    refused(&weights, &with("/config/inputs/0/mean", true.into()), "inputs.0.mean");
    refused(&weights, &with("/config/inputs/0/weight", (-1).into()), "weight");
    refused(&weights, &manifest.replace("\"priced\"", "\"free\""), "free");
    let nothing = serde_json::json!({"format": 1, "architecture": "rq-vae", "config": {
        "inputs": [], "encoder": null, "activation": "relu", "widths": [1], "priced": false}});
    refused(&weights, &nothing.to_string(), "inputs");
}
