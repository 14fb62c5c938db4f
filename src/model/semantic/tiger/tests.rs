//! Files that cannot be, beams that are moved about, and how long it takes.

use super::{
    shape::{Activation, Place, UserHash, Users},
    *,
};
use crate::{
    Db, Provenance, Schema,
    model::{train::dice::Dice, weights::Tensors},
};
use std::time::Instant;

/// A small one, with all that a shape can have.
pub(super) fn shape() -> Shape {
    let (hash, place) = (UserHash::Modulo, Place::Last);
    Shape {
        d_model: 12,
        d_kv: 4,
        heads: 2,
        layers: 2,
        decoder_layers: 2,
        d_ff: 20,
        activation: Activation::GatedGelu,
        eps: 1e-6,
        buckets: 8,
        max_distance: 20,
        tied: false,
        scale_outputs: true,
        vocab: 40,
        widths: vec![6, 5, 7],
        first: vec![3, 9, 14],
        pad: 0,
        eos: 1,
        start: 2,
        users: Some(Users { first: 30, count: 10, hash, place }),
        append_eos: true,
        max_items: 9,
    }
}

/// Of random weights.
fn random(shape: Shape) -> Tiger {
    let mut dice = Dice::new(5, 1);
    let take = |_: usize, part: &Part| {
        let by = part.shape.get(1).map_or(1.0, |inputs| 1.0 / (*inputs as f32).sqrt());
        Ok((0..part.shape.iter().product()).map(|_| by * dice.normal()).collect())
    };
    Tiger { network: Arc::new(Network::new(shape, take).unwrap()), user: None }
}

fn ids(shape: &Shape, count: usize, seed: u64) -> Vec<SemanticId> {
    let mut dice = Dice::new(seed, 2);
    let mut id = || -> Vec<u16> { shape.widths.iter().map(|w| dice.below(*w) as u16).collect() };
    (0..count).map(|_| SemanticId::new(&id()).unwrap()).collect()
}

/// The log-probabilities of the last level, after one path that nobody else is beside.
fn alone(tiger: &Tiger, history: &[SemanticId], path: &[u16]) -> Vec<f32> {
    let mut decoding = tiger.begin(history).unwrap();
    let mut said = Vec::new();
    for (level, width) in tiger.widths()[..=path.len()].iter().enumerate() {
        said = vec![0f32; *width];
        let code = level.checked_sub(1).map(|above| path[above]);
        let parent = code.map(|_| 0);
        decoding.step(parent.as_slice(), code.as_slice(), &mut said).unwrap();
    }
    said
}

/// One row is multiplied by weights in another way than many, which rounds differently.
fn near(ours: &[f32], theirs: &[f32]) {
    let far = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= 1e-5 && ours.len() == theirs.len(), "{ours:?}, not {theirs:?}");
}

/// Goal: a beam says the same whoever is beside it, and whichever beam it goes on from.
/// Method: beams that are repeated, dropped and put in any order, against one path at a time.
#[test]
fn beams_do_not_see_each_other() {
    let tiger = random(shape());
    let history = ids(&shape(), 6, 1);
    let mut decoding = tiger.begin(&history).unwrap();
    decoding.step(&[], &[], &mut [0f32; 6]).unwrap();
    let first = [5u16, 0, 3, 3, 1];
    let mut room = vec![0f32; 5 * 5];
    decoding.step(&[0; 5], &first, &mut room).unwrap();
    for (row, code) in room.chunks(5).zip(first) {
        near(row, &alone(&tiger, &history, &[code]));
        let all: f32 = row.iter().map(|number| number.exp()).sum();
        assert!(all > 0.0 && all < 1.0, "the other tokens have a share, too");
    }
    let (parents, second) = ([4u32, 0, 2, 0, 1, 4, 4], [1u16, 4, 2, 0, 3, 1, 0]);
    let mut room = vec![0f32; 7 * 7];
    decoding.step(&parents, &second, &mut room).unwrap();
    for ((row, parent), code) in room.chunks(7).zip(parents).zip(second) {
        near(row, &alone(&tiger, &history, &[first[parent as usize], code]));
    }
}

/// Goal: users with a token of their own are told apart, and nothing else about a user matters.
#[test]
fn users_are_told_apart_by_their_tokens() {
    let (tiger, history) = (random(shape()), ids(&shape(), 3, 1));
    let say = |user| alone(&tiger.for_user(UserId(user)), &history, &[]);
    assert_eq!(say(3), say(13));
    assert_ne!(say(3), say(4));
    assert_ne!(say(3), alone(&tiger, &history, &[]));
    let nobody = random(Shape { users: None, ..shape() });
    let say = |user| alone(&nobody.for_user(UserId(user)), &history, &[]);
    assert_eq!(say(3), say(4));
}

