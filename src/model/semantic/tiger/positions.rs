//! Positions: what the distance between two tokens adds to attention (Raffel et al., 2020).

use super::shape::Shape;

/// The bucket of a distance: near ones have one each, far ones share one with others of their size,
/// and from `max_distance` on all are in the last.
///
/// The encoder looks both ways and has a half of the buckets for each; `distance` is how far ahead
/// the token is that is looked at. The decoder looks back only.
pub(crate) fn bucket(shape: &Shape, distance: isize, both_ways: bool) -> usize {
    let (count, from, far) = match both_ways {
        true => {
            let half = shape.buckets / 2;
            (half, if distance > 0 { half } else { 0 }, distance.unsigned_abs())
        }
        false => (shape.buckets, 0, (-distance).max(0) as usize),
    };
    let near = count / 2;
    if far < near {
        return from + far;
    }
    // In this order and precision, as a distance on the edge of a bucket falls where rounding says.
    let share = (far as f32 / near as f32).ln()
        / (shape.max_distance as f64 / near as f64).ln() as f32
        * (count - near) as f32;
    from + (near + share as usize).min(count - 1)
}

/// Per head, what distances from `from` to `to`, both included, add: `table` has a row of heads for
/// each bucket.
pub(crate) fn biases(
    shape: &Shape,
    table: &[f32],
    (from, to): (isize, isize),
    both_ways: bool,
) -> Vec<Vec<f32>> {
    let buckets: Vec<usize> = (from..=to).map(|at| bucket(shape, at, both_ways)).collect();
    let head = |head: usize| buckets.iter().map(|at| table[at * shape.heads + head]).collect();
    (0..shape.heads).map(head).collect()
}
