//! Scoring while payments are appended: how long one takes.

use super::{
    Outcome,
    data::{DELAY_DAYS, Payment},
    week::{self, Week},
};
use bowerbird::{Db, Event, attr, days, model::flow::Neighbours};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How many payments are scored.
const PAYMENTS: usize = 20_000;
/// How long the writer waits between two commits: some thousand payments a second.
const PAUSE: Duration = Duration::from_micros(200);

/// Times of one payment, in microseconds, and how many others were committed meanwhile.
pub(crate) struct Times {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) appended: u64,
}

/// Scores the payments of the test week one by one: features of the stream, a snapshot, the nearest known
/// frauds in it, the classifier. Meanwhile another thread commits payments, one by one.
pub(crate) fn run(db: &Db, payments: &[Payment], week: &mut Week) -> Outcome<Times> {
    let flow = week::flow();
    let near = Neighbours::new("tx", attr("fraud").is(true), 5).known("known");
    let (done, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut micros = Vec::with_capacity(PAYMENTS);
    thread::scope(|scope| -> Outcome<()> {
        let writer = scope.spawn(|| -> bowerbird::Result<()> {
            for payment in payments.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                // Others' payments, of a number of their own.
                let number = (1 << 40) + appended.fetch_add(1, Ordering::Relaxed);
                let (card, terminal) = (payment.card + (1 << 40), payment.terminal);
                let event = Event::new(card, terminal, "pay", payment.at()).request(number);
                db.batch().event(event.value(payment.amount)).commit()?;
                thread::sleep(PAUSE);
            }
            Ok(())
        });
        let scored = (|| -> Outcome<()> {
            for payment in payments[week.begin..].iter().take(PAYMENTS) {
                let (event, begin) = (payment.event(), Instant::now());
                let features = week.stream.features(&event)?;
                let row = week::row(&flow, payment, &features);
                let vector = vector(&row);
                let distances = near.distances(&db.snapshot(), &vector, event.at, None)?;
                let score = week.learner.probability(&row)?;
                week.stream.push(&event)?;
                micros.push(begin.elapsed().as_secs_f64() * 1e6);
                assert!(score.is_finite() && distances.len() == 3);
            }
            Ok(())
        })();
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer has panicked")??;
        scored
    })?;
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    Ok(Times { median: at(0.5), p99: at(0.99), appended: appended.into_inner() })
}

/// A payment as a vector: logarithms, so that numbers of all sizes are of one scale.
pub(crate) fn vector(row: &[f32]) -> Vec<f32> {
    row.iter().map(|x| x.signum() * x.abs().ln_1p()).collect()
}

/// When a payment's label is known.
pub(crate) fn known(payment: &Payment) -> bowerbird::Timestamp {
    payment.at().plus(days(DELAY_DAYS))
}
