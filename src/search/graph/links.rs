//! The walk over a graph of links only: a bit per number says which neighbours are worth a look, and only
//! those are compared.

use super::{
    Graph,
    beam::{Aim, Beam, Cost, Measure, Rows, id, keep},
    grow::Grow,
    walk::{Filed, score},
};
use crate::{
    error::Result,
    format::section::{Section, Slice},
    schema::Metric,
    search::scan::Query,
    segment::Stored,
    vector::{
        hop::{DEGREE, Hops},
        kernel::{Kernel, hop::touch},
        signs::{self, Signs},
    },
};
use std::ops::Deref;

/// Bytes of a node's links.
pub(super) const LINKS_BYTES: usize = DEGREE * 4;

/// What a walk is over.
pub(super) trait Nodes {
    /// The links of a node: 32 ids.
    fn links(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_>;
    /// The signs of a node.
    fn signs(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_>;
    /// The distance of the nearest query: smaller is nearer.
    fn distance(&self, node: u32) -> Result<f32>;
    /// Asks for the signs of a node to be brought nearer.
    fn touch_signs(&self, node: u32);
    /// Asks for its links and its vector.
    fn touch(&self, node: u32);
    /// Rows whose neighbours are where walks begin.
    fn doors(&self) -> &[u8];
}

/// Nodes of a file, and where the vectors are.
pub(super) struct Near<'a> {
    pub(super) graph: &'a Graph,
    pub(super) rows: Filed<'a>,
    pub(super) signs: &'a Section,
    /// A copy of the signs in memory.
    pub(super) hot: Option<&'a [u8]>,
    pub(super) stored: &'a Stored<'a>,
    pub(super) queries: &'a [Query],
}

/// Nodes of a graph that was just grown.
pub(super) struct Grown<'a> {
    pub(super) grow: &'a Grow,
    pub(super) signs: &'a [u8],
    /// What is looked for, as a code.
    pub(super) query: &'a Hops,
}

impl Nodes for Near<'_> {
    #[inline]
    fn links(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_> {
        self.rows.row(node)
    }

    #[inline]
    fn signs(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_> {
        let bytes = signs::stride(self.graph.rotation.padded());
        if let Some(hot) = self.hot {
            return Ok(Slice::Borrowed(&hot[node as usize * bytes..][..bytes]));
        }
        let from = u64::from(node) * bytes as u64;
        self.signs.read(from..from + bytes as u64)
    }

    /// Never negative where that has a meaning, since the walk stops at a multiple of it.
    fn distance(&self, node: u32) -> Result<f32> {
        let score = score(self.graph, self.queries, self.stored, node)?;
        Ok(match self.queries[0].space.metric {
            Metric::Cosine => 2.0 - 2.0 * score,
            Metric::Dot | Metric::L2 => -score,
        })
    }

    #[inline]
    fn touch_signs(&self, node: u32) {
        let bytes = signs::stride(self.graph.rotation.padded());
        match self.hot {
            Some(hot) => touch(&hot[node as usize * bytes..][..bytes]),
            None => {
                let from = u64::from(node) * bytes as u64;
                self.signs.peek(from..from + bytes as u64).into_iter().for_each(touch);
            }
        }
    }

    #[inline]
    fn touch(&self, node: u32) {
        self.rows.touch(node);
        self.stored.touch(node);
    }

    fn doors(&self) -> &[u8] {
        self.rows.doors
    }
}

impl Nodes for Grown<'_> {
    fn links(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_> {
        let layout = self.grow.measure.layout;
        let row = &self.grow.rows[node as usize * layout.stride..][..layout.stride];
        Ok(&row[layout.ids..][..LINKS_BYTES])
    }

    fn signs(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_> {
        let bytes = signs::stride(self.grow.measure.layout.padded);
        Ok(&self.signs[node as usize * bytes..][..bytes])
    }

    fn distance(&self, node: u32) -> Result<f32> {
        Ok(self.grow.measure.own(Kernel::best(), self.query, self.grow.own(node)))
    }

    fn touch_signs(&self, _: u32) {}

    fn touch(&self, _: u32) {}

    fn doors(&self) -> &[u8] {
        &self.grow.doors
    }
}

/// Walks; the answer is in the beam's `nearest`. The beam's queries and signs are prepared.
///
/// A node is offered once, as near as it may be by its signs, and compared when its turn comes.
pub(super) fn walk<N: Nodes>(
    nodes: &N,
    beam: &mut Beam,
    (measure, count): (&Measure, u32),
    aim: Aim,
    allowed: Option<&dyn Fn(u32) -> bool>,
) -> Result<Cost> {
    let kernel = Kernel::best();
    let mut cost = beam.start(nodes.doors(), (measure, count), aim, allowed);
    let Beam { pool, seen, nearest, signs, .. } = beam;
    let near = |signs: &[Signs], node: u32| -> Result<f32> {
        let code = nodes.signs(node)?;
        let of = signs.iter().map(|query| query.nearest(kernel, &code, measure.l2));
        Ok(of.fold(f32::INFINITY, f32::min))
    };
    let mut starts = Vec::new();
    while let Some((_, node)) = pool.next() {
        starts.push(node);
    }
    for node in starts {
        if seen.mark(node) {
            pool.offer(near(signs, node)?, node);
            cost.scored += 1;
        }
    }
    let (mut bound, mut fresh) = (f32::INFINITY, Vec::with_capacity(DEGREE));
    // As over whole rows, one node is compared while the next is on its way.
    let mut ahead = pool.next();
    while let Some((distance, node)) = ahead {
        if distance > bound {
            ahead = pool.next().filter(|next| next.0 <= bound);
            continue;
        }
        let links = nodes.links(node)?;
        for n in 0..DEGREE {
            let to = id(&links, 4 * n);
            if to < count && seen.mark(to) {
                nodes.touch_signs(to);
                fresh.push(to);
            }
        }
        ahead = pool.next().inspect(|next| nodes.touch(next.1));
        cost.expanded += 1;
        cost.scored += fresh.len() as u64;
        let distance = nodes.distance(node)?;
        if allowed.is_none_or(|allowed| allowed(node)) {
            keep(nearest, aim.width, distance, node);
            bound = aim.bound(nearest);
        }
        for node in fresh.drain(..) {
            let distance = near(signs, node)?;
            if distance <= bound {
                pool.offer(distance, node);
            }
        }
        ahead = ahead.or_else(|| pool.next().inspect(|next| nodes.touch(next.1)));
    }
    Ok(cost)
}
