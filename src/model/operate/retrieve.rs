//! Retrievers that ask a model.

use super::{history, known, user::user};
use crate::{
    error::{Error, Result},
    limits::LIMIT_MAX,
    model::{
        Model,
        method::{best, dots},
        nearest::Nearest,
    },
    recommend::{Allowed, Context, Found, Popular, Retrieve},
    segment::bits::Bits,
    vector::kernel::{Kernel, Numbers},
};

/// Finds what a model says comes next in the user's history.
///
/// Scores all items that the model knows and keeps the best that are allowed, so filters and
/// exclusions cost no recall; with a graph ([`Model::indexed`]) it looks among the nearest instead,
/// wherever that is less work. Where a [`UserVector`](super::UserVector) of the same model went
/// before, its vectors are used, each for an equal share. A user without a known item gets
/// what is popular, and the trace says so.
///
/// ```
/// use bowerbird::{model::NextItems, recommend::*};
/// let next = Recommender::new().filter(Seen::new(["view"])).retrieve(NextItems::by("sasrec", 100));
/// ```
#[derive(Clone, Debug)]
pub struct NextItems {
    model: String,
    limit: usize,
    effort: u32,
}

/// How far graphs are walked unless the caller says: items of a model lie in tight groups, and among
/// near equals estimates go wrong, so farther than elsewhere.
const EFFORT: u32 = 400;

impl NextItems {
    /// By the active version of a model, at most `limit` items.
    pub fn by(model: &str, limit: usize) -> NextItems {
        NextItems { model: model.into(), limit, effort: EFFORT }
    }

    /// How far a graph is walked, 1 to 10,000, as [`Near::effort`](crate::Near::effort) says; 400
    /// unless set.
    pub fn effort(mut self, effort: u32) -> NextItems {
        self.effort = effort;
        self
    }

    /// The best for each of the vectors that summarizers gave for this model, or for the history;
    /// none if the model knows nothing of the user.
    fn lists(&self, cx: &Context<'_>, model: &Model, may: &Bits) -> Result<Vec<Vec<(f32, u32)>>> {
        let (method, mut scores) = (model.method(), Vec::new());
        let Some(vectors) = method.vectors() else {
            let history = history(cx, &self.model, model)?;
            if history.is_empty() {
                return Ok(Vec::new());
            }
            scores.resize(model.vocabulary().len(), 0.0);
            method.scores(&history, &mut scores)?;
            return Ok(vec![best(&scores, method.silence(), |c| may.contains(c), self.limit)]);
        };
        let said = cx.interests.iter().filter(|i| i.space == self.model);
        let mut users: Vec<Vec<f32>> = said.map(|interest| interest.vector.clone()).collect();
        if users.is_empty() {
            let Some(user) = user(cx, &self.model, (model, vectors))? else {
                return Ok(Vec::new());
            };
            users.push(user);
        }
        let (limit, mut lists) = (self.limit.div_ceil(users.len()), Vec::new());
        for user in &users {
            if user.len() != vectors.dim {
                let why = format!("has {} numbers, not {}", user.len(), vectors.dim);
                return Err(Error::invalid(format!("interest for model {}", self.model), why));
            }
            let walked = match model.nearest() {
                Some(nearest) => nearest.best(user, may, (limit, self.effort))?,
                None => None,
            };
            lists.push(match walked {
                Some(list) => list,
                None => {
                    scores.resize(model.vocabulary().len(), 0.0);
                    vectors.scores(user, &mut scores);
                    best(&scores, None, |c| may.contains(c), limit)
                }
            });
        }
        Ok(lists)
    }
}

