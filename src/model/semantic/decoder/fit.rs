//! Fit: batches of windows through the network and back, on all cores, the same bits for any.
//!
//! As for [`Sasrec`](crate::model::Sasrec): a batch is cut into groups by its sizes alone, threads
//! share groups, and gradients of groups are added up in their order.

use super::{
    head::HeadTrace,
    level::{Asked, Network},
    model::Learned,
    window::{Paths, START, Window, place},
};
use crate::{
    error::Result,
    model::{
        Cases,
        sequence::transformer::{Drop, Tokens, Trace},
        train::{
            adam::{Adam, Pace},
            dice::Dice,
            epochs::{self, Epochs, Learner},
            exp::add,
            groups::{GROUPS, deal, work_on},
            loss::Rows,
        },
        training::{Next, Training},
    },
};

/// How to train.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub(super) rate: f32,
    /// Windows per step.
    pub(super) batch: usize,
    pub(super) epochs: usize,
    pub(super) patience: usize,
    pub(super) dropout: f32,
}

/// Tokens of a micro-batch, if windows are short enough.
const MICRO: usize = 512;
/// Most gradients of the network kept for all groups together.
const KEPT: usize = 1 << 26;

/// A part of a batch.
#[derive(Debug)]
struct Group {
    windows: Vec<usize>,
    theta: Vec<f32>,
    rows: Rows,
    loss: f64,
    targets: usize,
}

/// What a thread needs.
#[derive(Debug, Default)]
struct Worker {
    tokens: Tokens,
    /// Of each token what goes in, and what comes next.
    inputs: Vec<u32>,
    targets: Vec<u32>,
    vectors: Vec<f32>,
    trace: Trace,
    head: HeadTrace,
    /// States with what was chosen, level by level.
    x: Vec<f32>,
    d_x: Vec<f32>,
    d_asks: Vec<f32>,
    d_states: Vec<f32>,
    nodes: Vec<u32>,
    codes: Vec<u16>,
    logits: Vec<f32>,
    row: Vec<f32>,
}

/// A training run.
#[derive(Debug)]
pub(super) struct Fit<'a> {
    recipe: Recipe,
    windows: Vec<Window<'a>>,
    paths: &'a Paths,
    groups: Vec<Group>,
    workers: Vec<Worker>,
    theta: Adam,
    nodes: Adam,
    /// Per row of the tree, and per node with children: the last step it was settled for.
    settled: Vec<u64>,
    opened: Vec<u64>,
    seed: u64,
    step: u64,
}

