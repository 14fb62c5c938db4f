//! The walk itself: from entry points to the nearest nodes, row by row.

use super::{
    kept::Kept,
    pool::{Marks, Pool},
};
use crate::vector::{
    hop::{DEGREE, Hops, Layout, NOBODY},
    kernel::{
        Kernel,
        hop::{Terms, touch},
    },
    signs::Signs,
};

/// Nodes that a walk begins with.
const STARTS: usize = 4;

/// Rows of nodes end to end in memory.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) all: &'a [u8],
    pub(super) stride: usize,
    /// Rows that belong to no node: their neighbours are where walks begin.
    pub(super) doors: &'a [u8],
}

impl<'a> Rows<'a> {
    #[inline]
    pub(super) fn row(&self, node: u32) -> &'a [u8] {
        &self.all[node as usize * self.stride..][..self.stride]
    }

    /// Asks for a row to be brought nearer.
    #[inline]
    fn touch(&self, node: u32) {
        touch(self.row(node));
    }
}

/// How nodes are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) layout: Layout,
    /// By squared distance, or by inner product.
    pub(crate) l2: bool,
    /// What a unit of the two factors means.
    pub(crate) scales: [f32; 2],
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) k: usize,
    /// A candidate as far as the nearest so many nodes, or farther, is not looked at. At least `k`.
    pub(crate) width: usize,
    /// A candidate farther than `1 + slack` times the `k`-th nearest node so far is not looked at.
    pub(crate) slack: f32,
    pub(crate) through: Through,
}

/// Which nodes a walk for allowed ones goes through.
///
/// Few disallowed nodes are bridges that one should not miss. Many of them, and near the query, would
/// take all of the walk: then allowed ones must lead to each other, directly or over one other node
/// (as in ACORN, SIGMOD 2024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    All,
    Allowed,
    OneOther,
}

impl Aim {
    /// Candidates beyond this distance are not looked at.
    #[inline]
    pub(super) fn bound(&self, nearest: &[(f32, u32)]) -> f32 {
        let slack = nearest.get(self.k - 1).map(|last| last.0 + self.slack * last.0.abs());
        // As far is too far: of ten thousand nodes that are the same, `width` will do.
        let width = nearest.get(self.width - 1).map(|last| last.0.next_down());
        slack.unwrap_or(f32::INFINITY).min(width.unwrap_or(f32::INFINITY))
    }
}

/// What a walk cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Rows whose distance was computed or estimated.
    pub(crate) scored: u64,
    /// Rows whose neighbours were looked at.
    pub(crate) expanded: u64,
}

/// The memory of a walk, used again by the next.
#[derive(Debug, Default)]
pub(crate) struct Beam {
    pub(crate) queries: Vec<Hops>,
    /// The same for signs.
    pub(crate) signs: Vec<Signs>,
    pub(super) pool: Pool,
    pub(super) seen: Marks,
    /// The nearest nodes so far that may be returned, nearest first.
    pub(crate) nearest: Kept,
    /// Every node that was expanded, with its own distance: what a build chooses links among.
    pub(crate) trail: Vec<(f32, u32)>,
    /// Rows that are looked at without a walk: how near each may be, and where its vector is.
    pub(super) offers: Vec<(f32, u32)>,
}

impl Measure {
    /// The distance of a query from a node: smaller is nearer.
    #[inline]
    pub(crate) fn own(&self, kernel: Kernel, query: &Hops, row: &[u8]) -> f32 {
        let own = &row[..self.layout.own];
        let (norm, scale) = own_numbers(own);
        let dot = query.step * scale * kernel.own(query, own) as f32;
        if self.l2 { query.norm + norm - 2.0 * dot } else { -dot }
    }
}

/// The squared length and the scale of an own code, which stand at the end of its part.
#[inline]
pub(crate) fn own_numbers(own: &[u8]) -> (f32, f32) {
    let Some(&[a, b, c, d, e, f, g, h]) = own.last_chunk::<8>() else { return (0.0, 0.0) };
    (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]))
}

#[inline]
pub(super) fn id(row: &[u8], at: usize) -> u32 {
    match row[at..].first_chunk::<4>() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => NOBODY,
    }
}

