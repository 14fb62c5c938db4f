//! Templates: queries that are put together from the attributes of items.

use crate::{
    error::{Error, Result},
    item::Value,
    key::Addr,
    schema::{AttrType, Schema},
    store::Snapshot,
};
use std::collections::BTreeSet;

/// A pattern in pieces.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// A value of an attribute; numbers are rounded down to a multiple of this.
    Attr(String, Option<i64>),
}

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 1000;
/// Most queries that a pattern makes of one item.
const OF_ITEM_MAX: usize = 10_000;

impl Template {
    pub(super) fn parse(pattern: &str, schema: &Schema) -> Result<Template> {
        let refuse = |why: &str| Error::invalid(format!("pattern {pattern:?}"), why);
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(Error::invalid("pattern", "has more than 1,000 bytes"));
        }
        let (mut pieces, mut rest) = (Vec::new(), pattern);
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| refuse("has a brace that is not closed"))?;
            pieces.push(Piece::Text(text.to_owned()));
            let (name, step) = match name.split_once(':') {
                Some((name, step)) => {
                    let step = step.parse::<i64>().ok().filter(|step| *step > 0);
                    (name, Some(step.ok_or_else(|| refuse("rounds to what is no number above 0"))?))
                }
                None => (name, None),
            };
            let ty = schema.find_attr(name)?.ty;
            if step.is_some() && !matches!(ty, AttrType::Int | AttrType::Float) {
                return Err(refuse("rounds an attribute that is no int and no float"));
            }
            pieces.push(Piece::Attr(name.to_owned(), step));
            rest = after;
        }
        if pieces.is_empty() {
            return Err(refuse("names no attribute, as in \"{genre} films\""));
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template { pieces })
    }

    /// What it makes of an item: each combination of its values once; nothing if it lacks an attribute.
    pub(super) fn fill(&self, catalog: &Snapshot, addr: Addr) -> Result<BTreeSet<String>> {
        let mut made = vec![String::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => made.iter_mut().for_each(|begun| begun.push_str(text)),
                Piece::Attr(name, step) => {
                    let values = shown(catalog.value(addr, name)?, *step);
                    let with = |begun: &String| -> Vec<String> {
                        values.iter().map(|value| format!("{begun}{value}")).collect()
                    };
                    made = made.iter().flat_map(with).take(OF_ITEM_MAX).collect();
                }
            }
        }
        Ok(made.into_iter().collect())
    }
}

/// How the values of an attribute are written in a query.
fn shown(value: Option<Value>, step: Option<i64>) -> Vec<String> {
    let rounded = |number: i64| number - number.rem_euclid(step.unwrap_or(1));
    match value {
        Some(Value::Text(text)) => vec![text],
        Some(Value::Tags(tags)) => tags,
        Some(Value::Int(number)) => vec![rounded(number).to_string()],
        Some(Value::Float(number)) if step.is_some() => vec![rounded(number as i64).to_string()],
        Some(Value::Float(number)) => vec![number.to_string()],
        Some(Value::Bool(_) | Value::Time(_)) | None => Vec::new(),
    }
}
