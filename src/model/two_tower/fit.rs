//! Fit: steps over batches, with others drawn at random and the hardest of them.

use super::{
    TwoTower,
    batch::{Batch, Through},
    contrast::similarities,
    lessons::{Asker, Lesson, Lessons, NONE},
    shape::{Input, Shape},
};
use crate::{
    artifact::Saved,
    error::{Error, Result},
    model::{
        method::{Method, dots},
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            epochs::Learner,
        },
        training::{Next, Training},
    },
};
use std::sync::Arc;

/// Epochs without a better one before training stops.
const PATIENCE: usize = 5;

/// What steps need.
pub(super) struct Fit<'a> {
    options: &'a TwoTower,
    shape: &'a Shape,
    lessons: &'a Lessons,
    adam: Adam,
    dice: Dice,
    /// Steps so far, and in all.
    steps: (usize, usize),
    repeats: f64,
}

impl<'a> Fit<'a> {
    pub(super) fn new(
        options: &'a TwoTower,
        shape: &'a Shape,
        lessons: &'a Lessons,
        (seed, repeats): (u64, f64),
    ) -> Fit<'a> {
        let pace = Pace { rate: options.learning_rate, keep: (0.9, 0.999) };
        let all = lessons.lessons.len().div_ceil(options.batch) * options.epochs;
        let (adam, dice) = (Adam::new(pace, shape.size()), Dice::new(seed, 21));
        Fit { options, shape, lessons, adam, dice, steps: (0, all.max(1)), repeats }
    }

    /// What goes through the towers for some lessons: users first, and others drawn at random.
    pub(super) fn batch(&mut self, lessons: &[Lesson]) -> (Batch<'a>, Vec<u32>) {
        let (all, shape) = (self.lessons, self.shape);
        let mut batch = Batch { users: Vec::new(), queries: Vec::new(), items: Vec::new() };
        let mut items: Vec<u32> = lessons.iter().map(|lesson| lesson.item).collect();
        for lesson in lessons {
            match lesson.asker {
                Asker::User(user, place) => {
                    let history = &all.histories[user as usize][..place as usize];
                    let recent = &history[history.len().saturating_sub(self.options.recent)..];
                    let inputs = recent.iter().map(|item| &all.inputs[*item as usize]);
                    batch.users.extend(shape.of_history(inputs, self.options.decay));
                }
                Asker::Query(query) => batch.queries.extend(&all.queries[query as usize]),
            }
        }
        let others = &all.others;
        items.extend((0..self.options.pool).map(|_| others[self.dice.below(others.len())]));
        batch.items = items.iter().map(|item| &all.inputs[*item as usize]).collect();
        (batch, items)
    }

    /// For each question which items count: its own, others' own, and of the pool some as they came
    /// and some of the nearest. What would have been right, too, is no other.
    fn counts(&self, lessons: &[Lesson], items: &[u32], through: &Through<'_>) -> Vec<bool> {
        let (dim, own) = (self.shape.dim as usize, lessons.len());
        let near = similarities(&through.questions, &through.items()[own * dim..], dim);
        let done = self.steps.0 as f32 / self.steps.1 as f32;
        let hard = (self.options.negatives as f32 * self.options.hard * done).round() as usize;
        let mut counts = vec![false; own * items.len()];
        for (at, lesson) in lessons.iter().enumerate() {
            let counts = &mut counts[at * items.len()..(at + 1) * items.len()];
            let wrong = |place: &usize| !self.lessons.is_right(lesson, items[*place]);
            (0..own).filter(wrong).for_each(|place| counts[place] = true);
            counts[at] = true;
            let mut pool: Vec<usize> = (own..items.len()).filter(wrong).collect();
            let score = |place: usize| near[at * (items.len() - own) + place - own];
            let hard = hard.min(pool.len());
            if hard > 0 && hard < pool.len() {
                let nearer = |a: &usize, b: &usize| score(*b).total_cmp(&score(*a)).then(a.cmp(b));
                pool.select_nth_unstable_by(hard - 1, nearer);
                // The rest in the order in which they were drawn: at random.
                pool[hard..].sort_unstable();
            }
            pool.iter().take(self.options.negatives).for_each(|place| counts[*place] = true);
        }
        counts
    }
}

