//! Scoring candidates by a model.

use super::{
    history,
    next_new::{NewRows, new_rows},
    user::user,
};
use crate::{
    error::Result,
    model::{
        Model,
        method::{Vectors, dots},
    },
    recommend::{Candidates, Context, Score},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// Scores candidates, wherever they came from, by what a model says of the user's history.
///
/// A candidate that the model does not know gets the lowest score among those that it knows. For a
/// user without a known item all scores are 0. The trace says both. A model that reads content
/// ([`ContentSasrec`](crate::model::ContentSasrec)) knows a candidate that is new by its vectors.
///
/// ```
/// use bowerbird::{model::NextScore, recommend::*};
/// let reranked = Recommender::new().retrieve(Popular::ever(["view"], 500)).score(NextScore::by("gru"));
/// ```
#[derive(Clone, Debug)]
pub struct NextScore {
    model: String,
}

impl NextScore {
    /// By the active version of a model.
    pub fn by(model: &str) -> NextScore {
        NextScore { model: model.into() }
    }
}

/// The score of each candidate, `None` for one that is not known; or nothing is known of the user.
type Said = Option<Vec<Option<f32>>>;

impl NextScore {
    fn by_vectors(
        &self,
        cx: &Context<'_>,
        (model, vectors): (&Model, Vectors<'_>),
        candidates: &Candidates,
    ) -> Result<Said> {
        let Some(user) = user(cx, &self.model, (model, vectors))? else { return Ok(None) };
        let score = |row: &[f32]| {
            let mut score = [0f32];
            dots(&user, row, &mut score);
            score[0]
        };
        // By part, and only where there is a new item.
        let mut new: BTreeMap<u32, Arc<NewRows>> = BTreeMap::new();
        let mut said = Vec::with_capacity(candidates.len());
        for (key, addr) in candidates.keys().iter().zip(candidates.addrs()) {
            if let Some(row) = model.vector(key) {
                said.push(Some(score(row)));
                continue;
            }
            let rows = match new.entry(addr.part) {
                Entry::Occupied(rows) => rows.into_mut(),
                Entry::Vacant(place) => place.insert(new_rows(cx.snapshot, model, addr.part)?),
            };
            said.push(rows.row(addr.row, vectors.dim).map(score));
        }
        Ok(Some(said))
    }

    fn by_codes(&self, cx: &Context<'_>, model: &Model, candidates: &Candidates) -> Result<Said> {
        let history = history(cx, &self.model, model)?;
        if history.is_empty() {
            return Ok(None);
        }
        let mut all = vec![0f32; model.vocabulary().len()];
        model.method().scores(&history, &mut all)?;
        let score = |key| model.vocabulary().code(key).map(|code| all[code as usize]);
        Ok(Some(candidates.keys().iter().map(score).collect()))
    }
}

impl Score for NextScore {
    fn name(&self) -> String {
        format!("NextScore({})", self.model)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let model = cx.snapshot.model(&self.model)?;
        let said = match model.method().vectors() {
            Some(vectors) => self.by_vectors(cx, (&model, vectors), candidates)?,
            None => self.by_codes(cx, &model, candidates)?,
        };
        let Some(said) = said else {
            cx.degraded(format!("{} knows no past item: all scores are 0", self.model));
            scores.fill(0.0);
            return Ok(());
        };
        let lowest = said.iter().copied().flatten().fold(f32::INFINITY, f32::min);
        let lowest = if lowest.is_finite() { lowest } else { 0.0 };
        scores.iter_mut().zip(&said).for_each(|(score, said)| *score = said.unwrap_or(lowest));
        let unknown = said.iter().filter(|said| said.is_none()).count();
        if unknown > 0 {
            let all = said.len();
            cx.degraded(format!("{} does not know {unknown} of {all} candidates", self.model));
        }
        Ok(())
    }
}
