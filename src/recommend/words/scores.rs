//! Scores by words: BM25, and whether a text begins as it was typed.

use crate::{
    error::Result,
    item::Value,
    recommend::{Candidates, Context, Score},
    schema::AttrType,
    search::words::analyze,
    store::sieve::Sieve,
};
use roaring::RoaringBitmap;

/// How well the text of a candidate matches the request's text, by BM25, whoever has found it; 0 for one that
/// has none of the words. See [`Snapshot::matching`](crate::Snapshot::matching).
///
/// ```
/// use bowerbird::recommend::{Bm25, Similarity, Weighted};
/// let score = Weighted::new().scaled(1.0, Bm25::new("title")).scaled(2.0, Similarity::new("text"));
/// ```
#[derive(Clone, Debug)]
pub struct Bm25 {
    attr: String,
}

impl Bm25 {
    /// By this text attribute.
    pub fn new(attr: &str) -> Bm25 {
        Bm25 { attr: attr.into() }
    }
}

impl Score for Bm25 {
    fn name(&self) -> String {
        format!("Bm25({})", self.attr)
    }

    fn score(&self, cx: &Context<'_>, candidates: &Candidates, scores: &mut [f32]) -> Result<()> {
        cx.snapshot.text_attr(&self.attr)?;
        scores.fill(0.0);
        if candidates.is_empty() || cx.request.text.is_empty() {
            return Ok(());
        }
        let parts = &cx.snapshot.version.parts;
        let mut rows = vec![RoaringBitmap::new(); parts.len()];
        for addr in candidates.addrs() {
            rows[addr.part as usize].insert(addr.row.0);
        }
        let sieves = parts.iter().zip(&rows).map(|(part, rows)| Sieve::only(part, rows));
        let sieves: Vec<Sieve<'_>> = sieves.collect();
        let question = cx.snapshot.matching(&self.attr, &cx.request.text);
        for hit in question.search(&sieves, candidates.len())? {
            if let Some(place) = candidates.place(hit.addr) {
                scores[place] = hit.score;
            }
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
