//! Affinity: how a user takes to what has the tags of a candidate.

use crate::{
    error::{Error, Result},
    item::Value,
    key::Key,
    recommend::{
        Candidates, Context, Score,
        means::{add, check_prior, kinds_of, shrunk, valued},
    },
};
use std::collections::HashMap;

/// How much better than their mean, or worse, the user valued items that share tags with a candidate: the
/// mean over its tags, each pulled towards 0 as if `prior` more values had been as the mean is.
///
/// ```
/// let genres = bowerbird::recommend::TagAffinity::new("genre", ["rate"], 5.0);
/// ```
#[derive(Clone, Debug)]
pub struct TagAffinity {
    attr: String,
    kinds: Vec<String>,
    prior: f32,
}

impl TagAffinity {
    /// By the tags of an attribute, and the values of events of these kinds; none means all.
    pub fn new<'k>(
        attr: &str,
        kinds: impl IntoIterator<Item = &'k str>,
        prior: f32,
    ) -> TagAffinity {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        TagAffinity { attr: attr.into(), kinds, prior }
    }
}

impl Score for TagAffinity {
    fn name(&self) -> String {
        format!("TagAffinity({}, {})", self.attr, self.kinds.join(", "))
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let prior = check_prior("TagAffinity", self.prior)?;
        let kinds = kinds_of(cx, &self.kinds)?;
        let all: Vec<(Key, f64)> = valued(cx, &kinds)?;
        let mean = all.iter().map(|(_, value)| value).sum::<f64>() / all.len().max(1) as f64;
        let mut by_tag: HashMap<String, (f64, f64)> = HashMap::new();
        for (key, value) in &all {
            for tag in tags_of(cx, key, &self.attr)? {
                let sum = by_tag.entry(tag).or_default();
                *sum = add(*sum, (value - mean, 1.0));
            }
        }
        over_tags(cx, (candidates, &self.attr), scores, |tag| {
            by_tag.get(tag).map_or(0.0, |sum| shrunk(*sum, prior, 0.0))
        })
    }
}

/// Which share of the items of the user's history has the tags of a candidate: the mean over its tags; 0
/// without a history.
///
/// ```
/// let familiar = bowerbird::recommend::TagShare::new("genre");
/// ```
#[derive(Clone, Debug)]
pub struct TagShare {
    attr: String,
    kinds: Vec<String>,
}

impl TagShare {
    /// By the tags of an attribute.
    pub fn new(attr: &str) -> TagShare {
        TagShare { attr: attr.into(), kinds: Vec::new() }
    }

    /// Of events of these kinds; of all that count as [acts](crate::recommend::Recommender::acts) unless set.
    pub fn kinds<'k>(mut self, kinds: impl IntoIterator<Item = &'k str>) -> TagShare {
        self.kinds = kinds.into_iter().map(str::to_owned).collect();
        self
    }
}

impl Score for TagShare {
    fn name(&self) -> String {
        format!("TagShare({})", self.attr)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let mut by_tag: HashMap<String, f64> = HashMap::new();
        let past = cx.past(self.kinds.iter().map(String::as_str))?;
        for deed in past.iter() {
            for tag in tags_of(cx, &deed.item, &self.attr)? {
                *by_tag.entry(tag).or_default() += 1.0;
            }
        }
        let all = past.len().max(1) as f64;
        over_tags(cx, (candidates, &self.attr), scores, |tag| {
            by_tag.get(tag).copied().unwrap_or_default() / all
        })
    }
}

/// Writes the mean of what is said of the tags of each candidate; 0 for one without tags.
fn over_tags(
    cx: &Context<'_>,
    (candidates, attr): (&Candidates, &str),
    scores: &mut [f32],
    of_tag: impl Fn(&str) -> f64,
) -> Result<()> {
    for (score, addr) in scores.iter_mut().zip(candidates.addrs()) {
        let tags = tags(attr, cx.snapshot.value(*addr, attr)?)?;
        let sum: f64 = tags.iter().map(|tag| of_tag(tag)).sum();
        *score = (sum / tags.len().max(1) as f64) as f32;
    }
    Ok(())
}

fn tags_of(cx: &Context<'_>, key: &Key, attr: &str) -> Result<Vec<String>> {
    match cx.snapshot.find(key)? {
        Some(addr) => tags(attr, cx.snapshot.value(addr, attr)?),
        None => Ok(Vec::new()),
    }
}

fn tags(attr: &str, value: Option<Value>) -> Result<Vec<String>> {
    match value {
        Some(Value::Text(tag)) => Ok(vec![tag]),
        Some(Value::Tags(tags)) => Ok(tags),
        Some(_) => Err(Error::invalid(format!("attribute {attr:?}"), "has no tags")),
        None => Ok(Vec::new()),
    }
}
