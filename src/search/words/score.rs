//! BM25 (Robertson and Zaragoza, 2009), as Lucene computes it.
//!
//! The score of a text is the sum over the words asked for of
//! `idf * tf / (tf + k1 * (1 - b + b * length / average))`, with
//! `idf = ln(1 + (texts - frequency + 0.5) / (frequency + 0.5))`.
//!
//! Rows are taken in windows that fit into the nearest cache: each list adds to the sums of its rows
//! in the window, then the rows that any list has touched are offered. Sums are of 64 bits, in the order of the
//! words that are asked for, so that a score does not depend on how rows are shared among segments.

use crate::{
    error::Result,
    search::words::index::{List, Words},
};

/// How BM25 weighs what repeats and what is long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bm25 {
    pub(crate) k1: f64,
    pub(crate) b: f64,
}

/// Rows of a window.
const WINDOW: u32 = 4096;
/// Lengths up to here have their share of the formula computed in advance.
const LENGTHS: usize = 128;

/// A word that is asked for in one attribute of one segment.
pub(crate) struct Clause<'a> {
    pub(crate) words: &'a Words,
    /// The place of the word.
    pub(crate) at: u32,
    /// The number of the word among those asked for, below 64 where all of them must be there.
    pub(crate) word: usize,
    /// Its idf, times what it is to count.
    pub(crate) weight: f64,
    /// Words of a text of this attribute, on average over the database.
    pub(crate) average: f64,
}

/// A clause, ready to go through its list.
struct Cursor<'a> {
    list: List<'a>,
    lengths: crate::format::section::Column<'a, u32>,
    at: usize,
    bit: u64,
    weight: f64,
    k1: f64,
    b: f64,
    average: f64,
    /// What a word that is there once adds, by length of the text; empty for a short list.
    once: Vec<f64>,
}

impl<'a> Cursor<'a> {
    fn new(clause: &Clause<'a>, how: Bm25) -> Result<Cursor<'a>> {
        let Clause { words, at, word, weight, average } = *clause;
        let mut cursor = Cursor {
            list: words.list(at)?,
            lengths: words.lengths()?,
            at: 0,
            bit: 1u64.checked_shl(word as u32).unwrap_or(0),
            weight,
            k1: how.k1,
            b: how.b,
            average: average.max(1.0),
            once: Vec::new(),
        };
        if cursor.list.rows.len() > LENGTHS {
            cursor.once = (0..LENGTHS).map(|length| cursor.part(1.0, length as f64)).collect();
        }
        Ok(cursor)
    }

    /// What the word adds to a text of that length that has it so often.
    fn part(&self, count: f64, length: f64) -> f64 {
        let norm = self.k1 * (1.0 - self.b + self.b * length / self.average);
        self.weight * (count / (count + norm))
    }
}

/// The sums of a window, and which rows they are of.
struct Window {
    sums: Vec<f64>,
    /// By row, which of the words it has.
    has: Vec<u64>,
    touched: [u64; WINDOW as usize / 64],
}

/// Scores all rows that have any word, or all of so many words, and offers them in ascending order.
///
/// `offer` may be told of a row that is dead or not allowed: that is its business.
pub(crate) fn score(
    clauses: &[Clause<'_>],
    how: Bm25,
    all_of: Option<usize>,
    mut offer: impl FnMut(u32, f64) -> Result<()>,
) -> Result<()> {
    let cursors = clauses.iter().map(|clause| Cursor::new(clause, how));
    let mut cursors: Vec<Cursor<'_>> = cursors.collect::<Result<_>>()?;
    let Some(words) = clauses.first().map(|clause| clause.words) else { return Ok(()) };
    let every = all_of.map(|words| u64::MAX >> (64 - words.clamp(1, 64)));
    let size = WINDOW as usize;
    let has = if every.is_some() { vec![0; size] } else { Vec::new() };
    let mut window = Window { sums: vec![0.0; size], has, touched: [0; WINDOW as usize / 64] };
    loop {
        let next = |cursor: &Cursor<'_>| cursor.list.rows.get(cursor.at).copied();
        let Some(first) = cursors.iter().filter_map(next).min() else { return Ok(()) };
        let base = first / WINDOW * WINDOW;
        for cursor in &mut cursors {
            if !window.add(cursor, base) {
                return Err(words.damage("rows of a list"));
            }
        }
        window.hand_over(base, every, &mut offer)?;
    }
}

impl Window {
    /// Adds what a list has in the window from `base` on; `false` if its rows are not in order.
    fn add(&mut self, cursor: &mut Cursor<'_>, base: u32) -> bool {
        let (rows, counts) = (&cursor.list.rows[..], &cursor.list.counts[..]);
        let lengths = &cursor.lengths[..];
        let mut at = cursor.at;
        let mut last = None;
        while let Some(row) = rows.get(at).copied() {
            let Some(place) = row.checked_sub(base).map(|place| place as usize) else {
                return false;
            };
            if place >= WINDOW as usize {
                break;
            }
            let (Some(length), Some(count)) = (lengths.get(row as usize), counts.get(at)) else {
                return false;
            };
            if *count == 0 || last.replace(row).is_some_and(|last| last >= row) {
                return false;
            }
            let part = match cursor.once.get(*length as usize) {
                Some(once) if *count == 1 => *once,
                _ => cursor.part(f64::from(*count), f64::from(*length)),
            };
            self.sums[place] += part;
            self.touched[place / 64] |= 1 << (place % 64);
            if let Some(has) = self.has.get_mut(place) {
                *has |= cursor.bit;
            }
            at += 1;
        }
        cursor.at = at;
        true
    }

    /// Offers the rows of the window and clears it.
    fn hand_over(
        &mut self,
        base: u32,
        every: Option<u64>,
        offer: &mut impl FnMut(u32, f64) -> Result<()>,
    ) -> Result<()> {
        for (word, touched) in self.touched.iter_mut().enumerate() {
            let mut left = std::mem::take(touched);
            while left != 0 {
                let place = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let sum = std::mem::take(&mut self.sums[place]);
                let whole = match (every, self.has.get_mut(place)) {
                    (Some(every), Some(has)) => std::mem::take(has) == every,
                    _ => true,
                };
                if whole {
                    offer(base + place as u32, sum)?;
                }
            }
        }
        Ok(())
    }
}
