//! A filter checked against a schema: numbers for names, one type for each operand.

use super::{Literal, Node, Where};
use crate::{
    error::{Error, Result},
    item::Value,
    key::Timestamp,
    limits::FILTER_IN_MAX,
    schema::{Attr, AttrType, Schema},
};
use std::cmp::Ordering;

/// What columns compare with. Every operand of one attribute is of one variant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Bool(bool),
    /// An int, or a time in milliseconds.
    Int(i64),
    /// Finite, and never -0.0.
    Float(f64),
    /// A tag or a text.
    Text(String),
}

impl Operand {
    /// The order of the values of one attribute. Of two variants, the order of the variants.
    pub(crate) fn order(&self, other: &Operand) -> Ordering {
        match (self, other) {
            (Operand::Bool(a), Operand::Bool(b)) => a.cmp(b),
            (Operand::Int(a), Operand::Int(b)) => a.cmp(b),
            (Operand::Float(a), Operand::Float(b)) => a.total_cmp(b),
            (Operand::Text(a), Operand::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Operand::Bool(_) => 0,
            Operand::Int(_) => 1,
            Operand::Float(_) => 2,
            Operand::Text(_) => 3,
        }
    }
}

/// A filter that fits a schema. Attributes are named by their field number.
///
/// A row without a value satisfies no leaf; `Not` is the complement, so such rows are in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    All,
    /// The value, or one of the tags, equals the operand.
    Is(u16, Operand),
    /// The value, or one of the tags, is in the list: sorted, without repeats, possibly empty.
    In(u16, Vec<Operand>),
    /// Inclusive; at least one end is there, and the first is not above the second. Never of bools
    /// or tags.
    Between(u16, Option<Operand>, Option<Operand>),
    Exists(u16),
    Not(Box<Resolved>),
    And(Vec<Resolved>),
    Or(Vec<Resolved>),
}

impl Where {
    /// Checks the filter against a schema. Errors name the attribute.
    pub(crate) fn resolve(&self, schema: &Schema) -> Result<Resolved> {
        self.check()?;
        self.node.resolve(schema)
    }
}

impl Node {
    /// Recurses at most [`crate::limits::FILTER_DEPTH_MAX`] deep: no deeper tree can be made.
    fn resolve(&self, schema: &Schema) -> Result<Resolved> {
        let each = |list: &[Node]| {
            list.iter().map(|node| node.resolve(schema)).collect::<Result<Vec<_>>>()
        };
        Ok(match self {
            Node::All => Resolved::All,
            Node::Is(name, value) => {
                let attr = schema.find_attr(name)?;
                match equal_to(attr, value)? {
                    Some(operand) => Resolved::Is(attr.id, operand),
                    None => Resolved::In(attr.id, Vec::new()),
                }
            }
            Node::In(name, values) => one_of(schema.find_attr(name)?, values)?,
            Node::Between(name, lo, hi) => {
                between(schema.find_attr(name)?, lo.as_ref(), hi.as_ref())?
            }
            Node::Exists(name) => Resolved::Exists(schema.find_attr(name)?.id),
            Node::Not(inner) => Resolved::Not(Box::new(inner.resolve(schema)?)),
            Node::And(all) => Resolved::And(each(all)?),
            Node::Or(any) => Resolved::Or(each(any)?),
            Node::Refused(limit) => return Err(Error::invalid("filter", limit.why())),
        })
    }
}

fn one_of(attr: &Attr, values: &[Literal]) -> Result<Resolved> {
    if values.len() > FILTER_IN_MAX {
        return Err(wrong(attr, format!("the list is too long; at most {FILTER_IN_MAX} values")));
    }
    let mut operands = Vec::with_capacity(values.len());
    for value in values {
        operands.extend(equal_to(attr, value)?);
    }
    operands.sort_unstable_by(Operand::order);
    operands.dedup();
    Ok(Resolved::In(attr.id, operands))
}

fn between(attr: &Attr, lo: Option<&Literal>, hi: Option<&Literal>) -> Result<Resolved> {
    if matches!(attr.ty, AttrType::Bool | AttrType::Tags) {
        let noun = noun(attr.ty);
        let why =
            format!("the attribute is {noun}, which has no order; use `is` or `in`, not `between`");
        return Err(wrong(attr, why));
    }
    let nothing = || Ok(Resolved::In(attr.id, Vec::new()));
    let lo = lo.map(|v| bound(attr, v, End::Lo)).transpose()?;
    let hi = hi.map(|v| bound(attr, v, End::Hi)).transpose()?;
    match (lo, hi) {
        (None, None) => Err(wrong(attr, "`between` needs a bound; or use `exists`")),
        (Some(None), _) | (_, Some(None)) => nothing(),
        (lo, hi) => {
            let (lo, hi) = (lo.flatten(), hi.flatten());
            if let (Some(lo), Some(hi)) = (&lo, &hi)
                && lo.order(hi).is_gt()
            {
                return nothing();
            }
            Ok(Resolved::Between(attr.id, lo, hi))
        }
    }
}

