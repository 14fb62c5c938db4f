//! Rankers in ONNX files: the same scores as ours, and errors for what does not fit.

use crate::ranked;
use bowerbird::model::{
    Training,
    ranker::{Body, Cpu, Device, Examples, Features, FitRanker, Onnx, RankModel, Ranker},
};
use std::sync::Arc;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx");
const NAMES: [&str; 3] = ["mlp", "dcn", "attention"];

#[allow(clippy::disallowed_methods)]
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/{name}")).unwrap()
}

/// A ranker that was exported, and the model that was made of it elsewhere.
pub fn pair(name: &str) -> (Arc<RankModel>, Vec<u8>) {
    let manifest = String::from_utf8(fixture(&format!("{name}.json"))).unwrap();
    let model = RankModel::import(&fixture(&format!("{name}.safetensors")), &manifest).unwrap();
    (Arc::new(model), fixture(&format!("{name}.onnx")))
}

/// Goal: a ranker says the same scores, whoever computes it. Returns the largest difference.
pub fn apart(one: &dyn Ranker, other: &dyn Ranker, examples: &Examples) -> f32 {
    let batch = examples.batch();
    let (mut a, mut b) = (vec![f32::NAN; batch.len()], vec![f32::NAN; batch.len()]);
    one.rank(batch, &mut a).unwrap();
    other.rank(batch, &mut b).unwrap();
    let spread =
        a.iter().copied().fold(f32::MIN, f32::max) - a.iter().copied().fold(f32::MAX, f32::min);
    assert!(spread > 0.1, "scores that are all the same show nothing");
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Writes what tests/parity/make_onnx.py reads.
#[test]
#[ignore = "writes fixtures"]
#[allow(clippy::disallowed_methods)]
fn rankers_are_exported() {
    let hidden = vec![12, 6];
    let bodies = [
        Body::Mlp { hidden: hidden.clone() },
        Body::Dcn { layers: 2, rank: 5, hidden: hidden.clone() },
        Body::Attention { heads: 2, hidden },
    ];
    for (name, body) in NAMES.iter().zip(bodies) {
        let fit = FitRanker { width: 8, epochs: 60, learning_rate: 0.01, ..FitRanker::of(body) };
        let model = fit.train(&ranked::examples(), None, &mut Training::new(3)).unwrap();
        let (weights, manifest) = model.export().unwrap();
        std::fs::write(format!("{FOLDER}/{name}.safetensors"), weights).unwrap();
        std::fs::write(format!("{FOLDER}/{name}.json"), manifest).unwrap();
    }
}

#[test]
fn a_model_in_onnx_scores_as_the_ranker_it_was_made_of() {
    for name in NAMES {
        let (model, bytes) = pair(name);
        let onnx = Onnx::read(&bytes, model.features().clone()).unwrap();
        let apart = apart(&*Cpu.load(&model).unwrap(), &onnx, &ranked::examples());
        println!("{name}: {apart:.1e}");
        assert!(apart <= 1e-4, "{name}: {apart}");
    }
}

/// What is said of a model that does not fit.
fn refused(name: &str) -> String {
    let model = Onnx::read(&fixture(&format!("wrong/{name}.onnx")), ranked::features());
    model.unwrap_err().to_string()
}

#[test]
fn a_model_with_other_inputs_is_refused() {
    for (name, why) in [
        ("unknown-input", "input \"prices\" of an ONNX model: is none that these features have"),
        ("integers", "input \"scalars\" of an ONNX model: has integers; these are f32"),
        ("axes", "has the shape [N, 3, 2]; these features make [N, 3]"),
        ("width", "has the shape [N, 5]; these features make [N, 3]"),
        ("fixed", "takes exactly 7 candidates"),
        ("no-scores", "are [\"logits\"]; one must be called \"scores\""),
        ("two-scores", "has the shape [N, 3]; [N] or [N, 1] is needed"),
    ] {
        let error = refused(name);
        assert!(error.contains(why), "{name}: {error}");
    }
    let (_, bytes) = pair("mlp");
    let error = Onnx::read(&bytes, Features::new().item("text")).unwrap_err().to_string();
    assert!(
        error.contains("is none that these features have; they have tasks, items_0"),
        "{error}"
    );
}

/// Goal: what only a batch shows is an error then.
#[test]
fn a_model_that_does_not_fit_the_batch_fails() {
    let examples = ranked::examples();
    let mut scores = vec![f32::NAN; examples.batch().len()];
    for (name, why) in
        [("dimension", "ONNX model: fails: "), ("one-for-all", "came out with the shape [6]")]
    {
        let bytes = fixture(&format!("wrong/{name}.onnx"));
        let model = Onnx::read(&bytes, ranked::features()).unwrap();
        let error = model.rank(examples.batch(), &mut scores).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }
    let (_, bytes) = pair("mlp");
    let model = Onnx::read(&bytes, ranked::features().history("image", 4)).unwrap();
    let error = model.rank(examples.batch(), &mut scores).unwrap_err().to_string();
    assert!(error.contains("other features"), "{error}");
}

/// Goal: damaged bytes are an error or another model, never a panic. Method: every byte flipped, every
/// length cut.
#[test]
fn a_damaged_model_is_survived() {
    let examples = ranked::examples();
    let (_, bytes) = pair("mlp");
    let mut scores = vec![f32::NAN; examples.batch().len()];
    let mut read = 0;
    for at in (0..bytes.len()).step_by(23) {
        for flip in [0x01, 0x80, 0xff] {
            let mut other = bytes.clone();
            other[at] ^= flip;
            if let Ok(model) = Onnx::read(&other, ranked::features()) {
                read += 1;
                let _ = model.rank(examples.batch(), &mut scores);
            }
        }
        let _ = Onnx::read(&bytes[..at], ranked::features());
    }
    assert!(read > 0, "no damage left a model");
    for (text, why) in [(&b""[..], "cannot be read"), (b"no model", "cannot be read")] {
        let error = Onnx::read(text, ranked::features()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
