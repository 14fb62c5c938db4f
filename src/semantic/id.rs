//! SemanticId: a short path from coarse to fine.

use crate::{
    error::{Error, Result},
    limits::LEVELS_MAX,
};
use std::fmt;

/// What an item is, from coarse to fine: one code per level of a codebook, at most eight.
///
/// Items that share the first codes are of one kind; items that share all of them are, to the
/// codebook, the same. IDs are ordered code by code, so those below a prefix lie side by side.
///
/// ```
/// use bowerbird::SemanticId;
/// let id = SemanticId::new(&[183, 70, 232]).unwrap();
/// assert_eq!(id.to_string(), "<a_183><b_70><c_232>");
/// assert_eq!("<a_183><b_70><c_232>".parse::<SemanticId>().unwrap(), id);
/// assert!(id.prefix(2) < id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SemanticId {
    // Before the length, so that the derived order is code by code; codes beyond it are 0.
    codes: [u16; LEVELS_MAX],
    levels: u8,
}

impl SemanticId {
    /// Of codes, coarse to fine.
    ///
    /// # Errors
    /// `Invalid` for more than eight.
    pub fn new(codes: &[u16]) -> Result<SemanticId> {
        let mut id = SemanticId { levels: codes.len() as u8, ..SemanticId::default() };
        match id.codes.get_mut(..codes.len()) {
            Some(own) => own.copy_from_slice(codes),
            None => {
                let why = format!("has {} codes; at most {LEVELS_MAX}", codes.len());
                return Err(Error::invalid("semantic ID", why));
            }
        }
        Ok(id)
    }

    /// Its codes, coarse to fine.
    pub fn codes(&self) -> &[u16] {
        &self.codes[..usize::from(self.levels).min(LEVELS_MAX)]
    }

    /// Its first `depth` codes; all of it if it has fewer.
    pub fn prefix(&self, depth: usize) -> SemanticId {
        let mut prefix = *self;
        prefix.levels = self.levels.min(depth.min(LEVELS_MAX) as u8);
        prefix.codes[usize::from(prefix.levels)..].fill(0);
        prefix
    }

    /// How many first codes two have in common.
    pub fn shared(&self, other: &SemanticId) -> usize {
        self.codes().iter().zip(other.codes()).take_while(|(a, b)| a == b).count()
    }
}

impl fmt::Display for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = 'a'..='h';
        self.codes()
            .iter()
            .try_for_each(|code| write!(f, "<{}_{code}>", letters.next().unwrap_or('h')))
    }
}

impl fmt::Debug for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for SemanticId {
    type Err = Error;

    /// As it is displayed: `<a_183><b_70>`.
    fn from_str(text: &str) -> Result<SemanticId> {
        let wrong = || {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("semantic ID {shown:?}"), "is not like <a_183><b_70><c_232>")
        };
        let (mut codes, mut rest, mut letters) = (Vec::new(), text, 'a'..='h');
        while !rest.is_empty() {
            let letter = letters.next().ok_or_else(wrong)?;
            let (token, after) = rest.split_once('>').ok_or_else(wrong)?;
            let code = token.strip_prefix('<').and_then(|t| t.strip_prefix(letter));
            let code = code.and_then(|t| t.strip_prefix('_')).ok_or_else(wrong)?;
            let plain = !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit());
            codes.push(code.parse().ok().filter(|_| plain).ok_or_else(wrong)?);
            rest = after;
        }
        SemanticId::new(&codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back_and_other_text_is_not() {
        for codes in [&[][..], &[0], &[255, 0, 65_535, 1, 2, 3, 4, 5]] {
            let id = SemanticId::new(codes).unwrap();
            assert_eq!(id.to_string().parse::<SemanticId>().unwrap(), id);
        }
        for wrong in [
            "a",
            "<a_1",
            "<b_1>",
            "<a_1><a_2>",
            "<a_>",
            "<a_+1>",
            "<a_65536>",
            "<a_1> ",
            "<\u{e9}_1>",
        ] {
            assert!(wrong.parse::<SemanticId>().is_err(), "{wrong}");
        }
        assert!(SemanticId::new(&[0; 9]).is_err());
    }

    #[test]
    fn a_prefix_comes_before_what_is_below_it() {
        let id = |codes: &[u16]| SemanticId::new(codes).unwrap();
        assert!(id(&[1]) < id(&[1, 0]) && id(&[1, 0]) < id(&[1, 0, 0]) && id(&[1, 9]) < id(&[2]));
        assert_eq!(id(&[1, 2, 3]).prefix(2), id(&[1, 2]));
        assert_eq!(id(&[1, 2]).prefix(5), id(&[1, 2]));
        assert_eq!(id(&[1, 2, 3]).shared(&id(&[1, 2, 4])), 2);
    }
}
