//! Semantic IDs from one end to the other: fits a codebook (or takes one that others have made), says
//! how good it is, browses it, puts a new item where it belongs, trains a decoder on what users did,
//! decodes with and without a filter, and finds items that nobody has seen. Ends with a JSON line.
//!
//!     cargo run --release --example semantic_ids -- --vectors title.npy \
//!         --interactions Beauty.txt --titles items.tsv --html map.html
//!
//! Judged by leave-one-out and full ranking: of every user the last item is to be found, the one before
//! it decides when training stops.
#![allow(clippy::disallowed_methods)] // Reads and writes files by itself.

mod args;
mod browse;
mod cold;
mod dense;
mod files;
mod judge;
mod towers;

use args::Args;
use bowerbird::{
    model::{Reading, Sequences, Training, semantic::*},
    recommend::{Recommender, Request, Seen},
    semantic::{Codebook, Input},
    *,
};
use judge::{Case, judge};
use serde_json::{Map, Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What is in the database, and what is held back.
pub(crate) struct Shop {
    pub(crate) db: Db,
    pub(crate) cases: Vec<Case>,
    pub(crate) cold: BTreeSet<u64>,
    pub(crate) codebook: (String, u32),
    pub(crate) files: Files,
}

/// What was read.
pub(crate) struct Files {
    /// Vectors of each space, by item; zeros where an item has none.
    pub(crate) spaces: Vec<Vec<Vec<f32>>>,
    pub(crate) titles: Option<BTreeMap<u64, String>>,
    /// What each user did.
    pub(crate) lists: Vec<(u64, Vec<u64>)>,
    pub(crate) keys: BTreeSet<u64>,
}

fn main() -> Outcome<()> {
    let args = Args::parse(std::env::args().skip(1))?;
    let mut figures = Map::new();
    let shop = open(&args)?;
    let snapshot = shop.db.snapshot();
    describe(&shop, &mut figures)?;
    let trie = snapshot.trie("sid", &Where::all())?;
    browse::print(&snapshot, &trie)?;
    if let Some(path) = &args.html {
        std::fs::write(path, browse::page(&snapshot, &trie)?)?;
        println!("wrote {}", path.display());
    }
    if !args.vectors.is_empty() {
        welcome(&shop, &mut figures)?;
    }
    if args.interactions.is_some() {
        if args.towers && !args.vectors.is_empty() {
            towers::start(&shop, &args, &mut figures)?;
        }
        if args.cold > 0.0 && !args.vectors.is_empty() {
            dense::start(&shop, &args, &mut figures)?;
        }
        if args.decoder {
            generate(&shop, &args, &mut figures)?;
            if args.cold > 0.0 {
                cold::start(&shop, &args, &mut figures)?;
            }
        }
    }
    println!("{}", Json::Object(figures));
    Ok(())
}

/// Reads the files into a database whose codebook is active.
fn open(args: &Args) -> Outcome<Shop> {
    let mut spaces: Vec<Vec<Vec<f32>>> =
        args.vectors.iter().map(|path| files::vectors(path)).collect::<Outcome<_>>()?;
    if let Some(path) = &args.attributes {
        spaces.push(files::attributes(path)?);
    }
    let index = match &args.import {
        Some(path) => {
            let text = std::fs::read_to_string(path)?;
            Some(Index { first: Some(args.first), levels: args.levels }.read(&text)?)
        }
        None => None,
    };
    let titles = args.titles.as_ref().map(|path| files::titles(path)).transpose()?;
    let lists = match &args.interactions {
        Some(path) => files::interactions(path, args.first)?,
        None => Vec::new(),
    };
    let mut keys: BTreeSet<u64> = BTreeSet::new();
    let number = |key: &Key| if let Key::Id(id) = key { Some(*id) } else { None };
    index.iter().flat_map(|book| book.items()).for_each(|(key, _)| keys.extend(number(key)));
    for rows in &spaces {
        let has = |(_, row): &(u64, &Vec<f32>)| row.iter().any(|x| *x != 0.0);
        keys.extend((0u64..).zip(rows).filter(has).map(|(at, _)| at));
    }
    let files = Files { spaces, titles, lists, keys };
    let db = stock(&files, &files.keys)?;
    let (cold, cases) = act(&db, &files.lists, &files.keys, args)?;
    let begun = Instant::now();
    let codebook = match index {
        Some(index) => index,
        None => {
            let content: Vec<String> = (0..files.spaces.len()).map(|at| format!("v{at}")).collect();
            let mut inputs: Vec<(String, f32)> =
                content.iter().map(|space| (space.clone(), 1.0)).collect();
            if args.collaborative > 0.0 {
                collaborate(&db, inputs.clone(), args)?;
                inputs.push(("collaborative".into(), args.collaborative));
            }
            let levels = vec![args.codes; args.levels.unwrap_or(3)];
            let fit = Fit { levels, inputs, balanced: args.balanced, ..Fit::default() };
            let mut how = Training::new(args.seed).threads(args.threads);
            match (args.refine, args.codebook.as_str()) {
                (true, _) => refine(&db, fit, &mut how)?,
                (false, "kmeans") => fit.fit(&db.snapshot(), &mut how)?,
                _ => learn(&db, fit, &mut how, args)?,
            }
        }
    };
    if args.refine {
        write_refined(&db, &codebook)?;
    }
    let version = db.publish("sid", &codebook, Provenance::default())?;
    db.activate("sid", version)?;
    println!("codebook: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(Shop { db, cases, cold, codebook: ("sid".into(), version), files })
}

/// A database of these items.
pub(crate) fn stock(files: &Files, keys: &BTreeSet<u64>) -> Outcome<Db> {
    let mut schema = Schema::new().attr("title", AttrType::Text).event("view");
    for (at, rows) in files.spaces.iter().enumerate() {
        let dim = rows.first().map_or(0, Vec::len) as u32;
        schema = schema.space_as(&format!("v{at}"), dim, Metric::Cosine, Encoding::F16);
    }
    let db = Db::in_memory(schema)?;
    let mut batch = db.batch();
    for (at, key) in keys.iter().enumerate() {
        let mut item = Item::new(*key);
        for (space, rows) in files.spaces.iter().enumerate() {
            let row = rows.get(*key as usize).filter(|row| row.iter().any(|x| *x != 0.0));
            item.vectors.extend(row.map(|row| (format!("v{space}"), row.clone())));
        }
        if let Some(title) = files.titles.as_ref().and_then(|titles| titles.get(key)) {
            item = item.attr("title", title.as_str());
        }
        batch.put(item);
        if at % 4096 == 4095 {
            batch.commit()?;
        }
    }
    batch.commit()?;
    Ok(db)
}

/// A codebook that has learned from what users did; the last item of each history stays out of it, so
/// that it can decide when the decoder's training stops.
fn refine(db: &Db, fit: Fit, how: &mut Training<'_>) -> Outcome<Codebook> {
    let (train, _) = Sequences::read(&db.snapshot(), &Reading::default())?.hold_out_last();
    Ok(Refine::of(fit).fit(&db.snapshot(), &train, how)?)
}

/// A codebook behind a network that has learned what to keep of the content.
fn learn(db: &Db, fit: Fit, how: &mut Training<'_>, args: &Args) -> Outcome<Codebook> {
    let (dim, hidden) = args.network.split_last().ok_or("--network has no layer")?;
    let (hidden, epochs, learning_rate) = (hidden.to_vec(), args.epochs, args.rate);
    let network = Autoencoder { hidden, epochs, learning_rate, ..Autoencoder::default() };
    let made = match args.codebook.as_str() {
        "fsq" => {
            let values = vec![vec![4; 4]; fit.levels.len()];
            let fsq = Fsq { values, inputs: fit.inputs, network, ..Fsq::of([]) };
            fsq.fit(&db.snapshot(), how)?
        }
        _ => RqVae { fit, network, dim: *dim, ..RqVae::of([]) }.fit(&db.snapshot(), how)?,
    };
    let epochs = how.curve();
    for epoch in epochs.iter().step_by(epochs.len().div_ceil(10).max(1)).chain(epochs.last()) {
        println!("epoch {}: loss {:.4}, {:.0} s", epoch.number, epoch.loss, epoch.seconds);
    }
    println!("of the content is lost, by the decoder: {:.4}", made.error);
    Ok(made.codebook)
}

/// Gives every item what the codebook reads of it as a vector in a space of its own.
fn write_refined(db: &Db, codebook: &Codebook) -> Outcome<()> {
    let Some(encoder) = codebook.encoder() else { return Ok(()) };
    write(db, "refined", encoder.output(), |_, item| {
        let vector = |input: &Input| item.vectors.iter().find(|(space, _)| *space == input.space);
        let given: Vec<Option<&[f32]>> =
            codebook.inputs().iter().map(|input| vector(input).map(|v| v.1.as_slice())).collect();
        Ok(Some(codebook.read(&given)?))
    })
}

/// Gives every item the row of a sequence model that reads its content: of one that users have met, with
/// what they did in it; of a new one by its content alone. The last item of each history stays out of
/// it, as it does for codes that are refined.
fn collaborate(db: &Db, inputs: Vec<(String, f32)>, args: &Args) -> Outcome<()> {
    let snapshot = db.snapshot();
    let (train, last) = Sequences::read(&snapshot, &Reading::default())?.hold_out_last();
    let mut how = Training::new(args.seed).threads(args.threads).validate(&last);
    let begun = Instant::now();
    let model = dense::sequence_model(inputs).train(&snapshot, &train, &mut how)?;
    println!("vectors of what users did: {:.1} s", begun.elapsed().as_secs_f64());
    let dim = model.dim().ok_or("it has vectors")?;
    write(db, "collaborative", dim, |snapshot, item| Ok(model.content_vector(snapshot, &item.key)?))
}

/// Gives items a vector each in a space that is added.
pub(crate) fn write(
    db: &Db,
    space: &str,
    dim: usize,
    vector: impl Fn(&Snapshot, &Item) -> Outcome<Option<Vec<f32>>>,
) -> Outcome<()> {
    db.add_space(space, dim as u32, Metric::Cosine, Encoding::F16)?;
    let snapshot = db.snapshot();
    let mut batch = db.batch();
    for (at, key) in snapshot.keys(&Where::all(), usize::MAX)?.into_iter().enumerate() {
        let Some(mut item) = snapshot.get(&key)? else { continue };
        let Some(vector) = vector(&snapshot, &item)? else { continue };
        item.vectors.push((space.into(), vector));
        batch.put(item);
        if at % 4096 == 4095 {
            batch.commit()?;
        }
    }
    batch.commit()?;
    Ok(())
}

/// Writes what users did, but for what is held back: each user's last item, and all that concerns items
/// that are to be new.
pub(crate) fn act(
    db: &Db,
    lists: &[(u64, Vec<u64>)],
    keys: &BTreeSet<u64>,
    args: &Args,
) -> Outcome<(BTreeSet<u64>, Vec<Case>)> {
    let mut state = args.seed;
    let mut drawn = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let cold: BTreeSet<u64> = keys.iter().copied().filter(|_| drawn() < args.cold).collect();
    let (mut cases, mut batch) = (Vec::new(), db.batch());
    for (user, items) in lists {
        let Some((target, past)) = items.split_last() else { continue };
        let known: Vec<u64> = past.iter().copied().filter(|item| !cold.contains(item)).collect();
        if known.is_empty() {
            continue;
        }
        for (at, item) in (0i64..).zip(&known) {
            batch.event(Event::new(*user, *item, "view", Timestamp(at)));
        }
        cases.push(Case { user: *user, target: *target });
        if batch.len() > 10_000 {
            batch.commit()?;
        }
    }
    batch.commit()?;
    Ok((cold, cases))
}

/// How good the IDs are.
fn describe(shop: &Shop, figures: &mut Map<String, Json>) -> Outcome<()> {
    let (name, version) = (&shop.codebook.0, shop.codebook.1);
    let snapshot = shop.db.snapshot();
    let said = Figures::of_codebook(&snapshot, name, version, &mut Progress::silent())?;
    println!("{said:?}");
    assert_eq!(said.items + said.without, snapshot.len() as usize);
    let perplexity: Vec<f64> = said.perplexity.iter().map(|p| (p * 10.0).round() / 10.0).collect();
    figures.insert("items".into(), json!(said.items));
    figures.insert("unique".into(), json!(said.unique));
    figures.insert("colliding_items".into(), json!(said.colliding_items));
    figures.insert("largest_bucket".into(), json!(said.largest_bucket));
    figures.insert("perplexity".into(), json!(perplexity));
    figures.insert("error".into(), json!(said.error));
    Ok(())
}

/// Writes an item that is like another one, and shows where it lands.
fn welcome(shop: &Shop, figures: &mut Map<String, Json>) -> Outcome<()> {
    let snapshot = shop.db.snapshot();
    let model = snapshot.keys(&Where::all(), 1000)?.into_iter().nth(500).ok_or("too few items")?;
    let mut item = snapshot.get(&model)?.ok_or("it was listed")?;
    let (Key::Id(_), new) = (&model, Key::Id(u64::MAX - 1)) else { return Ok(()) };
    item.key = new.clone();
    println!("a new item, with the content of: {}", browse::title(&snapshot, &model)?);
    let similar = Recommender::new().retrieve(SimilarByPrefix::new("sid", 1, 10));
    let begun = Instant::now();
    shop.db.batch().put(item).commit()?;
    let snapshot = shop.db.snapshot();
    let slate = similar.run(&snapshot, &Request::new(10, Timestamp(0)).item(model.clone()))?;
    let micros = begun.elapsed().as_micros();
    let id = snapshot.semantic_id("sid", &new)?;
    assert_eq!(id, snapshot.semantic_id("sid", &model)?, "the same content, the same ID");
    assert!(slate.items.iter().any(|item| item.key == new), "it is found at once");
    if let Some(id) = id {
        println!("  has {id}; beside it:");
    }
    for item in slate.items.iter().filter(|item| item.key != new).take(5) {
        println!("    {}", browse::title(&snapshot, &item.key)?);
    }
    println!("  written and recommended in {micros} us");
    figures.insert("insert_to_slate_us".into(), json!(micros as u64));
    shop.db.batch().delete(new).commit()?;
    Ok(())
}

/// Trains a decoder, shows what it says, and judges it.
fn generate(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let snapshot = shop.db.snapshot();
    let trie = snapshot.trie("sid", &Where::all())?;
    let sequences = Sequences::read(&snapshot, &Reading::default())?;
    let (train, last) = sequences.hold_out_last();
    let id = |key: &Key| snapshot.find(key).ok().flatten().and_then(|addr| trie.id(addr));
    let codes = CodeSequences::of(&train, id);
    let mut before = None;
    let progress = Progress::to(|done, total| {
        if before.replace(done) != Some(done) {
            eprintln!("epoch {done} of at most {total}");
        }
        true
    });
    let how = Training::new(args.seed).threads(args.threads).validate(&last);
    let mut how = how.progress(progress);
    if let Some(budget) = args.time_budget {
        how = how.time_budget(budget);
    }
    let begun = Instant::now();
    let model = NextCodes::default().train(&codes, trie.widths(), &mut how)?;
    let seconds = begun.elapsed().as_secs_f64();
    let from = model.provenance(snapshot.seq(), (&shop.codebook.0, shop.codebook.1));
    let version = shop.db.publish("next_codes", &model, from)?;
    shop.db.activate("next_codes", version)?;
    let snapshot = shop.db.snapshot();
    show(shop, &snapshot, args)?;
    let warm: Vec<&Case> =
        shop.cases.iter().filter(|case| !shop.cold.contains(&case.target)).collect();
    let begun = Instant::now();
    let quality = judge(&snapshot, &decoder(args), &warm, args.threads)?;
    let each = begun.elapsed().as_secs_f64() * args.threads as f64 / warm.len().max(1) as f64;
    println!("decoded: {quality:?}, trained in {seconds:.0} s");
    assert!(quality.hr_10 > 0.0, "a decoder that finds nothing");
    figures.insert("cases".into(), json!(quality.cases));
    figures.insert("hr_10".into(), json!(quality.hr_10));
    figures.insert("ndcg_10".into(), json!(quality.ndcg_10));
    figures.insert("train_seconds".into(), json!(seconds));
    figures.insert("decode_ms".into(), json!(each * 1000.0));
    Ok(())
}

/// What the decoder says alone.
pub(crate) fn decoder(args: &Args) -> Recommender {
    let generate = Generate::by("sid", "next_codes", args.beams).beams(args.beams);
    let generate = generate.bucket(Bucket::popular(["view"]));
    Recommender::new()
        .filter(Seen::new(["view"]))
        .retrieve(generate)
        .score(recommend::Rrf::default())
}

/// Decodes for one user, without a filter and with one.
fn show(shop: &Shop, snapshot: &Snapshot, args: &Args) -> Outcome<()> {
    let Some(case) = shop.cases.iter().find(|case| case.user % 1000 == 17) else { return Ok(()) };
    let history = snapshot.history(UserId(case.user), &HistoryQuery::default())?;
    println!("user {} has seen:", case.user);
    for deed in history.deeds.iter().rev().take(5) {
        println!("    {}", browse::title(snapshot, &deed.item)?);
    }
    let request = Request::new(5, Timestamp::MAX).user(case.user);
    let plain = decoder(args).run(snapshot, &request)?;
    let letter = attr("title").between("A", "M");
    let narrow = decoder(args).filter(letter.clone()).run(snapshot, &request)?;
    let allowed: BTreeSet<Key> = snapshot.keys(&letter, usize::MAX)?.into_iter().collect();
    assert!(narrow.items.iter().all(|item| allowed.contains(&item.key)), "the filter holds");
    for (what, slate) in [("decoded", plain), ("of those whose title begins with A to L", narrow)] {
        println!("  {what}:");
        for item in &slate.items {
            println!("    {}", browse::title(snapshot, &item.key)?);
        }
    }
    Ok(())
}
