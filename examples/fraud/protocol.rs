//! The handbook's protocol: which payments to train on and to judge by, and the precision of 100 cards
//! a day (Le Borgne et al., "Reproducible machine learning for credit card fraud detection", chapter 4).

use super::data::Payment;
use std::collections::{HashMap, HashSet};

/// How many days each part has.
const DAYS: i64 = 7;
/// How many cards a day can be looked into.
const CARDS: usize = 100;

/// Numbers of payments.
pub(crate) struct Split {
    pub(crate) train: Vec<usize>,
    pub(crate) test: Vec<usize>,
}

/// The last 7 days to judge by, 7 days of waiting for labels before them, 7 days to train on before those.
///
/// A card that is known to be compromised is judged no more: one with a fraud in the training days, and
/// for each day of the test one with a fraud until 7 days before it.
pub(crate) fn split(payments: &[Payment]) -> Split {
    let last = payments.last().map_or(0, Payment::day);
    let begin = last - 3 * DAYS + 1;
    let within = |from: i64| {
        let days = from..from + DAYS;
        move |at: &usize| days.contains(&payments[*at].day())
    };
    let train: Vec<usize> = (0..payments.len()).filter(within(begin)).collect();
    let bad = train.iter().filter(|at| payments[**at].fraud);
    let mut known: HashSet<u64> = bad.map(|at| payments[*at].card).collect();
    let mut test = Vec::new();
    for day in 0..DAYS {
        let new = payments.iter().filter(|p| p.fraud && p.day() == begin + DAYS + day - 1);
        known.extend(new.map(|payment| payment.card));
        let here = |at: &usize| payments[*at].day() == begin + 2 * DAYS + day;
        let here = (0..payments.len()).filter(here);
        test.extend(here.filter(|at| !known.contains(&payments[*at].card)));
    }
    Split { train, test }
}

/// Of the 100 cards with the highest scores of a day, how many were compromised: the mean over days. Cards
/// that were found are taken out of the days after.
pub(crate) fn card_precision(payments: &[Payment], test: &[usize], scores: &[f32]) -> f64 {
    let mut days: Vec<i64> = test.iter().map(|at| payments[*at].day()).collect();
    days.dedup();
    let (mut found, mut sum) = (HashSet::new(), 0.0);
    for day in &days {
        let mut cards: HashMap<u64, (f32, bool)> = HashMap::new();
        for (at, score) in test.iter().zip(scores) {
            let payment = &payments[*at];
            if payment.day() == *day && !found.contains(&payment.card) {
                let card = cards.entry(payment.card).or_insert((f32::MIN, false));
                *card = (card.0.max(*score), card.1 || payment.fraud);
            }
        }
        let mut order: Vec<(u64, (f32, bool))> = cards.into_iter().collect();
        order.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
        let hits: Vec<u64> =
            order.iter().take(CARDS).filter(|card| card.1.1).map(|card| card.0).collect();
        sum += hits.len() as f64 / CARDS as f64;
        found.extend(hits);
    }
    sum / days.len().max(1) as f64
}
