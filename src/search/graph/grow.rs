//! Growing a graph: nodes are added in batches, each linked both ways and pruned.

use super::beam::{Beam, Measure, Rows, own_numbers};
use crate::{
    error::Result,
    io::{AlignedBytes, hot::Hot},
    progress::Progress,
    vector::{
        hop::{DEGREE, Hops, Layout, NOBODY},
        rotate::splitmix,
    },
};

/// How hard to look for links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Nodes that a walk is to find, in the first pass and in the second.
    pub(crate) widths: [usize; 2],
    /// Candidates beyond those, only seen on the way.
    pub(crate) more: [usize; 2],
    /// A link is left out if another one leads to within this factor as near.
    pub(crate) alphas: [f32; 2],
    /// A batch is at most this share of the nodes there are already.
    pub(crate) batch_share: f32,
    pub(crate) batch_max: f32,
}

/// Nodes per thread between two questions whether to go on: some tenths of a second of work.
const WATCHED: usize = 512;

/// A graph in the making.
pub(crate) struct Grow {
    pub(crate) measure: Measure,
    pub(crate) nodes: u32,
    /// Own codes end to end: what is compared most, close together.
    pub(crate) owns: AlignedBytes,
    pub(crate) rows: Hot,
    /// Rows of no node, whose neighbours are where walks begin.
    pub(crate) doors: AlignedBytes,
    pub(crate) threads: usize,
    pub(crate) care: Care,
}

/// One worker's memory.
#[derive(Default)]
pub(super) struct Hand {
    pub(super) beam: Beam,
    /// A vector, decoded.
    pub(super) number: Vec<f32>,
    /// Links chosen so far, as queries.
    pub(super) steps: Vec<Hops>,
    /// Signs and levels of one code.
    pub(super) words: Vec<[u16; 2]>,
    /// The words of all codes of a row.
    pub(super) slots: Vec<[u16; DEGREE]>,
    /// Candidates with their distances.
    pub(super) pairs: Vec<(f32, u32)>,
}

impl Care {
    /// What was measured to give good links at about the cost of a graph by insertion.
    pub(crate) fn for_count(_count: u32) -> Care {
        Care {
            widths: [32, 64],
            more: [0, 300],
            alphas: [1.0, 1.0],
            batch_share: 0.5,
            batch_max: 0.12,
        }
    }
}

impl Grow {
    /// An unlinked graph over codes that `own` writes.
    pub(crate) fn new(
        (layout, l2): (Layout, bool),
        nodes: u32,
        threads: usize,
        care: Care,
        owns: AlignedBytes,
    ) -> Result<Grow> {
        let mut rows = Hot::zeroed(nodes as usize * layout.stride)?;
        for (row, own) in rows.chunks_exact_mut(layout.stride).zip(owns.chunks_exact(layout.own)) {
            row[..layout.own].copy_from_slice(own);
            row[layout.ids..layout.factors].fill(0xff);
            let infinite = half::f16::INFINITY.to_le_bytes();
            let factors = row[layout.factors..].as_chunks_mut::<2>().0;
            factors.iter_mut().take(DEGREE).for_each(|factor| *factor = infinite);
        }
        // Distances are of the size of the vectors; halves of floats are best near one.
        let norms: f32 = owns.chunks_exact(layout.own).map(|own| own_numbers(own).0).sum();
        let norm = (norms / nodes.max(1) as f32).max(f32::MIN_POSITIVE);
        let scales = [norm / 16.0, (norm / layout.padded as f32).sqrt() / 16.0];
        let measure = Measure { layout, l2, scales };
        Ok(Grow { measure, nodes, owns, rows, doors: AlignedBytes::default(), threads, care })
    }

    pub(super) fn own(&self, node: u32) -> &[u8] {
        let own = self.measure.layout.own;
        &self.owns[node as usize * own..][..own]
    }

