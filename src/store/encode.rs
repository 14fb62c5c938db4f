//! What callers give, checked against the schema and turned into what the WAL stores.

use crate::{
    error::{Error, Result},
    format::{
        batch::{EventRow, Op, Row},
        codec::Blob,
    },
    item::{Event, Item},
    key::Key,
    schema::Schema,
    segment::build,
};

/// An item as stored.
pub(crate) fn put(schema: &Schema, item: &Item) -> Result<Op> {
    let of = |what: &str, name: &str| format!("{what} {name:?} of item {}", item.key);
    key(schema, &item.key)?;
    let mut row = Row {
        key: item.key.clone(),
        vectors: Vec::with_capacity(item.vectors.len()),
        attrs: Vec::with_capacity(item.attrs.len()),
    };
    for (name, vector) in &item.vectors {
        let space = schema.find_space(name)?;
        let stored = build::stored_vector(space, vector);
        row.vectors.push((space.id, Blob(stored.map_err(|e| within(of("vector", name), e))?)));
    }
    for (name, value) in &item.attrs {
        let attr = schema.find_attr(name)?;
        let stored = build::stored_value(attr.ty, value);
        row.attrs.push((attr.id, stored.map_err(|e| within(of("attribute", name), e))?));
    }
    row.vectors.sort_by_key(|(id, _)| *id);
    row.attrs.sort_by_key(|(id, _)| *id);
    let twice = row.vectors.windows(2).any(|w| w[0].0 == w[1].0)
        || row.attrs.windows(2).any(|w| w[0].0 == w[1].0);
    if twice {
        return Err(Error::invalid(format!("item {}", item.key), "sets a field twice"));
    }
    Ok(Op::Put(row))
}

/// An event as stored.
pub(crate) fn event(schema: &Schema, event: &Event) -> Result<Op> {
    key(schema, &event.item)?;
    if let Some(value) = event.value.filter(|v| !v.is_finite()) {
        let what = format!("value of an event of user {}", event.user);
        return Err(Error::invalid(what, format!("is {value}; it must be finite")));
    }
    Ok(Op::Event(EventRow {
        user: event.user,
        item: event.item.clone(),
        kind: schema.find_event(&event.kind)?,
        at: event.at,
        recorded: event.recorded,
        value: event.value,
        request: event.request,
        position: event.position,
    }))
}

/// A key of the kind that the database uses.
pub(crate) fn key(schema: &Schema, key: &Key) -> Result<()> {
    build::check_key(schema, key).map_err(|why| Error::invalid(format!("key {key}"), why))
}

/// The same error, saying where.
fn within(place: String, error: Error) -> Error {
    match error {
        Error::Invalid { why, .. } => Error::Invalid { what: place, why },
        other => other,
    }
}

/// Whether an operation read from a WAL can be true under the schema.
pub(crate) fn check(schema: &Schema, op: &Op) -> Result<(), String> {
    match op {
        Op::Put(row) => build::check_row(schema, row),
        Op::Delete(key) | Op::EraseItem(key) => build::check_key(schema, key),
        Op::EraseUser(_) => Ok(()),
        Op::Event(event) => {
            let finite = event.value.is_none_or(f32::is_finite);
            if !finite || usize::from(event.kind) >= schema.events().len() {
                return Err("an event of no known kind, or with a value that is not finite".into());
            }
            build::check_key(schema, &event.item)
        }
    }
}
