//! Semantic IDs in a database: live under writes, filtered, versioned, decoded.

#![allow(clippy::disallowed_methods)] // Looks into folders.

use bowerbird::{
    model::semantic::*,
    recommend::{Recommender, Request, Seen},
    semantic::*,
    *,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A seeded stream of numbers.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    pub(crate) fn unit(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 20) as f32
    }
}

fn schema() -> Schema {
    Schema::new()
        .space("text", 4, Metric::Cosine)
        .space("image", 2, Metric::Dot)
        .attr("shelf", AttrType::Int)
        .event("view")
}

/// Three levels of different widths over two spaces, drawn from a seed.
fn codebook(seed: u64) -> Codebook {
    let mut numbers = Numbers(seed);
    let inputs = vec![
        Input::new("text", 4),
        Input { normalize: false, weight: 0.5, ..Input::new("image", 2) },
    ];
    let mut level = |codes: usize, scale: f32| {
        Level::new(6, (0..codes * 6).map(|_| (numbers.unit() - 0.5) * scale).collect())
    };
    let levels = vec![level(5, 2.0), level(7, 1.0), level(3, 0.5)];
    Codebook::new(inputs, levels).unwrap()
}

fn item(numbers: &mut Numbers, key: u64) -> Item {
    let mut item = Item::new(key).attr("shelf", numbers.below(4) as i64);
    if numbers.below(10) > 0 {
        item = item.vector("text", (0..4).map(|_| numbers.unit() - 0.4).collect::<Vec<_>>());
    }
    if numbers.below(3) > 0 {
        item = item.vector("image", [numbers.unit(), numbers.unit()]);
    }
    item
}

/// What the trie must be: every allowed item by the ID of what `get` says its vectors are.
fn wanted(
    snapshot: &Snapshot,
    book: &Codebook,
    filter: &Where,
) -> BTreeMap<SemanticId, BTreeSet<Key>> {
    let mut found: BTreeMap<SemanticId, BTreeSet<Key>> = BTreeMap::new();
    for key in snapshot.keys(filter, usize::MAX).unwrap() {
        let item = snapshot.get(&key).unwrap().unwrap();
        let vector = |space: &str| {
            let found = item.vectors.iter().find(|(name, _)| *name == space);
            found.map(|(_, vector)| vector.clone())
        };
        let (text, image) = (vector("text"), vector("image"));
        let id = book.encode(&[text.as_deref(), image.as_deref()]).unwrap();
        if let Some(id) = id {
            found.entry(id).or_default().insert(key);
        }
    }
    found
}

fn items(trie: &Trie, snapshot: &Snapshot, node: &Node) -> BTreeSet<Key> {
    trie.items(node).map(|addr| snapshot.key(addr).unwrap()).collect()
}

/// Walks a trie from its root and compares all it says with what it must be.
fn compare(trie: &Trie, snapshot: &Snapshot, want: &BTreeMap<SemanticId, BTreeSet<Key>>) {
    assert_eq!(trie.ids(), want.keys().copied().collect::<Vec<_>>());
    assert_eq!(trie.len() as usize, want.values().map(BTreeSet::len).sum::<usize>());
    let mut waiting = vec![(SemanticId::default(), trie.root())];
    while let Some((prefix, node)) = waiting.pop() {
        let depth = prefix.codes().len();
        let below = || want.iter().filter(|(id, _)| id.prefix(depth) == prefix);
        let all: BTreeSet<Key> = below().flat_map(|(_, keys)| keys.clone()).collect();
        assert_eq!(items(trie, snapshot, &node), all);
        assert_eq!(trie.count(&node) as usize, all.len());
        let codes: BTreeSet<u16> =
            below().filter_map(|(id, _)| id.codes().get(depth).copied()).collect();
        let children = trie.children(&node);
        assert!(children.iter().map(|(code, _)| *code).eq(codes.iter().copied()));
        let mut mask = [u64::MAX; 2];
        trie.mask(&node, &mut mask);
        let set = (0..128u16).filter(|code| mask[usize::from(*code) / 64] >> (code % 64) & 1 == 1);
        assert!(set.eq(codes.iter().copied()));
        for code in 0..9 {
            let child = children.iter().find(|(c, _)| *c == code).map(|(_, child)| child.clone());
            assert_eq!(trie.child(&node, code), child);
        }
        for (code, child) in children {
            let codes = [prefix.codes(), &[code]].concat();
            let prefix = SemanticId::new(&codes).unwrap();
            assert_eq!(trie.find(&prefix), Some(child.clone()));
            waiting.push((prefix, child));
        }
    }
}

