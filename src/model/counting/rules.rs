//! Rules: from an item to those that came later, nearer ones counting more.

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

pub(crate) const NAME: &str = "sequential-rules";

/// Sequential rules: an item counts for those that came within `reach` steps after it, one over
/// the distance each (Kamehkhosh, Jannach and Ludewig, 2017).
///
/// A history is scored by its last `recent` items, each counting `decay` of the one after it.
///
/// ```
/// use bowerbird::model::Rules;
/// let rules = Rules { reach: 5, ..Rules::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Most steps from an item to a later one.
    pub reach: usize,
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// Added to what a row comes to before it is divided by that: rules of items that were seen
    /// once or twice count less.
    pub shrink: f32,
    /// Most rules kept of an item: the heaviest.
    pub keep: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { reach: 20, recent: 20, decay: 0.8, shrink: 1.0, keep: 1_000 }
    }
}

impl Train for Rules {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("Rules", self.recent, self.decay)?;
        if self.reach == 0 || self.keep == 0 || !(self.shrink.is_finite() && self.shrink >= 0.0) {
            let why = "needs a reach and a keep of at least 1, and a shrink of at least 0";
            return Err(Error::invalid("Rules", why));
        }
        how.begin(sequences.vocabulary().len())?;
        let steps = Steps::new(sequences.iter(), sequences.vocabulary().len())?;
        let worth: Vec<f64> = (1..=self.reach.min(LONG)).map(|s| 1.0 / s as f64).collect();
        let rows = Rows::count(
            &steps,
            how,
            self.keep,
            |item, place, row| {
                // An item says nothing of itself: that is what `Markov` is for.
                let later = steps.after(place, worth.len()).zip(&worth);
                later.filter(|(to, _)| *to != item).for_each(|(to, worth)| row.add(to, *worth));
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
impl Grow for Rules {
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let since = self.train(more, how)?;
        grown(model, since, |parts, items| Table::joined(parts, items, self.keep, how))
    }
}

/// Steps farther than this would count less than a millionth.
const LONG: usize = 1_000_000;
