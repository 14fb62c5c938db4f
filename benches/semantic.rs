//! Semantic IDs: encoding, masks of a step, sub-tries and their export, how soon a new item can come out.
//!
//! `cargo bench --bench semantic`.
#![allow(missing_docs)]

mod timing;

use bowerbird::{semantic::*, *};
use std::{collections::BTreeSet, hint::black_box, time::Duration};
use timing::{Dice, median, once, quick};

const WIDTH: usize = 256;
const WORDS: usize = WIDTH / 64;
const BEAMS: usize = 50;

/// A codebook that reads three codes off three numbers, so that the bench chooses every ID.
fn told() -> Codebook {
    let level = |axis: usize| {
        let row = |code: usize| (0..4).map(move |d| if d == axis { code as f32 } else { 0.0 });
        Level::new(4, (0..WIDTH).flat_map(row).collect())
    };
    let input = Input { normalize: false, ..Input::new("v", 4) };
    Codebook::new(vec![input], (0..3).map(level).collect()).unwrap()
}

fn item(key: u64, codes: [u16; 3]) -> Item {
    let [a, b, c] = codes.map(f32::from);
    Item::new(key).vector("v", [a, b, c, 0.0]).attr("tenth", (key % 10) as i64)
}

fn drawn(dice: &mut Dice) -> [u16; 3] {
    [0; 3].map(|_| (dice.next() % WIDTH as u64) as u16)
}

struct Shop {
    _folder: tempfile::TempDir,
    db: Db,
    ids: Vec<SemanticId>,
}

/// Items with even random IDs, on disk, in one part.
fn shop(items: u64) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("v", 4, Metric::L2).attr("tenth", AttrType::Int);
    let options = Options::default().durability(Durability::None).graph_rows_min(u32::MAX);
    let db = Db::create_with(folder.path().join("db"), schema, options).unwrap();
    let (mut dice, mut ids) = (Dice(1), Vec::new());
    for begin in (0..items).step_by(100_000) {
        let mut batch = db.batch();
        for key in begin..(begin + 100_000).min(items) {
            let codes = drawn(&mut dice);
            ids.push(SemanticId::new(&codes).unwrap());
            batch.put(item(key, codes));
        }
        batch.commit().unwrap();
    }
    db.compact().unwrap();
    let version = db.publish("sid", &told(), Provenance::default()).unwrap();
    db.activate("sid", version).unwrap();
    Shop { _folder: folder, db, ids }
}

/// The prefixes of 50 items at a depth: what a beam search would hold.
fn beams(shop: &Shop, trie: &Trie, depth: usize, sets: usize) -> Vec<Vec<Node>> {
    let mut dice = Dice(depth as u64);
    let mut node = || loop {
        let id = shop.ids[dice.next() as usize % shop.ids.len()];
        if let Some(node) = trie.find(&id.prefix(depth)) {
            return node;
        }
    };
    (0..sets).map(|_| (0..BEAMS).map(|_| node()).collect()).collect()
}

/// Masks must have exactly the codes that items have.
fn check_masks(shop: &Shop, trie: &Trie, allowed: impl Fn(usize) -> bool) {
    let mut masks = vec![0; WORDS];
    for prefix in shop.ids.iter().take(3).flat_map(|id| (0..3).map(|depth| id.prefix(depth))) {
        let depth = prefix.codes().len();
        let node = trie.find(&prefix);
        masks.fill(0);
        node.iter()
            .for_each(|node| trie.masks(std::slice::from_ref(node), WORDS, &mut masks).unwrap());
        let mut want = vec![0u64; WORDS];
        let below = shop.ids.iter().enumerate().filter(|(at, _)| allowed(*at));
        for (_, id) in below.filter(|(_, id)| id.prefix(depth) == prefix) {
            let code = usize::from(id.codes()[depth]);
            want[code / 64] |= 1 << (code % 64);
        }
        assert_eq!(masks, want, "{prefix}");
    }
}

fn encode() {
    let mut dice = Dice(7);
    let mut numbers = |count: usize| (0..count).map(|_| dice.unit()).collect::<Vec<f32>>();
    let levels = (0..3).map(|_| Level::new(384, numbers(WIDTH * 384))).collect();
    let book = Codebook::new(vec![Input::new("text", 384)], levels).unwrap();
    let vectors: Vec<Vec<f32>> = (0..64).map(|_| numbers(384)).collect();
    for vector in &vectors {
        // By the definition, in doubles.
        let mut left: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
        let norm = left.iter().map(|x| x * x).sum::<f64>().sqrt();
        left.iter_mut().for_each(|x| *x /= norm);
        for (level, code) in
            book.levels().iter().zip(book.encode(&[Some(vector)]).unwrap().unwrap().codes())
        {
            let far = |row: &[f32]| {
                left.iter().zip(row).map(|(x, c)| (x - f64::from(*c)).powi(2)).sum::<f64>()
            };
            let rows: Vec<f64> = level.centroids().chunks(384).map(far).collect();
            let least = rows.iter().copied().fold(f64::MAX, f64::min);
            assert!(rows[usize::from(*code)] <= least * (1.0 + 1e-5));
            let row = level.centroids().chunks(384).nth((*code).into()).unwrap();
            left.iter_mut().zip(row).for_each(|(x, c)| *x -= f64::from(*c));
        }
    }
    let mut at = 0;
    let time = median(if quick() { 101 } else { 5001 }, || {
        at = (at + 1) % vectors.len();
        black_box(book.encode(&[Some(&vectors[at])]).unwrap());
    });
    println!("encode a vector, 3 x 256 x 384: {time:?}");
}

