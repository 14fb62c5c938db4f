//! Retrievers: near an interest, like an item, popular, fresh.

use crate::{
    error::{Error, Result},
    item::Value,
    key::{Addr, Timestamp},
    limits::{EFFORT_MAX, LIMIT_MAX},
    recommend::{
        Allowed, Context, Found, Interest, Retrieve, counts::Counting, summarize::check_half_life,
    },
    schema::{AttrType, Space},
    search::scan::Blend,
    store::{
        check_number,
        nearest::{self, Depth, Question},
        sieve::Sieve,
    },
};
use std::{sync::Arc, time::Duration};

/// How far graphs are walked unless the caller says: retrievers ask for many items, and misses are
/// what later steps cannot repair.
pub(super) const EFFORT: u32 = 96;

pub(super) fn check_limit(name: &str, limit: usize) -> Result<()> {
    match limit {
        1..=LIMIT_MAX => Ok(()),
        n => Err(Error::invalid(format!("limit of {name}"), format!("is {n}; 1 to {LIMIT_MAX}"))),
    }
}

/// Finds what is nearest to the interests in a space, by walks where there are graphs.
///
/// Several interests share the limit by weight, each at least one, and take turns. Interests without
/// a positive weight find nothing.
///
/// ```
/// let near = bowerbird::recommend::NearInterests::new("text", 500).effort(200);
/// ```
#[derive(Clone, Debug)]
pub struct NearInterests {
    space: String,
    limit: usize,
    effort: u32,
}

impl NearInterests {
    /// At most `limit` items.
    pub fn new(space: &str, limit: usize) -> NearInterests {
        NearInterests { space: space.into(), limit, effort: EFFORT }
    }

    /// How far graphs are walked, 1 to 10,000, as [`Near::effort`](crate::Near::effort) says; 96
    /// unless set.
    pub fn effort(mut self, effort: u32) -> NearInterests {
        self.effort = effort;
        self
    }
}

impl Retrieve for NearInterests {
    fn name(&self) -> String {
        format!("NearInterests({})", self.space)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("NearInterests", self.limit)?;
        check_number("effort of NearInterests", self.effort as usize, EFFORT_MAX as usize)?;
        let space = cx.snapshot.space(&self.space)?;
        let sieves = sieves(cx, allowed);
        let here = |i: &&Interest| i.space == self.space && i.weight > 0.0 && i.weight.is_finite();
        let interests: Vec<&Interest> = cx.interests.iter().filter(here).collect();
        let total: f64 = interests.iter().map(|i| f64::from(i.weight)).sum();
        let mut lists = Vec::with_capacity(interests.len());
        for interest in interests {
            let share = f64::from(interest.weight) / total * self.limit as f64;
            let share = (share.ceil() as usize).clamp(1, self.limit);
            lists.push(nearest(cx, &space, &interest.vector, &sieves, (share, self.effort))?);
        }
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        for place in 0..longest {
            for (addr, score) in lists.iter().filter_map(|list| list.get(place)) {
                if found.len() < self.limit {
                    found.push(*addr, *score);
                }
            }
        }
        Ok(())
    }
}

pub(super) fn sieves<'a>(cx: &Context<'a>, allowed: &'a Allowed) -> Vec<Sieve<'a>> {
    let parts = cx.snapshot.version.parts.iter();
    parts.zip(allowed.rows()).map(|(part, rows)| Sieve::only(part, rows)).collect()
}

