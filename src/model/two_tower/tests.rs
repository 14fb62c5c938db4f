//! Gradients are those of the loss; what is planted is found; what is saved is read.

use super::{
    batch::{Batch, Through},
    shape::{Input, Shape},
    *,
};
use crate::{
    Artifact, Db, Event, Item, Metric, Provenance, Schema, Timestamp,
    artifact::{Opened, Saved},
    model::{Reading, train::dice::Dice},
    recommend::{NearBoosted, Recommender, Request},
};

fn shape(hidden: u32) -> Shape {
    Shape { parts: vec![("a".into(), 3), ("b".into(), 2)], query: 4, hidden, dim: 3 }
}

fn numbers(dice: &mut Dice, count: usize) -> Vec<f32> {
    (0..count).map(|_| dice.normal()).collect()
}

/// Goal: hand-written gradients are those of finite differences, in every tower, of what stands for
/// missing parts, with and without a hidden layer, where some items do not count.
#[test]
fn gradients_are_those_of_finite_differences() {
    for hidden in [0, 6] {
        let (shape, mut dice) = (shape(hidden), Dice::new(5, 1));
        let theta: Vec<f32> = numbers(&mut dice, shape.size()).iter().map(|x| x * 0.5).collect();
        let inputs: Vec<Input> = (0..7)
            .map(|at| Input {
                numbers: numbers(&mut dice, 5),
                there: vec![at % 3 != 0, at % 2 == 0 || at % 3 == 0],
            })
            .collect();
        let (users, queries) = (numbers(&mut dice, 2 * 5), numbers(&mut dice, 3 * 4));
        let batch = Batch { users, queries, items: inputs.iter().collect() };
        let counts: Vec<bool> = (0..5 * 7).map(|at| at / 7 == at % 7 || at % 4 != 0).collect();
        let log_q: Vec<f32> = (0..7).map(|at| -(at as f32) / 3.0).collect();
        let slope = |theta: &[f32]| Through::new(&shape, theta, &batch).slope(&counts, &log_q, 0.5);
        let (_, grad) = slope(&theta);
        assert!(grad[shape.of_missing()].iter().all(|x| *x != 0.0));
        for at in 0..theta.len() {
            let moved = |by: f32| {
                let mut theta = theta.clone();
                theta[at] += by;
                slope(&theta).0 / 5.0
            };
            let got = f64::from(grad[at]);
            // A long step may cross the kink of a ReLU, and a short one is lost in rounding.
            let apart = |by: f32| {
                let want = (moved(by) - moved(-by)) / (2.0 * f64::from(by));
                (got - want).abs() / (0.1 + want.abs())
            };
            let apart = [2e-3, 5e-4].map(apart);
            assert!(apart[0].min(apart[1]) < 0.02, "{hidden}, number {at}: {got}, {apart:?}");
        }
    }
}

/// Items of eight kinds, which are known by one part only, turned at random in the other; users see
/// items of one kind; queries name the kind.
fn planted() -> (Db, Vec<(Vec<f32>, Key)>) {
    let schema = Schema::new()
        .space("kind", 16, Metric::Cosine)
        .space("noise", 16, Metric::Cosine)
        .space("towers", 8, Metric::Dot)
        .space("words", 8, Metric::Cosine)
        .event("view");
    let (db, mut dice) = (Db::in_memory(schema).unwrap(), Dice::new(3, 1));
    let (mut batch, mut queries) = (db.batch(), Vec::new());
    // Half of what tells kinds apart is not at all where it seems: pairs of numbers are added up.
    for item in 0..400u64 {
        let mut kind = numbers(&mut dice, 16);
        kind.iter_mut().for_each(|x| *x *= 0.4);
        kind[(item % 8) as usize] += 2.0;
        let mut put = Item::new(item).vector("noise", numbers(&mut dice, 16));
        if item % 20 != 19 {
            put = put.vector("kind", kind);
        }
        batch.put(put);
        let mut words = numbers(&mut dice, 8);
        words.iter_mut().for_each(|x| *x *= 0.3);
        words[(item * 3 % 8) as usize] += 2.0;
        queries.push((words, Key::Id(item)));
    }
    for user in 0..200u64 {
        for step in 0..8 {
            let item = user % 8 + 8 * dice.below(50) as u64;
            batch.event(Event::new(user, item, "view", Timestamp(step)));
        }
    }
    batch.commit().unwrap();
    (db, queries)
}

fn options() -> TwoTower {
    let (query, epochs, batch) = (Some("words".into()), 30, 64);
    TwoTower {
        dim: 8,
        hidden: 32,
        query,
        epochs,
        batch,
        pool: 64,
        negatives: 32,
        ..TwoTower::of(["kind", "noise"])
    }
}

fn train(db: &Db, queries: &[(Vec<f32>, Key)], seed: u64) -> Towers {
    let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
    options().train(&db.snapshot(), &sequences, queries, &mut Training::new(seed)).unwrap()
}