#[test]
fn a_tiger_comes_back_from_a_database() {
    let db = Db::in_memory(Schema::new()).unwrap();
    let tiger = random(shape());
    let version = db.publish("tiger", &tiger, Provenance::default()).unwrap();
    let back: Tiger = db.snapshot().artifact_version("tiger", version).unwrap();
    assert_eq!((&back.network.shape, &back.network.parts), (&shape(), &tiger.network.parts));
    let history = ids(&shape(), 4, 1);
    assert_eq!(alone(&back, &history, &[1, 2]), alone(&tiger, &history, &[1, 2]));
}

/// What a forger publishes as a TIGER.
struct Forged {
    shape: Shape,
    parts: Vec<Vec<f32>>,
}

impl Artifact for Forged {
    const KIND: &'static str = Tiger::KIND;
    const FORMAT: u16 = Tiger::FORMAT;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, shelf::CARD, &self.shape)?;
        let mut parts = (shelf::OWN..).zip(&self.parts);
        parts.try_for_each(|(number, part)| shelf::put_f32(out, number, part))
    }

    fn open(_: &Opened) -> Result<Forged> {
        unreachable!("only Tiger opens it")
    }
}

/// Goal: a file that says of itself what cannot be is an error, and one that can be decodes.
/// Method: every size in turn becomes 0, 1, one more, one less, huge; tensors are cut, missing, or
/// hold what is no number.
#[test]
fn forged_artifacts_are_values_or_errors() {
    let parts = random(shape()).network.parts.clone();
    let open = |shape: Shape, parts: Vec<Vec<f32>>| {
        let db = Db::in_memory(Schema::new()).unwrap();
        let version = db.publish("tiger", &Forged { shape, parts }, Provenance::default()).unwrap();
        db.snapshot().artifact_version::<Tiger>("tiger", version)
    };
    assert!(open(shape(), parts.clone()).is_ok());
    let sizes: [fn(&mut Shape) -> &mut usize; 18] = [
        |s| &mut s.d_model,
        |s| &mut s.d_kv,
        |s| &mut s.heads,
        |s| &mut s.layers,
        |s| &mut s.decoder_layers,
        |s| &mut s.d_ff,
        |s| &mut s.buckets,
        |s| &mut s.max_distance,
        |s| &mut s.vocab,
        |s| &mut s.widths[1],
        |s| &mut s.first[2],
        |s| &mut s.pad,
        |s| &mut s.eos,
        |s| &mut s.start,
        |s| &mut s.users.as_mut().unwrap().first,
        |s| &mut s.users.as_mut().unwrap().count,
        |s| &mut s.max_items,
        |s| s.widths.last_mut().unwrap(),
    ];
    let mut opened = 0;
    for (field, size) in sizes.into_iter().enumerate() {
        let is = *size(&mut shape());
        for forged in [0, 1, is - is.min(1), is + 1, 65, 1 << 16, 1 << 24, 1 << 40, usize::MAX] {
            let mut shape = shape();
            *size(&mut shape) = forged;
            let Ok(tiger) = open(shape.clone(), parts.clone()) else { continue };
            opened += 1;
            // Whatever its sizes mean now, they fit its tensors.
            let history = ids(&shape, 20, 3);
            let said = alone(&tiger.for_user(UserId(9)), &history, &[0, 0]);
            assert!(said.iter().all(|number| !number.is_nan()), "field {field}: {forged}");
        }
    }
    assert!(opened >= 18, "nothing was tried: {opened}");
    let forge = |change: &dyn Fn(&mut Shape)| {
        let mut shape = shape();
        change(&mut shape);
        assert!(open(shape.clone(), parts.clone()).is_err(), "{shape:?}");
    };
    forge(&|s| s.widths = vec![]);
    forge(&|s| (s.widths, s.first) = (vec![1; 9], vec![1; 9]));
    forge(&|s| s.first = vec![3, 9]);
    forge(&|s| s.eps = f32::NAN);
    forge(&|s| s.eps = 0.0);
}

#[test]
fn forged_tensors_are_errors() {
    let parts = random(shape()).network.parts.clone();
    for at in 0..parts.len() {
        let (mut cut, mut none, mut without) = (parts.clone(), parts.clone(), parts.clone());
        cut[at].pop();
        none[at][0] = f32::NAN;
        without.truncate(at);
        for parts in [cut, none, without] {
            let db = Db::in_memory(Schema::new()).unwrap();
            let forged = Forged { shape: shape(), parts };
            let version = db.publish("tiger", &forged, Provenance::default()).unwrap();
            let error = db.snapshot().artifact_version::<Tiger>("tiger", version).unwrap_err();
            assert!(matches!(error, Error::Corrupt(_)), "{error}");
        }
    }
}