impl<'a> Fit<'a> {
    pub(super) fn new(
        learned: &Learned,
        windows: Vec<Window<'a>>,
        paths: &'a Paths,
        recipe: Recipe,
        (seed, threads): (u64, usize),
    ) -> Fit<'a> {
        let (plan, rows) = (&learned.plan, learned.tree.rows());
        let most = (KEPT / plan.total).clamp(1, GROUPS);
        let group = || Group {
            windows: Vec::new(),
            theta: vec![0.0; plan.total],
            rows: Rows::new(rows, plan.dim() + 1, false),
            loss: 0.0,
            targets: 0,
        };
        let pace = Pace { rate: recipe.rate, keep: (0.9, 0.98) };
        Fit {
            recipe,
            windows,
            paths,
            groups: (0..most).map(|_| group()).collect(),
            workers: (0..threads.clamp(1, most)).map(|_| Worker::default()).collect(),
            theta: Adam::new(pace, plan.total),
            nodes: Adam::of_rows(pace, rows, plan.dim() + 1),
            settled: vec![0; rows],
            opened: vec![0; plan.widths[0] + rows],
            seed,
            step: 0,
        }
    }

    /// Trains, keeping the best by the manners of `how`; `judge` says NDCG@10 on validation cases.
    pub(super) fn run(
        self,
        learned: Learned,
        judge: impl Fn(&Learned, &Cases) -> Result<f64>,
        how: &mut Training<'_>,
    ) -> Result<Learned> {
        let Recipe { epochs, batch, .. } = self.recipe;
        let plan = Epochs { epochs, windows: self.windows.len(), batch };
        epochs::run(Judged { fit: self, judge }, learned, plan, how)
    }

    /// One step of Adam on a batch of windows. Returns the sum of losses and how many there were.
    pub(super) fn step(&mut self, learned: &mut Learned, batch: &[usize]) -> (f64, usize) {
        self.step += 1;
        self.settle(learned, batch);
        let groups = self.lean(learned, batch);
        self.update(learned, groups);
        let groups = &self.groups[..groups];
        (groups.iter().map(|g| g.loss).sum(), groups.iter().map(|g| g.targets).sum())
    }

    /// Computes the gradients of a batch, group by group. Returns how many groups there are.
    fn lean(&mut self, learned: &Learned, batch: &[usize]) -> usize {
        let (groups, tokens) = self.deal(batch);
        let task = Task {
            network: learned.network(),
            windows: &self.windows,
            paths: self.paths,
            dropout: self.recipe.dropout,
            weight: 1.0 / tokens.max(1) as f32,
            dice: (self.seed, self.step),
        };
        work_on(&mut self.groups[..groups], &mut self.workers, |number, group, worker| {
            task.group(number, group, worker);
        });
        groups
    }

    /// The mean loss of a batch, and the gradients of the network's numbers and of prefixes.
    #[cfg(test)]
    pub(super) fn gradients(
        mut self,
        learned: &Learned,
        batch: &[usize],
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let groups = self.lean(learned, batch);
        let (mut theta, mut nodes) =
            (vec![0f32; learned.theta.len()], vec![0f32; learned.nodes.len()]);
        let (mut loss, mut targets) = (0.0, 0);
        for group in &self.groups[..groups] {
            add(&mut theta, &group.theta, 1.0);
            let dim = learned.plan.dim() + 1;
            group.rows.each(|row, grad| add(&mut nodes[row as usize * dim..][..dim], grad, 1.0));
            loss += group.loss;
            targets += group.targets;
        }
        (loss / targets as f64, theta, nodes)
    }

    /// Deals windows to groups. Returns how many there are, and tokens in all.
    fn deal(&mut self, batch: &[usize]) -> (usize, usize) {
        let tokens = |window: usize| self.windows[window].targets().len();
        let dealt = deal(batch, tokens, self.groups.len());
        let (count, all) = (dealt.len(), batch.iter().map(|window| tokens(*window)).sum());
        self.groups.iter_mut().zip(dealt).for_each(|(group, windows)| group.windows = windows);
        (count, all)
    }

    /// Makes all rows current that will be read.
    fn settle(&mut self, learned: &mut Learned, batch: &[usize]) {
        let Learned { plan, tree, nodes, .. } = learned;
        let Fit { settled, opened, nodes: adam, step, paths, windows, .. } = self;
        let dim = plan.dim() + 1;
        let mut settle = |row: usize| {
            if std::mem::replace(&mut settled[row], *step) != *step {
                adam.settle(row, nodes, dim);
            }
        };
        for window in batch {
            for id in windows[*window].ids {
                for (depth, node) in (1..).zip(paths.nodes(*id)) {
                    if depth > 1 {
                        settle(tree.row(depth, *node));
                    }
                    let place = match depth {
                        1 => *node as usize,
                        _ => plan.widths[0] + tree.row(depth, *node),
                    };
                    if std::mem::replace(&mut opened[place], *step) != *step {
                        let children = tree.children(depth, *node);
                        (children.row..).zip(children.codes).for_each(|(row, _)| settle(row));
                    }
                }
            }
        }
    }

    fn update(&mut self, learned: &mut Learned, groups: usize) {
        self.theta.begin(self.recipe.rate);
        self.nodes.begin(self.recipe.rate);
        let grads: Vec<&[f32]> = self.groups[..groups].iter().map(|g| &g.theta[..]).collect();
        self.theta.all(&mut learned.theta, &grads, self.workers.len());
        // The rows of later groups are added to those of the first.
        let [first, others @ ..] = &mut self.groups[..groups] else { return };
        for other in others {
            other.rows.each(|row, grad| first.rows.add(row, grad, 1.0));
        }
        let nodes = &mut self.nodes;
        first.rows.each(|row, grad| nodes.row(row as usize, &mut learned.nodes, grad));
    }
}

/// A run, and what judges it.
struct Judged<'a, J> {
    fit: Fit<'a>,
    judge: J,
}

impl<J: Fn(&Learned, &Cases) -> Result<f64>> Learner for Judged<'_, J> {
    type Learned = Learned;

    fn step(&mut self, learned: &mut Learned, batch: &[usize]) -> (f64, usize) {
        self.fit.step(learned, batch)
    }

    fn settle_all(&mut self, learned: &mut Learned) {
        let (dim, adam) = (learned.plan.dim() + 1, &mut self.fit.nodes);
        (0..learned.tree.rows()).for_each(|row| adam.settle(row, &mut learned.nodes, dim));
    }

    fn tell(&self, learned: &Learned, seen: (f64, u64), how: &mut Training<'_>) -> Result<Next> {
        let by = |cases: &Cases| (self.judge)(learned, cases);
        how.epoch_by(seen, super::NAME, by, self.fit.recipe.patience)
    }
}

/// What a group is to do.
#[derive(Debug)]
struct Task<'a> {
    network: Network<'a>,
    windows: &'a [Window<'a>],
    paths: &'a Paths,
    dropout: f32,
    weight: f32,
    dice: (u64, u64),
}

