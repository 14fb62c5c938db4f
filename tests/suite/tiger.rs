//! Generative recommenders of PyTorch: what they said there, they say here.
//!
//! The fixtures were written by `tests/parity/make_tiger.py` from T5ForConditionalGeneration of random
//! weights, run by torch 2.15 and transformers 5.24. `BOWERBIRD_TORCH=1` makes them again, in a virtual
//! environment of its own, and compares.
#![allow(clippy::disallowed_methods)] // Fixtures, read as files; a knob of the test.

use crate::weights::made_by;
use bowerbird::{
    Error, SemanticId, UserId,
    model::semantic::{NextCode, Tiger},
};
use safetensors::SafeTensors;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The open TIGER as it is published; T5 as it first was, tied; T5 1.1, gated.
const MODELS: [&str; 3] = ["open", "tied", "gated"];
/// The first items, whose codes were followed step by step.
const PATHS: usize = 5;

fn fixtures() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/semantic/tiger").into()
}

/// A model, and what PyTorch said of it.
struct Expected {
    tiger: Tiger,
    items: Vec<SemanticId>,
    /// As items, oldest first.
    histories: Vec<Vec<usize>>,
    best: Vec<Vec<usize>>,
    generated: Vec<Vec<usize>>,
    steps: Vec<f32>,
}

impl Expected {
    fn read(folder: &Path) -> Expected {
        let weights = fs::read(folder.join("model.safetensors")).unwrap();
        let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
        let tiger = Tiger::import(&weights, &manifest).unwrap();
        let expected = fs::read(folder.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&expected).unwrap();
        let bytes = |name: &str| file.tensor(name).unwrap().data().to_vec();
        let whole = |name: &str| -> Vec<u16> {
            bytes(name).as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
        };
        let rows = |name: &str, each: usize| -> Vec<Vec<usize>> {
            let row = |row: &[u16]| row.iter().map(|item| usize::from(*item)).collect();
            whole(name).chunks_exact(each).map(row).collect()
        };
        let mut all = whole("histories").into_iter().map(usize::from);
        let history = |length: &u16| all.by_ref().take(usize::from(*length)).collect();
        let codes = whole("items");
        let ids = codes.chunks_exact(tiger.widths().len());
        Expected {
            items: ids.map(|codes| SemanticId::new(codes).unwrap()).collect(),
            histories: whole("lengths").iter().map(history).collect(),
            best: rows("best", 10),
            generated: rows("generated", 10),
            steps: bytes("steps")
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
            tiger,
        }
    }

    /// The model as it reads for a user, and the user's history.
    fn user(&self, user: usize) -> (Tiger, Vec<SemanticId>) {
        let history = self.histories[user].iter().map(|item| self.items[*item]).collect();
        (self.tiger.for_user(UserId(7919 * user as u64)), history)
    }
}

/// The codes that lead on from each prefix to an item.
fn children(items: &[SemanticId]) -> BTreeMap<SemanticId, BTreeSet<u16>> {
    let mut children: BTreeMap<SemanticId, BTreeSet<u16>> = BTreeMap::new();
    for id in items {
        for (level, code) in id.codes().iter().enumerate() {
            children.entry(id.prefix(level)).or_default().insert(*code);
        }
    }
    children
}

