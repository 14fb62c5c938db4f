//! Shape: the sizes of a TIGER, and which token means what.

use crate::{
    error::{Error, Result},
    key::UserId,
    limits::{LEVEL_CODES_MAX, LEVELS_MAX},
    semantic::SemanticId,
};
use serde::{Deserialize, Serialize};

/// Everything that the tensors do not say. It is the `config` of a manifest, where every field must
/// be named, and what an artifact says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// Numbers of a token.
    pub(crate) d_model: usize,
    /// Numbers of a head; `heads * d_kv` need not be `d_model`.
    pub(crate) d_kv: usize,
    pub(crate) heads: usize,
    /// Blocks of the encoder.
    pub(crate) layers: usize,
    pub(crate) decoder_layers: usize,
    /// Numbers between the two products of a feed-forward network.
    pub(crate) d_ff: usize,
    pub(crate) activation: Activation,
    /// What is added to a mean of squares before its root is divided by.
    pub(crate) eps: f32,
    /// How many relative positions are told apart, and from which distance on none are.
    pub(crate) buckets: usize,
    pub(crate) max_distance: usize,
    /// Whether tokens are read and scored by one table.
    pub(crate) tied: bool,
    /// Whether what is scored is divided by the root of `d_model` first: T5 does if the tables are
    /// one.
    pub(crate) scale_outputs: bool,
    /// Tokens that there are.
    pub(crate) vocab: usize,
    /// Codes of each level, and the token of its code 0; the others follow.
    pub(crate) widths: Vec<usize>,
    pub(crate) first: Vec<usize>,
    /// What an empty history reads as.
    pub(crate) pad: usize,
    pub(crate) eos: usize,
    /// What the decoder reads before the first code.
    pub(crate) start: usize,
    // Named even where there are none: what is not said would be guessed.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) users: Option<Users>,
    /// Whether `eos` ends a history.
    pub(crate) append_eos: bool,
    /// Items that are read of a history: the last ones.
    pub(crate) max_items: usize,
}

/// Between the products of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Activation {
    #[serde(rename = "relu")]
    Relu,
    /// One product through the tanh form of GELU, times another.
    #[serde(rename = "gated-gelu")]
    GatedGelu,
}

/// Tokens of users: many users share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Users {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) hash: UserHash,
    pub(crate) place: Place,
}

/// From a user to one of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UserHash {
    /// What is left of the number.
    Modulo,
    /// What is left of MurmurHash3 (32 bits, seed 0) of its decimal digits, as a signed number.
    Murmur3,
}

/// Where a user's token stands in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    First,
    Last,
}

/// Largest sizes: those of the largest T5 there is, so that work on a forged file is bounded.
const WIDE_MAX: usize = 16_384;
const INNER_MAX: usize = 65_536;
const LAYERS_MAX: usize = 64;
const VOCAB_MAX: usize = 1 << 24;
/// Attention looks from every token of a history at every other.
const TOKENS_MAX: usize = 1_024;

impl Shape {
    /// Numbers of all heads of a token.
    pub(crate) fn inner(&self) -> usize {
        self.heads * self.d_kv
    }

