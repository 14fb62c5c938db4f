//! Exact search: every allowed row is scored, in blocks that fit the cache.

use crate::{
    error::Result,
    schema::Space,
    search::top::Top,
    segment::{Segment, Stored, numbers},
    vector::probe::Probe,
};
use roaring::RoaringBitmap;
use std::{borrow::Cow, ops::Range, sync::Arc};

/// A prepared query in one space, and its weight in the sum.
pub(crate) struct Query {
    pub(crate) space: Arc<Space>,
    pub(crate) probe: Probe,
    pub(crate) weight: f32,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (space, weight) = (&self.space.name, self.weight);
        f.debug_struct("Query").field("space", space).field("weight", &weight).finish()
    }
}

/// Rows scored at a time: their scores stay in the first-level cache.
const BLOCK_ROWS: u32 = 1024;

/// Rows that are asked for before they are scored, where they do not follow each other.
const AHEAD: usize = 8;

/// Which rows of a segment to look at.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    All,
    Only(&'a RoaringBitmap),
    /// Ascending.
    List(&'a [u32]),
    Where(&'a dyn Fn(u32) -> bool),
}

/// How several queries make one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blend {
    /// The weighted sum; queries may be in different spaces.
    Sum,
    /// The best of them; all are in one space.
    Best,
}

/// Scores the allowed rows of `range` and offers them to `top`. A row must have a vector in every
/// space that is asked for.
pub(crate) fn scan(
    segment: &Segment,
    (queries, blend): (&[Query], Blend),
    rows: Rows<'_>,
    range: Range<u32>,
    top: &mut Top,
) -> Result<()> {
    blended(segment, (queries, blend), rows, range, &mut |rows, scores| match is_run(rows) {
        true => top.push_block(rows[0], scores),
        false => rows.iter().zip(scores).for_each(|(row, score)| top.push(*score, *row)),
    })
}

/// Whether ascending rows follow each other without a gap.
fn is_run(rows: &[u32]) -> bool {
    rows.first().zip(rows.last()).is_some_and(|(a, b)| (b - a) as usize + 1 == rows.len())
}

/// Scores the allowed rows of `range`, block by block, ascending by row; scores are weighted sums.
pub(crate) fn scored(
    segment: &Segment,
    queries: &[Query],
    rows: Rows<'_>,
    range: Range<u32>,
    visit: &mut dyn FnMut(&[u32], &[f32]),
) -> Result<()> {
    blended(segment, (queries, Blend::Sum), rows, range, visit)
}

/// The same, with scores put together as `blend` says.
pub(crate) fn blended(
    segment: &Segment,
    (queries, blend): (&[Query], Blend),
    rows: Rows<'_>,
    range: Range<u32>,
    visit: &mut dyn FnMut(&[u32], &[f32]),
) -> Result<()> {
    let mut columns = Vec::with_capacity(queries.len());
    for query in queries {
        match segment.space(&query.space)? {
            Some(stored) => columns.push(Scorer::new(query, stored)?),
            None => return Ok(()),
        }
    }
    let mut blocks = Blocks::new(rows, range);
    let (mut block, mut sums, mut others) = (Vec::new(), Vec::new(), Vec::new());
    while blocks.next(&mut block) {
        for column in &columns {
            column.present.keep(&mut block);
        }
        if block.is_empty() {
            continue;
        }
        sums.clear();
        sums.resize(block.len(), 0.0);
        for (at, column) in columns.iter_mut().enumerate() {
            if blend == Blend::Sum || at == 0 {
                column.add(&block, &mut sums)?;
                continue;
            }
            others.clear();
            others.resize(block.len(), 0.0);
            column.add(&block, &mut others)?;
            sums.iter_mut().zip(&others).for_each(|(best, score)| *best = best.max(*score));
        }
        visit(&block, &sums);
    }
    Ok(())
}

/// Who is told of some rows and, for every query, their scores.
pub(crate) type Visit<'v> = dyn FnMut(&[u32], &[Vec<f32>]) -> Result<()> + 'v;

/// Scores the allowed rows of `range` by each query apart, block by block, ascending by row: a list of
/// scores for every query, NaN where a row has no vector. Weights count as anywhere.
pub(crate) fn apart(
    segment: &Segment,
    queries: &[Query],
    rows: Rows<'_>,
    range: Range<u32>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let mut columns = Vec::with_capacity(queries.len());
    for query in queries {
        let stored = segment.space(&query.space)?;
        columns.push(stored.map(|stored| Scorer::new(query, stored)).transpose()?);
    }
    let mut blocks = Blocks::new(rows, range);
    let mut scores = vec![Vec::new(); queries.len()];
    let (mut block, mut here, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    while blocks.next(&mut block) {
        if block.is_empty() {
            continue;
        }
        for (column, scores) in columns.iter_mut().zip(&mut scores) {
            scores.clear();
            scores.resize(block.len(), f32::NAN);
            let Some(column) = column else { continue };
            if column.present.0.is_none() {
                scores.fill(0.0);
                column.add(&block, scores)?;
                continue;
            }
            here.clone_from(&block);
            column.present.keep(&mut here);
            if here.is_empty() {
                continue;
            }
            sums.clear();
            sums.resize(here.len(), 0.0);
            column.add(&here, &mut sums)?;
            let mut places = block.iter().zip(scores.iter_mut());
            for (row, sum) in here.iter().zip(&sums) {
                if let Some((_, score)) = places.find(|(place, _)| *place == row) {
                    *score = *sum;
                }
            }
        }
        visit(&block, &scores)?;
    }
    Ok(())
}

/// The rows to look at, a block at a time.
pub(super) struct Blocks<'a> {
    range: Range<u32>,
    rows: Left<'a>,
}

enum Left<'a> {
    All,
    Only(roaring::bitmap::Iter<'a>),
    List(&'a [u32]),
    Where(&'a dyn Fn(u32) -> bool),
}

impl<'a> Blocks<'a> {
    pub(super) fn new(rows: Rows<'a>, range: Range<u32>) -> Blocks<'a> {
        let rows = match rows {
            Rows::All => Left::All,
            Rows::Only(bitmap) => Left::Only(bitmap.range(range.clone())),
            Rows::List(list) => {
                let place = |row| list.partition_point(|one| *one < row);
                Left::List(&list[place(range.start)..place(range.end)])
            }
            Rows::Where(allowed) => Left::Where(allowed),
        };
        Blocks { range, rows }
    }

    /// Puts the next rows into `block`, perhaps none; `false` after the last.
    pub(super) fn next(&mut self, block: &mut Vec<u32>) -> bool {
        block.clear();
        let start = self.range.start;
        let end = self.range.end.min(start.saturating_add(BLOCK_ROWS));
        match &mut self.rows {
            Left::Only(rows) => block.extend(rows.by_ref().take(BLOCK_ROWS as usize)),
            Left::List(list) => {
                let (now, rest) = list.split_at(list.len().min(BLOCK_ROWS as usize));
                block.extend(now);
                *list = rest;
            }
            Left::All => block.extend(start..end),
            Left::Where(allowed) => block.extend((start..end).filter(|row| allowed(*row))),
        }
        match self.rows {
            Left::Only(_) | Left::List(_) => !block.is_empty(),
            Left::All | Left::Where(_) => {
                self.range.start = end;
                start < end
            }
        }
    }
}

/// The rows that have a vector, ascending; `None` if all have.
pub(super) struct Present(Option<Vec<u32>>);

impl Present {
    pub(super) fn of(stored: &Stored<'_>) -> Result<Present> {
        stored.row_list().map(Present)
    }

    /// Drops rows without a vector from ascending ones.
    pub(super) fn keep(&self, rows: &mut Vec<u32>) {
        let Some(present) = &self.0 else { return };
        let Some(first) = rows.first() else { return };
        let mut at = present.partition_point(|row| row < first);
        rows.retain(|row| {
            while present.get(at).is_some_and(|p| p < row) {
                at += 1;
            }
            present.get(at) == Some(row)
        });
    }

    /// Where the vectors of rows are that all have one.
    pub(super) fn places<'r>(&self, rows: &'r [u32]) -> Cow<'r, [u32]> {
        let Some(present) = &self.0 else { return Cow::Borrowed(rows) };
        let place = |row: &u32| present.partition_point(|p| p < row) as u32;
        Cow::Owned(rows.iter().map(place).collect())
    }
}

/// One space of one segment with its query.
struct Scorer<'a> {
    query: &'a Query,
    stored: Stored<'a>,
    present: Present,
    scores: Vec<f32>,
}

impl<'a> Scorer<'a> {
    fn new(query: &'a Query, stored: Stored<'a>) -> Result<Scorer<'a>> {
        let present = Present::of(&stored)?;
        Ok(Scorer { query, stored, present, scores: Vec::new() })
    }

    /// Adds the weighted scores of `rows`, which all have a vector, ascending.
    fn add(&mut self, rows: &[u32], sums: &mut [f32]) -> Result<()> {
        let places = self.present.places(rows);
        let places = &places[..];
        if is_run(places) {
            return self.add_stretch(places, sums);
        }
        let (mut done, mut asked) = (0, 0);
        while done < places.len() {
            // Rows here and there are not foreseen by the processor.
            let ahead = (done + AHEAD).min(places.len());
            for place in &places[ahead.min(asked)..ahead] {
                self.stored.touch(*place);
            }
            asked = ahead;
            // A stretch with few gaps is cheaper to score whole than row by row.
            let mut end = done + 1;
            while end < places.len() && places[end] - places[end - 1] <= 3 {
                end += 1;
            }
            self.add_stretch(&places[done..end], &mut sums[done..end])?;
            done = end;
        }
        Ok(())
    }

    fn add_stretch(&mut self, places: &[u32], sums: &mut [f32]) -> Result<()> {
        let (from, to) = (places[0], places[places.len() - 1] + 1);
        let count = (to - from) as usize;
        self.scores.resize(self.scores.len().max(count), 0.0);
        self.stored.ask(from, to);
        let bytes = self.stored.read(from, to)?;
        let scales = match self.stored.scales {
            Some(section) => Some((section, section.read(u64::from(from) * 4..u64::from(to) * 4)?)),
            None => None,
        };
        let scales = match &scales {
            Some((section, bytes)) => numbers::<f32>(section, bytes)?,
            None => &[],
        };
        self.query.probe.scores(&bytes, scales, &mut self.scores[..count]);
        let weight = self.query.weight;
        // Weights may take a finite score beyond what an f32 holds; results stay finite (V8).
        let add =
            |sum: &mut f32, score: f32| *sum = (*sum + weight * score).clamp(f32::MIN, f32::MAX);
        if count == places.len() {
            sums.iter_mut().zip(&self.scores).for_each(|(sum, score)| add(sum, *score));
        } else {
            let score = |place: &u32| self.scores[(place - from) as usize];
            sums.iter_mut().zip(places).for_each(|(sum, place)| add(sum, score(place)));
        }
        Ok(())
    }
}
