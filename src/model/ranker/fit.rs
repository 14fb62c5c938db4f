//! FitRanker: trains a ranker on examples.

use super::{
    batch::RankBatch,
    examples::Examples,
    model::RankModel,
    net::{Body, Dropout, Input, Net, Shape},
};
use crate::{
    error::{Error, Result},
    model::{
        Training,
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            epochs::{self, Epochs, Learner},
            exp::{exp_sub_sum, row_max},
            groups::{GROUPS, deal, work_on},
        },
        training::Next,
    },
};

/// What is made small.
///
/// ```
/// use bowerbird::model::ranker::RankLoss;
/// assert_ne!(RankLoss::Softmax, RankLoss::Logistic);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RankLoss {
    /// The cross-entropy of the labels, as shares of a list, with the softmax of its scores (ListNet,
    /// Cao et al. 2007): which of these?
    Softmax,
    /// The logistic loss of each candidate, labels above 1 counting as 1: is this one right? Scores are
    /// log-odds then.
    Logistic,
}

/// How to train a ranker.
///
/// ```
/// use bowerbird::model::ranker::{Body, FitRanker};
/// let fit = FitRanker { epochs: 5, ..FitRanker::of(Body::Mlp { hidden: vec![256, 128] }) };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FitRanker {
    /// What is computed.
    pub body: Body,
    /// How many numbers each vector is projected to, 1 to 1,024.
    pub width: u32,
    /// What is made small.
    pub loss: RankLoss,
    /// Passes over all lists, at most.
    pub epochs: usize,
    /// Lists in a batch.
    pub batch: usize,
    /// Adam's step.
    pub learning_rate: f32,
    /// Share of each weight that is taken away with each step, times the rate (AdamW, Loshchilov and
    /// Hutter 2019).
    pub decay: f32,
    /// Share of the inputs and of what layers say that is left out by chance, 0 to below 1.
    pub dropout: f32,
    /// How many epochs may pass without a better one on the validation lists; at least 1.
    pub patience: usize,
}

impl FitRanker {
    /// With settings that were not tuned: 64 numbers for each vector, softmax.
    pub fn of(body: Body) -> FitRanker {
        FitRanker {
            body,
            width: 64,
            loss: RankLoss::Softmax,
            epochs: 20,
            batch: 64,
            learning_rate: 1e-3,
            decay: 0.01,
            dropout: 0.1,
            patience: 3,
        }
    }

    /// Trains on lists, and keeps what was best on the validation lists by NDCG@10; each task counts the same.
    /// Without a validation list that has a label above 0 nobody can tell, and it is the last epoch that is
    /// kept.
    /// The same lists, options and seed give the same bits, with any number of threads.
    ///
    /// # Errors
    /// `Invalid` for options out of range, for lists of other features or dimensions, if no list has
    /// candidates both right and wrong, if the loss diverges, or if `how` has
    /// [cases](Training::validate), which are of sequences and say nothing of lists; `Cancelled`.
    pub fn train(
        &self,
        examples: &Examples,
        validation: Option<&Examples>,
        how: &mut Training<'_>,
    ) -> Result<RankModel> {
        self.check()?;
        let batch = &examples.batch;
        check_validation(batch, validation.map(|lists| &lists.batch), how)?;
        let shape = Shape::of(&batch.features, &batch.dims, self.width, self.body.clone());
        shape.check()?;
        let lists: Vec<usize> =
            (0..examples.len()).filter(|list| useful(examples, *list)).collect();
        if lists.is_empty() {
            let why = "have no list with a label of 0 and one above: nothing is to be learned";
            return Err(Error::invalid("examples", why));
        }
        let numbers = shape.start(how.seed);
        let net = Net::new(shape, numbers, scales(examples, &lists))?;
        let pace = Pace { rate: self.learning_rate, keep: (0.9, 0.999) };
        let adam = Adam::new(pace, net.numbers.len());
        let windows = lists.len();
        let (threads, chance) = (how.threads, (how.seed, 0));
        let learner = Lists { fit: self, examples, validation, lists, adam, threads, chance };
        let size = Epochs { epochs: self.epochs, windows, batch: self.batch };
        let net = epochs::run(learner, net, size, how)?;
        RankModel::new((*batch.features).clone(), net, self.notes(how), how.seed)
    }

    fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("options of FitRanker", why));
        if self.epochs == 0 || self.batch == 0 || self.patience == 0 {
            return refuse("have no epoch, no list in a batch or no patience; at least 1".into());
        }
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            return refuse(format!("have a learning rate of {}", self.learning_rate));
        }
        match (0.0..1.0).contains(&self.decay) && (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => {
                let (decay, dropout) = (self.decay, self.dropout);
                refuse(format!("have a decay of {decay} or a dropout of {dropout}; 0 to 1"))
            }
        }
    }

    fn notes(&self, how: &Training<'_>) -> Vec<(String, String)> {
        let mut notes = vec![
            ("method".to_owned(), format!("ranker {}", self.body.tag())),
            ("options".to_owned(), format!("{self:?}")),
            ("train_seconds".to_owned(), format!("{:.1}", how.seconds())),
        ];
        if let Some(best) = how.curve().iter().filter_map(|epoch| epoch.ndcg_10).reduce(f64::max) {
            notes.push(("validation_ndcg_10".to_owned(), format!("{best:.4}")));
        }
        notes
    }
}

/// Whether these lists can say how good what is learned from `batch` is.
fn check_validation(
    batch: &RankBatch,
    lists: Option<&RankBatch>,
    how: &Training<'_>,
) -> Result<()> {
    if how.judges() {
        let why = "were given to Training: they are of sequences, and a ranker is judged by lists. \
                   Give those to FitRanker::train.";
        return Err(Error::invalid("validation cases", why));
    }
    let Some(lists) = lists else { return Ok(()) };
    if lists.features != batch.features {
        return Err(Error::invalid("validation", "has other features than the examples"));
    }
    match lists.dims == batch.dims {
        true => Ok(()),
        false => {
            let why =
                "has vectors of other dimensions than the examples. Is it of the same database?";
            Err(Error::invalid("validation", why))
        }
    }
}

