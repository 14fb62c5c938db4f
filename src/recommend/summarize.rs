//! Summarizers: from a query, an item or a history to weighted vectors.

use crate::{
    error::{Error, Result},
    key::Timestamp,
    recommend::{Context, Interest, Summarize},
};
use std::time::Duration;

/// The request's own query is an interest of weight 1.
///
/// ```
/// let search = bowerbird::recommend::Recommender::new().summarize(bowerbird::recommend::Query);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query;

impl Summarize for Query {
    fn name(&self) -> String {
        "Query".into()
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let query = cx.request.query.iter();
        Ok(query.map(|(space, vector)| Interest::new(space, vector.clone(), 1.0)).collect())
    }
}

/// The vector of the request's item is an interest of weight 1.
///
/// ```
/// let go_with = bowerbird::recommend::Source::new("text");
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    space: String,
}

impl Source {
    /// Its vector in a space.
    pub fn new(space: &str) -> Source {
        Source { space: space.into() }
    }
}

impl Summarize for Source {
    fn name(&self) -> String {
        format!("Source({})", self.space)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let Some(item) = &cx.request.item else { return Ok(Vec::new()) };
        let addr = cx.snapshot.find(item)?.ok_or_else(|| Error::missing("item", item))?;
        let mut vector = Vec::new();
        let there = cx.snapshot.vector(addr, &self.space, &mut vector)?;
        Ok(there.then(|| Interest::new(&self.space, vector, 1.0)).into_iter().collect())
    }
}

/// A vector of the history, when, and how much it counts.
struct Lived {
    at: Timestamp,
    vector: Vec<f32>,
    weight: f64,
}

/// The vectors of the latest `limit` events of some kinds whose items have one, newest first. `weigh` says
/// how much an event of a kind counts; 0 leaves it out.
fn lived(
    cx: &Context<'_>,
    space: &str,
    (kinds, limit): (&[String], usize),
    weigh: impl Fn(u8) -> f64,
) -> Result<Vec<Lived>> {
    let mut found = Vec::new();
    for deed in cx.past(kinds.iter().map(String::as_str))?.iter().rev() {
        let weight = weigh(deed.kind);
        if found.len() == limit {
            break;
        }
        let Some(addr) = cx.snapshot.find(&deed.item)? else { continue };
        let mut vector = Vec::new();
        if weight != 0.0 && cx.snapshot.vector(addr, space, &mut vector)? {
            found.push(Lived { at: deed.at, vector, weight });
        }
    }
    Ok(found)
}

/// The weighted mean; `None` if the weights or the vectors cancel out.
fn mean(all: &[Lived]) -> Option<Vec<f32>> {
    let total: f64 = all.iter().map(|lived| lived.weight.abs()).sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let mut sum = vec![0f64; all.first()?.vector.len()];
    for lived in all {
        let weight = lived.weight / total;
        sum.iter_mut().zip(&lived.vector).for_each(|(s, x)| *s += weight * f64::from(*x));
    }
    let mean: Vec<f32> = sum.into_iter().map(|s| s as f32).collect();
    mean.iter().any(|x| *x != 0.0).then_some(mean)
}

/// 1 now, a half after one half-life, and so on; the future counts as now.
pub(crate) fn decay(at: Timestamp, now: Timestamp, half_life: Duration) -> f64 {
    let age = (now.0 as f64 - at.0 as f64).max(0.0);
    (-age / (half_life.as_secs_f64() * 1e3)).exp2()
}

pub(crate) fn check_half_life(name: &str, half_life: Duration) -> Result<()> {
    match half_life.is_zero() {
        true => Err(Error::invalid(name, "a half-life must be longer than nothing")),
        false => Ok(()),
    }
}

fn owned<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Vec<String> {
    kinds.into_iter().map(str::to_owned).collect()
}

/// One interest: the mean vector of the latest items.
///
/// ```
/// let recent = bowerbird::recommend::Recent::new("text", 10);
/// ```
#[derive(Clone, Debug)]
pub struct Recent {
    space: String,
    kinds: Vec<String>,
    limit: usize,
}

impl Recent {
    /// Of the latest `limit` events.
    pub fn new(space: &str, limit: usize) -> Recent {
        Recent { space: space.into(), kinds: Vec::new(), limit }
    }

    /// Of events of these kinds; of all that count as [acts](crate::recommend::Recommender::acts) unless set.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Recent {
        self.kinds = owned(kinds);
        self
    }
}

