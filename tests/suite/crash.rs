//! Power failures: at every call, with every subset of what was not yet durable.

use crate::oracle::{Dice, State, Write, commit, schema};
use bowerbird::{
    io::fault::Fault,
    model::{Model, Reading, Rules, Sequences, Train as _, Training},
    semantic::{Codebook, Input, Level},
    *,
};
use std::{collections::BTreeMap, sync::Arc};

/// One step of a workload.
#[derive(Clone, Debug)]
pub enum Step {
    Commit(Vec<Write>),
    Flush,
    Compact,
    Maintain,
    Index,
    Sync,
    AddAttr,
    Publish,
    /// Trains a model on what is there, publishes and activates it.
    Train,
    /// Publishes and activates a codebook over the vectors that are there.
    Code,
    Reopen,
}

/// The smallest artifact.
pub struct Blob(pub Vec<u8>);

impl Artifact for Blob {
    const KIND: &'static str = "blob";
    const FORMAT: u16 = 1;
    fn save(&self, out: &mut Saved) -> Result<()> {
        out.section(0, &self.0)
    }
    fn open(from: &Opened) -> Result<Blob> {
        Ok(Blob(from.section(0)?.to_vec()))
    }
}

/// What a run had been promised when the power went off.
#[derive(Default)]
struct Promised {
    created: bool,
    /// The state after each commit that was begun, by number.
    states: BTreeMap<u64, State>,
    /// Commits that were acknowledged as durable.
    durable: u64,
    /// Artifacts that were acknowledged.
    artifacts: usize,
    /// Models that were acknowledged as active, one after the other, and the one that was begun last.
    models: u32,
    models_begun: u32,
    /// The same of codebooks.
    codebooks: u32,
    codebooks_begun: u32,
    attrs: usize,
}

pub fn options(durability: Durability) -> Options {
    let options = Options::default().durability(durability).maintenance(Maintenance::Manual);
    // Few rows are enough for graphs.
    options.graph_rows_min(2)
}

/// A model that says that 2 comes after 1; its seed is its number.
pub fn model(snapshot: &Snapshot, number: u32) -> Model {
    let sequences = Sequences::read(snapshot, &Reading::default()).unwrap();
    Rules::default().train(&sequences, &mut Training::new(number.into())).unwrap()
}

/// Codebook `number`: no two give an item the same ID.
pub fn codebook(number: u32) -> Codebook {
    let input = Input { normalize: false, ..Input::new("v", 2) };
    let level = |scale: f32| {
        let row = |code: u32| [(code % (number + 4)) as f32 * scale, 0.5];
        Level::new(2, (0..number + 8).flat_map(row).collect())
    };
    Codebook::new(vec![input], vec![level(1.0), level(0.25)]).unwrap()
}

/// One codebook gave every item its ID, and it is one that may be active.
fn check_codes(snapshot: &Snapshot, promised: &Promised, place: &str) {
    if promised.codebooks == 0 {
        return;
    }
    let trie = snapshot.trie("sid", &Where::all()).unwrap_or_else(|e| panic!("{place}: {e}"));
    let (_, version) = trie.codebook();
    let sound = promised.codebooks..=promised.codebooks_begun;
    assert!(sound.contains(&version), "{place}: codebook {version}, not one of {sound:?}");
    let book = codebook(version);
    for key in snapshot.keys(&Where::all(), 100).unwrap() {
        let item = snapshot.get(&key).unwrap().unwrap();
        let vectors: Vec<Option<&[f32]>> = vec![item.vectors.first().map(|v| v.1.as_slice())];
        let addr = snapshot.find(&key).unwrap().unwrap();
        assert_eq!(trie.id(addr), book.encode(&vectors).unwrap(), "{place}: item {key}");
    }
}

