//! Inverse propensities: unbiased, with intervals that hold the truth, on logs whose truth is known.

use crate::{
    explore::{clicks, exploring, shown},
    oracle::Dice,
};
use bowerbird::{
    recommend::{policy::*, *},
    *,
};

/// How likely each of five actions is to be shown, to be shown by the other, and to earn.
const SHOWN: [f64; 5] = [0.5, 0.2, 0.15, 0.1, 0.05];
const OTHER: [f64; 5] = [0.1, 0.1, 0.1, 0.3, 0.4];
const RATES: [f64; 5] = [0.1, 0.3, 0.05, 0.2, 0.4];

fn unit(dice: &mut Dice) -> f64 {
    dice.roll(1 << 40) as f64 / (1u64 << 40) as f64
}

fn log(dice: &mut Dice, impressions: u64) -> Vec<(usize, Weighed)> {
    let mut one = |group: u64| {
        let (mut at, mut left) = (0, unit(dice));
        while left >= SHOWN[at] && at < 4 {
            left -= SHOWN[at];
            at += 1;
        }
        let reward = f64::from(u8::from(unit(dice) < RATES[at]));
        (at, Weighed { group, propensity: SHOWN[at], chance: OTHER[at], reward })
    };
    (0..impressions).map(&mut one).collect()
}

/// Goal: estimates are unbiased, and 95 of 100 intervals hold the truth.
/// Method: 600 logs of 1,500 impressions. With 600, the share of intervals that hold has a standard
/// deviation of 0.009.
#[test]
fn estimates_are_unbiased_and_intervals_hold() {
    let truth: f64 = OTHER.iter().zip(RATES).map(|(p, r)| p * r).sum();
    let mean = |of: [f64; 5]| -> f64 { OTHER.iter().zip(of).map(|(p, e)| p * e).sum() };
    // A model that is wrong everywhere: doubly robust estimates are unbiased all the same.
    let model = [0.2, 0.2, 0.1, 0.3, 0.3];
    let (mut sums, mut held, runs) = ([0.0; 3], [0; 3], 600);
    let mut squares = 0.0;
    for seed in 0..runs {
        let rows = log(&mut Dice(seed), 1500);
        let worth = Worth::new(rows.iter().map(|row| row.1)).unwrap();
        let expected: Vec<(f64, f64)> =
            rows.iter().map(|row| (model[row.0], mean(model))).collect();
        let robust = worth.doubly_robust(&expected).unwrap();
        assert!((worth.matched() - 1.0).abs() < 0.25);
        assert!((200.0..1500.0).contains(&worth.effective()));
        for (at, estimate) in [worth.ips(), worth.snips(), robust].into_iter().enumerate() {
            sums[at] += estimate.value;
            held[at] += u32::from(estimate.low <= truth && truth <= estimate.high);
        }
        squares += (worth.ips().value - truth).powi(2);
    }
    let deviation = (squares / runs as f64 / runs as f64).sqrt();
    for (name, (sum, held)) in ["ips", "snips", "robust"].iter().zip(sums.iter().zip(held)) {
        let (bias, share) = (sum / runs as f64 - truth, f64::from(held) / runs as f64);
        println!("{name}: bias {bias:+.5} (sd {deviation:.5}), {share:.3} of the intervals hold");
        assert!(bias.abs() < 4.0 * deviation, "{name}: {bias}");
        assert!((0.92..=0.975).contains(&share), "{name}: {share}");
    }
}

/// Goal: intervals count groups, not impressions, and the bootstrap agrees with the formula.
#[test]
fn intervals_are_over_groups() {
    let rows: Vec<Weighed> = log(&mut Dice(5), 2000).into_iter().map(|row| row.1).collect();
    let alone = Worth::new(rows.iter().copied()).unwrap();
    // The same again ten times under the same number: nothing new is known.
    let again = rows.iter().flat_map(|row| std::iter::repeat_n(*row, 10));
    let again = Worth::new(again).unwrap();
    let wide = |e: Estimate| e.high - e.low;
    assert!((wide(alone.ips()) - wide(again.ips())).abs() < 1e-9);
    assert!((wide(alone.snips()) - wide(again.snips())).abs() < 1e-9);
    let (plain, normalized) = alone.bootstrap(2000, 7).unwrap();
    for (a, b) in [(plain, alone.ips()), (normalized, alone.snips())] {
        assert!((wide(a) / wide(b) - 1.0).abs() < 0.1, "{a} {b}");
        assert_eq!(a.value, b.value);
    }
    assert_eq!(alone.bootstrap(100, 3).unwrap(), alone.bootstrap(100, 3).unwrap());
    assert!(alone.clipped(1.0).value < alone.ips().value);
    assert_eq!(alone.clipped(1e9), alone.ips());
}

/// Goal: the plain formula, on numbers done by hand.
#[test]
fn estimates_by_hand() {
    let one = |group, propensity, chance, reward| Weighed { group, propensity, chance, reward };
    let rows = [one(1, 0.5, 1.0, 1.0), one(2, 0.25, 0.5, 0.0), one(3, 0.8, 0.0, 1.0)];
    let worth = Worth::new(rows).unwrap();
    assert!((worth.ips().value - 2.0 / 3.0).abs() < 1e-12);
    assert!((worth.snips().value - 0.5).abs() < 1e-12);
    assert!((worth.matched() - 4.0 / 3.0).abs() < 1e-12);
    assert!((worth.effective() - 2.0).abs() < 1e-12);
    // (4/3)^2 + (2/3)^2 + (2/3)^2 = 24/9; times 3/2 is 4, its root 2, over 3.
    assert!((worth.ips().high - 2.0 / 3.0 - 1.959963984540054 * 2.0 / 3.0).abs() < 1e-12);
    let one_group = Worth::new([one(1, 0.5, 0.5, 1.0)]).unwrap();
    assert_eq!(one_group.ips().high, f64::INFINITY);
    let none = Worth::new([one(1, 0.5, 0.0, 1.0), one(2, 0.5, 0.0, 1.0)]).unwrap();
    assert_eq!((none.snips().value, none.effective()), (0.0, 0.0));
}

