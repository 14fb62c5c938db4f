//! Weights of real PyTorch models: what they said there, they say here.
//!
//! The fixtures were written by `tests/parity/make_fixtures.py` from models of random weights, run by
//! torch 2.15 and transformers. `BOWERBIRD_TORCH=1` makes them again, in a virtual environment of its
//! own, and compares.
#![allow(clippy::disallowed_methods)] // Fixtures, read as files; a knob of the test.

use bowerbird::{model::Model, *};
use safetensors::{SafeTensors, tensor::TensorView};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

const ARCHITECTURES: [&str; 7] =
    ["pmixer", "pmixer-pre-ln", "pmixer-post-ln", "gsasrec", "gpt2", "bert4rec", "gru4rec"];
const ITEMS: u64 = 60;

fn fixtures() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/weights").into()
}

fn read(folder: &Path, name: &str) -> (Vec<u8>, String, Vec<u8>) {
    let file = |file: &str| fs::read(folder.join(name).join(file)).unwrap();
    let manifest = String::from_utf8(file("manifest.json")).unwrap();
    (file("model.safetensors"), manifest, file("expected.safetensors"))
}

/// The histories of `make_fixtures.py`, as keys.
fn histories() -> Vec<Vec<Key>> {
    let mut state = 88_172_645_463_325_252u64;
    let mut code = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % ITEMS
    };
    let one = |user: usize| (0..1 + user % 20).map(|_| Key::Id(3 * code() + 1)).collect();
    (0..1000).map(one).collect()
}

fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Goal: imported weights give the scores of PyTorch to 1e-4, and the same ten best items to a
/// thousand users, for every architecture.
fn check(folder: &Path) {
    for name in ARCHITECTURES {
        let (weights, manifest, expected) = read(folder, name);
        let model = Model::import(&weights, &manifest).unwrap();
        let scores = floats(&expected, "scores");
        let file = SafeTensors::deserialize(&expected).unwrap();
        let best = file.tensor("best").unwrap().data().to_vec();
        for (user, history) in histories().into_iter().enumerate() {
            let ours = model.best(&history, ITEMS as usize).unwrap();
            let by_key: HashMap<Key, f32> = ours.iter().cloned().collect();
            if let Some(theirs) = scores.get(user * ITEMS as usize..(user + 1) * ITEMS as usize) {
                for (code, theirs) in theirs.iter().enumerate() {
                    let ours = by_key[&Key::Id(3 * code as u64 + 1)];
                    let far = (ours - theirs).abs();
                    assert!(far <= 1e-4, "{name}, user {user}, item {code}: {ours}, not {theirs}");
                }
            }
            let ours: Vec<Key> = ours.into_iter().take(10).map(|best| best.0).collect();
            let theirs = best[user * 10..][..10].iter();
            let theirs: Vec<Key> = theirs.map(|code| Key::Id(3 * u64::from(*code) + 1)).collect();
            assert_eq!(ours, theirs, "{name}, user {user}");
        }
    }
}

#[test]
fn imported_weights_say_what_they_said_in_pytorch() {
    check(&fixtures());
}

/// Runs a script of `tests/parity` by a Python with torch, in a virtual environment that is made once;
/// `None` unless somebody asked for it by `BOWERBIRD_TORCH=1`: a few gigabytes and some minutes.
pub fn made_by(script: &str) -> Option<tempfile::TempDir> {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    if std::env::var_os("BOWERBIRD_TORCH").is_none() {
        println!("skipped: set BOWERBIRD_TORCH=1 to make real models with PyTorch");
        return None;
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let run = |program: &Path, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).current_dir(&root).status();
        assert!(done.unwrap().success(), "{program:?} {arguments:?}");
    };
    let python = PYTHON.get_or_init(|| {
        let venv = root.join("target/torch-venv");
        if !venv.join("bin/python").exists() {
            run(Path::new("python3"), &["-m", "venv", "target/torch-venv"]);
            let packages = ["install", "--quiet", "torch", "transformers", "safetensors", "numpy"];
            run(&venv.join("bin/pip"), &packages);
        }
        venv.join("bin/python")
    });
    let made = tempfile::tempdir().unwrap();
    run(python, &[script, made.path().to_str().unwrap()]);
    Some(made)
}

/// The same against models that are made here and now, of the versions of torch and transformers that
/// are current.
#[test]
fn models_made_now_say_the_same() {
    made_by("tests/parity/make_fixtures.py").iter().for_each(|made| check(made.path()));
}

/// Goal: what is exported can be imported, and is the same model.
#[test]
fn exported_weights_can_be_imported() {
    for name in ARCHITECTURES {
        let (weights, manifest, _) = read(&fixtures(), name);
        let model = Model::import(&weights, &manifest).unwrap();
        let (weights, manifest) = model.export().unwrap();
        let again = Model::import(&weights, &manifest).unwrap();
        for history in histories().iter().take(50) {
            assert_eq!(
                model.best(history, 60).unwrap(),
                again.best(history, 60).unwrap(),
                "{name}"
            );
        }
    }
}

/// Goal: files that do not fit each other are refused, by name of what is wrong.
#[test]
fn weights_that_do_not_fit_are_refused() {
    let (weights, manifest, _) = read(&fixtures(), "gsasrec");
    let refused = |weights: &[u8], manifest: &str, what: &str| {
        let error = Model::import(weights, manifest).unwrap_err().to_string();
        assert!(error.contains(what), "{what:?} is not in {error:?}");
    };
    refused(&weights, "{", "manifest");
    refused(&weights[..100], &manifest, "safetensors");
    refused(&weights, &manifest.replace("\"gsasrec\"", "\"sasrec\""), "architecture \"sasrec\"");
    refused(&weights, &manifest.replace("\"format\": 1", "\"format\": 2"), "format 2");
    refused(&weights, &manifest.replace("\"layers\": 2", "\"layers\": 3"), "layer.2");
    refused(&weights, &manifest.replace("\"layers\": 2", "\"layers\": 1"), "layer.1");
    refused(&weights, &manifest.replace("\"heads\": 2", "\"heads\": 3"), "heads");
    refused(&weights, &manifest.replace("\"dim\": 16", "\"dim\": 8"), "shape");
    refused(&weights, &manifest.replace("\"dim\": 16", "\"dim\": 4000000000"), "dim");
    // Another vocabulary: one item more, one item else, the wrong order.
    refused(&weights, &manifest.replace("[1, 4,", "[1, 3,"), "hash");
    refused(&weights, &manifest.replace("[1, 4,", "[4, 1,"), "ascend");
    refused(&weights, &manifest.replace("[1, 4,", "[0, 1, 4,"), "hash");
    // Another architecture with tensors of the same shapes.
    refused(&weights, &manifest.replace("\"gsasrec\"", "\"pmixer\""), "layer.0.out");
    let (other, its, _) = read(&fixtures(), "pmixer");
    refused(&other, &its.replace("\"pmixer\"", "\"gsasrec\""), "is no part of this architecture");
    // A number that is none.
    let file = SafeTensors::deserialize(&weights).unwrap();
    let views = file.tensors();
    let mut data = views[0].1.data().to_vec();
    data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut changed: Vec<(&str, TensorView<'_>)> =
        views.iter().map(|(name, view)| (name.as_str(), view.clone())).collect();
    changed[0].1 = TensorView::new(views[0].1.dtype(), views[0].1.shape().to_vec(), &data).unwrap();
    refused(&safetensors::serialize(changed, None).unwrap(), &manifest, "NaN");
}
