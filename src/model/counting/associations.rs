//! Associations: items that stand in the same sequences, before or after.

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

pub(crate) const NAME: &str = "association-rules";

/// Association rules of pairs: how often another item stands within `reach` steps of an item,
/// before or after it, as a share of all that do (Agrawal, Imielinski and Swami, 1993).
///
/// ```
/// use bowerbird::model::Associations;
/// let baskets = Associations { decay: 1.0, recent: 100, ..Associations::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Associations {
    /// Most steps from an item to another, in each direction.
    pub reach: usize,
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// Added to what a row comes to before it is divided by that.
    pub shrink: f32,
    /// Most rules kept of an item: the most frequent.
    pub keep: usize,
}

impl Default for Associations {
    fn default() -> Associations {
        Associations { reach: 20, recent: 20, decay: 0.8, shrink: 1.0, keep: 1_000 }
    }
}

impl Train for Associations {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("Associations", self.recent, self.decay)?;
        if self.reach == 0 || self.keep == 0 || !(self.shrink.is_finite() && self.shrink >= 0.0) {
            let why = "needs a reach and a keep of at least 1, and a shrink of at least 0";
            return Err(Error::invalid("Associations", why));
        }
        how.begin(sequences.vocabulary().len())?;
        let steps = Steps::new(sequences.iter(), sequences.vocabulary().len())?;
        let rows = Rows::count(
            &steps,
            how,
            self.keep,
            |item, place, row| {
                let both = steps.before(place, self.reach).chain(steps.after(place, self.reach));
                both.filter(|to| *to != item).for_each(|to| row.add(to, 1.0));
            },
            |_, _, sum| sum,
        )?;
        let options = vec![
            ("reach".into(), self.reach.to_string()),
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("shrink".into(), self.shrink.to_string()),
            ("keep".into(), self.keep.to_string()),
        ];
        let table = Table { name: NAME, voices, shrink: Some(self.shrink), rows };
        Ok(Model::trained(table, options, sequences, how))
    }
}

/// What a row lost to `keep` stays lost, though its total counts it.
impl Grow for Associations {
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let since = self.train(more, how)?;
        grown(model, since, |parts, items| Table::joined(parts, items, self.keep, how))
    }
}
