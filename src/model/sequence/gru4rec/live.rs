//! Live: the state of a session that goes on, one step per event.

use super::gru::Gru;
use crate::{
    error::{Error, Result},
    key::Key,
    model::{
        Model,
        method::{best, dots},
    },
};

/// The state of a live session under a model of [`Gru4Rec`](crate::model::Gru4Rec).
///
/// Each event is one step, however long the session is; the scores are those of the whole history
/// replayed, but for rounding (and for histories over 1,000 events, whose replay is cut).
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// let day = |user: u64| (user, vec![(Key::Id(user % 3), 0), (Key::Id(user % 3 + 3), 1)]);
/// let sequences = Sequences::new((0..30).map(day))?;
/// let model = Gru4Rec::default().train(&sequences, &mut Training::new(7))?;
/// let mut session = Live::new(&model)?;
/// assert!(session.step(&Key::Id(1)));
/// assert!(!session.step(&Key::Id(1_000_000)), "unknown: nothing changes");
/// assert_eq!(session.best(1)[0].0, Key::Id(4));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Live {
    model: Model,
    /// The user's vector: the state, and a 1.
    user: Vec<f32>,
    room: Vec<f32>,
}

impl Live {
    /// A session without events.
    ///
    /// # Errors
    /// `Invalid` if the model is of another method: those have no state to go on from.
    pub fn new(model: &Model) -> Result<Live> {
        let Some(gru) = model.of_method::<Gru>() else {
            let what = format!("model of method {:?}", model.card().method);
            return Err(Error::invalid(what, "has no state for live sessions; gru4rec has"));
        };
        let mut user = vec![0f32; gru.cell.dim + 1];
        user[gru.cell.dim] = 1.0;
        Ok(Live { model: model.clone(), user, room: Vec::new() })
    }

    /// A session that was put away, from its [`Live::state`].
    ///
    /// # Errors
    /// As for [`Live::new`]; `Invalid` if this is no state of the model.
    pub fn resume(model: &Model, state: &[f32]) -> Result<Live> {
        let mut live = Live::new(model)?;
        let dim = live.user.len() - 1;
        // A state is a mean of tanh and states, so it is never beyond 1.
        if state.len() != dim || !state.iter().all(|x| x.abs() <= 1.0) {
            let why = format!("must be {dim} numbers of -1 to 1");
            return Err(Error::invalid("state of a live session", why));
        }
        live.user[..dim].copy_from_slice(state);
        Ok(live)
    }

    /// Goes on by an item. Says whether the model knows it; if not, the state stays as it is.
    pub fn step(&mut self, item: &Key) -> bool {
        let (Some(code), Some(gru)) = (self.model.vocabulary().code(item), self.model.of_method())
        else {
            return false;
        };
        let gru: &Gru = gru;
        gru.step(code, &mut self.user[..gru.cell.dim], &mut self.room);
        true
    }

    /// Forgets all events.
    pub fn reset(&mut self) {
        let dim = self.user.len() - 1;
        self.user[..dim].fill(0.0);
    }

    /// The state, to put away; `dim` numbers of -1 to 1.
    pub fn state(&self) -> &[f32] {
        &self.user[..self.user.len() - 1]
    }

    /// The user's vector: the state, and a 1 for the biases of items. Scores are its inner products
    /// with the vectors of items.
    pub fn user(&self) -> &[f32] {
        &self.user
    }

    /// The score of every item, by code.
    pub fn scores(&self) -> Vec<f32> {
        let mut scores = vec![0f32; self.model.vocabulary().len()];
        if let Some(vectors) = self.model.method().vectors() {
            dots(&self.user, vectors.out, &mut scores);
        }
        scores
    }

    /// The items with the best scores, best first.
    pub fn best(&self, limit: usize) -> Vec<(Key, f32)> {
        let best = best(&self.scores(), None, |_| true, limit);
        let vocabulary = self.model.vocabulary();
        best.into_iter().map(|(score, code)| (vocabulary.key(code).clone(), score)).collect()
    }
}
