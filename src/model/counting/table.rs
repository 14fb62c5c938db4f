//! Table: a method that scores by the rows of the last items of a history.

use super::{grow::Parts, rows::Rows};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{Training, method::Method, shelf},
};

/// Rows of weights, and how many items of a history speak, each how loudly.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) voices: Voices,
    /// Added to the total of a row before its weights are divided by that; `None` for weights that
    /// are used as they are.
    pub(crate) shrink: Option<f32>,
    pub(crate) rows: Rows,
}

/// The last `recent` items of a history; each counts `decay` of the one after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Voices {
    pub(crate) recent: usize,
    pub(crate) decay: f32,
}

impl Voices {
    /// # Errors
    /// `Invalid` unless there is at least one, and the decay is 0 to 1.
    pub(crate) fn new(what: &str, recent: usize, decay: f32) -> Result<Voices> {
        match recent > 0 && (0.0..=1.0).contains(&decay) {
            true => Ok(Voices { recent, decay }),
            false => {
                let why = "needs a recent of at least 1, and a decay of 0 to 1";
                Err(Error::invalid(what.to_owned(), why))
            }
        }
    }

    /// The items that speak, latest first, with what each counts; the last counts 1.
    pub(crate) fn of<'h>(&self, history: &'h [u32]) -> impl Iterator<Item = (u32, f32)> + 'h {
        let (mut next, decay) = (1.0, self.decay);
        // What counts less than rounding would only cost time.
        history.iter().rev().take(self.recent).map_while(move |item| {
            let weight = next;
            next *= decay;
            (weight > 1e-9).then_some((*item, weight))
        })
    }
}

impl Table {
    pub(crate) fn open(name: &'static str, from: &Opened, items: usize) -> Result<Table> {
        let (recent, decay, shrink): (u64, f32, Option<f32>) = shelf::take(from, shelf::OWN)?;
        let rows = Rows::open(from, shelf::OWN + 1, items)?;
        let voices = Voices::new("table", recent as usize, decay)
            .map_err(|_| from.damage("how a history is read"))?;
        if shrink.is_some_and(|shrink| !(shrink.is_finite() && shrink >= 0.0)) {
            return Err(from.damage("shrink of the table"));
        }
        Ok(Table { name, voices, shrink, rows })
    }
}

impl Table {
    /// The rows of two tables, added up.
    pub(crate) fn joined(
        parts: Parts<'_, Table>,
        items: usize,
        keep: usize,
        how: &mut Training<'_>,
    ) -> Result<Table> {
        let Table { name, voices, shrink, .. } = *parts[1].0;
        let parts = parts.map(|(table, codes)| (&table.rows, codes));
        Ok(Table { name, voices, shrink, rows: Rows::joined(parts, items, keep, how)? })
    }
}

impl Method for Table {
    fn name(&self) -> &'static str {
        self.name
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        for (item, mut weight) in self.voices.of(history) {
            let (to, rule) = self.rows.row(item);
            if let Some(shrink) = self.shrink {
                weight /= (self.rows.total(item) + shrink).max(f32::MIN_POSITIVE);
            }
            for (to, rule) in to.iter().zip(rule) {
                scores[*to as usize] += weight * rule;
            }
        }
        Ok(())
    }

    fn silence(&self) -> Option<f32> {
        Some(0.0)
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        let Voices { recent, decay } = self.voices;
        shelf::put(out, shelf::OWN, &(recent as u64, decay, self.shrink))?;
        self.rows.save(out, shelf::OWN + 1)
    }
}
