//! What a database holds: named vector spaces, typed attributes, kinds of events.

use crate::{
    error::{Error, Result},
    key::KeyKind,
    limits::{DIM_MAX, EVENT_KINDS_MAX, FIELDS_MAX, NAME_BYTES_MAX},
};
use serde::{Deserialize, Serialize};

/// How closeness is measured in a space. Larger scores are closer, whatever the metric.
///
/// ```
/// use bowerbird::{Metric, Schema};
/// let schema = Schema::new().space("text", 384, Metric::Cosine);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The inner product.
    Dot,
    /// The cosine of the angle, in -1..=1. Vectors are normalized when written and stored so.
    Cosine,
    /// Minus the squared Euclidean distance.
    L2,
}

/// How a space stores its vectors.
///
/// ```
/// use bowerbird::Encoding;
/// assert_eq!(Encoding::F16.row_bytes(384), 768);
/// assert_eq!(Encoding::Binary.row_bytes(384), 48);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// 4 bytes per number, exact.
    F32,
    /// 2 bytes per number, IEEE 754 half precision.
    F16,
    /// 1 byte per number and one `f32` scale per vector.
    I8,
    /// 1 bit per number: its sign. A vector stands for numbers that are all +1 or -1.
    Binary,
    /// 1 byte per number, exact, for what is counted: whole numbers from 0 to 255, such as the pixels of
    /// an image or SIFT features. Other vectors are refused; queries may be any. Not for
    /// [`Metric::Cosine`], under which vectors are kept with length 1.
    U8,
}

impl Encoding {
    /// Bytes of one stored vector, without the scale that [`Encoding::I8`] keeps beside it.
    pub fn row_bytes(self, dim: u32) -> usize {
        let dim = dim as usize;
        match self {
            Encoding::F32 => 4 * dim,
            Encoding::F16 => 2 * dim,
            Encoding::I8 | Encoding::U8 => dim,
            Encoding::Binary => dim.div_ceil(8),
        }
    }
}

/// The type of an attribute.
///
/// ```
/// use bowerbird::{AttrType, Schema};
/// let schema = Schema::new().attr("genre", AttrType::Tags).attr("year", AttrType::Int);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttrType {
    /// True or false.
    Bool,
    /// `i64`.
    Int,
    /// `f64`, finite.
    Float,
    /// A [`crate::Timestamp`].
    Time,
    /// One short string out of few: a category, a brand.
    Tag,
    /// A set of short strings.
    Tags,
    /// A string to store, show and compare, and to find by its words: see
    /// [`Snapshot::matching`](crate::Snapshot::matching).
    Text,
}

/// A named vector field of every item.
///
/// ```
/// # use bowerbird::{Schema, Metric};
/// let schema = Schema::new().space("text", 384, Metric::Cosine);
/// assert_eq!(schema.spaces()[0].dim, 384);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Space {
    /// The number by which files refer to the field. Never reused.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// How many numbers a vector has, 1..=4096.
    pub dim: u32,
    /// How closeness is measured.
    pub metric: Metric,
    /// How vectors are stored.
    pub encoding: Encoding,
}

/// A named, typed field of every item.
///
/// ```
/// # use bowerbird::{AttrType, Schema};
/// let schema = Schema::new().attr("year", AttrType::Int);
/// assert_eq!(schema.attrs()[0].ty, AttrType::Int);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attr {
    /// The number by which files refer to the field. Never reused.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// What its values are.
    pub ty: AttrType,
}

/// What a database holds. Built by chaining; checked when the database is created.
///
/// ```
/// use bowerbird::{AttrType, Db, Encoding, Metric, Schema};
/// let schema = Schema::new()
///     .space("text", 384, Metric::Cosine)
///     .space_as("image", 512, Metric::Cosine, Encoding::I8)
///     .attr("genre", AttrType::Tags)
///     .event("view")
///     .event("buy");
/// let db = Db::in_memory(schema).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    keys: KeyKind,
    spaces: Vec<Space>,
    attrs: Vec<Attr>,
    events: Vec<String>,
    next_field: u16,
}

impl Schema {
    /// An empty schema with `u64` keys.
    pub fn new() -> Schema {
        Schema::default()
    }

    /// Chooses numbers or names as keys.
    pub fn keys(mut self, kind: KeyKind) -> Schema {
        self.keys = kind;
        self
    }

    /// Adds a space of `f32` vectors.
    pub fn space(self, name: &str, dim: u32, metric: Metric) -> Schema {
        self.space_as(name, dim, metric, Encoding::F32)
    }

    /// Adds a space with an encoding.
    pub fn space_as(mut self, name: &str, dim: u32, metric: Metric, encoding: Encoding) -> Schema {
        let id = self.take_field();
        self.spaces.push(Space { id, name: name.into(), dim, metric, encoding });
        self
    }

    /// Adds an attribute.
    pub fn attr(mut self, name: &str, ty: AttrType) -> Schema {
        let id = self.take_field();
        self.attrs.push(Attr { id, name: name.into(), ty });
        self
    }

    /// Adds a kind of event.
    pub fn event(mut self, name: &str) -> Schema {
        self.events.push(name.into());
        self
    }

    /// Numbers or names.
    pub fn key_kind(&self) -> KeyKind {
        self.keys
    }

