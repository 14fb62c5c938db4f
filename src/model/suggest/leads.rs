//! LeadsTo: finds the queries that lead to what a user seems to want.

use super::{
    stored::{ABOUT, tag},
    wanted::Wanted,
};
use crate::{
    error::{Error, Result},
    filter::attr,
    key::{Addr, Row},
    limits::LIMIT_MAX,
    recommend::{Allowed, Context, Found, Interest, Retrieve, Summarize},
};
use std::{collections::HashMap, sync::Arc};

/// Finds the queries among whose first items are what a user wants; each is worth the sum of what its items
/// are wanted.
///
/// As a summarizer it says the interests of the user.
///
/// ```
/// use bowerbird::{model::suggest::*, Key, recommend::Recommender};
/// let wanted = Wanted::items([(Key::Id(7), 1.0), (Key::Id(9), 0.5)]);
/// let suggest = Recommender::new().retrieve(LeadsTo::new(wanted, 200));
/// ```
#[derive(Clone, Debug)]
pub struct LeadsTo {
    wanted: Arc<Wanted>,
    limit: usize,
}

impl LeadsTo {
    /// To what is wanted, at most `limit` queries.
    pub fn new(wanted: impl Into<Arc<Wanted>>, limit: usize) -> LeadsTo {
        LeadsTo { wanted: wanted.into(), limit }
    }
}

impl Summarize for LeadsTo {
    fn name(&self) -> String {
        "LeadsTo".into()
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let known = |interest: &&Interest| cx.snapshot.schema().find_space(&interest.space).is_ok();
        Ok(self.wanted.interests.iter().filter(known).cloned().collect())
    }
}

impl Retrieve for LeadsTo {
    fn name(&self) -> String {
        "LeadsTo".into()
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            let why = format!("is {}; 1 to {LIMIT_MAX}", self.limit);
            return Err(Error::invalid("limit of LeadsTo", why));
        }
        let mut sums: HashMap<Addr, f64> = HashMap::new();
        for (key, weight) in &self.wanted.items {
            let rows = cx.snapshot.allowed(&attr(ABOUT).is(tag(key)))?;
            for ((part, rows), allowed) in (0u32..).zip(rows).zip(allowed.rows()) {
                for row in rows & allowed {
                    *sums.entry(Addr { part, row: Row(row) }).or_default() += f64::from(*weight);
                }
            }
        }
        let mut best: Vec<(f64, Addr)> = sums.into_iter().map(|(addr, sum)| (sum, addr)).collect();
        let order = |a: &(f64, Addr), b: &(f64, Addr)| b.0.total_cmp(&a.0);
        if best.len() > self.limit {
            let (_, last, _) = best.select_nth_unstable_by(self.limit - 1, order);
            let least = last.0;
            best.retain(|(sum, _)| *sum >= least);
        }
        let with_keys = best.into_iter().map(|(sum, addr)| Ok((sum, cx.snapshot.key(addr)?, addr)));
        let mut best = with_keys.collect::<Result<Vec<_>>>()?;
        best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        best.truncate(self.limit);
        best.into_iter().for_each(|(sum, _, addr)| found.push(addr, sum as f32));
        Ok(())
    }
}