/// The nearest allowed items.
fn nearest(
    cx: &Context<'_>,
    space: &Arc<Space>,
    vector: &[f32],
    sieves: &[Sieve<'_>],
    (limit, effort): (usize, u32),
) -> Result<Vec<(Addr, f32)>> {
    let queries = &[nearest::prepare(space, vector, 1.0)?];
    let (blend, depth) = (Blend::Sum, Depth::Effort(effort));
    let question = Question { queries, blend, limit, depth, after: None };
    let (hits, _) = nearest::search(cx.snapshot, sieves, &question, 1)?;
    Ok(hits.into_iter().map(|hit| (hit.addr, hit.score)).collect())
}

/// Finds what is nearest to the request's item in a space; nothing without an item or its vector.
///
/// ```
/// let alike = bowerbird::recommend::SimilarTo::new("image", 100).effort(200);
/// ```
#[derive(Clone, Debug)]
pub struct SimilarTo {
    space: String,
    limit: usize,
    effort: u32,
}

impl SimilarTo {
    /// At most `limit` items.
    pub fn new(space: &str, limit: usize) -> SimilarTo {
        SimilarTo { space: space.into(), limit, effort: EFFORT }
    }

    /// How far graphs are walked, 1 to 10,000, as [`Near::effort`](crate::Near::effort) says; 96
    /// unless set.
    pub fn effort(mut self, effort: u32) -> SimilarTo {
        self.effort = effort;
        self
    }
}

impl Retrieve for SimilarTo {
    fn name(&self) -> String {
        format!("SimilarTo({})", self.space)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("SimilarTo", self.limit)?;
        check_number("effort of SimilarTo", self.effort as usize, EFFORT_MAX as usize)?;
        let space = cx.snapshot.space(&self.space)?;
        let Some(item) = &cx.request.item else { return Ok(()) };
        let addr = cx.snapshot.find(item)?.ok_or_else(|| Error::missing("item", item))?;
        let mut vector = Vec::new();
        if cx.snapshot.vector(addr, &self.space, &mut vector)? {
            let (sieves, far) = (sieves(cx, allowed), (self.limit, self.effort));
            for (addr, score) in nearest(cx, &space, &vector, &sieves, far)? {
                found.push(addr, score);
            }
        }
        Ok(())
    }
}

/// Finds what is acted on most, events counting less the older they are.
///
/// ```
/// use bowerbird::{days, recommend::Popular};
/// let hot = Popular::new(["buy"], days(7), 100);
/// ```
#[derive(Clone, Debug)]
pub struct Popular {
    kinds: Vec<String>,
    half_life: Option<Duration>,
    limit: usize,
}

impl Popular {
    /// By events of these kinds (none means all), with a half-life.
    pub fn new<'k>(
        kinds: impl IntoIterator<Item = &'k str>,
        half_life: Duration,
        limit: usize,
    ) -> Popular {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        Popular { kinds, half_life: Some(half_life), limit }
    }

    /// By how often in all time.
    pub fn ever<'k>(kinds: impl IntoIterator<Item = &'k str>, limit: usize) -> Popular {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        Popular { kinds, half_life: None, limit }
    }
}

impl Retrieve for Popular {
    fn name(&self) -> String {
        format!("Popular({})", self.kinds.join(", "))
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("Popular", self.limit)?;
        self.half_life.map_or(Ok(()), |half_life| check_half_life("Popular", half_life))?;
        let counting = Counting::new(cx.snapshot, &self.kinds, self.half_life)?;
        let counts = counting.counts(cx.snapshot, cx.request.now)?;
        for (addr, sum) in counts.top(cx.snapshot, allowed, self.limit, cx.request.now)? {
            found.push(addr, sum as f32);
        }
        Ok(())
    }
}

/// Finds what is newest by a time attribute, at or before now: the cold start of an item.
///
/// ```
/// let new = bowerbird::recommend::Fresh::new("published", 50);
/// ```
#[derive(Clone, Debug)]
pub struct Fresh {
    attr: String,
    limit: usize,
}

impl Fresh {
    /// By this attribute, at most `limit` items.
    pub fn new(attr: &str, limit: usize) -> Fresh {
        Fresh { attr: attr.into(), limit }
    }
}

/// The number of a time attribute.
pub(crate) fn time_attr(cx: &Context<'_>, name: &str) -> Result<u16> {
    let attr = cx.snapshot.schema().find_attr(name)?;
    match attr.ty {
        AttrType::Time => Ok(attr.id),
        ty => {
            Err(Error::invalid(format!("attribute {name:?}"), format!("is a {ty:?}, not a time")))
        }
    }
}

/// The value of a time attribute of an item.
pub(crate) fn time_of(cx: &Context<'_>, addr: Addr, attr: u16) -> Result<Option<Timestamp>> {
    match cx.snapshot.segment(addr)?.value(addr.row.0, attr, AttrType::Time)? {
        Some(Value::Time(at)) => Ok(Some(at)),
        _ => Ok(None),
    }
}

impl Retrieve for Fresh {
    fn name(&self) -> String {
        format!("Fresh({})", self.attr)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("Fresh", self.limit)?;
        let (attr, now) = (time_attr(cx, &self.attr)?, cx.request.now);
        let mut newest = Vec::new();
        for (part, rows) in (0u32..).zip(allowed.rows()) {
            let segment = &cx.snapshot.version.parts[part as usize].segment;
            for (at, row) in segment.latest(attr, now.0, rows, self.limit)? {
                let addr = Addr { part, row: crate::key::Row(row) };
                newest.push((at, cx.snapshot.key(addr)?, addr));
            }
        }
        newest.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (at, _, addr) in newest.into_iter().take(self.limit) {
            // Days before now, so that hints of different requests can be compared.
            found.push(addr, ((at as f64 - now.0 as f64) / 86_400_000.0) as f32);
        }
        Ok(())
    }
}
