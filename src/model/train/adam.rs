//! Adam: steps along gradients, each number at its own pace (Kingma and Ba, 2015).

use super::{exp::scale, wide::wide};

/// How Adam steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The size of a step.
    pub(crate) rate: f32,
    /// What is kept of the mean of gradients, and of the mean of their squares, from step to step.
    pub(crate) keep: (f32, f32),
}

/// The means that Adam keeps for some numbers, as many of each.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    pace: Pace,
    means: Vec<f32>,
    squares: Vec<f32>,
    steps: i32,
    /// Per row, where rows are stepped one by one: the last step that it took part in.
    touched: Vec<i32>,
}

const EPS: f32 = 1e-8;

impl Adam {
    /// For so many numbers.
    pub(crate) fn new(pace: Pace, count: usize) -> Adam {
        Adam { pace, means: vec![0.0; count], squares: vec![0.0; count], steps: 0, touched: vec![] }
    }

    /// The same, for rows that are stepped one by one.
    pub(crate) fn of_rows(pace: Pace, rows: usize, dim: usize) -> Adam {
        Adam { touched: vec![0; rows], ..Adam::new(pace, rows * dim) }
    }

    /// A step begins: the updates that follow are all of it.
    pub(crate) fn begin(&mut self, rate: f32) {
        self.steps = self.steps.saturating_add(1);
        self.pace.rate = rate;
    }

    /// What one over the means' shares of the truth is, so far: early on they are too small.
    fn corrections(&self) -> (f32, f32) {
        let share = |keep: f32| (1.0 - f64::from(keep).powi(self.steps)) as f32;
        (1.0 / share(self.pace.keep.0), 1.0 / share(self.pace.keep.1))
    }

    /// Takes a share of each number away, times the size of the step that has begun: weight decay that
    /// does not go through the means (AdamW, Loshchilov and Hutter 2019).
    pub(crate) fn fade(&self, numbers: &mut [f32], decay: f32) {
        scale(numbers, 1.0 - self.pace.rate * decay);
    }

    /// Updates all numbers, on so many threads: the same bits for any.
    pub(crate) fn all(&mut self, numbers: &mut [f32], grads: &[&[f32]], threads: usize) {
        let corrections = self.corrections();
        let pace = self.pace;
        let each = numbers.len().div_ceil(threads.max(1)).max(1 << 14);
        let parts = numbers.chunks_mut(each).zip(self.means.chunks_mut(each));
        let parts = parts.zip(self.squares.chunks_mut(each)).enumerate();
        std::thread::scope(|scope| {
            let mut last = None;
            for (at, ((numbers, means), squares)) in parts {
                let from = at * each;
                let work = move || {
                    let count = numbers.len();
                    let mut sum = [0f32; 256];
                    for at in (0..count).step_by(256) {
                        let part = at..(at + 256).min(count);
                        let sum = &mut sum[..part.len()];
                        sum.fill(0.0);
                        for grad in grads {
                            let grad = &grad[from + part.start..from + part.end];
                            sum.iter_mut().zip(grad).for_each(|(sum, grad)| *sum += grad);
                        }
                        let kept = (&mut means[part.clone()], &mut squares[part.clone()]);
                        step(&mut numbers[part], sum, kept, pace, corrections);
                    }
                };
                // The calling thread takes the last part.
                if let Some(work) = last.replace(work) {
                    scope.spawn(work);
                }
            }
            if let Some(mut work) = last {
                work();
            }
        });
    }

    /// Makes up for the steps that passed without a gradient for a row: its numbers went on moving
    /// by what was left of their means. To be called before a row is read, so that rows move as if
    /// all were stepped every time, though most have no gradient.
    pub(crate) fn settle(&mut self, row: usize, numbers: &mut [f32], dim: usize) {
        let gap = self.steps - std::mem::replace(&mut self.touched[row], self.steps);
        if gap == 0 || gap == self.steps {
            return;
        }
        let (keep1, keep2) = (f64::from(self.pace.keep.0), f64::from(self.pace.keep.1));
        let by = (f64::from(self.pace.rate) * way(self.steps - gap, gap, (keep1, keep2))) as f32;
        let part = row * dim..(row + 1) * dim;
        let kept = (&mut self.means[part.clone()], &mut self.squares[part.clone()]);
        coast(&mut numbers[part], kept, by, (keep1.powi(gap) as f32, keep2.powi(gap) as f32));
    }

    /// Updates one row of numbers, which has been settled before this step began; those of other
    /// rows, and their means, stay as they are.
    pub(crate) fn row(&mut self, row: usize, numbers: &mut [f32], grad: &[f32]) {
        let (corrections, pace) = (self.corrections(), self.pace);
        let part = row * grad.len()..(row + 1) * grad.len();
        let kept = (&mut self.means[part.clone()], &mut self.squares[part.clone()]);
        self.touched[row] = self.steps;
        step(&mut numbers[part], grad, kept, pace, corrections);
    }
}

