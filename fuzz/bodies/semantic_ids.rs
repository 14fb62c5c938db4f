//! Codebooks and files of IDs with changed sections, under right checksums: opened, walked, decoded.

use super::{
    attack::{self, Choices},
    base,
    seal::{self, Files},
};
use bowerbird::{
    Db, IoMode, Key, KeyKind, Result, SemanticId, Snapshot, Timestamp, Where, attr,
    io::fault::Fault,
    model::semantic::{Decoding, Generate, NextCode, beam_search},
    recommend::{Recommender, Request},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// The files of a database with codebooks, and the keys that two filters allow.
fn sound() -> &'static (Files, Vec<BTreeSet<Key>>) {
    static SOUND: OnceLock<(Files, Vec<BTreeSet<Key>>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let dir = base::coded(KeyKind::Id).dir;
        let db = Db::open_read_only_in(Arc::new(dir.fork()), base::options(IoMode::Mmap));
        let snapshot = db.expect("it is sound").snapshot();
        let keys = |filter: &Where| snapshot.keys(filter, 1000).expect("it is sound");
        let allowed = filters().iter().map(|filter| keys(filter).into_iter().collect()).collect();
        (attack::files(&dir), allowed)
    })
}

fn filters() -> [Where; 2] {
    [Where::all(), attr("year").at_least(1970)]
}

/// The first byte chooses the file, the rest what is changed in it.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let (sound, _) = sound();
    let ours = |path: &&String| path.ends_with(".ids") || path.starts_with("artifacts/");
    let paths: Vec<&String> = sound.keys().filter(ours).collect();
    let path = paths[usize::from(choices.byte()) % paths.len()].clone();
    let mut files = sound.clone();
    let before = files[&path].clone();
    let mut own: Files = [(path.clone(), before.clone())].into_iter().collect();
    for _ in 0..=choices.byte() % 3 {
        attack::mutate(&mut own, &mut choices, false);
    }
    let Some(bytes) = own.remove(&path) else { return };
    files.insert(path.clone(), bytes);
    seal::reseal_all(&mut files, &path, &before);
    ask(&attack::dir(files), choices.byte());
}

/// Whatever the IDs are, what they lead to is there and allowed.
fn ask(dir: &Fault, seed: u8) {
    let Ok(db) = Db::open_read_only_in(Arc::new(dir.clone()), base::options(IoMode::Mmap)) else {
        return;
    };
    let snapshot = db.snapshot();
    for name in ["sid", "list"] {
        for (filter, allowed) in filters().iter().zip(&sound().1) {
            let _ = decode(&snapshot, name, (filter, allowed), seed);
        }
    }
    let next = Recommender::new()
        .filter(attr("year").at_least(1970))
        .retrieve(Generate::by("sid", "next", 20).beams(9));
    for user in [1, 99] {
        if let Ok(slate) = next.run(&snapshot, &Request::new(9, Timestamp::MAX).user(user)) {
            assert!(slate.items.iter().all(|item| sound().1[1].contains(&item.key)));
            assert!(slate.items.iter().all(|item| item.score.is_finite()));
        }
    }
}

fn decode(
    snapshot: &Snapshot,
    name: &str,
    (filter, allowed): (&Where, &BTreeSet<Key>),
    seed: u8,
) -> Result<()> {
    let trie = snapshot.trie(name, filter)?;
    let ids = trie.ids();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "IDs out of order");
    let decoder = Any { widths: trie.widths().to_vec(), seed };
    for beam in beam_search(&trie, &decoder, &ids[..ids.len().min(3)], 7)? {
        assert!(ids.binary_search(&beam.id).is_ok(), "{} is nobody's", beam.id);
        let mut items = trie.items(&beam.node).peekable();
        assert!(items.peek().is_some(), "{} has no items", beam.id);
        for addr in items {
            let key = snapshot.key(addr)?;
            assert!(allowed.contains(&key), "{key} is not allowed");
        }
    }
    Ok(())
}

/// A decoder that says anything.
#[derive(Debug)]
struct Any {
    widths: Vec<usize>,
    seed: u8,
}

struct Saying(u8);

impl NextCode for Any {
    fn widths(&self) -> &[usize] {
        &self.widths
    }

    fn begin(&self, _: &[SemanticId]) -> Result<Box<dyn Decoding + '_>> {
        Ok(Box::new(Saying(self.seed)))
    }
}

impl Decoding for Saying {
    fn step(&mut self, _: &[u32], _: &[u16], log_probs: &mut [f32]) -> Result<()> {
        for place in log_probs {
            self.0 = self.0.wrapping_mul(17).wrapping_add(41);
            *place = -f32::from(self.0);
        }
        Ok(())
    }
}