    /// The spaces, oldest first.
    pub fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// The attributes, oldest first.
    pub fn attrs(&self) -> &[Attr] {
        &self.attrs
    }

    /// The kinds of events; an event stores the index of its kind here.
    pub fn events(&self) -> &[String] {
        &self.events
    }

    /// The space of that name.
    pub fn find_space(&self, name: &str) -> Result<&Space> {
        self.spaces.iter().find(|s| s.name == name).ok_or_else(|| Error::missing("space", name))
    }

    /// The attribute of that name.
    pub fn find_attr(&self, name: &str) -> Result<&Attr> {
        self.attrs.iter().find(|a| a.name == name).ok_or_else(|| Error::missing("attribute", name))
    }

    /// The number of that kind of event.
    pub fn find_event(&self, name: &str) -> Result<u8> {
        let at = self.events.iter().position(|e| e == name);
        let at = at.ok_or_else(|| Error::missing("kind of event", name))?;
        u8::try_from(at).map_err(|_| Error::invalid("schema", "has more than 255 kinds of events"))
    }

    pub(crate) fn space_by_id(&self, id: u16) -> Option<&Space> {
        self.spaces.iter().find(|s| s.id == id)
    }

    pub(crate) fn attr_by_id(&self, id: u16) -> Option<&Attr> {
        self.attrs.iter().find(|a| a.id == id)
    }

    pub(crate) fn drop_space(&mut self, name: &str) -> Result<()> {
        let id = self.find_space(name)?.id;
        self.spaces.retain(|s| s.id != id);
        Ok(())
    }

    pub(crate) fn drop_attr(&mut self, name: &str) -> Result<()> {
        let id = self.find_attr(name)?.id;
        self.attrs.retain(|a| a.id != id);
        Ok(())
    }

    fn take_field(&mut self) -> u16 {
        let id = self.next_field;
        self.next_field = self.next_field.saturating_add(1);
        id
    }

    /// Refuses what can never work: empty or repeated names, dimensions out of range.
    pub(crate) fn check(&self) -> Result<()> {
        if self.next_field > FIELDS_MAX {
            let why = format!("had {} fields in its life; at most {FIELDS_MAX}", self.next_field);
            return Err(Error::invalid("schema", why));
        }
        let named = |kind| move |name: &String| (kind, name.clone());
        let mut names: Vec<(&str, String)> = Vec::new();
        names.extend(self.spaces.iter().map(|s| &s.name).map(named("space")));
        names.extend(self.attrs.iter().map(|a| &a.name).map(named("attribute")));
        names.extend(self.events.iter().map(named("kind of event")));
        for (kind, name) in &names {
            check_name(kind, name)?;
        }
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(format!("{} {:?}", pair[0].0, pair[0].1), "is there twice"));
        }
        let mut ids: Vec<u16> = self.spaces.iter().map(|s| s.id).collect();
        ids.extend(self.attrs.iter().map(|a| a.id));
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) || ids.last() >= Some(&self.next_field) {
            return Err(Error::invalid("schema", "uses a field number twice or out of range"));
        }
        if self.events.len() > EVENT_KINDS_MAX {
            return Err(Error::invalid("schema", "has more than 255 kinds of events"));
        }
        for space in &self.spaces {
            if !(1..=DIM_MAX).contains(&space.dim) {
                let why = format!("has dimension {}; it must be 1 to {DIM_MAX}", space.dim);
                return Err(Error::invalid(format!("space {:?}", space.name), why));
            }
            if (space.metric, space.encoding) == (Metric::Cosine, Encoding::U8) {
                let why = "has metric Cosine, so its vectors are kept with length 1, and encoding U8, \
                           which keeps whole numbers only. Choose Dot or L2, or another encoding";
                return Err(Error::invalid(format!("space {:?}", space.name), why));
            }
        }
        Ok(())
    }
}

/// Names are shown to people and written into files, so they are short and printable.
pub(crate) fn check_name(kind: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let why = format!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Error::invalid(format!("{kind} {name:?}"), why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_numbers_are_never_reused() {
        let mut schema = Schema::new().space("a", 1, Metric::Dot).attr("b", AttrType::Int);
        schema.drop_space("a").unwrap();
        let schema = schema.space("a", 2, Metric::Dot);
        assert_eq!(schema.find_space("a").unwrap().id, 2);
        schema.check().unwrap();
    }

    #[test]
    fn schemas_that_cannot_work_are_refused() {
        assert!(Schema::new().space("", 1, Metric::Dot).check().is_err());
        assert!(Schema::new().space("a", 0, Metric::Dot).check().is_err());
        assert!(Schema::new().space("a", 4097, Metric::Dot).check().is_err());
        assert!(Schema::new().event("a").event("a").check().is_err());
        assert!(Schema::new().attr("a\n", AttrType::Int).check().is_err());
        let whole = |metric| Schema::new().space_as("a", 1, metric, Encoding::U8).check();
        assert!(whole(Metric::Cosine).unwrap_err().to_string().contains("Choose Dot or L2"));
        whole(Metric::Dot).and_then(|()| whole(Metric::L2)).unwrap();
        let both = Schema::new().space("a", 1, Metric::Dot).attr("a", AttrType::Int);
        both.check().unwrap();
    }
}
