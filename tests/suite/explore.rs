//! Exploring: regret, propensities that are true, slates that a replay repeats.

use crate::oracle::Dice;
use bowerbird::{recommend::*, *};
use std::collections::BTreeMap;

/// Finds whatever is allowed.
struct Everything;

impl Retrieve for Everything {
    fn name(&self) -> String {
        "Everything".into()
    }

    fn retrieve(&self, _: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        allowed.iter().for_each(|addr| found.push(addr, 0.0));
        Ok(())
    }
}

/// Items with a taste and a rate of clicks that is linear in it.
pub fn shop(arms: u64, dice: &mut Dice) -> (Db, Vec<f64>) {
    let schema =
        Schema::new().space("taste", 4, Metric::Dot).event("shown").event("click").event("buy");
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    let mut rates = Vec::new();
    for key in 0..arms {
        let taste: Vec<f32> = (0..4).map(|_| dice.roll(1000) as f32 / 1000.0 - 0.5).collect();
        rates.push(0.25 + 0.5 * f64::from(taste[0]) * 0.8 + 0.1 * f64::from(taste[1]));
        batch.put(Item::new(key).vector("taste", taste));
    }
    batch.commit().unwrap();
    (db, rates)
}

pub fn exploring(bandit: impl Bandit + 'static, places: usize) -> Recommender {
    let explore = Explore::unshown(["shown"], u64::MAX, places).bandit(bandit).among(1000);
    Recommender::new().retrieve(Everything).select(explore)
}

pub fn clicks() -> Rewards {
    Rewards::new(["click"], ["shown"])
}

/// Shows one item at a time, twenty before what came of them is written; what was lost on the best.
fn regret(seed: u64, bandit: impl Bandit + 'static) -> f64 {
    let mut dice = Dice(seed);
    let (db, rates) = shop(15, &mut dice);
    let best = rates.iter().copied().fold(0.0, f64::max);
    let (recommender, mut lost) = (exploring(bandit, 1), 0.0);
    for round in 0..300u64 {
        let (snapshot, mut batch) = (db.snapshot(), db.batch());
        for ask in 0..20u64 {
            let id = round * 20 + ask;
            let request = Request::new(1, Timestamp(id as i64)).user(id).id(id).seed(seed);
            let slate = recommender.run(&snapshot, &request).unwrap();
            for event in slate.impressions("shown", &request).unwrap() {
                batch.event(event);
            }
            let Key::Id(key) = slate.items[0].key else { unreachable!("keys are numbers") };
            lost += best - rates[key as usize];
            if (dice.roll(1_000_000) as f64) < rates[key as usize] * 1e6 {
                batch.event(Event::new(id, key, "click", request.now).request(id));
            }
        }
        batch.commit().unwrap();
    }
    lost
}

/// Goal: Thompson sampling and LinUCB lose less than epsilon-greedy does.
/// Method: fifteen simulated arms, 6,000 impressions, four worlds, through a database.
#[test]
fn thompson_and_linucb_regret_less_than_epsilon_greedy() {
    let (mut greedy, mut thompson, mut linear) = (0.0, 0.0, 0.0);
    for seed in 1..=4 {
        greedy += regret(seed, EpsilonGreedy::new(0.1, clicks()));
        thompson += regret(seed, Thompson::new(clicks()).draws(20));
        linear += regret(seed, LinUcb::new("taste", clicks()).alpha(0.5));
    }
    println!("regret of 24,000: greedy {greedy:.0}, Thompson {thompson:.0}, LinUCB {linear:.0}");
    assert!(thompson < 0.9 * greedy, "{thompson} {greedy}");
    assert!(linear < 0.9 * greedy, "{linear} {greedy}");
}

