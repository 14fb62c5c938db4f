//! One step of training: lanes of items in, weights moved.

use super::{
    Gru4Rec,
    cell::{Cell, Lean, Trace},
    drawn::Scored,
    gru::Gru,
    lanes::{Change, Lanes},
    loss::{Judge, Objective},
    output::{Output, Pace, Rows, step},
};
use crate::{
    error::Result,
    model::{Sequences, Training, train::dice::Dice},
};

/// The state of training.
#[derive(Debug)]
pub(super) struct Trainer {
    pub(super) cell: Cell,
    /// By code, dim + 1 numbers: vector and bias.
    pub(super) table: Vec<f32>,
    pace: Pace,
    dropout: (f32, f32),
    judge: Judge,
    scored: Scored,
    /// Per lane of a full batch: what a lane's lesson counts.
    by: f32,
    threads: usize,
    dice: Dice,
    squares: [Vec<f32>; 5],
    speeds: [Vec<f32>; 5],
    states: Vec<f32>,
    room: Room,
}

/// Buffers, used again in every step.
#[derive(Debug, Default)]
struct Room {
    items: Vec<f32>,
    next: Vec<f32>,
    trace: Trace,
    lean: Lean,
    scores: Vec<f32>,
    codes: Vec<u32>,
    truth: Vec<u32>,
}

impl Trainer {
    pub(super) fn new(options: &Gru4Rec, sequences: &Sequences, how: &Training<'_>) -> Trainer {
        let (dim, items) = (options.dim, sequences.vocabulary().len());
        let batch = options.lanes(sequences.events());
        let mut dice = Dice::new(how.seed, 0);
        let mut some = |count: usize, sides: usize| -> Vec<f32> {
            let most = (6.0 / sides as f32).sqrt();
            (0..count).map(|_| (dice.unit() * 2.0 - 1.0) * most).collect()
        };
        let (ih, hh) = (some(3 * dim * dim, 2 * dim), some(3 * dim * dim, 2 * dim));
        let mut table = some(items * (dim + 1), items + dim);
        table.chunks_mut(dim + 1).for_each(|row| row[dim] = 0.0);
        let (bias_ih, bias_hh) = (vec![0.0; 3 * dim], vec![0.0; 3 * dim]);
        let cell = Cell { dim, ih, hh, bias_ih, bias_hh };
        let lengths = [cell.ih.len(), cell.hh.len(), 3 * dim, 3 * dim, table.len()];
        let moves = options.momentum > 0.0;
        let speeds = lengths.map(|length| vec![0.0; if moves { length } else { 0 }]);
        let judge = match options.objective {
            Objective::BprMax { penalty, elu, .. } => Judge::BprMax { penalty, elu },
            _ => Judge::Softmax,
        };
        Trainer {
            scored: Scored::new(options.objective, &sequences.counts(), batch),
            cell,
            table,
            pace: Pace { rate: options.learning_rate, momentum: options.momentum },
            dropout: (options.dropout_items, options.dropout_states),
            judge,
            by: 1.0 / batch as f32,
            threads: how.threads,
            dice: Dice::new(how.seed, 1),
            squares: lengths.map(|length| vec![0.0; length]),
            speeds,
            states: vec![0.0; batch * dim],
            room: Room::default(),
        }
    }

    /// Once through all sessions; the mean loss, and how many items were predicted.
    pub(super) fn epoch(
        &mut self,
        sequences: &Sequences,
        how: &mut Training<'_>,
    ) -> Result<(f64, u64)> {
        let dim = self.cell.dim;
        let mut lanes = Lanes::new(sequences, self.states.len() / dim);
        let (mut loss, mut count, mut steps) = (0.0, 0, 0u64);
        self.states.fill(0.0);
        while lanes.len() > 0 {
            let (mut codes, mut truth) =
                (std::mem::take(&mut self.room.codes), std::mem::take(&mut self.room.truth));
            lanes.read(sequences, &mut codes, &mut truth);
            loss += self.step(&codes, &truth)?;
            count += codes.len() as u64;
            let mut last = codes.len();
            for change in lanes.advance(sequences) {
                match change {
                    Change::Fresh(lane) => self.states[lane * dim..][..dim].fill(0.0),
                    Change::Gone(lane) => {
                        last -= 1;
                        self.states.copy_within(last * dim..(last + 1) * dim, lane * dim);
                    }
                }
            }
            (self.room.codes, self.room.truth) = (codes, truth);
            steps += 1;
            if steps % 64 == 0 {
                how.progress.check()?;
            }
        }
        Ok((loss / count.max(1) as f64, count))
    }

