//! Card testing: stolen numbers are tried with small amounts at one large merchant, in bursts. What finds
//! them: the payment alone, or the state of the merchant and the nearest frauds that are known by then?
//!
//! The data has no large merchant, so one terminal in ten becomes part of one. Half a percent of its
//! payments are added: bursts of 12 or so, a minute apart on average, of 0.50 to 3.00, each with the card of
//! somebody else. Each becomes known as fraud seven days later, as others do.

use super::{
    Outcome,
    data::{DELAY_DAYS, Dice, Payment, events},
    learner,
};
use bowerbird::{
    AttrType, Db, Item, Metric, Schema, attr, days, hours,
    model::{
        classify::FitClassifier,
        flow::{Entity, Flow, Neighbours},
    },
    ms,
};
use std::collections::HashMap;

/// One terminal in so many is part of the merchant, whose number that is.
const ONE_IN: u64 = 10;
const MERCHANT: u64 = u64::MAX;
/// How many payments are added for each that is there.
const RATE: f64 = 0.005;
/// How many payments a burst has, and the seconds between them.
const BURST: f64 = 12.0;
const PAUSE: f64 = 60.0;
/// Of a thousand honest payments, so many may be called bad.
const FALSE_POSITIVES: f64 = 0.001;
/// One honest payment in so many is put into the space, to know how dense it is.
const SAMPLE: usize = 20;
const NEIGHBOURS: usize = 5;

/// Shares of the added payments that are found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) alone: f64,
    pub(crate) with_state: f64,
    pub(crate) with_frauds: f64,
    pub(crate) added: usize,
}

/// The merchant's payments and the added ones, in order of time. Only the added count as fraud.
fn merchant(payments: &[Payment], seed: u64) -> Vec<Payment> {
    let here = payments.iter().filter(|p| p.terminal % ONE_IN == 0 && !p.fraud);
    let mut all: Vec<Payment> = here.map(|p| Payment { terminal: MERCHANT, ..*p }).collect();
    let (mut dice, honest) = (Dice(seed), all.len());
    let (begin, end) = (all[0].seconds, all[honest - 1].seconds);
    let mut left = (honest as f64 * RATE).round() as usize;
    while left > 0 {
        let mut seconds = begin as f64 + (end - begin) as f64 * dice.unit();
        let size = (BURST * (0.5 + dice.unit())).round() as usize;
        for _ in 0..size.min(left) {
            seconds += dice.exponential(PAUSE);
            all.push(Payment {
                id: 0,
                seconds: seconds as i64,
                card: payments[dice.below(payments.len() as u64) as usize].card,
                terminal: MERCHANT,
                amount: ((0.5 + 2.5 * dice.unit()) * 100.0).round() as f32 / 100.0,
                fraud: true,
            });
            left -= 1;
        }
    }
    all.sort_by_key(|p| (p.seconds, p.card));
    all.iter_mut().zip(0..).for_each(|(payment, id)| payment.id = id);
    all
}

/// The state of the merchant and of the card.
fn flow() -> Flow {
    Flow::new("pay")
        .marked("fraud")
        .pulse(Entity::Item, [ms(300_000), hours(1)])
        .pulse(Entity::User, [hours(1), days(1)])
}

/// Features of each payment, the first few of which are the payment's own and the next the state's.
struct Rows {
    alone: Vec<Vec<f32>>,
    state: Vec<Vec<f32>>,
    frauds: Vec<Vec<f32>>,
}