/// A shop where things have been shown and clicked.
pub fn shown(arms: u64, seed: u64) -> Db {
    let mut dice = Dice(seed);
    let (db, rates) = shop(arms, &mut dice);
    let mut batch = db.batch();
    for at in 0..arms * 8 {
        let key = dice.roll(arms);
        batch.event(Event::new(at, key, "shown", Timestamp(at as i64)));
        if (dice.roll(1000) as f64) < rates[key as usize] * 1000.0 {
            batch.event(Event::new(at, key, "click", Timestamp(at as i64)));
        }
    }
    batch.commit().unwrap();
    db
}

fn now() -> Timestamp {
    Timestamp(1_000_000)
}

/// Goal: an item is shown at a position as often as its propensity there says.
/// Method: the same question under many seeds. A fair propensity is constant where it is exact, and is
/// right on average where it is estimated; in both cases the mean of one over it, over all seeds, is 1
/// for each item and position.
#[test]
fn propensities_are_true() {
    let db = shown(8, 3);
    let some = |share: f64| {
        let bandit = EpsilonGreedy::new(0.4, clicks());
        let explore = Explore::unshown(["shown"], u64::MAX, 2).bandit(bandit).share(share);
        Recommender::new().retrieve(Everything).select(explore)
    };
    let policies: Vec<(&str, bool, Recommender)> = vec![
        ("greedy", true, exploring(EpsilonGreedy::new(0.5, clicks()), 3)),
        ("half of the time", true, some(0.5)),
        ("thompson", false, exploring(Thompson::new(clicks()).draws(200), 2)),
    ];
    for (name, exact, policy) in policies {
        let mut seen: BTreeMap<(usize, Key), (f64, f64, f32)> = BTreeMap::new();
        let runs = 4000;
        for seed in 0..runs {
            let request = Request::new(4, now()).seed(seed);
            let slate = policy.run(&db.snapshot(), &request).unwrap();
            assert_eq!(slate.items.len(), 4);
            for (at, item) in slate.items.iter().enumerate() {
                let entry =
                    seen.entry((at, item.key.clone())).or_insert((0.0, 0.0, item.propensity));
                entry.0 += 1.0;
                entry.1 += 1.0 / f64::from(item.propensity);
                assert!(!exact || entry.2 == item.propensity, "{name}");
            }
        }
        let runs = runs as f64;
        for ((at, key), (count, inverse, p)) in seen {
            let p = f64::from(p).min(1.0);
            if exact {
                let wide = 4.5 * (p * (1.0 - p) * runs).sqrt() + 1e-3;
                assert!((count - p * runs).abs() <= wide, "{name} {at} {key}: {count} of {p}");
            } else if count > 100.0 {
                let often = count / runs;
                let wide = 4.5 * ((1.0 - often) / often / runs).sqrt() + 0.01;
                assert!((inverse / runs - 1.0).abs() < wide, "{name} {at} {key}: {inverse}");
            }
        }
    }
}

// checks: V9
/// Goal: asking again gives the same slate; another request under the same seed draws anew.
#[test]
fn lots_are_drawn_from_the_request() {
    let db = shown(12, 5);
    let (policy, snapshot) = (exploring(EpsilonGreedy::new(1.0, clicks()), 3), db.snapshot());
    let ask = |request: &Request| {
        let slate = policy.run(&snapshot, request).unwrap();
        slate.items.into_iter().map(|item| (item.key, item.propensity)).collect::<Vec<_>>()
    };
    let request = Request::new(5, now()).user(1).seed(9);
    assert_eq!(ask(&request), ask(&request));
    let others = [request.clone().user(2), request.clone().id(4), request.clone().seed(10)];
    assert!(others.iter().any(|other| ask(other) != ask(&request)));
    let mut later = request.clone();
    later.now = now().plus(ms(1));
    let all: Vec<u64> = others.iter().chain([&request, &later]).map(Request::lots).collect();
    assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])), "{all:?}");
}