/// The stored value that equals this one; `None` if the attribute's type has none, as 2.5 among
/// ints.
fn equal_to(attr: &Attr, value: &Literal) -> Result<Option<Operand>> {
    use AttrType::{Bool, Float, Int, Tag, Tags, Text, Time};
    finite(attr, value)?;
    Ok(match (attr.ty, &value.0) {
        (Bool, Value::Bool(v)) => Some(Operand::Bool(*v)),
        (Int | Time, Value::Int(v)) | (Time, Value::Time(Timestamp(v))) => Some(Operand::Int(*v)),
        (Int, Value::Float(v)) => {
            (v.fract() == 0.0 && fits_int(*v)).then_some(Operand::Int(*v as i64))
        }
        (Float, Value::Float(v)) => Some(float(*v)),
        (Float, Value::Int(v)) => {
            let near = *v as f64;
            (above(near, *v) == Ordering::Equal).then_some(Operand::Float(near))
        }
        (Tag | Tags | Text, Value::Text(v)) => Some(Operand::Text(v.clone())),
        (_, other) => return Err(mismatch(attr, other)),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Lo,
    Hi,
}

/// The first or last stored value inside this bound; `None` if there is none.
fn bound(attr: &Attr, value: &Literal, end: End) -> Result<Option<Operand>> {
    match (attr.ty, &value.0, end) {
        (AttrType::Int, Value::Float(v), _) if v.is_finite() => Ok(match end {
            // A bound beyond every int on the far side is no bound, and `as` saturates there.
            End::Lo => (*v < INT_END).then_some(Operand::Int(v.ceil() as i64)),
            End::Hi => (*v >= -INT_END).then_some(Operand::Int(v.floor() as i64)),
        }),
        (AttrType::Float, Value::Int(v), _) => {
            let near = *v as f64;
            Ok(Some(float(match (end, above(near, *v)) {
                (End::Lo, Ordering::Less) => near.next_up(),
                (End::Hi, Ordering::Greater) => near.next_down(),
                _ => near,
            })))
        }
        _ => equal_to(attr, value),
    }
}

/// 2^63: the first float above every `i64`. Its negative is the least `i64`.
pub(super) const INT_END: f64 = 9_223_372_036_854_775_808.0;

fn fits_int(v: f64) -> bool {
    (-INT_END..INT_END).contains(&v)
}

/// How the float nearest to an int compares with that int. Exact: both fit an `i128`.
fn above(near: f64, exact: i64) -> Ordering {
    (near as i128).cmp(&i128::from(exact))
}

/// Adding zero turns -0.0 into 0.0 and changes nothing else.
fn float(v: f64) -> Operand {
    Operand::Float(v + 0.0)
}

fn finite(attr: &Attr, value: &Literal) -> Result<()> {
    match value.0 {
        Value::Float(v) if !v.is_finite() => {
            let why = format!("{v} cannot be compared with; leave that end open, or use a number");
            Err(wrong(attr, why))
        }
        _ => Ok(()),
    }
}

fn wrong(attr: &Attr, why: impl Into<String>) -> Error {
    Error::invalid(format!("filter on {:?}", attr.name), why)
}

fn mismatch(attr: &Attr, value: &Value) -> Error {
    let given = match value {
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Time(v) => format!("the time {} ms", v.0),
        Value::Text(v) => format!("{:?}", v.chars().take(40).collect::<String>()),
        Value::Tags(_) => "a list; use `in` for any of several values".into(),
    };
    let noun = noun(attr.ty);
    wrong(attr, format!("the attribute is {noun} and cannot be compared with {given}"))
}

fn noun(ty: AttrType) -> &'static str {
    match ty {
        AttrType::Bool => "a bool",
        AttrType::Int => "an int",
        AttrType::Float => "a float",
        AttrType::Time => "a time",
        AttrType::Tag => "a tag",
        AttrType::Tags => "a set of tags",
        AttrType::Text => "a text",
    }
}

/// The plain twin of filtering by columns: one item at a time, by the definitions.
#[cfg(test)]
impl Resolved {
    /// Whether an item is in the filter, given its values as an `Item` holds them.
    pub(crate) fn matches(&self, get: &dyn Fn(u16) -> Option<Value>) -> bool {
        let any = |id: u16, fits: &dyn Fn(&Operand) -> bool| {
            get(id).is_some_and(|value| stored(value).iter().any(fits))
        };
        match self {
            Resolved::All => true,
            Resolved::Is(id, operand) => any(*id, &|v| v.order(operand).is_eq()),
            Resolved::In(id, list) => any(*id, &|v| list.iter().any(|one| v.order(one).is_eq())),
            Resolved::Between(id, lo, hi) => any(*id, &|v| {
                lo.as_ref().is_none_or(|lo| v.order(lo).is_ge())
                    && hi.as_ref().is_none_or(|hi| v.order(hi).is_le())
            }),
            Resolved::Exists(id) => get(*id).is_some(),
            Resolved::Not(inner) => !inner.matches(get),
            Resolved::And(all) => all.iter().all(|one| one.matches(get)),
            Resolved::Or(any) => any.iter().any(|one| one.matches(get)),
        }
    }
}

/// A stored value as operands: one for each tag, one for anything else.
#[cfg(test)]
fn stored(value: Value) -> Vec<Operand> {
    match value {
        Value::Bool(v) => vec![Operand::Bool(v)],
        Value::Int(v) | Value::Time(Timestamp(v)) => vec![Operand::Int(v)],
        Value::Float(v) => vec![float(v)],
        Value::Text(v) => vec![Operand::Text(v)],
        Value::Tags(tags) => tags.into_iter().map(Operand::Text).collect(),
    }
}
