//! Flow: windows and states against brute force, from a snapshot and from a stream alike.

use crate::oracle::Dice;
use bowerbird::{model::flow::*, *};
use std::collections::HashSet;

const WINDOWS: [u64; 3] = [50, 300, 1000];
const DELAY: u64 = 200;

fn flow() -> Flow {
    let windows = || WINDOWS.map(ms);
    Flow::new("pay")
        .marked("fraud")
        .velocity(Entity::User, windows())
        .velocity(Entity::Item, windows())
        .risk(Entity::Item, ms(DELAY), windows())
        .risk(Entity::User, ms(0), [ms(1000)])
        .pulse(Entity::Item, [ms(20), ms(200)])
        .pulse(Entity::User, [ms(40)])
}

fn known(event: &Event) -> i64 {
    event.at.0.max(event.recorded.0)
}

/// Payments and marks, out of order on both clocks, with replays, refunds, nothings and huge sums.
fn log(seed: u64, count: u64) -> Vec<Event> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for id in 0..count {
        let at = 10_000 + dice.roll(4 * count) as i64;
        let late = if dice.roll(5) == 0 { dice.roll(400) as i64 } else { 0 };
        let mut pay = Event::new(dice.roll(5), dice.roll(4), "pay", Timestamp(at))
            .recorded(Timestamp(at + late))
            .request(id);
        pay.value = match dice.roll(12) {
            0 => None,
            1 => Some(0.0),
            2 => Some(-12.34),
            3 => Some(f32::MAX),
            _ => Some(dice.roll(5_000) as f32 / 100.0),
        };
        if dice.roll(4) == 0 {
            // Known before the payment, with it, or long after.
            let when = at - 20 + dice.roll(600) as i64;
            let mut mark = pay.clone();
            (mark.kind, mark.recorded) = ("fraud".into(), Timestamp(when));
            all.push(mark.clone());
            all.extend((dice.roll(3) == 0).then_some(mark));
        }
        if dice.roll(8) == 0 {
            let mut again = pay.clone();
            again.recorded = again.recorded.plus(ms(dice.roll(100)));
            again.value = Some(1.0);
            all.push(again);
        }
        all.push(pay);
    }
    all.sort_by_key(|event| (known(event), event.at, event.recorded));
    all
}

/// What was known, and happened, before an event, each number once.
fn before<'e>(all: &'e [Event], event: &Event, kind: &str) -> Vec<&'e Event> {
    let mut ids = HashSet::new();
    let known = all.iter().filter(|e| known(e) < known(event) && e.kind == kind);
    known.filter(|e| ids.insert(e.request)).filter(|e| kind == "fraud" || e.at < event.at).collect()
}

fn brute(all: &[Event], event: &Event) -> Vec<f64> {
    let (pays, marks) = (before(all, event, "pay"), before(all, event, "fraud"));
    let mut out = Vec::new();
    let value = |e: &Event| e.value.map(|v| f64::from(v.clamp(-1e9, 1e9)));
    for of in [Entity::User, Entity::Item] {
        for window in WINDOWS {
            let mut here: Vec<&Event> =
                pays.iter().copied().filter(|e| mine(e, event, of)).collect();
            here.retain(|e| e.at.0 > event.at.0 - window as i64);
            here.push(event);
            let values: Vec<f64> = here.iter().filter_map(|e| value(e)).collect();
            let sum: f64 = values.iter().sum();
            out.extend([here.len() as f64, sum, sum / values.len().max(1) as f64]);
        }
    }
    let risks = WINDOWS.map(|window| (Entity::Item, DELAY, window));
    for (of, delay, window) in risks.into_iter().chain([(Entity::User, 0, 1000)]) {
        let end = event.at.0 - delay as i64;
        let here = pays.iter().filter(|e| mine(e, event, of) && e.at.0 <= end);
        let here: Vec<_> = here.filter(|e| e.at.0 > end - window as i64).collect();
        let bad = here.iter().filter(|e| marks.iter().any(|mark| mark.request == e.request));
        out.extend([here.len() as f64, bad.count() as f64 / here.len().max(1) as f64]);
    }
    out
}

fn mine(e: &Event, event: &Event, of: Entity) -> bool {
    if of == Entity::User { e.user == event.user } else { e.item == event.item }
}

/// Goal: features from a snapshot and from a stream are the same, bit for bit, and those of brute force.
/// Method: logs that are out of order, with replays and marks that come early, late and twice.
#[test]
fn a_stream_has_the_numbers_of_a_snapshot() {
    for seed in 1..=6 {
        let (all, flow) = (log(seed, 250), flow());
        let db = Db::in_memory(Schema::new().event("pay").event("fraud").event("view")).unwrap();
        let (mut stream, mut batch) = (flow.stream().unwrap(), db.batch());
        for (at, event) in all.iter().enumerate() {
            batch.event(event.clone());
            if at == 200 {
                std::mem::replace(&mut batch, db.batch()).commit().unwrap();
            }
        }
        batch.commit().unwrap();
        let snapshot = db.snapshot();
        let mut compared = 0;
        for event in &all {
            if event.kind == "pay" {
                let (here, there) =
                    (stream.features(event).unwrap(), flow.read(&snapshot, event).unwrap());
                assert_eq!(here, there, "seed {seed}, {event:?}");
                assert_eq!(here.len(), flow.width());
                assert!(here.iter().all(|x| x.is_finite()));
                for (place, (a, b)) in here.iter().zip(brute(&all, event)).enumerate() {
                    let near = (f64::from(*a) - b).abs() <= 1e-5 * b.abs().max(1.0);
                    assert!(near, "seed {seed}, {}: {a} {b}, {event:?}", flow.names()[place]);
                }
                compared += 1;
            }
            stream.push(event).unwrap();
        }
        assert!(compared > 250);
        assert_eq!(stream.tidy(Timestamp(i64::MAX)), stream.tidy(Timestamp(0)));
    }
}

