//! Filters as JSON. Reading trusts nothing: depth, nodes and lists are counted while they arrive.

use super::{Limit, Node, Where};
use crate::{
    item::Value,
    key::Timestamp,
    limits::{FILTER_DEPTH_MAX, FILTER_IN_MAX, FILTER_NODES_MAX, TAGS_MAX},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
    ser,
};
use std::{cell::Cell, fmt, marker::PhantomData};

/// A value as people write it in JSON: `true`, `3`, `2.5`, `"jazz"`, `{"time":0}`, `["a","b"]`.
///
/// [`Value`] itself says which variant it is, because binary formats need that. Here the schema
/// decides what a number or a string means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal(pub(super) Value);

impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Bool(v) => to.serialize_bool(*v),
            Value::Int(v) => to.serialize_i64(*v),
            // JSON would turn it into null, and null is an open end.
            Value::Float(v) if !v.is_finite() => {
                Err(ser::Error::custom(format!("a filter cannot hold {v}")))
            }
            Value::Float(v) => to.serialize_f64(*v),
            Value::Time(v) => to.collect_map([("time", v.0)]),
            Value::Text(v) => to.serialize_str(v),
            Value::Tags(v) => to.collect_seq(v),
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Literal, D::Error> {
        from.deserialize_any(LiteralVisitor).map(Literal)
    }
}

struct LiteralVisitor;

