//! k-means: Lloyd's iterations, and moving centroids that save little; the same for any number of
//! threads.

use super::{balance::Balance, points::Points};
use crate::{
    error::Result,
    model::train::{
        dice::Dice,
        gemm::{Matrix, gemm},
        share::share,
    },
    progress::Progress,
};

/// Rows done as one piece of work; sums are added piece by piece, so threads do not change them. Of very
/// many codes fewer rows, so that their products stay small.
pub(super) fn piece(codes: usize) -> usize {
    ((1 << 22) / codes.max(1)).clamp(64, 1024)
}

/// Centroids, what each costs, and the code of each point.
#[derive(Debug)]
pub(super) struct Clusters {
    pub(super) centroids: Vec<f32>,
    pub(super) prices: Vec<f32>,
    pub(super) codes: Vec<u16>,
}

/// What is asked of the making of one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) codes: usize,
    pub(super) iterations: usize,
    pub(super) balanced: bool,
    pub(super) threads: usize,
}

/// Clusters points. Where there are fewer distinct ones than codes, the codes that are too many stay
/// at points that others have, and are never given: the lower of equals is.
pub(super) fn cluster(
    points: &Points,
    wanted: Wanted,
    dice: &mut Dice,
    progress: &mut Progress<'_>,
) -> Result<Clusters> {
    if wanted.balanced {
        return balanced(points, wanted, dice, progress);
    }
    let mut centroids = start(points, wanted.codes, dice);
    let (prices, mut codes) = (vec![0f32; wanted.codes], Vec::new());
    for round in 0..wanted.iterations {
        progress.advance(1)?;
        let next = assign(points, &centroids, &prices, wanted.threads)?;
        let settled = next.codes == codes;
        centroids = means(points, &next.codes, &centroids, wanted.threads)?;
        let moves = round % 3 == 2 && round + REST < wanted.iterations;
        let most = if moves { wanted.codes.div_ceil(10) } else { 0 };
        let moved = relocate(points, &next, most, &mut centroids, dice);
        codes = next.codes;
        if settled && !moved {
            break;
        }
    }
    let codes = assign(points, &centroids, &prices, wanted.threads)?.codes;
    Ok(Clusters { centroids, prices, codes })
}

/// The same with prices. All rounds are run: what has settled in one is moved by the prices of the next.
fn balanced(
    points: &Points,
    wanted: Wanted,
    dice: &mut Dice,
    progress: &mut Progress<'_>,
) -> Result<Clusters> {
    let (rounds, threads) = (wanted.iterations, wanted.threads);
    let mut centroids = start(points, wanted.codes, dice);
    let mut balance = Balance::new(points, wanted.codes, threads);
    for round in 0..rounds {
        progress.advance(1)?;
        let prices = balance.raise(points, &centroids, (round, rounds), progress)?;
        let codes = assign(points, &centroids, &prices, threads)?.codes;
        centroids = means(points, &codes, &centroids, threads)?;
        if round + REST / 2 < rounds {
            balance.refill(points, &codes, &mut centroids, dice);
        }
    }
    let prices = balance.raise(points, &centroids, (rounds, rounds), progress)?;
    let codes = assign(points, &centroids, &prices, threads)?.codes;
    Ok(Clusters { centroids, prices, codes })
}

/// Iterations at the end in which no centroid is moved; half as many if balanced.
const REST: usize = 8;
/// A code is moved if it saves less than this share of the error of the code that it is to help:
/// about what two centroids save where there was one.
const WORTH: f64 = 0.1;

/// Points, drawn without repeats while there are enough.
fn start(points: &Points, codes: usize, dice: &mut Dice) -> Vec<f32> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    dice.shuffle(&mut order);
    (0..codes).flat_map(|code| points.row(order[code % order.len()]).to_vec()).collect()
}

pub(super) fn squares(points: &Points) -> Vec<f32> {
    let square = |row: &[f32]| row.iter().map(|x| x * x).sum();
    points.rows.chunks_exact(points.dim).map(square).collect()
}

/// Half of what an inner product lacks to be a distance: as `Level` has it.
pub(in crate::model::semantic) fn halves(
    centroids: &[f32],
    dim: usize,
    prices: &[f32],
) -> Vec<f32> {
    let half = |(row, price): (&[f32], &f32)| {
        let square: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        ((square + f64::from(*price)) / 2.0) as f32
    };
    centroids.chunks_exact(dim).zip(prices).map(half).collect()
}

/// Inner products of some points with all centroids, point by point.
pub(in crate::model::semantic) fn products(
    points: &[f32],
    centroids: &[f32],
    dim: usize,
) -> Vec<f32> {
    let (rows, codes) = (points.len() / dim, centroids.len() / dim);
    let mut out = vec![0f32; rows * codes];
    let (a, b) = (Matrix::new(points, rows, dim), Matrix::new(centroids, codes, dim));
    gemm(1.0, a, b.t(), 0.0, &mut out);
    out
}

