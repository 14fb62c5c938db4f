//! Asking for the items whose texts have some words, best first: BM25.

use crate::{
    error::{Error, Result},
    limits::{TERMS_MAX, TEXT_BYTES_MAX, WORDS_MAX},
    search::{
        top::Top,
        words::{
            Words, analyze,
            index::Totals,
            score::{self, Bm25, Clause},
            typed::Typed,
        },
    },
    segment::bits::Bits,
    store::{
        knobs::{self, Knobs},
        nearest::{self, Hit},
        selection::Selection,
        sieve::Sieve,
        snapshot::Snapshot,
        spread,
        version::Part,
    },
};
use std::sync::Arc;

/// A question for items by the words of their texts, put together by chaining and answered by
/// [`Matching::run`].
///
/// Scores are BM25 as Lucene computes it, with exact counts over the living items of the snapshot:
/// they do not depend on how the database is laid out, nor on the filter. An item is found if it has any
/// of the words; see [`Matching::every_word`].
///
/// A word is a run of letters and digits, whatever its case and accents; apostrophes inside are passed
/// over, characters of scripts without spaces, and emoji, stand for themselves. There is no stemming.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().attr("title", AttrType::Text).attr("plot", AttrType::Text))?;
/// db.batch()
///     .put(Item::new(1u64).attr("title", "Am\u{e9}lie").attr("plot", "A waitress in Paris."))
///     .put(Item::new(2u64).attr("title", "Paris, Texas").attr("plot", "A man walks out of the desert."))
///     .commit()?;
/// let snapshot = db.snapshot();
/// let hits = snapshot.matching("title", "paris").also("plot", 0.5).limit(10).run()?;
/// assert_eq!(hits.iter().map(|hit| &hit.key).collect::<Vec<_>>(), [&Key::Id(2), &Key::Id(1)]);
/// assert_eq!(snapshot.matching("title", "AMELIE").run()?[0].key, Key::Id(1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is searched before `run`"]
pub struct Matching<'s> {
    pub(super) snapshot: &'s Snapshot,
    text: String,
    attrs: Vec<(String, f32)>,
    every: bool,
    how: Bm25,
    pub(super) knobs: Knobs<'s>,
}

knobs::narrowing!(Matching);

impl Snapshot {
    /// The items whose text attribute has words of `text`.
    ///
    /// Errors of the arguments are reported by `run`: `NotFound` for the attribute, `Invalid` for one
    /// that is no [`AttrType::Text`](crate::AttrType::Text), and for a text that is too long.
    pub fn matching(&self, attr: &str, text: &str) -> Matching<'_> {
        // Of a text that is too long no more is copied than it takes to refuse it.
        let kept = text.floor_char_boundary(TEXT_BYTES_MAX + 4);
        Matching {
            snapshot: self,
            text: text[..kept].to_owned(),
            attrs: vec![(attr.into(), 1.0)],
            every: false,
            how: Bm25 { k1: 1.2, b: 0.75 },
            knobs: Knobs::default(),
        }
    }

    /// The items whose text attribute has all words of a text that is being typed: if it ends in a
    /// letter or digit, its last word may be the beginning of one.
    ///
    /// A text without any word, such as an empty one, finds nothing.
    ///
    /// ```
    /// # use bowerbird::*;
    /// # fn main() -> Result<()> {
    /// let db = Db::in_memory(Schema::new().attr("title", AttrType::Text))?;
    /// db.batch()
    ///     .put(Item::new(1u64).attr("title", "Star Wars"))
    ///     .put(Item::new(2u64).attr("title", "Star Trek"))
    ///     .commit()?;
    /// let snapshot = db.snapshot();
    /// assert_eq!(snapshot.select_typed("title", "sta")?.len(), 2);
    /// assert_eq!(snapshot.select_typed("title", "wa star")?.len(), 0); // "wa" has ended
    /// assert_eq!(snapshot.select_typed("title", "star wa")?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Snapshot::matching`].
    pub fn select_typed(&self, attr: &str, text: &str) -> Result<Selection> {
        let nothing = || vec![Bits::default(); self.version.parts.len()];
        let rows = self.typed_rows(attr, text, false)?;
        Ok(Selection::of(self, rows.unwrap_or_else(nothing)))
    }

    /// The same as rows of each part; `None` if no word was typed. If forgiving, words close to one that
    /// no item has will do.
    pub(crate) fn typed_rows(
        &self,
        attr: &str,
        text: &str,
        forgiving: bool,
    ) -> Result<Option<Vec<Bits>>> {
        let attr = self.text_attr(attr)?;
        check_text(text)?;
        let typed = Typed::new(text);
        check_words(typed.whole.len())?;
        if typed.is_empty() {
            return Ok(None);
        }
        let parts = &self.version.parts;
        let words = parts.iter().map(|part| part.words(attr)).collect::<Result<Vec<_>>>()?;
        let unknown = match forgiving {
            true => typed.unknown(words.iter().flatten().map(|words| &**words))?,
            false => typed.exactly(),
        };
        let rows = |(part, words): (&Part, &Option<Arc<Words>>)| match words {
            Some(words) => {
                let mut rows = typed.rows(words, &unknown)?;
                part.dead.rows.iter().for_each(|row| rows.remove(row));
                Ok(rows)
            }
            None => Ok(Bits::default()),
        };
        parts.iter().zip(&words).map(rows).collect::<Result<_>>().map(Some)
    }
}

