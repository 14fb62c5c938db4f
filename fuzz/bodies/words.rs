//! Any lists of words, under right checksums, and any text that is asked for: what is found is there.

use super::{
    attack::{self, Choices},
    base,
    seal::{Envelope, Files},
};
use bowerbird::{
    io::fault::Fault,
    recommend::{Begins, Highest, Matches, Recommender, Request, Typed},
    *,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// WORD_STARTS to WORD_LENGTHS.
const SECTIONS: [u16; 6] = [80, 81, 82, 83, 84, 85];
const WORDS: [&str; 8] =
    ["star", "stars", "wars", "the", "n\u{e9}e", "\u{4e03}\u{4eba}", "st", "\u{1f3ac}"];
const ITEMS: u64 = 1200;

/// A sound database with a file of words, and some rows dead.
fn sound() -> &'static Files {
    static SOUND: OnceLock<Files> = OnceLock::new();
    SOUND.get_or_init(|| {
        let dir = Arc::new(Fault::new());
        let schema = Schema::new().attr("title", AttrType::Text).attr("asked", AttrType::Int);
        let db =
            Db::create_in(dir.clone(), schema, base::options(IoMode::Mmap)).expect("it is sound");
        let mut batch = db.batch();
        for id in 0..ITEMS {
            let word = |at: u64| WORDS[(id / 8u64.pow(at as u32) % 8) as usize];
            let title: Vec<&str> = (0..1 + id % 4).map(word).collect();
            batch.put(Item::new(id).attr("title", title.join(" ")).attr("asked", (id % 17) as i64));
        }
        batch.commit().expect("it is sound");
        db.flush().expect("it is sound");
        let mut batch = db.batch();
        for id in (0..ITEMS).step_by(5) {
            batch.delete(id);
        }
        batch.commit().expect("it is sound");
        db.flush().expect("it is sound");
        while db.maintain().expect("it is sound").is_some() {}
        drop(db);
        attack::files(&dir)
    })
}

/// Flags, a text, then changes: which section, where, with what.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let flags = choices.byte();
    let mode = if flags & 1 == 0 { IoMode::Mmap } else { IoMode::Pread };
    let length = choices.below(200);
    let text = match flags & 2 {
        0 => String::from_utf8_lossy(&choices.bytes(length)).into_owned(),
        _ => (0..1 + length % 5).map(|_| WORDS[choices.below(8)]).collect::<Vec<_>>().join(" "),
    };
    let mut files = sound().clone();
    let path = files.keys().find(|path| path.ends_with(".words")).expect("there is one").clone();
    let Some(mut envelope) = Envelope::open(&files[&path]) else { return };
    for _ in 0..16 {
        if choices.is_empty() {
            break;
        }
        change(&mut envelope, &mut choices);
    }
    files.insert(path, envelope.to_bytes());
    let dir = Arc::new(attack::dir(files));
    let _ = verify_dir(&*dir);
    let Ok(db) = Db::open_read_only_in(dir, base::options(mode)) else { return };
    ask(&db.snapshot(), &text);
}

fn ask(snapshot: &Snapshot, text: &str) {
    let question = || snapshot.matching("title", text);
    for question in [question(), question().every_word(), question().bm25(0.0, 1.0).limit(3)] {
        if let Ok(hits) = question.run() {
            check(snapshot, &hits);
        }
    }
    if let Ok(selection) = snapshot.select_typed("title", text) {
        assert!(selection.len() <= snapshot.len(), "more than there are");
    }
    let recommender = Recommender::new()
        .filter(Typed::new("title"))
        .retrieve(Matches::new("title", 20))
        .retrieve(Highest::new("asked", 20))
        .score(Begins::new("title"));
    let slate = recommender.run(snapshot, &Request::new(9, Timestamp(0)).text(text));
    if let Ok(slate) = slate {
        assert!(slate.items.iter().all(|item| is_there(snapshot, &item.key)), "{text:?}");
    }
}

fn is_there(snapshot: &Snapshot, key: &Key) -> bool {
    matches!(key, Key::Id(id) if id % 5 != 0 && *id < ITEMS)
        && snapshot.find(key).is_ok_and(|at| at.is_some())
}

fn check(snapshot: &Snapshot, hits: &[Hit]) {
    let keys: BTreeSet<&Key> = hits.iter().map(|hit| &hit.key).collect();
    assert_eq!(keys.len(), hits.len(), "one twice: {hits:?}");
    for hit in hits {
        assert!(hit.score.is_finite() && is_there(snapshot, &hit.key), "{hit:?}");
    }
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score), "{hits:?}");
}

fn change(envelope: &mut Envelope, choices: &mut Choices<'_>) {
    let kind = SECTIONS[choices.below(SECTIONS.len())];
    let Some(section) = envelope.section(kind) else { return };
    let how = choices.byte();
    let mut at = (choices.below(1 << 16) * section.len()) >> 16;
    at -= at % 4;
    let bytes = match how % 4 {
        0 => choices.bytes(1 + usize::from(how >> 5)),
        1 => [0, 1, 1199, 1200, 65_535, 1 << 31, u32::MAX][choices.below(7)].to_le_bytes().to_vec(),
        2 => (choices.below(1300) as u32).to_le_bytes().to_vec(),
        _ => {
            let to = at + choices.below(64);
            drop(section.drain(at..to.min(section.len())));
            return;
        }
    };
    let len = bytes.len().min(section.len() - at);
    section[at..at + len].copy_from_slice(&bytes[..len]);
}