/// What each point is given.
#[derive(Debug, Default)]
struct Given {
    codes: Vec<u16>,
    /// Its squared distance from its centroid, up to its own square, and with the price.
    errors: Vec<f32>,
    /// How much farther the next best centroid is.
    gaps: Vec<f32>,
}

fn assign(points: &Points, centroids: &[f32], prices: &[f32], threads: usize) -> Result<Given> {
    let halves = halves(centroids, points.dim, prices);
    let pieces: Vec<&[f32]> = points.rows.chunks(piece(halves.len()) * points.dim).collect();
    let done = share(pieces, threads, |_, rows| {
        let dots = products(rows, centroids, points.dim);
        let mut given = Given::default();
        for dots in dots.chunks_exact(halves.len()) {
            let (mut best, mut second, mut code) = (f32::NEG_INFINITY, f32::NEG_INFINITY, 0u16);
            for (at, (dot, half)) in dots.iter().zip(&halves).enumerate() {
                let score = dot - half;
                if score > best {
                    (best, second, code) = (score, best, at as u16);
                } else if score > second {
                    second = score;
                }
            }
            given.codes.push(code);
            given.errors.push(-2.0 * best);
            given.gaps.push(2.0 * (best - second.max(f32::MIN)));
        }
        given
    })?;
    let mut all = Given::default();
    for piece in done {
        all.codes.extend(piece.codes);
        all.errors.extend(piece.errors);
        all.gaps.extend(piece.gaps);
    }
    Ok(all)
}

/// The mean of each code's points; a code without any stays where it is.
fn means(points: &Points, codes: &[u16], old: &[f32], threads: usize) -> Result<Vec<f32>> {
    let dim = points.dim;
    // Each piece owns some dimensions of all centroids, and reads all points in order.
    let width = dim.div_ceil(8).max(1);
    let slices: Vec<usize> = (0..dim).step_by(width).collect();
    let count = old.len() / dim;
    let done = share(slices.clone(), threads, |_, from| {
        let to = (from + width).min(dim);
        let mut sums = vec![0f64; count * (to - from)];
        for (row, code) in points.rows.chunks_exact(dim).zip(codes) {
            let sum = &mut sums[usize::from(*code) * (to - from)..][..to - from];
            sum.iter_mut().zip(&row[from..to]).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sums
    })?;
    let mut sizes = vec![0u32; count];
    codes.iter().for_each(|code| sizes[usize::from(*code)] += 1);
    let mut means = old.to_vec();
    for (from, sums) in slices.into_iter().zip(done) {
        let to = (from + width).min(dim);
        for code in (0..count).filter(|code| sizes[*code] > 0) {
            let sum = &sums[code * (to - from)..][..to - from];
            let mean = &mut means[code * dim + from..code * dim + to];
            let size = f64::from(sizes[code]);
            mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = (sum / size) as f32);
        }
    }
    Ok(means)
}

/// Moves the codes that save least to where most is lost, at most so many (the utility of LBG-U,
/// Fritzke 1997), and codes that nobody has always: Lloyd alone stays where it began. Says whether
/// any was moved.
fn relocate(
    points: &Points,
    given: &Given,
    most: usize,
    centroids: &mut [f32],
    dice: &mut Dice,
) -> bool {
    let count = centroids.len() / points.dim;
    let (mut saves, mut loses, mut sizes) = (vec![0f64; count], vec![0f64; count], vec![0; count]);
    for ((code, square), (error, gap)) in
        given.codes.iter().zip(squares(points)).zip(given.errors.iter().zip(&given.gaps))
    {
        let code = usize::from(*code);
        saves[code] += f64::from(*gap);
        loses[code] += f64::from((square + error).max(0.0));
        sizes[code] += 1usize;
    }
    let order = |values: &[f64], sign: f64| -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| (sign * values[*a]).total_cmp(&(sign * values[*b])).then(a.cmp(b)));
        order
    };
    let mut moved = false;
    for (at, (poor, rich)) in order(&saves, 1.0).into_iter().zip(order(&loses, -1.0)).enumerate() {
        let empty = sizes[poor] == 0;
        // What is lost to rounding is nothing to save.
        let worth = loses[rich] > 1e-6 && (empty || saves[poor] < WORTH * loses[rich]);
        if poor == rich || !worth || (at >= most && !empty) {
            break;
        }
        let nth = dice.below(sizes[rich]);
        let own = |(_, code): &(usize, &u16)| usize::from(**code) == rich;
        if let Some((to, _)) = given.codes.iter().enumerate().filter(own).nth(nth) {
            centroids[poor * points.dim..][..points.dim].copy_from_slice(points.row(to));
            moved = true;
        }
    }
    moved
}
