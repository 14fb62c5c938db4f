//! Fit: batches of windows through a transformer and back, on all cores, the same bits for any.
//!
//! A batch is cut into groups by its sizes alone, and a group into micro-batches that fit the
//! cache. Threads share groups; gradients of groups are added up in their order. Windows lie end
//! to end: nothing is computed for padding.

use super::{
    architecture::Architecture,
    attention::Tokens,
    blend::Blend,
    layer::Drop,
    pass::{HeadTrace, Trace},
    sasrec::Loss,
    trained::Transformer,
};
use crate::{
    error::Result,
    model::{
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            epochs::{self, Epochs, Learner},
            exp::add,
            groups::{GROUPS, deal, work_on},
            loss::{Against, Negatives, Predicted, Rows, full, pairs, sampled},
        },
        training::{Next, Training},
    },
};

/// How to train.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) loss: Loss,
    pub(crate) rate: f32,
    /// Windows per step.
    pub(crate) batch: usize,
    pub(crate) epochs: usize,
    pub(crate) patience: usize,
    pub(crate) dropout: f32,
    /// For a network that looks both ways: the share of items that are masked, and the share of
    /// windows of which only the last is.
    pub(crate) mask: (f32, f32),
    /// Of the sequences, as [`crate::model::Sequences::repeats`] says.
    pub(crate) repeats: f64,
}

impl Recipe {
    /// Whether all rows of the item table are stepped at once: where all have a gradient, or those
    /// that will have one are not known before.
    fn all(&self) -> bool {
        matches!(self.loss, Loss::Full | Loss::Bce)
    }
}

/// Tokens of a micro-batch, if windows are short enough.
const MICRO: usize = 1024;
/// Most gradients of item rows kept for all groups together, where all rows have one.
const KEPT: usize = 1 << 26;

/// A part of a batch.
#[derive(Debug)]
struct Group {
    windows: Vec<usize>,
    /// The gradient of the network's numbers, and of rows of the item table.
    theta: Vec<f32>,
    rows: Rows,
    negatives: Negatives,
    loss: f64,
    targets: usize,
}

/// What a thread needs.
#[derive(Debug, Default)]
struct Worker {
    tokens: Tokens,
    trace: Trace,
    head: HeadTrace,
    /// The token of each target, the target, and states and gradients of those tokens.
    asked: Vec<u32>,
    targets: Vec<u32>,
    states: Vec<f32>,
    d_states: Vec<f32>,
    logits: Vec<f32>,
}

/// A training run.
#[derive(Debug)]
pub(crate) struct Fit<'a> {
    recipe: Recipe,
    windows: Vec<&'a [u32]>,
    groups: Vec<Group>,
    workers: Vec<Worker>,
    theta: Adam,
    items: Adam,
    /// Per row of the item table: the last step it was settled for.
    settled: Vec<u64>,
    /// Where rows are made of content.
    blend: Option<Blend>,
    /// The rows of a step that will be read.
    read: Vec<u32>,
    seed: u64,
    step: u64,
}

