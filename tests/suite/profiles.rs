//! Profiles: who is in which never changes by itself, and it is recorded.

use crate::oracle::Dice;
use bowerbird::{recommend::*, *};
use std::collections::BTreeMap;

fn popular() -> Recommender {
    Recommender::new().retrieve(Popular::ever(["view"], 10))
}

fn profiles(salt: &str) -> Profiles {
    let none = Profiles::new(salt, "control", popular()).unwrap();
    none.profile("a", popular()).unwrap().profile("b", popular()).unwrap()
}

/// Goal: users are where they were, on every machine and in every version. The numbers are from another
/// implementation of the same description (FNV-1a, splitmix64, the high half of a product).
#[test]
fn assignments_are_golden() {
    let users = [0, 1, 2, 3, 7, 1000, u64::MAX];
    let buckets = |salt: &str| users.map(|user| profiles(salt).bucket(UserId(user)));
    assert_eq!(buckets("2026-11"), [5404, 7962, 537, 548, 175, 8341, 2723]);
    assert_eq!(buckets("b"), [5127, 8326, 5177, 2019, 2710, 9145, 4792]);
}

fn all(profiles: &Profiles) -> Vec<String> {
    (0..20_000).map(|user| profiles.of_user(UserId(user)).to_owned()).collect()
}

/// Goal: growing or shrinking a profile moves only users that must move, only from or to the control;
/// shares are what was asked for.
#[test]
fn a_share_that_grows_moves_nobody_else() {
    let steps =
        [("a", 500), ("b", 1000), ("a", 3000), ("b", 200), ("a", 100), ("b", 9000), ("a", 0)];
    let mut made = profiles("salt");
    let mut before = all(&made);
    let mut has = BTreeMap::from([("a", 0), ("b", 0)]);
    for (name, buckets) in steps {
        made = made.share(name, buckets).unwrap();
        assert_eq!(made.buckets_of(name).len(), buckets);
        let after = all(&made);
        let grown = buckets > has[name];
        let mut moved = 0;
        for (old, new) in before.iter().zip(&after).filter(|(old, new)| old != new) {
            let (from, to) = if grown { ("control", name) } else { (name, "control") };
            assert_eq!((old.as_str(), new.as_str()), (from, to));
            moved += 1;
        }
        let share = (buckets.abs_diff(has[name])) as f64 / 10_000.0;
        let wide = 4.5 * (share * (1.0 - share) * 20_000.0).sqrt();
        assert!((f64::from(moved) - share * 20_000.0).abs() <= wide, "{name} {buckets}: {moved}");
        has.insert(name, buckets);
        before = after;
    }
    // One after the other, only the last share matters.
    let (slow, fast) =
        (profiles("s").share("a", 10).unwrap().share("a", 700).unwrap(), profiles("s"));
    assert_eq!(all(&slow), all(&fast.share("a", 700).unwrap()));
    // Another salt is another experiment.
    let other = profiles("t").share("a", 5000).unwrap();
    let both = all(&other)
        .iter()
        .zip(all(&profiles("s").share("a", 5000).unwrap()))
        .filter(|(x, y)| *x == y)
        .count();
    assert!((9_600..10_400).contains(&both), "{both}");
}

#[test]
fn what_cannot_be_shared_is_refused() {
    assert!(profiles("s").share("control", 10).is_err());
    assert!(profiles("s").share("c", 10).is_err());
    assert!(profiles("s").share("a", 10_001).is_err());
    assert!(profiles("s").share("a", 6000).unwrap().share("b", 4001).is_err());
    assert!(profiles("s").profile("a", popular()).is_err());
    assert!(profiles("s").profile("", popular()).is_err());
    assert!(Profiles::new("", "control", popular()).is_err());
    let db = Db::in_memory(Schema::new().event("view")).unwrap();
    let (snapshot, request) = (db.snapshot(), Request::new(5, Timestamp(0)));
    assert!(profiles("s").run(&snapshot, &request).is_err(), "no number");
    assert!(profiles("s").run(&snapshot, &request.clone().id(1 << 56)).is_err());
    assert!(profiles("s").run(&snapshot, &request.id((1 << 56) - 1)).is_ok());
}

/// Goal: which profile answered is in the trace and in the events, and survives another assignment; the
/// report finds the better one.
#[test]
fn profiles_are_recorded_and_compared() {
    let schema = Schema::new().event("view").event("shown").event("click");
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for key in 0..5u64 {
        batch.put(Item::new(key)).event(Event::new(1 << 40, key, "view", Timestamp(0)));
    }
    batch.commit().unwrap();
    let made = profiles("x").share("a", 4000).unwrap().share("b", 1000).unwrap();
    let (snapshot, mut batch, mut dice) = (db.snapshot(), db.batch(), Dice(3));
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for id in 0..3000u64 {
        let user = id % 1000;
        let request = Request::new(2, Timestamp(10 + id as i64)).user(user).id(id);
        let (marked, slate) = made.run(&snapshot, &request).unwrap();
        let name = slate.trace.profile.clone().unwrap();
        assert_eq!(name, made.of_user(UserId(user)));
        assert_eq!(marked.id.unwrap() & ((1 << 56) - 1), id);
        for event in slate.impressions("shown", &marked).unwrap() {
            let click = dice.roll(100) < if name == "a" { 40 } else { 20 };
            if click {
                let at = marked.now.plus(ms(1));
                batch.event(Event::new(user, &event.item, "click", at).request(marked.id.unwrap()));
            }
            batch.event(event);
        }
        *asked.entry(name).or_default() += 1;
    }
    batch.commit().unwrap();
    // A restart with other shares: what was recorded stays.
    let now = profiles("x").share("a", 1).unwrap();
    let query = HistoryQuery::default();
    let report = now.compare(&db.snapshot(), "shown", ["click"], &query).unwrap();
    for one in &report {
        assert_eq!(one.requests, asked[&one.profile]);
        assert_eq!(one.impressions, 2 * one.requests);
        println!("{}: {} of {}", one.profile, one.rate, one.impressions);
    }
    let (control, a, b) = (&report[0], &report[1], &report[2]);
    assert!(control.lift.is_none() && (control.rate.value - 0.2).abs() < 0.03);
    assert!(a.lift.unwrap().low > 0.1 && a.rate.low < 0.4 && 0.4 < a.rate.high + 0.02);
    let same = b.lift.unwrap();
    assert!(same.low < 0.02 && same.high > -0.02, "{same}");
    let early = HistoryQuery::default().as_of(Timestamp(1_000));
    let half = now.compare(&db.snapshot(), "shown", ["click"], &early).unwrap();
    assert!(half[0].impressions < control.impressions && half[0].impressions > 0);
    assert!(now.compare(&db.snapshot(), "seen", ["click"], &query).is_err());
    assert_eq!((now.profile_of(5), now.profile_of(9 << 56)), (None, None));
}
