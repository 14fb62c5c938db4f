//! Writes one column of a merged segment at a time, from wherever its rows are.

use crate::{
    error::Result,
    format::{
        Kind,
        archive::Field,
        columns::{Plain, raw},
        sink::Sink,
    },
    item::Value,
    progress::Progress,
    schema::{Attr, AttrType, Encoding, Space},
    segment::{
        Segment, attrs::NO_CODE, dead::bitmap_bytes, encoding_number, source::Source, type_number,
    },
};
use roaring::RoaringBitmap;
use std::collections::HashMap;

/// A column of numbers.
pub(crate) fn column<T: Plain>(
    kind: Kind,
    numbers: impl IntoIterator<Item = T>,
    sink: &mut Sink,
) -> Result<()> {
    field_column(kind, 0, numbers, sink)
}

fn field_column<T: Plain>(
    kind: Kind,
    field: u16,
    numbers: impl IntoIterator<Item = T>,
    sink: &mut Sink,
) -> Result<()> {
    sink.begin(kind, field)?;
    let mut piece = Vec::with_capacity(4096);
    for number in numbers {
        piece.push(number);
        if piece.len() == 4096 {
            sink.write(raw(&piece))?;
            piece.clear();
        }
    }
    sink.write(raw(&piece))
}

/// A list of strings as starts and bytes.
pub(crate) fn strings<'s>(
    (starts, bytes): (Kind, Kind),
    field: u16,
    texts: impl Iterator<Item = &'s [u8]> + Clone,
    sink: &mut Sink,
) -> Result<()> {
    let mut end = 0;
    let ends = texts.clone().map(|text| {
        end += text.len() as u64;
        end
    });
    field_column(starts, field, std::iter::once(0).chain(ends), sink)?;
    sink.begin(bytes, field)?;
    for text in texts {
        sink.write(text)?;
    }
    Ok(())
}

