//! Draft: a query that might be worth suggesting.

use crate::{
    error::{Error, Result},
    limits::KEY_BYTES_MAX,
    search::words::analyze,
};
use serde::{Deserialize, Serialize};

/// What a user who asks has in mind.
///
/// ```
/// use bowerbird::model::suggest::Intent;
/// assert_eq!(Intent::Exploratory.name(), "exploratory");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// One thing that is known: a title.
    Known,
    /// Some of many: a mood, a genre, a decade.
    Exploratory,
}

impl Intent {
    /// Its name in the database: the tag `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Intent::Known => "known",
            Intent::Exploratory => "exploratory",
        }
    }
}

/// A query that might be worth suggesting.
///
/// ```
/// use bowerbird::model::suggest::{Draft, Intent};
/// let draft = Draft::new("quiet films about trains", Intent::Exploratory, "llm").weight(3.0);
/// assert_eq!(draft.key().unwrap(), "quiet films about trains");
/// assert_eq!(Draft::new("Quiet  Films\tabout TRAINS!", Intent::Exploratory, "llm").key().unwrap(), draft.key().unwrap());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Draft {
    /// What is shown and asked.
    pub text: String,
    /// What a user who asks it has in mind.
    pub intent: Intent,
    /// Where it came from: "title", "template", "log", the name of a model.
    pub source: String,
    /// How much it is worth by itself, such as how often it was asked; 1 unless known.
    pub weight: f64,
    /// Its vector in the space of the items, if somebody made one.
    pub vector: Option<Vec<f32>>,
}

/// Characters that show nothing, or turn the direction of what follows: no query has a use for them.
fn is_hidden(c: char) -> bool {
    let shown = matches!(c as u32, 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2069 | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f);
    // Joiners are part of words in some scripts, and of emoji.
    let joins = matches!(c as u32, 0x200c | 0x200d);
    c.is_control() || (shown && !joins)
}

impl Draft {
    /// A draft of weight 1, without a vector.
    pub fn new(text: &str, intent: Intent, source: &str) -> Draft {
        Draft { text: text.into(), intent, source: source.into(), weight: 1.0, vector: None }
    }

    /// How much it is worth by itself; finite, 0 or more.
    pub fn weight(mut self, weight: f64) -> Draft {
        self.weight = weight;
        self
    }

    /// Its vector in the space of the items.
    pub fn vector(mut self, vector: impl Into<Vec<f32>>) -> Draft {
        self.vector = Some(vector.into());
        self
    }

    /// Its key in the database of queries: its words in their order, without case, accents and
    /// punctuation.
    ///
    /// # Errors
    /// `Invalid` for a text without words, one of more than 255 bytes, or one with characters that are
    /// not shown: line ends, controls, turns of the direction of writing.
    pub fn key(&self) -> Result<String> {
        let refuse = |why: String| Error::invalid("text of a query", why);
        if self.text.len() > KEY_BYTES_MAX {
            let why = format!("has {} bytes; at most {KEY_BYTES_MAX}", self.text.len());
            return Err(refuse(why));
        }
        if let Some(c) = self.text.chars().find(|c| is_hidden(*c) && !c.is_whitespace()) {
            return Err(refuse(format!(
                "has the character U+{:04X}, which is not shown",
                c as u32
            )));
        }
        let mut key = String::new();
        analyze::words(&self.text, |word| {
            if !key.is_empty() {
                key.push(' ');
            }
            key.push_str(word);
        });
        match key.len() {
            0 => Err(refuse("has no words".into())),
            n if n > KEY_BYTES_MAX => {
                Err(refuse(format!("has {n} bytes of words; at most {KEY_BYTES_MAX}")))
            }
            _ => Ok(key),
        }
    }

    /// Refuses what could not be stored.
    pub(super) fn check(&self) -> Result<String> {
        let key = self.key()?;
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            let why = format!("is {}; it must be finite and 0 or more", self.weight);
            return Err(Error::invalid(format!("weight of query {key:?}"), why));
        }
        if self.source.is_empty() || self.source.len() > SOURCE_BYTES_MAX {
            let why =
                format!("has {} bytes; it must have 1 to {SOURCE_BYTES_MAX}", self.source.len());
            return Err(Error::invalid(format!("source of query {key:?}"), why));
        }
        Ok(key)
    }
}

/// Longest name of a source.
const SOURCE_BYTES_MAX: usize = 100;
