//! Balance: prices that make all codes equally used.
//!
//! The assignment of points to codes of equal size with the least total distance is a transport
//! problem. Its dual has one price for each code, and given the right prices every point takes the
//! code of least distance plus price. So the balance is a property of the codebook, and a new item
//! follows the same rule.
//!
//! Prices are found in two ways, one after the other. Soft steps let every point take a little of each
//! code, less of dearer ones (Sinkhorn's iteration, Cuturi 2013): how much a code gets then changes
//! without jumps, whatever the scale of the distances. They cool down from step to step and from round
//! to round, from the scale of all points to that of a tight group of them, so that first groups and
//! then the points of a group are shared out. Hard steps count what codes really get, and go up or
//! down, longer in the same direction and shorter after a turn (Rprop, Riedmiller and Braun 1993). Of
//! all prices that were looked at, the best are taken.

use super::{
    copies,
    kmeans::{halves, piece, products},
    points::Points,
};
use crate::{
    error::Result,
    model::train::{
        dice::Dice,
        exp::{add, exp_sub_sum},
        share::share,
    },
    progress::Progress,
};

/// Soft steps for each set of centroids, and as many hard ones after them.
const STEPS: (usize, usize) = (12, 12);
/// The same for the last set.
const LAST: (usize, usize) = (24, 40);
/// Products are kept from step to step while they are at most so many: 512 MiB of them. More are made
/// anew in each step, of which there are then a third.
const KEPT_MAX: usize = 1 << 27;

/// The heat of the first step, as a share of the mean squared length of the points.
const HEAT: f64 = 0.1;
/// By how many powers of ten it is less in the last round, and after the last soft step of all.
const COLD: f64 = 4.0;
const COLDEST: f64 = 5.5;

/// A code with at most this share of what it is to get is moved, to one with at least that.
const POOR: f64 = 0.5;
const RICH: f64 = 1.3;

/// What is known of the points, and where prices have come to.
pub(super) struct Balance {
    /// How much each point counts: see [`copies::weights`].
    weights: Vec<f32>,
    /// How much each code is to get.
    target: f64,
    /// The mean squared length of the points: the scale of distances.
    spread: f64,
    /// The prices of the last soft step: the next begins there.
    soft: Vec<f32>,
    threads: usize,
}

/// What prices come to.
struct Seen {
    /// What codes get: whole points, and shares of points.
    counts: Vec<f64>,
    shares: Vec<f64>,
    /// The sum of squared distances, up to the points' own squares.
    lost: f64,
}

/// The best prices so far.
struct Best {
    score: f64,
    prices: Vec<f32>,
    heat: f64,
}

impl Balance {
    pub(super) fn new(points: &Points, codes: usize, threads: usize) -> Balance {
        let weights = copies::weights(points, codes);
        let target = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / codes as f64;
        let square: f64 = points.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        let spread = square / points.len().max(1) as f64;
        Balance { weights, target, spread, soft: vec![0.0; codes], threads }
    }

