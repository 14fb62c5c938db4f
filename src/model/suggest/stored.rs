//! The database of queries: its schema, and queries as its items.

use super::draft::{Draft, Intent};
use crate::{
    error::{Error, Result},
    item::{Item, Value},
    key::{Addr, Key, KeyKind, Timestamp},
    schema::{AttrType, Encoding, Schema, Space},
    store::Snapshot,
};

/// What the attributes are called.
pub(super) const TEXT: &str = "query";
pub(super) const KIND: &str = "kind";
pub(super) const SOURCE: &str = "source";
pub(super) const WEIGHT: &str = "weight";
pub(super) const YIELD: &str = "yield";
pub(super) const ABOUT: &str = "about";
pub(super) const CHECKED: &str = "checked";

/// The schema of a database of queries, whose vectors live in a space like that of the items. Add to it
/// what else you want to keep.
///
/// Keys are names: [`Draft::key`]. Attributes are `query` (the text), `kind` (`known` or `exploratory`), `source`,
/// `weight` (log(1 + weight)), `yield` (how many items it finds), `about` (the keys of the first of them, as tags) and
/// `checked` (when that was so). Events are `shown`, `asked` and `accepted`.
///
/// ```
/// use bowerbird::{model::suggest, *};
/// # fn main() -> Result<()> {
/// let catalog = Schema::new().space("text", 384, Metric::Cosine);
/// let queries = Db::in_memory(suggest::schema(catalog.find_space("text")?))?;
/// # Ok(()) }
/// ```
pub fn schema(space: &Space) -> Schema {
    // The vector of a query has not the whole numbers of what it is to be near.
    let encoding = match space.encoding {
        Encoding::U8 => Encoding::F32,
        other => other,
    };
    Schema::new()
        .keys(KeyKind::Name)
        .space_as(&space.name, space.dim, space.metric, encoding)
        .attr(TEXT, AttrType::Text)
        .attr(KIND, AttrType::Tag)
        .attr(SOURCE, AttrType::Tag)
        .attr(WEIGHT, AttrType::Float)
        .attr(YIELD, AttrType::Int)
        .attr(ABOUT, AttrType::Tags)
        .attr(CHECKED, AttrType::Time)
        .event("shown")
        .event("asked")
        .event("accepted")
}

/// What is known of a query once it was asked.
pub(super) struct Found {
    pub(super) keys: Vec<Key>,
    pub(super) vector: Option<Vec<f32>>,
    pub(super) at: Timestamp,
}

/// A query as an item.
pub(super) fn item(key: &str, draft: &Draft, space: &str, found: Found) -> Item {
    let about: Vec<String> = found.keys.iter().map(tag).collect();
    let item = Item::new(key)
        .attr(TEXT, draft.text.as_str())
        .attr(KIND, draft.intent.name())
        .attr(SOURCE, draft.source.as_str())
        .attr(WEIGHT, draft.weight.ln_1p())
        .attr(YIELD, found.keys.len() as i64)
        .attr(ABOUT, about)
        .attr(CHECKED, found.at);
    match found.vector {
        Some(vector) => item.vector(space, vector),
        None => item,
    }
}

/// How an item of the catalog is called among the tags.
pub(super) fn tag(key: &Key) -> String {
    match key {
        Key::Id(id) => id.to_string(),
        Key::Name(name) => name.to_string(),
    }
}

/// The draft of a query that is stored. Its vector is left out: it may come from what it found then.
pub(super) fn draft(queries: &Snapshot, addr: Addr) -> Result<Draft> {
    let text = |attr: &str| match queries.value(addr, attr)? {
        Some(Value::Text(text)) => Ok(text),
        _ => Err(Error::invalid(format!("attribute {attr:?} of a query"), "is missing")),
    };
    let weight = match queries.value(addr, WEIGHT)? {
        Some(Value::Float(weight)) => weight.exp_m1(),
        _ => 1.0,
    };
    let intent = match text(KIND)?.as_str() {
        "known" => Intent::Known,
        _ => Intent::Exploratory,
    };
    Ok(Draft::new(&text(TEXT)?, intent, &text(SOURCE)?).weight(weight))
}
