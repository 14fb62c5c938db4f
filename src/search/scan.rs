//! Exact search: every allowed row is scored, in blocks that fit the cache.

use crate::{
    error::Result,
    schema::Space,
    search::{
        blocks::{Blocks, Rows},
        present,
        top::Top,
    },
    segment::{Segment, Stored, numbers},
    vector::probe::Probe,
};
use std::{ops::Range, sync::Arc};

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

/// Rows that are asked for before they are scored, where they do not follow each other.
const AHEAD: usize = 8;

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
    let (columns, mut spaces) = columns(segment, queries)?;
    let Some(mut columns) = columns.into_iter().collect::<Option<Vec<Scorer<'_>>>>() else {
        return Ok(());
    };
    let mut blocks = Blocks::new(rows, range);
    let (mut block, mut sums, mut others) = (Vec::new(), Vec::new(), Vec::new());
    while blocks.next(&mut block) {
        spaces.iter().try_for_each(|space| present::keep(&space.stored, &mut block))?;
        if block.is_empty() {
            continue;
        }
        spaces.iter_mut().try_for_each(|space| space.find(&block))?;
        sums.clear();
        sums.resize(block.len(), 0.0);
        for (at, column) in columns.iter_mut().enumerate() {
            let space = &spaces[column.space];
            if blend == Blend::Sum || at == 0 {
                column.add(space, &mut sums)?;
                continue;
            }
            others.clear();
            others.resize(block.len(), 0.0);
            column.add(space, &mut others)?;
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
    let (mut columns, mut spaces) = columns(segment, queries)?;
    let mut blocks = Blocks::new(rows, range);
    let mut scores = vec![Vec::new(); queries.len()];
    let mut here = vec![Vec::new(); spaces.len()];
    let (mut block, mut sums) = (Vec::new(), Vec::new());
    while blocks.next(&mut block) {
        if block.is_empty() {
            continue;
        }
        for (space, here) in spaces.iter_mut().zip(&mut here) {
            here.clone_from(&block);
            present::keep(&space.stored, here)?;
            space.find(here)?;
        }
        for (column, scores) in columns.iter_mut().zip(&mut scores) {
            scores.clear();
            scores.resize(block.len(), f32::NAN);
            let Some(column) = column else { continue };
            let (space, here) = (&spaces[column.space], &here[column.space]);
            if here.len() == block.len() {
                scores.fill(0.0);
                column.add(space, scores)?;
                continue;
            }
            if here.is_empty() {
                continue;
            }
            sums.clear();
            sums.resize(here.len(), 0.0);
            column.add(space, &mut sums)?;
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

/// One query with the vectors of its space.
struct Scorer<'a> {
    query: &'a Query,
    /// Which of the spaces that are asked for.
    space: usize,
    scores: Vec<f32>,
}

/// A space of a segment, and where in it the rows of a block are.
struct Asked<'a> {
    stored: Stored<'a>,
    places: Vec<u32>,
}

/// The queries, and their spaces, each once; `None` in place of one that the segment has no vectors of.
fn columns<'a>(
    segment: &'a Segment,
    queries: &'a [Query],
) -> Result<(Vec<Option<Scorer<'a>>>, Vec<Asked<'a>>)> {
    let (mut spaces, mut known): (Vec<Asked<'a>>, Vec<u16>) = (Vec::new(), Vec::new());
    let mut columns = Vec::with_capacity(queries.len());
    for query in queries {
        let id = query.space.id;
        let space = match known.iter().position(|other| *other == id) {
            Some(space) => space,
            None => {
                let Some(stored) = segment.space(&query.space)? else {
                    columns.push(None);
                    continue;
                };
                spaces.push(Asked { stored, places: Vec::new() });
                known.push(id);
                known.len() - 1
            }
        };
        columns.push(Some(Scorer { query, space, scores: Vec::new() }));
    }
    Ok((columns, spaces))
}

impl Asked<'_> {
    /// Finds the vectors of ascending rows that all have one.
    fn find(&mut self, rows: &[u32]) -> Result<()> {
        self.places.clear();
        self.places.extend_from_slice(&present::places(&self.stored, rows)?);
        Ok(())
    }
}

impl Scorer<'_> {
    /// Adds the weighted scores of the vectors at ascending places.
    fn add(&mut self, Asked { stored, places }: &Asked<'_>, sums: &mut [f32]) -> Result<()> {
        if is_run(places) {
            return self.add_stretch(stored, places, sums);
        }
        let (mut done, mut asked) = (0, 0);
        while done < places.len() {
            // Rows here and there are not foreseen by the processor.
            let ahead = (done + AHEAD).min(places.len());
            for place in &places[ahead.min(asked)..ahead] {
                stored.touch(*place);
            }
            asked = ahead;
            // A stretch with few gaps is cheaper to score whole than row by row.
            let mut end = done + 1;
            while end < places.len() && places[end] - places[end - 1] <= 3 {
                end += 1;
            }
            self.add_stretch(stored, &places[done..end], &mut sums[done..end])?;
            done = end;
        }
        Ok(())
    }

    fn add_stretch(&mut self, stored: &Stored<'_>, places: &[u32], sums: &mut [f32]) -> Result<()> {
        let (from, to) = (places[0], places[places.len() - 1] + 1);
        let count = (to - from) as usize;
        self.scores.resize(self.scores.len().max(count), 0.0);
        stored.ask(from, to);
        let bytes = stored.read(from, to)?;
        let scales = match stored.scales {
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