    pub(super) fn heap(&self) -> Rows<'_> {
        Rows { all: &self.rows, stride: self.measure.layout.stride, doors: &self.doors }
    }

    pub(crate) fn links(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let layout = &self.measure.layout;
        let row = &self.rows[node as usize * layout.stride..][..layout.stride];
        let ids = row[layout.ids..layout.factors].as_chunks::<4>().0;
        ids.iter().map(|id| u32::from_le_bytes(*id)).take_while(|id| *id != NOBODY)
    }

    /// Makes walks begin among the first of the linked nodes, 32 to a door.
    pub(crate) fn set_doors(&mut self, linked: &[u32], doors: usize) {
        let layout = self.measure.layout;
        let some = linked.len().min(doors * DEGREE);
        let count = some.div_ceil(DEGREE);
        if count * layout.stride == self.doors.len() && !some.is_multiple_of(DEGREE) {
            return;
        }
        if self.doors.len() == doors * layout.stride {
            return;
        }
        let (mut hand, zeros) = (Hand::default(), vec![0; layout.own]);
        let mut all = AlignedBytes::default();
        for links in linked[..some].chunks(DEGREE) {
            let mut row = vec![0; layout.stride - layout.own];
            self.encode(&mut hand, &zeros, links, &mut row);
            all.extend(&zeros);
            all.extend(&row);
        }
        self.doors = all;
    }

    /// Links nodes from what is there, and back.
    pub(super) fn batch(
        &mut self,
        batch: &[u32],
        pass: usize,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let forward = self.each_watched(batch, progress, |grow, hand, node| {
            grow.candidates(hand, node, pass);
            if pass == 1 {
                grow.add_links(hand, node);
            }
            let kept = grow.prune(hand, pass);
            Ok((node, kept))
        })?;
        let mut back: Vec<(u32, u32)> =
            forward.iter().flat_map(|(node, kept)| kept.iter().map(|to| (*to, *node))).collect();
        back.sort_unstable();
        let mut targets: Vec<(u32, std::ops::Range<usize>)> = Vec::new();
        let mut at = 0;
        while at < back.len() {
            let len = back[at..].iter().take_while(|pair| pair.0 == back[at].0).count();
            targets.push((back[at].0, at..at + len));
            at += len;
        }
        self.write(&forward)?;
        progress.advance(forward.len() as u64)?;
        drop(forward);
        for some in targets.chunks(1 << 16) {
            let linked = self.each_watched(some, progress, |grow, hand, (node, range)| {
                Ok((node, grow.link_back(hand, node, &back[range], pass)))
            })?;
            self.write(&linked)?;
        }
        Ok(())
    }

    /// As [`Grow::each`], asking now and then whether to go on.
    pub(super) fn each_watched<T: Clone + Sync, U: Send>(
        &self,
        list: &[T],
        progress: &mut Progress<'_>,
        work: impl Fn(&Grow, &mut Hand, T) -> Result<U> + Sync,
    ) -> Result<Vec<U>> {
        let mut all = Vec::with_capacity(list.len());
        for some in list.chunks(WATCHED * self.threads) {
            all.extend(self.each(some, &work)?);
            progress.check()?;
        }
        Ok(all)
    }

    /// Every node of a list by all threads, in order.
    pub(super) fn each<T: Clone + Sync, U: Send>(
        &self,
        list: &[T],
        work: impl Fn(&Grow, &mut Hand, T) -> Result<U> + Sync,
    ) -> Result<Vec<U>> {
        let share = list.len().div_ceil(self.threads).max(1);
        let run = |part: &[T]| {
            let mut hand = Hand::default();
            part.iter().map(|item| work(self, &mut hand, item.clone())).collect::<Result<Vec<_>>>()
        };
        if self.threads == 1 || list.len() < 16 {
            return run(list);
        }
        std::thread::scope(|scope| {
            let run = &run;
            let parts: Vec<_> =
                list.chunks(share).map(|part| scope.spawn(move || run(part))).collect();
            let mut all = Vec::with_capacity(list.len());
            for part in parts {
                let done = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.extend(done?);
            }
            Ok(all)
        })
    }

    /// Writes rows: ids, codes, factors.
    pub(super) fn write(&mut self, linked: &[(u32, Vec<u32>)]) -> Result<()> {
        let stride = self.measure.layout.stride;
        for some in linked.chunks(1 << 14) {
            let rows = self.each(some, |grow, hand, (node, links)| {
                let mut row = vec![0; grow.measure.layout.stride - grow.measure.layout.own];
                grow.encode(hand, grow.own(node), &links, &mut row);
                Ok((node, row))
            })?;
            for (node, row) in rows {
                let to = &mut self.rows[node as usize * stride..][..stride];
                to[self.measure.layout.own..].copy_from_slice(&row);
            }
        }
        Ok(())
    }
}

/// The nodes in an order of chance.
pub(crate) fn shuffled(nodes: u32, seed: u64) -> Vec<u32> {
    let (mut order, mut state): (Vec<u32>, u64) = ((0..nodes).collect(), seed);
    for at in (1..order.len()).rev() {
        order.swap(at, (splitmix(&mut state) % (at as u64 + 1)) as usize);
    }
    order
}