impl Beam {
    /// Forgets the last walk, and finds the nodes to begin with behind the doors.
    pub(super) fn start(
        &mut self,
        doors: &[u8],
        (measure, nodes): (&Measure, u32),
        aim: Aim,
        allowed: Option<&dyn Fn(u32) -> bool>,
    ) -> Cost {
        let Beam { queries, pool, seen, nearest, trail, .. } = self;
        let (kernel, mut cost) = (Kernel::best(), Cost::default());
        pool.clear();
        seen.clear(nodes);
        nearest.begin(aim.width);
        trail.clear();
        let mut starts = [(f32::INFINITY, NOBODY); STARTS];
        let mut allowed_starts = starts;
        let allowed = allowed.filter(|_| aim.through != Through::All);
        let mut estimates = [0f32; DEGREE];
        for door in doors.chunks_exact(measure.layout.stride) {
            let mut best = [f32::INFINITY; DEGREE];
            for query in queries.iter() {
                let base = measure.own(kernel, query, door);
                let terms = Terms { base, scales: measure.scales, bound: f32::INFINITY };
                kernel.estimates(query, &measure.layout, door, terms, &mut estimates);
                best.iter_mut().zip(&estimates).for_each(|(b, e)| *b = b.min(*e));
            }
            for (n, distance) in best.into_iter().enumerate() {
                let node = id(door, measure.layout.ids + 4 * n);
                begin(&mut starts, distance, node);
                if allowed.is_some_and(|allowed| node < nodes && allowed(node)) {
                    begin(&mut allowed_starts, distance, node);
                }
            }
            cost.scored += DEGREE as u64;
        }
        if allowed_starts[0].1 != NOBODY {
            starts = allowed_starts;
        }
        for (distance, node) in starts {
            if node < nodes {
                pool.offer(distance, node);
            }
        }
        cost
    }

    /// Walks. `self.queries` are prepared; the answer is in `self.nearest`.
    ///
    /// A node may be offered several times, each time with another estimate, and is expanded at the
    /// best: estimates from near by are better than those from afar.
    pub(super) fn walk(
        &mut self,
        rows: Rows<'_>,
        (measure, nodes): (&Measure, u32),
        aim: Aim,
        allowed: Option<&dyn Fn(u32) -> bool>,
    ) -> Cost {
        let kernel = Kernel::best();
        let mut cost = self.start(rows.doors, (measure, nodes), aim, allowed);
        let Beam { queries, pool, seen, nearest, trail, .. } = self;
        let mut estimates = [0f32; DEGREE];
        let mut bound = f32::INFINITY;
        // One row is read while the next is on its way: what the first one finds comes a step later
        // than it could, and less time is spent waiting for memory.
        let mut ahead = pool.next();
        while let Some((distance, node)) = ahead {
            if distance > bound {
                // What was found since this one was taken may be nearer.
                ahead = pool.next().filter(|next| next.0 <= bound);
                continue;
            }
            if !seen.mark(node) {
                ahead = pool.next();
                continue;
            }
            let row = rows.row(node);
            ahead = pool.next();
            if let Some((_, node)) = ahead {
                rows.touch(node);
            }
            cost.expanded += 1;
            cost.scored += DEGREE as u64;
            let (mut nearer, mut own) = (0, f32::INFINITY);
            let mut best = [f32::INFINITY; DEGREE];
            for query in queries.iter() {
                let base = measure.own(kernel, query, row);
                own = own.min(base);
                let terms = Terms { base, scales: measure.scales, bound };
                let mask = kernel.estimates(query, &measure.layout, row, terms, &mut estimates);
                nearer |= mask;
                if queries.len() == 1 {
                    best = estimates;
                } else {
                    best.iter_mut().zip(&estimates).for_each(|(b, e)| *b = b.min(*e));
                }
            }
            trail.push((own, node));
            let may = allowed.is_none_or(|allowed| allowed(node));
            if may {
                nearest.offer(own, node);
                bound = aim.bound(nearest);
            }
            while nearer != 0 {
                let n = nearer.trailing_zeros() as usize;
                nearer &= nearer - 1;
                let node = id(row, measure.layout.ids + 4 * n);
                if node >= nodes || seen.has(node) {
                    continue;
                }
                let goes = aim.through == Through::All
                    || (aim.through == Through::OneOther && may)
                    || allowed.is_none_or(|allowed| allowed(node));
                if goes {
                    pool.offer(best[n], node);
                }
            }
            if ahead.is_none() {
                ahead = pool.next();
                if let Some((_, node)) = ahead {
                    rows.touch(node);
                }
            }
        }
        nearest.settle();
        cost
    }
}

/// Keeps the nearest few.
#[inline]
fn begin(starts: &mut [(f32, u32); STARTS], distance: f32, node: u32) {
    if distance < starts[STARTS - 1].0 {
        let at = starts.partition_point(|start| start.0 <= distance);
        starts[at..].rotate_right(1);
        starts[at] = (distance, node);
    }
}
