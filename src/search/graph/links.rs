//! The walk over links, as they are in the file: a bit per number says which neighbours are worth a look, and only
//! those are compared.

use super::{
    Graph,
    beam::{Aim, Beam, Cost, Measure, Through, id},
    codes::Codes,
    grow::Grow,
    sums::Sums,
    walk::best,
};
use crate::{
    error::Result,
    format::{
        Kind,
        envelope::Sections,
        section::{Section, Slice},
    },
    schema::Metric,
    search::scan::Query,
    segment::Stored,
    vector::{
        hop::{DEGREE, Hops},
        kernel::{Kernel, hop::touch},
        signs::{self, Signs},
    },
};
use std::ops::{Deref, Range};

/// By how many times what its signs are off by a node is taken for nearer than they say. From 0 to 1 the
/// recall at equal time is about the same (texts); with this, an effort finds what it finds where rows hold
/// everything.
pub(super) const DOUBT: f32 = 0.5;
/// Bytes of a node's links.
pub(super) const LINKS_BYTES: usize = DEGREE * 4;

/// What a walk is over.
pub(super) trait Nodes {
    /// The links of a node: 32 ids.
    fn links(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_>;
    /// Appends the signs of a node.
    fn append_signs(&self, node: u32, codes: &mut Vec<u8>) -> Result<()>;
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
    graph: &'a Graph,
    links: Links<'a>,
    codes: Codes<'a>,
    stored: &'a Stored<'a>,
    queries: &'a [Query],
}

/// The links of nodes in a file.
pub(super) struct Links<'a> {
    section: &'a Section,
    /// Which were found whole, and where their checksums are.
    whole: &'a Sums,
    graph: &'a Sections,
}

impl<'a> Links<'a> {
    pub(super) fn of(graph: &'a Graph) -> Result<Links<'a>> {
        let section = graph.sections.need(Kind::GRAPH_NODES, 0)?;
        Ok(Links { section, whole: &graph.links, graph: &graph.sections })
    }

    /// Those of a node: 32 ids.
    #[inline]
    pub(super) fn get(&self, node: u32) -> Result<Slice<'a>> {
        self.whole.read((self.section, range(node)), self.graph, node)
    }

    /// Asks for those of a node to be brought nearer.
    #[inline]
    fn touch(&self, node: u32) {
        self.section.peek(range(node)).into_iter().for_each(touch);
    }
}

#[inline]
fn range(node: u32) -> Range<u64> {
    let from = u64::from(node) * LINKS_BYTES as u64;
    from..from + LINKS_BYTES as u64
}

impl<'a> Near<'a> {
    pub(super) fn of(
        graph: &'a Graph,
        stored: &'a Stored<'a>,
        queries: &'a [Query],
    ) -> Result<Near<'a>> {
        Ok(Near { graph, links: Links::of(graph)?, codes: Codes::of(graph)?, stored, queries })
    }
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
        self.links.get(node)
    }

    #[inline]
    fn append_signs(&self, node: u32, codes: &mut Vec<u8>) -> Result<()> {
        self.codes.append(node, codes)
    }

    fn distance(&self, node: u32) -> Result<f32> {
        distance(self.graph, self.queries, self.stored, node)
    }

    #[inline]
    fn touch_signs(&self, node: u32) {
        self.codes.touch(node);
    }

    #[inline]
    fn touch(&self, node: u32) {
        self.links.touch(node);
        self.stored.touch(node);
    }

    fn doors(&self) -> &[u8] {
        &self.graph.doors
    }
}

impl Nodes for Grown<'_> {
    fn links(&self, node: u32) -> Result<impl Deref<Target = [u8]> + '_> {
        let layout = self.grow.measure.layout;
        let row = &self.grow.rows[node as usize * layout.stride..][..layout.stride];
        Ok(&row[layout.ids..][..LINKS_BYTES])
    }

    fn append_signs(&self, node: u32, codes: &mut Vec<u8>) -> Result<()> {
        let bytes = signs::stride(self.grow.measure.layout.padded);
        codes.extend_from_slice(&self.signs[node as usize * bytes..][..bytes]);
        Ok(())
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

/// The distance of a stored vector from the nearest query: smaller is nearer. Never negative where that has
/// a meaning, since walks stop at a multiple of it.
pub(super) fn distance(
    graph: &Graph,
    queries: &[Query],
    stored: &Stored<'_>,
    node: u32,
) -> Result<f32> {
    // As signs say it: whatever the queries weigh.
    let score = best(graph, queries, stored, node, |_, score| score)?;
    Ok(match queries[0].space.metric {
        Metric::Cosine => 2.0 - 2.0 * score,
        Metric::Dot | Metric::L2 => -score,
    })
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
    let (mut codes, mut far) = (Vec::new(), [0f32; DEGREE]);
    let mut near = |signs: &[Signs], some: &[u32], offer: &mut dyn FnMut(f32, u32)| -> Result<()> {
        for some in some.chunks(DEGREE) {
            codes.clear();
            some.iter().try_for_each(|node| nodes.append_signs(*node, &mut codes))?;
            let far = &mut far[..some.len()];
            far.fill(f32::INFINITY);
            signs.iter().for_each(|query| query.nearest(kernel, &codes, measure.l2, far));
            far.iter().zip(some).for_each(|(distance, node)| offer(*distance, *node));
        }
        Ok(())
    };
    // As over whole rows: see `Through`.
    let goes = |node: u32, may: bool| {
        aim.through == Through::All
            || (aim.through == Through::OneOther && may)
            || allowed.is_none_or(|allowed| allowed(node))
    };
    let mut starts = Vec::new();
    while let Some((_, node)) = pool.next() {
        if seen.mark(node) {
            starts.push(node);
        }
    }
    cost.scored += starts.len() as u64;
    near(signs, &starts, &mut |distance, node| pool.offer(distance, node))?;
    let (mut bound, mut fresh) = (f32::INFINITY, Vec::with_capacity(DEGREE));
    // As over whole rows, one node is compared while the next is on its way.
    let mut ahead = pool.next();
    while let Some((distance, node)) = ahead {
        if distance > bound {
            ahead = pool.next().filter(|next| next.0 <= bound);
            continue;
        }
        let (links, may) = (nodes.links(node)?, allowed.is_none_or(|allowed| allowed(node)));
        for n in 0..DEGREE {
            let to = id(&links, 4 * n);
            if to < count && !seen.has(to) && goes(to, may) && seen.mark(to) {
                nodes.touch_signs(to);
                fresh.push(to);
            }
        }
        ahead = pool.next().inspect(|next| nodes.touch(next.1));
        cost.expanded += 1;
        cost.scored += fresh.len() as u64;
        let distance = nodes.distance(node)?;
        if may {
            nearest.offer(distance, node);
            bound = aim.bound(nearest);
        }
        near(signs, &fresh, &mut |distance, node| {
            if distance <= bound {
                pool.offer(distance, node);
            }
        })?;
        fresh.clear();
        ahead = ahead.or_else(|| pool.next().inspect(|next| nodes.touch(next.1)));
    }
    nearest.settle();
    Ok(cost)
}
