//! Making the lists of one attribute of one segment.

use crate::{
    error::Result,
    format::{Kind, columns::raw, envelope::Sections, sink::Sink},
    progress::Progress,
    search::words::{Words, analyze},
    segment::Segment,
};
use std::collections::HashMap;

/// Rows between two looks at whether to go on.
const PIECE: u32 = 4096;

/// The lists, before they are written.
pub(crate) struct Built {
    words: Vec<Box<str>>,
    /// Where each word's list begins, and the end of the last.
    lists: Vec<u64>,
    rows: Vec<u32>,
    counts: Vec<u16>,
    /// How many words each row has.
    lengths: Vec<u32>,
}

/// What was read row by row: in each, its distinct words by number, and how often each is there.
#[derive(Default)]
struct Read {
    numbers: HashMap<Box<str>, u32>,
    /// How many rows have each word.
    frequencies: Vec<u32>,
    words: Vec<u32>,
    counts: Vec<u16>,
    /// How many distinct words each row has.
    distinct: Vec<u32>,
    lengths: Vec<u32>,
}

/// Reads the texts of an attribute, which the segment has. Takes about twelve bytes of memory for
/// each word of each row.
pub(crate) fn build(segment: &Segment, attr: u16, progress: &mut Progress<'_>) -> Result<Built> {
    let (texts, rows) = (segment.texts(attr)?, segment.rows());
    let mut read = Read::default();
    let mut of_row = HashMap::new();
    progress.begin(rows.into())?;
    for row in 0..rows {
        if row > 0 && row % PIECE == 0 {
            progress.advance(PIECE.into())?;
        }
        let text = texts.string(row)?;
        read.row(&text, &mut of_row);
    }
    Ok(read.turn())
}

impl Read {
    /// `of_row` is used again for every row.
    fn row(&mut self, text: &str, of_row: &mut HashMap<u32, u32>) {
        let mut length = 0u32;
        analyze::words(text, |word| {
            let number = match self.numbers.get(word) {
                Some(number) => *number,
                None => {
                    let number = self.frequencies.len() as u32;
                    self.numbers.insert(word.into(), number);
                    self.frequencies.push(0);
                    number
                }
            };
            *of_row.entry(number).or_default() += 1;
            length += 1;
        });
        self.lengths.push(length);
        self.distinct.push(of_row.len() as u32);
        // In whatever order: each word's list is by row.
        for (word, count) in of_row.drain() {
            self.frequencies[word as usize] += 1;
            self.words.push(word);
            self.counts.push(u16::try_from(count).unwrap_or(u16::MAX));
        }
    }

    /// From words by row to rows by word, words ascending.
    fn turn(self) -> Built {
        let mut words: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        words.sort_unstable();
        let mut lists = vec![0u64; words.len() + 1];
        let mut next = vec![0u64; words.len()];
        for (place, (_, number)) in words.iter().enumerate() {
            next[*number as usize] = lists[place];
            lists[place + 1] = lists[place] + u64::from(self.frequencies[*number as usize]);
        }
        let (mut rows, mut counts) = (vec![0; self.words.len()], vec![0; self.words.len()]);
        let mut from = 0;
        for (row, distinct) in (0u32..).zip(&self.distinct) {
            for at in from..from + *distinct as usize {
                let to = &mut next[self.words[at] as usize];
                rows[*to as usize] = row;
                counts[*to as usize] = self.counts[at];
                *to += 1;
            }
            from += *distinct as usize;
        }
        let words = words.into_iter().map(|(word, _)| word).collect();
        Built { words, lists, rows, counts, lengths: self.lengths }
    }
}

impl Built {
    /// Writes the sections of a `.words` file.
    pub(crate) fn save(&self, attr: u16, sink: &mut Sink) -> Result<()> {
        let mut starts = Vec::with_capacity(self.words.len() + 1);
        let mut end = 0u64;
        starts.push(end);
        for word in &self.words {
            end += word.len() as u64;
            starts.push(end);
        }
        sink.section(Kind::WORD_STARTS, attr, raw(&starts))?;
        sink.begin(Kind::WORD_BYTES, attr)?;
        self.words.iter().try_for_each(|word| sink.write(word.as_bytes()))?;
        sink.section(Kind::WORD_LISTS, attr, raw(&self.lists))?;
        sink.section(Kind::WORD_ROWS, attr, raw(&self.rows))?;
        sink.section(Kind::WORD_COUNTS, attr, raw(&self.counts))?;
        sink.section(Kind::WORD_LENGTHS, attr, raw(&self.lengths))
    }

    /// The same on the heap.
    pub(crate) fn into_words(self, attr: u16, rows: u32) -> Result<Words> {
        let mut sink = Sink::heap();
        self.save(attr, &mut sink)?;
        let sections: Sections = sink.into_heap()?;
        Words::open(sections, attr, rows)
    }
}