/// Runs a workload until its end or the first error.
fn run(dir: &Fault, steps: &[Step], durability: Durability) -> Promised {
    let mut promised = Promised::default();
    promised.states.insert(0, State::default());
    let made = Db::create_in(Arc::new(dir.clone()), schema(), options(durability));
    let Ok(mut db) = made else { return promised };
    promised.created = true;
    let mut state = State::default();
    for step in steps {
        let done = match step {
            Step::Commit(batch) => {
                state.apply(batch);
                let number = promised.states.len() as u64;
                promised.states.insert(number, state.clone());
                let done = commit(&db, batch);
                let acked = matches!(durability, Durability::Immediate | Durability::Group { .. });
                if let Ok(seq) = done {
                    assert_eq!(seq.0, number);
                    promised.durable = if acked { seq.0 } else { promised.durable };
                }
                done.map(drop)
            }
            Step::Flush => {
                db.flush().map(drop).inspect(|()| promised.durable = db.snapshot().seq().0)
            }
            Step::Compact => db.compact().inspect(|()| promised.durable = db.snapshot().seq().0),
            Step::Maintain => (0..4).try_for_each(|_| db.maintain().map(drop)),
            Step::Index => db.index(),
            Step::Sync => db.sync().inspect(|()| promised.durable = db.snapshot().seq().0),
            Step::AddAttr => {
                let name = format!("more{}", promised.attrs);
                let done = db.add_attr(&name, AttrType::Bool);
                done.inspect(|()| promised.attrs += 1)
            }
            Step::Publish => {
                let done = db.publish("blob", &Blob(vec![7; 100]), Provenance::default());
                let done = done.and_then(|version| db.activate("blob", version));
                done.inspect(|()| promised.artifacts += 1)
            }
            Step::Train => {
                promised.models_begun += 1;
                let snapshot = db.snapshot();
                let learned = model(&snapshot, promised.models_begun);
                let done = db.publish("next", &learned, learned.provenance(snapshot.seq()));
                let done = done.and_then(|version| db.activate("next", version));
                done.inspect(|()| promised.models += 1)
            }
            Step::Code => {
                promised.codebooks_begun += 1;
                let book = codebook(promised.codebooks_begun);
                let done = db.publish("sid", &book, Provenance::default());
                let done = done.and_then(|version| db.activate("sid", version));
                done.inspect(|()| promised.codebooks += 1)
            }
            Step::Reopen => {
                drop(db);
                match Db::open_in(Arc::new(dir.clone()), options(durability)) {
                    Ok(again) => {
                        db = again;
                        // Opening makes everything that was found durable.
                        promised.durable = db.snapshot().seq().0;
                        Ok(())
                    }
                    Err(_) => return promised,
                }
            }
        };
        if done.is_err() {
            return promised;
        }
    }
    promised
}

/// Opens what a power failure left and checks it against what was promised.
fn check(image: &Fault, promised: &Promised, place: &str) {
    let dir = Arc::new(image.clone());
    let db = match Db::open_in(dir.clone(), options(Durability::Immediate)) {
        Ok(db) => db,
        Err(Error::NotFound { .. }) if !promised.created => {
            // A creation that was cut short: the next one succeeds.
            let db = Db::create_in(dir, schema(), options(Durability::Immediate));
            db.unwrap_or_else(|e| panic!("{place}: creating again: {e}")).close().unwrap();
            return;
        }
        Err(error) => panic!("{place}: {error}"),
    };
    let snapshot = db.snapshot();
    let seq = snapshot.seq().0;
    let found = State::read(&snapshot).unwrap_or_else(|e| panic!("{place}: {e}"));
    assert!(
        seq >= promised.durable,
        "{place}: commit {} is lost; {seq} is there",
        promised.durable
    );
    let expected = promised.states.get(&seq).unwrap_or_else(|| panic!("{place}: no commit {seq}"));
    assert_eq!(&found, expected, "{place}: not the state after commit {seq}");
    let artifacts = snapshot.artifacts();
    assert!(artifacts.len() >= promised.artifacts, "{place}: an artifact is lost");
    if promised.artifacts > 0 {
        let blob = snapshot.artifact::<Blob>("blob").unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(blob.0, [7; 100], "{place}");
    }
    if promised.models > 0 {
        // The old model serves until the new one is active, and then the new one, whole.
        let learned = snapshot.model("next").unwrap_or_else(|e| panic!("{place}: {e}"));
        let number = learned.card().seed;
        let sound = u64::from(promised.models)..=u64::from(promised.models_begun);
        assert!(sound.contains(&number), "{place}: model {number} serves, not one of {sound:?}");
        assert_eq!(learned.best(&[Key::Id(1)], 1).unwrap()[0].0, Key::Id(2), "{place}");
    }
    check_codes(&snapshot, promised, place);
    assert!(snapshot.schema().attrs().len() >= 2 + promised.attrs, "{place}: an attribute is lost");
    // Life goes on: one more commit, and everything is still there after a clean reopening.
    let more = [Write::Put { key: 99, number: 9, tags: vec![], vector: None }];
    commit(&db, &more).unwrap_or_else(|e| panic!("{place}: writing on: {e}"));
    let mut expected = expected.clone();
    expected.apply(&more);
    db.compact().unwrap_or_else(|e| panic!("{place}: compacting: {e}"));
    db.index().unwrap_or_else(|e| panic!("{place}: indexing: {e}"));
    assert_eq!(db.stats().debt.unindexed_parts, 0, "{place}");
    db.close().unwrap_or_else(|e| panic!("{place}: closing: {e}"));
    let report = verify_dir(image).unwrap();
    assert!(report.is_sound() && report.strangers.is_empty(), "{place}: {report:?}");
    let db = Db::open_read_only_in(Arc::new(image.clone()), Options::default());
    let again = State::read(&db.unwrap().snapshot()).unwrap();
    assert_eq!(again, expected, "{place}: after closing");
}

