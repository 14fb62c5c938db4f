//! Sum: the score of an item, similarities and boosts with their weights, in one fixed order.

use super::quality::{Prepared, Quality};
use crate::{
    error::{Error, Result},
    limits::TERMS_MAX,
    schema::Metric,
    search::{scan::Query, top::Top},
    store::{Snapshot, nearest},
};

/// A space that is asked: a vector and what being near to it counts.
#[derive(Debug)]
pub(super) struct Near {
    /// Its own weight is 1, so that what it says is the similarity itself.
    pub(super) query: Query,
    pub(super) weight: f32,
    /// The similarity of an item without a vector; `None` leaves it out.
    pub(super) missing: Option<f32>,
}

/// What an item without a vector in a space is taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Missing {
    /// As the metric says: 0, which is unlike; in an L2 space, where 0 is most alike, left out.
    Usual,
    As(f32),
    Out,
}

/// What is added up, checked.
pub(super) struct Sum {
    pub(super) queries: Vec<Query>,
    pub(super) weights: Vec<f32>,
    pub(super) missing: Vec<Option<f32>>,
    pub(super) boosts: Vec<Prepared>,
    pub(super) boost_weights: Vec<f32>,
}

impl Near {
    pub(super) fn new(
        snapshot: &Snapshot,
        space: &str,
        vector: &[f32],
        (weight, missing): (f32, Missing),
    ) -> Result<Near> {
        let space = snapshot.space(space)?;
        let name = &space.name;
        if !weight.is_finite() {
            return Err(Error::invalid(format!("weight of space {name:?}"), "must be finite"));
        }
        let missing = match (missing, space.metric) {
            (Missing::As(score), _) if !score.is_finite() => {
                let what = format!("score of what has no vector in space {name:?}");
                return Err(Error::invalid(what, "must be finite"));
            }
            (Missing::As(score), _) => Some(score),
            (Missing::Out, _) | (Missing::Usual, Metric::L2) => None,
            (Missing::Usual, Metric::Cosine | Metric::Dot) => Some(0.0),
        };
        Ok(Near { query: nearest::prepare(&space, vector, 1.0)?, weight, missing })
    }
}

/// Refuses weights of boosts that are no numbers, or that together weigh more than `most`.
pub(super) fn guard(weights: &[f32], most: f32) -> Result<()> {
    if most.is_nan() || most < 0.0 {
        let why = format!("is {most}; it must be a number of at least 0");
        return Err(Error::invalid("largest norm of boosts", why));
    }
    if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
        return Err(Error::invalid("weight of a boost", format!("is {weight}; it must be finite")));
    }
    // In double precision: ten times 0.1 is no more than 1.
    let norm: f64 = weights.iter().map(|weight| f64::from(*weight).abs()).sum();
    if norm > f64::from(most) * (1.0 + 1e-6) {
        let why = format!(
            "add up to {norm}, more than {most}: quality could outweigh what was asked for. Lower \
             them, or allow it by `norm_max`"
        );
        return Err(Error::invalid("weights of boosts", why));
    }
    Ok(())
}

impl Sum {
    pub(super) fn new(nears: Vec<Near>, boosts: Vec<(Prepared, f32)>) -> Result<Sum> {
        if nears.len() + boosts.len() == 0 {
            let why = "asks for nothing; give it a space or a boost";
            return Err(Error::invalid("boosted search", why));
        }
        for (what, count) in [("spaces", nears.len()), ("boosts", boosts.len())] {
            if count > TERMS_MAX {
                let why = format!("are {count}; at most {TERMS_MAX}");
                return Err(Error::invalid(format!("{what} of a boosted search"), why));
            }
        }
        let mut sum = Sum {
            queries: Vec::new(),
            weights: nears.iter().map(|near| near.weight).collect(),
            missing: nears.iter().map(|near| near.missing).collect(),
            boosts: Vec::new(),
            boost_weights: boosts.iter().map(|boost| boost.1).collect(),
        };
        sum.queries.extend(nears.into_iter().map(|near| near.query));
        sum.boosts.extend(boosts.into_iter().map(|boost| boost.0));
        Ok(sum)
    }

    /// Adds up, in one fixed order and in double precision: every step is monotone in every number,
    /// so what is made of the most that rows can have is the most that rows can score.
    pub(super) fn add(
        &self,
        similarity: impl Fn(usize) -> f32,
        boost: impl Fn(usize) -> f32,
    ) -> f32 {
        let term = |weight: &f32, value: f32| f64::from(*weight) * f64::from(value);
        let nears = self.weights.iter().enumerate().map(|(at, w)| term(w, similarity(at)));
        let boosts = self.boost_weights.iter().enumerate().map(|(at, w)| term(w, boost(at)));
        let sum: f64 = nears.chain(boosts).fold(0.0, |sum, term| sum + term);
        sum.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    }

    /// What a row's similarities add up to, which are NaN where it has no vector; `None` if it is
    /// left out.
    fn similar(&self, similarities: &[Vec<f32>], at: usize) -> Option<f64> {
        let mut sum = 0.0;
        for ((column, weight), missing) in similarities.iter().zip(&self.weights).zip(&self.missing)
        {
            let similarity = column[at];
            let known = if similarity.is_nan() { (*missing)? } else { similarity };
            sum += f64::from(*weight) * f64::from(known);
        }
        Some(sum)
    }

    /// Scores rows by their similarities, and offers those that can be among the best to `top`: most
    /// rows could not, were all their boosts 1, and then these are not read.
    pub(super) fn offer(
        &self,
        (rows, similarities): (&[u32], &[Vec<f32>]),
        qualities: &[Quality<'_>],
        top: &mut Top,
    ) {
        let finite = |sum: f64| sum.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        for (at, row) in rows.iter().enumerate() {
            let Some(similar) = self.similar(similarities, at) else { continue };
            // In the same order as the score itself, so rounding makes it no less.
            let most = |sum: f64, weight: &f32| sum + f64::from(weight.max(0.0));
            if finite(self.boost_weights.iter().fold(similar, most)) < top.floor() {
                continue;
            }
            let boosts = self.boost_weights.iter().zip(qualities);
            let add = |sum: f64, (weight, quality): (&f32, &Quality<'_>)| {
                sum + f64::from(*weight) * f64::from(quality.get(*row))
            };
            top.push(finite(boosts.fold(similar, add)), *row);
        }
    }
}
