//! Several opinions into one number: sums of scores, and fusion of what sources found.

use crate::{
    error::{Error, Result},
    recommend::{Candidates, Context, Score, score::source_named},
};
use std::fmt;

/// A weighted sum of scores.
///
/// Scores of different kinds have different scales: `scaled` brings one to 0..1 over the candidates of
/// the request before it is weighted, `add` takes it as it is.
///
/// ```
/// use bowerbird::{days, recommend::*};
/// let score = Weighted::new()
///     .scaled(0.7, Similarity::new("text"))
///     .scaled(0.3, Popularity::new(["view"], days(7)));
/// ```
#[derive(Default)]
pub struct Weighted {
    terms: Vec<(f32, bool, Box<dyn Score>)>,
}

impl Weighted {
    /// Nothing yet: every candidate scores 0.
    pub fn new() -> Weighted {
        Weighted::default()
    }

    /// Adds a score as it is, times a weight.
    pub fn add(mut self, weight: f32, score: impl Score + 'static) -> Weighted {
        self.terms.push((weight, false, Box::new(score)));
        self
    }

    /// Adds a score brought to 0..1, times a weight.
    pub fn scaled(mut self, weight: f32, score: impl Score + 'static) -> Weighted {
        self.terms.push((weight, true, Box::new(score)));
        self
    }
}

impl fmt::Debug for Weighted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Score for Weighted {
    fn name(&self) -> String {
        let term =
            |(weight, _, op): &(f32, bool, Box<dyn Score>)| format!("{weight} {}", op.name());
        format!("Weighted({})", self.terms.iter().map(term).collect::<Vec<_>>().join(" + "))
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let mut sums = vec![0f64; scores.len()];
        let mut term = vec![0f32; scores.len()];
        for (weight, scaled, op) in &self.terms {
            if !weight.is_finite() {
                return Err(Error::invalid(format!("weight of {}", op.name()), "must be finite"));
            }
            term.fill(0.0);
            op.score(cx, candidates, &mut term)?;
            if *scaled {
                min_max(&mut term);
            }
            let weight = f64::from(*weight);
            sums.iter_mut().zip(&term).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
        scores.iter_mut().zip(sums).for_each(|(score, sum)| *score = sum as f32);
        Ok(())
    }
}

/// Brings finite scores to 0..1; all alike become 0. What is not finite stays so and sinks later.
pub(crate) fn min_max(scores: &mut [f32]) {
    let finite = || scores.iter().copied().filter(|score| score.is_finite());
    let (low, high) = (finite().fold(f32::MAX, f32::min), finite().fold(f32::MIN, f32::max));
    let (low, span) = (f64::from(low), f64::from(high) - f64::from(low));
    for score in scores.iter_mut().filter(|score| score.is_finite()) {
        *score = if span > 0.0 { ((f64::from(*score) - low) / span) as f32 } else { 0.0 };
    }
}

/// Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the sum over sources of
/// 1 / (k + rank), ranks from 1. It needs no common scale; `k` is 60 unless set.
///
/// ```
/// use bowerbird::recommend::Rrf;
/// let fused = Rrf { k: 10.0, ..Rrf::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Rrf {
    /// How little the first places stand out; above -1.
    pub k: f32,
    /// Weights of sources by name; 1 for those not named.
    pub weights: Vec<(String, f32)>,
}

impl Default for Rrf {
    fn default() -> Rrf {
        Rrf { k: 60.0, weights: Vec::new() }
    }
}

impl Score for Rrf {
    fn name(&self) -> String {
        format!("Rrf({})", self.k)
    }

    fn score(&self, _: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        if !(self.k > -1.0 && self.k.is_finite()) {
            return Err(Error::invalid("k of Rrf", format!("is {}; it must be above -1", self.k)));
        }
        let weights = source_weights(candidates, &self.weights, 1.0)?;
        for (i, score) in scores.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (source, weight) in weights.iter().enumerate() {
                if let Some((rank, _)) = candidates.find(source, i) {
                    sum += weight / (f64::from(self.k) + f64::from(rank) + 1.0);
                }
            }
            *score = sum as f32;
        }
        Ok(())
    }
}

/// Weighted fusion: each source's hints are brought to 0..1 over what it found, weighted and summed.
///
/// ```
/// let fused = bowerbird::recommend::Fused::new([("CoVisited(view)", 0.6), ("Popular(view)", 0.4)]);
/// ```
#[derive(Clone, Debug)]
pub struct Fused {
    weights: Vec<(String, f32)>,
}

impl Fused {
    /// Weights of sources by name; 0 for those not named.
    pub fn new<'k>(weights: impl IntoIterator<Item = (&'k str, f32)>) -> Fused {
        Fused { weights: weights.into_iter().map(|(name, w)| (name.to_owned(), w)).collect() }
    }
}

impl Score for Fused {
    fn name(&self) -> String {
        let term = |(name, weight): &(String, f32)| format!("{weight} {name}");
        format!("Fused({})", self.weights.iter().map(term).collect::<Vec<_>>().join(" + "))
    }

    fn score(&self, _: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let weights = source_weights(candidates, &self.weights, 0.0)?;
        let mut sums = vec![0f64; scores.len()];
        for (source, weight) in weights.iter().enumerate() {
            let hint = |i: usize| candidates.find(source, i).map(|(_, hint)| f64::from(hint));
            let found = || (0..scores.len()).filter_map(hint);
            let (low, high) = (found().fold(f64::MAX, f64::min), found().fold(f64::MIN, f64::max));
            for (i, sum) in sums.iter_mut().enumerate() {
                let Some(hint) = hint(i) else { continue };
                // The last of a source is still better than what it has not found.
                let scaled = if high > low { (hint - low) / (high - low) } else { 1.0 };
                *sum += weight * (0.01 + 0.99 * scaled);
            }
        }
        scores.iter_mut().zip(sums).for_each(|(score, sum)| *score = sum as f32);
        Ok(())
    }
}

/// One weight per source.
fn source_weights(
    candidates: &Candidates,
    named: &[(String, f32)],
    others: f64,
) -> Result<Vec<f64>> {
    let mut weights = vec![others; candidates.sources().count()];
    for (name, weight) in named {
        if !weight.is_finite() {
            return Err(Error::invalid(format!("weight of source {name:?}"), "must be finite"));
        }
        weights[source_named(candidates, name)?] = f64::from(*weight);
    }
    Ok(weights)
}
