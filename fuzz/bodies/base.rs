//! Small sound databases that between them hold every kind of file, and everything they answer.

use super::attack;
use bowerbird::{io::fault::Fault, *};
use std::sync::Arc;

/// Manual housekeeping: nothing happens that the caller did not ask for.
pub fn options(mode: IoMode) -> Options {
    Options::default().io_mode(mode).maintenance(Maintenance::Manual)
}

/// Every encoding, every type of attribute, two kinds of events.
pub fn schema(keys: KeyKind) -> Schema {
    Schema::new()
        .keys(keys)
        .space("text", 6, Metric::Cosine)
        .space_as("image", 9, Metric::L2, Encoding::I8)
        .space_as("half", 5, Metric::Dot, Encoding::F16)
        .space_as("sign", 12, Metric::Dot, Encoding::Binary)
        .attr("live", AttrType::Bool)
        .attr("year", AttrType::Int)
        .attr("price", AttrType::Float)
        .attr("released", AttrType::Time)
        .attr("brand", AttrType::Tag)
        .attr("genre", AttrType::Tags)
        .attr("title", AttrType::Text)
        .space_as("count", 7, Metric::L2, Encoding::U8)
        .event("view")
        .event("buy")
}

/// Key `n` of a database with that kind of keys.
pub fn key(keys: KeyKind, n: u64) -> Key {
    match keys {
        KeyKind::Id => Key::Id(n * 3),
        KeyKind::Name => Key::Name(format!("item-{n:03}").into()),
    }
}

fn vector(dim: usize, seed: u64) -> Vec<f32> {
    let number = |at: usize| ((seed * 31 + at as u64 * 17) % 23) as f32 / 8.0 - 1.25;
    (0..dim).map(number).collect()
}

/// Item `n`, of which some fields are missing.
pub fn item(keys: KeyKind, n: u64, salt: u64) -> Item {
    let seed = n * 7 + salt;
    let mut item = Item::new(key(keys, n))
        .vector("text", vector(6, seed))
        .attr("year", 1950 + (seed % 40) as i64)
        .attr("live", seed.is_multiple_of(2));
    if !n.is_multiple_of(3) {
        item = item
            .vector("image", vector(9, seed))
            .attr("genre", [GENRES[(seed % 3) as usize], "any"]);
    }
    if n % 4 != 1 {
        item = item.vector("half", vector(5, seed)).attr("brand", BRANDS[(seed % 4) as usize]);
    }
    if n % 5 != 2 {
        let counts: Vec<f32> = vector(7, seed).iter().map(|x| (x * 64.0).abs()).collect();
        item = item.vector("sign", vector(12, seed)).vector("count", counts);
        item = item.attr("price", seed as f64 / 4.0);
    }
    if n % 2 == 1 {
        item = item.attr("title", format!("title {seed}")).attr("released", Timestamp(seed as i64));
    }
    item
}

const GENRES: [&str; 3] = ["jazz", "rock", "folk"];
const BRANDS: [&str; 4] = ["a", "b", "c", "d"];

/// Event `n`; one in three has everything that an event can have.
pub fn event(keys: KeyKind, n: u64, salt: u64) -> Event {
    let kind = if n.is_multiple_of(4) { "buy" } else { "view" };
    let at = Timestamp((n * 10 + salt) as i64);
    let event = Event::new(n % 7, key(keys, n % 11), kind, at).recorded(at.plus(ms(n % 5)));
    match n % 3 {
        0 => event.value(n as f32 / 2.0).request(n).position((n % 9) as u16),
        _ => event,
    }
}

/// The smallest artifact.
#[derive(Debug, PartialEq)]
pub struct Mean(pub f32);

impl Artifact for Mean {
    const KIND: &'static str = "mean";
    const FORMAT: u16 = 1;
    fn save(&self, out: &mut Saved) -> Result<()> {
        out.section(0, &self.0.to_le_bytes())
    }
    fn open(from: &Opened) -> Result<Mean> {
        let bytes = from.section(0)?;
        let four: [u8; 4] = bytes[..].try_into().map_err(|_| from.damage("length of the mean"))?;
        Ok(Mean(f32::from_le_bytes(four)))
    }
}

/// A directory at one moment, and what the database in it answers.
pub struct Moment {
    pub name: &'static str,
    pub dir: Fault,
    pub answers: Vec<Answer>,
}

