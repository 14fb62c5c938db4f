//! A user as a vector, or several.

use super::{history, user::user};
use crate::{
    error::{Error, Result},
    model::{Model, method::Vectors},
    recommend::{Context, Interest, Summarize, k_medoids},
};

/// The vector that a model makes of the user's history, as an interest.
///
/// Its space is the model's own, in which [`NextItems`](super::NextItems) looks; or a space of the
/// database that holds the model's vectors ([`Model::vector`]) under [`Metric::Dot`](crate::Metric),
/// in which [`NearInterests`](crate::recommend::NearInterests) walks a graph. With several
/// interests, the history is split into groups of items that are alike (k-medoids of their
/// vectors), and each group is a history of its own; of items that the model was trained on, even if
/// it reads content.
///
/// ```
/// use bowerbird::{model::*, recommend::*};
/// let tastes = Recommender::new()
///     .summarize(UserVector::by("sasrec").interests(3))
///     .retrieve(NextItems::by("sasrec", 100));
/// ```
#[derive(Clone, Debug)]
pub struct UserVector {
    model: String,
    space: String,
    interests: usize,
}

/// Items that are grouped: the cost is quadratic.
const GROUPED_MAX: usize = 200;

impl UserVector {
    /// By the active version of a model; one vector.
    pub fn by(model: &str) -> UserVector {
        UserVector { model: model.into(), space: model.into(), interests: 1 }
    }

    /// As an interest in a space of the database, which has the vectors of the model's items.
    pub fn into_space(mut self, space: &str) -> UserVector {
        self.space = space.into();
        self
    }

    /// At most so many vectors, for as many groups of past items.
    pub fn interests(mut self, most: usize) -> UserVector {
        self.interests = most;
        self
    }
}

impl Summarize for UserVector {
    fn name(&self) -> String {
        format!("UserVector({})", self.model)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let model = cx.snapshot.model(&self.model)?;
        let Some(vectors) = model.method().vectors() else {
            let why = format!("is of method {}, which has no vectors", model.card().method);
            return Err(Error::invalid(format!("model {}", self.model), why));
        };
        if self.interests == 0 {
            return Err(Error::invalid("interests of UserVector", "must be at least 1"));
        }
        if self.space != self.model {
            let dim = cx.snapshot.schema().find_space(&self.space)?.dim as usize;
            if dim != vectors.dim {
                let why = format!("has {dim} numbers; vectors of {} {}", self.model, vectors.dim);
                return Err(Error::invalid(format!("space {:?}", self.space), why));
            }
        }
        if self.interests == 1 && model.content().is_some() {
            let user = user(cx, &self.model, (&model, vectors))?;
            if user.is_none() {
                cx.degraded(format!("{} knows no past item: no vector of the user", self.model));
            }
            let interest = |vector| Interest::new(&self.space, vector, 1.0);
            return Ok(user.map(interest).into_iter().collect());
        }
        let history = history(cx, &self.model, &model)?;
        if history.is_empty() {
            cx.degraded(format!("{} knows no past item: no vector of the user", self.model));
            return Ok(Vec::new());
        }
        groups(&history, vectors, self.interests)
            .iter()
            .map(|group| self.interest(&model, vectors.dim, group, history.len()))
            .collect()
    }
}

impl UserVector {
    fn interest(&self, model: &Model, dim: usize, group: &[u32], all: usize) -> Result<Interest> {
        let mut vector = vec![0f32; dim];
        model.method().encode(group, &mut vector)?;
        Ok(Interest::new(&self.space, vector, group.len() as f32 / all as f32))
    }
}

/// Splits a history into groups of items that are alike, largest first, each in its order.
fn groups(history: &[u32], vectors: Vectors<'_>, most: usize) -> Vec<Vec<u32>> {
    if most == 1 {
        return vec![history.to_vec()];
    }
    let recent = &history[history.len().saturating_sub(GROUPED_MAX)..];
    let row = |code: u32| &vectors.input[code as usize * vectors.dim..][..vectors.dim];
    let unit = |code: &u32| -> Vec<f64> {
        let norm = row(*code).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        row(*code).iter().map(|x| f64::from(*x) / norm.max(1e-30)).collect()
    };
    let units: Vec<Vec<f64>> = recent.iter().map(unit).collect();
    let mut distances = Vec::with_capacity(units.len() * units.len());
    for a in &units {
        for b in &units {
            distances.push(a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum());
        }
    }
    let (medoids, owners) = k_medoids(&distances, recent.len(), most);
    let mut groups = vec![Vec::new(); medoids.len()];
    owners.iter().zip(recent).for_each(|(owner, code)| groups[*owner].push(*code));
    groups.retain(|group| !group.is_empty());
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}