impl<'de> Visitor<'de> for LiteralVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a bool, a number, a string, a list of strings or {"time": milliseconds}"#)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
        let v =
            i64::try_from(v).map_err(|_| E::custom(format!("{v} is more than an int holds")))?;
        Ok(Value::Int(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.into()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Value, A::Error> {
        let tags = Many::of(TAGS_MAX).visit_seq(list)?;
        Ok(Value::Tags(tags))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let entry = map.next_entry::<String, i64>()?;
        match entry {
            Some((key, v)) if key == "time" && map.next_key::<String>()?.is_none() => {
                Ok(Value::Time(Timestamp(v)))
            }
            _ => Err(de::Error::custom(r#"a point in time is {"time": milliseconds}"#)),
        }
    }
}

/// A list of at most `max` of something.
struct Many<S> {
    each: S,
    max: usize,
}

impl<T> Many<PhantomData<T>> {
    fn of(max: usize) -> Many<PhantomData<T>> {
        let each = PhantomData;
        Many { each, max }
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Many<S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {}", self.max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(one) = list.next_element_seed(self.each)? {
            if found.len() == self.max {
                let why = format!("a list in a filter is too long; at most {}", self.max);
                return Err(de::Error::custom(why));
            }
            found.push(one);
        }
        Ok(found)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for Many<S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

/// The values of an `in`.
struct Literals(Vec<Literal>);

impl<'de> Deserialize<'de> for Literals {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Literals, D::Error> {
        Many::of(FILTER_IN_MAX).deserialize(from).map(Literals)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom(format!("the filter {}", self.why())))
    }
}

impl Serialize for Where {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.node.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Where, D::Error> {
        let left = &Cell::new(FILTER_NODES_MAX);
        Tree { depth: 1, left }.deserialize(from)
    }
}

/// The key of the one entry that a filter is.
#[derive(Deserialize)]
#[serde(variant_identifier, rename_all = "snake_case")]
enum Form {
    All,
    Is,
    In,
    Between,
    Exists,
    Not,
    And,
    Or,
}

const FORMS: &[&str] = &["all", "is", "in", "between", "exists", "not", "and", "or"];

/// Reads one tree: where it is, and how many nodes may still come.
#[derive(Clone, Copy)]
struct Tree<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl<'a> Tree<'a> {
    /// Counts this node before anything under it is read.
    fn enter(self) -> Result<Tree<'a>, Limit> {
        if self.depth > FILTER_DEPTH_MAX {
            return Err(Limit::Depth);
        }
        let left = self.left.get().checked_sub(1).ok_or(Limit::Nodes)?;
        self.left.set(left);
        let depth = self.depth + 1;
        Ok(Tree { depth, ..self })
    }

    fn children(self) -> Many<Tree<'a>> {
        let max = FILTER_NODES_MAX;
        Many { each: self, max }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Where;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Where, D::Error> {
        let refuse = |limit: Limit| de::Error::custom(format!("the filter {}", limit.why()));
        let inner = self.enter().map_err(refuse)?;
        from.deserialize_enum("Where", FORMS, inner)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Where;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a filter, such as {"is": ["genre", "jazz"]}"#)
    }

    /// Joins by the same operators as callers do, so that equal filters are equal trees.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Where, A::Error> {
        let (form, body) = data.variant::<Form>()?;
        Ok(match form {
            Form::All => {
                body.unit_variant()?;
                Where::all()
            }
            Form::Is => {
                let (name, value) = body.newtype_variant()?;
                Where::leaf(Node::Is(name, value))
            }
            Form::In => {
                let (name, Literals(values)) = body.newtype_variant()?;
                Where::leaf(Node::In(name, values))
            }
            Form::Between => {
                let (name, lo, hi) = body.newtype_variant()?;
                Where::leaf(Node::Between(name, lo, hi))
            }
            Form::Exists => Where::leaf(Node::Exists(body.newtype_variant()?)),
            Form::Not => !body.newtype_variant_seed(self)?,
            Form::And => {
                let all = body.newtype_variant_seed(self.children())?;
                all.into_iter().fold(Where::all(), |all, one| all & one)
            }
            Form::Or => {
                let any = body.newtype_variant_seed(self.children())?;
                any.into_iter().fold(Where::none(), |any, one| any | one)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::attr;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Where, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn every_form_is_written_and_read_as_documented() {
        let tags = ["a", "b"];
        let at = Timestamp(-5);
        let jazz = || attr("genre").is("jazz");
        for (filter, json) in [
            (Where::all(), r#""all""#),
            (jazz(), r#"{"is":["genre","jazz"]}"#),
            (attr("x").is(true), r#"{"is":["x",true]}"#),
            (attr("x").is(-3), r#"{"is":["x",-3]}"#),
            (attr("x").is(2.0), r#"{"is":["x",2.0]}"#),
            (attr("x").is(at), r#"{"is":["x",{"time":-5}]}"#),
            (attr("x").is(tags), r#"{"is":["x",["a","b"]]}"#),
            (attr("x").is_in(tags), r#"{"in":["x",["a","b"]]}"#),
            (attr("x").is_in([0; 0]), r#"{"in":["x",[]]}"#),
            (attr("x").between(1, 2), r#"{"between":["x",1,2]}"#),
            (attr("x").at_least(1), r#"{"between":["x",1,null]}"#),
            (attr("x").at_most(at), r#"{"between":["x",null,{"time":-5}]}"#),
            (attr("x").exists(), r#"{"exists":"x"}"#),
            (!jazz(), r#"{"not":{"is":["genre","jazz"]}}"#),
            (!Where::all(), r#"{"not":"all"}"#),
            (jazz() & attr("x").exists(), r#"{"and":[{"is":["genre","jazz"]},{"exists":"x"}]}"#),
            (jazz() | attr("x").exists(), r#"{"or":[{"is":["genre","jazz"]},{"exists":"x"}]}"#),
            (Where::none(), r#"{"or":[]}"#),
        ] {
            assert_eq!(serde_json::to_string(&filter).unwrap(), json);
            assert_eq!(read(json).unwrap(), filter);
            let tree: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::from_value::<Where>(tree).unwrap(), filter);
        }
        assert_eq!(read(r#"{"and":[]}"#).unwrap(), Where::all());
        assert_eq!(read(r#"{"and":[{"exists":"x"}]}"#).unwrap(), attr("x").exists());
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        for json in [
            "1",
            "{}",
            "[]",
            "null",
            r#""none""#,
            r#"{"is":"genre"}"#,
            r#"{"is":["genre"]}"#,
            r#"{"is":["genre","a","b"]}"#,
            r#"{"is":["genre",null]}"#,
            r#"{"is":[1,"a"]}"#,
            r#"{"like":["genre","a"]}"#,
            r#"{"exists":"a","not":"all"}"#,
            r#"{"not":["all"]}"#,
            r#"{"is":["x",{"time":1,"zone":2}]}"#,
            r#"{"is":["x",{"when":1}]}"#,
            r#"{"is":["x",{}]}"#,
            r#"{"is":["x",{"time":1.5}]}"#,
            r#"{"is":["x",[1]]}"#,
            r#"{"is":["x",9223372036854775808]}"#,
            r#"{"between":["x",1]}"#,
            r#"{"and":"all"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        let why = read(r#"{"like":["genre","a"]}"#).unwrap_err();
        assert!(why.contains("unknown variant `like`, expected one of `all`"), "{why}");
    }

    /// Goal: hostile JSON costs no stack and no more memory than it has bytes.
    #[test]
    fn limits_hold_while_reading() {
        let nots = |n| format!("{}\"all\"{}", "{\"not\":".repeat(n), "}".repeat(n));
        assert!(read(&nots(FILTER_DEPTH_MAX - 1)).is_ok());
        assert!(read(&nots(FILTER_DEPTH_MAX)).unwrap_err().contains("too deep"));
        assert!(read(&nots(100_000)).unwrap_err().contains("too deep"));
        assert!(read(&"{\"and\":[".repeat(100_000)).is_err());

        let alternating = |n| {
            let leaf = || attr("x").is_in(["a"]);
            let join = |w, level| {
                if level % 2 == 0 { w & leaf() } else { w | leaf() }
            };
            (1..n).fold(leaf(), join)
        };
        let levels = |n| serde_json::to_string(&alternating(n)).unwrap();
        assert!(read(&levels(FILTER_DEPTH_MAX - 1)).is_ok());
        assert!(read(&levels(FILTER_DEPTH_MAX)).is_err());

        let wide = |n: usize| format!("{{\"or\":[{}]}}", vec!["{\"exists\":\"x\"}"; n].join(","));
        assert!(read(&wide(FILTER_NODES_MAX - 1)).is_ok());
        assert!(read(&wide(FILTER_NODES_MAX)).unwrap_err().contains("too many"));
        let list = |n: usize| format!("{{\"in\":[\"x\",[{}]]}}", vec!["1"; n].join(","));
        assert!(read(&list(FILTER_IN_MAX)).is_ok());
        assert!(read(&list(FILTER_IN_MAX + 1)).unwrap_err().contains("too long"));
        let tags = |n: usize| format!("{{\"is\":[\"x\",[{}]]}}", vec!["\"a\""; n].join(","));
        assert!(read(&tags(TAGS_MAX)).is_ok());
        assert!(read(&tags(TAGS_MAX + 1)).unwrap_err().contains("too long"));
    }

    #[test]
    fn what_json_cannot_hold_is_not_written() {
        assert!(serde_json::to_string(&attr("x").at_least(f64::NAN)).is_err());
        assert!(serde_json::to_string(&attr("x").at_most(f64::INFINITY)).is_err());
        let deep = (0..100).fold(attr("x").is(1), |w, _| !(w & attr("x").is(1)));
        assert!(serde_json::to_string(&deep).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            // Eighths: serde_json reads long decimals only to the nearest but one.
            any::<i32>().prop_map(|v| Value::Float(f64::from(v) / 8.0)),
            any::<i64>().prop_map(|v| Value::Time(Timestamp(v))),
            any::<String>().prop_map(Value::Text),
            prop::collection::vec(any::<String>(), 0..3).prop_map(Value::Tags),
        ]
    }

    fn tree() -> impl Strategy<Value = Where> {
        let leaf = prop_oneof![
            Just(Where::all()),
            (any::<String>(), value()).prop_map(|(name, v)| attr(&name).is(v)),
            (any::<String>(), prop::collection::vec(value(), 0..4))
                .prop_map(|(name, list)| attr(&name).is_in(list)),
            ("[a-z]+", value(), value()).prop_map(|(name, lo, hi)| attr(&name).between(lo, hi)),
            ("[a-z]+", value()).prop_map(|(name, lo)| attr(&name).at_least(lo)),
            ("[a-z]+", value()).prop_map(|(name, hi)| attr(&name).at_most(hi)),
            any::<String>().prop_map(|name| attr(&name).exists()),
        ];
        leaf.prop_recursive(8, 64, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|w| !w),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
                (inner.clone(), inner).prop_map(|(a, b)| a | b),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_keeps_every_filter(filter in tree()) {
            let json = serde_json::to_string(&filter).unwrap();
            prop_assert_eq!(read(&json).unwrap(), filter);
        }

        #[test]
        fn no_text_makes_reading_panic(
            text in r#"(\{"(not|and|or|is|in)":|\[|\]|\}|"a"|,|1|"all"){0,40}"#,
        ) {
            let _ = read(&text);
        }
    }
}
