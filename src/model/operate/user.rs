//! A user as a model's vector, by what was done before.

use super::history;
use crate::{
    error::Result,
    model::{Model, method::Vectors},
    recommend::Context,
};

/// The vector that a model with vectors makes of the history of a request; `None` if it knows nothing
/// of it, which the trace says. Where the model reads content, items that are new to it count by
/// theirs, as far as its spaces are still there.
pub(super) fn user(
    cx: &Context<'_>,
    name: &str,
    (model, vectors): (&Model, Vectors<'_>),
) -> Result<Option<Vec<f32>>> {
    let mut user = vec![0f32; vectors.dim];
    let Some(content) = model.content() else {
        let history = history(cx, name, model)?;
        if history.is_empty() {
            return Ok(None);
        }
        model.method().encode(&history, &mut user)?;
        return Ok(Some(user));
    };
    let numbers = content.numbers(cx.snapshot.schema());
    for (space, _) in content.spaces().zip(&numbers).filter(|(_, number)| number.is_none()) {
        cx.degraded(format!("{name} reads space {space:?}, which is gone: not for new items"));
    }
    let items = super::past(cx, model)?;
    let (mut rows, mut unknown) = (Vec::new(), 0);
    // Oldest first at last; those that no window reaches need not be read.
    for key in items.iter().rev().map(|deed| &deed.item) {
        if rows.len() == model.window() {
            break;
        }
        let row = match model.vector(key) {
            Some(row) => Some(row.to_vec()),
            None => match cx.snapshot.find(key)? {
                Some(addr) => content.at_left(cx.snapshot, addr, &numbers)?,
                None => None,
            },
        };
        match row {
            Some(row) => rows.push(row),
            None => unknown += 1,
        }
    }
    if unknown > 0 {
        cx.degraded(format!("{name} does not know {unknown} of {} past items", items.len()));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    rows.reverse();
    model.encode_rows(&rows.concat(), &mut user);
    Ok(Some(user))
}
