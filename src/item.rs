//! Items and events, as callers give them and get them back.

use crate::key::{Key, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// The value of an attribute.
///
/// `From` makes the obvious one: `true`, `3`, `2.5`, `"jazz"`, a [`Timestamp`], a list of strings.
/// An `Int` is accepted where the schema says float or time, a `Text` for tags.
///
/// ```
/// use bowerbird::Value;
/// assert_eq!(Value::from("jazz"), Value::Text("jazz".into()));
/// assert_eq!(Value::from(["a", "b"]), Value::Tags(vec!["a".into(), "b".into()]));
/// ```
#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A point in time.
    Time(Timestamp),
    /// A tag or a text: the schema says which.
    Text(String),
    /// A set of tags, sorted and without repeats once stored.
    Tags(Vec<String>),
}

impl From<bool> for Value {
    fn from(v: bool) -> Value {
        Value::Bool(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Value {
        Value::Int(v)
    }
}

impl From<i32> for Value {
    fn from(v: i32) -> Value {
        Value::Int(v.into())
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Value {
        Value::Int(v.into())
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Value {
        Value::Float(v)
    }
}

impl From<Timestamp> for Value {
    fn from(v: Timestamp) -> Value {
        Value::Time(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Value {
        Value::Text(v.into())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Value {
        Value::Text(v)
    }
}

impl<const N: usize> From<[&str; N]> for Value {
    fn from(v: [&str; N]) -> Value {
        Value::Tags(v.iter().map(|tag| (*tag).into()).collect())
    }
}

impl From<Vec<String>> for Value {
    fn from(v: Vec<String>) -> Value {
        Value::Tags(v)
    }
}

/// What gets found and recommended: a key, vectors, attributes. What is not set is missing.
///
/// ```
/// use bowerbird::Item;
/// let item = Item::new(17u64)
///     .vector("text", vec![0.1, 0.9])
///     .attr("genre", ["jazz", "live"])
///     .attr("year", 1959);
/// assert_eq!(item.attrs.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// Its identity.
    pub key: Key,
    /// Vectors, by the name of their space.
    pub vectors: Vec<(String, Vec<f32>)>,
    /// Attributes, by name.
    pub attrs: Vec<(String, Value)>,
}

impl Item {
    /// An item with a key and nothing else.
    pub fn new(key: impl Into<Key>) -> Item {
        Item { key: key.into(), vectors: Vec::new(), attrs: Vec::new() }
    }

    /// Adds a vector.
    pub fn vector(mut self, space: &str, vector: impl Into<Vec<f32>>) -> Item {
        self.vectors.push((space.into(), vector.into()));
        self
    }

    /// Adds an attribute.
    pub fn attr(mut self, name: &str, value: impl Into<Value>) -> Item {
        self.attrs.push((name.into(), value.into()));
        self
    }

    /// The value of an attribute, if it is not missing.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attrs.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// A user did something to an item at a time; or was shown it (an impression is a kind of event).
///
/// An event has two clocks: when it happened (`at`) and when it was recorded. The item need not
/// exist yet. Events are kept in the order they happened; repeats are kept.
///
/// ```
/// use bowerbird::{Event, Timestamp};
/// let shown = Event::new(7, 17u64, "impression", Timestamp(1_000)).request(99).position(3);
/// let bought = Event::new(7, 17u64, "buy", Timestamp(2_000)).value(12.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Who.
    pub user: UserId,
    /// To which item.
    pub item: Key,
    /// What: a kind of event in the schema.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it became known. [`Event::new`] sets it to `at`.
    pub recorded: Timestamp,
    /// A rating, a price, a duration; finite.
    pub value: Option<f32>,
    /// Which answer of the recommender it belongs to.
    pub request: Option<u64>,
    /// At which position of that answer, from 0.
    pub position: Option<u16>,
}

impl Event {
    /// An event known as soon as it happened.
    pub fn new(user: u64, item: impl Into<Key>, kind: &str, at: Timestamp) -> Event {
        Event {
            user: UserId(user),
            item: item.into(),
            kind: kind.into(),
            at,
            recorded: at,
            value: None,
            request: None,
            position: None,
        }
    }

    /// It became known at another time than it happened.
    pub fn recorded(mut self, at: Timestamp) -> Event {
        self.recorded = at;
        self
    }

    /// With a number.
    pub fn value(mut self, value: f32) -> Event {
        self.value = Some(value);
        self
    }

    /// As part of an answer.
    pub fn request(mut self, id: u64) -> Event {
        self.request = Some(id);
        self
    }

    /// At a position of that answer, from 0.
    pub fn position(mut self, position: u16) -> Event {
        self.position = Some(position);
        self
    }
}
