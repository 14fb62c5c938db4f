//! Searching all parts of a snapshot and putting together what they found.

use crate::{
    defects::{self, Defect},
    error::{Error, Result},
    key::{Addr, Key, Row, Seq},
    schema::Space,
    search::{
        choose::{Choice, Task, choose},
        graph::{
            Graph,
            skim::skim,
            walk::{Ask, Cost, walk},
        },
        scan::{self, Blend, Query},
        top::Top,
    },
    store::{sieve::Sieve, snapshot::Snapshot, spread::spread},
    vector::probe::Probe,
};
use std::{cell::Cell, cmp::Ordering, ops::Range, sync::Arc};

/// One item that was found.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
/// db.batch().put(Item::new(1u64).vector("text", [1.0, 0.0])).commit()?;
/// let hits = db.snapshot().near("text", &[0.5, 0.0]).run()?;
/// assert_eq!((&hits[0].key, hits[0].score), (&Key::Id(1), 0.5));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// The item.
    pub key: Key,
    /// Larger is closer, whatever the metric; always finite.
    pub score: f32,
    /// Where it lives in the snapshot that was asked.
    pub addr: Addr,
}

/// How many items of each group have been returned.
pub(crate) type Groups = Vec<(String, usize)>;

/// Where a page ended. Good for the snapshot it came from.
///
/// ```
/// # use bowerbird::*;
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 1, Metric::Dot))?;
/// for id in 0..3u64 {
///     db.batch().put(Item::new(id).vector("text", [1.0])).commit()?;
/// }
/// let snapshot = db.snapshot();
/// let first = snapshot.near("text", &[1.0]).limit(2).page(None)?;
/// let second = snapshot.near("text", &[1.0]).limit(2).page(first.next.as_ref())?;
/// assert_eq!((first.hits.len(), second.hits.len()), (2, 1));
/// assert!(second.next.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    pub(crate) seq: Seq,
    pub(crate) score: f32,
    pub(crate) key: Key,
    pub(crate) groups: Groups,
}

/// A checked query.
pub(crate) fn prepare(space: &Arc<Space>, vector: &[f32], weight: f32) -> Result<Query> {
    Ok(Query { space: space.clone(), probe: Probe::new(space, vector)?, weight })
}

/// How far to look where there is a graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Depth {
    Effort(u32),
    /// As far as it takes to find this share.
    Recall(f32),
    /// Scan.
    Exact,
}

/// What to find, checked.
pub(crate) struct Question<'a> {
    pub(crate) queries: &'a [Query],
    pub(crate) blend: Blend,
    pub(crate) limit: usize,
    pub(crate) depth: Depth,
    /// Only what comes after this; scanned, since a page leaves nothing out.
    pub(crate) after: Option<&'a Cursor>,
}

/// Rows per piece of work, when several threads share a scan.
const PIECE_ROWS: u32 = 1 << 16;

/// How the graph of a part is used.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// Every allowed row is looked at by its signs; the more effort, the more are compared.
    Skim(u32),
    /// Walked, with this effort.
    Walk(u32),
}

/// Some work that one thread does.
enum Piece<'a> {
    Scan(usize, Range<u32>),
    Graph(usize, &'a Graph, Way),
}

/// What a piece found.
pub(crate) type Finds = (Vec<(f32, Addr)>, Cost);

/// The best rows of a snapshot among those that the sieves (one per part) let through, in total
/// order, and what the walks cost. As many as asked for, if as many are allowed.
pub(crate) fn search(
    snapshot: &Snapshot,
    sieves: &[Sieve<'_>],
    question: &Question<'_>,
    threads: usize,
) -> Result<(Vec<Hit>, Cost)> {
    let mut pieces = Vec::with_capacity(sieves.len());
    for (at, sieve) in sieves.iter().enumerate() {
        if let Some((graph, way)) = plan(snapshot, at, sieve, question)? {
            pieces.push(Piece::Graph(at, graph, way));
            continue;
        }
        let count = snapshot.version.parts[at].segment.rows();
        let size = if threads > 1 { PIECE_ROWS } else { u32::MAX };
        let mut start = 0;
        while start < count {
            let end = start.saturating_add(size).min(count);
            pieces.push(Piece::Scan(at, start..end));
            start = end;
        }
    }
    let work = |piece: usize| match &pieces[piece] {
        Piece::Scan(at, range) => {
            let mut top = Top::new(question.limit);
            scan_piece(snapshot, *at, &sieves[*at], range.clone(), question, &mut top)?;
            Ok((at_part(*at, top), Cost::default()))
        }
        Piece::Graph(at, graph, way) => {
            by_graph(snapshot, *at, &sieves[*at], (graph, *way), question)
        }
    };
    let (mut found, mut cost) = (Vec::new(), Cost::default());
    for (some, its) in spread(pieces.len(), threads, work)? {
        cost.scored += its.scored;
        cost.expanded += its.expanded;
        match found.is_empty() {
            true => found = some,
            false => found.extend(some),
        }
    }
    Ok((order(snapshot, found, question.limit)?, cost))
}

pub(crate) fn at_part(at: usize, top: Top) -> Vec<(f32, Addr)> {
    let addr = |row| Addr { part: at as u32, row: Row(row) };
    top.into_sorted().into_iter().map(|(score, row)| (score, addr(row))).collect()
}

/// Whether to use a graph of a part, and how.
pub(crate) fn plan<'s>(
    snapshot: &'s Snapshot,
    at: usize,
    sieve: &Sieve<'_>,
    question: &Question<'_>,
) -> Result<Option<(&'s Graph, Way)>> {
    let (part, queries) = (&snapshot.version.parts[at], question.queries);
    let summed = question.blend == Blend::Sum && queries.len() != 1;
    let (false, None, Some(query)) = (summed, question.after, queries.first()) else {
        return Ok(None);
    };
    let Some(graph) = part.graph(query.space.id) else { return Ok(None) };
    let effort = match question.depth {
        Depth::Effort(effort) => effort,
        Depth::Recall(target) => graph.effort_for(target),
        Depth::Exact => return Ok(None),
    };
    let task = Task {
        rows: part.segment.rows().into(),
        allowed: sieve.estimate()?.about,
        dim: query.space.dim,
        queries: queries.len(),
        k: question.limit,
        effort,
    };
    Ok(match choose(&task) {
        Choice::Scan => None,
        Choice::Skim => Some((graph, Way::Skim(effort))),
        Choice::Walk => Some((graph, Way::Walk(effort))),
    })
}

