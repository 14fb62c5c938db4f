//! Features: what a ranker looks at, declared once for training and for serving.

use crate::{
    error::{Error, Result},
    limits::NAME_BYTES_MAX,
    schema::Schema,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose vector it is.
///
/// ```
/// use bowerbird::model::ranker::Role;
/// assert_ne!(Role::Query, Role::Source);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The user's: the mean of the vectors of the items that they acted on last.
    User,
    /// The query's.
    Query,
    /// That of the item that the request is about.
    Source,
}

/// A vector of the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) role: Role,
    pub(crate) space: String,
    /// Whether a request without it is refused.
    pub(crate) required: bool,
    /// Of a user: of how many events, at most.
    pub(crate) recent: u32,
    /// Of a query: whether the item that the request is about stands in for it.
    pub(crate) imputed: bool,
}

/// A number of a candidate.
///
/// ```
/// use bowerbird::model::ranker::{Role, Scalar};
/// let near = Scalar::Similarity { role: Role::Query, space: "text".into() };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scalar {
    /// The inner product of the candidate's vector and one of the request's; 0 if one is missing. Both
    /// are declared, too.
    Similarity {
        /// Whose vector of the request.
        role: Role,
        /// The space of both.
        space: String,
    },
    /// log(1 + count) of events of these kinds (none means all), older ones counting less, if there is a
    /// half-life, in milliseconds.
    Popularity {
        /// The kinds of events.
        kinds: Vec<String>,
        /// In how many milliseconds an event comes to count half.
        half_life: Option<u64>,
    },
    /// How new it is by a time attribute: 1 now, a half after one half-life; 0 if it is missing.
    Recency {
        /// The attribute.
        attr: String,
        /// In milliseconds.
        half_life: u64,
    },
    /// An attribute that is a number or a yes or no.
    Attr {
        /// The attribute.
        name: String,
        /// What a candidate without it gets.
        otherwise: f32,
    },
    /// 1 / (1 + place) in what a retriever found; 0 if it has not found it.
    Place {
        /// The retriever's name.
        source: String,
    },
    /// The hint that a retriever gave; 0 if it has not found it.
    Hint {
        /// The retriever's name.
        source: String,
    },
    /// What the active version of a model says, as [`NextScore`](crate::model::NextScore) does.
    Model {
        /// The model's name.
        name: String,
    },
    /// The score that the candidate came with: that of the scorers before, or of reciprocal rank fusion
    /// where there are none. In lists that were [pushed](super::Examples::push) it is 0.
    Previous,
    /// log(1 + how many events the user's history has), the same for all candidates.
    Experience,
    /// The mean value of a candidate's events, as [`ItemMean`](crate::recommend::ItemMean) says.
    ItemMean {
        /// The kinds of events; none means all.
        kinds: Vec<String>,
        /// How many values as the mean of all it is given beside its own.
        prior: f32,
    },
    /// The mean value of the user's events, as [`UserMean`](crate::recommend::UserMean) says.
    UserMean {
        /// The kinds of events; none means all.
        kinds: Vec<String>,
        /// How many values as the mean of all they are given beside their own.
        prior: f32,
    },
    /// How the user valued items that share its tags, as [`TagAffinity`](crate::recommend::TagAffinity) says.
    TagAffinity {
        /// The attribute.
        attr: String,
        /// The kinds of events; none means all.
        kinds: Vec<String>,
        /// How many values as the user's mean each tag is given beside its own.
        prior: f32,
    },
    /// Which share of the user's items has its tags, as [`TagShare`](crate::recommend::TagShare) says.
    TagShare {
        /// The attribute.
        attr: String,
    },
    /// How much of its semantic ID it shares with what is known, as
    /// [`SharedPrefix`](crate::model::semantic::SharedPrefix) says.
    SharedPrefix {
        /// The codebook.
        codebook: String,
        /// How many of the user's latest items count, where the request is about none.
        last: u32,
    },
    /// How well its text matches that of the request, as [`Bm25`](crate::recommend::Bm25) says.
    Bm25 {
        /// The text attribute.
        attr: String,
    },
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Similarity { role, space } => write!(f, "similarity({role:?}, {space})"),
            Scalar::Popularity { kinds, half_life: None } => {
                write!(f, "popularity({})", kinds.join(", "))
            }
            Scalar::Popularity { kinds, half_life: Some(half_life) } => {
                write!(f, "popularity({}; {half_life} ms)", kinds.join(", "))
            }
            Scalar::Recency { attr, half_life } => write!(f, "recency({attr}; {half_life} ms)"),
            Scalar::Attr { name, .. } => write!(f, "attribute({name})"),
            Scalar::Place { source } => write!(f, "place({source})"),
            Scalar::Hint { source } => write!(f, "hint({source})"),
            Scalar::Model { name } => write!(f, "model({name})"),
            Scalar::Previous => f.write_str("previous"),
            Scalar::Experience => f.write_str("experience"),
            Scalar::ItemMean { kinds, .. } => write!(f, "item mean({})", kinds.join(", ")),
            Scalar::UserMean { kinds, .. } => write!(f, "user mean({})", kinds.join(", ")),
            Scalar::TagAffinity { attr, kinds, .. } => {
                write!(f, "affinity({attr}; {})", kinds.join(", "))
            }
            Scalar::TagShare { attr } => write!(f, "share({attr})"),
            Scalar::Bm25 { attr } => write!(f, "bm25({attr})"),
            Scalar::SharedPrefix { codebook, .. } => write!(f, "shared prefix({codebook})"),
        }
    }
}

