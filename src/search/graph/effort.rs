//! How far an effort goes, and what share of the nearest was found when that was tried.

use super::{
    beam::{Aim, Through},
    grow::{Grow, Hand, shuffled},
};
use crate::{
    error::Result,
    progress::Progress,
    vector::{hop::Hops, kernel::Kernel},
};
use serde::{Deserialize, Serialize};

/// What a trial of an effort found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) effort: u32,
    /// The mean share of the ten nearest that was found.
    pub(crate) recall: f32,
}

/// How far to walk for so many rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reach {
    k: usize,
    effort: u32,
}

/// Efforts that are tried when a graph is built.
const LADDER: [u32; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Nodes that are looked for.
const SAMPLE: u32 = 200;
/// Every doubling of the effort lets candidates be this much farther than the `k`-th nearest; at
/// effort 16 they must be as near. The width, which is the effort, ends the walks of queries around
/// which many nodes are about as far: without it, a few walks would take most of the time.
const SLACK: f32 = 0.05;
/// Inner products have no scale on which farther could be said of all queries alike: there the width
/// ends the walk, and only what is hopeless is left out.
const SLACK_DOT: f32 = 0.4;
/// Rows whose scores by codes are near the `k`-th: they are scored exactly, too.
const SPARE: usize = 2;
/// With at least this share of the nodes allowed, a walk goes through all.
const ALL_SHARE_MIN: f32 = 0.8;
/// With at least this share, a node has enough allowed neighbours.
const ALLOWED_SHARE_MIN: f32 = 0.35;
/// A walk in which few rows may be returned sees more: at most so many times as far.
const STRETCH_MAX: f32 = 16.0;

/// How many rows are scored exactly to return `k`.
pub(super) fn spared(k: usize) -> usize {
    k + k / 8 + SPARE
}

impl Reach {
    pub(crate) fn of(effort: u32, k: usize) -> Reach {
        Reach { k, effort: effort.max(1) }
    }

    /// `share` of the nodes may be returned.
    pub(crate) fn aim(self, share: f32, l2: bool) -> Aim {
        let k = spared(self.k);
        let stretch = share.max(f32::MIN_POSITIVE).recip().clamp(1.0, STRETCH_MAX);
        let (width, slack) = match l2 {
            true => (self.effort as usize, SLACK * (self.effort as f32 / 16.0).log2()),
            false => (self.effort as usize, SLACK_DOT),
        };
        let width = width.max(k) as f32 * stretch;
        let through = match share {
            share if share >= ALL_SHARE_MIN => Through::All,
            share if share >= ALLOWED_SHARE_MIN => Through::Allowed,
            _ => Through::OneOther,
        };
        Aim { k, width: width as usize, slack, through }
    }
}

/// The effort that reached a recall, between those tried; beyond them, the largest.
pub(crate) fn effort_for(trials: &[Trial], recall: f32) -> u32 {
    let Some(above) = trials.iter().position(|trial| trial.recall >= recall) else {
        return trials.last().map_or(LADDER[LADDER.len() - 1], |trial| trial.effort).max(1);
    };
    let high = trials[above];
    let Some(low) = above.checked_sub(1).map(|below| trials[below]) else {
        return high.effort.max(1);
    };
    let part = (recall - low.recall) / (high.recall - low.recall).max(f32::MIN_POSITIVE);
    let (a, b) = ((low.effort.max(1) as f32).ln(), (high.effort.max(1) as f32).ln());
    ((a + (b - a) * part.clamp(0.0, 1.0)).exp().ceil() as u32).max(1)
}

/// What the largest trial up to an effort found.
pub(crate) fn recall_at(trials: &[Trial], effort: u32) -> f32 {
    let tried = trials.iter().take_while(|trial| trial.effort <= effort);
    tried.last().map_or(0.0, |trial| trial.recall)
}

/// Looks for what is near some of the nodes, with every effort, and compares with a scan: over links and
/// the signs of all nodes, and over whole rows.
pub(crate) fn calibrate(
    grown: &Grow,
    signs: &[u8],
    progress: &mut Progress<'_>,
) -> Result<[Vec<Trial>; 2]> {
    let sample: Vec<u32> = shuffled(grown.nodes, 3).into_iter().take(SAMPLE as usize).collect();
    let mut found = Vec::with_capacity(sample.len());
    for some in sample.chunks(8 * grown.threads) {
        found.extend(grown.each(some, |grow, hand, node| {
            let truth = scan(grow, node);
            let mut tried = [[0f32; LADDER.len()]; 2];
            for (signs, shares) in [Some(signs), None].into_iter().zip(&mut tried) {
                for (effort, share) in LADDER.into_iter().zip(shares) {
                    *share = found_of((grow, signs), hand, (node, &truth), effort)?;
                }
            }
            Ok(tried)
        })?);
        progress.check()?;
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

/// The ten nearest of a node by a scan over all codes.
fn scan(grow: &Grow, node: u32) -> Vec<u32> {
    let (kernel, own) = (Kernel::best(), grow.own(node));
    let mut query = Hops::default();
    query.prepare_code(own, super::beam::own_numbers(own), grow.measure.layout.padded);
    let mut best: Vec<(f32, u32)> = Vec::new();
    for other in (0..grow.nodes).filter(|other| *other != node) {
        super::beam::keep(&mut best, 10, grow.measure.own(kernel, &query, grow.own(other)), other);
    }
    best.into_iter().map(|pair| pair.1).collect()
}

/// Which share of the truth a walk finds.
fn found_of(
    (grow, signs): (&Grow, Option<&[u8]>),
    hand: &mut Hand,
    (node, truth): (u32, &[u32]),
    effort: u32,
) -> Result<f32> {
    let aim = Reach::of(effort, 11).aim(1.0, grow.measure.l2);
    match signs {
        Some(signs) => grow.walk_links_to(hand, (node, signs), aim)?,
        None => grow.walk_to(hand, node, aim),
    }
    let nearest = hand.beam.nearest.iter().map(|pair| pair.1).filter(|other| *other != node);
    let found = nearest.take(10).filter(|other| truth.contains(other)).count();
    Ok(found as f32 / truth.len().max(1) as f32)
}
