//! Popularity: the same for everybody, older events counting less.

use super::{
    grow::{Parts, grown},
    rows::MOST,
};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{Grow, Model, Sequences, Train, Training, method::Method, shelf},
};

pub(crate) const NAME: &str = "popularity";

/// Scores items by how often they were acted on, older events counting less.
///
/// Not personal: the floor of every table.
///
/// ```
/// use bowerbird::model::Popularity;
/// let last_week = Popularity { half_life_days: Some(7.0) };
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Popularity {
    /// An event counts half after so many days before the latest event; without one, all count alike.
    pub half_life_days: Option<f64>,
}

const DAY_MS: f64 = 86_400_000.0;

impl Train for Popularity {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        if self.half_life_days.is_some_and(|days| !(days.is_finite() && days > 0.0)) {
            return Err(Error::invalid("half_life_days of Popularity", "must be more than 0"));
        }
        how.begin(1)?;
        let latest = (0..sequences.len()).flat_map(|s| sequences.at(s)).max().copied();
        let mut sums = vec![0f64; sequences.vocabulary().len()];
        for sequence in 0..sequences.len() {
            for (item, at) in sequences.items(sequence).iter().zip(sequences.at(sequence)) {
                sums[*item as usize] += self.weight(Some(*at), latest);
            }
        }
        how.progress.advance(1)?;
        let counts = sums.into_iter().map(|sum| sum as f32).collect();
        let half_life = self.half_life_days.map_or("none".into(), |days| days.to_string());
        let options = vec![("half_life_days".into(), half_life)];
        Ok(Model::trained(Popular { counts, latest }, options, sequences, how))
    }
}

/// What was counted before counts less by the time from its latest event to the latest of all.
impl Grow for Popularity {
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        grown(model, self.train(more, how)?, |parts, items| Ok(self.joined(parts, items)))
    }
}

impl Popularity {
    /// What an event at a time counts, given the time of the latest; without one there is no event.
    fn weight(&self, at: Option<i64>, latest: Option<i64>) -> f64 {
        let age = latest.unwrap_or(0) as f64 - at.or(latest).unwrap_or(0) as f64;
        self.half_life_days.map_or(1.0, |days| (-age / DAY_MS / days).exp2())
    }

    fn joined(&self, parts: Parts<'_, Popular>, items: usize) -> Popular {
        let latest = parts.iter().filter_map(|(part, _)| part.latest).max();
        let mut sums = vec![0f64; items];
        for (part, codes) in parts {
            let weight = self.weight(part.latest, latest);
            let counts = codes.iter().zip(&part.counts);
            counts.for_each(|(code, count)| sums[*code as usize] += f64::from(*count) * weight);
        }
        let counts = sums.into_iter().map(|sum| (sum as f32).min(MOST)).collect();
        Popular { counts, latest }
    }
}

/// Decayed counts, by code.
#[derive(Debug)]
pub(crate) struct Popular {
    counts: Vec<f32>,
    /// When the latest event happened, which counted 1.
    latest: Option<i64>,
}

impl Popular {
    pub(crate) fn open(from: &Opened, items: usize) -> Result<Popular> {
        let counts = shelf::take_f32(from, shelf::OWN, items)?;
        let latest = shelf::take(from, shelf::OWN + 1)?;
        match counts.iter().all(|count| (0.0..=MOST).contains(count)) {
            true => Ok(Popular { counts, latest }),
            false => Err(from.damage("counts of the model")),
        }
    }
}

impl Method for Popular {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scores(&self, _: &[u32], scores: &mut [f32]) -> Result<()> {
        scores.copy_from_slice(&self.counts);
        Ok(())
    }

    fn silence(&self) -> Option<f32> {
        Some(0.0)
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put_f32(out, shelf::OWN, &self.counts)?;
        shelf::put(out, shelf::OWN + 1, &self.latest)
    }
}
