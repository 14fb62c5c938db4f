//! Ensembles of trees as text, as it comes or a sound one with changes: refused, or scored to the end.

use super::attack::Choices;
use bowerbird::model::ranker::{Features, Scalar, Trees};

const LIGHTGBM: [&str; 2] = [
    include_str!("../../tests/fixtures/trees/numbers.txt"),
    include_str!("../../tests/fixtures/trees/categories.txt"),
];
const XGBOOST: &str = include_str!("../../tests/fixtures/trees/squares.json");

/// The first byte chooses what is read, and whether the rest is all of it or says what changes.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    let sound = [LIGHTGBM[0], LIGHTGBM[1], XGBOOST][usize::from(what % 3)];
    let bytes = if what >= 192 { choices.0.to_vec() } else { changed(sound, &mut choices) };
    let Ok(text) = String::from_utf8(bytes) else { return };
    let width = if what >= 192 { 1 } else { 5 };
    let scalar = |at: usize| Scalar::Attr { name: format!("x{at}"), otherwise: 0.0 };
    let features = (0..width).fold(Features::new(), |all, at| all.scalar(scalar(at)));
    let read = if what % 3 == 2 { Trees::xgboost } else { Trees::lightgbm };
    let Ok(trees) = read(&text, features) else { return };
    for number in [0.0, -1.5, 3.0, f32::NAN, f32::MAX] {
        let score = trees.score(&vec![number; width]).expect("it is as wide as it says");
        assert!(!score.is_nan(), "{number} scores NaN");
    }
}

/// Characters set, left out or doubled, where numbers are as well as anywhere.
fn changed(sound: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = sound.as_bytes().to_vec();
    for _ in 0..1 + choices.byte() % 4 {
        let at = choices.below(bytes.len());
        match choices.byte() % 5 {
            0 => bytes[at] = b"0123456789-.=e \n,[]"[choices.below(19)],
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b"0123456789-.=e \n"[choices.below(16)]),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + choices.below(200)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}