/// The features of a ranker: declared in code, kept with the ranker, and computed by the engine.
///
/// A vector that is missing is not a zero: rankers know which are missing, and trained ones have learned
/// what to put there.
///
/// ```
/// use bowerbird::model::ranker::{Features, Role, Scalar};
/// let features = Features::new()
///     .tasks(["search", "similar", "for-you"])
///     .user("text", 20)
///     .query("text")
///     .source("text")
///     .item("text")
///     .history("text", 20)
///     .scalar(Scalar::Similarity { role: Role::Query, space: "text".into() })
///     .scalar(Scalar::Popularity { kinds: vec!["view".into()], half_life: None });
/// assert_eq!(features.scalars().len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    pub(crate) tasks: Vec<String>,
    pub(crate) context: Vec<Slot>,
    pub(crate) items: Vec<String>,
    pub(crate) history: Option<(String, u32)>,
    pub(crate) scalars: Vec<Scalar>,
}

/// How many numbers each vector has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dims {
    pub(crate) context: Vec<u32>,
    pub(crate) items: Vec<u32>,
    pub(crate) history: Option<u32>,
}

/// Most vectors, and most scalars, of one ranker.
const SLOTS_MAX: usize = 16;
const SCALARS_MAX: usize = 256;
const TASKS_MAX: usize = 64;
/// Most items of a history that a ranker sees.
const HISTORY_MAX: u32 = 256;

impl Features {
    /// Nothing yet.
    pub fn new() -> Features {
        Features::default()
    }

