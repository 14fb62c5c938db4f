//! Als: vectors of users and items whose inner products say who has what.

use super::{lists::Lists, steps::different, table::Voices};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{
        Model, Sequences, Train, Training,
        method::{Method, Vectors},
        shelf,
        train::{
            dice::Dice,
            solve::{Normal, solve},
        },
        training::Next,
    },
    store::spread,
};

pub(crate) const NAME: &str = "als";

/// Implicit alternating least squares (Hu, Koren and Volinsky, 2008; penalty by frequency as in
/// Rendle et al., 2022): vectors whose inner products are near 1 for what users have and near 0, with
/// a small weight, for all else. Items and users are solved for in turn, each exactly.
///
/// The vector of a user is not kept: it is solved for from the history when it is needed, so users
/// that were not there in training are no different. Item vectors are a vector space.
///
/// ```
/// use bowerbird::model::Als;
/// let large = Als { dim: 256, ..Als::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Als {
    /// How many numbers a vector has; at most 1,024.
    pub dim: usize,
    /// How often users and items are solved for.
    pub epochs: usize,
    /// The weight of the penalty, per event and per unobserved pair; `None` for one that follows from
    /// the data.
    pub penalty: Option<f32>,
    /// What a pair of user and item counts that did not happen, beside one that did; `None` for a
    /// weight that follows from the data.
    pub unobserved: Option<f32>,
    /// How many of the last items of a history make the vector of a user.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// How many of the last different items of a sequence are counted.
    pub latest: usize,
}

impl Default for Als {
    fn default() -> Als {
        Als {
            dim: 64,
            epochs: 8,
            penalty: None,
            unobserved: None,
            recent: 20,
            decay: 0.6,
            latest: 1_000,
        }
    }
}

/// Longest vector: solving for one takes time with its cube.
const DIM_MAX: usize = 1_024;
/// Largest number in a vector: inner products of two stay finite.
const NUMBER_MAX: f32 = 1e9;
/// Epochs without a better one before training stops, where there are cases to judge by.
const PATIENCE: usize = 3;

impl Train for Als {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("Als", self.recent, self.decay)?;
        let weight = |weight: f32| (1e-9..=1e9).contains(&weight);
        if !(1..=DIM_MAX).contains(&self.dim) || self.epochs == 0 || self.latest == 0 {
            let why = "needs a dim of 1 to 1,024, and epochs and a latest of at least 1";
            return Err(Error::invalid("Als", why));
        }
        if !self.penalty.is_none_or(weight) || !self.unobserved.is_none_or(weight) {
            return Err(Error::invalid("Als", "needs a penalty and an unobserved of more than 0"));
        }
        how.begin(self.epochs)?;
        let items = sequences.vocabulary().len();
        let mut users = Lists::new();
        sequences.iter().for_each(|items| users.push(different(items, self.latest)));
        let having = users.inverted(items, usize::MAX);
        let mut dice = Dice::new(how.seed, 0xa15);
        let scale = 0.1 / (self.dim as f32).sqrt();
        let vectors = (0..items * self.dim).map(|_| dice.normal() * scale).collect();
        let weights = (
            self.penalty.unwrap_or(PENALTY),
            self.unobserved.unwrap_or_else(|| unobserved(users.total(), users.len(), items)),
        );
        let mut now = Factors::new(self.dim, vectors, weights, users.len() as u64, voices);
        let (mut best, mut examples, repeats) = (None, 0, sequences.repeats());
        for _ in 0..self.epochs {
            let gram = Normal::gram(&now.vectors, self.dim);
            let (of_users, loss) = now.side(&users, (&now.vectors, &gram), how)?;
            let gram = Normal::gram(&of_users, self.dim);
            let (of_items, _) = now.side(&having, (&of_users, &gram), how)?;
            now = Factors::new(self.dim, of_items, weights, users.len() as u64, voices);
            examples += users.total() as u64;
            match how.epoch((loss, examples), (&now, items), (repeats, PATIENCE))? {
                Next::Better => best = how.judged().then(|| now.vectors.clone()),
                Next::Worse => {}
                Next::StopHere => {
                    best = None;
                    break;
                }
                Next::Stop => break,
            }
        }
        if let Some(vectors) = best {
            now = Factors::new(self.dim, vectors, weights, users.len() as u64, voices);
        }
        let options = vec![
            ("dim".into(), self.dim.to_string()),
            ("epochs".into(), self.epochs.to_string()),
            ("penalty".into(), weights.0.to_string()),
            ("unobserved".into(), weights.1.to_string()),
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("latest".into(), self.latest.to_string()),
        ];
        Ok(Model::trained(now, options, sequences, how))
    }
}

/// Among the best on validation splits of MovieLens-1M, Amazon Beauty and clicks of Yoochoose, whose
/// own best were 0.003, 0.03 and 0.003.
const PENALTY: f32 = 0.005;

/// So that all pairs weigh five times what happened: best, or near it, on the same splits.
fn unobserved(events: usize, users: usize, items: usize) -> f32 {
    let share = events as f64 / (users as f64 * items as f64).max(1.0);
    (5.0 * share).clamp(1e-9, 1.0) as f32
}

/// Vectors of items, and what it takes to solve for the vector of a user.
#[derive(Debug)]
pub(crate) struct Factors {
    dim: usize,
    vectors: Vec<f32>,
    /// The sum of the outer products of all vectors with themselves.
    gram: Vec<f32>,
    penalty: f32,
    unobserved: f32,
    /// How many users there were.
    users: u64,
    voices: Voices,
}