/// Goal: bandits learn nothing that was not known at the time of the request.
#[test]
fn bandits_do_not_see_the_future() {
    let past = shown(10, 4);
    let whole = shown(10, 4);
    let mut batch = whole.batch();
    for user in 0..300 {
        batch.event(Event::new(user, 7u64, "click", now().plus(ms(5))));
        batch.event(Event::new(user, 6u64, "shown", now()).recorded(now().plus(ms(5))));
    }
    batch.commit().unwrap();
    let bandits: Vec<(Recommender, Recommender)> = vec![
        (
            exploring(EpsilonGreedy::new(0.2, clicks()), 2),
            exploring(EpsilonGreedy::new(0.2, clicks()), 2),
        ),
        (exploring(Thompson::new(clicks()), 2), exploring(Thompson::new(clicks()), 2)),
        (
            exploring(LinUcb::new("taste", clicks()), 2),
            exploring(LinUcb::new("taste", clicks()), 2),
        ),
    ];
    for (one, other) in bandits {
        for seed in 0..10 {
            let request = Request::new(4, now()).seed(seed);
            let a = one.run(&past.snapshot(), &request).unwrap();
            let b = other.run(&whole.snapshot(), &request).unwrap();
            let keys = |slate: &Slate| -> Vec<(Key, f32)> {
                slate.items.iter().map(|item| (item.key.clone(), item.propensity)).collect()
            };
            assert_eq!(keys(&a), keys(&b));
        }
    }
}

/// Goal: only items that have hardly been shown are explored, and settings that cannot be are refused.
#[test]
fn arms_are_new_items_and_settings_are_checked() {
    let db = shown(10, 6);
    db.batch().put(Item::new(50u64)).put(Item::new(51u64)).commit().unwrap();
    let snapshot = db.snapshot();
    let run = |explore: Explore, limit: usize| {
        let recommender = Recommender::new().retrieve(Everything).select(explore);
        recommender.run(&snapshot, &Request::new(limit, now()))
    };
    let keys = |slate: Slate| -> Vec<Key> { slate.items.into_iter().map(|i| i.key).collect() };
    let new = || Explore::unshown(["shown"], 1, 3);
    let slate = keys(run(new().bandit(Thompson::new(clicks())), 5).unwrap());
    assert!(slate.contains(&Key::Id(50)) && slate.contains(&Key::Id(51)) && slate.len() == 5);
    // More places than the slate has: it is all new items.
    assert_eq!(keys(run(new(), 1).unwrap()), [Key::Id(50)]);
    for wrong in [
        new().share(1.5),
        new().share(f64::NAN),
        new().among(0),
        new().among(1001),
        Explore::unshown(["shown"], 1, 101),
        Explore::unshown(["nothing"], 1, 1),
        new().bandit(EpsilonGreedy::new(-0.1, clicks())),
        new().bandit(EpsilonGreedy::new(f64::NAN, clicks())),
        new().bandit(Thompson::new(clicks()).draws(0)),
        new().bandit(Thompson::new(clicks().prior(0.0, 1.0))),
        new().bandit(Thompson::new(clicks().prior(1.0, f64::INFINITY))),
        new().bandit(Thompson::new(Rewards::new([], ["shown"]))),
        new().bandit(LinUcb::new("taste", clicks()).alpha(f64::NAN)),
        new().bandit(LinUcb::new("taste", clicks()).ridge(0.0)),
        new().bandit(LinUcb::new("nowhere", clicks())),
    ] {
        let name = format!("{wrong:?}");
        assert!(run(wrong, 5).is_err(), "{name}");
    }
}

/// Goal: LinUCB refuses spaces whose squares would cost too much, and takes the largest it may.
#[test]
fn linucb_takes_at_most_64_numbers() {
    for (dim, good) in [(64, true), (65, false)] {
        let schema = Schema::new().space("v", dim, Metric::Dot).event("shown").event("click");
        let db = Db::in_memory(schema).unwrap();
        let item = Item::new(1u64).vector("v", vec![0.1; dim as usize]);
        db.batch().put(item).event(Event::new(1, 1u64, "shown", Timestamp(0))).commit().unwrap();
        let policy = exploring(LinUcb::new("v", clicks()), 1);
        assert_eq!(policy.run(&db.snapshot(), &Request::new(1, now())).is_ok(), good);
    }
}