fn check(db: &Db, book: &Codebook) {
    let snapshot = db.snapshot();
    for filter in [Where::all(), attr("shelf").is(2), !attr("shelf").is(2), attr("shelf").is(9)] {
        let trie = snapshot.trie("sid", &filter).unwrap();
        compare(&trie, &snapshot, &wanted(&snapshot, book, &filter));
    }
}

fn manual() -> Options {
    let mut options = Options::default();
    options.maintenance = Maintenance::Manual;
    options
}

fn in_memory() -> Result<Db> {
    Db::create_in(Arc::new(io::Memory::new()), schema(), manual())
}

/// Goal: after any history of writes, deletes, flushes, merges and restarts, with or without derived
/// files, the trie is the IDs of exactly the allowed items.
/// Method: random operations in a directory; against the IDs of what `get` says.
// checks: V6 V7
#[test]
fn the_trie_is_that_of_the_allowed_items_whatever_happened() {
    for seed in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop");
        let mut db = Db::create_with(&path, schema(), manual()).unwrap();
        let (mut numbers, book) = (Numbers(seed), codebook(seed));
        for key in 0..20 {
            db.batch().put(item(&mut numbers, key)).commit().unwrap();
        }
        let version = db.publish("sid", &book, Provenance::default()).unwrap();
        db.activate("sid", version).unwrap();
        for _ in 0..60 {
            let key = numbers.below(60);
            match numbers.below(12) {
                0..6 => drop(db.batch().put(item(&mut numbers, key)).commit().unwrap()),
                6 | 7 => drop(db.batch().delete(key).commit().unwrap()),
                8 => drop(db.flush().unwrap()),
                9 => while db.maintain().unwrap().is_some() {},
                10 => db.compact().unwrap(),
                _ => {
                    drop(db);
                    if numbers.below(2) == 0 {
                        std::fs::remove_dir_all(path.join("derived")).unwrap();
                    }
                    db = Db::open_with(&path, manual()).unwrap();
                }
            }
            if numbers.below(6) == 0 {
                check(&db, &book);
            }
        }
        check(&db, &book);
        db.flush().unwrap();
        while db.maintain().unwrap().is_some() {}
        let files = std::fs::read_dir(path.join("derived")).unwrap();
        let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().any(|name| name.ends_with(".ids")), "IDs are on disk");
        let reader = Db::open_read_only(&path).unwrap();
        check(&reader, &book);
    }
}

