//! Card: what a model is and what it was made from.

use crate::{key::Key, model::Vocabulary};
use serde::{Deserialize, Serialize};

/// What a model is: how it was trained, on what, and what was measured then.
///
/// It is part of the model's bytes, so it says nothing of clocks; how long training took is in the
/// [`Provenance`](crate::Provenance).
///
/// ```
/// use bowerbird::model::Card;
/// fn title(card: &Card) -> String {
///     format!("{} of {} items", card.method, card.items)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Card {
    /// "sasrec", "ease", ...
    pub method: String,
    /// The method's options, by name.
    pub options: Vec<(String, String)>,
    /// The seed.
    pub seed: u64,
    /// How many sequences it was trained on.
    pub sequences: u64,
    /// How many events.
    pub events: u64,
    /// How many items it knows.
    pub items: u64,
    /// The hash of its vocabulary.
    pub vocabulary: u64,
    /// Per epoch: the mean training loss, and NDCG@10 on the validation cases where there were any.
    pub curve: Vec<(f64, Option<f64>)>,
    /// The kinds of events it was trained on; empty for all.
    pub kinds: Vec<String>,
    /// Whether keys are names.
    pub(crate) names: bool,
}

impl Card {
    /// Of a model that nothing else is known of.
    pub(crate) fn of(method: &str, vocabulary: &Vocabulary) -> Card {
        Card {
            method: method.into(),
            items: vocabulary.len() as u64,
            vocabulary: vocabulary.hash(),
            names: matches!(vocabulary.keys().first(), Some(Key::Name(_))),
            ..Card::default()
        }
    }
}
