//! Words that are close to one that nobody has written: a letter more, less, changed, or two turned round.

use crate::{error::Result, search::words::Words};

/// What is looked for, and how many mistakes may be in it.
pub(crate) struct Close {
    letters: Vec<char>,
    most: usize,
    /// Whether it may be the beginning of a word.
    begun: bool,
}

impl Close {
    /// One mistake in words of 3 to 7 letters, two in longer ones; the first letter is right. `None`
    /// for a word that is too short to be wrong.
    pub(crate) fn new(word: &str, begun: bool) -> Option<Close> {
        let letters: Vec<char> = word.chars().collect();
        let most = match letters.len() {
            0..=2 => return None,
            3..=7 => 1,
            _ => 2,
        };
        Some(Close { letters, most, begun })
    }

    /// The places of the words that are close.
    pub(crate) fn places(&self, words: &Words) -> Result<Vec<u32>> {
        let all = words.all()?;
        let mut places = Vec::new();
        for at in words.beginning(self.letters[0].encode_utf8(&mut [0; 4]))? {
            let word = all.text(at)?;
            if std::str::from_utf8(&word).is_ok_and(|word| self.fits(word)) {
                places.push(at);
            }
        }
        Ok(places)
    }

    /// Optimal string alignment (Damerau's mistakes, none of them inside another), row by row of the
    /// word's letters; a row in which all are beyond what is allowed ends it.
    fn fits(&self, word: &str) -> bool {
        let width = self.letters.len() + 1;
        let mut rows = [(0..width).collect::<Vec<usize>>(), vec![0; width], vec![0; width]];
        let (mut before, mut seen) = ('\0', 0);
        for letter in word.chars() {
            if self.begun && rows[0][width - 1] <= self.most {
                return true;
            }
            seen += 1;
            // The row two letters ago, that of the last letter, and the next.
            rows.rotate_right(1);
            let [next, last, second] = &mut rows;
            next[0] = seen;
            for (at, mine) in self.letters.iter().enumerate() {
                let changed = last[at] + usize::from(*mine != letter);
                let mut least = changed.min(last[at + 1] + 1).min(next[at] + 1);
                let turned =
                    at > 0 && seen > 1 && *mine == before && self.letters[at - 1] == letter;
                if turned {
                    least = least.min(second[at - 1] + 1);
                }
                next[at + 1] = least;
            }
            if next.iter().all(|mistakes| *mistakes > self.most) {
                return false;
            }
            before = letter;
        }
        rows[0][width - 1] <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(typed: &str, word: &str, begun: bool) -> bool {
        Close::new(typed, begun).is_some_and(|close| close.fits(word))
    }

    #[test]
    fn mistakes_that_people_make() {
        for (typed, word) in [
            ("strr", "star"),
            ("satr", "star"),
            ("sta", "star"),
            ("staar", "star"),
            ("schindlesr", "schindlers"),
            ("shindlres", "schindlers"),
            ("n\u{e9}e", "nee"),
        ] {
            assert!(fits(typed, word, false), "{typed} {word}");
        }
        for (typed, word) in [("st", "sta"), ("star", "stripe"), ("star", "ska"), ("satrs", "star")]
        {
            assert!(!fits(typed, word, false), "{typed} {word}");
        }
        for (typed, word) in [("shin", "schindlers"), ("shcindl", "schindlers"), ("strr", "stars")]
        {
            assert!(fits(typed, word, true), "{typed} {word}");
        }
        assert!(!fits("xxin", "schindlers", true));
        assert!(!fits("strr", "schindlers", true));
    }
}
