//! Scoring candidates by a model.

use super::history;
use crate::{
    error::Result,
    model::method::dots,
    recommend::{Candidates, Context, Score},
};

/// Scores candidates, wherever they came from, by what a model says of the user's history.
///
/// A candidate that the model does not know gets the lowest score among those that it knows. For a
/// user without a known item all scores are 0. The trace says both.
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

impl Score for NextScore {
    fn name(&self) -> String {
        format!("NextScore({})", self.model)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let model = cx.snapshot.model(&self.model)?;
        let history = history(cx, &self.model, &model)?;
        if history.is_empty() {
            cx.degraded(format!("{} knows no past item: all scores are 0", self.model));
            scores.fill(0.0);
            return Ok(());
        }
        let codes: Vec<Option<u32>> =
            candidates.keys().iter().map(|key| model.vocabulary().code(key)).collect();
        match model.method().vectors() {
            Some(vectors) => {
                let mut user = vec![0f32; vectors.dim];
                model.method().encode(&history, &mut user)?;
                for (score, code) in scores.iter_mut().zip(&codes) {
                    let Some(code) = code else { continue };
                    let row = &vectors.out[*code as usize * vectors.dim..][..vectors.dim];
                    dots(&user, row, std::slice::from_mut(score));
                }
            }
            None => {
                let mut all = vec![0f32; model.vocabulary().len()];
                model.method().scores(&history, &mut all)?;
                for (score, code) in scores.iter_mut().zip(&codes) {
                    *score = code.map_or(0.0, |code| all[code as usize]);
                }
            }
        }
        let known = scores.iter().zip(&codes).filter(|(_, code)| code.is_some());
        let lowest = known.map(|(score, _)| *score).fold(f32::INFINITY, f32::min);
        let unknown = codes.iter().filter(|code| code.is_none()).count();
        if unknown > 0 {
            let lowest = if lowest.is_finite() { lowest } else { 0.0 };
            let nameless = scores.iter_mut().zip(&codes).filter(|(_, code)| code.is_none());
            nameless.for_each(|(score, _)| *score = lowest);
            let all = codes.len();
            cx.degraded(format!("{} does not know {unknown} of {all} candidates", self.model));
        }
        Ok(())
    }
}
