//! Drawn: the items that are scored in a step, where scoring all would take too long.

use super::loss::Objective;
use crate::model::train::{dice::Dice, draw::Draw};

/// Which items are scored in a step.
#[derive(Debug)]
pub(super) enum Scored {
    All,
    Drawn(Box<Drawn>),
}

/// The next items of all lanes, and items drawn by count to a power.
#[derive(Debug)]
pub(super) struct Drawn {
    samples: usize,
    draw: Draw,
    /// By code, the chance to be the next item of a lane.
    next: Vec<f32>,
    /// Whether an item's score is corrected by its chance to be there.
    corrected: bool,
    /// By code, its row this time, or `ABSENT`.
    pub(super) rows: Vec<u32>,
    pub(super) codes: Vec<u32>,
    /// So many of the codes are scored.
    pub(super) count: usize,
    pub(super) handicap: Vec<f32>,
    /// Copies of the rows: weights, squares, speed.
    pub(super) copies: [Vec<f32>; 3],
}

const ABSENT: u32 = u32::MAX;
/// The softmax over all items is used up to so many.
const FULL_MAX: usize = 10_000;

impl Scored {
    pub(super) fn new(objective: Objective, counts: &[u32], lanes: usize) -> Scored {
        let (samples, alpha, corrected) = match objective {
            Objective::FullSoftmax => return Scored::All,
            Objective::Softmax if counts.len() <= FULL_MAX => return Scored::All,
            Objective::Softmax => (2048, 0.5, true),
            Objective::SampledSoftmax { samples, alpha } => (samples, alpha, true),
            Objective::BprMax { samples, alpha, .. } => (samples, alpha, false),
        };
        let events = Draw::of_counts(counts, 1.0);
        let next = events.chances().iter().map(|c| c * lanes as f32);
        Scored::Drawn(Box::new(Drawn {
            samples,
            draw: Draw::of_counts(counts, alpha),
            next: next.collect(),
            corrected,
            rows: vec![ABSENT; counts.len()],
            codes: Vec::new(),
            count: 0,
            handicap: Vec::new(),
            copies: [const { Vec::new() }; 3],
        }))
    }
}

impl Drawn {
    /// Chooses items, each once. Behind those that are to be scored come items that lanes are at,
    /// which are only read.
    pub(super) fn choose(&mut self, codes: &[u32], truth: &[u32], dice: &mut Dice) {
        self.codes.iter().for_each(|code| self.rows[*code as usize] = ABSENT);
        self.codes.clear();
        self.handicap.clear();
        let (rows, chosen) = (&mut self.rows, &mut self.codes);
        let mut choose = |code: u32| {
            if rows[code as usize] == ABSENT {
                rows[code as usize] = chosen.len() as u32;
                chosen.push(code);
            }
            chosen.len()
        };
        let mut scored = 0;
        truth.iter().for_each(|code| scored = choose(*code));
        (0..self.samples).for_each(|_| scored = choose(self.draw.draw(dice)));
        codes.iter().for_each(|code| {
            choose(*code);
        });
        if self.corrected {
            let (next, draws) = (&self.next, self.samples as f32);
            let chances = self.draw.chances();
            let log = |code: &u32| {
                let times = next[*code as usize] + draws * chances[*code as usize];
                (-(-times).exp_m1()).max(f32::MIN_POSITIVE).ln()
            };
            self.handicap.extend(self.codes[..scored].iter().map(log));
        }
        self.count = scored;
    }

    pub(super) fn copy(&mut self, from: [&mut Vec<f32>; 3], width: usize, moves: bool) {
        for (copy, from) in self.copies.iter_mut().zip(from).take(if moves { 3 } else { 2 }) {
            copy.clear();
            for code in &self.codes {
                copy.extend_from_slice(&from[*code as usize * width..][..width]);
            }
        }
    }

    pub(super) fn put_back(&self, to: [&mut Vec<f32>; 3], width: usize, moves: bool) {
        for (copy, to) in self.copies.iter().zip(to).take(if moves { 3 } else { 2 }) {
            for (code, row) in self.codes.iter().zip(copy.chunks(width)) {
                to[*code as usize * width..][..width].copy_from_slice(row);
            }
        }
    }
}