/// Goal: a bandit of somebody else's that breaks the law is an error, not a slate.
#[test]
fn a_bandit_that_deals_nonsense_is_refused() {
    struct Wild(Deal);
    impl Bandit for Wild {
        fn name(&self) -> String {
            "Wild".into()
        }
        fn deal(&self, _: &Context<'_>, _: &[Arm], _: usize) -> Result<Deal> {
            Ok(self.0.clone())
        }
    }
    let db = shown(3, 1);
    for deal in [
        Deal::new(vec![0, 0], vec![0.5; 6]),
        Deal::new(vec![0], vec![1.0; 6]),
        Deal::new(vec![0, 3], vec![0.5; 6]),
        Deal::new(vec![0, 1], vec![0.5; 5]),
        Deal::new(vec![0, 1], vec![0.0; 6]),
        Deal::new(vec![0, 1], vec![f32::NAN; 6]),
        Deal::new(vec![0, 1], vec![2.0; 6]),
    ] {
        let asked = exploring(Wild(deal.clone()), 2).run(&db.snapshot(), &Request::new(3, now()));
        assert!(asked.is_err(), "{deal:?}");
    }
}

/// Finds some keys, under a name.
struct Some(&'static str, std::ops::Range<u64>);

impl Retrieve for Some {
    fn name(&self) -> String {
        self.0.into()
    }

    fn retrieve(&self, cx: &Context<'_>, _: &Allowed, found: &mut Found<'_>) -> Result<()> {
        for key in self.1.clone() {
            if let Option::Some(addr) = cx.snapshot.find(&Key::Id(key))? {
                found.push(addr, 0.0);
            }
        }
        Ok(())
    }
}

/// Scores by key.
pub(crate) struct Known(pub(crate) &'static [f32]);

impl Score for Known {
    fn name(&self) -> String {
        "Known".into()
    }

    fn score(&self, _: &Context<'_>, them: &Candidates, scores: &mut [f32]) -> Result<()> {
        for (key, score) in them.keys().iter().zip(scores) {
            let Key::Id(id) = key else { continue };
            *score = self.0[*id as usize];
        }
        Ok(())
    }
}

/// Goal: a margin gives as many places as items come near enough to those that they push out, the first
/// beside the last. Method: a table; the old items are 10 to 6, the new 5.5, 5 and 4.
#[test]
fn a_margin_gives_places_to_what_comes_near_enough() {
    let db = shop(8, &mut Dice(7)).0;
    let slate_of = |scores: &'static [f32], margin: f32, limit: usize| {
        let recommender = Recommender::new()
            .retrieve(Some("Old", 0..5))
            .retrieve(Some("New", 5..8))
            .score(Known(scores))
            .select(Explore::new("New", 3).within(margin));
        let slate = recommender.run(&db.snapshot(), &Request::new(limit, Timestamp(0)))?;
        let keys = slate.items.iter().map(|item| item.key.to_string().parse::<u64>().unwrap());
        Ok::<Vec<u64>, Error>(keys.collect())
    };
    let slate = |margin: f32, limit: usize| {
        slate_of(&[10.0, 9.0, 8.0, 7.0, 6.0, 5.5, 5.0, 4.0], margin, limit)
    };
    for (margin, want) in [
        (f32::NEG_INFINITY, vec![0, 1, 2, 3, 4]),
        (0.4, vec![0, 1, 2, 3, 4]),
        (0.5, vec![0, 1, 2, 3, 5]),
        (1.9, vec![0, 1, 2, 3, 5]),
        (2.0, vec![0, 1, 2, 5, 6]),
        (3.9, vec![0, 1, 2, 5, 6]),
        (4.0, vec![0, 1, 5, 6, 7]),
        (f32::INFINITY, vec![0, 1, 5, 6, 7]),
    ] {
        assert_eq!(slate(margin, 5).unwrap(), want, "{margin}");
    }
    // One that has a place by its own score pushes nobody out, and the next is held against the last
    // of the others.
    let good =
        |margin: f32| slate_of(&[10.0, 9.0, 8.0, 7.0, 6.0, 6.5, 5.0, 4.0], margin, 5).unwrap();
    assert_eq!(good(f32::NEG_INFINITY), [0, 1, 2, 3, 5]);
    assert_eq!(good(1.9), [0, 1, 2, 3, 5]);
    assert_eq!(good(2.0), [0, 1, 2, 5, 6]);
    // Where there is room for all, nobody is pushed out.
    assert_eq!(slate(f32::NEG_INFINITY, 10).unwrap().len(), 8);
    assert!(matches!(slate(f32::NAN, 5), Err(Error::Invalid { .. })));
}

/// Goal: with a bandit, too, what gets a place comes near enough to what loses it, and is shown at its
/// position as often as its propensity says; so are the others.
/// Method: the new items of a table under many seeds. The slate is 10, 9, 8 without them, and one of the
/// new has the last place by its own score.
#[test]
fn a_bandit_keeps_within_the_margin_and_its_propensities_are_true() {
    let db = shop(8, &mut Dice(7)).0;
    // Keys, margin, and the new items that may be shown.
    type Case = (&'static [f32], f32, &'static [u64]);
    let cases: [Case; 4] = [
        (&[10.0, 9.0, 8.0, 7.7, 7.6, 1.0, 0.5, 7.5], 0.6, &[3, 4, 7]),
        (&[10.0, 9.0, 3.0, 8.0, 7.5, 7.8, 2.0, 1.0], 0.4, &[3, 5]),
        (&[10.0, 9.0, 8.0, 8.8, 8.7, 8.6, 8.5, 1.0], 0.5, &[3, 4, 5, 6]),
        (&[10.0, 9.0, 8.0, 5.0, 4.0, 3.0, 2.0, 1.0], 0.5, &[]),
    ];
    for (scores, margin, may) in cases {
        let bandit = EpsilonGreedy::new(0.5, clicks());
        for share in [1.0, 0.5] {
            let explore = Explore::new("New", 2).within(margin).share(share);
            let policy = Recommender::new()
                .retrieve(Some("Old", 0..3))
                .retrieve(Some("New", 3..8))
                .score(Known(scores))
                .select(explore.bandit(bandit.clone()));
            let (mut seen, runs) = (BTreeMap::<(usize, u64), (f64, f32)>::new(), 4000);
            for seed in 0..runs {
                let request = Request::new(3, now()).seed(seed);
                let slate = policy.run(&db.snapshot(), &request).unwrap();
                assert_eq!(slate.items.len(), 3);
                for (at, item) in slate.items.iter().enumerate() {
                    let Key::Id(id) = item.key else { unreachable!("keys are numbers") };
                    assert!(id < 3 || may.contains(&id), "{margin}: {id}");
                    let entry = seen.entry((at, id)).or_insert((0.0, item.propensity));
                    entry.0 += 1.0;
                    assert_eq!(entry.1, item.propensity, "{margin} {share} {at} {id}");
                }
            }
            assert!(may.iter().all(|id| seen.keys().any(|key| key.1 == *id)), "{margin}");
            for ((at, id), (count, p)) in seen {
                let (p, runs) = (f64::from(p), runs as f64);
                let wide = 4.5 * (p * (1.0 - p).max(0.0) * runs).sqrt() + 1e-3;
                assert!((count - p * runs).abs() <= wide, "{margin} {at} {id}: {count} of {p}");
            }
        }
    }
}