    /// Prices for centroids in a round of so many; the round after the last is for good.
    pub(super) fn raise(
        &mut self,
        points: &Points,
        centroids: &[f32],
        (round, rounds): (usize, usize),
        progress: &mut Progress<'_>,
    ) -> Result<Vec<f32>> {
        let codes = self.soft.len();
        let dots = Dots::new(points, centroids, self.threads)?;
        let steps = if round < rounds { STEPS } else { LAST };
        let (soft, hard) = match dots.kept {
            Some(_) => steps,
            None => (steps.0 / 3, steps.1 / 3),
        };
        let cold = COLD * round.min(rounds - 1) as f64 / (rounds - 1).max(1) as f64;
        let (from, to) = ((cold - 1.0).max(0.0), if round < rounds { cold } else { COLDEST });
        let mut best = Best { score: f64::NEG_INFINITY, prices: self.soft.clone(), heat: 0.0 };
        // Nothing but zeros, and what rounding leaves of them.
        if self.spread < 1e-30 {
            return Ok(best.prices);
        }
        for step in 0..soft {
            progress.poll()?;
            let heat = from + (to - from) * step as f64 / (soft - 1) as f64;
            let heat = HEAT * self.spread * 10f64.powf(-heat);
            let seen = self.look(&dots, centroids, &self.soft, Some(heat))?;
            best.offer(self.score(&seen), &self.soft, heat);
            for (price, share) in self.soft.iter_mut().zip(&seen.shares) {
                *price += (heat * (share.max(1e-30) / self.target).ln().max(-20.0)) as f32;
            }
            centre(&mut self.soft);
        }
        let (mut prices, mut before) = (best.prices.clone(), vec![0f64; codes]);
        let mut sizes = vec![best.heat; codes];
        for step in 0..=hard {
            progress.poll()?;
            let seen = self.look(&dots, centroids, &prices, None)?;
            let heat = best.heat;
            best.offer(self.score(&seen), &prices, heat);
            if step == hard {
                break;
            }
            for (code, price) in prices.iter_mut().enumerate() {
                let over = seen.counts[code] / self.target - 1.0;
                match over * before[code] {
                    turn if turn < 0.0 => sizes[code] *= 0.5,
                    same if same > 0.0 => sizes[code] = (sizes[code] * 1.5).min(0.2 * self.spread),
                    _ => {}
                }
                before[code] = over;
                *price += (sizes[code] * over.clamp(-1.0, 1.0)) as f32;
            }
            centre(&mut prices);
        }
        Ok(best.prices)
    }

    /// Larger is better: how even, from 0 to 1, less the share of the content that is lost. Evenness for
    /// which points go to where they do not belong is worth nothing.
    fn score(&self, seen: &Seen) -> f64 {
        let all: f64 = seen.counts.iter().sum();
        let used = seen.counts.iter().filter(|count| **count > 0.0);
        let entropy: f64 = used.map(|count| -count / all * (count / all).ln()).sum();
        let lost = 1.0 + seen.lost / (self.spread * self.weights.len() as f64);
        entropy.exp() / seen.counts.len() as f64 - lost
    }

    /// What prices come to, and the shares of codes at a heat.
    fn look(
        &self,
        dots: &Dots<'_>,
        centroids: &[f32],
        prices: &[f32],
        heat: Option<f64>,
    ) -> Result<Seen> {
        let codes = prices.len();
        let halves = halves(centroids, dots.points.dim, prices);
        let scale = heat.map(|heat| (2.0 / heat) as f32);
        let done = dots.each(self.threads, |from, dots| {
            let (mut counts, mut shares) = (vec![0f32; codes], vec![0f32; codes]);
            let (mut lost, mut room) = (0f64, vec![0f32; codes]);
            for (dots, weight) in dots.chunks_exact(codes).zip(&self.weights[from..]) {
                let (mut best, mut code) = (f32::NEG_INFINITY, 0);
                for (at, (dot, half)) in dots.iter().zip(&halves).enumerate() {
                    if dot - half > best {
                        (best, code) = (dot - half, at);
                    }
                }
                counts[code] += weight;
                lost -= f64::from(2.0 * best) + f64::from(prices[code]);
                let Some(scale) = scale else { continue };
                for ((room, dot), half) in room.iter_mut().zip(dots).zip(&halves) {
                    *room = (dot - half - best) * scale;
                }
                let sum = exp_sub_sum(&mut room, 0.0);
                add(&mut shares, &room, weight / sum);
            }
            (counts, shares, lost)
        })?;
        let mut seen = Seen { counts: vec![0.0; codes], shares: vec![0.0; codes], lost: 0.0 };
        for (counts, shares, lost) in done {
            seen.counts.iter_mut().zip(counts).for_each(|(sum, x)| *sum += f64::from(x));
            seen.shares.iter_mut().zip(shares).for_each(|(sum, x)| *sum += f64::from(x));
            seen.lost += lost;
        }
        Ok(seen)
    }