    /// Learns from one event of each lane, and goes on to the next states. Returns the sum of
    /// losses.
    fn step(&mut self, codes: &[u32], truth: &[u32]) -> Result<f64> {
        let (dim, lanes, width) = (self.cell.dim, codes.len(), self.cell.dim + 1);
        let room = &mut self.room;
        room.items.clear();
        for code in codes {
            room.items.extend_from_slice(&self.table[*code as usize * width..][..dim]);
        }
        let kept = mask(lanes * dim, self.dropout.0, &mut self.dice);
        thin(&mut room.items, &kept);
        self.cell.step(lanes, (&room.items, &self.states), &mut room.next, &mut room.trace);
        let kept_states = mask(lanes * dim, self.dropout.1, &mut self.dice);
        let mut shown = room.next.clone();
        thin(&mut shown, &kept_states);
        let row = |state: &[f32]| state.iter().copied().chain([1.0]).collect::<Vec<f32>>();
        let hidden: Vec<f32> = shown.chunks(dim).flat_map(row).collect();

        let moves = !self.speeds[4].is_empty();
        let (mut inputs, mut goals) = (codes.to_vec(), truth.to_vec());
        let (table, squares, speed) = (&mut self.table, &mut self.squares[4], &mut self.speeds[4]);
        let rows = match &mut self.scored {
            Scored::All => {
                let scored = table.len() / width;
                Rows { width, weights: table, squares, speed, scored, handicap: &[] }
            }
            Scored::Drawn(drawn) => {
                drawn.choose(codes, truth, &mut self.dice);
                drawn.copy([table, squares, speed], width, moves);
                inputs.iter_mut().for_each(|code| *code = drawn.rows[*code as usize]);
                goals.iter_mut().for_each(|code| *code = drawn.rows[*code as usize]);
                let [weights, squares, speed] = &mut drawn.copies;
                let (scored, handicap) = (drawn.count, &drawn.handicap[..]);
                Rows { width, weights, squares, speed, scored, handicap }
            }
        };
        let mut output = Output::new(rows, lanes, self.threads, &mut room.scores);
        let (loss, lean) = output.judge(self.judge, (&hidden, &goals), self.by)?;
        let mut lean: Vec<f32> = lean.chunks(width).flat_map(|row| &row[..dim]).copied().collect();
        thin(&mut lean, &kept_states);
        let given = (&room.items[..], &self.states[..]);
        self.cell.back(lanes, given, &lean, &mut room.trace, &mut room.lean);
        thin(&mut room.lean.items[..lanes * dim], &kept);
        output.learn(&hidden, (&inputs, &room.lean.items), self.pace)?;
        if let Scored::Drawn(drawn) = &mut self.scored {
            drawn.put_back([table, squares, speed], width, moves);
        }
        let cell = &mut self.cell;
        let weights = [&mut cell.ih, &mut cell.hh, &mut cell.bias_ih, &mut cell.bias_hh];
        let leans = [&room.lean.ih, &room.lean.hh, &room.lean.bias_ih, &room.lean.bias_hh];
        for (at, (weights, lean)) in weights.into_iter().zip(leans).enumerate() {
            step(weights, &mut self.squares[at], &mut self.speeds[at], lean, self.pace);
        }
        self.states[..lanes * dim].copy_from_slice(&room.next);
        Ok(loss)
    }

    /// The model as it is now.
    pub(super) fn gru(&self) -> Gru {
        Gru::new(self.cell.clone(), self.table.clone())
    }
}

/// For each number 0, or what makes up for those that are; empty if all are kept.
fn mask(count: usize, dropout: f32, dice: &mut Dice) -> Vec<f32> {
    if dropout == 0.0 {
        return Vec::new();
    }
    let kept = 1.0 / (1.0 - dropout);
    (0..count).map(|_| if dice.unit() < dropout { 0.0 } else { kept }).collect()
}

fn thin(numbers: &mut [f32], mask: &[f32]) {
    numbers.iter_mut().zip(mask).for_each(|(number, kept)| *number *= kept);
}

/// What tests look at.
#[cfg(test)]
impl Trainer {
    /// Random states and biases, and squares and a rate with which a weight moves by its
    /// derivative.
    pub(super) fn roughen(&mut self, dice: &mut Dice) {
        let width = self.cell.dim + 1;
        self.states.iter_mut().for_each(|x| *x = dice.unit() * 2.0 - 1.0);
        self.table.iter_mut().for_each(|x| *x = dice.normal() * 0.5);
        self.table.chunks_mut(width).for_each(|row| row[width - 1] = dice.normal());
        let biases = [&mut self.cell.bias_ih, &mut self.cell.bias_hh];
        biases.into_iter().flatten().for_each(|x| *x = dice.normal() * 0.5);
        self.squares.iter_mut().flatten().for_each(|square| *square = 1e8);
        self.pace.rate = 1e4;
    }

    /// Cell and table: ih, hh, both biases, table.
    pub(super) fn weights(&self) -> [Vec<f32>; 5] {
        let cell = self.cell.clone();
        [cell.ih, cell.hh, cell.bias_ih, cell.bias_hh, self.table.clone()]
    }

    pub(super) fn states(&self) -> &[f32] {
        &self.states
    }

    pub(super) fn lesson(&mut self, codes: &[u32], truth: &[u32]) -> Result<f64> {
        self.step(codes, truth)
    }

    /// Which codes were scored in the last step, and what was taken off.
    pub(super) fn scored(&self) -> Vec<(u32, f64)> {
        match &self.scored {
            Scored::All => {
                let items = self.table.len() / (self.cell.dim + 1);
                (0..items as u32).map(|code| (code, 0.0)).collect()
            }
            Scored::Drawn(drawn) => {
                let off = |at: usize| drawn.handicap.get(at).map_or(0.0, |x| f64::from(*x));
                let codes = drawn.codes[..drawn.count].iter().enumerate();
                codes.map(|(at, code)| (*code, off(at))).collect()
            }
        }
    }
}
