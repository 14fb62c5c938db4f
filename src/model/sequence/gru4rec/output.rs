//! The output: scores of rows of items in parts that fit a cache, and their lessons.
//!
//! Each part is one thread's at a time, and parts are added up in order: any number of threads
//! makes the same.

use super::loss::{Goal, Judge, Part};
use crate::{
    error::Result,
    model::train::{
        exp::{add, dot},
        gemm::{Matrix, gemm},
        share::share,
        wide::wide,
    },
};

/// Rows of weights, of `width` numbers: vectors of items, a bias behind each.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) width: usize,
    pub(super) weights: &'a mut [f32],
    pub(super) squares: &'a mut [f32],
    /// Empty without momentum.
    pub(super) speed: &'a mut [f32],
    /// So many of the first rows are scored.
    pub(super) scored: usize,
    /// Of each of those, what is taken off its score, unless it is the true one; or empty.
    pub(super) handicap: &'a [f32],
}

/// The step of a gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rate: f32,
    pub(super) momentum: f32,
}

/// Some of the rows, and the scores of all lanes for them.
#[derive(Debug)]
pub(super) struct Output<'a> {
    width: usize,
    threads: usize,
    pieces: Vec<Piece<'a>>,
}

#[derive(Debug)]
struct Piece<'a> {
    first: usize,
    scored: usize,
    weights: &'a mut [f32],
    squares: &'a mut [f32],
    speed: &'a mut [f32],
    handicap: &'a [f32],
    scores: &'a mut [f32],
}

/// Rows per part.
const PART: usize = 512;

impl<'a> Output<'a> {
    /// `room` is for scores, and grows as needed.
    pub(super) fn new(
        rows: Rows<'a>,
        lanes: usize,
        threads: usize,
        room: &'a mut Vec<f32>,
    ) -> Output<'a> {
        let (width, moves) = (rows.width, !rows.speed.is_empty());
        room.resize(room.len().max(lanes * rows.scored), 0.0);
        let (mut room, mut speed) = (&mut room[..], rows.speed);
        let (mut first, mut pieces) = (0, Vec::new());
        let parts =
            rows.weights.chunks_mut(PART * width).zip(rows.squares.chunks_mut(PART * width));
        for (weights, squares) in parts {
            let count = weights.len() / width;
            let scored = rows.scored.saturating_sub(first).min(count);
            let (scores, rest) = std::mem::take(&mut room).split_at_mut(lanes * scored);
            room = rest;
            let split = if moves { weights.len() } else { 0 };
            let (own_speed, rest) = std::mem::take(&mut speed).split_at_mut(split);
            speed = rest;
            let handicap = match rows.handicap.is_empty() || scored == 0 {
                true => &[][..],
                false => &rows.handicap[first..first + scored],
            };
            let speed = own_speed;
            pieces.push(Piece { first, scored, weights, squares, speed, handicap, scores });
            first += count;
        }
        Output { width, threads, pieces }
    }

    /// The sum of losses of all lanes, and which way it leans by `hidden` times `by`; `hidden` has
    /// a row of `width` numbers per lane, `truth` the row of the true next item.
    pub(super) fn judge(
        &mut self,
        judge: Judge,
        (hidden, truth): (&[f32], &[u32]),
        by: f32,
    ) -> Result<(f64, Vec<f32>)> {
        let (width, lanes) = (self.width, truth.len());
        let own: Vec<f32> = hidden
            .chunks(width)
            .zip(truth)
            .map(|(hidden, row)| {
                let piece = &self.pieces[*row as usize / PART];
                dot(hidden, &piece.weights[(*row as usize - piece.first) * width..][..width])
            })
            .collect();
        let look = |_: usize, piece: &mut Piece<'_>| piece.look(width, judge, hidden, truth, &own);
        let parts = share(self.pieces.iter_mut().collect(), self.threads, look)?;
        let whole: Vec<Part> = (0..lanes)
            .map(|lane| parts.iter().fold(Part::NONE, |sum, part| sum.and(part[lane])))
            .collect();
        let goal = |lane: usize| Goal { score: own[lane], place: None };
        let loss = (0..lanes).map(|lane| judge.loss(&whole[lane], goal(lane))).sum();
        let lean = |at: usize, piece: &mut Piece<'_>| {
            piece.lean(width, judge, (&parts[at], &whole), (truth, &own), by)
        };
        let leans = share(self.pieces.iter_mut().collect(), self.threads, lean)?;
        let mut sum = vec![0f32; lanes * width];
        leans.iter().for_each(|lean| add(&mut sum, lean, 1.0));
        Ok((loss, sum))
    }

    /// Moves the rows; `inputs` are rows that were looked up, and which way the loss leans by them,
    /// `width - 1` numbers each. After [`Output::judge`].
    pub(super) fn learn(
        &mut self,
        hidden: &[f32],
        (inputs, leans): (&[u32], &[f32]),
        pace: Pace,
    ) -> Result<()> {
        let width = self.width;
        let one = |_: usize, piece: &mut Piece<'_>| {
            let (count, lanes) = (piece.weights.len() / width, inputs.len());
            let mut lean = vec![0f32; piece.weights.len()];
            if piece.scored > 0 {
                let scores = Matrix::new(piece.scores, lanes, piece.scored);
                gemm(1.0, scores.t(), Matrix::new(hidden, lanes, width), 0.0, &mut lean);
            }
            for (row, by) in inputs.iter().zip(leans.chunks(width - 1)) {
                if let Some(at) = (*row as usize).checked_sub(piece.first).filter(|at| *at < count)
                {
                    add(&mut lean[at * width..][..width - 1], by, 1.0);
                }
            }
            step(piece.weights, piece.squares, piece.speed, &lean, pace);
        };
        share(self.pieces.iter_mut().collect(), self.threads, one)?;
        Ok(())
    }
}