/// NDCG@10, each task counting the same, however many lists it has; `None` if no list has a label above 0.
fn by_task(lists: &Examples, scores: &[f32]) -> Option<f64> {
    let mut sums = vec![(0f64, 0f64); lists.batch.features.tasks.len().max(1)];
    for (mark, task) in lists.ndcgs(scores, 10).iter().zip(lists.batch.tasks()) {
        if let Some(mark) = mark {
            let (sum, count) = &mut sums[*task as usize];
            (*sum, *count) = (*sum + mark, *count + 1.0);
        }
    }
    let means = sums.iter().filter(|sum| sum.1 > 0.0).map(|(sum, count)| sum / count);
    let (sum, count) = means.fold((0.0, 0.0), |(sum, n), mean| (sum + mean, n + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Whether something can be learned from a list.
fn useful(examples: &Examples, list: usize) -> bool {
    let labels = &examples.labels[examples.batch.range(list)];
    labels.iter().any(|label| *label > 0.0) && labels.contains(&0.0)
}

/// Of each task the mean of each scalar, and one over its deviation; 0 for one that does not vary.
///
/// What says much on one surface may be missing on the others, and then varies over all of them as it does on
/// none (partitioned normalization, STAR, Sheng et al. 2021).
fn scales(examples: &Examples, lists: &[usize]) -> Vec<(f32, f32)> {
    let tasks = examples.batch.features.tasks.len().max(1) as u32;
    let of = |task| {
        let of: Vec<usize> =
            lists.iter().copied().filter(|list| examples.batch.tasks[*list] == task).collect();
        scales_of(examples, if of.is_empty() { lists } else { &of })
    };
    (0..tasks).flat_map(of).collect()
}

/// The same of some lists.
fn scales_of(examples: &Examples, lists: &[usize]) -> Vec<(f32, f32)> {
    let width = examples.batch.features.scalars.len();
    let mut sums = vec![(0f64, 0f64); width];
    let mut count = 0f64;
    for list in lists {
        let rows = examples.batch.scalars.rows(examples.batch.range(*list));
        for row in rows.chunks_exact(width.max(1)) {
            count += 1.0;
            for (sum, x) in sums.iter_mut().zip(row) {
                sum.0 += f64::from(*x);
                sum.1 += f64::from(*x).powi(2);
            }
        }
    }
    let scale = |(sum, squares): &(f64, f64)| {
        let mean = sum / count.max(1.0);
        let spread = (squares / count.max(1.0) - mean * mean).max(0.0).sqrt();
        let by = if spread > 1e-6 * mean.abs().max(1e-6) { 1.0 / spread } else { 0.0 };
        (mean as f32, by as f32)
    };
    sums.iter().map(scale).collect()
}

/// Learns from lists.
struct Lists<'e> {
    fit: &'e FitRanker,
    examples: &'e Examples,
    validation: Option<&'e Examples>,
    lists: Vec<usize>,
    adam: Adam,
    threads: usize,
    /// The seed of what is dropped, and how many steps there were.
    chance: (u64, u64),
}

/// A part of a batch, and what it adds.
struct Group {
    lists: Vec<usize>,
    grads: Vec<f32>,
    loss: f64,
}

impl Learner for Lists<'_> {
    type Learned = Net;

    fn step(&mut self, net: &mut Net, batch: &[usize]) -> (f64, usize) {
        let examples = self.examples;
        let lists: Vec<usize> = batch.iter().map(|at| self.lists[*at]).collect();
        let size = |list: usize| examples.batch.range(list).len();
        let mut groups: Vec<Group> = deal(&lists, size, GROUPS)
            .into_iter()
            .map(|lists| Group { lists, grads: vec![0.0; net.numbers.len()], loss: 0.0 })
            .collect();
        let mut workers = vec![(); self.threads.clamp(1, groups.len().max(1))];
        let (by, learned, loss) = (1.0 / lists.len() as f32, &*net, self.fit.loss);
        self.chance.1 += 1;
        let (share, (seed, step)) = (self.fit.dropout, self.chance);
        work_on(&mut groups, &mut workers, |at, group, ()| {
            let stream = 1_000_000 + step * GROUPS as u64 + at as u64;
            let dropout = Dropout { dice: Dice::new(seed, stream), share };
            let dropout = (share > 0.0).then_some(dropout);
            let how = (loss, by, dropout);
            group.loss = learn(learned, examples, &group.lists, how, &mut group.grads);
        });
        self.adam.begin(self.fit.learning_rate);
        let keep = 1.0 - self.fit.decay * self.fit.learning_rate;
        for part in net.parts.iter().filter(|part| part.rows > 1) {
            net.numbers[part.range()].iter_mut().for_each(|x| *x *= keep);
        }
        let grads: Vec<&[f32]> = groups.iter().map(|group| &group.grads[..]).collect();
        self.adam.all(&mut net.numbers, &grads, self.threads);
        (groups.iter().map(|group| group.loss).sum(), lists.len())
    }

    fn settle_all(&mut self, _: &mut Net) {}

    fn tell(&self, net: &Net, seen: (f64, u64), how: &mut Training<'_>) -> Result<Next> {
        let ndcg = self.validation.and_then(|lists| by_task(lists, &net.scores(&lists.batch)));
        how.epoch_with(seen, "a ranker", ndcg, self.fit.patience)
    }
}

impl Net {
    /// The scores of all candidates of a batch, some lists at a time: they are copied.
    pub(super) fn scores(&self, batch: &RankBatch) -> Vec<f32> {
        let mut scores = vec![0f32; batch.len()];
        let lists: Vec<usize> = (0..batch.requests()).collect();
        for some in lists.chunks(64) {
            let input = Input::some(batch, some);
            let rows = batch.range(some[0]).start..batch.range(some[some.len() - 1]).end;
            self.forward(&input, &mut scores[rows]);
        }
        scores
    }
}

/// Adds the gradients of some lists, each `by` times, and returns the sum of their losses.
pub(super) fn learn(
    net: &Net,
    examples: &Examples,
    lists: &[usize],
    (loss, by, dropout): (RankLoss, f32, Option<Dropout>),
    grads: &mut [f32],
) -> f64 {
    let input = Input::some(&examples.batch, lists);
    let mut scores = vec![0f32; input.candidates()];
    let trace = net.pass(&input, dropout, &mut scores);
    let mut sum = 0.0;
    for (list, range) in lists.iter().zip(&input.ranges) {
        let labels = &examples.labels[examples.batch.range(*list)];
        let scores = &mut scores[range.clone()];
        sum += match loss {
            RankLoss::Softmax => softmax(scores, labels, by),
            RankLoss::Logistic => logistic(scores, labels, by),
        };
    }
    net.backward(&input, &trace, &scores, grads);
    sum
}

/// Turns scores into gradients, and returns the loss.
fn softmax(scores: &mut [f32], labels: &[f32], by: f32) -> f64 {
    let total: f32 = labels.iter().sum();
    let max = row_max(scores);
    let before = scores.to_vec();
    let sum = exp_sub_sum(scores, max);
    let mut loss = 0.0;
    for ((grad, label), score) in scores.iter_mut().zip(labels).zip(&before) {
        let share = label / total;
        loss += f64::from(share) * f64::from(sum.ln() + max - score);
        *grad = by * (*grad / sum - share);
    }
    loss
}

fn logistic(scores: &mut [f32], labels: &[f32], by: f32) -> f64 {
    let count = labels.len() as f64;
    let mut loss = 0.0;
    for (score, label) in scores.iter_mut().zip(labels) {
        let (x, y) = (f64::from(*score), f64::from(label.min(1.0)));
        loss += (x.max(0.0) - x * y + (-x.abs()).exp().ln_1p()) / count;
        let p = 1.0 / (1.0 + (-x).exp());
        *score = by * ((p - y) / count) as f32;
    }
    loss
}
