//! Feeds: the inputs that an ONNX model may declare, and what a batch has for each.
//!
//! | input | type | shape |
//! |---|---|---|
//! | `tasks` | f32 or integer | `[N]` |
//! | `context_0` .. | f32 | `[N, dim]`: the request's vector, once for each of its candidates |
//! | `context_present` | f32 | `[N, vectors]`: 1, or 0 where zeros stand for one that is missing |
//! | `items_0` .. | f32 | `[N, dim]` |
//! | `items_present` | f32 | `[N, vectors]` |
//! | `history` | f32 | `[N, places, dim]`, the latest first |
//! | `lived` | f32 or integer | `[N]`: how many places are filled |
//! | `scalars` | f32 | `[N, scalars]` |
//!
//! N is the number of candidates of all requests together. The output is `scores`: `[N]` or `[N, 1]`, f32.

use super::{batch::RankBatch, features::Features};
use crate::error::{Error, Result};

/// An input, by what it is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    Tasks,
    Context(usize),
    ContextPresent,
    Items(usize),
    ItemsPresent,
    History,
    Lived,
    Scalars,
}

/// What numbers a model says that a tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Float,
    Whole,
    Other,
}

/// What a model says of a tensor; what it leaves open is `None`.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) numbers: Option<Numbers>,
    pub(super) shape: Option<Vec<Option<usize>>>,
}

/// The name of the output.
pub(super) const SCORES: &str = "scores";

impl Feed {
    /// What to feed a declared input with.
    ///
    /// # Errors
    /// `Invalid` for a name that says nothing, and for a type or a shape that it cannot have.
    pub(super) fn of(declared: &Declared, features: &Features) -> Result<Feed> {
        let refuse = |why: String| {
            Err(Error::invalid(format!("input {:?} of an ONNX model", declared.name), why))
        };
        let Some(feed) = Feed::named(&declared.name, features) else {
            let all = names(features).join(", ");
            return refuse(format!("is none that these features have; they have {all}"));
        };
        let may_be_whole = matches!(feed, Feed::Tasks | Feed::Lived);
        match declared.numbers {
            Some(Numbers::Other) => return refuse("has numbers that are not f32".into()),
            Some(Numbers::Whole) if !may_be_whole => {
                return refuse("has integers; these are f32".into());
            }
            _ => {}
        }
        let Some(shape) = &declared.shape else { return Ok(feed) };
        let needed = feed.inner(features);
        let fits = shape.len() == 1 + needed.len()
            && needed.iter().zip(&shape[1..]).all(|(a, b)| a.is_none() || b.is_none() || a == b);
        if !fits {
            let (is, needed) = (said(shape), said(&[&[None], &needed[..]].concat()));
            return refuse(format!("has the shape {is}; these features make {needed}"));
        }
        match shape[0] {
            None => Ok(feed),
            Some(fixed) => refuse(format!(
                "takes exactly {fixed} candidates; export it with a first axis of any length"
            )),
        }
    }

    fn named(name: &str, features: &Features) -> Option<Feed> {
        let numbered = |prefix: &str, count: usize| {
            let at = name.strip_prefix(prefix)?.parse().ok()?;
            (at < count && format!("{prefix}{at}") == name).then_some(at)
        };
        let (context, items) = (features.context_len(), features.item_spaces().len());
        Some(match name {
            "tasks" => Feed::Tasks,
            "scalars" if !features.scalars().is_empty() => Feed::Scalars,
            "context_present" if context > 0 => Feed::ContextPresent,
            "items_present" if items > 0 => Feed::ItemsPresent,
            "history" if features.history.is_some() => Feed::History,
            "lived" if features.history.is_some() => Feed::Lived,
            _ => numbered("context_", context)
                .map(Feed::Context)
                .or_else(|| numbered("items_", items).map(Feed::Items))?,
        })
    }

    /// The axes after the first; `None` for the dimension of a space, which only the batch says.
    fn inner(self, features: &Features) -> Vec<Option<usize>> {
        match self {
            Feed::Tasks | Feed::Lived => vec![],
            Feed::Context(_) | Feed::Items(_) => vec![None],
            Feed::ContextPresent => vec![Some(features.context_len())],
            Feed::ItemsPresent => vec![Some(features.item_spaces().len())],
            Feed::Scalars => vec![Some(features.scalars().len())],
            Feed::History => {
                vec![features.history.as_ref().map(|(_, places)| *places as usize), None]
            }
        }
    }

