//! Teacher: a person or a model that labels.

use crate::limits::NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who says so.
///
/// ```
/// use bowerbird::model::classify::Teacher;
/// let teacher = Teacher::Model { name: "some-llm".into(), prompt: "9f86d081".into() };
/// assert_eq!(teacher.to_string(), "some-llm (prompt 9f86d081)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Teacher {
    /// A person, by name.
    Person(String),
    /// A model: with another prompt it is another teacher.
    Model {
        /// Its name and version.
        name: String,
        /// A hash of what it was asked, in letters and digits.
        prompt: String,
    },
}

impl fmt::Display for Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Teacher::Person(name) => f.write_str(name),
            Teacher::Model { name, prompt } => write!(f, "{name} (prompt {prompt})"),
        }
    }
}

impl Teacher {
    /// Whether it is a person.
    pub fn is_person(&self) -> bool {
        matches!(self, Teacher::Person(_))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let (Teacher::Person(name) | Teacher::Model { name, .. }) = self;
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(format!("is by a name that is not 1 to {NAME_BYTES_MAX} plain bytes"));
        }
        match self {
            Teacher::Model { prompt, .. }
                if !(1..=PROMPT_MAX).contains(&prompt.len())
                    || !prompt.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Err(format!("has a prompt hash that is not 1 to {PROMPT_MAX} letters and digits"))
            }
            _ => Ok(()),
        }
    }
}

/// Longest hash of a prompt, in bytes.
const PROMPT_MAX: usize = 128;
