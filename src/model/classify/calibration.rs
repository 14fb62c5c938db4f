//! Calibration: from log-odds to probabilities that come true as often as they say.

use super::linear::sigmoid;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How log-odds become probabilities. It is fitted on rows that the classifier has not learned from.
///
/// ```
/// use bowerbird::model::classify::Calibrate;
/// assert_ne!(Calibrate::Platt, Calibrate::Isotonic);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Calibrate {
    /// A slope and a shift of the log-odds (Platt, 1999): two numbers, for few labels.
    #[default]
    Platt,
    /// Any curve that never falls, by pooling adjacent violators (Zadrozny and Elkan, 2002), straight
    /// between its corners: for a thousand labels and more. Scores beyond its ends become equal.
    Isotonic,
    /// As they are.
    Nothing,
}

/// A calibration that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Calibration {
    Platt {
        slope: f64,
        shift: f64,
    },
    /// Corners of the curve, ascending.
    Isotonic {
        margins: Vec<f64>,
        chances: Vec<f64>,
    },
    Nothing,
}

/// A row that was not learned from: log-odds, label, weight.
pub(super) type Held = (f64, f32, f32);

const STEPS_MAX: usize = 100;

impl Calibration {
    pub(super) fn fit(how: Calibrate, held: &[Held]) -> Result<Calibration> {
        if held.iter().any(|row| !row.0.is_finite()) {
            return Err(Error::invalid("calibration", "has log-odds that are not finite"));
        }
        match how {
            Calibrate::Platt => Ok(platt(held)),
            Calibrate::Isotonic => Ok(isotonic(held)),
            Calibrate::Nothing => Ok(Calibration::Nothing),
        }
    }

    /// The probability, 0 to 1.
    pub(super) fn chance(&self, margin: f64) -> f64 {
        match self {
            Calibration::Platt { slope, shift } => sigmoid(slope * margin + shift),
            Calibration::Isotonic { margins, chances } => between(margins, chances, margin),
            Calibration::Nothing => sigmoid(margin),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Calibration::Platt { .. } => "platt",
            Calibration::Isotonic { .. } => "isotonic",
            Calibration::Nothing => "nothing",
        }
    }

    /// Whether it gives probabilities that never fall.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Calibration::Platt { slope, shift } => slope.is_finite() && shift.is_finite(),
            Calibration::Isotonic { margins, chances } => {
                margins.len() == chances.len()
                    && !margins.is_empty()
                    && margins.iter().all(|x| x.is_finite())
                    && margins.windows(2).all(|two| two[0] < two[1])
                    && chances.iter().all(|x| (0.0..=1.0).contains(x))
                    && chances.windows(2).all(|two| two[0] <= two[1])
            }
            Calibration::Nothing => true,
        }
    }
}

/// Newton's method on two numbers. Targets keep a little away from 0 and 1, as Platt has them.
fn platt(held: &[Held]) -> Calibration {
    let weigh = |row: &Held| (f64::from(row.1), f64::from(row.2));
    let (yes, no) = held.iter().map(weigh).fold((0.0, 0.0), |sum, (label, weight)| {
        (sum.0 + weight * label, sum.1 + weight * (1.0 - label))
    });
    let (high, low) = ((yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0));
    let target = |label: f32| f64::from(label) * high + (1.0 - f64::from(label)) * low;
    let loss = |slope: f64, shift: f64| -> f64 {
        let one = |row: &Held| {
            let x = slope * row.0 + shift;
            let soft = x.max(0.0) + (-x.abs()).exp().ln_1p();
            f64::from(row.2) * (soft - target(row.1) * x)
        };
        held.iter().map(one).sum()
    };
    let (mut slope, mut shift) = (0.0, ((yes + 1.0) / (no + 1.0)).ln());
    let mut now = loss(slope, shift);
    for _ in 0..STEPS_MAX {
        let (mut g, mut h) = ((0.0, 0.0), (1e-12, 0.0, 1e-12));
        for row in held {
            let chance = sigmoid(slope * row.0 + shift);
            let error = f64::from(row.2) * (chance - target(row.1));
            let bend = f64::from(row.2) * chance * (1.0 - chance);
            g = (g.0 + error * row.0, g.1 + error);
            h = (h.0 + bend * row.0 * row.0, h.1 + bend * row.0, h.2 + bend);
        }
        let det = h.0 * h.2 - h.1 * h.1;
        if !det.is_finite() || det <= 0.0 {
            break;
        }
        let step = ((h.2 * g.0 - h.1 * g.1) / det, (h.0 * g.1 - h.1 * g.0) / det);
        let mut size = 1.0;
        let mut next = now;
        while size > 1e-10 {
            next = loss(slope - size * step.0, shift - size * step.1);
            if next < now {
                (slope, shift) = (slope - size * step.0, shift - size * step.1);
                break;
            }
            size *= 0.5;
        }
        if size <= 1e-10 || now - next <= 1e-13 * now.abs() {
            break;
        }
        now = next;
    }
    Calibration::Platt { slope, shift }
}

/// Pools adjacent violators; corners are the first and the last of each pool, so that what lies between
/// two pools is between their values.
fn isotonic(held: &[Held]) -> Calibration {
    let mut rows: Vec<&Held> = held.iter().filter(|row| row.2 > 0.0).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    // First margin, last margin, sum of labels, sum of weights.
    let mut pools: Vec<(f64, f64, f64, f64)> = Vec::new();
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let weight: f64 = tied.iter().map(|row| f64::from(row.2)).sum();
        let yes = tied.iter().map(|row| f64::from(row.1) * f64::from(row.2)).sum();
        let mut pool = (tied[0].0, tied[0].0, yes, weight);
        while let Some(last) = pools.last().copied().filter(|l| l.2 * pool.3 >= pool.2 * l.3) {
            pools.pop();
            pool = (last.0, pool.1, last.2 + pool.2, last.3 + pool.3);
        }
        pools.push(pool);
    }
    let (mut margins, mut chances) = (Vec::new(), Vec::new());
    for (first, last, yes, weight) in pools {
        let chance = (yes / weight).clamp(0.0, 1.0);
        margins.push(first);
        chances.push(chance);
        if last > first {
            margins.push(last);
            chances.push(chance);
        }
    }
    Calibration::Isotonic { margins, chances }
}

/// On the straight line between two corners; beyond the ends, the ends' values.
fn between(margins: &[f64], chances: &[f64], margin: f64) -> f64 {
    let above = margins.partition_point(|corner| *corner < margin);
    if above == 0 {
        return chances[0];
    }
    if above == margins.len() {
        return chances[above - 1];
    }
    let (from, to) = (margins[above - 1], margins[above]);
    // Halved, so that the difference of two finite numbers is finite.
    let way = (0.5 * margin - 0.5 * from) / (0.5 * to - 0.5 * from);
    chances[above - 1] + way * (chances[above] - chances[above - 1])
}