/// Goal: files that do not fit each other are refused, by name of what is wrong.
#[test]
fn weights_that_do_not_fit_are_refused() {
    let (weights, manifest) = random(shape()).export().unwrap();
    assert!(Tiger::import(&weights, &manifest).is_ok());
    let refused = |weights: &[u8], manifest: &str, what: &str| {
        let error = Tiger::import(weights, manifest).unwrap_err().to_string();
        assert!(error.contains(what), "{what:?} is not in {error:?}");
    };
    refused(&weights, "{", "manifest");
    refused(&weights[..100], &manifest, "safetensors");
    for (old, new, what) in [
        ("\"tiger-t5\"", "\"t5\"", "architecture \"t5\""),
        ("\"format\":1", "\"format\":2", "format 2"),
        ("\"users\":{", "\"tokens\":{", "tokens"),
        (",\"max_items\":9", "", "max_items"),
        ("gated-gelu", "relu", "DenseReluDense.wi."),
        ("gated-gelu", "silu", "silu"),
        ("\"layers\":2,\"dec", "\"layers\":3,\"dec", "encoder.block.2"),
        ("\"layers\":2,\"dec", "\"layers\":1,\"dec", "is no part of this architecture"),
        ("\"decoder_layers\":2", "\"decoder_layers\":4000000000", "decoder_layers"),
        ("\"d_model\":12", "\"d_model\":-1", "-1"),
        ("\"d_model\":12", "\"d_model\":13", "shape"),
        ("\"heads\":2", "\"heads\":4", "shape"),
        ("\"heads\":2,", "\"heads\":16384,", "heads * d_kv"),
        ("\"vocab\":40", "\"vocab\":39", "tokens of users"),
        ("\"vocab\":40", "\"vocab\":41", "shape"),
        ("[6,5,7]", "[6,5,27]", "tokens of level 2: are 27 from 14 on"),
        ("[6,5,7]", "[6,5,7,8]", "first tokens"),
        ("[6,5,7]", "[6,0,7]", "tokens of level 1"),
        ("\"pad\":0", "\"pad\":40", "padding"),
        ("\"start\":2", "\"start\":40", "start"),
        ("\"tied\":false", "\"tied\":true", "lm_head.weight"),
        ("\"buckets\":8", "\"buckets\":3", "buckets"),
        ("\"max_distance\":20", "\"max_distance\":4", "max_distance"),
        ("\"max_items\":9", "\"max_items\":600", "max_items"),
        ("\"hash\":\"modulo\"", "\"hash\":\"md5\"", "md5"),
    ] {
        assert!(manifest.contains(old), "{old} is not in {manifest}");
        refused(&weights, &manifest.replacen(old, new, 1), what);
    }
    // `null` is said; nothing is not.
    let start = manifest.find("\"users\":").unwrap();
    let end = start + manifest[start..].find('}').unwrap() + 1;
    let null = format!("{}\"users\":null{}", &manifest[..start], &manifest[end..]);
    assert!(Tiger::import(&weights, &null).is_ok());
    let silent = format!("{}{}", &manifest[..start], &manifest[end + 1..]);
    refused(&weights, &silent, "users");
}

/// Goal: a tensor that is missing, left over, of another shape or no number is named.
#[test]
fn tensors_that_do_not_fit_are_refused() {
    let (weights, manifest) = random(shape()).export().unwrap();
    let layout = random(shape()).network.layout.parts.clone();
    for Part { name, shape: is, .. } in &layout {
        let refused = |change: &dyn Fn(&mut Tensors, Vec<f32>), what: &str| {
            let mut tensors = Tensors::read(&weights).unwrap();
            let numbers = tensors.take(name, is).unwrap();
            change(&mut tensors, numbers);
            let error = Tiger::import(&tensors.write().unwrap(), &manifest).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(what) && error.contains(name.as_str()), "{error}");
        };
        refused(&|_, _| {}, "tensor");
        refused(&|to, numbers| to.put(name, &[numbers.len(), 1], numbers), "shape");
        refused(&|to, numbers| to.put(name, &[1, numbers.len()], numbers), "shape");
        let no_number = |to: &mut Tensors, mut numbers: Vec<f32>| {
            numbers[0] = f32::NEG_INFINITY;
            to.put(name, is, numbers);
        };
        refused(&no_number, "finite");
    }
    let mut tensors = Tensors::read(&weights).unwrap();
    tensors.put("encoder.block.2.layer.0.layer_norm.weight", &[1], vec![0.0]);
    let error = Tiger::import(&tensors.write().unwrap(), &manifest).unwrap_err().to_string();
    assert!(error.contains("is no part of this architecture"), "{error}");
}