/// Goal: a snapshot has one version of a codebook for all parts; others can be looked at beside it.
// checks: V4
#[test]
fn activating_a_codebook_changes_all_ids_at_once() {
    let db = in_memory().unwrap();
    let mut numbers = Numbers(3);
    for key in 0..40 {
        db.batch().put(item(&mut numbers, key)).commit().unwrap();
        if key % 15 == 7 {
            db.flush().unwrap();
        }
    }
    let (old, new) = (codebook(1), codebook(2));
    for book in [&old, &new] {
        db.publish("sid", book, Provenance::default()).unwrap();
    }
    assert!(matches!(db.snapshot().trie("sid", &Where::all()), Err(Error::NotFound { .. })));
    db.activate("sid", 1).unwrap();
    let before = db.snapshot();
    db.assign("sid", 2, &mut Progress::silent()).unwrap();
    let beside = before.trie_version("sid", 2, &Where::all()).unwrap();
    compare(&beside, &before, &wanted(&before, &new, &Where::all()));
    db.activate("sid", 2).unwrap();
    for (snapshot, book, version) in [(&before, &old, 1), (&db.snapshot(), &new, 2)] {
        let trie = snapshot.trie("sid", &Where::all()).unwrap();
        assert_eq!(trie.codebook(), ("sid", version));
        compare(&trie, snapshot, &wanted(snapshot, book, &Where::all()));
    }
    let cancelled = db.assign("sid", 1, &mut Progress::to(|_, _| false));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    // What was trained on version 2 cannot be active without it, and says so by name.
    let from = Provenance { parents: vec![("sid".into(), 2)], ..Provenance::default() };
    let listed = Codebook::listed([(Key::Id(1), SemanticId::new(&[1]).unwrap())]).unwrap();
    db.publish("child", &listed, from).unwrap();
    db.activate("child", 1).unwrap();
    let error = db.activate("sid", 1).unwrap_err().to_string();
    assert!(error.contains("child@1") && error.contains("sid@2") && error.contains("sid@1"));
}

/// Goal: a space that a codebook reads can go and come back without old IDs coming back with it.
#[test]
fn a_space_that_was_made_again_has_new_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    let db = Db::create_with(&path, schema(), manual()).unwrap();
    let (mut numbers, book) = (Numbers(5), codebook(4));
    for key in 0..30 {
        db.batch().put(item(&mut numbers, key)).commit().unwrap();
    }
    db.publish("sid", &book, Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    db.flush().unwrap();
    while db.maintain().unwrap().is_some() {}
    check(&db, &book);
    db.drop_space("image").unwrap();
    let error = db.snapshot().trie("sid", &Where::all()).unwrap_err().to_string();
    assert!(error.contains("image"), "{error}");
    while db.maintain().unwrap().is_some() {}
    db.add_space("image", 2, Metric::Dot, Encoding::F32).unwrap();
    check(&db, &book);
    for key in 10..14 {
        db.batch().put(item(&mut numbers, key)).commit().unwrap();
    }
    while db.maintain().unwrap().is_some() {}
    drop(db);
    check(&Db::open_with(&path, manual()).unwrap(), &book);
}

/// A decoder whose probabilities are any function of the history and the prefix.
#[derive(Debug)]
struct Drawn {
    widths: Vec<usize>,
    seed: u64,
}

struct Drawing<'a> {
    drawn: &'a Drawn,
    seed: u64,
    prefixes: Vec<Vec<u16>>,
}

impl Drawn {
    fn says(&self, seed: u64, prefix: &[u16], code: u16) -> f32 {
        let mut numbers = Numbers(seed);
        for code in prefix.iter().chain([&code]) {
            numbers.0 = numbers.0.wrapping_add(u64::from(*code) + 1);
            numbers.below(7);
        }
        // Few values, so that there are ties.
        -(numbers.below(20) as f32) / 4.0
    }

    fn seed(&self, history: &[SemanticId]) -> u64 {
        let mix = |seed: u64, id: &SemanticId| {
            id.codes().iter().fold(seed, |seed, code| seed.wrapping_mul(31) + u64::from(*code))
        };
        history.iter().fold(self.seed, mix)
    }
}

impl NextCode for Drawn {
    fn widths(&self) -> &[usize] {
        &self.widths
    }

    fn begin(&self, history: &[SemanticId]) -> Result<Box<dyn Decoding + '_>> {
        let (drawn, seed) = (self, self.seed(history));
        Ok(Box::new(Drawing { drawn, seed, prefixes: vec![Vec::new()] }))
    }
}

