//! Attribute columns: one value of one row, or all rows that a filter allows.
//!
//! Filters become bitmaps from indexes: postings for tags, rows ordered by value for numbers and
//! texts. No row is looked at one by one unless a range takes most of a column, when reading the
//! column in order is faster than sorting what the index gives.

use crate::{
    error::Result,
    filter::{Operand, Resolved},
    format::{
        Kind,
        section::{Section, Slice},
    },
    item::Value,
    key::Timestamp,
    schema::AttrType,
    segment::{Segment, Strings, bits::Bits, read_bitmap, type_number},
};
use roaring::RoaringBitmap;
use std::{cmp::Ordering, ops::Range, sync::Arc};

/// A row without a tag has this code.
pub(crate) const NO_CODE: u32 = u32::MAX;
/// To sort a row takes as long as to look at so many words of bits.
const SORTED_FEW: usize = 8;

impl Segment {
    /// The type an attribute has here, if any row has it.
    pub(super) fn attr_type(&self, attr: u16) -> Option<(u16, u32)> {
        let at = self.meta.fields.binary_search_by_key(&attr, |f| f.id).ok()?;
        Some((self.meta.fields[at].ty, self.meta.fields[at].count))
    }

    /// A bitmap over the rows, read once and kept: single rows ask for it again and again.
    pub(super) fn bitmap(&self, kind: Kind, attr: u16) -> Result<Arc<RoaringBitmap>> {
        if let Some(bitmap) = self.bitmaps.lock().get(&(kind, attr)) {
            return Ok(bitmap.clone());
        }
        let section = self.sections.need(kind, attr)?;
        let bitmap = Arc::new(read_bitmap(section, &section.all()?, self.rows())?);
        self.bitmaps.lock().insert((kind, attr), bitmap.clone());
        Ok(bitmap)
    }

    /// The rows that have an attribute.
    pub(crate) fn present(&self, attr: u16) -> Result<RoaringBitmap> {
        match self.attr_type(attr) {
            None => Ok(RoaringBitmap::new()),
            Some((_, count)) if count == self.rows() => Ok(full(self.rows())),
            Some(_) => Ok((*self.bitmap(Kind::PRESENT, attr)?).clone()),
        }
    }

