//! Finding the nearest rows by walking a graph.

pub(crate) use super::beam::Cost;
use super::{
    Graph,
    beam::Beam,
    effort::{self, Reach},
    links,
};
use crate::{
    error::Result,
    search::{scan::Query, top::Top},
    segment::{Segment, Stored},
    vector::{hop::Hops, signs::Signs},
};
use std::sync::atomic::Ordering;

/// What to look for in one graph.
pub(crate) struct Ask<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) segment: &'a Segment,
    /// Queries in the graph's space; a row's score is its best over them.
    pub(crate) queries: &'a [Query],
    /// Says whether a row may be returned; `None` if every row may.
    pub(crate) allowed: Option<&'a dyn Fn(u32) -> bool>,
    /// About what share of the rows is allowed, 0 to 1.
    pub(crate) share: f32,
    /// How many rows are wanted.
    pub(crate) k: usize,
    /// How far to look.
    pub(crate) effort: u32,
}

/// Offers the nearest rows to `top`, with the scores that a scan would give them.
pub(crate) fn walk(ask: &Ask<'_>, top: &mut Top) -> Result<Cost> {
    let graph = ask.graph;
    let Some(space) = ask.queries.first().map(|query| &query.space) else {
        return Ok(Cost::default());
    };
    let Some(stored) = ask.segment.space(space)? else { return Ok(Cost::default()) };
    let mut beam = graph.beams.lock().pop().unwrap_or_default();
    let cost = found(ask, &stored, &mut beam);
    let offered = cost.and_then(|(cost, nearest)| {
        rescore(ask, &stored, &beam.nearest[..nearest], top)?;
        Ok(cost)
    });
    graph.beams.lock().push(beam);
    offered
}

/// Puts the queries into the beam: for a walk, or to look at rows by their signs, or both. Signs take rows
/// for nearer by `doubt`.
pub(super) fn prepare(ask: &Ask<'_>, beam: &mut Beam, (walks, doubt): (bool, Option<f32>)) {
    let graph = ask.graph;
    graph.walks.fetch_add(1, Ordering::Relaxed);
    beam.queries.resize_with(ask.queries.len(), Hops::default);
    beam.signs.resize_with(ask.queries.len(), Signs::default);
    let mut turned = vec![0f32; graph.rotation.padded()];
    let mut moved = vec![0f32; graph.center.len()];
    let prepared = beam.queries.iter_mut().zip(&mut beam.signs);
    for ((hops, signs), query) in prepared.zip(ask.queries) {
        let numbers = query.probe.numbers().iter().zip(&graph.center);
        moved.iter_mut().zip(numbers).for_each(|(to, (x, c))| *to = x - c);
        graph.rotation.apply(&moved, &mut turned);
        match walks {
            true => hops.prepare(&turned, &graph.measure.layout),
            false => hops.prepare_own(&turned),
        }
        if let Some(doubt) = doubt {
            signs.prepare(&turned, doubt);
        }
    }
}

/// Walks; the nearest nodes are in the beam. Says how many of them are worth scoring.
fn found(ask: &Ask<'_>, stored: &Stored<'_>, beam: &mut Beam) -> Result<(Cost, usize)> {
    let graph = ask.graph;
    let rows = graph.rows();
    prepare(ask, beam, (true, rows.is_none().then_some(links::DOUBT)));
    let aim = Reach::of(ask.effort, ask.k).aim(ask.share, graph.measure.l2);
    let whole = stored.is_whole();
    let allowed = |place: u32| match (ask.allowed, whole) {
        (None, _) => true,
        (Some(allowed), true) => allowed(place),
        // A row that cannot be read is not returned; reading it again reports the error.
        (Some(allowed), false) => stored.row(place).is_ok_and(allowed),
    };
    let allowed: Option<&dyn Fn(u32) -> bool> = match ask.allowed {
        Some(_) => Some(&allowed),
        None => None,
    };
    let count = graph.meta.nodes;
    if let Some(rows) = rows {
        let cost = beam.walk(rows, (&graph.measure, count), aim, allowed);
        let by_codes = (&graph.measure, &beam.queries[..]);
        return Ok((cost, effort::doubtful(&beam.nearest, ask.k, by_codes)));
    }
    let near = links::Near::of(graph, stored, ask.queries)?;
    let cost = links::walk(&near, beam, (&graph.measure, count), aim, allowed)?;
    Ok((cost, beam.nearest.len().min(effort::spared(ask.k))))
}

/// Scores the nearest nodes as a scan does, from the stored vectors.
pub(super) fn rescore(
    ask: &Ask<'_>,
    stored: &Stored<'_>,
    nearest: &[(f32, u32)],
    top: &mut Top,
) -> Result<()> {
    for &(_, place) in nearest {
        stored.touch(place);
    }
    for &(_, place) in nearest {
        let weigh = |query: &Query, score| query.weight * score;
        let score = best(ask.graph, ask.queries, stored, place, weigh)?;
        top.push(score, stored.row(place)?);
    }
    Ok(())
}

/// The best score of a stored vector over the queries, by what `weigh` makes of each.
pub(super) fn best(
    graph: &Graph,
    queries: &[Query],
    stored: &Stored<'_>,
    place: u32,
    weigh: impl Fn(&Query, f32) -> f32,
) -> Result<f32> {
    let bytes = graph.vector(stored, place)?;
    let scale = stored.scales.map(|section| section.get::<f32>(place.into())).transpose()?;
    let scales = scale.as_slice();
    let (mut best, mut one) = (f32::MIN, [0f32]);
    for query in queries {
        query.probe.scores(&bytes, scales, &mut one);
        best = best.max(weigh(query, one[0]));
    }
    // Weights may take a finite score beyond what an f32 holds; results stay finite (V8).
    Ok(best.clamp(f32::MIN, f32::MAX))
}