/// The IDs of the best items: the plainest beam search that there is.
fn search(
    tiger: &Tiger,
    history: &[SemanticId],
    children: &BTreeMap<SemanticId, BTreeSet<u16>>,
    (beams, limit): (usize, usize),
) -> Vec<SemanticId> {
    let mut decoding = tiger.begin(history).unwrap();
    let mut alive = vec![(0f64, SemanticId::default())];
    let (mut parents, mut codes) = (Vec::new(), Vec::new());
    for width in tiger.widths() {
        let mut log_probs = vec![0f32; alive.len() * width];
        decoding.step(&parents, &codes, &mut log_probs).unwrap();
        let mut next = Vec::new();
        for (beam, (score, prefix)) in alive.iter().enumerate() {
            for code in &children[prefix] {
                let said = log_probs[beam * width + usize::from(*code)];
                next.push((score + f64::from(said), beam as u32, *code));
            }
        }
        next.sort_by(|a, b| b.0.total_cmp(&a.0));
        next.truncate(beams);
        let path = |(score, beam, code): &(f64, u32, u16)| {
            let path = [alive[*beam as usize].1.codes(), &[*code]].concat();
            (*score, SemanticId::new(&path).unwrap())
        };
        (parents, codes) = next.iter().map(|(_, beam, code)| (*beam, *code)).unzip();
        alive = next.iter().map(path).collect();
    }
    alive.iter().take(limit).map(|(_, id)| *id).collect()
}

/// Goal: each step's log-probabilities are those of PyTorch to 1e-4.
/// Method: the first items' codes are followed by as many beams; at the first level there is one.
fn check_steps(name: &str, expected: &Expected) {
    let (mut at, mut far) = (0, 0f32);
    let mut user = 0;
    while at < expected.steps.len() {
        let (tiger, history) = expected.user(user);
        let mut decoding = tiger.begin(&history).unwrap();
        for (level, width) in tiger.widths().iter().enumerate() {
            let (parents, codes): (Vec<u32>, Vec<u16>) = match level {
                0 => (Vec::new(), Vec::new()),
                1 => expected.items[..PATHS].iter().map(|id| (0, id.codes()[0])).unzip(),
                _ => (0..)
                    .zip(&expected.items[..PATHS])
                    .map(|(p, id)| (p, id.codes()[level - 1]))
                    .unzip(),
            };
            let mut ours = vec![0f32; parents.len().max(1) * width];
            decoding.step(&parents, &codes, &mut ours).unwrap();
            let theirs = &expected.steps[at..][..ours.len()];
            at += ours.len();
            for (ours, theirs) in ours.iter().zip(theirs) {
                far = far.max((ours - theirs).abs());
                assert!(far <= 1e-4, "{name}, user {user}, level {level}: {ours}, not {theirs}");
            }
        }
        user += 1;
    }
    assert!(user >= 20);
    println!("{name}: {at} log-probabilities of {user} users are at most {far:.1e} off");
}

/// Goal: for every user, the ten best items are those of PyTorch, in its order: all items scored one
/// by one there, against beams that cover all prefixes here; and `generate` there, against as many
/// beams here.
fn check_best(name: &str, expected: &Expected) {
    assert_eq!((expected.histories.len(), expected.items.len()), (500, 300));
    let children = children(&expected.items);
    let ids = |items: &[usize]| -> Vec<_> { items.iter().map(|at| expected.items[*at]).collect() };
    for (user, best) in expected.best.iter().enumerate() {
        let (tiger, history) = expected.user(user);
        let ours = search(&tiger, &history, &children, (usize::MAX, 10));
        assert_eq!(ours, ids(best), "{name}, user {user}");
        if let Some(generated) = expected.generated.get(user) {
            let ours = search(&tiger, &history, &children, (50, 10));
            assert_eq!(ours, ids(generated), "{name}, user {user}, by generate");
        }
    }
    println!("{name}: 500 users, and {} of them by generate", expected.generated.len());
}

fn check(folder: &Path) {
    for name in MODELS {
        let expected = Expected::read(&folder.join(name));
        check_steps(name, &expected);
        check_best(name, &expected);
    }
}

#[test]
fn imported_decoders_say_what_they_said_in_pytorch() {
    check(&fixtures());
}

/// The same against models that are made here and now, of the versions of torch and transformers that
/// are current.
#[test]
fn decoders_made_now_say_the_same() {
    made_by("tests/parity/make_tiger.py").iter().for_each(|made| check(made.path()));
}