/// A database of some 40 KiB through its life. The last moment has three segments, dead rows and
/// events, an artifact, and a WAL with commits and seals that were not flushed.
pub fn life(keys: KeyKind, salt: u64) -> Vec<Moment> {
    let dir = Fault::from_files(vec![("LOCK".into(), salt.to_le_bytes().to_vec())]);
    let db = Db::create_in(Arc::new(dir.clone()), schema(keys), options(IoMode::Mmap))
        .expect("the directory is empty");
    let mut moments = Vec::new();
    let mut moment = |name| {
        moments.push(Moment { name, dir: dir.fork(), answers: answers(&db) });
    };
    let commit = |items: std::ops::Range<u64>, events: std::ops::Range<u64>, salt| {
        let mut batch = db.batch();
        for n in items {
            batch.put(item(keys, n, salt));
        }
        for n in events {
            batch.event(event(keys, n, salt));
        }
        batch.commit().expect("the batch is fine");
    };
    commit(0..12, 0..20, salt);
    db.flush().expect("the disk is fine");
    moment("one segment");
    commit(8..20, 20..30, salt + 1);
    db.batch().delete(key(keys, 2)).delete(key(keys, 3)).commit().expect("the batch is fine");
    db.flush().expect("the disk is fine");
    moment("dead rows");
    db.batch().erase_user(UserId(3)).commit().expect("the batch is fine");
    commit(20..24, 30..34, salt + 2);
    db.flush().expect("the disk is fine");
    moment("dead events");
    let from =
        Provenance { seed: 7, notes: vec![("a".into(), "b".into())], ..Provenance::default() };
    let version = db.publish("mean", &Mean(3.5), from).expect("the artifact is fine");
    moment("published");
    db.activate("mean", version).expect("it is there");
    moment("active");
    commit(22..26, 34..38, salt + 3);
    moment("commit 1");
    db.batch().delete(key(keys, 9)).erase_item(key(keys, 10)).commit().expect("the batch is fine");
    moment("commit 2");
    commit(1..3, 38..39, salt + 4);
    moment("commit 3");
    moments
}

/// A database with enough events for a derived file, and that file.
pub fn derived(events: u64) -> Moment {
    let dir = Fault::new();
    let schema = Schema::new().event("view").event("buy");
    let db = Db::create_in(Arc::new(dir.clone()), schema, options(IoMode::Mmap))
        .expect("the directory is empty");
    let mut batch = db.batch();
    for n in 0..events {
        batch.event(event(KeyKind::Id, n, 1));
    }
    batch.commit().expect("the batch is fine");
    db.flush().expect("the disk is fine");
    while db.maintain().expect("the disk is fine").is_some() {}
    assert!(dir.paths().iter().any(|path| path.starts_with("derived/")));
    Moment { name: "derived", dir: dir.fork(), answers: answers(&db) }
}

/// A database with a section that is too large to be checked when it is opened.
pub fn large() -> Moment {
    let dir = Fault::new();
    let schema = Schema::new().space("text", 256, Metric::Dot);
    let db = Db::create_in(Arc::new(dir.clone()), schema, options(IoMode::Mmap))
        .expect("the directory is empty");
    let mut batch = db.batch();
    for n in 0..1300 {
        batch.put(Item::new(n).vector("text", vector(256, n)));
    }
    batch.commit().expect("the batch is fine");
    db.close().expect("the disk is fine");
    let db = Db::open_in(Arc::new(dir.fork()), options(IoMode::Mmap)).expect("it is sound");
    Moment { name: "large", dir: dir.fork(), answers: answers(&db) }
}

/// A residual codebook over two spaces of [`schema`], of three levels of five codes.
pub fn codebook(salt: u64) -> semantic::Codebook {
    let inputs = vec![semantic::Input::new("text", 6), semantic::Input::new("half", 5)];
    let level = |at| semantic::Level::new(11, spot(55, salt + at));
    semantic::Codebook::new(inputs, (0..3).map(level).collect()).expect("it is sound")
}

