//! Operators that look at a number attribute: what has the largest, and how large it is.

use crate::{
    error::{Error, Result},
    key::{Addr, Row},
    recommend::{Allowed, Candidates, Context, Found, Retrieve, Score, retrieve::check_limit},
    schema::AttrType,
    segment::Numbers,
};
use roaring::RoaringBitmap;

/// Finds what has the largest number in an attribute: a price, a rating, how often a query was asked.
///
/// Where many items are allowed it reads the order of the numbers from its end, else the numbers of the
/// allowed items.
///
/// ```
/// let best_rated = bowerbird::recommend::Highest::new("stars", 100);
/// ```
#[derive(Clone, Debug)]
pub struct Highest {
    attr: String,
    limit: usize,
}

/// How much longer than expected the order is read before the numbers are read instead: what is allowed
/// may have small numbers only.
const PATIENCE: u64 = 4;

impl Highest {
    /// By this attribute (an int, a float or a time), at most `limit` items.
    pub fn new(attr: &str, limit: usize) -> Highest {
        Highest { attr: attr.into(), limit }
    }
}

/// The number of an attribute of numbers.
fn number_attr(cx: &Context<'_>, name: &str) -> Result<u16> {
    let attr = cx.snapshot.schema().find_attr(name)?;
    match attr.ty {
        AttrType::Int | AttrType::Float | AttrType::Time => Ok(attr.id),
        ty => {
            let why = format!("is a {ty:?}; only an int, a float or a time is a number");
            Err(Error::invalid(format!("attribute {name:?}"), why))
        }
    }
}

/// The number of a candidate in an attribute: a rating, a price, a popularity that was counted elsewhere.
///
/// ```
/// use bowerbird::recommend::{NumberOf, Similarity, Weighted};
/// let score = Weighted::new().scaled(0.8, Similarity::new("text")).scaled(0.2, NumberOf::new("stars"));
/// ```
#[derive(Clone, Debug)]
pub struct NumberOf {
    attr: String,
    missing: f32,
}

impl NumberOf {
    /// Of this attribute (an int, a float or a time in milliseconds); 0 for an item that has none.
    pub fn new(attr: &str) -> NumberOf {
        NumberOf { attr: attr.into(), missing: 0.0 }
    }

    /// What an item that has none scores.
    pub fn missing(mut self, score: f32) -> NumberOf {
        self.missing = score;
        self
    }
}

impl Score for NumberOf {
    fn name(&self) -> String {
        format!("NumberOf({})", self.attr)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let attr = number_attr(cx, &self.attr)?;
        let parts = cx.snapshot.version.parts.iter().map(|part| part.segment.numbers(attr));
        let parts: Vec<Option<Numbers<'_>>> = parts.collect::<Result<_>>()?;
        for (score, addr) in scores.iter_mut().zip(candidates.addrs()) {
            let numbers = parts[addr.part as usize].as_ref();
            let number = numbers.and_then(|numbers| numbers.get(addr.row.0));
            *score = number.map_or(self.missing, |number| number as f32);
        }
        Ok(())
    }
}

impl Retrieve for Highest {
    fn name(&self) -> String {
        format!("Highest({})", self.attr)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("Highest", self.limit)?;
        let attr = number_attr(cx, &self.attr)?;
        let mut best = Vec::new();
        for (part, rows) in (0u32..).zip(allowed.rows()) {
            let segment = &cx.snapshot.version.parts[part as usize].segment;
            let Some(numbers) = segment.numbers(attr)? else { continue };
            for (number, row) in highest(&numbers, rows, self.limit)? {
                let addr = Addr { part, row: Row(row) };
                best.push((number, cx.snapshot.key(addr)?, addr));
            }
        }
        best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (number, _, addr) in best.into_iter().take(self.limit) {
            found.push(addr, number as f32);
        }
        Ok(())
    }
}

/// The best of some rows, largest first, equal ones by row.
fn highest(numbers: &Numbers<'_>, rows: &RoaringBitmap, limit: usize) -> Result<Vec<(f64, u32)>> {
    let (count, allowed) = (u64::from(numbers.count()), rows.len());
    let expected = (limit as u64).saturating_mul(count) / allowed.max(1);
    let ordered = match expected < allowed {
        true => by_order(numbers, rows, (limit, expected.saturating_mul(PATIENCE)))?,
        false => None,
    };
    if let Some(best) = ordered {
        return Ok(best);
    }
    let number = |row: u32| Some((numbers.get(row)?, row));
    let mut best: Vec<(f64, u32)> = rows.iter().filter_map(number).collect();
    let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if best.len() > limit {
        best.select_nth_unstable_by(limit, order);
        best.truncate(limit);
    }
    best.sort_unstable_by(order);
    Ok(best)
}

/// The same from the end of the order; `None` if after so many places there are not enough.
fn by_order(
    numbers: &Numbers<'_>,
    rows: &RoaringBitmap,
    (limit, patience): (usize, u64),
) -> Result<Option<Vec<(f64, u32)>>> {
    let mut best: Vec<(f64, u32)> = Vec::new();
    for (steps, place) in (0..numbers.count()).rev().enumerate() {
        let row = numbers.row(place)?;
        let Some(number) = numbers.get(row) else { continue };
        // Equal numbers are in the order of their rows, so all of them are read before they are cut.
        if best.len() >= limit && best.last().is_some_and(|last| last.0 != number) {
            break;
        }
        if steps as u64 > patience {
            return Ok(None);
        }
        if rows.contains(row) {
            best.push((number, row));
        }
    }
    best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let enough = best.len() >= limit;
    best.truncate(limit);
    Ok(enough.then_some(best))
}