/// Goal: what is exported can be imported, and is the same model.
#[test]
fn exported_decoders_can_be_imported() {
    for name in MODELS {
        let expected = Expected::read(&fixtures().join(name));
        let (weights, manifest) = expected.tiger.export().unwrap();
        let again = Tiger::import(&weights, &manifest).unwrap();
        assert_eq!(again.parameters(), expected.tiger.parameters());
        let mut both = [&expected.tiger, &again].map(|tiger| {
            let mut log_probs = vec![0f32; tiger.widths()[0]];
            let tiger = tiger.for_user(UserId(3));
            tiger.begin(&expected.items[..9]).unwrap().step(&[], &[], &mut log_probs).unwrap();
            log_probs
        });
        assert!(both[0].iter().all(|number| *number < 0.0));
        assert_eq!(std::mem::take(&mut both[0]), both[1], "{name}");
    }
}

/// Goal: what is not a step of this decoder is refused by name, and the decoder goes on.
#[test]
fn steps_that_cannot_be_are_refused() {
    let expected = Expected::read(&fixtures().join("tied"));
    let widths = expected.tiger.widths().to_vec();
    let mut decoding = expected.tiger.begin(&expected.items[..2]).unwrap();
    let mut refused = |parents: &[u32], codes: &[u16], room: usize, what: &str| {
        let error = decoding.step(parents, codes, &mut vec![0f32; room]).unwrap_err();
        assert!(matches!(&error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(what), "{what:?} is not in {error}");
    };
    refused(&[], &[], widths[0] + 1, "room");
    refused(&[0], &[0], widths[0], "first step");
    let mut room = vec![0f32; 2 * 64];
    decoding.step(&[], &[], &mut room[..widths[0]]).unwrap();
    let mut refused = |parents: &[u32], codes: &[u16], room: usize, what: &str| {
        let error = decoding.step(parents, codes, &mut vec![0f32; room]).unwrap_err();
        assert!(error.to_string().contains(what), "{what:?} is not in {error}");
    };
    refused(&[0, 0], &[1], 2 * widths[1], "parents");
    refused(&[0, 1], &[1, 1], 2 * widths[1], "parent of a beam");
    refused(&[0, 0], &[1, 9], 2 * widths[1], "code of a beam");
    refused(&[0, 0], &[1, 2], widths[1], "room");
    decoding.step(&[0, 0], &[1, 2], &mut room[..2 * widths[1]]).unwrap();
    // No beams are left: that is a number of beams, too.
    decoding.step(&[], &[], &mut []).unwrap();
    let error = decoding.step(&[], &[], &mut []).unwrap_err().to_string();
    assert!(error.contains("below its 3 levels"), "{error}");
}

/// Goal: a history that is empty, of other levels or of unknown codes reads as nothing; one that is
/// too long reads as its end.
#[test]
fn histories_are_cut_to_what_is_known_of_their_end() {
    for name in MODELS {
        let expected = Expected::read(&fixtures().join(name));
        let say = |history: &[SemanticId]| {
            let mut log_probs = vec![0f32; expected.tiger.widths()[0]];
            expected.tiger.begin(history).unwrap().step(&[], &[], &mut log_probs).unwrap();
            log_probs
        };
        let ids = &expected.items;
        let nothing = say(&[]);
        let id = |codes: &[u16]| SemanticId::new(codes).unwrap();
        let mut beyond = ids[0].codes().to_vec();
        beyond[1] = expected.tiger.widths()[1] as u16;
        let strange = [id(&[]), id(&[1]), id(&[0; 8]), id(&beyond), id(&[u16::MAX; 4])];
        assert_eq!(say(&strange), nothing, "{name}");
        let end = &ids[ids.len() - expected.tiger.max_items()..];
        assert_eq!(say(ids), say(end), "{name}");
        assert_ne!(say(&end[1..]), say(end), "{name}: the first one that is read counts");
        let mut mixed = strange.to_vec();
        mixed.extend_from_slice(end);
        mixed.extend_from_slice(&strange);
        assert_eq!(say(&mixed), say(end), "{name}");
        assert_ne!(nothing, say(end), "{name}");
    }
}