    /// Refuses sizes that cannot be, before anything is asked of memory.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str, why: String| {
            Err(Error::invalid(format!("{what} of a {}", super::ARCHITECTURE), why))
        };
        for (name, size, most) in [
            ("d_model", self.d_model, WIDE_MAX),
            ("d_kv", self.d_kv, WIDE_MAX),
            ("heads", self.heads, WIDE_MAX),
            ("heads * d_kv", self.heads.saturating_mul(self.d_kv), WIDE_MAX),
            ("layers", self.layers, LAYERS_MAX),
            ("decoder_layers", self.decoder_layers, LAYERS_MAX),
            ("d_ff", self.d_ff, INNER_MAX),
            ("vocab", self.vocab, VOCAB_MAX),
            ("max_items", self.max_items, TOKENS_MAX),
            ("widths", self.widths.len(), LEVELS_MAX),
        ] {
            if !(1..=most).contains(&size) {
                return wrong(name, format!("is {size}; 1 to {most}"));
            }
        }
        if !(self.eps > 0.0 && self.eps < 1.0) {
            return wrong("eps", format!("is {}; more than 0, less than 1", self.eps));
        }
        // Both directions need a bucket of their own, and far must be farther than near.
        if !(4..=INNER_MAX).contains(&self.buckets) {
            return wrong("buckets", format!("is {}; 4 to {INNER_MAX}", self.buckets));
        }
        if !(self.buckets / 2 + 1..=1 << 24).contains(&self.max_distance) {
            let (is, least) = (self.max_distance, self.buckets / 2);
            return wrong("max_distance", format!("is {is}; more than half the buckets, {least}"));
        }
        let tokens = self.max_items * self.widths.len() + 2;
        if tokens > TOKENS_MAX {
            let why = format!("makes histories of {tokens} tokens; at most {TOKENS_MAX}");
            return wrong("max_items", why);
        }
        self.check_tokens()
    }

    /// Every token that is ever looked up is one of the vocabulary.
    fn check_tokens(&self) -> Result<()> {
        let vocab = self.vocab;
        let fits = |what: &str, first: usize, count: usize| match first.checked_add(count) {
            Some(end) if count > 0 && end <= vocab => Ok(()),
            _ => {
                let why = format!("are {count} from {first} on; the vocabulary has {vocab}");
                Err(Error::invalid(format!("tokens of {what}"), why))
            }
        };
        if self.first.len() != self.widths.len() {
            let why =
                format!("are of {} levels, widths of {}", self.first.len(), self.widths.len());
            return Err(Error::invalid("first tokens", why));
        }
        for (level, (width, first)) in self.widths.iter().zip(&self.first).enumerate() {
            fits(&format!("level {level}"), *first, *width)?;
            if *width > LEVEL_CODES_MAX {
                let why = format!("is {width}; 1 to {LEVEL_CODES_MAX}");
                return Err(Error::invalid(format!("width of level {level}"), why));
            }
        }
        self.users.iter().try_for_each(|users| fits("users", users.first, users.count))?;
        fits("padding", self.pad, 1)?;
        fits("the end", self.eos, 1)?;
        fits("the start", self.start, 1)
    }

    /// The tokens of a history: the last items that are known, level by level, with the user's and
    /// the end where they belong. There is always one: nothing at all reads as padding.
    pub(crate) fn tokens(&self, history: &[SemanticId], user: Option<usize>) -> Vec<usize> {
        let known = |id: &&SemanticId| {
            id.codes().len() == self.widths.len()
                && id
                    .codes()
                    .iter()
                    .zip(&self.widths)
                    .all(|(code, width)| usize::from(*code) < *width)
        };
        let mut last: Vec<_> = history.iter().rev().filter(known).take(self.max_items).collect();
        last.reverse();
        let token = |(code, first): (&u16, &usize)| first + usize::from(*code);
        let mut tokens: Vec<usize> =
            last.iter().flat_map(|id| id.codes().iter().zip(&self.first).map(token)).collect();
        match (self.users.map(|users| users.place), user) {
            (Some(Place::First), Some(user)) => tokens.insert(0, user),
            (Some(Place::Last), Some(user)) => tokens.push(user),
            _ => {}
        }
        if self.append_eos {
            tokens.push(self.eos);
        }
        if tokens.is_empty() {
            tokens.push(self.pad);
        }
        tokens
    }
}

impl Users {
    /// The token of a user.
    pub(crate) fn token(&self, user: UserId) -> usize {
        let count = self.count as u64;
        let left = match self.hash {
            UserHash::Modulo => user.0 % count,
            UserHash::Murmur3 => {
                let hash = murmur3(user.to_string().as_bytes()) as i32;
                i64::from(hash).rem_euclid(self.count as i64) as u64
            }
        };
        self.first + left as usize
    }
}

/// MurmurHash3 of 32 bits (Appleby, 2011; public domain) with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = 0u32;
    for block in blocks {
        hash = (hash ^ mix(u32::from_le_bytes(*block))).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = tail.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
    hash ^= mix(rest) ^ bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the hash is that of the published test vectors.
    #[test]
    fn users_hash_as_published() {
        for (text, want) in [
            ("", 0),
            ("test", 0xba6b_d213),
            ("Hello, world!", 0xc036_3e43),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(text.as_bytes()), want, "{text}");
        }
        let hash = UserHash::Modulo;
        let users = Users { first: 100, count: 7, hash, place: Place::Last };
        assert_eq!(users.token(UserId(u64::MAX)), 100 + (u64::MAX % 7) as usize);
    }
}
