//! Markov: from an item to the very next.

use super::{
    grow::grown,
    rows::Rows,
    steps::Steps,
    table::{Table, Voices},
};
use crate::{
    error::{Error, Result},
    model::{Grow, Model, Sequences, Train, Training},
};

pub(crate) const NAME: &str = "markov";

/// A Markov chain: how often each item came right after another, the same one again included, as a
/// share of all that came after it.
///
/// The plain chain looks at the last item only: a `recent` of 1. Unless told so, earlier items speak
/// too, each counting `decay` of the one after it, so that a last item which was hardly ever followed
/// by anything does not leave the list empty.
///
/// ```
/// use bowerbird::model::Markov;
/// let plain = Markov { recent: 1, ..Markov::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Markov {
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// Most transitions kept of an item: the most frequent.
    pub keep: usize,
}

impl Default for Markov {
    fn default() -> Markov {
        Markov { recent: 10, decay: 0.3, keep: 1_000 }
    }
}

impl Train for Markov {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("Markov", self.recent, self.decay)?;
        if self.keep == 0 {
            return Err(Error::invalid("keep of Markov", "must be at least 1"));
        }
        how.begin(sequences.vocabulary().len())?;
        let steps = Steps::new(sequences.iter(), sequences.vocabulary().len())?;
        let rows = Rows::count(
            &steps,
            how,
            self.keep,
            |_, place, row| steps.after(place, 1).for_each(|to| row.add(to, 1.0)),
            |_, _, sum| sum,
        )?;
        let options = vec![
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("keep".into(), self.keep.to_string()),
        ];
        let table = Table { name: NAME, voices, shrink: Some(0.0), rows };
        Ok(Model::trained(table, options, sequences, how))
    }
}

/// What a row lost to `keep` stays lost, though its total counts it.
impl Grow for Markov {
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let since = self.train(more, how)?;
        grown(model, since, |parts, items| Table::joined(parts, items, self.keep, how))
    }
}
