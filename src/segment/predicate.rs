//! Predicate: a filter over one segment, row by row, for when few rows will be asked about.
//!
//! `Segment::allowed` makes the bitmap of all rows that a filter allows, which takes longer than a
//! walk over a graph that meets a few hundred of them. A predicate reads columns instead: prepared
//! once, then a few nanoseconds per row. Both give the same answer for every row.

use super::attrs::text_of;
use crate::{
    error::Result,
    filter::{Operand, Resolved},
    format::{
        Kind,
        columns::Plain,
        section::{Column, Section},
    },
    segment::{Segment, Strings},
};
use roaring::RoaringBitmap;
use std::{ops::Range, sync::Arc};

/// Says of single rows whether a filter allows them.
pub(crate) enum Predicate<'a> {
    Always(bool),
    Here(Arc<RoaringBitmap>),
    Numbers(Numbers<'a>, Present),
    /// One code per row.
    Tag(Lookup<'a, u32>, Codes),
    /// Per row a range of codes.
    Tags(Lookup<'a, u64>, Lookup<'a, u32>, Codes),
    Texts(Strings<'a>, Texts, Present),
    Not(Box<Predicate<'a>>),
    All(Vec<Predicate<'a>>),
    Any(Vec<Predicate<'a>>),
}

/// The rows that have the attribute; `None` if all have.
type Present = Option<Arc<RoaringBitmap>>;

/// A column of ints, times or floats, and what its values must be.
pub(crate) struct Numbers<'a> {
    values: Lookup<'a, i64>,
    float: bool,
    wanted: Wanted,
}

/// Numbers as integers that sort the same way.
enum Wanted {
    Range(i64, i64),
    /// Ascending.
    List(Vec<i64>),
}

/// Codes of terms.
pub(crate) enum Codes {
    Range(Range<u32>),
    /// Ascending.
    List(Vec<u32>),
}

/// What a text must be.
pub(crate) enum Texts {
    Range(Option<Vec<u8>>, Option<Vec<u8>>),
    /// Ascending.
    List(Vec<Vec<u8>>),
}

/// One number of a column after the other: in place where the column is in memory, or else read
/// block by block, since a whole column may be more than there is memory for.
pub(crate) enum Lookup<'a, T> {
    Column(Column<'a, T>),
    Section(&'a Section),
}

impl<'a, T: Plain> Lookup<'a, T> {
    fn new(section: &'a Section) -> Result<Lookup<'a, T>> {
        match section.in_memory() {
            true => Ok(Lookup::Column(section.column(0..section.count::<T>())?)),
            false => Ok(Lookup::Section(section)),
        }
    }

    #[inline]
    fn get(&self, at: u32) -> Result<T> {
        match self {
            Lookup::Column(column) if (at as usize) < column.len() => Ok(column[at as usize]),
            Lookup::Column(_) => Err(crate::error::Error::invalid("row", "is not in the column")),
            Lookup::Section(section) => section.get(at.into()),
        }
    }

    /// Whether a number of `range` fits.
    fn any(&self, range: Range<u64>, fits: impl Fn(T) -> bool) -> Result<bool> {
        match self {
            Lookup::Column(column) => {
                let (start, end) = (range.start as usize, range.end as usize);
                let some = column.get(start..end).unwrap_or_default();
                Ok(some.iter().any(|number| fits(*number)))
            }
            Lookup::Section(section) => {
                Ok(section.column::<T>(range)?.iter().any(|number| fits(*number)))
            }
        }
    }
}

impl Codes {
    fn contain(&self, code: u32) -> bool {
        match self {
            Codes::Range(range) => range.contains(&code),
            Codes::List(list) => match list[..] {
                [only] => only == code,
                _ => list.binary_search(&code).is_ok(),
            },
        }
    }
}

impl Texts {
    fn contain(&self, text: &[u8]) -> bool {
        match self {
            Texts::Range(low, high) => {
                low.as_ref().is_none_or(|low| text >= &low[..])
                    && high.as_ref().is_none_or(|high| text <= &high[..])
            }
            Texts::List(list) => list.binary_search_by(|one| one[..].cmp(text)).is_ok(),
        }
    }
}

impl Numbers<'_> {
    #[inline]
    fn fit(&self, row: u32) -> Result<bool> {
        let bits = self.values.get(row)?;
        let number = if self.float { ordered(bits) } else { bits };
        Ok(match &self.wanted {
            Wanted::Range(low, high) => (*low..=*high).contains(&number),
            Wanted::List(list) => list.binary_search(&number).is_ok(),
        })
    }
}

/// The bits of a float as an integer that sorts as `f64::total_cmp` does.
fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// An operand in the order of the column's values; `None` if it is none of their type.
fn number(float: bool, operand: &Operand) -> Option<i64> {
    match operand {
        Operand::Int(number) if !float => Some(*number),
        Operand::Int(number) => Some(ordered((*number as f64).to_bits().cast_signed())),
        Operand::Float(number) if float => Some(ordered(number.to_bits().cast_signed())),
        _ => None,
    }
}

impl Predicate<'_> {
    /// Whether the filter allows a row, dead or alive.
    pub(crate) fn allows(&self, row: u32) -> Result<bool> {
        let here = |present: &Present| present.as_ref().is_none_or(|rows| rows.contains(row));
        Ok(match self {
            Predicate::Always(yes) => *yes,
            Predicate::Here(rows) => rows.contains(row),
            // A missing value is stored as some number, so presence is asked about, but last: in
            // most rows the value has decided before.
            Predicate::Numbers(numbers, present) => numbers.fit(row)? && here(present),
            Predicate::Tag(codes, wanted) => wanted.contain(codes.get(row)?),
            Predicate::Tags(lists, codes, wanted) => {
                let range = lists.get(row)?..lists.get(row + 1)?;
                codes.any(range, |code| wanted.contain(code))?
            }
            Predicate::Texts(texts, wanted, present) => {
                wanted.contain(&texts.text(row)?) && here(present)
            }
            Predicate::Not(inner) => !inner.allows(row)?,
            Predicate::All(all) => {
                for one in all {
                    if !one.allows(row)? {
                        return Ok(false);
                    }
                }
                true
            }
            Predicate::Any(any) => {
                for one in any {
                    if one.allows(row)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

impl Segment {
    /// Prepares a filter for asking about single rows.
    pub(crate) fn predicate(&self, filter: &Resolved) -> Result<Predicate<'_>> {
        let each = |list: &[Resolved]| {
            list.iter().map(|one| self.predicate(one)).collect::<Result<Vec<_>>>()
        };
        Ok(match filter {
            Resolved::All => Predicate::Always(true),
            Resolved::Exists(attr) => match (self.attr_type(*attr), self.here(*attr)?) {
                (None, _) => Predicate::Always(false),
                (Some(_), None) => Predicate::Always(true),
                (Some(_), Some(rows)) => Predicate::Here(rows),
            },
            Resolved::Is(attr, value) => self.one_of(*attr, std::slice::from_ref(value))?,
            Resolved::In(attr, values) => self.one_of(*attr, values)?,
            Resolved::Between(attr, low, high) => {
                self.inside(*attr, low.as_ref(), high.as_ref())?
            }
            Resolved::Not(inner) => Predicate::Not(Box::new(self.predicate(inner)?)),
            Resolved::And(all) => Predicate::All(each(all)?),
            Resolved::Or(any) => Predicate::Any(each(any)?),
        })
    }

    fn here(&self, attr: u16) -> Result<Present> {
        match self.attr_type(attr) {
            Some((_, count)) if count < self.rows() => self.bitmap(Kind::PRESENT, attr).map(Some),
            _ => Ok(None),
        }
    }

    fn column<T: Plain>(&self, kind: Kind, attr: u16) -> Result<Lookup<'_, T>> {
        Lookup::new(self.sections.need(kind, attr)?)
    }

    fn codes_in(&self, ty: u16, attr: u16, wanted: Codes) -> Result<Predicate<'_>> {
        let codes = self.column(Kind::CODES, attr)?;
        match ty {
            20 => Ok(Predicate::Tag(codes, wanted)),
            _ => Ok(Predicate::Tags(self.column(Kind::LISTS, attr)?, codes, wanted)),
        }
    }

    fn one_of(&self, attr: u16, values: &[Operand]) -> Result<Predicate<'_>> {
        let texts = || values.iter().filter(|one| matches!(one, Operand::Text(_))).map(text_of);
        Ok(match self.attr_type(attr) {
            Some((16, _)) => {
                let on = || self.bitmap(Kind::TRUE, attr).map(Predicate::Here);
                let mut any = Vec::new();
                if values.contains(&Operand::Bool(true)) {
                    any.push(on()?);
                }
                if values.contains(&Operand::Bool(false)) {
                    let off = Predicate::Not(Box::new(on()?));
                    let here = self.here(attr)?.map(Predicate::Here);
                    any.push(Predicate::All([off].into_iter().chain(here).collect()));
                }
                Predicate::Any(any)
            }
            Some((ty @ 17..=19, _)) => {
                let float = ty == 18;
                let mut list: Vec<i64> = values.iter().filter_map(|v| number(float, v)).collect();
                list.sort_unstable();
                let wanted = match list[..] {
                    [only] => Wanted::Range(only, only),
                    _ => Wanted::List(list),
                };
                let values = self.column(Kind::VALUES, attr)?;
                Predicate::Numbers(Numbers { values, float, wanted }, self.here(attr)?)
            }
            Some((ty @ (20 | 21), _)) => {
                let (terms, mut list) = (self.terms(attr)?, Vec::new());
                for text in texts() {
                    list.extend(terms.find(|at| Ok((*terms.text(at)?).cmp(text)))?);
                }
                list.sort_unstable();
                self.codes_in(ty, attr, Codes::List(list))?
            }
            Some((22, _)) => {
                let mut list: Vec<Vec<u8>> = texts().map(<[u8]>::to_vec).collect();
                list.sort_unstable();
                Predicate::Texts(self.texts(attr)?, Texts::List(list), self.here(attr)?)
            }
            _ => Predicate::Always(false),
        })
    }

    fn inside(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Predicate<'_>> {
        let text = |bound: Option<&Operand>| bound.map(|bound| text_of(bound).to_vec());
        Ok(match self.attr_type(attr) {
            Some((ty @ 17..=19, _)) => {
                let float = ty == 18;
                let end = |bound: Option<&Operand>, open: i64| match bound {
                    Some(bound) => number(float, bound),
                    None => Some(open),
                };
                let Some((low, high)) = end(low, i64::MIN).zip(end(high, i64::MAX)) else {
                    return Ok(Predicate::Always(false));
                };
                let (values, wanted) = (self.column(Kind::VALUES, attr)?, Wanted::Range(low, high));
                Predicate::Numbers(Numbers { values, float, wanted }, self.here(attr)?)
            }
            Some((ty @ (20 | 21), _)) => {
                self.codes_in(ty, attr, Codes::Range(self.terms_range(attr, low, high)?))?
            }
            Some((22, _)) => {
                let wanted = Texts::Range(text(low), text(high));
                Predicate::Texts(self.texts(attr)?, wanted, self.here(attr)?)
            }
            _ => Predicate::Always(false),
        })
    }
}

#[cfg(test)]
mod tests;