impl Learner for Fit<'_> {
    type Learned = Vec<f32>;

    fn step(&mut self, theta: &mut Vec<f32>, batch: &[usize]) -> (f64, usize) {
        let mut lessons: Vec<Lesson> = batch.iter().map(|at| self.lessons.lessons[*at]).collect();
        lessons.sort_by_key(|lesson| matches!(lesson.asker, Asker::Query(_)));
        let (batch, items) = self.batch(&lessons);
        let uniform = self.options.negatives as f32 / self.lessons.others.len() as f32;
        let often = |item: &u32| lessons.len() as f32 * self.lessons.shares[*item as usize];
        let log_q: Vec<f32> =
            items.iter().map(|item| (often(item) + uniform).max(1e-9).ln()).collect();
        let through = Through::new(self.shape, theta, &batch);
        let counts = self.counts(&lessons, &items, &through);
        let (loss, grad) = through.slope(&counts, &log_q, self.options.temperature);
        drop(through);
        let left = 1.0 - self.steps.0 as f32 / self.steps.1 as f32;
        self.steps.0 += 1;
        self.adam.begin(self.options.learning_rate * left);
        self.adam.all(theta, &[&grad], 1);
        (loss, lessons.len())
    }

    fn settle_all(&mut self, _: &mut Vec<f32>) {}

    fn tell(
        &self,
        theta: &Vec<f32>,
        (loss, examples): (f64, u64),
        how: &mut Training<'_>,
    ) -> Result<Next> {
        let judge = match how.judges() {
            true => Judged::new(self, theta),
            false => Judged::default(),
        };
        let items = self.lessons.by_code.len();
        how.epoch((loss, examples), (&judge, items), (self.repeats, PATIENCE))
    }
}

/// The towers as a method over the vocabulary of the sequences, to be judged by cases.
#[derive(Debug, Default)]
struct Judged {
    shape: Option<Shape>,
    user: Vec<f32>,
    inputs: Arc<Vec<Input>>,
    by_code: Arc<Vec<u32>>,
    /// Of each code; zeros for an item without a vector.
    items: Vec<f32>,
    recent: usize,
    decay: f32,
}

impl Judged {
    fn new(fit: &Fit<'_>, theta: &[f32]) -> Judged {
        let (shape, all, dim) = (fit.shape, fit.lessons, fit.shape.dim as usize);
        let mut items = vec![0f32; all.by_code.len() * dim];
        for (code, item) in all.by_code.iter().enumerate().filter(|(_, item)| **item != NONE) {
            let filled = shape.filled(theta, [&all.inputs[*item as usize]]);
            let pass = shape.item().forward(&theta[shape.of_item()], &filled, 1);
            items[code * dim..(code + 1) * dim].copy_from_slice(&pass.out);
        }
        Judged {
            shape: Some(shape.clone()),
            user: theta[shape.of_user()].to_vec(),
            inputs: all.inputs.clone(),
            by_code: all.by_code.clone(),
            items,
            recent: fit.options.recent,
            decay: fit.options.decay,
        }
    }
}

impl Method for Judged {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        let Some(shape) = &self.shape else { return Ok(()) };
        let items = history.iter().map(|code| self.by_code[*code as usize]);
        let known: Vec<u32> = items.filter(|item| *item != NONE).collect();
        let recent = &known[known.len().saturating_sub(self.recent)..];
        let inputs = recent.iter().map(|item| &self.inputs[*item as usize]);
        let input = shape.of_history(inputs, self.decay);
        let user = shape.user().forward(&self.user, &input, 1);
        dots(&user.out, &self.items, scores);
        Ok(())
    }

    fn save(&self, _: &mut Saved) -> Result<()> {
        Err(Error::invalid(super::NAME, "is saved as towers, not as a model of sequences"))
    }
}
