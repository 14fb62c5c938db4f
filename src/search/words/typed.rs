//! The rows that have all words of a text whose last word may be unfinished.

use crate::{
    error::Result,
    search::words::{Words, analyze},
    segment::bits::Bits,
};

/// What was typed: whole words, and the beginning of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Typed {
    /// Ascending, each once.
    pub(crate) whole: Vec<String>,
    /// The letters of the last word, if nothing has ended it.
    pub(crate) begun: Option<String>,
}

impl Typed {
    /// Of a text as it was typed so far.
    pub(crate) fn new(text: &str) -> Typed {
        let mut whole = Vec::new();
        let open = analyze::words(text, |word| whole.push(word.to_owned()));
        let begun = if open { whole.pop() } else { None };
        whole.sort_unstable();
        whole.dedup();
        Typed { whole, begun }
    }

    /// Whether nothing was typed that could be looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.begun.is_none()
    }

    /// The rows that have all of it; dead ones among them.
    pub(crate) fn rows(&self, words: &Words) -> Result<Bits> {
        let mut rows: Option<Bits> = None;
        let mut places = Vec::with_capacity(self.whole.len());
        for word in &self.whole {
            match words.find(word)? {
                Some(at) => places.push((words.range(at)?, at)),
                None => return Ok(Bits::default()),
            }
        }
        // The rarest first: what comes later is only asked about its rows.
        places.sort_by_key(|(range, _)| range.end - range.start);
        for (_, at) in places {
            narrow(words, &mut rows, at..at + 1)?;
        }
        if let Some(letters) = &self.begun {
            narrow(words, &mut rows, words.beginning(letters)?)?;
        }
        Ok(rows.unwrap_or_default())
    }
}

/// Keeps the rows that any of some words have.
fn narrow(words: &Words, rows: &mut Option<Bits>, places: std::ops::Range<u32>) -> Result<()> {
    let mut kept = Bits::default();
    for row in words.listed(places)?.iter().copied() {
        if row >= words.rows() {
            return Err(words.damage("a row that does not exist"));
        }
        if rows.as_ref().is_none_or(|rows| rows.contains(row)) {
            kept.insert(row);
        }
    }
    *rows = Some(kept);
    Ok(())
}
