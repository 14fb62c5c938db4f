//! What a graph is made of, and graphs of vectors that are the same on every run.
//!
//! | file | it tests |
//! |---|---|
//! | `parts` | the pool, the nearest, efforts: against what a few naive lines say |
//! | `codes` | that a row is read as it was written, and how good its estimates are |
//! | `course` | builds in steps: going on from any of them, growing from an older graph |
//! | `twins` | nodes that are the same are found, each of them |
//! | `grown` | whole graphs: what walks find and cost, and that any vectors will do |

mod codes;
mod course;
mod grown;
mod parts;
mod twins;

use super::{
    beam::own_numbers,
    grow::{Care, Grow},
};
use crate::{
    io::AlignedBytes,
    vector::{
        hop::Layout,
        rotate::{Rotation, splitmix},
    },
};

/// A number of the normal distribution.
fn normal(state: &mut u64) -> f32 {
    let mut unit = || ((splitmix(state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    ((-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()) as f32
}

/// Vectors of the normal distribution.
fn cloud(seed: u64, count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut state = seed;
    (0..count).map(|_| (0..dim).map(|_| normal(&mut state)).collect()).collect()
}

fn rotated(vector: &[f32]) -> Vec<f32> {
    let rotation = Rotation::new(vector.len(), 1);
    let mut turned = vec![0.0; rotation.padded()];
    rotation.apply(vector, &mut turned);
    turned
}

/// An unlinked graph of vectors, with their codes as `build` writes them.
fn unlinked(vectors: &[Vec<f32>], dim: usize, bits: usize, l2: bool, threads: usize) -> Grow {
    let padded = dim.next_multiple_of(16);
    let layout = Layout::new(padded, padded, bits);
    let mut owns = AlignedBytes::zeroed(vectors.len() * layout.own);
    for (vector, own) in vectors.iter().zip(owns.chunks_exact_mut(layout.own)) {
        let turned = rotated(vector);
        let scale = turned.iter().fold(0f32, |max, x| max.max(x.abs())) / 127.0;
        let mut norm = 0.0;
        for (x, code) in turned.iter().zip(own.iter_mut()) {
            let step = if scale > 0.0 { (x / scale).round() } else { 0.0 };
            *code = (step as i8).cast_unsigned();
            norm += step * scale * step * scale;
        }
        let [.., a, b] = own.as_chunks_mut::<4>().0 else { unreachable!() };
        (*a, *b) = (norm.to_le_bytes(), scale.to_le_bytes());
        assert_eq!(own_numbers(own), (norm, scale));
    }
    let count = vectors.len() as u32;
    Grow::new((layout, l2), count, threads, Care::for_count(count), owns).unwrap()
}
