//! The rows and events of one batch as a heap segment.

use crate::{
    error::{Error, Result},
    format::{
        batch::{EventRow, Row},
        sink::Sink,
    },
    item::Value,
    key::{Key, KeyKind, Seq},
    limits::{KEY_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX},
    progress::Progress,
    schema::{AttrType, Schema, Space},
    segment::{Segment, merge, source::Source},
    vector::encode,
};

/// Builds a heap segment. `rows` are ascending by key without repeats; events in order of arrival.
pub(crate) fn fresh(
    schema: &Schema,
    (rows, events): (&[&Row], &[&EventRow]),
    seq: Seq,
    uid: u64,
) -> Result<Segment> {
    debug_assert!(rows.is_sorted_by(|a, b| a.key < b.key));
    let sources = [Source::Fresh { rows, events }];
    let mut sink = Sink::heap();
    let plan = merge::plan(&sources, &mut Progress::silent())?;
    merge::write(schema, &sources, &plan, (seq.0, seq.0), (&mut sink, &mut Progress::silent()))?;
    Segment::open(sink.into_heap()?, uid)
}

/// Whether a stored row can be true under the schema. Rows of dropped fields are fine: the fields are
/// left out. Used on what is read from a WAL, where any bytes may carry a right checksum.
pub(crate) fn check_row(schema: &Schema, row: &Row) -> Result<(), String> {
    check_key(schema, &row.key)?;
    let ascending = row.vectors.windows(2).all(|w| w[0].0 < w[1].0)
        && row.attrs.windows(2).all(|w| w[0].0 < w[1].0);
    if !ascending {
        return Err("fields out of order".into());
    }
    for (id, blob) in &row.vectors {
        if let Some(space) = schema.space_by_id(*id)
            && blob.0.len() != encode::stored_bytes(space)
        {
            return Err(format!("a vector of {} bytes", blob.0.len()));
        }
    }
    let fits =
        |(id, value): &(u16, Value)| schema.attr_by_id(*id).is_none_or(|a| fits(a.ty, value));
    match row.attrs.iter().all(fits) {
        true => Ok(()),
        false => Err("an attribute of the wrong type".into()),
    }
}

/// Whether a key is of the schema's kind and length.
pub(crate) fn check_key(schema: &Schema, key: &Key) -> Result<(), String> {
    match (schema.key_kind(), key) {
        (KeyKind::Id, Key::Id(_)) => Ok(()),
        (KeyKind::Name, Key::Name(name)) if (1..=KEY_BYTES_MAX).contains(&name.len()) => Ok(()),
        (KeyKind::Name, Key::Name(name)) => {
            Err(format!("a key of {} bytes; names have 1 to {KEY_BYTES_MAX}", name.len()))
        }
        (KeyKind::Id, Key::Name(_)) => Err("a name, but this database has number keys".into()),
        (KeyKind::Name, Key::Id(_)) => Err("a number, but this database has name keys".into()),
    }
}

/// Whether a value, as stored, has the type and size its attribute asks for.
pub(crate) fn fits(ty: AttrType, value: &Value) -> bool {
    match (ty, value) {
        (AttrType::Bool, Value::Bool(_))
        | (AttrType::Int, Value::Int(_))
        | (AttrType::Time, Value::Time(_)) => true,
        (AttrType::Float, Value::Float(x)) => x.is_finite(),
        (AttrType::Tag, Value::Text(tag)) => tag.len() <= TAG_BYTES_MAX,
        (AttrType::Text, Value::Text(text)) => text.len() <= TEXT_BYTES_MAX,
        (AttrType::Tags, Value::Tags(tags)) => {
            let short = tags.iter().all(|tag| tag.len() <= TAG_BYTES_MAX);
            tags.len() <= TAGS_MAX && short && tags.windows(2).all(|w| w[0] < w[1])
        }
        _ => false,
    }
}

/// The stored value for what a caller gave: whole numbers widen, tags are sorted.
pub(crate) fn stored_value(ty: AttrType, value: &Value) -> Result<Value> {
    let stored = match (ty, value) {
        (AttrType::Float, Value::Int(n)) => Value::Float(*n as f64),
        // One zero: equality must not depend on a sign that nobody sees.
        (AttrType::Float, Value::Float(x)) => Value::Float(x + 0.0),
        (AttrType::Time, Value::Int(ms)) => Value::Time(crate::key::Timestamp(*ms)),
        (AttrType::Tags, Value::Text(tag)) => Value::Tags(vec![tag.clone()]),
        (AttrType::Tags, Value::Tags(tags)) => {
            let mut tags = tags.clone();
            tags.sort();
            tags.dedup();
            Value::Tags(tags)
        }
        _ => value.clone(),
    };
    if fits(ty, &stored) {
        return Ok(stored);
    }
    let why = match &stored {
        Value::Float(x) if ty == AttrType::Float => format!("is {x}; floats must be finite"),
        Value::Text(text) => {
            format!("is a string of {} bytes where the schema has {ty:?}", text.len())
        }
        Value::Tags(tags) => format!(
            "is {} tags where the schema has {ty:?}; at most {TAGS_MAX} of {TAG_BYTES_MAX} bytes",
            tags.len()
        ),
        other => format!("is {other:?} where the schema has {ty:?}"),
    };
    Err(Error::invalid("value", why))
}

/// The stored bytes of a vector.
pub(crate) fn stored_vector(space: &Space, vector: &[f32]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encode::stored_bytes(space));
    encode::encode(space, vector, &mut bytes)?;
    Ok(bytes)
}