/// How far a number goes in the `gap` steps after step `from`, by its mean over its spread as they
/// were then. `EPS` is left out: it is small beside any spread.
fn way(from: i32, gap: i32, (keep1, keep2): (f64, f64)) -> f64 {
    let shrink = keep1 / keep2.sqrt();
    if from > 1000 {
        // Means have nothing to be corrected for by now: a geometric series.
        return shrink * (1.0 - shrink.powi(gap)) / (1.0 - shrink);
    }
    let (mut left1, mut left2) = (keep1.powi(from), keep2.powi(from));
    let (mut part, mut sum) = (1.0, 0.0);
    for _ in 0..gap {
        (left1, left2, part) = (left1 * keep1, left2 * keep2, part * shrink);
        sum += part * (1.0 - left2).sqrt() / (1.0 - left1);
        if part < 1e-4 {
            break;
        }
    }
    sum
}

wide! {
    fn step(
        numbers: &mut [f32],
        grads: &[f32],
        kept: (&mut [f32], &mut [f32]),
        pace: Pace,
        corrections: (f32, f32),
    ) {
        let (keep1, keep2) = pace.keep;
        let all = numbers.iter_mut().zip(grads).zip(kept.0).zip(kept.1);
        for (((number, grad), mean), square) in all {
            *mean = keep1 * *mean + (1.0 - keep1) * grad;
            *square = keep2 * *square + (1.0 - keep2) * grad * grad;
            let spread = (*square * corrections.1).sqrt() + EPS;
            *number -= pace.rate * *mean * corrections.0 / spread;
        }
    }

    /// Moves numbers by what is left of their means.
    fn coast(
        numbers: &mut [f32],
        kept: (&mut [f32], &mut [f32]),
        by: f32,
        keep: (f32, f32),
    ) {
        for ((number, mean), square) in numbers.iter_mut().zip(kept.0).zip(kept.1) {
            *number -= by * *mean / (square.sqrt() + 1e-20);
            *mean *= keep.0;
            *square *= keep.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the numbers are those of the paper's algorithm, for every count of threads, and rows
    /// are stepped as all are.
    #[test]
    fn steps_are_those_of_the_paper() {
        let pace = Pace { rate: 0.01, keep: (0.9, 0.98) };
        let count = 40_000;
        let grad = |at: usize, step: usize| ((at * 7 + step * 3) % 11) as f32 / 5.0 - 1.0;
        let (mut want, mut m, mut v) = (vec![1f64; count], vec![0f64; count], vec![0f64; count]);
        let mut runs: Vec<(Adam, Vec<f32>)> =
            (0..3).map(|_| (Adam::of_rows(pace, count / 8, 8), vec![1.0; count])).collect();
        for step in 1..=5 {
            let grads: Vec<f32> = (0..count).map(|at| grad(at, step)).collect();
            for at in 0..count {
                let g = f64::from(grads[at]);
                m[at] = 0.9 * m[at] + 0.1 * g;
                v[at] = 0.98 * v[at] + 0.02 * g * g;
                let share = |keep: f64| 1.0 - keep.powi(step as i32);
                want[at] -= 0.01 * (m[at] / share(0.9)) / ((v[at] / share(0.98)).sqrt() + 1e-8);
            }
            let half: Vec<f32> = grads.iter().map(|g| g / 2.0).collect();
            for (threads, (adam, numbers)) in runs.iter_mut().enumerate() {
                adam.begin(0.01);
                if threads == 0 {
                    (0..count / 8).for_each(|r| adam.row(r, numbers, &grads[r * 8..r * 8 + 8]));
                } else {
                    adam.all(numbers, &[&half, &half], threads);
                }
            }
        }
        for (_, numbers) in &runs {
            assert_eq!(numbers, &runs[0].1);
            for (ours, want) in numbers.iter().zip(&want) {
                assert!((f64::from(*ours) - want).abs() < 1e-5, "{ours} for {want}");
            }
        }
    }

    /// Goal: rows that get a gradient now and then move as if they got zeros in between.
    #[test]
    fn rows_that_wait_move_on() {
        let pace = Pace { rate: 0.01, keep: (0.9, 0.98) };
        let (mut some, mut all) = (Adam::of_rows(pace, 3, 4), Adam::new(pace, 12));
        let (mut ours, mut want) = (vec![0f32; 12], vec![0f32; 12]);
        for step in 0..200 {
            let has = |row: usize| step % [1, 7, 50][row] == 0;
            let mut grads = vec![0f32; 12];
            for row in (0..3).filter(|row| has(*row)) {
                (0..4).for_each(|at| grads[row * 4 + at] = ((step + at * 3) % 7) as f32 - 2.5);
            }
            (0..3).filter(|row| has(*row)).for_each(|row| some.settle(row, &mut ours, 4));
            some.begin(0.01);
            all.begin(0.01);
            all.all(&mut want, &[&grads], 1);
            for row in (0..3).filter(|row| has(*row)) {
                some.row(row, &mut ours, &grads[row * 4..row * 4 + 4]);
            }
        }
        (0..3).for_each(|row| some.settle(row, &mut ours, 4));
        for (ours, want) in ours.iter().zip(&want) {
            assert!((ours - want).abs() < 0.02 * want.abs().max(0.1), "{ours} for {want}");
        }
    }
}
