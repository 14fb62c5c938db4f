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

/// Items of eight kinds of which users have met the first half; what came after that looks a little
/// different, and goes with the kinds all the same.
fn half_met() -> Db {
    let schema = Schema::new().space("kind", 16, Metric::Cosine).event("view");
    let (db, mut dice) = (Db::in_memory(schema).unwrap(), Dice::new(4, 1));
    let mut batch = db.batch();
    for item in 0..400u64 {
        let mut kind = numbers(&mut dice, 16);
        kind.iter_mut().for_each(|x| *x *= 0.4);
        kind[(item % 8) as usize] += 2.0;
        kind[15] += if item < 200 { 0.0 } else { 1.0 };
        batch.put(Item::new(item).vector("kind", kind));
    }
    for user in 0..200u64 {
        for step in 0..8 {
            let item = user % 8 + 8 * dice.below(25) as u64;
            batch.event(Event::new(user, item, "view", Timestamp(step)));
        }
    }
    batch.commit().unwrap();
    db
}

fn of_half(negatives: usize) -> TwoTower {
    TwoTower { query: None, negatives, ..TwoTower { parts: vec!["kind".into()], ..options() } }
}

/// Goal: others are drawn among what somebody has met, before the last items were held out; among all
/// only where fewer are met than a lesson is to be told apart from.
#[test]
fn others_are_those_that_somebody_has_met() {
    let db = half_met();
    let snapshot = db.snapshot();
    let (train, _) = Sequences::read(&snapshot, &Reading::default()).unwrap().hold_out_last();
    let read = |options: &TwoTower, sequences: &Sequences| {
        let shape = options.shape(&snapshot).unwrap();
        let lessons = Lessons::read(options, &shape, &snapshot, sequences, &[]).unwrap();
        (shape, lessons)
    };
    let options = of_half(32);
    let (shape, lessons) = read(&options, &train);
    let mut met: Vec<u32> = lessons.histories.concat();
    met.sort_unstable();
    met.dedup();
    assert!(met.len() > 100 && *met.last().unwrap() < 200, "{} are met", met.len());
    assert_eq!(lessons.others, met);
    let mut fit = Fit::new(&options, &shape, &lessons, (7, 0.0));
    let mut drawn = vec![false; 400];
    for _ in 0..100 {
        let (_, items) = fit.batch(&lessons.lessons[..5]);
        items[5..].iter().for_each(|item| drawn[*item as usize] = true);
    }
    let drawn: Vec<u32> = (0..400).filter(|item| drawn[*item as usize]).collect();
    assert_eq!(drawn, met, "all of them, and no other");
    let few = Sequences::new([(1, (0..20).map(|at| (Key::Id(at), at as i64)).collect())]).unwrap();
    assert_eq!(read(&options, &few).1.others.len(), 400, "too few are met");
    assert_eq!(read(&of_half(20), &few).1.others.len(), 20);
}

/// How many of the 20 items nearest to each of 40 users are new, and how many of the user's kind.
fn nearest(db: &Db, options: &TwoTower) -> (usize, usize) {
    let snapshot = db.snapshot();
    let sequences = Sequences::read(&snapshot, &Reading::default()).unwrap();
    let towers = options.train(&snapshot, &sequences, &[], &mut Training::new(7)).unwrap();
    let (mut new, mut right) = (0, 0);
    for user in 0..40 {
        let history = sequences.items(user).iter();
        let history = history.map(|code| sequences.vocabulary().key(*code));
        let items: Vec<Item> = history.map(|key| snapshot.get(key).unwrap().unwrap()).collect();
        let asked = towers.user(&items).unwrap().unwrap();
        let mut near: Vec<(f32, u64)> = Vec::new();
        for (key, vector) in towers.items(&snapshot).unwrap() {
            let Key::Id(id) = key else { continue };
            near.push((vector.iter().zip(&asked).map(|(a, b)| a * b).sum(), id));
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        new += near[..20].iter().filter(|(_, id)| *id >= 200).count();
        right += near[..20].iter().filter(|(_, id)| id % 8 == sequences.user(user) % 8).count();
    }
    (new, right)
}

/// Goal: items that came before training and that nobody has met are not learned to be wrong.
/// Method: half of what fits a user is new, and much of what is nearest must be; beside it drawing among all
/// items, as it was and as it is where too few are met, which hides what is new.
#[test]
fn new_items_are_not_learned_to_be_wrong() {
    let db = half_met();
    let (new, right) = nearest(&db, &of_half(32));
    let (hidden, _) = nearest(&db, &of_half(201));
    println!("{right} of 800 are of the user's kind; {new} are new, {hidden} of all drawn");
    assert!(right > 40 * 17, "{right} of 800 are of the user's kind");
    assert!(new > 40 * 5 && new > 2 * hidden, "{new} of 800 are new, {hidden} of all drawn");
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
