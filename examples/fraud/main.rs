//! Card payments: the handbook's features from the database's own events, logistic regression on them, and
//! bursts of card testing that only the state of a merchant tells. Ends with a JSON line.
//!
//! ```text
//! cargo run --release --example fraud [--features boosting] [-- --data FILE] [--seeds N]
//! ```
//!
//! FILE has the columns of the Fraud Detection Handbook (Le Borgne et al., 2022). The last 7 days in it are
//! judged, after 7 days of waiting for labels and 7 to train on; everything before is history. Without it, or
//! with `--data small`, a small world of its own is made.
//!
//! A payment is an event: the card is the user, the terminal the item, the amount the value, its number the
//! request. That it was a fraud is another event, recorded seven days later.
#![allow(clippy::disallowed_methods, reason = "an example reads its data itself")]

mod burst;
mod data;
mod learner;
mod protocol;
mod serve;
mod week;

use bowerbird::*;
use data::Payment;
use serde_json::json;
use std::{error::Error, path::PathBuf, time::Instant};

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Where the handbook's file is, if it is.
const USUAL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/payments/transactions_dev.csv");

struct Args {
    data: Option<PathBuf>,
    seeds: u64,
}

fn args() -> Outcome<Args> {
    let mut args = Args { data: None, seeds: 3 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--data" => args.data = Some(PathBuf::from(value)),
            "--seeds" => args.seeds = value.parse::<u64>()?.max(1),
            other => return Err(format!("{other} is none of the options").into()),
        }
    }
    let usual = PathBuf::from(USUAL);
    args.data = args.data.or_else(|| usual.exists().then_some(usual));
    args.data = args.data.filter(|path| path.as_os_str() != "small");
    Ok(args)
}

fn main() -> Outcome<()> {
    let args = args()?;
    let payments = match &args.data {
        Some(path) => data::read(path)?,
        None => {
            println!(
                "SKIPPED: the handbook's file is not there (--data FILE); a small world instead"
            );
            data::small(7)
        }
    };
    if payments.len() < 1_000 {
        return Err("there are fewer than 1,000 payments".into());
    }
    let frauds = payments.iter().filter(|payment| payment.fraud).count();
    println!("{} payments, {frauds} of them frauds", payments.len());
    let (begin, db) = (Instant::now(), open(&payments)?);
    println!("committed in {:.1?}", begin.elapsed());

    let (begin, snapshot) = (Instant::now(), db.snapshot());
    let mut week = week::run(&payments, &snapshot)?;
    let week::Figures { auc, average_precision, card_precision } = week.figures;
    println!(
        "AUC {auc:.4}, average precision {average_precision:.4}, 100 cards a day {card_precision:.4}, \
         on {} payments, {} frauds, in {:.1?}",
        week.test,
        week.frauds,
        begin.elapsed()
    );
    if let Some(trees) = week.trees {
        println!(
            "boosted trees: AUC {:.4}, average precision {:.4}, 100 cards a day {:.4}",
            trees.auc, trees.average_precision, trees.card_precision
        );
    }
    space(&db, &payments, week.begin)?;
    let times = serve::run(&db, &payments, &mut week)?;
    println!(
        "scored in {:.0} us, 99 of 100 within {:.0} us, while {} payments were committed",
        times.median, times.p99, times.appended
    );
    let mut sums = [0.0; 3];
    for seed in 1..=args.seeds {
        let found = burst::run(&payments, seed)?;
        let shares = [found.alone, found.with_state, found.with_frauds];
        println!(
            "burst {seed}: of {} added, found {:.3} alone, {:.3} with the state, {:.3} with frauds",
            found.added, shares[0], shares[1], shares[2]
        );
        sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share / args.seeds as f64);
    }
    check(&args, &week, sums, times.median);
    let mut line = json!({
        "auc": auc,
        "average_precision": average_precision,
        "card_precision_100": card_precision,
        "burst_alone": sums[0],
        "burst_with_state": sums[1],
        "burst_with_frauds": sums[2],
        "p50_us": times.median,
        "p99_us": times.p99,
        "appended": times.appended,
        "payments": payments.len(),
        "test_payments": week.test,
        "test_frauds": week.frauds,
    });
    if let Some(trees) = week.trees {
        line["trees"] = json!([trees.auc, trees.average_precision, trees.card_precision]);
    }
    println!("{line}");
    Ok(())
}

/// What must hold: on the file what is published of logistic regression, less a little; in the small world,
/// whose frauds are harder to tell, clearly more than chance.
fn check(args: &Args, week: &week::Week, burst: [f64; 3], median: f64) {
    let large = args.data.is_some();
    let least = if large { (0.865, 0.60, 0.285) } else { (0.70, 0.30, 0.0) };
    let figures = week.figures;
    assert!(figures.auc >= least.0, "AUC {}", figures.auc);
    assert!(
        figures.average_precision >= least.1,
        "average precision {}",
        figures.average_precision
    );
    assert!(figures.card_precision >= least.2, "card precision {}", figures.card_precision);
    assert!(burst[2] >= burst[0] + 0.30, "bursts: {burst:?}");
    // The promise is 2 ms for 99 of 100. Where others share the processor these wait for them, so they are
    // reported, and the half is held to it.
    assert!(cfg!(debug_assertions) || median <= 2_000.0, "half within {median} us");
}

/// A database with all payments, and with what became known of them.
fn open(payments: &[Payment]) -> Outcome<Db> {
    let width = week::names(&week::flow()).len();
    let schema = Schema::new()
        .space("tx", u32::try_from(width)?, Metric::L2)
        .attr("fraud", AttrType::Bool)
        .attr("known", AttrType::Time)
        .event("pay")
        .event("fraud");
    let db = Db::in_memory(schema)?;
    for events in data::events(payments).chunks(50_000) {
        let mut batch = db.batch();
        for event in events {
            batch.event(event.clone());
        }
        batch.commit()?;
    }
    Ok(db)
}

/// Puts the frauds of the last weeks before the test into the space, and one in fifty of the others.
fn space(db: &Db, payments: &[Payment], begin: usize) -> Outcome<()> {
    let (flow, mut stream) = (week::flow(), week::flow().stream()?);
    let mut batch = db.batch();
    let numbers: std::collections::HashMap<u64, &Payment> =
        payments[..begin].iter().map(|payment| (payment.id, payment)).collect();
    for event in data::events(&payments[..begin]) {
        let payment = event.request.and_then(|id| numbers.get(&id));
        let here = |payment: &&&Payment| payment.fraud || payment.id.is_multiple_of(50);
        if let Some(payment) = payment.filter(|_| event.kind == "pay").filter(here) {
            let row = week::row(&flow, payment, &stream.features(&event)?);
            let item = Item::new(payment.id).vector("tx", serve::vector(&row));
            batch.put(item.attr("fraud", payment.fraud).attr("known", serve::known(payment)));
        }
        stream.push(&event)?;
    }
    batch.commit()?;
    Ok(())
}
