//! The walk over a graph of links only: every neighbour's stored vector is fetched and scored.

use super::{
    Graph,
    beam::{Aim, Beam, Cost, Measure, Rows, id, keep},
    pool::Pool,
    walk::{Filed, score},
};
use crate::{
    error::Result,
    schema::Metric,
    search::scan::Query,
    segment::Stored,
    vector::hop::{DEGREE, NOBODY},
};

/// Bytes of a node's links.
pub(super) const LINKS_BYTES: usize = DEGREE * 4;

/// Links of nodes, and where the vectors are.
pub(super) struct Near<'a> {
    pub(super) graph: &'a Graph,
    pub(super) rows: Filed<'a>,
    pub(super) stored: &'a Stored<'a>,
    pub(super) queries: &'a [Query],
}

impl Near<'_> {
    /// Walks; the answer is in the beam's `nearest`.
    pub(super) fn walk(
        &self,
        beam: &mut Beam,
        (measure, nodes): (&Measure, u32),
        aim: Aim,
        allowed: Option<&dyn Fn(u32) -> bool>,
    ) -> Result<Cost> {
        let mut cost = beam.start(self.rows.doors, (measure, nodes), aim, allowed);
        let Beam { pool, seen, nearest, .. } = beam;
        let mut starts = Vec::new();
        while let Some((_, node)) = pool.next() {
            starts.push(node);
        }
        pool.clear();
        let mut bound = f32::INFINITY;
        let mut visit = |node: u32, bound: f32, pool: &mut Pool| -> Result<f32> {
            let distance = self.distance(node)?;
            if distance <= bound {
                pool.offer(distance, node);
            }
            if allowed.is_none_or(|allowed| allowed(node)) {
                keep(nearest, aim.width, distance, node);
            }
            Ok(aim.bound(nearest))
        };
        for node in starts {
            if seen.mark(node) {
                bound = visit(node, bound, pool)?;
                cost.scored += 1;
            }
        }
        let mut fresh = Vec::with_capacity(DEGREE);
        while let Some((distance, node)) = pool.next() {
            if distance > bound {
                break;
            }
            let row = self.rows.row(node)?;
            fresh.clear();
            for n in 0..DEGREE {
                let to = id(&row, 4 * n);
                if to != NOBODY && to < nodes && seen.mark(to) {
                    self.stored.touch(to);
                    fresh.push(to);
                }
            }
            cost.expanded += 1;
            cost.scored += fresh.len() as u64;
            for to in &fresh {
                bound = visit(*to, bound, pool)?;
            }
        }
        Ok(cost)
    }

    /// The distance of the nearest query: smaller is nearer, and never negative where that has a
    /// meaning, since the walk stops at a multiple of it.
    fn distance(&self, node: u32) -> Result<f32> {
        let score = score(self.graph, self.queries, self.stored, node)?;
        Ok(match self.queries[0].space.metric {
            Metric::Cosine => 2.0 - 2.0 * score,
            Metric::Dot | Metric::L2 => -score,
        })
    }
}
