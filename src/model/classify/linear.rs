//! Logistic regression: how it is trained, and what comes of it.

use super::rows::Rows;
use crate::{
    error::{Error, Result},
    model::train::solve::{Normal, solve},
    progress::Progress,
};
use serde::{Deserialize, Serialize};

/// Logistic regression with a penalty on large weights, by Newton's method.
///
/// Columns are brought to mean 0 and deviation 1 inside. A value that is missing counts as the mean, and a
/// column in which values are missing gets a second weight for that. What is made small is the weighted sum
/// of the losses plus `l2` / 2 times the squared weights: scikit-learn's `C` is 1 / `l2`.
///
/// ```
/// let careful = bowerbird::model::classify::Logistic { l2: 10.0 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logistic {
    /// The penalty; above 0.
    pub l2: f64,
}

impl Default for Logistic {
    fn default() -> Logistic {
        Logistic { l2: 1.0 }
    }
}

/// A weight for each column, after its mean and deviation; and one for its absence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Linear {
    bias: f64,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    mean: f64,
    deviation: f64,
    weight: f64,
    /// What is added if the value is missing.
    missing: f64,
}

impl Column {
    /// A column's share of the log-odds.
    fn share(&self, value: f32) -> f64 {
        match value.is_nan() {
            true => self.missing,
            false => self.weight * ((f64::from(value) - self.mean) / self.deviation),
        }
    }
}

impl Linear {
    /// The log-odds of a row, which is as wide as it should be.
    pub(super) fn margin(&self, row: &[f32]) -> f64 {
        let shares = self.columns.iter().zip(row).map(|(column, value)| column.share(*value));
        self.bias + shares.sum::<f64>()
    }

    /// What each column adds to the log-odds.
    pub(super) fn shares(&self, row: &[f32]) -> Vec<f64> {
        self.columns.iter().zip(row).map(|(column, value)| column.share(*value)).collect()
    }

    /// The weight of each column, for values of deviation 1.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.columns.iter().map(|column| column.weight).collect()
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether any row of finite numbers can get a finite margin.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |column: &Column| {
            let Column { mean, deviation, weight, missing } = column;
            [mean, deviation, weight, missing].iter().all(|x| x.is_finite()) && *deviation > 0.0
        };
        self.bias.is_finite() && self.columns.iter().all(sound)
    }
}

/// Columns as the regression sees them: which of the table's, and whether its absence.
struct Design {
    scales: Vec<(f64, f64)>,
    /// Columns in which values are missing.
    absent: Vec<usize>,
    /// Rows of mean 0 and deviation 1, and of whether values are missing, and of 1 for the bias.
    rows: Vec<f32>,
    dim: usize,
}

const STEPS_MAX: usize = 100;

impl Logistic {
    pub(super) fn fit(&self, rows: &Rows, progress: &mut Progress<'_>) -> Result<Linear> {
        if !self.l2.is_finite() || self.l2 <= 0.0 {
            let why = format!("is {}; it must be above 0", self.l2);
            return Err(Error::invalid("penalty l2", why));
        }
        let design = Design::of(rows);
        let dim = design.dim;
        let mut weights = vec![0f64; dim];
        // The share of yes is where the bias begins, so that rare labels need no more steps.
        let (sum, all) = mean(rows);
        let share = (sum / all).clamp(1e-9, 1.0 - 1e-9);
        weights[dim - 1] = (share / (1.0 - share)).ln();
        let mut loss = self.loss(rows, &design, &weights);
        let mut normal = Normal::new(dim);
        for _ in 0..STEPS_MAX {
            progress.check()?;
            let (step, slope) = self.step(rows, &design, &weights, &mut normal);
            // Halved until it goes down: far from the optimum Newton's step may be too long.
            let mut size = 1.0;
            let mut next = loss;
            while size > 1e-10 {
                let tried: Vec<f64> =
                    weights.iter().zip(&step).map(|(w, s)| w - size * f64::from(*s)).collect();
                next = self.loss(rows, &design, &tried);
                if next <= loss {
                    weights = tried;
                    break;
                }
                size *= 0.5;
            }
            let gain = loss - next;
            if size <= 1e-10 || (gain <= 1e-12 * loss.abs() && slope <= 1e-6 * all) {
                break;
            }
            loss = next;
        }
        if !loss.is_finite() {
            return Err(Error::invalid("logistic regression", "diverged: the loss is not finite"));
        }
        Ok(design.columns(&weights))
    }

