//! Copies: points that are the same, number by number, and can only go to one code together.

use super::points::Points;

/// How much each point counts where codes are to be equally used: 1, unless it has so many copies that
/// they are more than a code is to get. They count as much together as a code gets, so that the others
/// are shared out among the other codes.
pub(super) fn weights(points: &Points, codes: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let bits = |at: usize| points.row(at).iter().map(|x| x.to_bits());
    order.sort_unstable_by(|a, b| bits(*a).cmp(bits(*b)).then(a.cmp(b)));
    let mut groups: Vec<&[usize]> = order.chunk_by(|a, b| bits(*a).eq(bits(*b))).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    // Each of the largest has a code of its own, and the others share what is left.
    let (mut points_left, mut codes_left, mut full) = (points.len(), codes, 0);
    while let Some(group) = groups.get(full)
        && codes_left > 0
        && group.len() * codes_left > points_left
    {
        (points_left, codes_left, full) = (points_left - group.len(), codes_left - 1, full + 1);
    }
    let share = match codes_left {
        0 => 1.0,
        codes => (points_left as f32 / codes as f32).max(1.0),
    };
    let mut weights = vec![1f32; points.len()];
    for group in &groups[..full] {
        group.iter().for_each(|at| weights[*at] = share / group.len() as f32);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_count_as_much_as_a_code_gets() {
        let points = |numbers: &[f32]| Points { dim: 1, rows: numbers.to_vec() };
        // Six copies, and four that differ: of five codes the copies fill one.
        let mut rows = vec![7.0; 6];
        rows.extend([1.0, 2.0, 3.0, 4.0]);
        let made = weights(&points(&rows), 5);
        assert!(made[..6].iter().all(|weight| (weight - 1.0 / 6.0).abs() < 1e-6));
        assert_eq!(made[6..], [1.0; 4]);
        // A code gets five anyway.
        assert_eq!(weights(&points(&rows[..5]), 1), [1.0; 5]);
        assert_eq!(weights(&points(&[1.0, 2.0]), 5), [1.0; 2]);
        assert!(weights(&points(&[]), 5).is_empty());
    }
}