fn check_text(text: &str) -> Result<()> {
    match text.len() {
        n if n <= TEXT_BYTES_MAX => Ok(()),
        _ => {
            let why = format!("has more than {TEXT_BYTES_MAX} bytes; ask for a part of it");
            Err(Error::invalid("text", why))
        }
    }
}

fn check_words(words: usize) -> Result<()> {
    match words {
        n if n <= WORDS_MAX => Ok(()),
        n => {
            let why = format!("has {n} distinct words; at most {WORDS_MAX} can be asked for");
            Err(Error::invalid("text", why))
        }
    }
}

/// An attribute that is asked, in every part.
struct Field {
    parts: Vec<Option<Arc<Words>>>,
    /// By part, where each of the words is.
    places: Vec<Vec<Option<u32>>>,
    /// What each word is to count: its idf over the living items, times how often it is asked for, times
    /// the attribute's weight.
    weights: Vec<f64>,
    /// How many words a text has on average.
    average: f64,
}

/// A distinct word of the question, and how often it is there.
type Word = (String, f64);

impl<'s> Matching<'s> {
    /// Looks in another text attribute, too: an item scores the sum of what its attributes score, each
    /// times its weight. The first attribute has weight 1.
    pub fn also(mut self, attr: &str, weight: f32) -> Self {
        self.attrs.push((attr.into(), weight));
        self
    }

    /// Only items that have every word, each in any of the attributes.
    pub fn every_word(mut self) -> Self {
        self.every = true;
        self
    }

    /// How soon repeats of a word stop to count (`k1`, 1.2 unless set, at least 0), and how much longer texts
    /// count less (`b`, 0.75 unless set, 0 to 1).
    pub fn bm25(mut self, k1: f32, b: f32) -> Self {
        self.how = Bm25 { k1: k1.into(), b: b.into() };
        self
    }

    /// Searches with this many threads, which share the parts of the database; 1 unless set. The answer is
    /// the same.
    pub fn threads(mut self, threads: usize) -> Self {
        self.knobs.threads = threads;
        self
    }

    /// The items that match best, best first; equal scores are ordered by key.
    pub fn run(self) -> Result<Vec<Hit>> {
        self.knobs.check()?;
        let sieves = self.knobs.sieves(self.snapshot)?;
        self.search(&sieves, self.knobs.limit)
    }

