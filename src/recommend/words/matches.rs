//! Finds what has the words of a request's text.

use crate::{
    error::Result,
    recommend::{
        Allowed, Context, Found, Retrieve,
        retrieve::{check_limit, sieves},
    },
};

/// Finds what has the words of the request's text, by BM25; nothing without a text.
///
/// See [`Snapshot::matching`](crate::Snapshot::matching) for what words are and how they score.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// # let schema = Schema::new().space("text", 2, Metric::Cosine).attr("title", AttrType::Text);
/// # let db = Db::in_memory(schema)?;
/// # db.batch().put(Item::new(1u64).attr("title", "Star Wars").vector("text", [0.0, 1.0])).commit()?;
/// let search = Recommender::new()
///     .summarize(Query)
///     .retrieve(Matches::new("title", 200))
///     .retrieve(NearInterests::new("text", 200))
///     .score(Rrf::default());
/// let request = Request::new(10, Timestamp(0)).text("star wars").query("text", [0.6, 0.8]);
/// let slate = search.run(&db.snapshot(), &request)?;
/// assert_eq!(slate.items[0].sources, ["Matches(title)", "NearInterests(text)"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Matches {
    attrs: Vec<(String, f32)>,
    limit: usize,
    every: bool,
}

impl Matches {
    /// In this text attribute, at most `limit` items.
    pub fn new(attr: &str, limit: usize) -> Matches {
        Matches { attrs: vec![(attr.into(), 1.0)], limit, every: false }
    }

    /// Also in another, whose score counts so much; the first counts 1.
    pub fn also(mut self, attr: &str, weight: f32) -> Matches {
        self.attrs.push((attr.into(), weight));
        self
    }

    /// Only what has every word of the text.
    pub fn every_word(mut self) -> Matches {
        self.every = true;
        self
    }
}

impl Retrieve for Matches {
    fn name(&self) -> String {
        let names: Vec<&str> = self.attrs.iter().map(|(name, _)| name.as_str()).collect();
        format!("Matches({})", names.join(", "))
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        check_limit("Matches", self.limit)?;
        let Some(((first, _), others)) = self.attrs.split_first() else { return Ok(()) };
        let mut question = cx.snapshot.matching(first, &cx.request.text);
        for (attr, weight) in others {
            question = question.also(attr, *weight);
        }
        if self.every {
            question = question.every_word();
        }
        for hit in question.search(&sieves(cx, allowed), self.limit)? {
            found.push(hit.addr, hit.score);
        }
        Ok(())
    }
}
