//! ONNX Runtime, where there is one: a test is told by the variable BOWERBIRD_ORT.

use crate::{onnx, ranked};
use bowerbird::model::ranker::{Cpu, Device, Features, Ort, OrtOn};
use std::path::{Path, PathBuf};

fn load(library: &Path, model: &[u8], features: Features, on: OrtOn) -> bowerbird::Result<Ort> {
    // SAFETY: the library is what whoever runs the tests says, or none.
    #[allow(unsafe_code)]
    unsafe {
        Ort::load(library, model, features, on)
    }
}

#[allow(clippy::disallowed_methods)]
fn library() -> Option<PathBuf> {
    std::env::var("BOWERBIRD_ORT").ok().map(PathBuf::from)
}

#[test]
fn a_library_that_is_not_there_is_an_error() {
    let (model, bytes) = onnx::pair("mlp");
    for (path, why) in [
        ("/no/such/libonnxruntime.so", "ONNX Runtime /no/such/libonnxruntime.so: cannot be loaded"),
        ("libonnxruntime.so", "is not an absolute path"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "cannot be loaded"),
    ] {
        let loaded = load(Path::new(path), &bytes, model.features().clone(), OrtOn::Cpu);
        let error = loaded.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// Goal: ONNX Runtime says what we say. Method: the models of `onnx`, if the library is here.
#[test]
fn a_model_in_onnx_runtime_scores_as_the_ranker_it_was_made_of() {
    let Some(library) = library() else {
        eprintln!("SKIPPED: BOWERBIRD_ORT names no libonnxruntime.so, so nothing was compared");
        return;
    };
    for name in ["mlp", "dcn", "attention"] {
        let (model, bytes) = onnx::pair(name);
        let ort = load(&library, &bytes, model.features().clone(), OrtOn::Cpu).unwrap();
        let apart = onnx::apart(&*Cpu.load(&model).unwrap(), &ort, &ranked::examples());
        println!("{name}: {apart:.1e}");
        assert!(apart <= 1e-4, "{name}: {apart}");
    }
    let wrong = onnx::fixture("wrong/unknown-input.onnx");
    let error = load(&library, &wrong, ranked::features(), OrtOn::Cpu).unwrap_err().to_string();
    assert!(error.contains("input \"prices\""), "{error}");
    let error = load(&library, b"no", ranked::features(), OrtOn::Cpu).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let other = Path::new("/other/libonnxruntime.so");
    let error = load(other, b"", ranked::features(), OrtOn::Cpu).unwrap_err().to_string();
    assert!(error.contains("a process has one"), "{error}");
    let (model, bytes) = onnx::pair("mlp");
    for on in [OrtOn::Cuda(0), OrtOn::TensorRt(0)] {
        match load(&library, &bytes, model.features().clone(), on) {
            Ok(ort) => {
                let apart = onnx::apart(&*Cpu.load(&model).unwrap(), &ort, &ranked::examples());
                assert!(apart <= 1e-3, "{on:?}: {apart}");
            }
            Err(why) => {
                assert!(why.to_string().contains("has no"), "{why}");
                eprintln!("SKIPPED: {on:?} was not compared: {why}");
            }
        }
    }
}