impl<'a> Fit<'a> {
    /// Each window is no longer than the transformer can see, but for one more item where it
    /// predicts the next.
    pub(crate) fn new(
        transformer: &Transformer,
        windows: Vec<&'a [u32]>,
        recipe: Recipe,
        (seed, threads): (u64, usize),
    ) -> Fit<'a> {
        let a = &transformer.architecture;
        let (rows, dim) = (a.rows(), a.dim as usize);
        let all = recipe.all();
        let most = if all { (KEPT / (rows * dim)).clamp(1, GROUPS) } else { GROUPS };
        let group = || Group {
            windows: Vec::new(),
            theta: vec![0.0; transformer.theta.len()],
            rows: Rows::new(rows, dim, all),
            negatives: Negatives::default(),
            loss: 0.0,
            targets: 0,
        };
        let pace = Pace { rate: recipe.rate, keep: (0.9, 0.98) };
        Fit {
            recipe,
            windows,
            groups: (0..most).map(|_| group()).collect(),
            workers: (0..threads.clamp(1, most)).map(|_| Worker::default()).collect(),
            theta: Adam::new(pace, transformer.theta.len()),
            items: Adam::of_rows(pace, rows, dim),
            settled: vec![0; rows],
            blend: None,
            read: Vec::new(),
            seed,
            step: 0,
        }
    }

    /// With rows that are made of content.
    pub(super) fn blending(mut self, blend: Blend) -> Fit<'a> {
        self.blend = Some(blend);
        self
    }

    /// Trains, keeping the best by the manners of `how`.
    pub(crate) fn run(
        self,
        transformer: Transformer,
        how: &mut Training<'_>,
    ) -> Result<Transformer> {
        let Recipe { epochs, batch, .. } = self.recipe;
        let plan = Epochs { epochs, windows: self.windows.len(), batch };
        epochs::run(self, transformer, plan, how)
    }

    /// One step of Adam on a batch of windows. Returns the sum of losses and how many there were.
    pub(crate) fn step(&mut self, transformer: &mut Transformer, batch: &[usize]) -> (f64, usize) {
        self.step += 1;
        let groups = self.deal(batch);
        self.settle(transformer, groups);
        // Means are over the targets that are expected, as each group must know without the others.
        let tokens: usize = batch.iter().map(|window| self.windows[*window].len()).sum();
        let expected = match transformer.architecture.causal {
            true => tokens - batch.len(),
            false => ((tokens as f32 * self.recipe.mask.0) as usize).max(batch.len()),
        };
        let task = Task {
            net: transformer,
            recipe: self.recipe,
            windows: &self.windows,
            weight: 1.0 / expected.max(1) as f32,
            seed: self.seed,
            step: self.step,
        };
        work_on(&mut self.groups[..groups], &mut self.workers, |number, group, worker| {
            task.group(number, group, worker);
        });
        self.update(transformer, groups);
        let groups = &self.groups[..groups];
        (groups.iter().map(|g| g.loss).sum(), groups.iter().map(|g| g.targets).sum())
    }

    /// Deals windows to groups. Returns how many there are.
    fn deal(&mut self, batch: &[usize]) -> usize {
        let dealt = deal(batch, |window| self.windows[window].len(), self.groups.len());
        let count = dealt.len();
        self.groups.iter_mut().zip(dealt).for_each(|(group, windows)| group.windows = windows);
        count
    }

    /// Draws negatives, and makes all rows current that will be read.
    fn settle(&mut self, transformer: &mut Transformer, groups: usize) {
        let (items, dim) =
            (transformer.architecture.items as usize, transformer.architecture.dim as usize);
        self.read.clear();
        if self.recipe.all() {
            self.read.extend(0..items as u32);
            self.blend(transformer);
            return;
        }
        for (number, group) in self.groups[..groups].iter_mut().enumerate() {
            let stream = self.step * GROUPS as u64 + number as u64 + (1 << 41);
            let mut dice = Dice::new(self.seed, stream);
            if let Loss::Sampled { negatives, .. } | Loss::Gbce { negatives, .. } = self.recipe.loss
            {
                group.negatives.draw(items, negatives, |n| dice.below(n));
            }
            let windows = group.windows.iter().flat_map(|window| self.windows[*window]);
            for row in windows.chain(&group.negatives.codes) {
                let settled = &mut self.settled[*row as usize];
                if *settled != self.step {
                    *settled = self.step;
                    self.read.push(*row);
                    let numbers = match &mut self.blend {
                        Some(blend) => &mut blend.own,
                        None => &mut transformer.items,
                    };
                    self.items.settle(*row as usize, numbers, dim);
                }
            }
        }
        if !transformer.architecture.causal {
            self.items.settle(items, &mut transformer.items, dim);
        }
        self.blend(transformer);
    }

    /// Makes the rows that will be read of content, some of it alone.
    fn blend(&mut self, transformer: &mut Transformer) {
        if let Some(blend) = &mut self.blend {
            let mut dice = Dice::new(self.seed, self.step + (1 << 42));
            blend.write(&mut transformer.items, &self.read, Some(&mut dice));
        }
    }

    fn update(&mut self, transformer: &mut Transformer, groups: usize) {
        let threads = self.workers.len();
        self.theta.begin(self.recipe.rate);
        self.items.begin(self.recipe.rate);
        let grads: Vec<&[f32]> = self.groups[..groups].iter().map(|g| &g.theta[..]).collect();
        self.theta.all(&mut transformer.theta, &grads, threads);
        let all = |group: &'_ Group| matches!(group.rows, Rows::All { .. });
        if self.groups[..groups].iter().all(all) {
            let grads: Vec<&[f32]> = self.groups[..groups]
                .iter()
                .filter_map(|g| {
                    if let Rows::All { grad, .. } = &g.rows { Some(&grad[..]) } else { None }
                })
                .collect();
            let Some(blend) = &mut self.blend else {
                self.items.all(&mut transformer.items, &grads, threads);
                return;
            };
            let dim = transformer.architecture.dim as usize;
            let mut sum = vec![0f32; transformer.items.len()];
            grads.iter().for_each(|grad| add(&mut sum, grad, 1.0));
            let rows = || (0u32..).zip(sum.chunks_exact(dim));
            blend.learn(self.recipe.rate, |to| rows().for_each(|(row, grad)| to(row, grad)));
            let alone = (0u32..).zip(sum.chunks_exact_mut(dim)).filter(|r| !blend.with_own(r.0));
            alone.for_each(|(_, grad)| grad.fill(0.0));
            self.items.all(&mut blend.own, &[&sum], threads);
            return;
        }
        // The rows of later groups are added to those of the first.
        let [first, others @ ..] = &mut self.groups[..groups] else { return };
        for other in others {
            other.rows.each(|row, grad| first.rows.add(row, grad, 1.0));
        }
        let items = &mut self.items;
        let Some(blend) = &mut self.blend else {
            first.rows.each(|row, grad| items.row(row as usize, &mut transformer.items, grad));
            return;
        };
        blend.learn(self.recipe.rate, |to| first.rows.each(|row, grad| to(row, grad)));
        first.rows.each(|row, grad| {
            if blend.with_own(row) {
                items.row(row as usize, &mut blend.own, grad);
            }
        });
    }
}