/// The masks of 50 beams, in turns over shops of different sizes; the beams are others each time.
fn masks(shops: &[Shop], filter: &Where, name: &str) {
    let runs = if quick() { 64 } else { 2048 };
    let tries: Vec<Trie> =
        shops.iter().map(|s| s.db.snapshot().trie("sid", filter).unwrap()).collect();
    let mut buffer = vec![0u64; BEAMS * WORDS];
    let mut all = vec![Duration::ZERO; shops.len()];
    for depth in 0..3 {
        let sets: Vec<_> = shops.iter().zip(&tries).map(|(s, t)| beams(s, t, depth, 64)).collect();
        let mut times = vec![Vec::new(); shops.len()];
        for run in 0..runs {
            for (at, trie) in tries.iter().enumerate() {
                let set = &sets[at][run % 64];
                times[at]
                    .push(once(&mut || trie.masks(set, WORDS, black_box(&mut buffer)).unwrap()));
            }
        }
        let mut line = format!("mask of 50 beams at depth {depth}, {name}:");
        for (at, times) in times.iter_mut().enumerate() {
            times.sort_unstable();
            let time = times[runs / 2];
            all[at] += time;
            line += &format!(
                " {} items {time:?} (p99 {:?});",
                shops[at].ids.len(),
                times[runs * 99 / 100]
            );
        }
        println!("{line}");
    }
    let ratio = all[shops.len() - 1].as_secs_f64() / all[0].as_secs_f64();
    println!("masks of all three steps, {name}: {all:?}, ratio {ratio:.2}");
}

fn sub_tries(shop: &Shop) {
    let filter = attr("tenth").is(3);
    let snapshot = shop.db.snapshot();
    let trie = snapshot.trie("sid", &filter).unwrap();
    let tenth = |at: &usize| at % 10 == 3;
    let want: BTreeSet<SemanticId> =
        (0..shop.ids.len()).filter(tenth).map(|at| shop.ids[at]).collect();
    assert!(trie.ids().iter().eq(&want));
    let runs = if quick() { 3 } else { 31 };
    let made = median(runs, || {
        black_box(shop.db.snapshot().trie("sid", &filter).unwrap());
    });
    let packed = trie.to_static(WIDTH, 2).unwrap();
    let csr = packed.array("packed_csr").unwrap();
    let rest: BTreeSet<SemanticId> = want.iter().map(|id| id.prefix(2)).collect();
    assert_eq!(csr.shape()[0], want.len() + rest.len() + WIDTH);
    let exported = median(runs, || {
        black_box(trie.to_static(WIDTH, 2).unwrap());
    });
    let whole = snapshot.trie("sid", &Where::all()).unwrap();
    let all = median(runs.min(5), || {
        black_box(whole.to_static(WIDTH, 2).unwrap());
    });
    let items = shop.ids.len();
    println!(
        "sub-trie of a tenth of {items} items: {made:?}; its STATIC export {exported:?}; of all {all:?}"
    );
}

/// From before a put to a trie that has the item: what a decoder may now say.
fn insert(shop: &Shop) {
    let (db, mut dice, mut key) = (&shop.db, Dice(3), 1 << 40);
    let mut new = || {
        key += 1;
        let codes = drawn(&mut dice);
        db.batch().put(item(key, codes)).commit().unwrap();
        let (snapshot, id) = (db.snapshot(), SemanticId::new(&codes).unwrap());
        let trie = snapshot.trie("sid", &Where::all()).unwrap();
        let node = trie.find(&id).expect("a new item is in the trie");
        let mut mask = [0; WORDS];
        trie.masks(&[trie.find(&id.prefix(2)).unwrap()], WORDS, &mut mask).unwrap();
        assert!(mask[usize::from(codes[2]) / 64] >> (codes[2] % 64) & 1 == 1);
        assert!(trie.items(&node).any(|addr| snapshot.key(addr).unwrap() == Key::Id(key)));
    };
    new();
    let mut times: Vec<Duration> =
        (0..if quick() { 20 } else { 500 }).map(|_| once(&mut new)).collect();
    times.sort_unstable();
    let (half, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "insert to first possible recommendation, {} items: {half:?}, p99 {late:?}",
        shop.ids.len()
    );
}

fn main() {
    encode();
    let many = if quick() { 20_000 } else { 1_000_000 };
    let shops = [shop(if quick() { 2_000 } else { 12_000 }), shop(many)];
    for shop in &shops {
        let snapshot = shop.db.snapshot();
        check_masks(shop, &snapshot.trie("sid", &Where::all()).unwrap(), |_| true);
        let some = snapshot.trie("sid", &attr("tenth").is(3)).unwrap();
        check_masks(shop, &some, |at| at % 10 == 3);
    }
    masks(&shops, &Where::all(), "all");
    masks(&shops, &attr("tenth").is(3), "a tenth");
    masks(&shops, &!attr("tenth").is(3), "nine tenths");
    sub_tries(&shops[1]);
    shops.iter().for_each(insert);
}