impl Task<'_> {
    fn group(&self, number: usize, group: &mut Group, worker: &mut Worker) {
        let (seed, step) = self.dice;
        let mut dice = Dice::new(seed, step * GROUPS as u64 + number as u64 + (1 << 40));
        group.theta.fill(0.0);
        group.rows.clear();
        (group.loss, group.targets) = (0.0, 0);
        let windows = std::mem::take(&mut group.windows);
        let mut rest = &windows[..];
        while !rest.is_empty() {
            worker.tokens.clear();
            worker.inputs.clear();
            worker.targets.clear();
            while let [window, later @ ..] = rest {
                let window = &self.windows[*window];
                let count = window.targets().len();
                if worker.tokens.len() > 0 && worker.tokens.len() + count > MICRO {
                    break;
                }
                worker.inputs.extend(window.inputs());
                worker.targets.extend_from_slice(window.targets());
                place(self.network.plan, &mut worker.tokens, count);
                rest = later;
            }
            let drop = Drop { share: self.dropout, key: dice.number() as u32 };
            group.targets += worker.targets.len();
            group.loss += self.micro((&mut group.theta, &mut group.rows), worker, drop);
        }
        group.windows = windows;
    }

    /// Forwards and back. Returns the sum of losses.
    fn micro(&self, grads: (&mut [f32], &mut Rows), worker: &mut Worker, drop: Drop) -> f64 {
        let (network, dim) = (self.network, self.network.plan.dim());
        let (grad, rows) = grads;
        worker.vectors.clear();
        for id in &worker.inputs {
            match *id {
                START => network.start(&mut worker.vectors),
                id => {
                    network.input((self.paths.codes(id), self.paths.nodes(id)), &mut worker.vectors)
                }
            }
        }
        network.read(&worker.tokens, &worker.vectors, drop, &mut worker.trace);
        let loss = self.levels((grad, rows), worker, drop);
        worker.trace.d_states.clone_from(&worker.d_states);
        let net = network.net(&worker.vectors);
        net.backward(&worker.tokens, drop, &mut worker.trace, grad);
        for (id, d) in worker.inputs.iter().zip(worker.trace.d_items.chunks_exact(dim)) {
            self.input_back(*id, d, (grad, rows), &mut worker.row);
        }
        loss
    }

    /// The heads of all levels, forwards and back, to the gradient of states.
    fn levels(&self, grads: (&mut [f32], &mut Rows), worker: &mut Worker, drop: Drop) -> f64 {
        let (network, plan, dim) = (self.network, self.network.plan, self.network.plan.dim());
        let (grad, rows) = grads;
        let Worker { trace, head, x, d_x, d_asks, d_states, nodes, codes, logits, row, .. } =
            worker;
        x.clone_from(&trace.states);
        d_states.clear();
        d_states.resize(x.len(), 0.0);
        let mut loss = 0.0;
        for level in 0..plan.levels() {
            if level > 0 {
                nodes.clear();
                nodes.extend(worker.targets.iter().map(|id| self.paths.nodes(*id)[level - 1]));
                for (x, code) in x.chunks_exact_mut(dim).zip(&*codes) {
                    add(x, &network.theta[plan.chosen(level - 1, *code)..][..dim], 1.0);
                }
            }
            codes.clear();
            codes.extend(worker.targets.iter().map(|id| self.paths.codes(*id)[level]));
            nodes.resize(codes.len(), 0);
            plan.ask(network.theta, level, x, drop, head);
            let asked = Asked { level, nodes, codes, weight: self.weight };
            let room = (&mut *logits, &mut *row);
            loss += network.loss(asked, &head.asks, d_asks, (grad, rows), room);
            plan.ask_back((network.theta, grad), level, (drop, head), d_asks, d_x);
            add(d_states, d_x, 1.0);
            for (d, id) in d_x.chunks_exact(dim).zip(&worker.targets) {
                for (level, code) in self.paths.codes(*id)[..level].iter().enumerate() {
                    add(&mut grad[plan.chosen(level, *code)..][..dim], d, 1.0);
                }
            }
        }
        loss
    }

    /// The way back of what went in.
    fn input_back(&self, id: u32, d: &[f32], grads: (&mut [f32], &mut Rows), row: &mut Vec<f32>) {
        let (network, plan, dim) = (self.network, self.network.plan, self.network.plan.dim());
        if id == START {
            add(&mut grads.0[plan.start..][..dim], d, 1.0);
            return;
        }
        row.clear();
        row.extend_from_slice(d);
        row.push(0.0);
        let path = self.paths.codes(id).iter().zip(self.paths.nodes(id));
        for (level, (code, node)) in path.enumerate() {
            add(&mut grads.0[plan.code(level, *code)..][..dim], d, 1.0);
            if level > 0 {
                grads.1.add(network.tree.row(level + 1, *node) as u32, row, 1.0);
            }
        }
    }
}
