//! Sessions: the latest ones, as sets of items, and what all that there ever were come to.

use super::{grow::Parts, lists::Lists};
use crate::{
    artifact::{Opened, Saved},
    error::Result,
    model::{Training, shelf},
};
use std::cmp::Reverse;

/// Sessions, latest first: of each item the latest `sample` that have it, and no others.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Per session that is kept: its different items.
    pub(crate) sets: Lists,
    /// When each of them ended.
    ends: Vec<i64>,
    /// Per item: its events in all sessions, those not kept included.
    events: Vec<u64>,
    /// How many sessions there were in all.
    all: u64,
}

impl Sessions {
    /// From sessions that are told of latest first, each as its end and its different items.
    pub(crate) fn gather(
        sample: usize,
        (events, all): (Vec<u64>, u64),
        sessions: impl Iterator<Item = Result<(i64, Vec<u32>)>>,
    ) -> Result<Sessions> {
        let mut found = vec![0usize; events.len()];
        let (mut sets, mut ends) = (Lists::new(), Vec::new());
        for session in sessions {
            let (end, set) = session?;
            // A session that is too old for each of its items is never looked at.
            let mut wanted = false;
            for item in &set {
                wanted |= found[*item as usize] < sample;
                found[*item as usize] += 1;
            }
            if wanted {
                sets.push(set);
                ends.push(end);
            }
        }
        Ok(Sessions { sets, ends, events, all })
    }

    /// What would have been gathered from the sessions of both; of those that ended at the same
    /// time, the ones of the later part count as later.
    ///
    /// Exact: what a part did not keep has enough later ones there, so it has enough of them in both.
    pub(crate) fn joined(
        parts: Parts<'_, Sessions>,
        items: usize,
        sample: usize,
        how: &mut Training<'_>,
    ) -> Result<Sessions> {
        let (mut events, mut all, mut sessions) = (vec![0u64; items], 0u64, Vec::new());
        for (part, codes) in parts.into_iter().rev() {
            all = all.saturating_add(part.all);
            for (code, count) in codes.iter().zip(&part.events) {
                let sum = &mut events[*code as usize];
                *sum = sum.saturating_add(*count);
            }
            sessions
                .extend(part.ends.iter().zip(0u32..).map(|(end, set)| (*end, set, part, codes)));
        }
        sessions.sort_by_key(|(end, ..)| Reverse(*end));
        let told = sessions.into_iter().map(|(end, set, part, codes)| {
            how.progress.check()?;
            Ok((end, part.sets.get(set).iter().map(|item| codes[*item as usize]).collect()))
        });
        Sessions::gather(sample, (events, all), told)
    }

    /// Per item: what a vote for it is multiplied by; rare ones gain.
    pub(crate) fn gains(&self, rarity: f32) -> Vec<f32> {
        let gain = |count: &u64| {
            // More events than sessions would make an item worth less than nothing.
            let rare = ((self.all as f64).max(1.0) / (*count).max(1) as f64).ln().max(0.0);
            (1.0 + rare * f64::from(rarity)) as f32
        };
        self.events.iter().map(gain).collect()
    }

    /// Saves to four sections from `number` on.
    pub(crate) fn save(&self, out: &mut Saved, number: u16) -> Result<()> {
        self.sets.save(out, number)?;
        shelf::put(out, number + 2, &self.ends)?;
        shelf::put(out, number + 3, &(self.all, &self.events))
    }

    /// Opens what [`Sessions::save`] saved: sets of at most `recent` different items.
    pub(crate) fn open(
        from: &Opened,
        number: u16,
        (items, recent): (usize, usize),
    ) -> Result<Sessions> {
        let sets = Lists::open(from, number, items)?;
        let ends: Vec<i64> = shelf::take(from, number + 2)?;
        let (all, events): (u64, Vec<u64>) = shelf::take(from, number + 3)?;
        let different = |set: u32| {
            let mut set = sets.get(set).to_vec();
            set.sort_unstable();
            set.len() <= recent && set.windows(2).all(|pair| pair[0] < pair[1])
        };
        let sound = (ends.len(), events.len()) == (sets.len(), items)
            && ends.is_sorted_by(|a, b| a >= b)
            && (0..sets.len() as u32).all(different);
        match sound {
            true => Ok(Sessions { sets, ends, events, all }),
            false => Err(from.damage("sessions of the model")),
        }
    }
}
