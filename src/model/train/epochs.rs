//! Epochs: passes over windows in batches, by the manners of [`Training`].

use crate::{
    error::Result,
    model::{
        train::dice::Dice,
        training::{Next, Training},
    },
};

/// Who learns from windows, batch by batch.
pub(crate) trait Learner {
    /// What is learned.
    type Learned: Clone;

    /// One step on a batch. Returns the sum of losses and how many there were.
    fn step(&mut self, learned: &mut Self::Learned, batch: &[usize]) -> (f64, usize);

    /// Makes up for what steps have left for later.
    fn settle_all(&mut self, learned: &mut Self::Learned);

    /// Tells `how` of an epoch: its mean loss, and how many examples there were in all.
    fn tell(
        &self,
        learned: &Self::Learned,
        seen: (f64, u64),
        how: &mut Training<'_>,
    ) -> Result<Next>;
}

/// How many passes over how many windows, and how many of them make a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epochs {
    pub(crate) epochs: usize,
    pub(crate) windows: usize,
    pub(crate) batch: usize,
}

/// Seconds between looks at whether training was cancelled.
const POLL: f64 = 0.5;

/// Trains, and returns the best that `how` has seen.
pub(crate) fn run<L: Learner>(
    mut learner: L,
    mut learned: L::Learned,
    Epochs { epochs, windows, batch }: Epochs,
    how: &mut Training<'_>,
) -> Result<L::Learned> {
    how.begin(epochs)?;
    let mut order: Vec<usize> = (0..windows).collect();
    let (mut best, mut examples, mut polled) = (None, 0, how.seconds());
    for epoch in 0..epochs {
        Dice::new(how.seed, 1_000 + epoch as u64).shuffle(&mut order);
        let (mut loss, mut targets) = (0.0, 0);
        for batch in order.chunks(batch) {
            let (sum, count) = learner.step(&mut learned, batch);
            loss += sum;
            targets += count;
            if how.seconds() > polled + POLL {
                how.progress.check()?;
                polled = how.seconds();
            }
        }
        examples += targets as u64;
        learner.settle_all(&mut learned);
        match learner.tell(&learned, (loss / targets.max(1) as f64, examples), how)? {
            Next::Better => best = how.judged().then(|| learned.clone()),
            Next::Worse => {}
            Next::Stop => break,
            Next::StopHere => return Ok(learned),
        }
    }
    Ok(best.unwrap_or(learned))
}