/// All crash states of a workload: the number of states that were checked.
fn explore(name: &str, steps: &[Step], durability: Durability, most: usize) -> usize {
    let whole = Fault::new();
    run(&whole, steps, durability);
    let mut states = 0;
    for call in 0..=whole.calls() {
        let dir = Fault::new();
        dir.cut_power_at(call);
        let promised = run(&dir, steps, durability);
        for (n, image) in dir.survivors(call, most).into_iter().enumerate() {
            check(&image, &promised, &format!("{name}, {durability:?}, call {call}, state {n}"));
            states += 1;
        }
    }
    states
}

fn put(key: u64, number: i64) -> Write {
    Write::Put { key, number, tags: vec!["a".into()], vector: Some([number as f32, 1.0]) }
}

fn event(user: u64, item: u64, at: i64) -> Write {
    Write::Event { user, item, at, recorded: at, value: Some(1.0) }
}

/// The workloads of the crash tests, each a few steps around one capability.
pub fn workloads() -> Vec<(&'static str, Vec<Step>)> {
    use Step::{
        AddAttr, Code, Commit, Compact, Flush, Index, Maintain, Publish, Reopen, Sync, Train,
    };
    let two = || vec![put(1, 1), put(2, 2), event(1, 1, 5)];
    vec![
        ("create", vec![]),
        ("put", vec![Commit(vec![put(1, 1)]), Commit(vec![put(2, 2)])]),
        ("batch", vec![Commit(two()), Commit(two()), Sync]),
        ("delete", vec![Commit(two()), Commit(vec![Write::Delete(1)]), Flush]),
        ("upsert", vec![Commit(two()), Flush, Commit(vec![put(1, 7)]), Flush]),
        ("flush", vec![Commit(two()), Flush, Commit(vec![put(3, 3)]), Flush, Commit(two())]),
        (
            "compact",
            vec![
                Commit(two()),
                Flush,
                Commit(vec![put(1, 3)]),
                Flush,
                Commit(vec![put(2, 4)]),
                Compact,
            ],
        ),
        ("schema", vec![Commit(two()), AddAttr, Commit(vec![put(3, 3)]), AddAttr, Flush]),
        ("publish", vec![Publish, Commit(two()), Publish, Flush]),
        (
            "train",
            vec![
                Commit(vec![event(1, 1, 1), event(1, 2, 2)]),
                Train,
                Commit(vec![put(3, 3)]),
                Train,
                Flush,
                Train,
            ],
        ),
        (
            "code",
            vec![
                Commit(two()),
                Flush,
                Code,
                Maintain,
                Commit(vec![put(3, 3), Write::Delete(1)]),
                Code,
                Flush,
                Maintain,
                Commit(vec![put(2, 5)]),
            ],
        ),
        ("events", vec![Commit(vec![event(1, 1, 9)]), Commit(vec![event(1, 2, 3)]), Flush]),
        (
            "erase",
            vec![
                Commit(two()),
                Flush,
                Commit(vec![Write::EraseUser(1), put(3, 3)]),
                Maintain,
                Commit(vec![Write::EraseItem(1)]),
                Maintain,
            ],
        ),
        // Housekeeping of its own accord, while the update may be in the WAL only.
        (
            "merge",
            vec![Commit(two()), Flush, Commit(vec![put(1, 9)]), Maintain, Commit(vec![put(2, 8)])],
        ),
        (
            "graph",
            vec![
                Commit(two()),
                Flush,
                Index,
                Commit(vec![put(1, 7), put(3, 3), put(4, 4)]),
                Flush,
                Index,
                Compact,
                Commit(vec![put(4, 5)]),
                Index,
            ],
        ),
        ("recovery", vec![Commit(two()), Reopen, Commit(vec![put(3, 3)]), Reopen, Commit(two())]),
    ]
}

