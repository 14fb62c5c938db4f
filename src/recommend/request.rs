//! What is asked of a recommender.

use crate::{
    key::{Key, Timestamp, UserId},
    vector::rotate::splitmix,
};

/// A question for a recommender: for a user, about an item, with a query, or any mix.
///
/// What is missing is missing: search has a query, similar items have an item, for-you has a user.
///
/// ```
/// use bowerbird::{recommend::Request, Timestamp};
/// let for_you = Request::new(20, Timestamp::from_secs(1_700_000_000)).user(7);
/// let search = Request::new(20, Timestamp::from_secs(1_700_000_000))
///     .user(7)
///     .text("films like amelie")
///     .query("text", [0.1, 0.2]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// Whose history to read.
    pub user: Option<UserId>,
    /// The item that the answer should go with; never part of it.
    pub item: Option<Key>,
    /// A query: a space and a vector in it.
    pub query: Option<(String, Vec<f32>)>,
    /// What the user has typed, whole or so far.
    pub text: String,
    /// What it is for: "home", "basket". Operators may tell tasks apart; see [`Request::purpose`].
    pub task: String,
    /// How many items to return.
    pub limit: usize,
    /// Items not to return.
    pub exclude: Vec<Key>,
    /// The time to answer as of: only what had happened and was known by then counts.
    pub now: Timestamp,
    /// For operators that draw lots.
    pub seed: u64,
    /// Its own number, if the caller has one: events name it, and what is logged is found by it.
    pub id: Option<u64>,
}

impl Request {
    /// Asks for so many items as of a time.
    pub fn new(limit: usize, now: Timestamp) -> Request {
        Request {
            user: None,
            item: None,
            query: None,
            text: String::new(),
            task: String::new(),
            limit,
            exclude: Vec::new(),
            now,
            seed: 0,
            id: None,
        }
    }

    /// For a user.
    pub fn user(mut self, user: u64) -> Request {
        self.user = Some(UserId(user));
        self
    }

    /// About an item.
    pub fn item(mut self, key: impl Into<Key>) -> Request {
        self.item = Some(key.into());
        self
    }

    /// With a query in a space.
    pub fn query(mut self, space: &str, vector: impl Into<Vec<f32>>) -> Request {
        self.query = Some((space.into(), vector.into()));
        self
    }

    /// With a text that the user has typed: operators that know words look for it.
    pub fn text(mut self, text: impl Into<String>) -> Request {
        self.text = text.into();
        self
    }

    /// For a purpose.
    pub fn task(mut self, task: &str) -> Request {
        self.task = task.into();
        self
    }

    /// Without these items.
    pub fn exclude(mut self, keys: impl IntoIterator<Item = Key>) -> Request {
        self.exclude.extend(keys);
        self
    }

    /// With a seed for operators that draw lots.
    pub fn seed(mut self, seed: u64) -> Request {
        self.seed = seed;
        self
    }

    /// With a number of its own, which [`Event::request`](crate::Event::request) names, too.
    pub fn id(mut self, id: u64) -> Request {
        self.id = Some(id);
        self
    }

    /// A number to begin drawing lots from: the same for the same seed, user, number and time, so that
    /// asking again gives the same answer, and different requests draw differently under one seed.
    ///
    /// ```
    /// use bowerbird::{Timestamp, recommend::Request};
    /// let asked = Request::new(5, Timestamp(9)).user(1).seed(3);
    /// assert_eq!(asked.lots(), asked.clone().lots());
    /// assert_ne!(asked.lots(), asked.clone().user(2).lots());
    /// ```
    pub fn lots(&self) -> u64 {
        let parts = [self.user.map(|user| user.0), self.id, Some(self.now.0 as u64)];
        // Each step is one to one in the state, and nobody is not the same as user 0.
        parts.into_iter().fold(self.seed, |state, part| {
            let none = splitmix(&mut state.wrapping_add(1));
            part.map_or(none, |n| splitmix(&mut (none ^ splitmix(&mut n.wrapping_add(1)))))
        })
    }

    /// Its task; if none is set, what it looks like: "search" with a query or a text, "similar" about an
    /// item, "for-you" otherwise.
    pub fn purpose(&self) -> &str {
        match (&self.query, &self.item) {
            _ if !self.task.is_empty() => &self.task,
            (Some(_), _) => "search",
            _ if !self.text.is_empty() => "search",
            (None, Some(_)) => "similar",
            (None, None) => "for-you",
        }
    }
}