/// A decoder of the codes of [`codebook`], small enough to be trained here.
pub fn next_codes() -> model::semantic::CodeModel {
    use model::{Training, semantic::*};
    let id = |n: u16| SemanticId::new(&[n % 5, n % 3, n % 4]).expect("three codes");
    let lists = (0..6).map(|user| (0..5).map(|step| id(user + step)).collect());
    let options = NextCodes { dim: 8, blocks: 1, epochs: Some(1), ..NextCodes::default() };
    let made = options.train(&CodeSequences::new(lists), &[5; 3], &mut Training::new(1));
    made.expect("there is something to learn from")
}

/// A database with two active codebooks, one residual and one listed; a decoder's view of three
/// segments on disk, whose IDs are in files, and of a commit that was not flushed.
pub fn coded(keys: KeyKind) -> Moment {
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), schema(keys), options(IoMode::Mmap))
        .expect("the directory is empty");
    let id = |n: u64| SemanticId::new(&[(n % 3) as u16, (n % 5) as u16]).expect("two codes");
    let listed = semantic::Codebook::listed((0..20).map(|n| (key(keys, n), id(n))));
    for (name, book) in [("sid", codebook(3)), ("list", listed.expect("it is sound"))] {
        let version = db.publish(name, &book, Provenance::default()).expect("it is sound");
        db.activate(name, version).expect("it is there");
    }
    let next = next_codes();
    let from = next.provenance(Seq(0), ("sid", 1));
    let version = db.publish("next", &next, from).expect("it is sound");
    db.activate("next", version).expect("it is there");
    for some in 0..4 {
        let mut batch = db.batch();
        for n in some * 7..some * 7 + 9 {
            batch.put(item(keys, n, some));
        }
        batch.delete(key(keys, some * 3)).event(event(keys, some, 1));
        batch.commit().expect("the batch is fine");
        if some < 3 {
            db.flush().expect("the disk is fine");
        }
    }
    while db.maintain().expect("the disk is fine").is_some() {}
    assert_eq!(dir.paths().iter().filter(|path| path.ends_with(".ids")).count(), 6);
    Moment { name: "coded", dir: dir.fork(), answers: answers(&db) }
}

/// Items of a database with graphs: so many that walks are cheaper than scans.
pub const NODES: u64 = 240;

/// Options under which such a database has graphs of a style.
pub fn graph_options(mode: IoMode, style: Graphs) -> Options {
    options(mode).graphs(style).graph_rows_min(8).build_threads(2)
}

/// A vector that is like no other.
pub fn spot(dim: usize, seed: u64) -> Vec<f32> {
    attack::noise(seed, dim).iter().map(|byte| f32::from(*byte) / 64.0 - 2.0).collect()
}

/// A database with a graph in every space; with `dead`, some nodes are dead rows.
///
/// Panics if its graphs are not walked.
pub fn graphs(style: Graphs, dead: bool) -> Moment {
    let dir = Fault::new();
    let schema = Schema::new()
        .space("text", 6, Metric::Cosine)
        .space_as("image", 9, Metric::L2, Encoding::I8)
        .space_as("half", 5, Metric::Dot, Encoding::F16)
        .attr("year", AttrType::Int);
    let db = Db::create_in(Arc::new(dir.clone()), schema, graph_options(IoMode::Mmap, style))
        .expect("the directory is empty");
    let mut batch = db.batch();
    for n in 0..NODES {
        let mut item = Item::new(n).vector("text", spot(6, n)).attr("year", (n % 10) as i64);
        if !n.is_multiple_of(3) {
            item = item.vector("image", spot(9, n));
        }
        if n % 4 != 1 {
            item = item.vector("half", spot(5, n));
        }
        batch.put(item);
    }
    batch.commit().expect("the batch is fine");
    db.flush().expect("the disk is fine");
    db.index().expect("the disk is fine");
    if dead {
        let mut batch = db.batch();
        for n in (0..NODES).step_by(16) {
            batch.delete(n);
        }
        batch.commit().expect("the batch is fine");
    }
    let snapshot = db.snapshot();
    for space in snapshot.schema().spaces() {
        let measured = snapshot.measure_recall(&space.name, 4).limit(1).effort(1).run();
        assert!(measured.is_ok_and(|report| report.expanded > 0.0), "no walks in {}", space.name);
    }
    // As whoever opens it next: over links.
    drop(db);
    let db = Db::open_in(Arc::new(dir.fork()), graph_options(IoMode::Mmap, style));
    Moment { name: "graphs", dir, answers: answers(&db.expect("it is sound")) }
}

