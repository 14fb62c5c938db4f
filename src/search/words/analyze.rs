//! From a text to its words.
//!
//! A word is a run of letters and digits, in lower case, without accents: the text is decomposed
//! (Unicode NFKD), marks that sit above, below or around a letter are dropped, and what is left is
//! composed again. Marks that are letters of their own right stay: vowel signs of Indic scripts, the
//! voicing marks of Japanese. An apostrophe inside a word is dropped, so that `Schindler's` and
//! `schindlers` are one word. Scripts that are written without spaces, and emoji, are words of one
//! character each. There is no stemming and there are no stop words: both depend on a language.

use std::borrow::Cow;
use unicode_normalization::{
    UnicodeNormalization,
    char::{canonical_combining_class, is_combining_mark},
};

/// Bytes of a word that count; a longer one is cut before the character that does not fit.
pub(crate) const WORD_BYTES_MAX: usize = 64;
/// Marks of a lower class are part of a letter: nukta, voicing, virama.
const DROPPED_FROM: u8 = 10;

/// Hands every word of a text to `each`, in order. Says whether the text ends in a word, which then
/// may be unfinished.
pub(crate) fn words(text: &str, mut each: impl FnMut(&str)) -> bool {
    let folded = fold(text);
    let mut word = String::new();
    let mut open = false;
    let mut chars = folded.chars().peekable();
    while let Some(c) = chars.next() {
        let joins = is_apostrophe(c) && !word.is_empty();
        open = true;
        if stands_alone(c) {
            hand_over(&mut word, &mut each);
            each(c.encode_utf8(&mut [0; 4]));
        } else if is_part(c) {
            push(&mut word, c);
        } else if !(joins && chars.peek().copied().is_some_and(is_part)) {
            hand_over(&mut word, &mut each);
            open = false;
        }
    }
    hand_over(&mut word, &mut each);
    open
}

fn hand_over(word: &mut String, each: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        each(word);
        word.clear();
    }
}

fn push(word: &mut String, c: char) {
    if word.len() + c.len_utf8() <= WORD_BYTES_MAX {
        word.push(c);
    }
}

/// Lower case without accents.
fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    let plain = text.nfkd().filter(|c| counts(*c));
    let lower = plain.flat_map(char::to_lowercase).map(|c| match c {
        // The form that a sigma has at the end of a word.
        '\u{3c2}' => '\u{3c3}',
        c => c,
    });
    // Lower case may bring a mark of its own: the dot of a Turkish capital I.
    Cow::Owned(lower.filter(|c| counts(*c)).nfc().collect())
}

/// Not an accent, and not a character that only says how its neighbours are shown.
fn counts(c: char) -> bool {
    let shown = matches!(c as u32,
        0xad | 0x200c..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0xfe00..=0xfe0f | 0xfeff);
    !shown && canonical_combining_class(c) < DROPPED_FROM
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2bc}')
}

/// Characters that are words by themselves: of scripts without spaces, and pictures.
fn stands_alone(c: char) -> bool {
    matches!(c as u32,
        0x0e01..=0x0e30 | 0x0e32..=0x0e33 | 0x0e40..=0x0e46 // Thai, but for its marks
        | 0x0e81..=0x0eb0 | 0x0eb2..=0x0eb3 | 0x0ec0..=0x0ec6 // Lao
        | 0x1000..=0x102a | 0x1780..=0x17b3 // Myanmar, Khmer
        | 0x3041..=0x3096 // Hiragana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af // Han
        | 0x2600..=0x27bf | 0x1f000..=0x1f3fa | 0x1f400..=0x1faff) // pictures, not skin tones
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        words(text, |word| all.push(word.to_owned()));
        all
    }

    #[test]
    fn words_of_many_scripts() {
        let cases: [(&str, &[&str]); 16] = [
            ("Star Wars: Episode IV", &["star", "wars", "episode", "iv"]),
            ("Schindler's List, '93", &["schindlers", "list", "93"]),
            ("rock\u{2019}n\u{2019}roll", &["rocknroll"]),
            ("Am\u{e9}lie", &["amelie"]),
            ("Ame\u{301}lie", &["amelie"]),
            (
                "\u{39f}\u{394}\u{3a5}\u{3a3}\u{3a3}\u{395}\u{3a5}\u{3a3}",
                &["\u{3bf}\u{3b4}\u{3c5}\u{3c3}\u{3c3}\u{3b5}\u{3c5}\u{3c3}"],
            ),
            (
                "\u{5e9}\u{5c1}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd}",
                &["\u{5e9}\u{5dc}\u{5d5}\u{5dd}"],
            ),
            (
                "\u{627}\u{644}\u{633}\u{651}\u{644}\u{627}\u{645}",
                &["\u{627}\u{644}\u{633}\u{644}\u{627}\u{645}"],
            ),
            (
                "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
                &["\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}"],
            ),
            ("\u{4e03}\u{4eba}", &["\u{4e03}", "\u{4eba}"]),
            ("\u{304c}\u{30ac}\u{30e1}\u{30e9}", &["\u{304c}", "\u{30ac}\u{30e1}\u{30e9}"]),
            ("go \u{1f3ac}\u{fe0f} now", &["go", "\u{1f3ac}", "now"]),
            ("\u{ff21}\u{ff22}\u{ff23} \u{fb01}n", &["abc", "fin"]),
            ("\u{130}stanbul", &["istanbul"]),
            ("  --  ", &[]),
            ("'", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn the_last_word_is_open_until_something_ends_it() {
        for (text, open) in [("star wa", true), ("star ", false), ("", false), ("x!", false)] {
            assert_eq!(words(text, |_| ()), open, "{text:?}");
        }
        let long = "a".repeat(4096);
        assert_eq!(all(&long), ["a".repeat(WORD_BYTES_MAX)]);
    }

    proptest! {
        /// Goal: the words of any text are words: not empty, bounded, and the same when read again.
        #[test]
        fn words_are_stable(text in any::<String>()) {
            for word in all(&text) {
                prop_assert!(!word.is_empty() && word.len() <= WORD_BYTES_MAX);
                let again = all(&word);
                prop_assert_eq!(again.concat(), word);
            }
        }
    }
}
