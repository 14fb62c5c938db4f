//! Users and queries as vectors beside those of items.

use super::towers::{Towers, check_space};
use crate::{
    error::Result,
    recommend::{Context, Interest, Summarize},
};

/// The user's history as one interest, by the active version of [`Towers`], in the space that holds
/// their vectors of items. A user without a past item that has a vector has none.
///
/// ```
/// use bowerbird::{model::TowerUser, recommend::*};
/// let for_you = Recommender::new()
///     .summarize(TowerUser::by("towers", "tower_space"))
///     .retrieve(NearBoosted::new(200).near("tower_space", 1.0));
/// ```
#[derive(Clone, Debug)]
pub struct TowerUser {
    towers: String,
    space: String,
}

/// The request's query as one interest, by the active version of [`Towers`]: its vector must be in
/// the space that queries were trained in.
///
/// ```
/// use bowerbird::{model::TowerQuery, recommend::*};
/// let search = Recommender::new()
///     .summarize(TowerQuery::by("towers", "tower_space"))
///     .retrieve(NearInterests::new("tower_space", 200));
/// ```
#[derive(Clone, Debug)]
pub struct TowerQuery {
    towers: String,
    space: String,
}

impl TowerUser {
    /// By the active version of an artifact, for a space of the database.
    pub fn by(towers: &str, space: &str) -> TowerUser {
        TowerUser { towers: towers.into(), space: space.into() }
    }
}

impl TowerQuery {
    /// By the active version of an artifact, for a space of the database.
    pub fn by(towers: &str, space: &str) -> TowerQuery {
        TowerQuery { towers: towers.into(), space: space.into() }
    }
}

impl Summarize for TowerUser {
    fn name(&self) -> String {
        format!("TowerUser({})", self.towers)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let towers = cx.snapshot.kept::<Towers>(&self.towers)?;
        check_space(&towers, cx.snapshot, &self.space)?;
        let mut inputs = Vec::new();
        for deed in cx.past(towers.head.kinds.iter().map(String::as_str))?.iter() {
            if let Some(addr) = cx.snapshot.find(&deed.item)? {
                inputs.push(towers.head.shape.at(cx.snapshot, addr)?);
            }
        }
        let vector = towers.of_user(&inputs);
        if vector.is_none() && cx.request.user.is_some() {
            cx.degraded(format!("{} knows no past item: no vector of the user", self.towers));
        }
        Ok(vector.map(|vector| Interest::new(&self.space, vector, 1.0)).into_iter().collect())
    }
}

impl Summarize for TowerQuery {
    fn name(&self) -> String {
        format!("TowerQuery({})", self.towers)
    }

    fn summarize(&self, cx: &Context<'_>) -> Result<Vec<Interest>> {
        let towers = cx.snapshot.kept::<Towers>(&self.towers)?;
        check_space(&towers, cx.snapshot, &self.space)?;
        let Some((space, vector)) = &cx.request.query else { return Ok(Vec::new()) };
        if towers.query_space() != Some(space) {
            cx.degraded(format!("{} has no tower for queries in {space:?}", self.towers));
            return Ok(Vec::new());
        }
        Ok(vec![Interest::new(&self.space, towers.query(vector)?, 1.0)])
    }
}