/// A database whose graphs were merged away, with what the next ones grow from: an older graph in each
/// space, and in one of them a build that was cut short.
pub fn seeded() -> Moment {
    let dir = graphs(Graphs::Fast, true).dir;
    let options = graph_options(IoMode::Mmap, Graphs::Fast).keep_every_step();
    let db = Db::open_in(Arc::new(dir.clone()), options).expect("it is sound");
    let mut batch = db.batch();
    for n in NODES..NODES + 20 {
        let item = Item::new(n).vector("text", spot(6, n)).vector("image", spot(9, n));
        batch.put(item.vector("half", spot(5, n)).attr("year", (n % 10) as i64));
    }
    batch.commit().expect("the batch is fine");
    db.compact().expect("the disk is fine");
    let seeds = || dir.files().into_iter().filter(|file| file.0.ends_with(".seed"));
    let merged: Vec<_> = seeds().collect();
    // The first moment after something was kept.
    let cut = db.index_with(&mut Progress::to(|_, _| seeds().eq(merged.iter().cloned())));
    assert!(matches!(cut, Err(Error::Cancelled)), "{cut:?}");
    assert_eq!((merged.len(), seeds().count()), (3, 3));
    Moment { name: "seeded", dir: dir.fork(), answers: answers(&db) }
}

/// What a database answers to one kind of question.
#[derive(Debug)]
pub struct Answer {
    pub what: &'static str,
    pub is: Result<String>,
}

/// Asks everything: all items, events, filters, searches, artifacts, and walks if there are graphs.
///
/// Panics if a score is not finite, or if an error does not come again when asked again (C7).
pub fn answers(db: &Db) -> Vec<Answer> {
    let snapshot = db.snapshot();
    let ask = |what, question: &dyn Fn(&Snapshot) -> Result<String>| {
        let is = question(&snapshot);
        if is.is_err() {
            assert!(question(&snapshot).is_err(), "{what}: an error went away");
        }
        Answer { what, is }
    };
    let mut answers = vec![
        ask("items", &items),
        ask("user histories", &histories),
        ask("item histories", &item_histories),
        ask("filters", &filters),
        ask("searches", &searches),
        ask("pages", &pages),
        ask("artifacts", &artifacts),
        ask("semantic IDs", &semantic_ids),
    ];
    // What walks find is the same only while the graphs are: the last answer, and not always there.
    if db.stats().graph_parts > 0 {
        answers.push(ask("walks", &walks));
    }
    answers
}

const MOST: usize = 2000;

fn items(snapshot: &Snapshot) -> Result<String> {
    let mut text = format!("{} {:?} ", snapshot.len(), snapshot.schema());
    for key in snapshot.keys(&Where::all(), MOST)? {
        text += &format!("{:?}\n", snapshot.get(&key)?);
    }
    Ok(text)
}

fn histories(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    for user in 0..8 {
        let all = HistoryQuery::default();
        text += &format!("{:?}\n", snapshot.history(UserId(user), &all)?.deeds);
    }
    if snapshot.schema().find_event("buy").is_ok() {
        let some = HistoryQuery::default().as_of(Timestamp(250)).window(ms(150)).kinds(["buy"]);
        text += &format!("{:?}\n", snapshot.history(UserId(4), &some.limit(3))?.deeds);
    }
    Ok(text)
}

fn item_histories(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    let kind = snapshot.schema().key_kind();
    for n in 0..12 {
        let seen = snapshot.item_history(&key(kind, n), Timestamp::MAX, MOST)?;
        text += &format!("{seen:?}\n");
    }
    Ok(text)
}

fn filters(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    let all = [
        attr("live").is(true),
        attr("live").is(false) & attr("title").exists(),
        attr("year").between(1960, 1975),
        attr("price").at_least(20.5) | attr("price").at_most(3),
        !attr("released").at_most(Timestamp(60)),
        attr("brand").is("a") | attr("brand").at_least("c"),
        attr("genre").is("jazz") & attr("genre").is("any"),
        attr("genre").is_in(["rock", "folk", "none"]),
        attr("title").between("title 1", "title 3"),
        attr("year").is_in([1951, 1957, 1983]),
    ];
    if snapshot.schema().find_attr("live").is_err() {
        return Ok(text);
    }
    for filter in all {
        text += &format!("{} {:?}\n", snapshot.count(&filter)?, snapshot.keys(&filter, MOST)?);
    }
    Ok(text)
}