impl Piece<'_> {
    fn look(
        &mut self,
        width: usize,
        judge: Judge,
        hidden: &[f32],
        truth: &[u32],
        own: &[f32],
    ) -> Vec<Part> {
        let lanes = truth.len();
        if self.scored == 0 {
            return vec![Part::NONE; lanes];
        }
        let weights = Matrix::new(self.weights, self.scored, width);
        gemm(1.0, Matrix::new(hidden, lanes, width), weights.t(), 0.0, self.scores);
        let mut parts = Vec::with_capacity(lanes);
        for (lane, row) in self.scores.chunks_mut(self.scored).enumerate() {
            let goal = goal(self.first, self.scored, truth[lane], own[lane]);
            if !self.handicap.is_empty() {
                add(row, self.handicap, -1.0);
            }
            if let Some(place) = goal.place {
                row[place] = goal.score;
            }
            parts.push(judge.look(row, goal));
        }
        parts
    }

    fn lean(
        &mut self,
        width: usize,
        judge: Judge,
        (parts, whole): (&[Part], &[Part]),
        (truth, own): (&[u32], &[f32]),
        by: f32,
    ) -> Vec<f32> {
        let lanes = truth.len();
        let mut sum = vec![0f32; lanes * width];
        if self.scored == 0 {
            return sum;
        }
        for (lane, row) in self.scores.chunks_mut(self.scored).enumerate() {
            let goal = goal(self.first, self.scored, truth[lane], own[lane]);
            judge.lean(row, &parts[lane], &whole[lane], goal, by);
        }
        let scores = Matrix::new(self.scores, lanes, self.scored);
        gemm(1.0, scores, Matrix::new(self.weights, self.scored, width), 0.0, &mut sum);
        sum
    }
}

fn goal(first: usize, scored: usize, truth: u32, score: f32) -> Goal {
    Goal { score, place: (truth as usize).checked_sub(first).filter(|place| *place < scored) }
}

/// Adagrad (Duchi, Hazan and Singer, 2011), with momentum if there is a speed.
pub(super) fn step(
    weights: &mut [f32],
    squares: &mut [f32],
    speed: &mut [f32],
    lean: &[f32],
    pace: Pace,
) {
    match speed.is_empty() {
        true => step_plain(weights, squares, lean, pace.rate),
        false => step_moving(weights, squares, speed, lean, pace.rate, pace.momentum),
    }
}

/// Keeps the first steps finite.
const SQUARES_MIN: f32 = 1e-6;

wide! {
    fn step_plain(weights: &mut [f32], squares: &mut [f32], lean: &[f32], rate: f32) {
        for ((weight, square), lean) in weights.iter_mut().zip(squares).zip(lean) {
            *square += lean * lean;
            *weight -= rate * lean / (*square + SQUARES_MIN).sqrt();
        }
    }

    fn step_moving(
        weights: &mut [f32],
        squares: &mut [f32],
        speed: &mut [f32],
        lean: &[f32],
        rate: f32,
        momentum: f32,
    ) {
        for (((weight, square), speed), lean) in
            weights.iter_mut().zip(squares).zip(speed).zip(lean)
        {
            *square += lean * lean;
            *speed = momentum * *speed - rate * lean / (*square + SQUARES_MIN).sqrt();
            *weight += *speed;
        }
    }
}
