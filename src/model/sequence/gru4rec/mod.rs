//! GRU4Rec: a state per session that each event moves on, and items that score by it.

mod cell;
mod drawn;
mod gru;
mod lanes;
mod live;
mod loss;
mod output;
#[cfg(test)]
mod tests;
mod train;

pub(crate) use gru::{Gru, NAME, Parts};
pub use live::Live;
pub use loss::Objective;

use crate::{
    error::{Error, Result},
    model::{Model, Sequences, Train, Training, training::Next},
};
use train::Trainer;

/// A gated recurrent unit over sessions (Hidasi et al., 2016; Hidasi and Karatzoglou, 2018),
/// trained as the authors do: sessions side by side in time order, one step back in time, the same
/// vectors for items that are read and items that are scored.
///
/// Same seed, same bytes, on any number of threads.
///
/// ```
/// use bowerbird::model::Gru4Rec;
/// let small = Gru4Rec { dim: 50, ..Gru4Rec::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gru4Rec {
    /// Numbers in a state, and in the vector of an item.
    pub dim: usize,
    /// Sessions side by side. Without it one per 1,000 events, but 32 to 128.
    pub batch: Option<usize>,
    /// Most times through all sessions.
    pub epochs: usize,
    /// Stops after so many epochs without a better one, if there are validation cases.
    pub patience: usize,
    /// What is learned.
    pub objective: Objective,
    /// The step (Adagrad).
    pub learning_rate: f32,
    /// The share of the last step that is taken again: 0 to below 1.
    pub momentum: f32,
    /// The share of numbers of item vectors that are hidden at random in training.
    pub dropout_items: f32,
    /// The share of numbers of states that are hidden from the scores at random in training.
    pub dropout_states: f32,
}

impl Default for Gru4Rec {
    fn default() -> Gru4Rec {
        Gru4Rec {
            dim: 100,
            batch: None,
            epochs: 10,
            patience: 2,
            objective: Objective::Softmax,
            learning_rate: 0.1,
            momentum: 0.0,
            dropout_items: 0.2,
            dropout_states: 0.5,
        }
    }
}

impl Train for Gru4Rec {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        self.check()?;
        let items = sequences.vocabulary().len();
        if sequences.iter().all(|items| items.len() < 2) {
            let why = "have no sequence of two events: nothing comes after anything";
            return Err(Error::invalid("sequences for Gru4Rec", why));
        }
        how.begin(self.epochs)?;
        let mut trainer = Trainer::new(self, sequences, how);
        let (mut best, mut examples, repeats) = (None, 0, sequences.repeats());
        for _ in 0..self.epochs {
            let (loss, count) = trainer.epoch(sequences, how)?;
            examples += count;
            let gru = trainer.gru();
            let next = how.epoch((loss, examples), (&gru, items), (repeats, self.patience))?;
            if matches!(next, Next::Better | Next::StopHere) {
                best = Some(gru);
            }
            if matches!(next, Next::Stop | Next::StopHere) {
                break;
            }
        }
        let Some(gru) = best else {
            return Err(Error::invalid("Gru4Rec", "learned nothing"));
        };
        Ok(Model::trained(gru, self.said(sequences.events()), sequences, how))
    }
}

impl Gru4Rec {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str, why: &str| Err(Error::invalid(format!("{what} of Gru4Rec"), why));
        let (samples, alpha) = match self.objective {
            Objective::SampledSoftmax { samples, alpha } => (samples, alpha),
            Objective::BprMax { samples, alpha, .. } => (samples, alpha),
            _ => (1, 0.0),
        };
        let counts = [
            ("dim", self.dim, gru::DIM_MAX),
            ("batch", self.batch.unwrap_or(1), 10_000),
            ("epochs", self.epochs, 100_000),
            ("patience", self.patience, usize::MAX),
            ("samples", samples, 1_000_000),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return wrong(name, &format!("is {value}; it must be 1 to {most}"));
            }
        }
        if !(alpha.is_finite() && alpha.abs() <= 10.0) {
            return wrong("alpha", "must be -10 to 10");
        }
        if let Objective::BprMax { penalty, elu, .. } = self.objective {
            let right = |x: f32| x.is_finite() && x >= 0.0;
            if !right(penalty) || !right(elu) {
                return wrong("penalty or elu", "must be a number of at least 0");
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 10.0) {
            return wrong("learning_rate", "must be more than 0, at most 10");
        }
        let shares = [
            ("momentum", self.momentum),
            ("dropout_items", self.dropout_items),
            ("dropout_states", self.dropout_states),
        ];
        match shares.iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            Some((name, share)) => wrong(name, &format!("is {share}; it must be 0 to below 1")),
            None => Ok(()),
        }
    }

    fn lanes(&self, events: usize) -> usize {
        self.batch.unwrap_or((events / 1000).clamp(32, 128))
    }

    /// The options, for the card.
    fn said(&self, events: usize) -> Vec<(String, String)> {
        vec![
            ("dim".into(), self.dim.to_string()),
            ("batch".into(), self.lanes(events).to_string()),
            ("epochs".into(), self.epochs.to_string()),
            ("patience".into(), self.patience.to_string()),
            ("objective".into(), format!("{:?}", self.objective)),
            ("learning_rate".into(), self.learning_rate.to_string()),
            ("momentum".into(), self.momentum.to_string()),
            ("dropout_items".into(), self.dropout_items.to_string()),
            ("dropout_states".into(), self.dropout_states.to_string()),
        ]
    }
}