/// Goal: what would be divided by, or is no number, is refused.
#[test]
fn propensities_of_zero_are_refused() {
    let one = |propensity, chance, reward| Weighed { group: 0, propensity, chance, reward };
    for wrong in [
        one(0.0, 1.0, 1.0),
        one(-0.5, 1.0, 1.0),
        one(1.5, 1.0, 1.0),
        one(f64::NAN, 1.0, 1.0),
        one(0.5, 1.5, 1.0),
        one(0.5, f64::NAN, 1.0),
        one(0.5, 1.0, f64::INFINITY),
    ] {
        assert!(Worth::new([wrong]).is_err(), "{wrong:?}");
    }
    assert!(Worth::new([]).is_err());
    let quiet = &mut Progress::silent();
    for (value, position, good) in [
        (Some(0.5), Some(0), true),
        (Some(0.0), Some(0), false),
        (Some(1.5), Some(0), false),
        (None, Some(0), false),
        (Some(0.5), None, false),
    ] {
        let db = Db::in_memory(Schema::new().event("shown").event("click")).unwrap();
        let mut event = Event::new(1, 2u64, "shown", Timestamp(3)).request(4);
        (event.value, event.position) = (value, position);
        db.batch().event(event).commit().unwrap();
        let read =
            Logged::read(&db.snapshot(), "shown", ["click"], &HistoryQuery::default(), quiet);
        assert_eq!(read.is_ok(), good, "{value:?} {position:?}");
    }
}

/// Goal: what a recommender logs tells what another would have earned.
/// Method: epsilon-greedy logs in a database whose rates are known; the other one always shows the same
/// item. Its true rate is in the interval for about 95 of 100 worlds; of 20, for at least 16.
#[test]
fn another_recommender_is_judged_by_what_this_one_logged() {
    let mut held = 0;
    for seed in 0..20u64 {
        let db = shown(6, 11);
        let logging = exploring(EpsilonGreedy::new(0.6, clicks()), 1);
        // Neither learns while it logs: rewards of this part are of another kind.
        let (snapshot, mut batch) = (db.snapshot(), db.batch());
        let (mut dice, truth) = (Dice(seed), |key: u64| 0.1 + 0.1 * key as f64);
        for id in 0..400u64 {
            let at = Timestamp(2_000_000 + id as i64);
            let request = Request::new(1, at).user(id % 50).id(id).seed(seed);
            let slate = logging.run(&snapshot, &request).unwrap();
            for event in slate.impressions("buy", &request).unwrap() {
                batch.event(event);
            }
            let Key::Id(key) = slate.items[0].key else { unreachable!("keys are numbers") };
            if unit(&mut dice) < truth(key) {
                batch.event(Event::new(id % 50, key, "click", at.plus(ms(1))).request(id));
            }
        }
        // What names no request, and repeats, change nothing.
        batch.event(Event::new(1, 3u64, "buy", Timestamp(5)).value(0.5).position(0));
        batch.commit().unwrap();
        let quiet = &mut Progress::silent();
        let logged =
            Logged::read(&db.snapshot(), "buy", ["click"], &HistoryQuery::default(), quiet)
                .unwrap();
        assert_eq!((logged.shown().len(), logged.nameless()), (400, 1));
        let always = Recommender::new().filter(Excluded::new((0..5u64).map(Key::Id)));
        let always = always.retrieve(Popular::ever(["shown"], 10));
        let worth = logged.replay(&db.snapshot(), &always, quiet).unwrap();
        let Estimate { low, high, .. } = worth.snips();
        held += u32::from(low <= truth(5) && truth(5) <= high);
        let was = logged.as_it_was().unwrap();
        assert_eq!(was.matched(), 1.0);
        assert_eq!(was.effective(), 400.0);
        let explored = logged.clone().only(|one| one.propensity < 0.5);
        assert!(explored.shown().len() < 400);
    }
    assert!(held >= 16, "{held} of 20");
}

/// Goal: impressions name user, request, position and propensity, or it is said what is missing.
#[test]
fn impressions_need_a_user_and_a_number() {
    let db = shown(6, 2);
    let recommender = exploring(EpsilonGreedy::new(0.5, clicks()), 2);
    let request = Request::new(4, Timestamp(1_000_000)).user(3).id(8);
    let slate = recommender.run(&db.snapshot(), &request).unwrap();
    let events = slate.impressions("shown", &request).unwrap();
    for (at, (event, item)) in events.iter().zip(&slate.items).enumerate() {
        assert_eq!((event.user, &event.item, event.at), (UserId(3), &item.key, request.now));
        assert_eq!((event.request, event.position), (Some(8), Some(at as u16)));
        assert_eq!(event.value, Some(item.propensity));
    }
    let nobody = Request::new(4, Timestamp(0)).id(8);
    assert!(slate.impressions("shown", &nobody).unwrap_err().to_string().contains("user"));
    let nameless = Request::new(4, Timestamp(0)).user(3);
    assert!(slate.impressions("shown", &nameless).unwrap_err().to_string().contains("number"));
}