fn rows(all: &[Payment]) -> Outcome<Rows> {
    let (flow, mut stream) = (flow(), flow().stream()?);
    let width = flow.width() + 1;
    let schema = Schema::new()
        .space("tx", u32::try_from(width)?, Metric::L2)
        .attr("fraud", AttrType::Bool)
        .attr("known", AttrType::Time);
    let db = Db::in_memory(schema)?;
    let near = Neighbours::new("tx", attr("fraud").is(true), NEIGHBOURS).known("known");
    let mut rows = Rows { alone: vec![], state: vec![], frauds: vec![] };
    let mut vectors: HashMap<u64, Vec<f32>> = HashMap::new();
    for event in events(all) {
        let at = event.request.unwrap_or(0) as usize;
        let payment = &all[at];
        if event.kind == "pay" {
            let state = stream.features(&event)?;
            let own = [payment.amount, payment.amount.max(0.01).ln()];
            let clock =
                [f32::from(u8::from(payment.weekend())), f32::from(u8::from(payment.night()))];
            // States are logarithms, as the amount is here: of one scale.
            let vector: Vec<f32> = own[1..].iter().chain(&state).copied().collect();
            let distances = near.distances(&db.snapshot(), &vector, event.at, None)?;
            rows.alone.push(own.into_iter().chain(clock).collect());
            rows.state.push(state);
            rows.frauds.push(distances.to_vec());
            if at.is_multiple_of(SAMPLE) && !payment.fraud {
                let item = Item::new(payment.id).vector("tx", vector.clone());
                let known = event.at.plus(days(DELAY_DAYS));
                db.batch().put(item.attr("fraud", false).attr("known", known)).commit()?;
            }
            if payment.fraud {
                vectors.insert(payment.id, vector);
            }
        } else if let Some(vector) = vectors.remove(&payment.id) {
            let item = Item::new(payment.id).vector("tx", vector);
            db.batch().put(item.attr("fraud", true).attr("known", event.recorded)).commit()?;
        }
        stream.push(&event)?;
    }
    Ok(rows)
}

/// Trains on the first part, whose labels are known by the end of it, and judges by the rest.
pub(crate) fn run(payments: &[Payment], seed: u64) -> Outcome<Found> {
    let all = merchant(payments, seed);
    let (first, last) = (all[0].day(), all[all.len() - 1].day());
    let cut = first + (last - first + 1) * 3 / 5;
    let learned = |at: &usize| all[*at].day() < cut - DELAY_DAYS as i64;
    let train: Vec<usize> = (0..all.len()).filter(learned).collect();
    let test: Vec<usize> = (0..all.len()).filter(|at| all[*at].day() >= cut).collect();
    let Rows { alone, state, frauds } = rows(&all)?;
    let join = |parts: &[&Vec<Vec<f32>>]| -> Vec<Vec<f32>> {
        (0..all.len()).map(|at| parts.iter().flat_map(|part| part[at].clone()).collect()).collect()
    };
    let found = |rows: &[Vec<f32>]| -> Outcome<f64> {
        let names: Vec<String> = (0..rows[0].len()).map(|n| format!("feature {n}")).collect();
        let some =
            |list: &[usize]| -> Vec<Vec<f32>> { list.iter().map(|at| rows[*at].clone()).collect() };
        let labels: Vec<f32> = train.iter().map(|at| f32::from(u8::from(all[*at].fraud))).collect();
        let learner = learner::fit(&FitClassifier::logistic(), &names, &some(&train), &labels)?;
        let scores = learner.probabilities(&some(&test).concat())?;
        Ok(detected(&all, &test, &scores))
    };
    Ok(Found {
        alone: found(&alone)?,
        with_state: found(&join(&[&alone, &state]))?,
        with_frauds: found(&join(&[&alone, &state, &frauds]))?,
        added: test.iter().filter(|at| all[**at].fraud).count(),
    })
}

/// The share of frauds above the score that 1 of 1,000 honest payments exceed.
fn detected(all: &[Payment], test: &[usize], scores: &[f32]) -> f64 {
    let of = |fraud: bool| -> Vec<f32> {
        let here = test.iter().zip(scores).filter(|(at, _)| all[**at].fraud == fraud);
        here.map(|(_, score)| *score).collect()
    };
    let (mut honest, bad) = (of(false), of(true));
    honest.sort_by(|a, b| b.total_cmp(a));
    let allowed = (honest.len() as f64 * FALSE_POSITIVES) as usize;
    let least = honest.get(allowed).copied().unwrap_or(f32::MIN);
    bad.iter().filter(|score| **score > least).count() as f64 / bad.len().max(1) as f64
}
