//! Balance: prices that make all codes equally used.
//!
//! The assignment of points to codes of equal size with the least total distance is a transport
//! problem. Its dual has one price for each code, and given the right prices every point takes the
//! code of least distance plus price. So the balance is a property of the codebook, and a new item
//! follows the same rule. Prices are found by ascent on the dual: a code with too many points gets
//! dearer, one with too few cheaper.

use super::{
    kmeans::{halves, products},
    points::Points,
};
use crate::{error::Result, model::train::share::share};

/// Rows done as one piece of work.
const PIECE: usize = 1024;
/// Steps for each set of centroids: prices are kept from one to the next.
const STEPS: usize = 24;

/// Brings prices nearer to where all codes have as many points.
pub(super) fn raise(
    points: &Points,
    centroids: &[f32],
    prices: &mut [f32],
    threads: usize,
    round: usize,
) -> Result<()> {
    let pieces: Vec<&[f32]> = points.rows.chunks(PIECE * points.dim).collect();
    let products = share(pieces, threads, |_, rows| products(rows, centroids, points.dim))?;
    let codes = prices.len();
    let target = points.len() as f64 / codes as f64;
    let spread = spread(points);
    for step in 0..STEPS {
        let halves = halves(centroids, points.dim, prices);
        let counts = share(products.iter().collect(), threads, |_, dots: &Vec<f32>| {
            let mut counts = vec![0u32; codes];
            for dots in dots.chunks_exact(codes) {
                let (mut best, mut code) = (f32::NEG_INFINITY, 0);
                for (at, (dot, half)) in dots.iter().zip(&halves).enumerate() {
                    if dot - half > best {
                        (best, code) = (dot - half, at);
                    }
                }
                counts[code] += 1;
            }
            counts
        })?;
        let sum = |code: usize| counts.iter().map(|c| f64::from(c[code])).sum::<f64>();
        // Large steps first; over the rounds ever smaller ones.
        let size = 0.1 * spread / (1.0 + (round * STEPS + step) as f64 / 20.0).sqrt();
        for (code, price) in prices.iter_mut().enumerate() {
            let over = (sum(code) / target - 1.0).clamp(-1.0, 2.0);
            *price += (size * over) as f32;
        }
        let mean = prices.iter().map(|p| f64::from(*p)).sum::<f64>() / codes as f64;
        prices.iter_mut().for_each(|price| *price -= mean as f32);
    }
    Ok(())
}

/// The mean squared length of the points: the scale of distances.
fn spread(points: &Points) -> f64 {
    let square: f64 = points.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    square / points.len().max(1) as f64
}