/// Goal: what repeats an event is passed over while that is within twice the longest window before it,
/// by a snapshot as by a stream, also where the first is too old for the event that is asked about.
#[test]
fn a_replay_of_what_is_too_old_is_one() {
    let flow = Flow::new("pay").marked("fraud").velocity(Entity::User, [ms(10)]);
    let flow = flow.risk(Entity::Item, ms(0), [ms(10)]);
    let pay = |at: i64, id: u64| Event::new(1, 2u64, "pay", Timestamp(at)).value(1.0).request(id);
    let mark = |at: i64, id: u64| Event::new(1, 2u64, "fraud", Timestamp(at)).request(id);
    // The first, a mark of it, the second with its number, the one asked about, how many count, the share.
    for (first, marked, again, asked, count, share) in [
        (100, 101, 115, 124, 1.0, 0.0),
        (100, 101, 119, 125, 1.0, 0.0),
        (100, 101, 120, 125, 2.0, 0.0),
        (100, 122, 120, 125, 2.0, 1.0),
        (100, 101, 105, 109, 2.0, 1.0),
    ] {
        let db = Db::in_memory(Schema::new().event("pay").event("fraud")).unwrap();
        let (mut stream, mut batch) = (flow.stream().unwrap(), db.batch());
        let mut all = [pay(first, 7), mark(marked, 7), pay(again, 7), pay(asked, 8)];
        all.sort_by_key(known);
        for event in &all[..3] {
            batch.event(event.clone());
            stream.push(event).unwrap();
        }
        batch.commit().unwrap();
        let (here, there) =
            (stream.features(&all[3]).unwrap(), flow.read(&db.snapshot(), &all[3]).unwrap());
        assert_eq!(here, there, "{first} {marked} {again}");
        assert_eq!((here[0], here[4]), (count, share), "{first} {marked} {again}");
    }
}

/// Goal: the state of an entity, by hand: four cards, two of them with like amounts.
#[test]
fn a_pulse_by_hand() {
    let flow = Flow::new("pay").pulse(Entity::Item, [ms(1000)]);
    let mut stream = flow.stream().unwrap();
    let pay = |user, at: i64, value| {
        Event::new(user, 1u64, "pay", Timestamp(at)).value(value).request(at as u64)
    };
    for event in [pay(1, 0, 100.0), pay(2, 1000, 1.0), pay(2, 1000, 1.5), pay(3, 2000, 1.2)] {
        let id = event.user.0 * 10_000 + event.at.0 as u64;
        stream.push(&event.request(id)).unwrap();
    }
    // The second of card 2 has the number of its first, so it is a replay.
    let next = pay(2, 3000, 1.0);
    let [all, alike, others, new, gap] = stream.features(&next).unwrap()[..] else {
        unreachable!()
    };
    let near =
        |a: f32, b: f64| assert!((f64::from(a) - b.ln_1p()).abs() < 1e-6, "{a} {}", b.ln_1p());
    near(all, 0.125 + 0.25 + 0.5);
    near(alike, 0.25 + 0.5);
    near(others, 0.5);
    near(new, 0.125 + 0.25 + 0.5);
    near(gap, 1.0);
}

