//! Judging recommenders by full ranking: who finds the item that came next?

use super::Outcome;
use bowerbird::{
    Key, Snapshot, Timestamp,
    recommend::{Recommender, Request},
};

/// A user whose next item is known.
pub(crate) struct Case {
    pub(crate) user: u64,
    pub(crate) target: u64,
}

/// Shares over cases.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    pub(crate) hr_10: f64,
    pub(crate) ndcg_10: f64,
    pub(crate) cases: usize,
}

/// Asks for ten items for each case, on several threads.
pub(crate) fn judge(
    snapshot: &Snapshot,
    recommender: &Recommender,
    cases: &[&Case],
    threads: usize,
) -> Outcome<Quality> {
    let piece = cases.len().div_ceil(threads.max(1)).max(1);
    let sums = std::thread::scope(|scope| {
        let pieces = cases.chunks(piece);
        let handles: Vec<_> =
            pieces.map(|some| scope.spawn(move || sum(snapshot, recommender, some))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect::<Vec<_>>()
    });
    let (mut hits, mut gains) = (0usize, 0.0);
    for sum in sums {
        let (some, gain) = sum?;
        hits += some;
        gains += gain;
    }
    let count = cases.len().max(1) as f64;
    Ok(Quality { hr_10: hits as f64 / count, ndcg_10: gains / count, cases: cases.len() })
}

fn sum(
    snapshot: &Snapshot,
    recommender: &Recommender,
    cases: &[&Case],
) -> bowerbird::Result<(usize, f64)> {
    let (mut hits, mut gains) = (0, 0.0);
    for case in cases {
        let slate = recommender.run(snapshot, &Request::new(10, Timestamp::MAX).user(case.user))?;
        let target = Key::Id(case.target);
        if let Some(at) = slate.items.iter().position(|item| item.key == target) {
            hits += 1;
            gains += 1.0 / (at as f64 + 2.0).log2();
        }
    }
    Ok((hits, gains))
}