impl Learner for Fit<'_> {
    type Learned = Transformer;

    fn step(&mut self, transformer: &mut Transformer, batch: &[usize]) -> (f64, usize) {
        Fit::step(self, transformer, batch)
    }

    fn settle_all(&mut self, transformer: &mut Transformer) {
        if !self.recipe.all() {
            let dim = transformer.architecture.dim as usize;
            for row in 0..transformer.architecture.rows() {
                let numbers = match &mut self.blend {
                    Some(blend) => &mut blend.own,
                    None => &mut transformer.items,
                };
                self.items.settle(row, numbers, dim);
            }
        }
        if let Some(blend) = &mut self.blend {
            self.read.clear();
            self.read.extend(0..transformer.architecture.items);
            blend.write(&mut transformer.items, &self.read, None);
            // A map whose numbers are no longer finite is told by the loss.
            transformer.content = blend.content().ok();
        }
    }

    fn tell(
        &self,
        transformer: &Transformer,
        seen: (f64, u64),
        how: &mut Training<'_>,
    ) -> Result<Next> {
        let items = transformer.architecture.items as usize;
        how.epoch(seen, (transformer, items), (self.recipe.repeats, self.recipe.patience))
    }
}

/// What a group is to do.
#[derive(Debug)]
struct Task<'a> {
    net: &'a Transformer,
    recipe: Recipe,
    windows: &'a [&'a [u32]],
    weight: f32,
    seed: u64,
    step: u64,
}