    /// Moves the codes that have least to points of the codes that have most: prices alone bring no code
    /// from a group that has too many to one that has too few.
    pub(super) fn refill(
        &mut self,
        points: &Points,
        codes: &[u16],
        centroids: &mut [f32],
        dice: &mut Dice,
    ) {
        let mut counts = vec![0f64; self.soft.len()];
        for (code, weight) in codes.iter().zip(&self.weights) {
            counts[usize::from(*code)] += f64::from(*weight);
        }
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by(|a, b| counts[*a].total_cmp(&counts[*b]).then(a.cmp(b)));
        let worth = |(poor, rich): &(usize, usize)| {
            counts[*poor] <= POOR * self.target && counts[*rich] >= RICH * self.target
        };
        let pairs = order.iter().copied().zip(order.iter().rev().copied());
        for (poor, rich) in pairs.take_while(worth) {
            let own = |at: &usize| usize::from(codes[*at]) == rich;
            let own: Vec<usize> = (0..codes.len()).filter(own).collect();
            let to = points.row(own[dice.below(own.len())]);
            centroids[poor * points.dim..][..points.dim].copy_from_slice(to);
            self.soft[poor] = self.soft[rich];
        }
    }
}

impl Best {
    fn offer(&mut self, score: f64, prices: &[f32], heat: f64) {
        if score > self.score {
            (self.score, self.heat) = (score, heat);
            self.prices.copy_from_slice(prices);
        }
    }
}

/// Only differences count.
fn centre(prices: &mut [f32]) {
    let mean = prices.iter().map(|p| f64::from(*p)).sum::<f64>() / prices.len() as f64;
    prices.iter_mut().for_each(|price| *price -= mean as f32);
}

/// Inner products of points and centroids: kept, or made when they are looked at.
struct Dots<'a> {
    points: &'a Points,
    centroids: &'a [f32],
    kept: Option<Vec<Vec<f32>>>,
}

impl<'a> Dots<'a> {
    fn new(points: &'a Points, centroids: &'a [f32], threads: usize) -> Result<Dots<'a>> {
        let codes = centroids.len() / points.dim;
        let mut dots = Dots { points, centroids, kept: None };
        if points.len().saturating_mul(codes) <= KEPT_MAX {
            dots.kept = Some(dots.each(threads, |_, dots| dots.to_vec())?);
        }
        Ok(dots)
    }

    /// Does some work on each piece of them: told the first point of it, and the products.
    fn each<T: Send>(
        &self,
        threads: usize,
        work: impl Fn(usize, &[f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let (dim, piece) = (self.points.dim, piece(self.centroids.len() / self.points.dim));
        let pieces: Vec<&[f32]> = self.points.rows.chunks(piece * dim).collect();
        share(pieces, threads, |at, rows| match &self.kept {
            Some(kept) => work(at * piece, &kept[at]),
            None => work(at * piece, &products(rows, self.centroids, dim)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: products that are made anew say what kept ones say, for any number of threads.
    #[test]
    fn kept_products_and_new_ones_agree() {
        let mut dice = Dice::new(3, 1);
        let points = Points { dim: 5, rows: (0..2500 * 5).map(|_| dice.normal()).collect() };
        let centroids: Vec<f32> = (0..7 * 5).map(|_| dice.normal()).collect();
        let prices: Vec<f32> = (0..7).map(|_| dice.unit()).collect();
        let balance = Balance::new(&points, 7, 1);
        let kept = Dots::new(&points, &centroids, 2).unwrap();
        let made = Dots { points: &points, centroids: &centroids, kept: None };
        assert!(kept.kept.is_some());
        for heat in [None, Some(0.3), Some(1e-5)] {
            let look = |dots, threads| {
                let balance =
                    Balance { threads, soft: vec![], weights: balance.weights.clone(), ..balance };
                let seen = balance.look(dots, &centroids, &prices, heat).unwrap();
                (seen.counts, seen.shares, seen.lost)
            };
            assert_eq!(look(&kept, 1), look(&made, 3));
            let shares: f64 = look(&kept, 1).1.iter().sum();
            assert!((shares - if heat.is_some() { 2500.0 } else { 0.0 }).abs() < 1e-2, "{shares}");
        }
    }
}
