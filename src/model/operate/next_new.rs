//! NextNew: what comes next among items that a model was never trained on.

use super::{known::unknown_rows, user::user};
use crate::{
    error::{Error, Result},
    key::{Addr, Row},
    limits::LIMIT_MAX,
    model::{Model, method::dots},
    recommend::{Allowed, Context, Found, Retrieve},
    search::top::Top,
    store::{
        Part, Snapshot,
        weight::{Weight, block},
    },
};
use std::sync::Arc;

/// Finds what a model that reads content ([`ContentSasrec`](crate::model::ContentSasrec)) says comes
/// next in the user's history, among items that it was not trained on: best first.
///
/// The hint of an item is its *share*: how likely it is to come next, beside all items that the model
/// knows, 0 to 1. So [`Explore::least`](crate::recommend::Explore::least) gives a place only where the
/// model itself would have taken the new item for likely.
///
/// A user without a known item gets none. Of a space that was dropped since the model was trained,
/// nothing is read: items count by the others, and by none there are no new ones; the trace says so.
/// Rows of new items are computed once and kept with the part of the database that the items are in, as
/// far as the memory limit has room for them, else computed for each question; a model that has grown old,
/// with very many of them, should be trained again.
///
/// ```
/// use bowerbird::{model::*, recommend::*};
/// // One place of ten for an item that came after training, where it is likely enough.
/// let for_you = Recommender::new()
///     .filter(Seen::new(["view"]))
///     .retrieve(NextItems::by("sasrec", 100))
///     .retrieve(NextNew::by("sasrec", 20))
///     .score(NextScore::by("sasrec"))
///     .select(Explore::new("NextNew(sasrec)", 1).least(0.001));
/// ```
#[derive(Clone, Debug)]
pub struct NextNew {
    model: String,
    limit: usize,
}

impl NextNew {
    /// By the active version of a model, at most `limit` items.
    pub fn by(model: &str, limit: usize) -> NextNew {
        NextNew { model: model.into(), limit }
    }
}

impl Retrieve for NextNew {
    fn name(&self) -> String {
        format!("NextNew({})", self.model)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            let why = format!("is {}; 1 to {LIMIT_MAX}", self.limit);
            return Err(Error::invalid("limit of NextNew", why));
        }
        let model = cx.snapshot.model(&self.model)?;
        let Some(vectors) = model.method().vectors().filter(|_| model.content().is_some()) else {
            let why = "reads no content, so it has no rows for new items; ContentSasrec's does";
            return Err(Error::invalid(format!("model {}", self.model), why));
        };
        let Some(user) = user(cx, &self.model, (&model, vectors))? else {
            cx.degraded(format!("{} knows no past item: no new items", self.model));
            return Ok(());
        };
        let (mut top, mut addrs) = (Top::new(self.limit), Vec::new());
        for (part, allowed) in (0u32..).zip(allowed.rows()) {
            let new = new_rows(cx.snapshot, &model, part)?;
            let mut scores = vec![0f32; new.rows.len()];
            dots(&user, &new.vectors, &mut scores);
            for (row, score) in new.rows.iter().zip(scores) {
                if score.is_finite() && allowed.contains(*row) {
                    top.push(score, addrs.len() as u32);
                    addrs.push(Addr { part, row: Row(*row) });
                }
            }
        }
        let mut known = vec![0f32; model.vocabulary().len()];
        vectors.scores(&user, &mut known);
        let all = Likely::of(&known);
        for (score, at) in top.into_sorted() {
            found.push(addrs[at as usize], all.share(score));
        }
        Ok(())
    }
}

/// Scores as shares: softmax.
struct Likely {
    most: f64,
    sum: f64,
}

impl Likely {
    fn of(scores: &[f32]) -> Likely {
        let finite = || scores.iter().filter(|s| s.is_finite()).map(|s| f64::from(*s));
        let most = finite().fold(f64::NEG_INFINITY, f64::max);
        Likely { most, sum: finite().map(|score| (score - most).exp()).sum() }
    }

    /// Of one that is not among them.
    fn share(&self, score: f32) -> f32 {
        let own = (f64::from(score) - self.most).exp();
        if own.is_finite() { (own / (own + self.sum)) as f32 } else { 1.0 }
    }
}

/// The rows of a part that a model does not know but has vectors for, dead ones among them.
#[derive(Debug, Default)]
pub(super) struct NewRows {
    pub(super) rows: Vec<u32>,
    /// Row by row.
    pub(super) vectors: Vec<f32>,
}

impl Weight for NewRows {
    fn weight(&self) -> u64 {
        block(&self.rows) + block(&self.vectors)
    }
}

impl NewRows {
    /// The vector of a row.
    pub(super) fn row(&self, row: Row, dim: usize) -> Option<&[f32]> {
        let at = self.rows.binary_search(&row.0).ok()?;
        self.vectors.get(at * dim..(at + 1) * dim)
    }
}

pub(super) fn new_rows(snapshot: &Snapshot, model: &Model, part: u32) -> Result<Arc<NewRows>> {
    let Some(content) = model.content() else { return Ok(Arc::default()) };
    let unknown = unknown_rows(snapshot, model)?;
    let numbers = content.numbers(snapshot.schema());
    let which = (model.vocabulary().hash(), content.hash());
    let recipe = format!("rows by {which:x?} of {numbers:?}");
    let at: &Part = &snapshot.version.parts[part as usize];
    at.memo.get(&recipe, || {
        let mut new = NewRows::default();
        for row in unknown[part as usize].iter() {
            if let Some(vector) =
                content.at_left(snapshot, Addr { part, row: Row(row) }, &numbers)?
            {
                new.rows.push(row);
                new.vectors.extend(vector);
            }
        }
        Ok(new)
    })
}
