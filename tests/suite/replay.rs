//! Replay: the figures against brute force, and the future that must not leak.

use crate::oracle::Dice;
use bowerbird::{
    recommend::{replay::*, *},
    *,
};
use std::collections::BTreeSet;

const CUT: i64 = 600;

/// Users who walk around a ring of items, with some chance; `until` leaves out what comes later.
fn filled(seed: u64, until: i64) -> Db {
    let db = Db::in_memory(Schema::new().space("v", 2, Metric::Cosine).event("view")).unwrap();
    let mut batch = db.batch();
    for key in 0..30u64 {
        let angle = key as f32 / 30.0 * std::f32::consts::TAU;
        batch.put(Item::new(key).vector("v", [angle.cos(), angle.sin()]));
    }
    let mut dice = Dice(seed);
    for user in 0..40 {
        let mut place = dice.roll(30);
        for step in 0..20 {
            place = (place + dice.roll(4)) % 30;
            let at = step * 50 + dice.roll(40) as i64;
            let recorded = at + dice.roll(30) as i64;
            if recorded <= until {
                let event = Event::new(user, place, "view", Timestamp(at));
                batch.event(event.recorded(Timestamp(recorded)));
            }
        }
    }
    batch.commit().unwrap();
    db
}

fn recommenders() -> Vec<Recommender> {
    vec![
        Recommender::new().filter(Seen::new([])).retrieve(Popular::ever(["view"], 30)),
        Recommender::new().filter(Seen::new([])).retrieve(Popular::new(["view"], ms(100), 30)),
        Recommender::new().filter(Seen::new([])).retrieve(CoVisited::new(["view"], 30)),
        Recommender::new()
            .summarize(Decayed::new("v", ms(100)))
            .filter(Seen::new([]))
            .retrieve(NearInterests::new("v", 30))
            .retrieve(CoVisited::new(["view"], 30))
            .score(Rrf::default())
            .select(Diverse::new("v", 0.1)),
    ]
}

/// Goal: nothing that happened, or became known, after the cut changes an answer as of the cut.
/// Method: compare every slate with that of a database that never saw the future.
#[test]
fn the_future_does_not_leak_into_the_past() {
    for seed in 0..5 {
        let (whole, past) = (filled(seed, i64::MAX), filled(seed, CUT));
        for made in recommenders() {
            for user in 0..40 {
                let request = Request::new(10, Timestamp(CUT)).user(user);
                let ask = |db: &Db| made.run(&db.snapshot(), &request).unwrap().items;
                let plain = |items: Vec<Recommended>| -> Vec<(Key, f32)> {
                    items.into_iter().map(|item| (item.key, item.score)).collect()
                };
                assert_eq!(
                    plain(ask(&whole)),
                    plain(ask(&past)),
                    "seed {seed}, {made:?}, user {user}"
                );
            }
        }
    }
}

/// Goal: the figures are the means over users of what the slates came to.
#[test]
fn figures_agree_with_counting_by_hand() {
    let db = filled(9, i64::MAX);
    let snapshot = db.snapshot();
    for made in recommenders() {
        let replay = Replay::new(Split::At(Timestamp(CUT)), ["view"], 5);
        let report = replay.run(&snapshot, &made, &mut Progress::silent()).unwrap();
        let (mut users, mut hits, mut recall, mut seen) = (0, 0, 0.0, BTreeSet::new());
        for user in snapshot.users().unwrap() {
            let all = snapshot.history(user, &HistoryQuery::default()).unwrap().deeds;
            let query = HistoryQuery::default().as_of(Timestamp(CUT));
            let known: BTreeSet<Key> =
                snapshot.history(user, &query).unwrap().deeds.into_iter().map(|d| d.item).collect();
            let after: BTreeSet<Key> = all
                .into_iter()
                .filter(|deed| deed.at.0 > CUT && !known.contains(&deed.item))
                .map(|deed| deed.item)
                .collect();
            if after.is_empty() || known.is_empty() {
                continue;
            }
            let slate = made.run(&snapshot, &Request::new(5, Timestamp(CUT)).user(user.0)).unwrap();
            let right = slate.items.iter().filter(|item| after.contains(&item.key)).count();
            users += 1;
            hits += usize::from(right > 0);
            recall += right as f64 / after.len() as f64;
            seen.extend(slate.items.into_iter().map(|item| item.key));
        }
        assert_eq!(report.users, users);
        assert!((report.hit_rate - hits as f64 / users as f64).abs() < 1e-12, "{report}");
        assert!((report.recall - recall / users as f64).abs() < 1e-12);
        assert!((report.coverage - seen.len() as f64 / 30.0).abs() < 1e-12);
        assert!(report.hit_rate > 0.0 && report.ndcg <= report.hit_rate, "{report}");
    }
    let last = Replay::new(Split::LastOut, ["view"], 5).repeats(true);
    let report = last.run(&snapshot, &recommenders()[2], &mut Progress::silent()).unwrap();
    assert_eq!(report.users, 40);
    let stop = last.run(&snapshot, &recommenders()[0], &mut Progress::to(|done, _| done < 3));
    assert!(matches!(stop, Err(Error::Cancelled)));
    let never = Replay::new(Split::At(Timestamp::MAX), ["view"], 5);
    assert!(never.run(&snapshot, &recommenders()[0], &mut Progress::silent()).is_err());
}

/// Goal: what was shown before the cut is still to be foretold, where the caller says what makes an item
/// known. Method: ten users see ten items each as impressions, then view two of them.
#[test]
fn what_was_only_shown_is_not_known() {
    let db = Db::in_memory(Schema::new().event("view").event("impression")).unwrap();
    let mut batch = db.batch();
    for key in 0..30u64 {
        batch.put(Item::new(key));
    }
    for user in 0..10u64 {
        for at in 0..10 {
            batch.event(Event::new(user, at, "impression", Timestamp(at as i64)));
        }
        if user > 0 {
            batch.event(Event::new(user, 20u64, "view", Timestamp(5)));
        }
        batch.event(Event::new(user, 1u64, "view", Timestamp(CUT + 1)));
        batch.event(Event::new(user, 2u64, "view", Timestamp(CUT + 2)));
    }
    batch.commit().unwrap();
    let replay = Replay::new(Split::At(Timestamp(CUT)), ["view"], 30);
    let popular = Recommender::new().retrieve(Popular::ever(["impression"], 30));
    let run = |replay: &Replay| replay.run(&db.snapshot(), &popular, &mut Progress::silent());
    assert!(run(&replay).is_err(), "everything was shown before");
    let report = run(&replay.clone().known(["view"])).unwrap();
    assert_eq!((report.users, report.recall), (9, 1.0), "user 0 did nothing before");
    assert!(run(&replay.known(["sell"])).is_err());
}