/// The vectors of one space; nothing if no row has one.
pub(crate) fn vectors(
    space: &Space,
    sources: &[Source<'_>],
    rows: &[(u32, u32)],
    sink: &mut Sink,
    progress: &mut Progress<'_>,
) -> Result<Option<Field>> {
    let mut stored = Vec::with_capacity(sources.len());
    for source in sources {
        stored.push(match source {
            Source::Part { segment, .. } => segment.space(space)?,
            Source::Fresh { .. } => None,
        });
    }
    let size = space.encoding.row_bytes(space.dim);
    let (mut present, mut scales) = (Vec::new(), Vec::new());
    for (new, (source, row)) in (0u32..).zip(rows) {
        progress.advance(1)?;
        match (&sources[*source as usize], &stored[*source as usize]) {
            (Source::Fresh { rows, .. }, _) => {
                let Some(bytes) = rows[*row as usize].vector(space.id) else { continue };
                let (vector, scale) = bytes.split_at(size);
                begin_once(sink, present.is_empty(), space.id)?;
                sink.write(vector)?;
                scales.extend(scale.first_chunk::<4>().map(|four| f32::from_le_bytes(*four)));
            }
            (Source::Part { .. }, Some(from)) => {
                let Some(at) = from.position(*row)? else { continue };
                begin_once(sink, present.is_empty(), space.id)?;
                sink.write(&from.read(at, at + 1)?)?;
                if let Some(section) = from.scales {
                    scales.push(section.get::<f32>(at.into())?);
                }
            }
            _ => continue,
        }
        present.push(new);
    }
    let count = present.len() as u32;
    if count == 0 {
        return Ok(None);
    }
    if present.len() < rows.len() {
        field_column(Kind::VECTOR_ROWS, space.id, present, sink)?;
    }
    if space.encoding == Encoding::I8 {
        field_column(Kind::SCALES, space.id, scales, sink)?;
    }
    let ty = encoding_number(space.encoding);
    Ok(Some(Field { id: space.id, ty, dim: space.dim, count }))
}

fn begin_once(sink: &mut Sink, first: bool, field: u16) -> Result<()> {
    if first { sink.begin(Kind::VECTORS, field) } else { Ok(()) }
}

/// The values of one attribute; nothing if no row has one.
pub(crate) fn attribute(
    attr: &Attr,
    sources: &[Source<'_>],
    rows: &[(u32, u32)],
    sink: &mut Sink,
) -> Result<Option<Field>> {
    let present = match attr.ty {
        AttrType::Tag | AttrType::Tags => tags(attr, sources, rows, sink)?,
        AttrType::Text => texts(attr, sources, rows, sink)?,
        _ => numbers(attr, sources, rows, sink)?,
    };
    let count = present.len() as u32;
    if count == 0 {
        return Ok(None);
    }
    if (count as usize) < rows.len() {
        sink.section(Kind::PRESENT, attr.id, &bitmap_bytes(&present))?;
    }
    Ok(Some(Field { id: attr.id, ty: type_number(attr.ty), dim: 0, count }))
}

fn value_of(attr: &Attr, source: &Source<'_>, row: u32) -> Result<Option<Value>> {
    match source {
        Source::Fresh { rows, .. } => Ok(rows[row as usize].attr(attr.id).cloned()),
        Source::Part { segment, .. } => segment.value(row, attr.id, attr.ty),
    }
}

fn numbers(
    attr: &Attr,
    sources: &[Source<'_>],
    rows: &[(u32, u32)],
    sink: &mut Sink,
) -> Result<RoaringBitmap> {
    let (mut present, mut on) = (RoaringBitmap::new(), RoaringBitmap::new());
    let mut values = vec![0i64; rows.len()];
    for (new, (source, row)) in (0u32..).zip(rows) {
        let bits = match value_of(attr, &sources[*source as usize], *row)? {
            Some(Value::Bool(yes)) => {
                if yes {
                    on.insert(new);
                }
                0
            }
            Some(Value::Int(n)) => n,
            Some(Value::Time(t)) => t.0,
            Some(Value::Float(x)) => x.to_bits().cast_signed(),
            _ => continue,
        };
        present.insert(new);
        values[new as usize] = bits;
    }
    if present.is_empty() {
        return Ok(present);
    }
    if attr.ty == AttrType::Bool {
        sink.section(Kind::TRUE, attr.id, &bitmap_bytes(&on))?;
        return Ok(present);
    }
    let mut order: Vec<u32> = present.iter().collect();
    if attr.ty == AttrType::Float {
        let float = |row: u32| f64::from_bits(values[row as usize].cast_unsigned());
        order.sort_by(|a, b| float(*a).total_cmp(&float(*b)));
    } else {
        order.sort_by_key(|row| values[*row as usize]);
    }
    field_column(Kind::VALUES, attr.id, values, sink)?;
    field_column(Kind::SORTED, attr.id, order, sink)?;
    Ok(present)
}

fn texts(
    attr: &Attr,
    sources: &[Source<'_>],
    rows: &[(u32, u32)],
    sink: &mut Sink,
) -> Result<RoaringBitmap> {
    let mut present = RoaringBitmap::new();
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    for (new, (source, row)) in (0u32..).zip(rows) {
        texts.push(match value_of(attr, &sources[*source as usize], *row)? {
            Some(Value::Text(text)) => {
                present.insert(new);
                text.into_bytes()
            }
            _ => Vec::new(),
        });
    }
    if present.is_empty() {
        return Ok(present);
    }
    let kinds = (Kind::TEXT_STARTS, Kind::TEXT_BYTES);
    strings(kinds, attr.id, texts.iter().map(Vec::as_slice), sink)?;
    let mut order: Vec<u32> = present.iter().collect();
    order.sort_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
    field_column(Kind::SORTED, attr.id, order, sink)?;
    Ok(present)
}

/// Terms while they are gathered, numbered as they come.
#[derive(Default)]
struct Terms {
    numbers: HashMap<String, u32>,
    /// For each source that is a segment: its codes to ours, filled as they are met.
    known: Vec<Vec<u32>>,
}

impl Terms {
    fn add(&mut self, term: &str) -> u32 {
        if let Some(number) = self.numbers.get(term) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(term.to_owned(), number);
        number
    }

    /// The number of a segment's own code: its text is read once, not once per row.
    fn add_code(&mut self, source: usize, segment: &Segment, attr: u16, code: u32) -> Result<u32> {
        if let Some(number) = self.known[source].get(code as usize).filter(|n| **n != NO_CODE) {
            return Ok(*number);
        }
        let number = self.add(&segment.terms(attr)?.string(code)?);
        let known = &mut self.known[source];
        known.resize(known.len().max(code as usize + 1), NO_CODE);
        known[code as usize] = number;
        Ok(number)
    }
}

fn tags(
    attr: &Attr,
    sources: &[Source<'_>],
    rows: &[(u32, u32)],
    sink: &mut Sink,
) -> Result<RoaringBitmap> {
    let mut terms = Terms { known: vec![Vec::new(); sources.len()], ..Terms::default() };
    let (mut present, mut codes, mut ends) = (RoaringBitmap::new(), Vec::new(), vec![0u64]);
    for (new, (s, row)) in (0u32..).zip(rows) {
        let (source, before) = (&sources[*s as usize], codes.len());
        let here = match source {
            Source::Fresh { rows, .. } => match rows[*row as usize].attr(attr.id) {
                Some(Value::Text(tag)) => {
                    codes.push(terms.add(tag));
                    true
                }
                Some(Value::Tags(tags)) => {
                    codes.extend(tags.iter().map(|tag| terms.add(tag)));
                    true
                }
                _ => false,
            },
            Source::Part { segment, .. } => {
                for code in segment.codes(*row, attr.id)? {
                    codes.push(terms.add_code(*s as usize, segment, attr.id, code)?);
                }
                codes.len() > before || segment.value(*row, attr.id, attr.ty)?.is_some()
            }
        };
        if here {
            present.insert(new);
        }
        if attr.ty == AttrType::Tag && codes.len() == before {
            codes.push(NO_CODE);
        }
        ends.push(codes.len() as u64);
    }
    if !present.is_empty() {
        write_tags(attr, terms, (codes, ends), sink)?;
    }
    Ok(present)
}

fn write_tags(
    attr: &Attr,
    terms: Terms,
    (mut codes, ends): (Vec<u32>, Vec<u64>),
    sink: &mut Sink,
) -> Result<()> {
    let mut sorted: Vec<(String, u32)> = terms.numbers.into_iter().collect();
    sorted.sort();
    let mut place = vec![0; sorted.len()];
    for (at, (_, number)) in (0u32..).zip(&sorted) {
        place[*number as usize] = at;
    }
    codes.iter_mut().filter(|code| **code != NO_CODE).for_each(|c| *c = place[*c as usize]);
    let mut postings = vec![RoaringBitmap::new(); sorted.len()];
    for (row, pair) in (0u32..).zip(ends.windows(2)) {
        let list = &mut codes[pair[0] as usize..pair[1] as usize];
        list.sort_unstable();
        for code in list.iter().filter(|code| **code != NO_CODE) {
            postings[*code as usize].insert(row);
        }
    }
    field_column(Kind::CODES, attr.id, codes, sink)?;
    if attr.ty == AttrType::Tags {
        field_column(Kind::LISTS, attr.id, ends, sink)?;
    }
    let texts = sorted.iter().map(|(term, _)| term.as_bytes());
    strings((Kind::TERM_STARTS, Kind::TERM_BYTES), attr.id, texts, sink)?;
    let postings: Vec<Vec<u8>> = postings.iter().map(bitmap_bytes).collect();
    let kinds = (Kind::POSTING_STARTS, Kind::POSTINGS);
    strings(kinds, attr.id, postings.iter().map(Vec::as_slice), sink)
}
