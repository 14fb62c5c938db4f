//! Lines: labels as JSON lines, strictly.

use super::{
    labels::{Label, Labels},
    pair::{Asked, Pair},
    teacher::Teacher,
};
use crate::{
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
};
use serde::{Deserialize, Serialize};

/// A label as a line has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<LineQuery>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<LineKey>,
    item: LineKey,
    label: Answer,
    by: By,
    #[serde(default = "sure")]
    confidence: f32,
    /// Milliseconds since 1970.
    at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
}

/// A key: a number or a name.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum LineKey {
    Id(u64),
    Name(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Answer {
    Flag(bool),
    Number(f32),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Yes,
    No,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
}

fn sure() -> f32 {
    1.0
}

impl LineQuery {
    pub(super) fn of(asked: &Asked) -> LineQuery {
        let Asked { text, space, vector } = asked.clone();
        LineQuery { text, space, vector }
    }
}

impl LineKey {
    pub(super) fn of(key: &Key) -> LineKey {
        match key {
            Key::Id(id) => LineKey::Id(*id),
            Key::Name(name) => LineKey::Name(name.to_string()),
        }
    }

    fn key(self) -> Key {
        match self {
            LineKey::Id(id) => Key::Id(id),
            LineKey::Name(name) => Key::from(name),
        }
    }
}

/// Longest line, in bytes: a vector of 4,096 numbers and a text fit.
const LINE_MAX: usize = 256 << 10;

impl Labels {
    /// From JSON lines: an object for each label; lines of nothing but spaces are passed over.
    ///
    /// `item` and one or more of `user`, `query` and `source` are the pair: numbers or names, and a query is
    /// `{"text": ...}` or `{"space": ..., "vector": [...]}` or both. `label` is `"yes"`, `"no"`, true, false or
    /// a number from 0 to 1. `by` is `{"person": NAME}` or `{"model": NAME, "prompt": HASH}`. `at` is in
    /// milliseconds since 1970. `confidence` is from 0 to 1, and 1 if it is not there.
    ///
    /// # Errors
    /// `Invalid`, with the number of the line from 1: for what is no such object, has other fields, is too
    /// long, or out of range. Nothing is read of a text with one wrong line.
    pub fn read(text: &str) -> Result<Labels> {
        let mut all = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let refuse = |why: String| Error::invalid(format!("line {number} of labels"), why);
            if line.len() > LINE_MAX {
                return Err(refuse(format!("has {} bytes; {LINE_MAX} are the most", line.len())));
            }
            let said: Line =
                serde_json::from_str(line).map_err(|why| refuse(format!("is no label: {why}")))?;
            let label = said.label().map_err(refuse)?;
            label.check().map_err(refuse)?;
            all.push(label);
        }
        Labels::new(all)
    }

    /// As JSON lines that [`Labels::read`] reads.
    pub fn write(&self) -> String {
        let mut text = String::new();
        for label in self.all() {
            text.push_str(&line(label));
            text.push('\n');
        }
        text
    }
}

/// A label as a line. Labels were checked: there is nothing in them that JSON cannot say.
pub(super) fn line(label: &Label) -> String {
    let Label { pair, label, by, confidence, at } = label;
    let by = match by {
        Teacher::Person(name) => By { person: Some(name.clone()), ..By::default() },
        Teacher::Model { name, prompt } => {
            By { model: Some(name.clone()), prompt: Some(prompt.clone()), ..By::default() }
        }
    };
    let line = Line {
        user: pair.user.map(|user| user.0),
        query: pair.query.as_ref().map(LineQuery::of),
        source: pair.source.as_ref().map(LineKey::of),
        item: LineKey::of(&pair.item),
        label: Answer::Number(*label),
        by,
        confidence: *confidence,
        at: at.0,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

impl Line {
    fn label(self) -> Result<Label, String> {
        let by = match (self.by.person, self.by.model, self.by.prompt) {
            (Some(name), None, None) => Teacher::Person(name),
            (None, Some(name), Some(prompt)) => Teacher::Model { name, prompt },
            _ => return Err("is by neither a person, nor a model with a prompt".into()),
        };
        let query = self.query.map(|query| Asked {
            text: query.text,
            space: query.space,
            vector: query.vector,
        });
        let source = self.source.map(LineKey::key);
        let pair = Pair { user: self.user.map(UserId), query, source, item: self.item.key() };
        let label = match self.label {
            Answer::Flag(true) | Answer::Word(Word::Yes) => 1.0,
            Answer::Flag(false) | Answer::Word(Word::No) => 0.0,
            Answer::Number(number) => number,
        };
        Ok(Label { pair, label, by, confidence: self.confidence, at: Timestamp(self.at) })
    }
}