/// Goal: what a commit promised is kept through any power failure, at every durability level.
/// Method: cut the power before every call of the directory, for fourteen workloads, and open every
/// subset of what was pending, torn, zeroed or garbled; then write on.
// checks: D1 D2 D3 D4 D5 A1 C6 V1 V2 V3
#[test]
fn every_crash_state_is_a_prefix_with_everything_that_was_promised() {
    let mut states = 0;
    for (name, steps) in workloads() {
        for durability in levels() {
            states += explore(name, &steps, durability, 24);
        }
    }
    println!("{states} crash states");
    assert!(states >= 20_000, "only {states} crash states");
}

fn levels() -> [Durability; 4] {
    let group = Durability::Group { max_delay: ms(0), max_ops: 1 };
    let buffered = Durability::Buffered { max_delay: days(1) };
    [Durability::Immediate, group, buffered, Durability::None]
}

/// Goal: the same for workloads that nobody thought of.
/// Method: random steps, ten workloads here; `BOWERBIRD_CRASH_WORKLOADS=2000` for a million states.
// checks: D1 D2 D3 D4 D5 A1 C6
#[test]
#[allow(clippy::disallowed_methods)] // A knob of the test, not of the library.
fn random_workloads_survive_power_failures_too() {
    let wanted = std::env::var("BOWERBIRD_CRASH_WORKLOADS").ok().and_then(|n| n.parse().ok());
    let mut states = 0;
    for seed in 0..wanted.unwrap_or(10) {
        let mut dice = Dice(seed);
        let step = |dice: &mut Dice| match dice.roll(12) {
            0..=5 => Step::Commit(dice.batch(3)),
            6 => Step::Flush,
            7 => Step::Compact,
            8 => Step::Maintain,
            9 => Step::Sync,
            10 => Step::Publish,
            _ => Step::Reopen,
        };
        let steps: Vec<Step> = (0..6).map(|_| step(&mut dice)).collect();
        let durability = levels()[dice.roll(4) as usize];
        states += explore(&format!("random workload {seed}"), &steps, durability, 32);
    }
    println!("{states} crash states of random workloads");
    assert!(states >= 1_000, "only {states} crash states");
}

/// Goal: recovery can be cut short as often as one likes.
/// Method: from crash states of every workload, open with the power going off at every call, and
/// again from what that leaves, three deep; then open to the end.
// checks: D1 D5 A2
#[test]
fn recovery_survives_power_failures_of_its_own() {
    let (mut dice, mut states) = (Dice(7), 0);
    for (name, steps) in workloads() {
        let whole = Fault::new();
        run(&whole, &steps, Durability::Immediate);
        for _ in 0..20 {
            let dir = Fault::new();
            dir.cut_power_at(dice.roll(whole.calls() + 1));
            let promised = run(&dir, &steps, Durability::Immediate);
            let images = dir.survivors(dice.roll(1 << 32), 8);
            let mut image = images[dice.roll(images.len() as u64) as usize].fork();
            for depth in 0..3 {
                let trial = image.fork();
                drop(Db::open_in(Arc::new(trial.clone()), options(Durability::Immediate)));
                for call in 0..trial.calls() {
                    let crashed = image.fork();
                    crashed.cut_power_at(call);
                    let opened =
                        Db::open_in(Arc::new(crashed.clone()), options(Durability::Immediate));
                    drop(opened);
                    for left in crashed.survivors(call, 3) {
                        check(
                            &left.fork(),
                            &promised,
                            &format!("{name}, depth {depth}, call {call}"),
                        );
                        states += 1;
                        image = left;
                    }
                }
            }
        }
    }
    println!("{states} crash states of recovery");
    assert!(states >= 2_000, "only {states}");
}

/// The crash states of one workload.
pub fn explore_one(workload: &str, durability: Durability) {
    let found = workloads().into_iter().find(|(name, _)| *name == workload);
    let (name, steps) = found.expect("a workload of that name");
    explore(name, &steps, durability, 24);
}