    /// Newton's step, and the largest of the slopes.
    fn step(
        &self,
        rows: &Rows,
        design: &Design,
        weights: &[f64],
        normal: &mut Normal,
    ) -> (Vec<f32>, f64) {
        let dim = design.dim;
        let mut slopes: Vec<f64> = weights.iter().map(|weight| self.l2 * weight).collect();
        slopes[dim - 1] = 0.0;
        // The bias has no penalty but rounding's: a column of ones is never singular by itself.
        normal.begin(&vec![0.0; dim * dim], 0.0, self.l2 as f32);
        normal.ease(dim - 1, self.l2 as f32 * (1.0 - 1e-6));
        let examples = design.rows.chunks_exact(dim).zip(rows.labels()).zip(rows.weights());
        for ((row, label), weight) in examples {
            let chance = sigmoid(dot(row, weights));
            let (label, weight) = (f64::from(*label), f64::from(*weight));
            let error = weight * (chance - label);
            slopes.iter_mut().zip(row).for_each(|(slope, x)| *slope += error * f64::from(*x));
            normal.push(row, (weight * (chance * (1.0 - chance)).max(1e-12)) as f32);
        }
        let aim: Vec<f32> = slopes.iter().map(|slope| *slope as f32).collect();
        normal.aim(&aim);
        let steepest = slopes.iter().fold(0f64, |most, slope| most.max(slope.abs()));
        (solve(normal), steepest)
    }

    fn loss(&self, rows: &Rows, design: &Design, weights: &[f64]) -> f64 {
        let penalized = &weights[..design.dim - 1];
        let penalty = 0.5 * self.l2 * penalized.iter().map(|w| w * w).sum::<f64>();
        let examples = design.rows.chunks_exact(design.dim).zip(rows.labels()).zip(rows.weights());
        let loss = |((row, label), weight): ((&[f32], &f32), &f32)| {
            let margin = dot(row, weights);
            // log(1 + e^m) - y m, without overflow.
            let soft = margin.max(0.0) + (-margin.abs()).exp().ln_1p();
            f64::from(*weight) * (soft - f64::from(*label) * margin)
        };
        penalty + examples.map(loss).sum::<f64>()
    }
}

impl Design {
    fn of(rows: &Rows) -> Design {
        let width = rows.width();
        let (mut scales, mut absent) = (Vec::with_capacity(width), Vec::new());
        for column in 0..width {
            let values = || rows.values().iter().skip(column).step_by(width).map(|x| f64::from(*x));
            let there = || values().zip(rows.weights()).filter(|(x, _)| !x.is_nan());
            let all: f64 = there().map(|(_, weight)| f64::from(*weight)).sum();
            let mean =
                there().map(|(x, w)| x * f64::from(*w)).sum::<f64>() / all.max(f64::MIN_POSITIVE);
            let spread = there().map(|(x, w)| (x - mean).powi(2) * f64::from(*w)).sum::<f64>();
            let deviation = (spread / all.max(f64::MIN_POSITIVE)).sqrt();
            // A column that is the same everywhere says nothing: its weight stays 0.
            let flat = deviation <= 1e-9 * mean.abs() || deviation == 0.0;
            scales.push((mean, if flat { 1.0 } else { deviation }));
            if values().any(f64::is_nan) {
                absent.push(column);
            }
        }
        let dim = width + absent.len() + 1;
        let mut design = Vec::with_capacity(rows.len() * dim);
        for row in rows.values().chunks_exact(width) {
            let scaled = row.iter().zip(&scales).map(|(x, (mean, deviation))| match x.is_nan() {
                true => 0.0,
                false => ((f64::from(*x) - mean) / deviation) as f32,
            });
            design.extend(scaled);
            design.extend(absent.iter().map(|column| f32::from(u8::from(row[*column].is_nan()))));
            design.push(1.0);
        }
        Design { scales, absent, rows: design, dim }
    }

    fn columns(&self, weights: &[f64]) -> Linear {
        let mut columns: Vec<Column> = self
            .scales
            .iter()
            .zip(weights)
            .map(|((mean, deviation), weight)| Column {
                mean: *mean,
                deviation: *deviation,
                weight: *weight,
                missing: 0.0,
            })
            .collect();
        for (column, weight) in self.absent.iter().zip(&weights[self.scales.len()..]) {
            columns[*column].missing = *weight;
        }
        Linear { bias: weights[self.dim - 1], columns }
    }
}

fn mean(rows: &Rows) -> (f64, f64) {
    let pairs = rows.labels().iter().zip(rows.weights());
    pairs.fold((0.0, 0.0), |sum, (label, weight)| {
        let weight = f64::from(*weight);
        (sum.0 + weight * f64::from(*label), sum.1 + weight)
    })
}

fn dot(row: &[f32], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum()
}

/// 1 / (1 + e^-x), without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