fn scores(hits: &[Hit]) -> String {
    assert!(hits.iter().all(|hit| hit.score.is_finite()), "a score that is not finite: {hits:?}");
    hits.iter().map(|hit| format!("{} {:?} ", hit.key, hit.score)).collect()
}

fn searches(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    for space in snapshot.schema().spaces() {
        let query = vector(space.dim as usize, 5);
        text += &scores(&snapshot.near(&space.name, &query).limit(100).run()?);
        for key in snapshot.keys(&Where::all(), 2)? {
            match snapshot.like(&space.name, &key).limit(5).run() {
                Ok(hits) => text += &scores(&hits),
                // Not every item has a vector in every space.
                Err(Error::Invalid { .. }) => text += "none ",
                Err(error) => return Err(error),
            }
        }
    }
    if snapshot.schema().find_attr("genre").is_ok() {
        let near = snapshot.near("text", &vector(6, 3)).also("image", &vector(9, 1), 0.5);
        text += &scores(&near.filter(attr("year").at_least(1955)).group_by("genre", 2).run()?);
    }
    Ok(text)
}

/// Searches so short that graphs are walked for them.
fn walks(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    for space in snapshot.schema().spaces() {
        let dim = space.dim as usize;
        for seed in 1000..1003 {
            let query = spot(dim, seed);
            let near = || snapshot.near(&space.name, &query);
            text += &scores(&near().limit(1).effort(1).run()?);
            text += &scores(&near().limit(3).effort(3).run()?);
            text += &scores(&near().limit(1).recall(0.5).run()?);
            if snapshot.schema().find_attr("year").is_ok() {
                let few = near().filter(attr("year").at_least(8));
                text += &scores(&few.limit(3).effort(2).run()?);
                let half = near().filter(attr("year").at_least(5));
                text += &scores(&half.limit(1).effort(1).run()?);
            }
            let any = snapshot.near_any(&space.name, &[query.clone(), spot(dim, seed + 10)]);
            text += &scores(&any.limit(1).effort(1).run()?);
        }
    }
    Ok(text)
}

fn semantic_ids(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    for artifact in snapshot.artifacts() {
        if artifact.kind != "codebook" || !artifact.active {
            continue;
        }
        let filters = [Where::all(), attr("year").at_least(1970)];
        for filter in filters {
            let trie = snapshot.trie(&artifact.name, &filter)?;
            for id in trie.ids() {
                let node = trie.find(&id).expect("it was listed");
                let keys = trie.items(&node).map(|addr| snapshot.key(addr));
                text += &format!("{id} {:?}\n", keys.collect::<Result<Vec<Key>>>()?);
            }
        }
    }
    Ok(text)
}

fn pages(snapshot: &Snapshot) -> Result<String> {
    let mut text = String::new();
    let Some(space) = snapshot.schema().spaces().first() else { return Ok(text) };
    let (query, mut after) = (vector(space.dim as usize, 2), None);
    for _ in 0..MOST {
        let page = snapshot.near(&space.name, &query).limit(7).page(after.as_ref())?;
        text += &scores(&page.hits);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Ok(text)
}

fn artifacts(snapshot: &Snapshot) -> Result<String> {
    let list = snapshot.artifacts();
    let mut text = format!("{list:?}\n");
    for artifact in &list {
        let (name, version) = (&artifact.name, artifact.version);
        if artifact.kind == Mean::KIND {
            text += &format!("{:?}\n", snapshot.artifact_version::<Mean>(name, version)?);
        }
        text += &format!("{:?}\n", snapshot.provenance(&artifact.name, artifact.version)?);
    }
    Ok(text)
}

/// Whether every answer that came is one of `truth`.
pub fn agree(answers: &[Answer], truth: &[Answer]) -> Result<(), String> {
    for (answer, truth) in answers.iter().zip(truth) {
        let (Ok(is), Ok(was)) = (&answer.is, &truth.is) else { continue };
        if is != was {
            return Err(format!("{}: {is}\ninstead of: {was}", answer.what));
        }
    }
    Ok(())
}
