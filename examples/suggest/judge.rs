//! Judging: whether what a user did next is among the first items of a query that was suggested.

use crate::{
    data::Data,
    shop::{END, Shop, for_you},
};
use bowerbird::{model::suggest::*, recommend::*, *};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Queries shown at once.
pub(crate) const SHOWN: usize = 5;

/// A user, what was wanted by what was known, and the movie that came next.
pub(crate) struct Case {
    user: u64,
    pub(crate) wanted: Wanted,
    next: u64,
}

/// What a way to suggest was worth.
#[derive(Clone, Copy, Default)]
pub(crate) struct Worth {
    pub(crate) hits: f64,
    pub(crate) exploratory: f64,
    /// Mean distance (1 - cosine) of the queries shown together.
    pub(crate) distance: f64,
    pub(crate) p99: Duration,
}

/// Cases of the last movie (`back` = 0) or the one before, for each user with enough of them, of every
/// `step`-th user.
pub(crate) fn cases(data: &Data, shop: &Shop, back: usize, step: usize) -> Result<Vec<Case>> {
    let (snapshot, for_you) = (shop.catalog.snapshot(), for_you());
    let mut cases = Vec::new();
    for (user, seen) in (0u64..).zip(&data.users).step_by(step).filter(|(_, seen)| seen.len() > 4) {
        let now = Timestamp(END - 1 - back as i64);
        let wanted = Wanted::of(&snapshot, &for_you, &Request::new(100, now).user(user))?;
        cases.push(Case { user, wanted, next: seen[seen.len() - 1 - back] });
    }
    Ok(cases)
}

/// Asks a way to suggest for every case.
pub(crate) fn judge(
    queries: &Snapshot,
    cases: &[Case],
    mut suggest: impl FnMut(&Case, &Request) -> Result<Slate>,
) -> Result<Worth> {
    let (mut worth, mut times) = (Worth::default(), Vec::new());
    let mut shown = 0usize;
    for case in cases {
        let request = Request::new(SHOWN, Timestamp(END)).seed(case.user);
        let start = Instant::now();
        let slate = suggest(case, &request)?;
        times.push(start.elapsed());
        let mut about = BTreeSet::new();
        for item in &slate.items {
            if let Some(Value::Tags(keys)) = queries.value(item.addr, "about")? {
                about.extend(keys);
            }
            let kind = queries.value(item.addr, "kind")?;
            worth.exploratory +=
                f64::from(u8::from(kind == Some(Value::Text("exploratory".into()))));
        }
        shown += slate.items.len();
        worth.hits += f64::from(u8::from(about.contains(&case.next.to_string())));
        worth.distance += distance(queries, &slate)?;
    }
    times.sort_unstable();
    let count = cases.len().max(1) as f64;
    Ok(Worth {
        hits: worth.hits / count,
        exploratory: worth.exploratory / shown.max(1) as f64,
        distance: worth.distance / count,
        p99: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
    })
}

fn distance(queries: &Snapshot, slate: &Slate) -> Result<f64> {
    let mut vectors = Vec::new();
    for item in &slate.items {
        let mut vector = Vec::new();
        if queries.vector(item.addr, "text", &mut vector)? {
            vectors.push(vector);
        }
    }
    let (mut sum, mut pairs) = (0.0, 0);
    for (at, a) in vectors.iter().enumerate() {
        for b in &vectors[..at] {
            sum += 1.0 - a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            pairs += 1;
        }
    }
    Ok(if pairs > 0 { sum / f64::from(pairs) } else { 0.0 })
}