impl Summarize for Recent {
    fn name(&self) -> String {
        format!("Recent({})", self.space)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        cx.snapshot.schema().find_space(&self.space)?;
        let mean = mean(&lived(cx, &self.space, (&self.kinds, self.limit), |_| 1.0)?);
        Ok(mean.map(|vector| Interest::new(&self.space, vector, 1.0)).into_iter().collect())
    }
}

/// One interest: the mean vector of the history, events counting less the older they are.
///
/// ```
/// use bowerbird::{days, recommend::Decayed};
/// let taste = Decayed::new("text", days(14));
/// ```
#[derive(Clone, Debug)]
pub struct Decayed {
    space: String,
    kinds: Vec<String>,
    half_life: Duration,
}

impl Decayed {
    /// With a half-life.
    pub fn new(space: &str, half_life: Duration) -> Decayed {
        Decayed { space: space.into(), kinds: Vec::new(), half_life }
    }

    /// Of events of these kinds; of all that count as [acts](crate::recommend::Recommender::acts) unless set.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Decayed {
        self.kinds = owned(kinds);
        self
    }
}

impl Summarize for Decayed {
    fn name(&self) -> String {
        format!("Decayed({})", self.space)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        check_half_life("Decayed", self.half_life)?;
        cx.snapshot.schema().find_space(&self.space)?;
        let mut all = lived(cx, &self.space, (&self.kinds, usize::MAX), |_| 1.0)?;
        // Relative to the newest, so that old histories do not vanish in rounding.
        let newest = all.iter().map(|lived| lived.at).max().unwrap_or_default();
        all.iter_mut().for_each(|l| l.weight = decay(l.at, newest, self.half_life));
        let mean = mean(&all);
        Ok(mean.map(|vector| Interest::new(&self.space, vector, 1.0)).into_iter().collect())
    }
}

/// One interest from weighted feedback: towards what was liked, away from what was not (Rocchio,
/// 1971), each kind of event with its weight.
///
/// ```
/// let taste = bowerbird::recommend::Feedback::new("text", [("buy", 1.0), ("dislike", -0.5)]);
/// ```
#[derive(Clone, Debug)]
pub struct Feedback {
    space: String,
    weights: Vec<(String, f32)>,
}

impl Feedback {
    /// Kinds that are not named do not count.
    pub fn new<'k>(space: &str, weights: impl IntoIterator<Item = (&'k str, f32)>) -> Feedback {
        let weights = weights.into_iter().map(|(kind, w)| (kind.to_owned(), w)).collect();
        Feedback { space: space.into(), weights }
    }
}

impl Summarize for Feedback {
    fn name(&self) -> String {
        format!("Feedback({})", self.space)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let schema = cx.snapshot.schema();
        schema.find_space(&self.space)?;
        let mut weights = vec![0.0; schema.events().len()];
        for (kind, weight) in &self.weights {
            if !weight.is_finite() {
                return Err(Error::invalid("Feedback", format!("weight of {kind:?} is {weight}")));
            }
            weights[usize::from(schema.find_event(kind)?)] = f64::from(*weight);
        }
        let weigh = |kind: u8| weights.get(usize::from(kind)).copied().unwrap_or(0.0);
        let kinds: Vec<String> = self.weights.iter().map(|(kind, _)| kind.clone()).collect();
        let mean = mean(&lived(cx, &self.space, (&kinds, usize::MAX), weigh)?);
        Ok(mean.map(|vector| Interest::new(&self.space, vector, 1.0)).into_iter().collect())
    }
}

/// Several interests: the history is split into clusters, and the most central item of each speaks
/// for it, weighted by the cluster's decayed share (PinnerSage; Pal et al., 2020).
///
/// Clusters are found by k-medoids: greedy seeding and alternation (Park and Jun, 2009), over at most
/// the latest 200 items, so the answer needs no chance.
///
/// ```
/// use bowerbird::{days, recommend::Clustered};
/// let tastes = Clustered::new("text", 4, days(30));
/// ```
#[derive(Clone, Debug)]
pub struct Clustered {
    space: String,
    kinds: Vec<String>,
    clusters: usize,
    half_life: Duration,
}

/// Items that are clustered: the cost is quadratic.
const CLUSTERED_MAX: usize = 200;

impl Clustered {
    /// At most so many clusters.
    pub fn new(space: &str, clusters: usize, half_life: Duration) -> Clustered {
        Clustered { space: space.into(), kinds: Vec::new(), clusters, half_life }
    }