/// Goal: what no stream can take is said, and the ends of time are times.
#[test]
fn strange_events_are_refused_or_counted() {
    let mut stream = flow().stream().unwrap();
    let pay = |at: i64| Event::new(1, 2u64, "pay", Timestamp(at)).request(at as u64).value(1.0);
    stream.push(&pay(100)).unwrap();
    let back = stream.push(&pay(99)).unwrap_err().to_string();
    assert!(back.contains("in the order in which they became known"), "{back}");
    // It happened earlier, but is known now.
    stream.push(&pay(50).recorded(Timestamp(100))).unwrap();
    for value in [f32::NAN, f32::INFINITY] {
        assert!(stream.push(&pay(200).value(value)).is_err());
        assert!(stream.features(&pay(200).value(value)).is_err());
    }
    assert!(stream.features(&Event::new(1, 2u64, "view", Timestamp(200))).is_err());
    stream.push(&Event::new(1, 2u64, "view", Timestamp(0))).unwrap();
    let unseen = Event::new(77, 88u64, "pay", Timestamp(150)).value(0.0);
    let features = stream.features(&unseen).unwrap();
    assert_eq!(features[..3], [1.0, 0.0, 0.0]);
    let db = Db::in_memory(Schema::new().event("pay").event("fraud")).unwrap();
    for at in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX] {
        let mut stream = flow().stream().unwrap();
        for now in [i64::MIN, 0, i64::MAX] {
            if now <= at {
                stream.push(&pay(now).request(now as u64)).unwrap();
            }
        }
        assert!(stream.features(&pay(at)).is_ok());
        db.batch().event(pay(at)).commit().unwrap();
        assert!(flow().read(&db.snapshot(), &pay(at)).unwrap().iter().all(|x| x.is_finite()));
        stream.tidy(Timestamp(at));
    }
    for wrong in [
        Flow::new("pay"),
        Flow::new("pay").velocity(Entity::User, [ms(0)]),
        Flow::new("pay").velocity(Entity::User, [days(100_000)]),
        Flow::new("pay").risk(Entity::User, days(1), [days(1)]),
        Flow::new("pay").velocity(Entity::User, (0..65).map(|_| days(1))),
    ] {
        assert!(wrong.stream().is_err(), "{wrong:?}");
        assert!(wrong.read(&db.snapshot(), &pay(0)).is_err());
    }
    let elsewhere = Flow::new("buy").velocity(Entity::User, [days(1)]);
    assert!(elsewhere.read(&db.snapshot(), &Event::new(1, 2u64, "buy", Timestamp(0))).is_err());
}

/// Goal: a stream that goes on for long keeps no more than its windows hold.
#[test]
fn a_stream_forgets() {
    let flow = Flow::new("pay").marked("fraud").velocity(Entity::Item, [ms(100)]);
    let (mut stream, mut sizes) = (flow.stream().unwrap(), Vec::new());
    for id in 0..20_000u64 {
        let event = Event::new(id, 1u64, "pay", Timestamp(id as i64)).value(1.0).request(id);
        if id > 0 {
            let features = stream.features(&event).unwrap();
            assert_eq!(features[0], id.min(99) as f32 + 1.0);
        }
        stream.push(&event).unwrap();
        if id % 5_000 == 4_999 {
            sizes.push(stream.tidy(Timestamp(id as i64)));
        }
    }
    // 200 users within twice the window, and the item.
    assert!(sizes.iter().all(|size| (195..=205).contains(size)), "{sizes:?}");
}

/// Goal: distances are those of brute force among what was known by then, the item itself left out.
#[test]
fn neighbours_are_those_of_brute_force() {
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let schema = Schema::new().space("tx", 3, metric).attr("fraud", AttrType::Bool);
        let db = Db::in_memory(schema.attr("known", AttrType::Time)).unwrap();
        let (mut dice, mut batch, mut all) = (Dice(9), db.batch(), Vec::new());
        for id in 0..80u64 {
            let vector: Vec<f32> = (0..3).map(|_| dice.roll(200) as f32 / 100.0 - 1.01).collect();
            let (fraud, known) = (dice.roll(4) == 0, Timestamp(dice.roll(100) as i64));
            let item = Item::new(id).vector("tx", vector.clone()).attr("fraud", fraud);
            batch.put(item.attr("known", known));
            all.push((id, vector, fraud, known));
        }
        batch.commit().unwrap();
        let snapshot = db.snapshot();
        let near = Neighbours::new("tx", attr("fraud").is(true), 4).known("known");
        let distance = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            match metric {
                Metric::L2 => a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt(),
                Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
                Metric::Dot => -dot(a, b),
            }
        };
        for (id, vector, ..) in &all {
            let now = Timestamp(dice.roll(100) as i64);
            let found = near.distances(&snapshot, vector, now, Some(&Key::Id(*id))).unwrap();
            let of = |fraud: bool| -> Vec<f32> {
                let others = all.iter().filter(|o| o.0 != *id && o.2 == fraud && o.3 <= now);
                let mut far: Vec<f32> = others.map(|o| distance(vector, &o.1)).collect();
                far.sort_by(f32::total_cmp);
                far.truncate(4);
                far
            };
            let mean = |far: &[f32]| far.iter().sum::<f32>() / far.len() as f32;
            let (bad, good) = (of(true), of(false));
            let wanted = [bad.first().copied().unwrap_or(f32::NAN), mean(&bad), mean(&good)];
            for (a, b) in found.iter().zip(wanted) {
                assert!(a.is_nan() && b.is_nan() || (a - b).abs() < 1e-4, "{found:?} {wanted:?}");
            }
        }
        let ask = |near: &Neighbours| near.distances(&snapshot, &[0.1; 3], Timestamp(0), None);
        let fraud = || attr("fraud").is(true);
        assert!(ask(&Neighbours::new("tx", fraud(), 0)).is_err());
        assert!(ask(&Neighbours::new("tx", fraud(), 1001)).is_err());
        assert!(ask(&Neighbours::new("nowhere", fraud(), 1)).is_err());
        assert!(ask(&Neighbours::new("tx", fraud(), 1).known("fraud")).is_err());
        assert!(near.distances(&snapshot, &[0.1; 2], Timestamp(0), None).is_err());
    }
}
