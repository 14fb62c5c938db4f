//! Drafts as JSON lines. A language model's text is data: bounded, checked, never anything else.

use super::{
    draft::{Draft, Intent},
    drafts::DRAFTS_MAX,
};
use crate::{
    error::{Error, Result},
    limits::DIM_MAX,
};
use serde::Deserialize;

/// Longest line: a text, and a vector of 4,096 numbers.
const LINE_BYTES_MAX: usize = 128 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    query: String,
    kind: Option<Intent>,
    source: Option<String>,
    weight: Option<f64>,
    vector: Option<Vec<f32>>,
}

/// One draft for each line that is not empty.
pub(super) fn read(json_lines: &str) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    for (number, line) in json_lines.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let refuse = |why: String| Error::invalid(format!("line {} of queries", number + 1), why);
        if line.len() > LINE_BYTES_MAX {
            let why = format!("has {} bytes; at most {LINE_BYTES_MAX}", line.len());
            return Err(refuse(why));
        }
        if drafts.len() == DRAFTS_MAX {
            return Err(refuse(format!("is beyond {DRAFTS_MAX} queries; read them in parts")));
        }
        let line: Line = serde_json::from_str(line).map_err(|why| refuse(why.to_string()))?;
        let numbers = line.vector.as_ref().is_none_or(|vector| {
            vector.len() <= DIM_MAX as usize && vector.iter().all(|x| x.is_finite())
        });
        if !numbers {
            return Err(refuse("has a vector that is too long, or not of finite numbers".into()));
        }
        drafts.push(Draft {
            text: line.query,
            intent: line.kind.unwrap_or(Intent::Exploratory),
            source: line.source.unwrap_or_else(|| "import".into()),
            weight: line.weight.unwrap_or(1.0),
            vector: line.vector,
        });
    }
    Ok(drafts)
}
