//! The rows that have all words of a text whose last word may be unfinished.

use crate::{
    error::Result,
    search::words::{Words, analyze, close::Close},
    segment::bits::Bits,
};
use std::ops::Range;

/// What was typed: whole words, and the beginning of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Typed {
    /// Ascending, each once.
    pub(crate) whole: Vec<String>,
    /// The letters of the last word, if nothing has ended it.
    pub(crate) begun: Option<String>,
}

/// Which of the words nobody has written, in any part: words close to them will do.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    whole: Vec<bool>,
    begun: bool,
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

    /// No word is unknown.
    pub(crate) fn exactly(&self) -> Unknown {
        Unknown { whole: vec![false; self.whole.len()], begun: false }
    }

    /// Which words none of some segments have.
    pub(crate) fn unknown<'w>(&self, all: impl Iterator<Item = &'w Words>) -> Result<Unknown> {
        let mut unknown =
            Unknown { whole: vec![true; self.whole.len()], begun: self.begun.is_some() };
        for words in all {
            for (word, unknown) in self.whole.iter().zip(&mut unknown.whole) {
                *unknown = *unknown && words.find(word)?.is_none();
            }
            if let Some(letters) = &self.begun {
                unknown.begun = unknown.begun && words.beginning(letters)?.is_empty();
            }
        }
        Ok(unknown)
    }

    /// The rows that have all of it; dead ones among them.
    pub(crate) fn rows(&self, words: &Words, unknown: &Unknown) -> Result<Bits> {
        let mut rows: Option<Bits> = None;
        let mut known = Vec::with_capacity(self.whole.len());
        for (word, _) in self.whole.iter().zip(&unknown.whole).filter(|(_, no)| !**no) {
            match words.find(word)? {
                Some(at) => known.push((words.range(at)?, at)),
                None => return Ok(Bits::default()),
            }
        }
        // The rarest first: what comes later is only asked about its rows.
        known.sort_by_key(|(range, _)| range.end - range.start);
        for (_, at) in known {
            narrow(words, &mut rows, std::slice::from_ref(&(at..at + 1)))?;
        }
        for (word, _) in self.whole.iter().zip(&unknown.whole).filter(|(_, no)| **no) {
            narrow(words, &mut rows, &close(words, word, false)?)?;
        }
        if let Some(letters) = &self.begun {
            let places = match unknown.begun {
                true => close(words, letters, true)?,
                false => vec![words.beginning(letters)?],
            };
            narrow(words, &mut rows, &places)?;
        }
        Ok(rows.unwrap_or_default())
    }
}

fn close(words: &Words, word: &str, begun: bool) -> Result<Vec<Range<u32>>> {
    let places = match Close::new(word, begun) {
        Some(close) => close.places(words)?,
        None => Vec::new(),
    };
    Ok(places.into_iter().map(|at| at..at + 1).collect())
}

/// Keeps the rows that any of some words have.
fn narrow(words: &Words, rows: &mut Option<Bits>, places: &[Range<u32>]) -> Result<()> {
    let mut kept = Bits::default();
    for places in places {
        for row in words.listed(places.clone())?.iter().copied() {
            if row >= words.rows() {
                return Err(words.damage("a row that does not exist"));
            }
            if rows.as_ref().is_none_or(|rows| rows.contains(row)) {
                kept.insert(row);
            }
        }
    }
    *rows = Some(kept);
    Ok(())
}
