//! Pair: an item, and what it is to match.

use crate::{
    key::{Key, UserId},
    limits::{COMPONENT_MAX, DIM_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX},
    recommend::Request,
};
use serde::{Deserialize, Serialize};

/// What somebody typed: a text, a vector, or both.
///
/// ```
/// use bowerbird::model::classify::Asked;
/// let asked = Asked { text: Some("films about bees".into()), ..Asked::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// As it was typed, at most 4,096 bytes.
    pub text: Option<String>,
    /// The space of the vector.
    pub space: Option<String>,
    /// What an embedding model made of it.
    pub vector: Option<Vec<f32>>,
}

/// An item, and what it is to match: a user, a query, an item, or several of them.
///
/// ```
/// use bowerbird::{Key, UserId, model::classify::Pair};
/// let pair = Pair { user: Some(UserId(7)), ..Pair::of(Key::Id(42)) };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// For whom.
    pub user: Option<UserId>,
    /// For which query.
    pub query: Option<Asked>,
    /// Beside which item.
    pub source: Option<Key>,
    /// What may match it.
    pub item: Key,
}

/// What two pairs have in common that ask the same: user, query, source. A query is its text, or without
/// one its space and the bits of its vector.
pub(super) type Asker = (Option<UserId>, Option<(String, Vec<u32>)>, Option<Key>);

impl Pair {
    /// An item, to match nothing yet.
    pub fn of(item: impl Into<Key>) -> Pair {
        Pair { user: None, query: None, source: None, item: item.into() }
    }

    pub(super) fn asker(&self) -> Asker {
        let query = self.query.as_ref().map(|query| match (&query.text, &query.vector) {
            (Some(text), _) => (text.clone(), Vec::new()),
            (None, vector) => {
                let bits = vector.iter().flatten().map(|x| x.to_bits()).collect();
                (query.space.clone().unwrap_or_default(), bits)
            }
        });
        (self.user, query, self.source.clone())
    }

    /// What a request asks, and an item that may answer it.
    pub(super) fn asked(request: &Request, item: &Key) -> Pair {
        let text = (!request.text.is_empty()).then(|| request.text.clone());
        let (space, vector) = request.query.clone().unzip();
        let query = (text.is_some() || vector.is_some()).then_some(Asked { text, space, vector });
        let (user, source) = (request.user, request.item.clone());
        Pair { user, query, source, item: item.clone() }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.user.is_none() && self.query.is_none() && self.source.is_none() {
            return Err("has no user, no query and no source: an item matches something".into());
        }
        for key in self.source.iter().chain([&self.item]) {
            if let Key::Name(name) = key
                && !(1..=KEY_BYTES_MAX).contains(&name.len())
            {
                return Err(format!("has a key of {} bytes; 1 to {KEY_BYTES_MAX}", name.len()));
            }
        }
        let Some(Asked { text, space, vector }) = &self.query else { return Ok(()) };
        if text.is_none() && vector.is_none() {
            return Err("has a query of no text and no vector".into());
        }
        if text.as_ref().is_some_and(|text| text.len() > TEXT_MAX) {
            return Err(format!("has a query of more than {TEXT_MAX} bytes"));
        }
        if space.is_some() != vector.is_some() {
            return Err("has a vector without a space, or a space without a vector".into());
        }
        if space.as_ref().is_some_and(|space| space.len() > NAME_BYTES_MAX) {
            return Err(format!("has a space of more than {NAME_BYTES_MAX} bytes"));
        }
        let fine = |vector: &Vec<f32>| {
            (1..=DIM_MAX as usize).contains(&vector.len())
                && vector.iter().all(|x| x.abs() <= COMPONENT_MAX)
        };
        match vector.as_ref().is_none_or(fine) {
            true => Ok(()),
            false => Err(format!("has a vector that is not 1 to {DIM_MAX} finite numbers")),
        }
    }
}

/// Longest text of a query, in bytes.
const TEXT_MAX: usize = 4096;