impl Task<'_> {
    fn architecture(&self) -> &Architecture {
        &self.net.architecture
    }

    fn group(&self, number: usize, group: &mut Group, worker: &mut Worker) {
        let mut dice = Dice::new(self.seed, self.step * GROUPS as u64 + number as u64 + (1 << 40));
        group.theta.fill(0.0);
        group.rows.clear();
        (group.loss, group.targets) = (0.0, 0);
        let dim = self.architecture().dim as usize;
        group.negatives.gather(&self.net.items, dim);
        let windows = std::mem::take(&mut group.windows);
        let mut rest = &windows[..];
        while !rest.is_empty() {
            worker.tokens.clear();
            worker.asked.clear();
            worker.targets.clear();
            while let [window, later @ ..] = rest {
                let window = self.windows[*window];
                if worker.tokens.len() > 0 && worker.tokens.len() + window.len() > MICRO {
                    break;
                }
                self.ask(window, worker, &mut dice);
                rest = later;
            }
            self.micro(group, worker, &mut dice);
        }
        group.negatives.give(&mut group.rows);
        group.windows = windows;
    }

    /// Appends a window, and what is to be predicted in it.
    fn ask(&self, window: &[u32], worker: &mut Worker, dice: &mut Dice) {
        let first = worker.tokens.items.len() as u32;
        if self.architecture().causal {
            let (inputs, targets) = (&window[..window.len() - 1], &window[1..]);
            worker.tokens.items.extend_from_slice(inputs);
            worker.asked.extend(first..first + inputs.len() as u32);
            worker.targets.extend_from_slice(targets);
        } else {
            let (share, only_last) = self.recipe.mask;
            let last = window.len() - 1;
            let only = dice.unit() < only_last;
            let sure = if only { last } else { dice.below(window.len()) };
            for (at, item) in window.iter().enumerate() {
                let masked = at == sure || (!only && dice.unit() < share);
                if masked {
                    worker.asked.push(first + at as u32);
                    worker.targets.push(*item);
                }
                let mask = self.architecture().items;
                worker.tokens.items.push(if masked { mask } else { *item });
            }
        }
        self.net.place(&mut worker.tokens);
    }

    /// Forwards and back.
    fn micro(&self, group: &mut Group, worker: &mut Worker, dice: &mut Dice) {
        let (net, dim) = (self.net.net(), self.architecture().dim as usize);
        let Worker { tokens, trace, head, asked, targets, states, d_states, logits } = worker;
        let drop = Drop { share: self.recipe.dropout, key: dice.number() as u32 };
        net.forward(tokens, drop, trace);
        states.clear();
        for at in &*asked {
            states.extend_from_slice(&trace.states[*at as usize * dim..][..dim]);
        }
        net.head(states, head);
        d_states.clear();
        d_states.resize(states.len(), 0.0);
        let count = self.architecture().items as usize;
        let predicted =
            Predicted { states, targets, items: net.items, count, dim, weight: self.weight };
        group.targets += targets.len();
        group.loss += match self.recipe.loss {
            Loss::Full => full(predicted, d_states, &mut group.rows, logits),
            Loss::Sampled { negatives, corrected } => {
                let drawn = negatives.min(count).max(1) as f32;
                let shift = if corrected { (count as f32 / drawn).ln() } else { 0.0 };
                let against = Against::Softmax { shift };
                let to = (&mut group.rows, logits);
                sampled(predicted, &mut group.negatives, against, d_states, to)
            }
            Loss::Gbce { negatives, t } => {
                let drawn = negatives.min(count) as f32;
                let alpha = drawn / (count as f32 - 1.0).max(1.0);
                let power = alpha * (t * (1.0 - 1.0 / alpha) + 1.0 / alpha);
                let share = 1.0 / (drawn + 1.0);
                let against = Against::Logistic { power: power * share, share };
                let to = (&mut group.rows, logits);
                sampled(predicted, &mut group.negatives, against, d_states, to)
            }
            Loss::Bce => {
                let draw = |target: u32| {
                    // Of the others, all alike.
                    let other = dice.below(count.max(2) - 1) as u32;
                    if count > 1 && other >= target { other + 1 } else { other }
                };
                pairs(predicted, draw, d_states, &mut group.rows)
            }
        };
        net.head_back(d_states, head, &mut group.theta);
        trace.d_states.clear();
        trace.d_states.resize(tokens.len() * dim, 0.0);
        for (at, d) in asked.iter().zip(d_states.chunks_exact(dim)) {
            trace.d_states[*at as usize * dim..][..dim].copy_from_slice(d);
        }
        net.backward(tokens, drop, trace, &mut group.theta);
        for (item, d) in tokens.items.iter().zip(trace.d_items.chunks_exact(dim)) {
            group.rows.add(*item, d, 1.0);
        }
    }
}