    /// The shape and the numbers that a batch has for it.
    pub(super) fn take(self, batch: &RankBatch) -> (Vec<usize>, Vec<f32>) {
        let n = batch.len();
        let requests = 0..batch.requests();
        let by_candidate = |number: &dyn Fn(usize) -> f32| {
            let each = requests.clone().flat_map(|r| batch.range(r).map(move |_| r));
            (vec![n], each.map(number).collect())
        };
        let repeated = |row: &[f32], request: usize, to: &mut Vec<f32>| {
            batch.range(request).for_each(|_| to.extend_from_slice(row));
        };
        let mut numbers = Vec::new();
        match self {
            Feed::Tasks => by_candidate(&|request| batch.tasks()[request] as f32),
            Feed::Lived => by_candidate(&|request| batch.lived[request] as f32),
            Feed::Scalars => (vec![n, batch.features().scalars().len()], batch.scalars().to_vec()),
            Feed::Context(slot) => {
                let (dim, from, _) = batch.context(slot);
                requests.for_each(|r| repeated(&from[r * dim..][..dim], r, &mut numbers));
                (vec![n, dim], numbers)
            }
            Feed::ContextPresent => {
                let slots = batch.features().context_len();
                for request in requests {
                    let row = (0..slots).map(|slot| f32::from(batch.context(slot).2[request]));
                    repeated(&row.collect::<Vec<_>>(), request, &mut numbers);
                }
                (vec![n, slots], numbers)
            }
            Feed::Items(slot) => {
                let dim = batch.dims.items[slot] as usize;
                for row in 0..n {
                    match batch.item(slot, row) {
                        Some(vector) => numbers.extend_from_slice(vector),
                        None => numbers.resize(numbers.len() + dim, 0.0),
                    }
                }
                (vec![n, dim], numbers)
            }
            Feed::ItemsPresent => {
                let slots = batch.features().item_spaces().len();
                for row in 0..n {
                    let there = |slot| if batch.item(slot, row).is_some() { 1.0 } else { 0.0 };
                    numbers.extend((0..slots).map(there));
                }
                (vec![n, slots], numbers)
            }
            Feed::History => {
                let places = batch.features().history.as_ref().map_or(0, |(_, n)| *n as usize);
                let (dim, from) =
                    batch.history().map_or((0, &[][..]), |(dim, from, _)| (dim, from));
                let long = places * dim;
                requests.for_each(|r| repeated(&from[r * long..][..long], r, &mut numbers));
                (vec![n, places, dim], numbers)
            }
        }
    }
}

/// Which output has the scores.
///
/// # Errors
/// `Invalid` if none is called so, or if it has another type or shape.
pub(super) fn scores_of(outputs: &[Declared]) -> Result<usize> {
    let at = outputs.iter().position(|output| output.name == SCORES).ok_or_else(|| {
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        let why = format!("are {names:?}; one must be called {SCORES:?}");
        Error::invalid("outputs of an ONNX model", why)
    })?;
    let refuse = |why: String| Err(Error::invalid("output \"scores\" of an ONNX model", why));
    if outputs[at].numbers.is_some_and(|numbers| numbers != Numbers::Float) {
        return refuse("has numbers that are not f32".into());
    }
    match outputs[at].shape.as_deref() {
        None | Some([None] | [None, None | Some(1)]) => Ok(at),
        Some(shape) => refuse(format!("has the shape {}; [N] or [N, 1] is needed", said(shape))),
    }
}

/// The scores that came out, for as many candidates as there are.
///
/// # Errors
/// `Invalid` for another shape.
pub(super) fn put(shape: &[usize], numbers: &[f32], scores: &mut [f32]) -> Result<()> {
    let n = scores.len();
    if !matches!(shape, [rows] | [rows, 1] if *rows == n) || numbers.len() != n {
        let why = format!("came out with the shape {shape:?}; [{n}] or [{n}, 1] is needed");
        return Err(Error::invalid("output \"scores\" of an ONNX model", why));
    }
    scores.copy_from_slice(numbers);
    Ok(())
}

/// Whether a batch is of the features that a model was loaded for, and has as many scores.
pub(super) fn check(batch: &RankBatch, features: &Features, scores: &[f32]) -> Result<()> {
    if batch.features() != features {
        return Err(Error::invalid("batch", "has other features than the ranker was loaded for"));
    }
    match scores.len() == batch.len() {
        true => Ok(()),
        false => {
            let (are, needed) = (scores.len(), batch.len());
            Err(Error::invalid("scores", format!("are {are}; candidates are {needed}")))
        }
    }
}

fn names(features: &Features) -> Vec<String> {
    let mut names = vec!["tasks".to_owned()];
    names.extend((0..features.context_len()).map(|at| format!("context_{at}")));
    names.extend((0..features.item_spaces().len()).map(|at| format!("items_{at}")));
    for name in ["context_present", "items_present", "history", "lived", "scalars"] {
        names.extend(Feed::named(name, features).map(|_| name.to_owned()));
    }
    names
}

fn said(shape: &[Option<usize>]) -> String {
    let axis = |(at, axis): (usize, &Option<usize>)| match axis {
        Some(axis) => axis.to_string(),
        None if at == 0 => "N".into(),
        None => "any".into(),
    };
    format!("[{}]", shape.iter().enumerate().map(axis).collect::<Vec<_>>().join(", "))
}