/// Goal: a planted structure is learned by all three towers, of items never seen in an event, too;
/// and the towers work in a recommender.
#[test]
fn what_is_planted_is_found() {
    let (db, queries) = planted();
    let towers = train(&db, &queries[..350], 7);
    let again = train(&db, &queries[..350], 7);
    assert!(towers.theta == again.theta, "not the same again");
    let first = towers.curve()[0].0;
    assert!(towers.curve().last().unwrap().0 < first - 0.3, "{:?}", towers.curve());
    let snapshot = db.snapshot();
    let mut batch = db.batch();
    for (key, vector) in towers.items(&snapshot).unwrap() {
        let item = snapshot.get(&key).unwrap().unwrap();
        assert_eq!(towers.item(&item).unwrap().unwrap().len(), 8);
        batch.put(item.vector("towers", vector));
    }
    batch.commit().unwrap();
    let version = db.publish("towers", &towers, towers.provenance(snapshot.seq())).unwrap();
    db.activate("towers", version).unwrap();
    let snapshot = db.snapshot();
    let share = |kind: u64, keys: Vec<Key>| {
        let of_kind = |key: &&Key| matches!(key, Key::Id(id) if id % 8 == kind);
        keys.iter().filter(of_kind).count() as f64 / keys.len() as f64
    };
    let ask = |by_query: bool, request: &Request| -> Vec<Key> {
        let near = NearBoosted::new(10).near("towers", 1.0);
        let recommender = match by_query {
            true => Recommender::new().summarize(TowerQuery::by("towers", "towers")),
            false => Recommender::new().summarize(TowerUser::by("towers", "towers")),
        };
        let slate = recommender.retrieve(near).run(&snapshot, request).unwrap();
        assert_eq!(slate.items.len(), 10);
        slate.items.into_iter().map(|item| item.key).collect()
    };
    let (mut of_users, mut of_queries) = (0.0, 0.0);
    for user in 0..40 {
        of_users += share(user % 8, ask(false, &Request::new(10, Timestamp(99)).user(user))) / 40.0;
    }
    for (words, key) in &queries[350..390] {
        let Key::Id(id) = key else { continue };
        let request = Request::new(10, Timestamp(99)).query("words", words.clone());
        of_queries += share(id % 8, ask(true, &request)) / 40.0;
    }
    assert!(of_users > 0.85 && of_queries > 0.85, "{of_users} {of_queries}");
}

/// Goal: towers come back from a file as they were; damaged and forged ones are errors.
#[test]
fn towers_are_read_as_saved_and_forged_ones_refused() {
    let (db, queries) = planted();
    let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
    let options = TwoTower { epochs: 1, ..options() };
    let how = &mut Training::new(1);
    let towers = options.train(&db.snapshot(), &sequences, &queries, how).unwrap();
    db.publish("towers", &towers, Provenance::default()).unwrap();
    let back: Towers = db.snapshot().artifact_version("towers", 1).unwrap();
    assert!(back.head == towers.head && back.theta == towers.theta);
    let forged = |name: &str, change: &dyn Fn(&mut Towers)| {
        let mut forged = towers.clone();
        change(&mut forged);
        db.publish(name, &forged, Provenance::default()).unwrap();
        assert!(db.snapshot().artifact_version::<Towers>(name, 1).is_err(), "{name}");
    };
    forged("dim", &|towers| towers.head.shape.dim = 0);
    forged("huge", &|towers| towers.head.shape.dim = u32::MAX);
    forged("hidden", &|towers| towers.head.shape.hidden = u32::MAX);
    forged("parts", &|towers| towers.head.shape.parts.clear());
    forged("part", &|towers| towers.head.shape.parts[0].1 = 7);
    forged("query", &|towers| towers.head.query = None);
    forged("decay", &|towers| towers.head.decay = f32::NAN);
    forged("short", &|towers| towers.theta.truncate(9));
    forged("nan", &|towers| towers.theta[3] = f32::NAN);
    struct Bytes(Vec<u8>);
    impl Artifact for Bytes {
        const KIND: &'static str = "two-tower";
        const FORMAT: u16 = 1;
        fn save(&self, out: &mut Saved) -> Result<()> {
            out.section(0, &self.0)?;
            out.section(1, &self.0)
        }
        fn open(_: &Opened) -> Result<Bytes> {
            Ok(Bytes(Vec::new()))
        }
    }
    let mut dice = Dice::new(1, 2);
    for at in 0..50 {
        let bytes = (0..dice.below(200)).map(|_| dice.number() as u8).collect();
        let name = format!("bytes-{at}");
        db.publish(&name, &Bytes(bytes), Provenance::default()).unwrap();
        assert!(db.snapshot().artifact_version::<Towers>(&name, 1).is_err());
    }
    let mut large = towers.clone();
    large.theta.fill(f32::MAX);
    let (_, vector) = &large.items(&db.snapshot()).unwrap()[0];
    assert!(vector.iter().all(|x| x.is_finite()));
}

/// Goal: what cannot be is refused with a reason.
#[test]
fn options_and_queries_that_do_not_fit_are_refused() {
    let (db, queries) = planted();
    let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
    let try_with = |options: TwoTower, queries: &[(Vec<f32>, Key)]| {
        options.train(&db.snapshot(), &sequences, queries, &mut Training::new(1))
    };
    for bad in [
        TwoTower { dim: 0, ..options() },
        TwoTower { epochs: 0, ..options() },
        TwoTower { hard: f32::NAN, ..options() },
        TwoTower { temperature: 0.0, ..options() },
        TwoTower { parts: Vec::new(), ..options() },
        TwoTower { parts: vec!["none".into()], ..options() },
        TwoTower { query: Some("none".into()), ..options() },
    ] {
        assert!(try_with(bad.clone(), &[]).is_err(), "{bad:?}");
    }
    assert!(try_with(TwoTower { query: None, ..options() }, &queries).is_err());
    for bad in [vec![1.0; 3], vec![0.0; 8], vec![f32::NAN; 8]] {
        assert!(try_with(options(), &[(bad, Key::Id(1))]).is_err());
    }
    let none = Sequences::new([]).unwrap();
    let how = &mut Training::new(1);
    assert!(options().train(&db.snapshot(), &none, &[], how).is_err());
}
