//! ItemKnn: items that the same users have.

use super::{
    rows::Rows,
    steps::{Steps, different},
    table::{Table, Voices},
};
use crate::{
    error::{Error, Result},
    model::{Model, Sequences, Train, Training},
};

pub(crate) const NAME: &str = "item-knn";

/// Nearest neighbours of items: the cosine of the sequences that have them (Sarwar et al., 2001),
/// `both / (sqrt(one * other) + shrink)`.
///
/// A history is scored by its last `recent` items, each counting `decay` of the one after it.
///
/// ```
/// use bowerbird::model::ItemKnn;
/// let wide = ItemKnn { neighbours: 1_000, ..ItemKnn::default() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ItemKnn {
    /// How many neighbours an item keeps: the nearest.
    pub neighbours: usize,
    /// Keeps a pair that was seen once from being a perfect match. In sequences.
    pub shrink: f32,
    /// How many of the last items of a history are looked at.
    pub recent: usize,
    /// What an item counts beside the one after it: 0 to 1.
    pub decay: f32,
    /// How many of the last different items of a sequence are counted: time grows with its square.
    pub latest: usize,
}

impl Default for ItemKnn {
    fn default() -> ItemKnn {
        ItemKnn { neighbours: 200, shrink: 10.0, recent: 20, decay: 0.7, latest: 1_000 }
    }
}

impl Train for ItemKnn {
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model> {
        let voices = Voices::new("ItemKnn", self.recent, self.decay)?;
        let shrink = f64::from(self.shrink);
        if self.neighbours == 0 || self.latest == 0 || !(shrink.is_finite() && shrink >= 0.0) {
            let why = "needs neighbours and a latest of at least 1, and a shrink of at least 0";
            return Err(Error::invalid("ItemKnn", why));
        }
        let items = sequences.vocabulary().len();
        how.begin(items)?;
        let sets: Vec<Vec<u32>> = sequences.iter().map(|s| different(s, self.latest)).collect();
        let steps = Steps::new(sets.iter().map(|set| &set[..]), items)?;
        drop(sets);
        let norms: Vec<f64> =
            (0..items as u32).map(|item| (steps.places(item).len() as f64).sqrt()).collect();
        let rows = Rows::count(
            &steps,
            how,
            self.neighbours,
            |_, place, row| {
                let both = steps.before(place, usize::MAX).chain(steps.after(place, usize::MAX));
                both.for_each(|to| row.add(to, 1.0));
            },
            |item, to, both| both / (norms[item as usize] * norms[to as usize] + shrink),
        )?;
        let options = vec![
            ("neighbours".into(), self.neighbours.to_string()),
            ("shrink".into(), self.shrink.to_string()),
            ("recent".into(), self.recent.to_string()),
            ("decay".into(), self.decay.to_string()),
            ("latest".into(), self.latest.to_string()),
        ];
        let table = Table { name: NAME, voices, shrink: None, rows };
        Ok(Model::trained(table, options, sequences, how))
    }
}
