//! Indexes and codebooks that others have made: any text and any weights are a codebook or an error.

use super::attack::{Choices, changed};
use bowerbird::{
    model::semantic::Index,
    semantic::{Codebook, Encoder, Input, Level},
};
use std::sync::OnceLock;

/// An index with all that one may have; what else it says comes from the input.
const INDEX: &str = r#"{"0": ["<a_1>", "<b_7>"], "1": ["<a_1>", "<b_65535>"], "12": [3, 0]}"#;

/// Weights and manifests of sound codebooks: a network in front, and centred inputs with prices.
fn sound() -> &'static [(Vec<u8>, String); 2] {
    static SOUND: OnceLock<[(Vec<u8>, String); 2]> = OnceLock::new();
    SOUND.get_or_init(|| {
        let text = Input::new("text", 2);
        let encoder = Encoder::new(2).layer(vec![1.0, -1.0, 0.5, 2.0, 0.0, 1.0], vec![0.5; 3]);
        let encoder = encoder.and_then(|one| one.layer(vec![1.0; 6], vec![-0.5, 0.0]));
        let levels = || vec![Level::new(2, vec![0.0, 1.0, 1.0, 0.0]), Level::new(2, vec![0.5; 6])];
        let encoder = encoder.expect("it is sound");
        let deep = Codebook::with_encoder(vec![text.clone()], encoder, levels());
        let text = Input { mean: vec![0.25, 0.5], weight: 2.0, ..text };
        let image = Input { normalize: false, ..Input::new("image", 1) };
        let level = Level::priced(3, vec![0.0, 1.0, 0.5, 1.0, 0.0, 0.5], vec![0.0, 0.125]);
        let priced = Codebook::new(vec![text, image], vec![level]);
        [deep, priced].map(|book| book.and_then(|book| book.export()).expect("it is sound"))
    })
}

/// The first byte chooses what is read, the rest says it: bytes as they are, or changes to a sound file.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    let (weights, manifest) = &sound()[usize::from(what >> 4 & 1)];
    match what % 5 {
        0 => index(choices.byte(), choices.0),
        1 => index(choices.byte(), &changed(INDEX.as_bytes(), &mut choices)),
        2 => codebook(choices.0, manifest.as_bytes()),
        3 => {
            let weights = changed(weights, &mut choices);
            codebook(&weights, &changed(manifest.as_bytes(), &mut choices));
        }
        _ => codebook(weights, &changed(manifest.as_bytes(), &mut choices)),
    }
}

/// Whatever an index says, each of its items is found, with the ID that the list gives it.
fn index(how: u8, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let firsts = [None, Some(0), Some(1), Some(u64::MAX)];
    let levels = [None, Some(0), Some(1), Some(3)];
    let first = firsts[usize::from(how) % 4];
    let levels = levels[usize::from(how) / 4 % 4];
    let Ok(book) = (Index { first, levels }).read(&text) else { return };
    let widths = book.widths();
    assert!((1..=8).contains(&widths.len()) && levels.is_none_or(|most| widths.len() <= most));
    let mut count = 0;
    for (key, id) in book.items() {
        assert_eq!(book.find(key).as_ref(), Some(id), "{key}");
        assert_eq!(id.codes().len(), widths.len(), "{key}");
        assert!(id.codes().iter().zip(&widths).all(|(code, width)| usize::from(*code) < *width));
        count += 1;
    }
    assert!(count > 0, "an index of nothing");
}

/// Whatever a codebook is, it says IDs that it can decode, and comes back from what it writes.
fn codebook(weights: &[u8], manifest: &[u8]) {
    let Ok(book) = Codebook::import(weights, &String::from_utf8_lossy(manifest)) else { return };
    let (weights, manifest) = book.export().expect("it has numbers");
    let again = Codebook::import(&weights, &manifest).expect("what was written can be read");
    assert_eq!(again, book);
    for number in [0.0, -1.5, f32::MAX] {
        let rows: Vec<_> = book.inputs().iter().map(|i| vec![number; i.dim as usize]).collect();
        let rows: Vec<_> = rows.iter().map(|row| Some(row.as_slice())).collect();
        let id = book.encode(&rows).expect("the vectors fit").expect("there are vectors");
        let centre = book.decode(&id).expect("it is an ID of the codebook");
        let read = book.read(&rows).expect("the vectors fit");
        assert_eq!(centre.len(), read.len());
        assert!(read.iter().all(|x| x.is_finite()), "{read:?}");
    }
}
