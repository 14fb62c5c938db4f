//! Efforts, tried when a graph is built: what share of the nearest each finds.

use super::{
    effort::{self, LADDER, Reach, Trial},
    grow::{Grow, Hand, shuffled},
};
use crate::{
    error::{Error, Result},
    progress::Progress,
    schema::Space,
    search::top::Top,
    segment::{Segment, Stored, numbers},
    vector::{encode, probe::Probe},
};

/// Nodes that are looked for.
const SAMPLE: u32 = 200;
/// Of so many nearest.
const NEAREST: usize = 10;
/// Vectors that are compared with all that are looked for, before the next are read.
const PIECE: u32 = 4096;

/// A node that is looked for, and the score of the last of its nearest.
#[derive(Clone)]
struct Wanted {
    node: u32,
    least: f32,
    /// How many there are at least as near: the nearest, or all there are.
    count: usize,
}

/// The vectors of a graph, as a scan compares them.
struct Exact<'a> {
    space: &'a Space,
    stored: Stored<'a>,
}

/// Looks for what is near some of the nodes, with every effort, and compares with a scan of the vectors: over
/// links and the signs of all nodes, and over whole rows. What is as near as the last of the nearest is right.
pub(super) fn calibrate(
    grown: &Grow,
    (segment, space): (&Segment, &Space),
    signs: &[u8],
    progress: &mut Progress<'_>,
) -> Result<[Vec<Trial>; 2]> {
    let sample: Vec<u32> = shuffled(grown.nodes, 3).into_iter().take(SAMPLE as usize).collect();
    let mut found = Vec::with_capacity(sample.len());
    if let Some(stored) = segment.space(space)? {
        let exact = Exact { space, stored };
        let wanted = exact.nearest(grown, &sample, progress)?;
        for some in wanted.chunks(8 * grown.threads) {
            found.extend(grown.each(some, |grow, hand, wanted| {
                let probe = exact.probe(wanted.node)?;
                let mut tried = [[0f32; LADDER.len()]; 2];
                for (signs, shares) in [Some(signs), None].into_iter().zip(&mut tried) {
                    for (effort, share) in LADDER.into_iter().zip(shares) {
                        look(grow, hand, (wanted.node, signs), effort)?;
                        *share = exact.share((grow, hand), (&wanted, &probe), signs.is_none())?;
                    }
                }
                Ok(tried)
            })?);
            progress.check()?;
        }
    }
    Ok([0, 1].map(|way| {
        let mut best = 0.0;
        let trial = |(at, effort)| {
            let shares = found.iter().map(|tried: &[[f32; LADDER.len()]; 2]| tried[way][at]);
            // More effort finds no less; a sample may say otherwise by chance.
            best = (shares.sum::<f32>() / found.len().max(1) as f32).max(best);
            Trial { effort, recall: best }
        };
        LADDER.into_iter().enumerate().map(trial).collect()
    }))
}

/// Walks to a node.
fn look(
    grow: &Grow,
    hand: &mut Hand,
    (node, signs): (u32, Option<&[u8]>),
    effort: u32,
) -> Result<()> {
    let aim = Reach::of(effort, NEAREST + 1).aim(1.0, grow.measure.l2);
    match signs {
        Some(signs) => grow.walk_links_to(hand, (node, signs), aim)?,
        None => grow.walk_to(hand, node, aim),
    }
    Ok(())
}

impl Exact<'_> {
    /// A stored vector as a query.
    fn probe(&self, node: u32) -> Result<Probe> {
        let mut vector = Vec::with_capacity(self.space.dim as usize);
        let scale = self.scales(node, node + 1)?.first().copied().unwrap_or(1.0);
        encode::decode(self.space, &self.stored.read(node, node + 1)?, scale, &mut vector);
        // Numbers that no vector was written with take a forged file.
        vector.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        Probe::new(self.space, &vector)
    }

    fn scales(&self, from: u32, to: u32) -> Result<Vec<f32>> {
        let Some(section) = self.stored.scales else { return Ok(Vec::new()) };
        let bytes = section.read(u64::from(from) * 4..u64::from(to) * 4)?;
        Ok(numbers::<f32>(section, &bytes)?.to_vec())
    }

    /// The nearest of each node of a sample, by one pass over all vectors.
    fn nearest(
        &self,
        grown: &Grow,
        sample: &[u32],
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Wanted>> {
        let mut asked: Vec<(u32, Probe, Top)> = Vec::with_capacity(sample.len());
        for node in sample {
            match self.probe(*node) {
                Ok(probe) => asked.push((*node, probe, Top::new(NEAREST))),
                // One that is no query, as forged vectors may be, is not looked for.
                Err(Error::Invalid { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let share = asked.len().div_ceil(grown.threads).max(1);
        for from in (0..grown.nodes).step_by(PIECE as usize) {
            progress.check()?;
            let to = grown.nodes.min(from.saturating_add(PIECE));
            let (vectors, scales) = (self.stored.read(from, to)?, self.scales(from, to)?);
            let compare = |some: &mut [(u32, Probe, Top)]| {
                let mut scores = vec![0f32; (to - from) as usize];
                for (node, probe, top) in some {
                    probe.scores(&vectors, &scales, &mut scores);
                    let others = (from..to).zip(&scores).filter(|(other, _)| *other != *node);
                    others.for_each(|(other, score)| top.push(*score, other));
                }
            };
            match asked.chunks_mut(share) {
                mut parts if parts.len() < 2 => parts.next().into_iter().for_each(compare),
                parts => std::thread::scope(|scope| {
                    parts.for_each(|part| drop(scope.spawn(|| compare(part))));
                }),
            }
        }
        Ok(asked
            .into_iter()
            .map(|(node, _, top)| {
                let nearest = top.into_sorted();
                let least = nearest.last().map_or(f32::INFINITY, |last| last.0);
                Wanted { node, least, count: nearest.len() }
            })
            .collect())
    }

    /// Which share of the nearest was found, of those that a search scores.
    fn share(
        &self,
        (grow, hand): (&Grow, &Hand),
        (wanted, probe): (&Wanted, &Probe),
        by_codes: bool,
    ) -> Result<f32> {
        let nearest = &hand.beam.nearest;
        let scored = match by_codes {
            true => effort::doubtful(nearest, NEAREST + 1, (&grow.measure, &hand.beam.queries)),
            false => nearest.len().min(effort::spared(NEAREST + 1)),
        };
        let (mut found, mut score) = (0, [0f32]);
        for &(_, node) in nearest[..scored].iter().filter(|pair| pair.1 != wanted.node) {
            probe.scores(
                &self.stored.read(node, node + 1)?,
                &self.scales(node, node + 1)?,
                &mut score,
            );
            found += usize::from(score[0] >= wanted.least);
        }
        Ok(found.min(wanted.count) as f32 / wanted.count.max(1) as f32)
    }
}