    /// The terms of a tag or tags attribute, ascending.
    pub(crate) fn terms(&self, attr: u16) -> Result<Strings<'_>> {
        let starts = self.sections.need(Kind::TERM_STARTS, attr)?;
        Strings::texts(starts, self.sections.need(Kind::TERM_BYTES, attr)?)
    }

    /// The texts of a text attribute, by row; empty where missing.
    pub(crate) fn texts(&self, attr: u16) -> Result<Strings<'_>> {
        let starts = self.sections.need(Kind::TEXT_STARTS, attr)?;
        Strings::texts(starts, self.sections.need(Kind::TEXT_BYTES, attr)?)
    }

    /// The codes of a row's tags.
    pub(crate) fn codes(&self, row: u32, attr: u16) -> Result<Vec<u32>> {
        let codes = || self.sections.need(Kind::CODES, attr);
        match self.attr_type(attr) {
            Some((20, _)) => {
                let code = codes()?.get::<u32>(row.into())?;
                Ok(if code == NO_CODE { Vec::new() } else { vec![code] })
            }
            Some((21, _)) => {
                let lists = self.sections.need(Kind::LISTS, attr)?;
                let pair = lists.column::<u64>(row.into()..u64::from(row) + 2)?;
                Ok(codes()?.column::<u32>(pair[0]..pair[1])?.to_vec())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A row's value; `None` if it is missing.
    pub(crate) fn value(&self, row: u32, attr: u16, ty: AttrType) -> Result<Option<Value>> {
        let Some((found, count)) = self.attr_type(attr) else { return Ok(None) };
        if found != type_number(ty) {
            return Err(self.damage("an attribute whose type differs from the schema's").into());
        }
        let here = || -> Result<bool> {
            Ok(count == self.rows() || self.bitmap(Kind::PRESENT, attr)?.contains(row))
        };
        let number = || self.sections.need(Kind::VALUES, attr)?.get::<i64>(row.into());
        let value = match ty {
            AttrType::Tag => {
                let terms = self.terms(attr)?;
                let code = self.codes(row, attr)?;
                return code.first().map(|code| terms.string(*code).map(Value::Text)).transpose();
            }
            AttrType::Tags => {
                let (terms, codes) = (self.terms(attr)?, self.codes(row, attr)?);
                if codes.is_empty() && !here()? {
                    return Ok(None);
                }
                let tags = codes.iter().map(|code| terms.string(*code));
                Value::Tags(tags.collect::<Result<_>>()?)
            }
            _ if !here()? => return Ok(None),
            AttrType::Bool => Value::Bool(self.bitmap(Kind::TRUE, attr)?.contains(row)),
            AttrType::Int => Value::Int(number()?),
            AttrType::Time => Value::Time(Timestamp(number()?)),
            AttrType::Float => Value::Float(f64::from_bits(number()?.cast_unsigned())),
            AttrType::Text => Value::Text(self.texts(attr)?.string(row)?),
        };
        Ok(Some(value))
    }

    /// The rows that a filter allows, dead ones among them.
    pub(crate) fn allowed(&self, filter: &Resolved) -> Result<RoaringBitmap> {
        Ok(match filter {
            Resolved::All => full(self.rows()),
            Resolved::Exists(attr) => self.present(*attr)?,
            Resolved::Is(attr, value) => self.equal(*attr, std::slice::from_ref(value))?,
            Resolved::In(attr, values) => self.equal(*attr, values)?,
            Resolved::Between(attr, low, high) => {
                self.between(*attr, low.as_ref(), high.as_ref())?
            }
            Resolved::Not(inner) => full(self.rows()) - self.allowed(inner)?,
            Resolved::And(all) => {
                let mut rows = full(self.rows());
                for filter in all {
                    if rows.is_empty() {
                        break;
                    }
                    rows &= self.allowed(filter)?;
                }
                rows
            }
            Resolved::Or(any) => {
                let mut rows = RoaringBitmap::new();
                for filter in any {
                    rows |= self.allowed(filter)?;
                }
                rows
            }
        })
    }

    /// Rows whose value is one of `values`.
    fn equal(&self, attr: u16, values: &[Operand]) -> Result<RoaringBitmap> {
        let Some((ty, _)) = self.attr_type(attr) else { return Ok(RoaringBitmap::new()) };
        let mut rows = RoaringBitmap::new();
        for value in values {
            rows |= match value {
                Operand::Bool(yes) => {
                    let on = self.bitmap(Kind::TRUE, attr)?;
                    if *yes { (*on).clone() } else { self.present(attr)? - &*on }
                }
                Operand::Text(text) if ty == 20 || ty == 21 => {
                    match self.terms(attr)?.find_text(text)? {
                        Ok(term) => self.posting(attr, term)?,
                        Err(_) => continue,
                    }
                }
                other => self.between(attr, Some(other), Some(other))?,
            };
        }
        Ok(rows)
    }

    /// The rows of one term.
    pub(super) fn posting(&self, attr: u16, term: u32) -> Result<RoaringBitmap> {
        let (postings, bytes) = self.posting_bytes(attr, term)?;
        read_bitmap(postings, &bytes, self.rows())
    }

    /// The same, as it is stored.
    pub(super) fn posting_bytes(&self, attr: u16, term: u32) -> Result<(&Section, Slice<'_>)> {
        let starts = self.sections.need(Kind::POSTING_STARTS, attr)?;
        let pair = starts.column::<u64>(term.into()..u64::from(term) + 2)?;
        let postings = self.sections.need(Kind::POSTINGS, attr)?;
        Ok((postings, postings.read(pair[0]..pair[1])?))
    }

    /// Rows whose value lies between two bounds, both inclusive.
    fn between(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<RoaringBitmap> {
        match self.attr_type(attr) {
            Some((17..=19, count)) => self.numbers_between(attr, count, low, high),
            Some((20 | 21, _)) => self.terms_between(attr, low, high),
            Some((22, count)) => self.texts_between(attr, count, low, high),
            _ => Ok(RoaringBitmap::new()),
        }
    }

    fn numbers_between(
        &self,
        attr: u16,
        count: u32,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<RoaringBitmap> {
        let range = self.numbers_range(attr, count, low, high)?;
        if u64::from(range.end - range.start) * 8 > u64::from(self.rows()) {
            let values = self.sections.need(Kind::VALUES, attr)?;
            let float = self.attr_type(attr).is_some_and(|(ty, _)| ty == 18);
            let inside = |bits: i64| {
                low.is_none_or(|low| compare(float, bits, low).is_ge())
                    && high.is_none_or(|high| compare(float, bits, high).is_le())
            };
            let all = values.column::<i64>(0..self.rows().into())?;
            let rows = (0..self.rows()).zip(all.iter()).filter(|(_, v)| inside(**v)).map(|p| p.0);
            return Ok(
                RoaringBitmap::from_sorted_iter(rows).unwrap_or_default() & self.present(attr)?
            );
        }
        let rows = self.rows_in_order(self.sections.need(Kind::SORTED, attr)?, range)?;
        Ok(RoaringBitmap::from_sorted_iter(rows).unwrap_or_default())
    }

    /// Where the numbers between two bounds are in the order of the values.
    pub(super) fn numbers_range(
        &self,
        attr: u16,
        count: u32,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Range<u32>> {
        let values = self.sections.need(Kind::VALUES, attr)?;
        let float = self.attr_type(attr).is_some_and(|(ty, _)| ty == 18);
        let sorted = self.sections.need(Kind::SORTED, attr)?;
        let value = |at: u32| values.get::<i64>(self.row_in_order(sorted, at)?.into());
        bounds(count, low, high, |at, bound| Ok(compare(float, value(at)?, bound)))
    }

    fn texts_between(
        &self,
        attr: u16,
        count: u32,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<RoaringBitmap> {
        let range = self.texts_range(attr, count, low, high)?;
        let rows = self.rows_in_order(self.sections.need(Kind::SORTED, attr)?, range)?;
        Ok(RoaringBitmap::from_sorted_iter(rows).unwrap_or_default())
    }

    /// Where the texts between two bounds are in the order of the texts.
    pub(super) fn texts_range(
        &self,
        attr: u16,
        count: u32,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Range<u32>> {
        let (texts, sorted) = (self.texts(attr)?, self.sections.need(Kind::SORTED, attr)?);
        bounds(count, low, high, |at, bound| {
            let row = self.row_in_order(sorted, at)?;
            Ok((*texts.text(row)?).cmp(text_of(bound)))
        })
    }

    fn terms_between(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        for term in self.terms_range(attr, low, high)? {
            rows |= self.posting(attr, term)?;
        }
        Ok(rows)
    }

    /// The terms between two bounds.
    pub(super) fn terms_range(
        &self,
        attr: u16,
        low: Option<&Operand>,
        high: Option<&Operand>,
    ) -> Result<Range<u32>> {
        let terms = self.terms(attr)?;
        let compare = |at, bound: &Operand| Ok((*terms.text(at)?).cmp(text_of(bound)));
        bounds(terms.len(), low, high, compare)
    }

    /// The rows with the largest values of a time attribute up to `until`, among `rows`: values and
    /// rows, latest first, equal ones by row, at most `limit`.
    pub(crate) fn latest(
        &self,
        attr: u16,
        until: i64,
        rows: &RoaringBitmap,
        limit: usize,
    ) -> Result<Vec<(i64, u32)>> {
        let Some((19, count)) = self.attr_type(attr) else { return Ok(Vec::new()) };
        let values = self.sections.need(Kind::VALUES, attr)?;
        let sorted = self.sections.need(Kind::SORTED, attr)?;
        let high = Operand::Int(until);
        let range = bounds(count, None, Some(&high), |at, _| {
            Ok(values.get::<i64>(self.row_in_order(sorted, at)?.into())?.cmp(&until))
        })?;
        let mut latest: Vec<(i64, u32)> = Vec::new();
        for at in range.rev() {
            let row = self.row_in_order(sorted, at)?;
            let value = values.get::<i64>(row.into())?;
            // Within a run of equal values rows ascend, so a run is taken whole before it is cut.
            if latest.len() >= limit && latest.last().is_some_and(|last| last.0 != value) {
                break;
            }
            if rows.contains(row) {
                latest.push((value, row));
            }
        }
        latest.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        latest.truncate(limit);
        Ok(latest)
    }

    fn row_in_order(&self, sorted: &Section, at: u32) -> Result<u32> {
        let row = sorted.get::<u32>(at.into())?;
        if row >= self.rows() {
            return Err(sorted.corrupt(u64::from(at) * 4, "a row that does not exist").into());
        }
        Ok(row)
    }

    /// The rows at some places of the order of the values, ascending.
    pub(super) fn rows_in_order(&self, sorted: &Section, range: Range<u32>) -> Result<Vec<u32>> {
        let rows = sorted.column::<u32>(range.start.into()..range.end.into())?;
        if rows.iter().max() >= Some(&self.rows()) {
            return Err(sorted.corrupt(0, "a row that does not exist").into());
        }
        // To go through all bits is less than to sort, unless rows are very few.
        if rows.len() * SORTED_FEW > self.rows() as usize / 64 {
            let mut bits = Bits::default();
            rows.iter().for_each(|row| bits.insert(*row));
            return Ok(bits.iter().collect());
        }
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }
}

/// How a stored number, an int or a float by its bits, compares with an operand.
fn compare(float: bool, bits: i64, bound: &Operand) -> Ordering {
    match bound {
        Operand::Int(bound) if !float => bits.cmp(bound),
        Operand::Int(bound) => f64::from_bits(bits.cast_unsigned()).total_cmp(&(*bound as f64)),
        Operand::Float(bound) => f64::from_bits(bits.cast_unsigned()).total_cmp(bound),
        Operand::Bool(_) | Operand::Text(_) => Ordering::Less,
    }
}

pub(super) fn text_of(bound: &Operand) -> &[u8] {
    match bound {
        Operand::Text(text) => text.as_bytes(),
        _ => &[],
    }
}

/// The positions of an ascending list between two bounds, both inclusive.
fn bounds(
    count: u32,
    low: Option<&Operand>,
    high: Option<&Operand>,
    compare: impl Fn(u32, &Operand) -> Result<Ordering>,
) -> Result<Range<u32>> {
    let partition = |below: &dyn Fn(Ordering) -> bool, bound: &Operand| -> Result<u32> {
        let (mut from, mut to) = (0, count);
        while from < to {
            let middle = from + (to - from) / 2;
            if below(compare(middle, bound)?) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    };
    let start = low.map_or(Ok(0), |bound| partition(&Ordering::is_lt, bound))?;
    let end = high.map_or(Ok(count), |bound| partition(&Ordering::is_le, bound))?;
    Ok(start..end.max(start))
}

/// All rows of a segment.
pub(crate) fn full(rows: u32) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..rows);
    all
}