impl Decoding for Drawing<'_> {
    fn step(&mut self, parents: &[u32], codes: &[u16], log_probs: &mut [f32]) -> Result<()> {
        if !parents.is_empty() {
            let old = std::mem::take(&mut self.prefixes);
            let next = parents.iter().zip(codes);
            self.prefixes =
                next.map(|(at, code)| [&old[*at as usize][..], &[*code]].concat()).collect();
        }
        let width = self.drawn.widths[self.prefixes[0].len()];
        for (prefix, row) in self.prefixes.iter().zip(log_probs.chunks_mut(width)) {
            for (code, place) in (0..).zip(row) {
                *place = self.drawn.says(self.seed, prefix, code);
            }
        }
        Ok(())
    }
}

fn widths(book: &Codebook, seed: u64) -> Drawn {
    // The decoder may know more codes than the codebook.
    let widths = book.widths().iter().map(|width| width + 2).collect();
    Drawn { widths, seed }
}

/// Goal: with beams for all prefixes, decoding is exact; with fewer, what comes out still exists.
/// Method: against the joint probability of every ID.
#[test]
fn decoding_is_brute_force_when_beams_cover_the_prefixes() {
    for seed in 0..20 {
        let db = in_memory().unwrap();
        let (mut numbers, book) = (Numbers(seed), codebook(seed));
        for key in 0..150 {
            db.batch().put(item(&mut numbers, key)).commit().unwrap();
        }
        db.flush().unwrap();
        for key in 100..200 {
            db.batch().put(item(&mut numbers, key)).commit().unwrap();
        }
        db.publish("sid", &book, Provenance::default()).unwrap();
        db.activate("sid", 1).unwrap();
        let (decoder, snapshot) = (widths(&book, seed), db.snapshot());
        for filter in [Where::all(), attr("shelf").is(1)] {
            let trie = snapshot.trie("sid", &filter).unwrap();
            let history = [SemanticId::new(&[1, 2, 1]).unwrap()];
            let seed = decoder.seed(&history);
            let joint = |id: &SemanticId| {
                let codes = id.codes();
                let said = (0..3).map(|at| decoder.says(seed, &codes[..at], codes[at]));
                said.fold(0.0, |sum, x| sum + x)
            };
            let mut want: Vec<(SemanticId, f32)> =
                trie.ids().into_iter().map(|id| (id, joint(&id))).collect();
            want.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let found = beam_search(&trie, &decoder, &history, 105).unwrap();
            let pairs = |beams: &[Beam]| -> Vec<(SemanticId, f32)> {
                beams.iter().map(|beam| (beam.id, beam.log_prob)).collect()
            };
            assert_eq!(pairs(&found), want);
            for beams in [1, 3, 10] {
                let found = pairs(&beam_search(&trie, &decoder, &history, beams).unwrap());
                assert_eq!(found.len(), beams.min(want.len()));
                assert!(found.iter().all(|pair| want.contains(pair)));
            }
        }
        let none = snapshot.trie("sid", &attr("shelf").is(77)).unwrap();
        assert!(beam_search(&none, &decoder, &[], 5).unwrap().is_empty());
        let trie = snapshot.trie("sid", &Where::all()).unwrap();
        assert!(beam_search(&trie, &decoder, &[], 0).is_err());
        let narrow = Drawn { widths: vec![5, 6, 3], seed };
        assert!(beam_search(&trie, &narrow, &[], 5).unwrap_err().to_string().contains("sid@1"));
    }
}

