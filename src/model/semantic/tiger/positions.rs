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

#[cfg(test)]
mod tests {
    use super::{super::tests::shape, *};

    /// Where buckets begin, as T5Attention of transformers 5.24 says it under torch 2.15: buckets,
    /// farthest distance, whether both ways, and the first distance of each bucket that is not alone.
    const BEGIN: [(usize, usize, bool, &[isize]); 9] = [
        (32, 128, true, &[8, 12, 16, 23, 32, 46, 64, 91]),
        (32, 128, false, &[16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]),
        (12, 20, true, &[3, 6, 11]),
        (12, 20, false, &[6, 8, 9, 11, 14, 17]),
        (32, 64, true, &[8, 11, 14, 18, 23, 30, 39, 50]),
        (32, 64, false, &[16, 18, 20, 21, 23, 25, 27, 30, 32, 35, 39, 42, 46, 50, 54, 59]),
        (4, 3, true, &[1]),
        (33, 100, true, &[8, 11, 16, 21, 29, 39, 54, 73]),
        (33, 100, false, &[16, 18, 20, 23, 25, 28, 31, 35, 38, 43, 48, 53, 59, 65, 73, 81, 90]),
    ];

    /// Goal: every distance falls into the bucket that it falls into in PyTorch, on the edges, too.
    #[test]
    fn distances_fall_where_they_fall_in_pytorch() {
        for (buckets, max_distance, both, begin) in BEGIN {
            let shape = Shape { buckets, max_distance, ..shape() };
            let near = begin[0] as usize;
            for far in 0..=1100 {
                let shared = begin.iter().filter(|begin| far >= **begin).count();
                let want = if (far as usize) < near { far as usize } else { near - 1 + shared };
                assert_eq!(bucket(&shape, -far, both), want, "{far} back of {buckets}, {both}");
                let ahead = match both {
                    true if far > 0 => want + buckets / 2,
                    _ => 0,
                };
                assert_eq!(bucket(&shape, far, both), ahead, "{far} ahead of {buckets}, {both}");
            }
        }
    }
}
