//! Operators that look for the words of a request's text.

use crate::{
    error::Result,
    item::Value,
    recommend::{
        Allowed, Candidates, Context, Filter, Found, Retrieve, Score,
        retrieve::{check_limit, sieves},
    },
    schema::AttrType,
    search::words::{analyze, typed},
};
use roaring::RoaringBitmap;

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

/// Keeps what has all words of the request's text, whose last may be unfinished: what could be meant by
/// what was typed so far. A text without a word, such as an empty one, takes nothing away.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().attr("query", AttrType::Text).attr("asked", AttrType::Int))?;
/// # db.batch().put(Item::new(1u64).attr("query", "star wars").attr("asked", 9))
/// #     .put(Item::new(2u64).attr("query", "star trek").attr("asked", 12)).commit()?;
/// let complete = Recommender::new().filter(Typed::new("query")).retrieve(Highest::new("asked", 50));
/// let slate = complete.run(&db.snapshot(), &Request::new(5, Timestamp(0)).text("star w"))?;
/// assert_eq!(slate.items.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Typed {
    attr: String,
    forgiving: bool,
}

impl Typed {
    /// In this text attribute.
    pub fn new(attr: &str) -> Typed {
        Typed { attr: attr.into(), forgiving: false }
    }

    /// Takes words that are close to one that no item has: with one letter more, less or changed, or two
    /// turned round, in words of three letters or more; two such mistakes in eight or more. The first letter must be right.
    pub fn forgiving(mut self) -> Typed {
        self.forgiving = true;
        self
    }
}

impl Filter for Typed {
    fn name(&self) -> String {
        format!("Typed({})", self.attr)
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        let text = &cx.request.text;
        let rows = cx.snapshot.typed_rows(&self.attr, text, self.forgiving)?;
        if typed::Typed::new(text).is_empty() {
            return Ok(());
        }
        for (part, rows) in (0u32..).zip(rows) {
            let rows = RoaringBitmap::from_sorted_iter(rows.iter()).unwrap_or_default();
            allowed.keep_rows(part, &rows);
        }
        Ok(())
    }
}

/// Whether the text of a candidate begins as the request's: 1 if its first words are those that were typed, the last of
/// which may be unfinished, else 0. Without a typed word, 0.
///
/// ```
/// use bowerbird::recommend::{Begins, NumberOf, Weighted};
/// let score = Weighted::new().add(1.0, Begins::new("query")).scaled(0.5, NumberOf::new("asked"));
/// ```
#[derive(Clone, Debug)]
pub struct Begins {
    attr: String,
}

impl Begins {
    /// By this text attribute.
    pub fn new(attr: &str) -> Begins {
        Begins { attr: attr.into() }
    }
}

impl Score for Begins {
    fn name(&self) -> String {
        format!("Begins({})", self.attr)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        let attr = cx.snapshot.text_attr(&self.attr)?;
        let (typed, open) = words_of(&cx.request.text);
        scores.fill(0.0);
        if typed.is_empty() {
            return Ok(());
        }
        for (score, addr) in scores.iter_mut().zip(candidates.addrs()) {
            let segment = cx.snapshot.segment(*addr)?;
            let Some(Value::Text(text)) = segment.value(addr.row.0, attr, AttrType::Text)? else {
                continue;
            };
            *score = f32::from(u8::from(begins(&words_of(&text).0, &typed, open)));
        }
        Ok(())
    }
}

fn words_of(text: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let open = analyze::words(text, |word| words.push(word.to_owned()));
    (words, open)
}

fn begins(text: &[String], typed: &[String], open: bool) -> bool {
    let Some((last, whole)) = typed.split_last() else { return false };
    let there = text.get(whole.len()).is_some_and(|word| match open {
        true => word.starts_with(last.as_str()),
        false => word == last,
    });
    there && text[..whole.len()] == *whole
}