/// Rows solved for by one worker at a time, and between two questions whether to go on.
const PIECE: usize = 64;
const GROUP: usize = 64 * PIECE;

impl Factors {
    fn new(
        dim: usize,
        vectors: Vec<f32>,
        (penalty, unobserved): (f32, f32),
        users: u64,
        voices: Voices,
    ) -> Factors {
        let gram = Normal::gram(&vectors, dim);
        Factors { dim, vectors, gram, penalty, unobserved, users, voices }
    }

    /// Solves for the vectors of one side, given those of the other and their Gram matrix; also the
    /// mean squared error of what was observed.
    fn side(
        &self,
        lists: &Lists,
        (others, gram): (&[f32], &[f32]),
        how: &mut Training<'_>,
    ) -> Result<(Vec<f32>, f64)> {
        let others_all = others.len() / self.dim;
        let piece = |from: usize| -> Result<(Vec<f32>, f64)> {
            let (mut out, mut error) = (Vec::with_capacity(PIECE * self.dim), 0.0);
            let mut normal = Normal::new(self.dim);
            for list in from..lists.len().min(from + PIECE) {
                let list = lists.get(list as u32);
                normal.begin(gram, self.unobserved, self.ridge(list.len() as f32, others_all));
                list.iter().for_each(|other| normal.push(row(others, *other, self.dim), 1.0));
                let vector = solve(&mut normal);
                error += list
                    .iter()
                    .map(|other| {
                        let pair = row(others, *other, self.dim).iter().zip(&vector);
                        f64::from(1.0 - pair.map(|(a, b)| a * b).sum::<f32>()).powi(2)
                    })
                    .sum::<f64>();
                out.extend(vector);
            }
            Ok((out, error))
        };
        let (mut all, mut error) = (Vec::with_capacity(lists.len() * self.dim), 0.0);
        for group in (0..lists.len()).step_by(GROUP) {
            let pieces = (lists.len() - group).min(GROUP).div_ceil(PIECE);
            for (rows, sum) in spread(pieces, how.threads, |at| piece(group + at * PIECE))? {
                all.extend(rows);
                error += sum;
            }
            how.progress.check()?;
        }
        Ok((all, error / lists.total().max(1) as f64))
    }

    /// The penalty of a row with so many events, of so many that there could be.
    fn ridge(&self, events: f32, all: usize) -> f32 {
        self.penalty * (events + self.unobserved * all as f32)
    }

    pub(crate) fn open(from: &Opened, items: usize) -> Result<Factors> {
        let (dim, users, recent): (u64, u64, u64) = shelf::take(from, shelf::OWN)?;
        let (penalty, unobserved, decay): (f32, f32, f32) = shelf::take(from, shelf::OWN + 1)?;
        let damage = |_: Error| from.damage("options of the factors");
        let voices = Voices::new("Als", recent as usize, decay).map_err(damage)?;
        let sound = |weight: f32| (1e-9..=1e9).contains(&weight);
        if !(1..=DIM_MAX as u64).contains(&dim) || !sound(penalty) || !sound(unobserved) {
            return Err(from.damage("options of the factors"));
        }
        let dim = dim as usize;
        let vectors = shelf::take_f32(from, shelf::OWN + 2, items.saturating_mul(dim))?;
        if vectors.iter().any(|number| number.abs() > NUMBER_MAX) {
            return Err(from.damage("numbers of the factors"));
        }
        Ok(Factors::new(dim, vectors, (penalty, unobserved), users, voices))
    }
}

fn row(vectors: &[f32], row: u32, dim: usize) -> &[f32] {
    &vectors[row as usize * dim..][..dim]
}

impl Method for Factors {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        let mut user = vec![0f32; self.dim];
        self.encode(history, &mut user)?;
        Vectors { dim: self.dim, out: &self.vectors, input: &self.vectors }.scores(&user, scores);
        Ok(())
    }

    fn vectors(&self) -> Option<Vectors<'_>> {
        Some(Vectors { dim: self.dim, out: &self.vectors, input: &self.vectors })
    }

    /// One step of training with the items held: an item counts what its voice does.
    fn encode(&self, history: &[u32], out: &mut [f32]) -> Result<()> {
        let mut seen = std::collections::HashSet::new();
        let latest: Vec<(u32, f32)> =
            self.voices.of(history).filter(|(item, _)| seen.insert(*item)).collect();
        let mut normal = Normal::new(self.dim);
        let items = self.vectors.len() / self.dim;
        normal.begin(&self.gram, self.unobserved, self.ridge(latest.len() as f32, items));
        let push = |(item, weight)| normal.push(row(&self.vectors, item, self.dim), weight);
        latest.into_iter().for_each(push);
        let user = solve(&mut normal);
        // Weights that no training made could be beyond what these numbers hold.
        match user.iter().all(|number| number.abs() <= NUMBER_MAX) {
            true => out.copy_from_slice(&user),
            false => out.fill(0.0),
        }
        Ok(())
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        let Voices { recent, decay } = self.voices;
        shelf::put(out, shelf::OWN, &(self.dim as u64, self.users, recent as u64))?;
        shelf::put(out, shelf::OWN + 1, &(self.penalty, self.unobserved, decay))?;
        shelf::put_f32(out, shelf::OWN + 2, &self.vectors)
    }
}
