//! How far an effort goes, and what share of the nearest was found when that was tried.

use super::beam::{Aim, Measure, Through};
use crate::vector::hop::Hops;
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
pub(super) const LADDER: [u32; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Every doubling of the effort lets candidates be this much farther than the `k`-th nearest; at
/// effort 16 they must be as near. The width, which is the effort, ends the walks of queries around
/// which many nodes are about as far: without it, a few walks would take most of the time.
const SLACK: f32 = 0.05;
/// Inner products have no scale on which farther could be said of all queries alike: there the width
/// ends the walk, and only what is hopeless is left out.
const SLACK_DOT: f32 = 0.4;
/// Rows beyond the `k`-th by codes that are scored exactly, too, at least.
const SPARE: usize = 2;
/// By how many times what codes are off by two rows may be in the wrong order.
const DOUBT: f32 = 2.0;
/// With at least this share of the nodes allowed, a walk goes through all.
const ALL_SHARE_MIN: f32 = 0.8;
/// With at least this share, a node has enough allowed neighbours.
const ALLOWED_SHARE_MIN: f32 = 0.35;
/// A walk in which few rows may be returned sees more: at most so many times as far.
const STRETCH_MAX: f32 = 16.0;

/// How many rows are scored exactly to return `k`, at least.
pub(super) fn spared(k: usize) -> usize {
    k + k / 8 + SPARE
}

/// How many of the nearest by codes are scored exactly to return `k`: all that may be as near as the `k`-th.
/// Where a thousand places lie within one step of a code, these are all that a walk found.
pub(super) fn doubtful(
    nearest: &[(f32, u32)],
    k: usize,
    (measure, queries): (&Measure, &[Hops]),
) -> usize {
    let least = nearest.len().min(spared(k));
    let Some((last, _)) = k.checked_sub(1).and_then(|at| nearest.get(at)) else { return least };
    let far = last + doubt(*last, (measure, queries));
    least + nearest[least..].partition_point(|pair| pair.0 <= far)
}

/// By how much the distances of two rows by their codes, about this far, may be in the wrong order.
///
/// A code rounds every number to steps of a 127th of the largest, which is about four times as large as most:
/// off by a twelfth of a step squared each, in directions of chance.
pub(super) fn doubt(distance: f32, (measure, queries): (&Measure, &[Hops])) -> f32 {
    let size = 16.0 * measure.scales[1];
    let step = size * (measure.layout.padded as f32).sqrt().min(4.0) / 127.0;
    let along = match measure.l2 {
        // The product of the difference with what is rounded, and the square of that.
        true => 4.0 * distance.max(0.0) + step * step * measure.layout.padded as f32 / 15.0,
        false => queries.iter().fold(0f32, |most, query| most.max(query.norm)),
    };
    let doubt = DOUBT * std::f32::consts::SQRT_2 * step * (along / 12.0).sqrt();
    if doubt.is_finite() { doubt } else { 0.0 }
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