/// The best rows of a part by its graph; as many as asked for, if as many are allowed.
pub(crate) fn by_graph(
    snapshot: &Snapshot,
    at: usize,
    sieve: &Sieve<'_>,
    (graph, way): (&Graph, Way),
    question: &Question<'_>,
) -> Result<Finds> {
    let segment = &*snapshot.version.parts[at].segment;
    let (Way::Skim(effort) | Way::Walk(effort)) = way;
    let estimate = sieve.estimate()?;
    let failed: Cell<Option<Error>> = Cell::new(None);
    let allows = |row| match sieve.allows(row) {
        Ok(yes) => yes,
        Err(error) => {
            failed.set(Some(error));
            false
        }
    };
    let rows = u64::from(segment.rows()).max(1);
    let ask = Ask {
        graph,
        segment,
        queries: question.queries,
        allowed: if sieve.is_open() { None } else { Some(&allows) },
        share: (estimate.about.max(1) as f64 / rows as f64).min(1.0) as f32,
        k: question.limit,
        effort,
    };
    let mut top = Top::new(question.limit);
    let cost = match way {
        Way::Skim(_) => sieve.scan(|rows| skim(&ask, rows, &mut top))?,
        Way::Walk(_) => walk(&ask, &mut top)?,
    };
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let found = at_part(at, top);
    if found.len() < question.limit {
        // Rows may be missed, but who asks for ten gets ten where there are ten.
        let stored = segment.space(&question.queries[0].space)?.map_or(0, |s| s.count.into());
        if (found.len() as u64) < estimate.most.min(stored) {
            let mut top = Top::new(question.limit);
            scan_piece(snapshot, at, sieve, 0..segment.rows(), question, &mut top)?;
            return Ok((at_part(at, top), cost));
        }
    }
    Ok((found, cost))
}

fn scan_piece(
    snapshot: &Snapshot,
    at: usize,
    sieve: &Sieve<'_>,
    range: Range<u32>,
    question: &Question<'_>,
    top: &mut Top,
) -> Result<()> {
    let segment = &snapshot.version.parts[at].segment;
    let queries = (question.queries, question.blend);
    sieve.scan(|which| {
        let Some(cursor) = question.after else {
            return scan::scan(segment, queries, which, range, top);
        };
        // Rows are ordered by key, so "after this key" is "from this row on".
        let first = segment.keys()?.lower_bound(&cursor.key)?;
        scan::blended(segment, queries, which, range, &mut |rows, scores| {
            for (row, score) in rows.iter().zip(scores) {
                if *score < cursor.score || (*score == cursor.score && *row >= first) {
                    top.push(*score, *row);
                }
            }
        })
    })
}

/// The best `limit` of what the parts found: by score, then by key (V8).
pub(crate) fn order(
    snapshot: &Snapshot,
    mut found: Vec<(f32, Addr)>,
    limit: usize,
) -> Result<Vec<Hit>> {
    let by_score = |a: &(f32, Addr), b: &(f32, Addr)| b.0.total_cmp(&a.0);
    if found.len() > limit {
        // Keys are fetched only for what can still be among the best.
        let (_, last, _) = found.select_nth_unstable_by(limit - 1, by_score);
        let floor = last.0;
        found.retain(|(score, _)| *score >= floor);
    }
    let mut hits = Vec::with_capacity(found.len());
    for (score, addr) in found {
        hits.push(Hit { key: snapshot.key(addr)?, score, addr });
    }
    hits.sort_by(|a, b| {
        let ties = match defects::on(Defect::TiesUnordered) {
            true => Ordering::Equal,
            false => a.key.cmp(&b.key),
        };
        b.score.total_cmp(&a.score).then(ties)
    });
    hits.truncate(limit);
    Ok(hits)
}