    /// The same through other sieves, one per part.
    pub(crate) fn search(&self, sieves: &[Sieve<'_>], limit: usize) -> Result<Vec<Hit>> {
        self.check()?;
        let words = self.words()?;
        let fields = self.attrs.iter().map(|(attr, weight)| self.field(attr, *weight, &words));
        let fields: Vec<Field> = fields.collect::<Result<_>>()?;
        let work = |at: usize| {
            let clauses = clauses(at, &fields, words.len());
            let (mut top, sieve) = (Top::new(limit), &sieves[at]);
            let all_of = self.every.then_some(words.len());
            score::score(&clauses, self.how, all_of, |row, sum| {
                // Weights may be as large as numbers get; scores stay finite (L3).
                let score = (sum as f32).min(f32::MAX);
                if score >= top.floor() && sieve.allows(row)? {
                    top.push(score, row);
                }
                Ok(())
            })?;
            Ok(nearest::at_part(at, top))
        };
        let found = spread(sieves.len(), self.knobs.threads, work)?.into_iter().flatten();
        nearest::order(self.snapshot, found.collect(), limit)
    }

    fn check(&self) -> Result<()> {
        check_text(&self.text)?;
        let Bm25 { k1, b } = self.how;
        if !(k1.is_finite() && k1 >= 0.0 && (0.0..=1.0).contains(&b)) {
            let why = format!("is {k1} and {b}; k1 must be at least 0, and b 0 to 1");
            return Err(Error::invalid("k1 and b of BM25", why));
        }
        if self.attrs.len() > TERMS_MAX {
            let why = format!("are {}; at most {TERMS_MAX} can be asked", self.attrs.len());
            return Err(Error::invalid("text attributes", why));
        }
        let bad = self.attrs.iter().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0));
        bad.map_or(Ok(()), |(attr, weight)| {
            let why = format!("is {weight}; it must be 0 or more");
            Err(Error::invalid(format!("weight of {attr:?}"), why))
        })
    }

    /// The distinct words, in the order of the text.
    fn words(&self) -> Result<Vec<Word>> {
        let mut places = std::collections::HashMap::new();
        let mut words: Vec<Word> = Vec::new();
        analyze::words(&self.text, |word| match places.get(word) {
            Some(at) => {
                let word: &mut Word = &mut words[*at];
                word.1 += 1.0;
            }
            None => {
                places.insert(word.to_owned(), words.len());
                words.push((word.to_owned(), 1.0));
            }
        });
        check_words(words.len())?;
        if self.every && words.len() > 64 {
            let why = format!("has {} distinct words; every one can be asked of 64", words.len());
            return Err(Error::invalid("text", why));
        }
        Ok(words)
    }

    fn field(&self, attr: &str, weight: f32, words: &[Word]) -> Result<Field> {
        let (attr, all) = (self.snapshot.text_attr(attr)?, &self.snapshot.version.parts);
        let (mut parts, mut places) = (Vec::with_capacity(all.len()), Vec::new());
        let (mut totals, mut frequencies) = (Totals::default(), vec![0u64; words.len()]);
        for part in all {
            let mut here = vec![None; words.len()];
            let lists = part.words(attr)?;
            if let Some(lists) = &lists {
                let of_part = lists.totals(&part.dead.rows)?;
                totals.texts += of_part.texts;
                totals.words += of_part.words;
                let dead = (!part.dead.rows.is_empty()).then(|| part.dead.bits());
                for (number, (word, _)) in words.iter().enumerate() {
                    here[number] = lists.find(word)?;
                    if let Some(at) = here[number] {
                        frequencies[number] += lists.frequency(at, dead)?;
                    }
                }
            }
            parts.push(lists);
            places.push(here);
        }
        let texts = totals.texts as f64;
        let idf =
            |frequency: f64| (1.0 + (texts - frequency + 0.5).max(0.0) / (frequency + 0.5)).ln();
        let asked = words.iter().zip(&frequencies);
        let weights = asked
            .map(|((_, times), frequency)| idf(*frequency as f64) * times * f64::from(weight))
            .collect();
        let average = totals.words as f64 / totals.texts.max(1) as f64;
        Ok(Field { parts, places, weights, average })
    }
}

/// What is asked of one part, word by word.
fn clauses(part: usize, fields: &[Field], words: usize) -> Vec<Clause<'_>> {
    let mut clauses = Vec::new();
    for word in 0..words {
        for field in fields {
            if let (Some(words), Some(at)) = (&field.parts[part], field.places[part][word]) {
                let (weight, average) = (field.weights[word], field.average);
                clauses.push(Clause { words, at, word, weight, average });
            }
        }
    }
    clauses
}