    /// Of events of these kinds; of all that count as [acts](crate::recommend::Recommender::acts) unless set.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> Clustered {
        self.kinds = owned(kinds);
        self
    }
}

impl Summarize for Clustered {
    fn name(&self) -> String {
        format!("Clustered({})", self.space)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        check_half_life("Clustered", self.half_life)?;
        if self.clusters == 0 {
            return Err(Error::invalid("Clustered", "needs at least one cluster"));
        }
        cx.snapshot.schema().find_space(&self.space)?;
        let all = lived(cx, &self.space, (&self.kinds, CLUSTERED_MAX), |_| 1.0)?;
        let newest = all.iter().map(|lived| lived.at).max().unwrap_or_default();
        let (medoids, owners) = k_medoids(&distances(&all), all.len(), self.clusters);
        let mut weights = vec![0.0; medoids.len()];
        for (owner, lived) in owners.iter().zip(&all) {
            weights[*owner] += decay(lived.at, newest, self.half_life);
        }
        let total: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..medoids.len()).collect();
        order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
        let interest = |c: usize| {
            let vector = all[medoids[c]].vector.clone();
            let zero = vector.iter().all(|x| *x == 0.0);
            let weight = (weights[c] / total) as f32;
            (!zero).then(|| Interest::new(&self.space, vector, weight))
        };
        Ok(order.into_iter().filter_map(interest).collect())
    }
}

/// Squared Euclidean distances, all pairs.
fn distances(all: &[Lived]) -> Vec<f64> {
    let mut distances = Vec::with_capacity(all.len() * all.len());
    for a in all {
        for b in all {
            let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
            distances.push(a.vector.iter().zip(&b.vector).map(square).sum());
        }
    }
    distances
}

/// The medoids, and for each point the number of its medoid. Ties go to the smaller number.
pub(crate) fn k_medoids(distances: &[f64], count: usize, k: usize) -> (Vec<usize>, Vec<usize>) {
    let far = |a: usize, b: usize| distances[a * count + b];
    let mut medoids: Vec<usize> = Vec::new();
    // Greedy seeding: each new medoid is the one that lowers the total most.
    let mut nearest = vec![f64::INFINITY; count];
    while medoids.len() < k.min(count) {
        let cost = |m: usize| (0..count).map(|p| nearest[p].min(far(m, p))).sum::<f64>();
        let fresh = (0..count).filter(|m| !medoids.contains(m));
        let Some(best) = fresh.min_by(|a, b| cost(*a).total_cmp(&cost(*b))) else { break };
        let before: f64 = nearest.iter().sum();
        if before.is_finite() && cost(best) >= before {
            // Every point is a medoid's double: more clusters would be empty.
            break;
        }
        (0..count).for_each(|p| nearest[p] = nearest[p].min(far(best, p)));
        medoids.push(best);
    }
    let assign = |medoids: &[usize]| -> Vec<usize> {
        let own = |p: usize| {
            let by = |a: &usize, b: &usize| far(medoids[*a], p).total_cmp(&far(medoids[*b], p));
            (0..medoids.len()).min_by(by).unwrap_or(0)
        };
        (0..count).map(own).collect()
    };
    let mut owners = assign(&medoids);
    // Alternate until nothing changes; each round lowers the total, and twenty are plenty.
    for _ in 0..20 {
        let before = medoids.clone();
        for (c, medoid) in medoids.iter_mut().enumerate() {
            let members: Vec<usize> = (0..count).filter(|p| owners[*p] == c).collect();
            let cost = |m: usize| members.iter().map(|p| far(m, *p)).sum::<f64>();
            let best = members.iter().copied().min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
            *medoid = best.unwrap_or(*medoid);
        }
        if medoids == before {
            break;
        }
        owners = assign(&medoids);
    }
    (medoids, owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medoids_are_the_centres_of_what_is_apart() {
        let points = [0.0f64, 1.0, 2.0, 100.0, 101.0, 102.0, 500.0];
        let distances: Vec<f64> =
            points.iter().flat_map(|a| points.iter().map(move |b| (a - b).powi(2))).collect();
        let (mut medoids, owners) = k_medoids(&distances, points.len(), 3);
        assert_eq!(owners[0], owners[2]);
        assert_ne!(owners[0], owners[3]);
        medoids.sort_unstable();
        assert_eq!(medoids, [1, 4, 6]);
        assert_eq!(k_medoids(&[0.0; 9], 3, 3).0.len(), 1, "doubles need one cluster");
        assert_eq!(k_medoids(&[], 0, 3).0.len(), 0);
    }
}