/// Goal: whatever is decoded while others write is live and allowed in the snapshot that was asked.
/// Method: decoders of random numbers, random filters; 20,000 items, or as many as
/// `BOWERBIRD_DECODES` says.
// checks: V7
#[test]
fn decoding_under_writes_finds_nothing_that_is_not_allowed() {
    let db = Db::in_memory(schema()).unwrap();
    let book = codebook(8);
    db.publish("sid", &book, Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    let mut numbers = Numbers(1);
    for key in 0..400 {
        db.batch().put(item(&mut numbers, key)).commit().unwrap();
    }
    for user in 0..20 {
        for at in 0..30 {
            let event = Event::new(user, numbers.below(400), "view", Timestamp(at));
            db.batch().event(event).commit().unwrap();
        }
    }
    let wanted = std::env::var("BOWERBIRD_DECODES").map_or(20_000, |n| n.parse().unwrap());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut numbers = Numbers(2);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let key = numbers.below(500);
                match numbers.below(3) {
                    0 => db.batch().delete(key).commit().unwrap(),
                    _ => db.batch().put(item(&mut numbers, key)).commit().unwrap(),
                };
            }
        });
        let (mut decoded, mut seed) = (0, 0u64);
        while decoded < wanted {
            seed += 1;
            let (user, shelf) = (seed % 20, (seed / 20 % 4) as i64);
            let filter = match seed % 3 {
                0 => attr("shelf").is(shelf),
                1 => !attr("shelf").is(shelf),
                _ => attr("shelf").is(shelf) | attr("shelf").is((shelf + 1) % 4),
            };
            let decoder: Arc<dyn NextCode> = Arc::new(widths(&book, seed));
            let recommender = Recommender::new()
                .filter(Seen::new(["view"]))
                .filter(filter.clone())
                .retrieve(Generate::with("sid", decoder, 50).beams(30));
            let snapshot = db.snapshot();
            let request = Request::new(50, Timestamp(1_000)).user(user);
            let slate = recommender.run(&snapshot, &request).unwrap();
            let seen = snapshot.history(UserId(user), &HistoryQuery::default()).unwrap();
            let allowed = snapshot.keys(&filter, usize::MAX).unwrap();
            let mut keys: Vec<Key> = slate.items.iter().map(|item| item.key.clone()).collect();
            assert!(keys.len() > 5, "{} items", keys.len());
            assert!(keys.iter().all(|key| allowed.binary_search(key).is_ok()));
            assert!(keys.iter().all(|key| !seen.deeds.iter().any(|deed| deed.item == *key)));
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), slate.items.len());
            decoded += keys.len();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// A decoder that holds all but the first code of each level to be impossible.
#[derive(Debug)]
struct Certain;

impl NextCode for Certain {
    fn widths(&self) -> &[usize] {
        &[2, 2]
    }

    fn begin(&self, _: &[SemanticId]) -> Result<Box<dyn Decoding + '_>> {
        Ok(Box::new(Certain))
    }
}

impl Decoding for Certain {
    fn step(&mut self, _: &[u32], _: &[u16], log_probs: &mut [f32]) -> Result<()> {
        for (at, place) in log_probs.iter_mut().enumerate() {
            *place = if at % 2 == 0 { -1.0 } else { f32::NEG_INFINITY };
        }
        Ok(())
    }
}

