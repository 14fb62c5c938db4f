//! Losses over rows of scores that come in parts: what a part says, and which way it leans.

use crate::model::train::{
    exp::{exp, exp_sub_sum, row_max, scale},
    wide::wide,
};

/// What the scores after a step should be like.
///
/// ```
/// use bowerbird::model::{Gru4Rec, Objective};
/// let ranked = Gru4Rec {
///     objective: Objective::BprMax { samples: 2048, alpha: 0.5, penalty: 1.0, elu: 0.5 },
///     ..Gru4Rec::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Objective {
    /// [`Objective::FullSoftmax`] up to 10,000 items, beyond that [`Objective::SampledSoftmax`]
    /// with 2,048 items and alpha 0.5.
    Softmax,
    /// Cross-entropy over all items.
    FullSoftmax,
    /// Cross-entropy over the next items of all lanes, and so many more by count to the power
    /// alpha. The log of an item's chance to be among them is taken off its score (logQ), so that
    /// it comes to the same as with all items; not off that of the true next one, which is always
    /// there.
    SampledSoftmax {
        /// Items drawn per step.
        samples: usize,
        /// The power of counts that they are drawn by.
        alpha: f64,
    },
    /// The true next item should score above those which score best among others (Hidasi and
    /// Karatzoglou, 2018), drawn as for the sampled softmax.
    BprMax {
        /// Items drawn per step.
        samples: usize,
        /// The power of counts that they are drawn by.
        alpha: f64,
        /// What squares of the others' scores cost ("bpreg").
        penalty: f32,
        /// Scores x below 0 count as this times e^x - 1 ("elu"), more than 0; 0 leaves scores as they
        /// are.
        elu: f32,
    },
}

/// How a row is judged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judge {
    Softmax,
    BprMax { penalty: f32, elu: f32 },
}

/// What a part of a row says: sums of terms times e^(score - max).
///
/// Of BPR-max the terms are 1, s, r^2 and s (1 - s), where r is a score and s = sigmoid(true - r);
/// of softmax 1 alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    max: f32,
    sums: [f32; 4],
}

/// The true next item of a row: its score, and its place if it is in this part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) score: f32,
    pub(super) place: Option<usize>,
}

/// How far below the best a score is that must not count, yet must stay finite: e^-80 is nothing.
const FAR: f32 = 80.0;

impl Part {
    /// Of no scores.
    pub(super) const NONE: Part = Part { max: f32::MIN, sums: [0.0; 4] };

    pub(super) fn and(self, other: Part) -> Part {
        let max = self.max.max(other.max);
        let (a, b) = (weight(self.max - max), weight(other.max - max));
        let sum = |at: usize| self.sums[at] * a + other.sums[at] * b;
        Part { max, sums: [sum(0), sum(1), sum(2), sum(3)] }
    }
}

fn weight(x: f32) -> f32 {
    if x < -FAR { 0.0 } else { x.exp() }
}

impl Judge {
    /// Looks at a part of a row. Softmax leaves exponentials in it, BPR-max scores after elu.
    pub(super) fn look(self, row: &mut [f32], goal: Goal) -> Part {
        match self {
            Judge::Softmax => {
                let max = row_max(row);
                Part { max, sums: [exp_sub_sum(row, max), 0.0, 0.0, 0.0] }
            }
            Judge::BprMax { elu, .. } => {
                bend(row, elu);
                if let Some(place) = goal.place {
                    row[place] = f32::MIN;
                }
                let max = row_max(row);
                if max == f32::MIN {
                    return Part::NONE;
                }
                if let Some(place) = goal.place {
                    row[place] = max - FAR;
                }
                Part { max, sums: pull(row, max, self.bent(goal.score)) }
            }
        }
    }

    /// The loss of a whole row.
    pub(super) fn loss(self, whole: &Part, goal: Goal) -> f64 {
        let sum = |at: usize| f64::from(whole.sums[at]);
        match self {
            Judge::Softmax => f64::from(whole.max) + sum(0).ln() - f64::from(goal.score),
            Judge::BprMax { .. } if sum(0) == 0.0 => 0.0,
            Judge::BprMax { penalty, .. } => {
                -(sum(1) / sum(0) + 1e-24).ln() + f64::from(penalty) * sum(2) / sum(0)
            }
        }
    }

    /// Replaces a part of a row by which way the loss leans by its scores, times `by`.
    pub(super) fn lean(self, row: &mut [f32], part: &Part, whole: &Part, goal: Goal, by: f32) {
        let sum = whole.sums[0];
        match self {
            Judge::Softmax => {
                scale(row, weight(part.max - whole.max) / sum * by);
                if let Some(place) = goal.place {
                    row[place] -= by;
                }
            }
            Judge::BprMax { .. } if sum == 0.0 => row.fill(0.0),
            Judge::BprMax { penalty, elu } => {
                let above = (whole.sums[1] / sum).max(1e-24);
                let own = self.bent(goal.score);
                let means = [above, whole.sums[2] / sum];
                push(row, whole.max, own, means, penalty, elu, by / sum);
                if let Some(place) = goal.place {
                    let slope = if elu > 0.0 && own < 0.0 { own + elu } else { 1.0 };
                    row[place] = -whole.sums[3] / sum / above * slope * by;
                }
            }
        }
    }

    fn bent(self, score: f32) -> f32 {
        match self {
            Judge::BprMax { elu, .. } if elu > 0.0 && score < 0.0 => elu * (exp(score) - 1.0),
            _ => score,
        }
    }
}

wide! {
    fn bend(row: &mut [f32], elu: f32) {
        // As those who published it have it: flat below 0, nothing that is wrong there would learn.
        if elu == 0.0 {
            return;
        }
        for x in row {
            let low = elu * (exp(*x) - 1.0);
            *x = if *x < 0.0 { low } else { *x };
        }
    }

    fn pull(row: &[f32], max: f32, own: f32) -> [f32; 4] {
        let mut sums = [[0f32; 16]; 4];
        for chunk in row.chunks(16) {
            for (lane, r) in chunk.iter().enumerate() {
                let pull = exp(r - max);
                let s = 1.0 / (1.0 + exp(r - own));
                sums[0][lane] += pull;
                sums[1][lane] += pull * s;
                sums[2][lane] += pull * r * r;
                sums[3][lane] += pull * s * (1.0 - s);
            }
        }
        sums.map(|lanes| lanes.iter().sum())
    }

    fn push(
        row: &mut [f32],
        max: f32,
        own: f32,
        means: [f32; 2],
        penalty: f32,
        elu: f32,
        by: f32,
    ) {
        let [above, square] = means;
        for x in row {
            let r = *x;
            let s = 1.0 / (1.0 + exp(r - own));
            let rank = (s * (1.0 - s) - (s - above)) / above;
            let cost = penalty * (r * r - square + 2.0 * r);
            let slope = if elu > 0.0 && r < 0.0 { r + elu } else { 1.0 };
            *x = exp(r - max) * by * (rank + cost) * slope;
        }
    }
}