impl Retrieve for NextItems {
    fn name(&self) -> String {
        format!("NextItems({})", self.model)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("NextItems", self.limit)?;
        Nearest::check_effort("effort of NextItems", self.effort)?;
        let model = cx.snapshot.model(&self.model)?;
        let may = known::allowed(cx, &model, allowed)?;
        if may.len() < allowed.len() {
            let unknown = allowed.len() - may.len();
            cx.degraded(format!(
                "{} does not know {unknown} of {} allowed items",
                self.model,
                allowed.len()
            ));
        }
        let lists = self.lists(cx, &model, &may)?;
        if lists.is_empty() {
            cx.degraded(format!("{} knows no past item: what is popular", self.model));
            let kinds: Vec<&str> = model.card().kinds.iter().map(String::as_str).collect();
            return Popular::ever(kinds, self.limit).retrieve(cx, allowed, found);
        }
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        for place in 0..longest {
            for (score, code) in lists.iter().filter_map(|list| list.get(place)) {
                // Lists share the limit, rounded up.
                if found.len() < self.limit {
                    push(cx, &model, (*score, *code), found)?;
                }
            }
        }
        Ok(())
    }
}

/// Finds what goes with the item of the request, as a model has learned it: by the cosine of
/// vectors where the method has vectors of items, else what comes after it.
///
/// ```
/// use bowerbird::{model::SimilarItems, recommend::*};
/// let similar = Recommender::new().retrieve(SimilarItems::by("item2vec", 100));
/// ```
#[derive(Clone, Debug)]
pub struct SimilarItems {
    model: String,
    limit: usize,
}

impl SimilarItems {
    /// By the active version of a model, at most `limit` items.
    pub fn by(model: &str, limit: usize) -> SimilarItems {
        SimilarItems { model: model.into(), limit }
    }
}

impl Retrieve for SimilarItems {
    fn name(&self) -> String {
        format!("SimilarItems({})", self.model)
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("SimilarItems", self.limit)?;
        let model = cx.snapshot.model(&self.model)?;
        let Some(item) = &cx.request.item else { return Ok(()) };
        let Some(code) = model.vocabulary().code(item) else {
            cx.degraded(format!("{} does not know item {item}", self.model));
            return Ok(());
        };
        let may = known::allowed(cx, &model, allowed)?;
        let mut scores = vec![0f32; model.vocabulary().len()];
        let silence = similar(&model, code, &mut scores)?;
        for found_one in best(&scores, silence, |c| c != code && may.contains(c), self.limit) {
            push(cx, &model, found_one, found)?;
        }
        Ok(())
    }
}

/// Scores all items by how well they go with one; says which score is silence.
pub(crate) fn similar(model: &Model, code: u32, scores: &mut [f32]) -> Result<Option<f32>> {
    let method = model.method();
    if let Some(done) = method.similar(code, scores) {
        return done.map(|()| method.silence());
    }
    let Some(vectors) = method.vectors() else {
        method.scores(&[code], scores)?;
        return Ok(method.silence());
    };
    let row = |code: u32| &vectors.input[code as usize * vectors.dim..][..vectors.dim];
    dots(row(code), vectors.input, scores);
    let own = row(code).iter().map(|x| x * x).sum::<f32>().sqrt();
    for (score, row) in scores.iter_mut().zip(vectors.input.chunks_exact(vectors.dim)) {
        let mut square = [0f32];
        Kernel::best().dot_f32(&Numbers::new(row), crate::format::columns::raw(row), &mut square);
        let norms = own * square[0].sqrt();
        *score = if norms > 0.0 { *score / norms } else { 0.0 };
    }
    Ok(None)
}

fn push(
    cx: &Context<'_>,
    model: &Model,
    (score, code): (f32, u32),
    found: &mut Found<'_>,
) -> Result<()> {
    if let Some(addr) = cx.snapshot.find(model.vocabulary().key(code))? {
        found.push(addr, score);
    }
    Ok(())
}

fn check_limit(name: &str, limit: usize) -> Result<()> {
    match limit {
        1..=LIMIT_MAX => Ok(()),
        n => Err(Error::invalid(format!("limit of {name}"), format!("is {n}; 1 to {LIMIT_MAX}"))),
    }
}
