//! The handbook's test week: its features, computed by the library, and logistic regression.

use super::{
    Outcome,
    data::{DELAY_DAYS, Payment, events},
    learner,
    protocol::{Split, card_precision, split},
};
use bowerbird::{
    Snapshot, days,
    model::{
        classify::{Classifier, FitClassifier},
        flow::{Entity, Flow, FlowStream},
    },
};
use std::collections::HashMap;

/// The handbook's windows: of the customer, and of the terminal with a delay.
pub(crate) fn flow() -> Flow {
    let windows = || [days(1), days(7), days(30)];
    Flow::new("pay").marked("fraud").velocity(Entity::User, windows()).risk(
        Entity::Item,
        days(DELAY_DAYS),
        windows(),
    )
}

/// What the handbook's features are called here: those of a payment alone, and of the flow. It has counts
/// and means of the customer, but no sums.
pub(crate) fn names(flow: &Flow) -> Vec<String> {
    let own = ["amount", "weekend", "night"].map(str::to_owned);
    own.into_iter().chain(flow.names().into_iter().filter(|name| !name.contains(" sum "))).collect()
}

/// The same of one payment.
pub(crate) fn row(flow: &Flow, payment: &Payment, features: &[f32]) -> Vec<f32> {
    let own = [
        payment.amount,
        f32::from(u8::from(payment.weekend())),
        f32::from(u8::from(payment.night())),
    ];
    let names = flow.names();
    let others = names.iter().zip(features).filter(|(name, _)| !name.contains(" sum "));
    own.into_iter().chain(others.map(|(_, x)| *x)).collect()
}

/// How well frauds were told.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) auc: f64,
    pub(crate) average_precision: f64,
    pub(crate) card_precision: f64,
}

/// Figures of the week.
pub(crate) struct Week {
    pub(crate) figures: Figures,
    /// Those of boosted trees, if they can be trained.
    pub(crate) trees: Option<Figures>,
    pub(crate) test: usize,
    pub(crate) frauds: usize,
    pub(crate) learner: Classifier,
    /// The stream as of just before the test week, and where that begins.
    pub(crate) stream: FlowStream,
    pub(crate) begin: usize,
}

/// Features of all payments that matter, as they come in; trained, and judged.
pub(crate) fn run(payments: &[Payment], snapshot: &Snapshot) -> Outcome<Week> {
    let (flow, Split { train, test }) = (flow(), split(payments));
    let numbers: HashMap<u64, usize> =
        payments.iter().enumerate().map(|(at, payment)| (payment.id, at)).collect();
    let wanted: std::collections::HashSet<usize> = train.iter().chain(&test).copied().collect();
    let begin = test.first().copied().unwrap_or(0);
    let mut rows: HashMap<usize, Vec<f32>> = HashMap::new();
    let (mut stream, mut before) = (flow.stream()?, None);
    for event in events(payments) {
        let at = event.request.and_then(|id| numbers.get(&id).copied()).unwrap_or(0);
        if event.kind == "pay" && wanted.contains(&at) {
            if at == begin {
                before = Some(stream.clone());
            }
            let features = stream.features(&event)?;
            // A stream that runs along, and the database asked as of then, say the same.
            if at % 499 == 0 {
                assert_eq!(features, flow.read(snapshot, &event)?, "payment {}", payments[at].id);
            }
            rows.insert(at, row(&flow, &payments[at], &features));
        }
        stream.push(&event)?;
    }
    let of = |list: &[usize]| -> Vec<Vec<f32>> { list.iter().map(|at| rows[at].clone()).collect() };
    let labels = |list: &[usize]| -> Vec<f32> {
        list.iter().map(|at| f32::from(u8::from(payments[*at].fraud))).collect()
    };
    let judged = |how: &FitClassifier| -> Outcome<(Classifier, Figures)> {
        let learner = learner::fit(how, &names(&flow), &of(&train), &labels(&train))?;
        let scores = learner.probabilities(&of(&test).concat())?;
        let quality = learner::judge(&scores, &labels(&test))?;
        let card_precision = card_precision(payments, &test, &scores);
        let (auc, average_precision) = (quality.auc, quality.average_precision);
        Ok((learner, Figures { auc, average_precision, card_precision }))
    };
    let (learner, figures) = judged(&FitClassifier::logistic())?;
    #[cfg(feature = "boosting")]
    let trees = Some(judged(&FitClassifier::boosting())?.1);
    #[cfg(not(feature = "boosting"))]
    let trees = None;
    Ok(Week {
        figures,
        trees,
        test: test.len(),
        frauds: test.iter().filter(|at| payments[**at].fraud).count(),
        learner,
        stream: before.unwrap_or(stream),
        begin,
    })
}
