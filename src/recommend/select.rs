//! Selectors: the best, the best and different, at most so many of a kind.

use crate::{
    error::{Error, Result},
    item::Value,
    recommend::{Context, Ranked, SUNK, Select, fusion::min_max},
};
use std::collections::HashMap;

/// The best, in order.
///
/// ```
/// let top = bowerbird::recommend::Recommender::new().select(bowerbird::recommend::Top);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Top;

impl Select for Top {
    fn name(&self) -> String {
        "Top".into()
    }

    fn select(&self, _: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        Ok((0..ranked.len().min(limit)).collect())
    }
}

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): each place goes to the item with the
/// best (1 - weight) x score - weight x similarity to the most similar item chosen before.
///
/// Scores are brought to 0..1 over the candidates, similarity is the cosine in a space, and an item
/// without a vector there is similar to nothing. The choice is among the best 10 x limit candidates.
///
/// ```
/// let varied = bowerbird::recommend::Diverse::new("text", 0.3);
/// ```
#[derive(Clone, Debug)]
pub struct Diverse {
    space: String,
    weight: f32,
}

/// Candidates looked at per item of the slate.
const POOL: usize = 10;

impl Diverse {
    /// With a weight in 0..=1: 0 takes the best, 1 only cares for difference.
    pub fn new(space: &str, weight: f32) -> Diverse {
        Diverse { space: space.into(), weight }
    }
}

impl Select for Diverse {
    fn name(&self) -> String {
        format!("Diverse({}, {})", self.space, self.weight)
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        cx.snapshot.schema().find_space(&self.space)?;
        let pool = ranked.len().min(limit.saturating_mul(POOL));
        let mut vectors = Vec::with_capacity(pool);
        for place in 0..pool {
            let mut vector = Vec::new();
            cx.snapshot.vector(ranked.addr(place), &self.space, &mut vector)?;
            vectors.push(unit(vector));
        }
        let similar = |a: usize, b: usize| cosine(&vectors[a], &vectors[b]);
        marginal(ranked, self.weight, (pool, limit), similar)
    }
}

/// Chooses by maximal marginal relevance among the first places, `pool` of them.
pub(crate) fn marginal(
    ranked: &Ranked<'_>,
    weight: f32,
    (pool, limit): (usize, usize),
    similar: impl Fn(usize, usize) -> f32,
) -> Result<Vec<usize>> {
    if !(0.0..=1.0).contains(&weight) {
        let why = format!("is {weight}; it must be 0 to 1");
        return Err(Error::invalid("weight of diversity", why));
    }
    let mut scores: Vec<f32> = (0..pool).map(|place| ranked.score(place)).collect();
    // What had no finite score comes last, and has no part in the scale of the others.
    let good = scores.partition_point(|score| *score > SUNK);
    min_max(&mut scores[..good]);
    scores[good..].fill(0.0);
    Ok(greedy(&scores, good, similar, (weight, limit)))
}

/// Walks the slate place by place; ties go to the better ranked, and what is not among the first `good`
/// comes after all that are.
fn greedy(
    scores: &[f32],
    good: usize,
    similar: impl Fn(usize, usize) -> f32,
    (weight, limit): (f32, usize),
) -> Vec<usize> {
    let mut nearest = vec![0f32; scores.len()];
    let mut left: Vec<usize> = (0..scores.len()).collect();
    let mut chosen = Vec::with_capacity(limit.min(scores.len()));
    while chosen.len() < limit && !left.is_empty() {
        let value = |place: usize| (1.0 - weight) * scores[place] - weight * nearest[place];
        let mut best = 0;
        // The good ones that are left come first.
        let among = if left[0] < good { left.partition_point(|at| *at < good) } else { left.len() };
        for at in 1..among {
            if value(left[at]) > value(left[best]) {
                best = at;
            }
        }
        let place = left.remove(best);
        for other in &left {
            let similar = similar(place, *other);
            // The first chosen sets it, also below zero: opposites are welcome.
            let first = chosen.is_empty();
            nearest[*other] = if first { similar } else { nearest[*other].max(similar) };
        }
        chosen.push(place);
    }
    chosen
}

/// The vector at length 1; empty if it has no direction.
fn unit(vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match norm > 0.0 {
        true => vector.into_iter().map(|x| (f64::from(x) / norm) as f32).collect(),
        false => Vec::new(),
    }
}

/// Of unit vectors, in eight sums side by side.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        (0..8).for_each(|i| sums[i] += x[i] * y[i]);
    }
    // An empty vector is similar to nothing.
    if a.len() == b.len() { sums.iter().sum::<f32>() + rest } else { 0.0 }
}

/// The best, but at most so many with each value of a tag attribute. An item with several tags counts
/// for each; one without is not limited. The slate may be shorter than asked for.
///
/// ```
/// let mixed = bowerbird::recommend::Quota::new("genre", 3);
/// ```
#[derive(Clone, Debug)]
pub struct Quota {
    attr: String,
    most: usize,
}

impl Quota {
    /// At most `most` items per value.
    pub fn new(attr: &str, most: usize) -> Quota {
        Quota { attr: attr.into(), most }
    }
}

impl Select for Quota {
    fn name(&self) -> String {
        format!("Quota({}, {})", self.attr, self.most)
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut chosen = Vec::new();
        for place in 0..ranked.len() {
            if chosen.len() == limit {
                break;
            }
            let tags = match cx.snapshot.value(ranked.addr(place), &self.attr)? {
                Some(Value::Text(tag)) => vec![tag],
                Some(Value::Tags(tags)) => tags,
                Some(_) => {
                    let what = format!("attribute {:?}", self.attr);
                    return Err(Error::invalid(what, "has no tags to count"));
                }
                None => Vec::new(),
            };
            if tags.iter().all(|tag| counts.get(tag).copied().unwrap_or(0) < self.most) {
                tags.into_iter().for_each(|tag| *counts.entry(tag).or_default() += 1);
                chosen.push(place);
            }
        }
        Ok(chosen)
    }
}