/// Goal: numbers that overflow are an error, not an answer.
#[test]
fn weights_that_overflow_are_an_error() {
    for activation in [Activation::Relu, Activation::GatedGelu] {
        let mut tiger = random(Shape { activation, ..shape() });
        let network = Arc::get_mut(&mut tiger.network).unwrap();
        let attention = network.layout.encoder.blocks[0].attention;
        for part in [attention.value, attention.output] {
            network.parts[part].iter_mut().for_each(|number| *number *= 1e30);
        }
        let mut decoding = tiger.begin(&ids(&shape(), 3, 1)).unwrap();
        let error = decoding.step(&[], &[], &mut [0f32; 6]).unwrap_err();
        assert!(error.to_string().contains("overflowed"), "{error}");
    }
}

/// Goal: no bytes whatever make an import panic, nor a decoder that came of them.
/// Method: digits, bits, insertions and cuts in both files, up to three of them.
#[test]
fn mutated_files_are_values_or_errors() {
    let (weights, manifest) = random(shape()).export().unwrap();
    let (mut dice, mut opened) = (Dice::new(9, 4), 0);
    for _ in 0..4_000 {
        let (mut bytes, mut text) = (weights.clone(), manifest.clone().into_bytes());
        for _ in 0..1 + dice.below(3) {
            let target = if dice.below(3) == 0 { &mut bytes } else { &mut text };
            let at = dice.below(target.len());
            match dice.below(10) {
                0 => target.truncate(at + 1),
                1 => target[at] ^= 1 << dice.below(8),
                2 => target.insert(at, b'0' + dice.below(10) as u8),
                // A digit for a digit: it may still be read, and mean something else.
                _ if target[at].is_ascii_digit() => target[at] = b'0' + dice.below(10) as u8,
                _ => {}
            }
        }
        let Ok(text) = String::from_utf8(text) else { continue };
        let Ok(tiger) = Tiger::import(&bytes, &text) else { continue };
        opened += 1;
        let mut said = vec![0f32; tiger.widths()[0]];
        let tiger = tiger.for_user(UserId(77));
        let mut decoding = tiger.begin(&ids(&shape(), 12, 3)).unwrap();
        // Any finite weights may be there now, and overflow.
        if decoding.step(&[], &[], &mut said).is_ok() {
            assert!(said.iter().all(|number| !number.is_nan()));
        }
    }
    assert!(opened > 400, "hardly anything was read: {opened}");
}

/// Goal: to know how long one request of the open TIGER takes on one thread: 20 items read, 50 beams,
/// 4 levels. Run it with `--release` and `--ignored --nocapture`: the checks of other builds cost as
/// much again.
#[test]
#[ignore = "prints times"]
fn requests_take_so_long() {
    let (hash, place) = (UserHash::Murmur3, Place::Last);
    let open = Shape {
        d_model: 128,
        d_kv: 64,
        heads: 6,
        layers: 4,
        decoder_layers: 4,
        d_ff: 1024,
        activation: Activation::Relu,
        buckets: 32,
        max_distance: 128,
        scale_outputs: false,
        widths: vec![256; 4],
        first: vec![0, 256, 512, 768],
        append_eos: false,
        max_items: 20,
        ..shape()
    };
    let users = Some(Users { first: 1024, count: 2000, hash, place });
    let published = Shape { vocab: 3034, users, ..open.clone() };
    for shape in [Shape { vocab: 1027, users: None, ..open }, published] {
        let tiger = random(shape.clone());
        let (mut encode, mut all) = (Vec::new(), Vec::new());
        for request in 0..100 {
            let history = ids(&shape, 20, request);
            let mut dice = Dice::new(request, 3);
            let tiger = tiger.for_user(UserId(request));
            let mut room = vec![0f32; 50 * 256];
            let begun = Instant::now();
            let mut decoding = tiger.begin(&history).unwrap();
            encode.push(begun.elapsed().as_secs_f64() * 1e3);
            decoding.step(&[], &[], &mut room[..256]).unwrap();
            for level in 1..4 {
                let parents: Vec<u32> =
                    (0..50).map(|_| if level == 1 { 0 } else { dice.below(50) as u32 }).collect();
                let codes: Vec<u16> = (0..50).map(|_| dice.below(256) as u16).collect();
                decoding.step(&parents, &codes, &mut room).unwrap();
            }
            all.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        encode.sort_by(f64::total_cmp);
        all.sort_by(f64::total_cmp);
        println!(
            "{:.2} million parameters, {} tokens: {:.1} ms, at best {:.1}, at the 95th percentile \
             {:.1}; {:.1} of it in the encoder",
            tiger.parameters() as f64 / 1e6,
            shape.vocab,
            all[50],
            all[0],
            all[94],
            encode[50]
        );
    }
}