/// Goal: what a decoder holds to be impossible is not found. It was, with a hint of 0, before all that
/// is likely.
#[test]
fn impossible_items_are_not_found() {
    let db = Db::in_memory(schema()).unwrap();
    for key in 1..5u64 {
        db.batch().put(Item::new(key)).commit().unwrap();
    }
    let book = listed(&[(1, [0, 1]), (2, [0, 0]), (3, [1, 0]), (4, [1, 1])]);
    db.publish("sid", &book, Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    let generate = Generate::with("sid", Arc::new(Certain), 10);
    let recommender =
        Recommender::new().retrieve(generate).score(recommend::Hint::of("Generate(sid)"));
    let request = Request::new(10, Timestamp(10));
    assert_eq!(keys(&recommender, &db.snapshot(), &request), [2]);
    let trie = db.snapshot().trie("sid", &Where::all()).unwrap();
    assert_eq!(beam_search(&trie, &Certain, &[], 10).unwrap().len(), 4);
}

/// Goal: a fit that looks at few items holds the vectors of few.
#[test]
fn a_fit_holds_what_it_looks_at() {
    let db = Db::in_memory(Schema::new().space("text", 256, Metric::Dot)).unwrap();
    let (mut numbers, mut batch) = (Numbers(3), db.batch());
    for key in 0..4_000u64 {
        let vector: Vec<f32> = (0..256).map(|_| numbers.unit() - 0.5).collect();
        batch.put(Item::new(key).vector("text", vector));
    }
    batch.commit().unwrap();
    let (snapshot, all) = (db.snapshot(), 4_000 * 256 * 4);
    let fit = Fit { levels: vec![4], items: 100, iterations: 2, ..Fit::of(["text"]) };
    let (made, peak) =
        crate::memory_limits::peak_of(|| fit.fit(&snapshot, &mut model::Training::new(1)));
    made.unwrap();
    assert!(peak < all / 2, "{peak} of {all} bytes");
}

/// Goal: the IDs of a part can be cancelled before all of them are there.
#[test]
fn assigning_one_part_can_be_cancelled() {
    let db = in_memory().unwrap();
    let (mut numbers, mut batch) = (Numbers(3), db.batch());
    for key in 0..10_000 {
        batch.put(item(&mut numbers, key));
    }
    batch.commit().unwrap();
    db.publish("sid", &codebook(1), Provenance::default()).unwrap();
    let (mut asked, mut last) = (0, 0);
    let mut progress = Progress::to(|done, _| {
        (asked, last) = (asked + 1, done);
        asked < 2
    });
    let cancelled = db.assign("sid", 1, &mut progress);
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    drop(progress);
    assert_eq!((asked, last), (2, 0));
}

/// Goal: similar by prefix, quotas and diversity look at the IDs and at nothing else.
#[test]
fn operators_over_prefixes() {
    let id = |codes: &[u16]| SemanticId::new(codes).unwrap();
    let ids = [
        (1u64, [0, 0, 0]),
        (2, [0, 0, 0]),
        (3, [0, 0, 1]),
        (4, [0, 1, 0]),
        (5, [1, 0, 0]),
        (6, [1, 0, 1]),
    ];
    let db = Db::in_memory(schema()).unwrap();
    for (key, _) in ids {
        db.batch().put(Item::new(key)).commit().unwrap();
    }
    db.batch()
        .put(Item::new(7u64))
        .event(Event::new(9, 3u64, "view", Timestamp(5)))
        .commit()
        .unwrap();
    let listed = ids.map(|(key, codes)| (Key::Id(key), id(&codes)));
    db.publish("sid", &Codebook::listed(listed).unwrap(), Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    let snapshot = db.snapshot();
    assert_eq!(snapshot.semantic_id("sid", &Key::Id(4)).unwrap(), Some(id(&[0, 1, 0])));
    assert_eq!(snapshot.semantic_id("sid", &Key::Id(7)).unwrap(), None);
    let keys = |recommender: &Recommender, request: &Request| -> Vec<u64> {
        let slate = recommender.run(&snapshot, request).unwrap();
        let number = |key: &Key| if let Key::Id(id) = key { *id } else { 0 };
        slate.items.iter().map(|item| number(&item.key)).collect()
    };
    let request = || Request::new(10, Timestamp(10));
    let similar = |depth| Recommender::new().retrieve(SimilarByPrefix::new("sid", depth, 10));
    assert_eq!(keys(&similar(1), &request().item(1u64)), [2, 3, 4]);
    assert_eq!(keys(&similar(2), &request().item(1u64)), [2, 3]);
    assert_eq!(keys(&similar(1), &request().user(9)), [3, 1, 2, 4]);
    assert!(keys(&similar(1), &request().item(7u64)).is_empty());
    let all = || {
        let mut picks = Vec::new();
        (1..8u64).for_each(|key| picks.push(Key::Id(key)));
        Recommender::new().retrieve(Picks(picks)).score(recommend::Hint::of("Picks"))
    };
    assert_eq!(keys(&all().select(PrefixQuota::new("sid", 1, 1)), &request()), [1, 5, 7]);
    assert_eq!(keys(&all().select(PrefixQuota::new("sid", 2, 2)), &request()), [1, 2, 4, 5, 6, 7]);
    assert_eq!(keys(&all().select(PrefixDiverse::new("sid", 0.9)), &request())[..3], [1, 5, 7]);
    let newest = SimilarByPrefix::new("sid", 1, 10).bucket(Bucket::Newest("none".into()));
    assert!(Recommender::new().retrieve(newest).run(&snapshot, &request().item(1u64)).is_err());
}

fn listed(items: &[(u64, [u16; 2])]) -> Codebook {
    let id = |codes: &[u16]| SemanticId::new(codes).unwrap();
    Codebook::listed(items.iter().map(|(key, codes)| (Key::Id(*key), id(codes)))).unwrap()
}

fn keys(recommender: &Recommender, snapshot: &Snapshot, request: &Request) -> Vec<u64> {
    let slate = recommender.run(snapshot, request).unwrap();
    let number = |key: &Key| if let Key::Id(id) = key { *id } else { 0 };
    slate.items.iter().map(|item| number(&item.key)).collect()
}

/// Goal: new items are found among new items only, however they are told apart; a quota keeps places
/// for them and gives back those that it does not need.
#[test]
fn new_items_have_their_places() {
    use bowerbird::{model::*, recommend::*};
    let schema = schema().attr("published", AttrType::Time);
    let db = Db::in_memory(schema).unwrap();
    let vector = |key: u64| [1.0, key as f32 / 20.0, 0.0, 0.0];
    let mut batch = db.batch();
    for key in 0..10u64 {
        batch.put(
            Item::new(key).vector("text", vector(key)).attr("published", Timestamp(key as i64)),
        );
        (0..2 + key % 3).for_each(|user| {
            batch.event(Event::new(user, key, "view", Timestamp(key as i64)));
        });
    }
    batch.commit().unwrap();
    let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
    let model = Rules::default().train(&sequences, &mut Training::new(1)).unwrap();
    let version = db.publish("rules", &model, model.provenance(db.snapshot().seq())).unwrap();
    db.activate("rules", version).unwrap();
    for key in 10..14u64 {
        let item =
            Item::new(key).vector("text", vector(key)).attr("published", Timestamp(key as i64));
        db.batch().put(item).event(Event::new(50, key, "view", Timestamp(20))).commit().unwrap();
    }
    let snapshot = db.snapshot();
    let request = Request::new(6, Timestamp(100)).user(0);
    let near = || NearInterests::new("text", 20);
    let start = || Recommender::new().summarize(Recent::new("text", 1));
    let unknown = start().retrieve(NewItems::unknown_to("rules", near()));
    assert_eq!(keys(&unknown, &snapshot, &request), [10, 11, 12, 13]);
    let since = start().retrieve(NewItems::since("published", ms(89), near()));
    assert_eq!(keys(&since, &snapshot, &request), [11, 12, 13]);
    let fewer = start().retrieve(NewItems::fewer_than(3, ["view"], near()));
    assert_eq!(keys(&fewer, &snapshot, &request), [9, 10, 11, 12, 6, 13]);
    let hidden = start().filter(attr("published").at_least(Timestamp(12)));
    let hidden = hidden.retrieve(NewItems::unknown_to("rules", near()));
    assert_eq!(keys(&hidden, &snapshot, &request), [12, 13]);

    let picks = || Picks((0..10).map(Key::Id).collect());
    let both = || {
        let found = start().retrieve(picks()).retrieve(NewItems::unknown_to("rules", near()));
        found.score(recommend::Hint::of("Picks"))
    };
    assert_eq!(keys(&both(), &snapshot, &request), [0, 1, 2, 3, 4, 5]);
    let explore = both().select(Explore::new("NewItems", 2));
    assert_eq!(keys(&explore, &snapshot, &request), [0, 1, 2, 3, 10, 11]);
    let few = both().select(Explore::new("NewItems", 2).least(2.0));
    assert_eq!(keys(&few, &snapshot, &request), [0, 1, 2, 3, 4, 5]);
    let all = both().select(Explore::new("NewItems", 9));
    assert_eq!(keys(&all, &snapshot, &request), [0, 1, 10, 11, 12, 13]);
    let nobody = both().select(Explore::new("Nobody", 2));
    assert_eq!(keys(&nobody, &snapshot, &request), [0, 1, 2, 3, 4, 5]);
}

/// Goal: what is expected of an item is shrunk along its path, as the formula says.
#[test]
fn priors_follow_the_path() {
    use bowerbird::recommend::*;
    let db = Db::in_memory(schema().event("shown")).unwrap();
    let items = [(1u64, [0, 0]), (2, [0, 0]), (3, [0, 1]), (4, [1, 0]), (5, [0, 0])];
    db.publish("sid", &listed(&items), Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    let views = [(1u64, 4u64), (2, 2), (3, 1), (4, 0), (5, 0)];
    for (key, count) in views {
        db.batch().put(Item::new(key)).commit().unwrap();
        for user in 0..count {
            db.batch().event(Event::new(user, key, "view", Timestamp(5))).commit().unwrap();
        }
        for user in 0..2 * count {
            db.batch().event(Event::new(user, key, "shown", Timestamp(4))).commit().unwrap();
        }
    }
    let (snapshot, request) = (db.snapshot(), Request::new(9, Timestamp(9)));
    let scores = |scorer: PrefixPrior| -> BTreeMap<Key, f32> {
        let found = Recommender::new().retrieve(Picks((1..6).map(Key::Id).collect()));
        let slate = found.score(scorer).run(&snapshot, &request).unwrap();
        slate.items.into_iter().map(|item| (item.key, item.score)).collect()
    };
    let shrink = |above: f64, events: f64, size: f64, by: f64| (events + by * above) / (size + by);
    let popular = scores(PrefixPrior::popularity("sid", ["view"]));
    let all = 7.0 / 5.0;
    let (zero, one) = (shrink(all, 7.0, 4.0, 1.0), shrink(all, 0.0, 1.0, 1.0));
    let deep = shrink(zero, 6.0, 3.0, 1.0);
    let want = |above: f64, own: f64| shrink(above, own, 1.0, 1.0).ln_1p() as f32;
    let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} and {b}");
    near(popular[&Key::Id(1)], want(deep, 4.0));
    near(popular[&Key::Id(5)], want(deep, 0.0));
    near(popular[&Key::Id(4)], want(shrink(one, 0.0, 1.0, 1.0), 0.0));
    let rates = scores(PrefixPrior::rate("sid", ["view"], ["shown"]).strength(2.0));
    // Every item was clicked half as often as it was shown, but 4 and 5 never were shown.
    assert!(rates.values().all(|rate| (rate - 0.5).abs() < 0.17), "{rates:?}");
    let path = shrink(shrink(0.5, 7.0, 14.0, 2.0), 6.0, 12.0, 2.0);
    near(rates[&Key::Id(5)], shrink(path, 0.0, 0.0, 2.0) as f32);
    let wrong = Recommender::new().retrieve(Picks(vec![Key::Id(1)]));
    let wrong = wrong.score(PrefixPrior::popularity("sid", ["view"]).strength(0.0));
    assert!(wrong.run(&snapshot, &request).is_err());
}

/// Items by hand, the first best.
struct Picks(Vec<Key>);

impl recommend::Retrieve for Picks {
    fn name(&self) -> String {
        "Picks".into()
    }

    fn retrieve(
        &self,
        cx: &recommend::Context<'_>,
        _: &recommend::Allowed,
        found: &mut recommend::Found<'_>,
    ) -> Result<()> {
        for (place, key) in self.0.iter().enumerate() {
            if let Some(addr) = cx.snapshot.find(key)? {
                found.push(addr, 1.0 / (1.0 + place as f32));
            }
        }
        Ok(())
    }
}