    /// What requests are for, by their [purpose](crate::recommend::Request::purpose); one of another is
    /// refused. Without this, tasks are not told apart.
    pub fn tasks<'t>(mut self, tasks: impl IntoIterator<Item = &'t str>) -> Features {
        self.tasks = tasks.into_iter().map(str::to_owned).collect();
        self
    }

    /// The user's vector in a space: the mean of those of the `recent` last items.
    pub fn user(mut self, space: &str, recent: u32) -> Features {
        self.context.push(Slot { recent, ..slot(Role::User, space) });
        self
    }

    /// The query's vector in a space.
    pub fn query(mut self, space: &str) -> Features {
        self.context.push(slot(Role::Query, space));
        self
    }

    /// The same; the vector of the item that the request is about stands in for a query that is not
    /// there, as its title would have been asked for (UniCoRn, Bhattacharya et al. 2024).
    pub fn query_or_source(mut self, space: &str) -> Features {
        self.context.push(Slot { imputed: true, ..slot(Role::Query, space) });
        self
    }

    /// The vector, in a space, of the item that the request is about.
    pub fn source(mut self, space: &str) -> Features {
        self.context.push(slot(Role::Source, space));
        self
    }

    /// Refuses requests without the vector that was declared last.
    pub fn required(mut self) -> Features {
        if let Some(last) = self.context.last_mut() {
            last.required = true;
        }
        self
    }

    /// The candidate's vector in a space.
    pub fn item(mut self, space: &str) -> Features {
        self.items.push(space.into());
        self
    }

    /// The vectors, in a space, of the last `limit` items of the history, one by one.
    pub fn history(mut self, space: &str, limit: u32) -> Features {
        self.history = Some((space.into(), limit));
        self
    }

    /// A number of each candidate.
    pub fn scalar(mut self, scalar: Scalar) -> Features {
        self.scalars.push(scalar);
        self
    }

    /// The tasks.
    pub fn task_names(&self) -> &[String] {
        &self.tasks
    }

    /// The scalars.
    pub fn scalars(&self) -> &[Scalar] {
        &self.scalars
    }

    /// How many vectors of the request there are, in the order of their declaration.
    pub fn context_len(&self) -> usize {
        self.context.len()
    }

    /// The spaces of the candidates' vectors.
    pub fn item_spaces(&self) -> &[String] {
        &self.items
    }

    /// How many numbers each vector has by a schema.
    ///
    /// # Errors
    /// `Invalid` for a declaration that contradicts itself; `NotFound` for a space, an attribute or a
    /// kind of event that the schema lacks.
    pub(crate) fn dims(&self, schema: &Schema) -> Result<Dims> {
        self.check()?;
        let dim = |space: &String| Ok(schema.find_space(space)?.dim);
        for scalar in &self.scalars {
            match scalar {
                Scalar::Popularity { kinds, .. }
                | Scalar::ItemMean { kinds, .. }
                | Scalar::UserMean { kinds, .. } => {
                    kinds.iter().try_for_each(|kind| schema.find_event(kind).map(drop))?;
                }
                Scalar::TagAffinity { attr, kinds, .. } => {
                    schema.find_attr(attr)?;
                    kinds.iter().try_for_each(|kind| schema.find_event(kind).map(drop))?;
                }
                Scalar::Recency { attr, .. }
                | Scalar::Attr { name: attr, .. }
                | Scalar::TagShare { attr } => {
                    schema.find_attr(attr)?;
                }
                _ => {}
            }
        }
        Ok(Dims {
            context: self.context.iter().map(|slot| dim(&slot.space)).collect::<Result<_>>()?,
            items: self.items.iter().map(dim).collect::<Result<_>>()?,
            history: self.history.as_ref().map(|(space, _)| dim(space)).transpose()?,
        })
    }

    /// The places of the two vectors of a similarity.
    pub(crate) fn similarity(&self, role: Role, space: &str) -> Result<(usize, usize)> {
        let slot = self.context.iter().position(|slot| slot.role == role && slot.space == space);
        let item = self.items.iter().position(|item| item == space);
        slot.zip(item).ok_or_else(|| {
            let why = format!(
                "have a similarity to the {role:?} in {space:?}; declare the vectors of both there, too"
            );
            Error::invalid("features of a ranker", why)
        })
    }

    /// Whether it makes sense by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid("features of a ranker", why));
        if self.items.is_empty() && self.scalars.is_empty() {
            return refuse("say nothing of candidates: declare `item` or `scalar`".into());
        }
        let slots = self.context.len().max(self.items.len());
        if slots > SLOTS_MAX || self.scalars.len() > SCALARS_MAX || self.tasks.len() > TASKS_MAX {
            return refuse(format!(
                "are too many: at most {SLOTS_MAX} vectors, {SCALARS_MAX} scalars, {TASKS_MAX} tasks"
            ));
        }
        let tasks = self.tasks.iter().enumerate();
        for (at, task) in tasks {
            if task.len() > NAME_BYTES_MAX || self.tasks[..at].contains(task) {
                return refuse(format!("have the task {task:?} twice, or its name is too long"));
            }
        }
        if let Some((space, limit)) = &self.history
            && !(1..=HISTORY_MAX).contains(limit)
        {
            return refuse(format!("have a history in {space:?} of {limit}; 1 to {HISTORY_MAX}"));
        }
        if let Some(slot) = self.context.iter().find(|s| s.role == Role::User && s.recent == 0) {
            return refuse(format!("have a user in {:?} of no event", slot.space));
        }
        for scalar in &self.scalars {
            match scalar {
                Scalar::Similarity { role, space } => drop(self.similarity(*role, space)?),
                Scalar::Popularity { half_life: Some(0), .. }
                | Scalar::Recency { half_life: 0, .. } => {
                    return refuse(format!("have {scalar:?}: a half-life must be longer than 0"));
                }
                Scalar::Attr { name, otherwise } if !otherwise.is_finite() => {
                    return refuse(format!("put {otherwise} for a missing {name:?}"));
                }
                Scalar::ItemMean { prior, .. }
                | Scalar::UserMean { prior, .. }
                | Scalar::TagAffinity { prior, .. }
                    if !prior.is_finite() || *prior < 0.0 =>
                {
                    return refuse(format!("have {scalar}: its prior must be finite, 0 or more"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn slot(role: Role, space: &str) -> Slot {
    Slot { role, space: space.into(), required: false, recent: 0, imputed: false }
}
