//! Assignment: every row one column, for the most weight in all.

/// More rows than this are assigned greedily: exactness costs the cube.
const EXACT_MAX: usize = 2048;

/// For each row of a square matrix the column it gets, each column once, so that the sum of weights is
/// as large as can be (Jonker and Volgenant 1987, by shortest augmenting paths); beyond 2,048 rows the
/// largest weights first, which is at least half of the best. Weights are above 0, each place with the
/// row and the column that it is of; the others are 0. So a large matrix costs what it has entries.
pub(super) fn assignment(
    weights: impl Iterator<Item = ((usize, usize), i64)>,
    size: usize,
) -> Vec<usize> {
    if size > EXACT_MAX {
        return greedy(weights, size);
    }
    let mut all = vec![0i64; size * size];
    weights.for_each(|((row, column), weight)| all[row * size + column] = weight);
    exact(&all, size)
}

/// Row 0 and column 0 are nobody's: what is not assigned yet.
fn exact(weights: &[i64], size: usize) -> Vec<usize> {
    let cost = |row: usize, column: usize| -weights[(row - 1) * size + column - 1];
    let (mut rows, mut columns) = (vec![0i64; size + 1], vec![0i64; size + 1]);
    let mut row_of = vec![0usize; size + 1];
    for row in 1..=size {
        row_of[0] = row;
        let mut at = 0;
        let (mut least, mut came) = (vec![i64::MAX; size + 1], vec![0usize; size + 1]);
        let mut seen = vec![false; size + 1];
        while row_of[at] != 0 {
            seen[at] = true;
            let (from, mut step, mut next) = (row_of[at], i64::MAX, 0);
            for column in 1..=size {
                if seen[column] {
                    continue;
                }
                let reduced = cost(from, column) - rows[from] - columns[column];
                if reduced < least[column] {
                    (least[column], came[column]) = (reduced, at);
                }
                if least[column] < step {
                    (step, next) = (least[column], column);
                }
            }
            for column in 0..=size {
                if seen[column] {
                    rows[row_of[column]] += step;
                    columns[column] -= step;
                } else {
                    least[column] = least[column].saturating_sub(step);
                }
            }
            at = next;
        }
        while at != 0 {
            row_of[at] = row_of[came[at]];
            at = came[at];
        }
    }
    let mut column_of = vec![0; size];
    (1..=size).for_each(|column| column_of[row_of[column] - 1] = column - 1);
    column_of
}

fn greedy(weights: impl Iterator<Item = ((usize, usize), i64)>, size: usize) -> Vec<usize> {
    let mut order: Vec<_> = weights.map(|(place, weight)| (-weight, place)).collect();
    order.sort_unstable();
    let (mut column_of, mut taken) = (vec![usize::MAX; size], vec![false; size]);
    for (_, (row, column)) in order {
        if column_of[row] == usize::MAX && !taken[column] {
            (column_of[row], taken[column]) = (column, true);
        }
    }
    let mut free = (0..size).filter(|column| !taken[*column]);
    for column in column_of.iter_mut().filter(|column| **column == usize::MAX) {
        *column = free.next().unwrap_or(0);
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best(weights: &[i64], size: usize, row: usize, taken: &mut Vec<bool>) -> i64 {
        if row == size {
            return 0;
        }
        let mut most = i64::MIN;
        for column in 0..size {
            if !taken[column] {
                taken[column] = true;
                let rest = best(weights, size, row + 1, taken);
                most = most.max(weights[row * size + column] + rest);
                taken[column] = false;
            }
        }
        most
    }

    /// As many codes as a level can have: a matrix of all pairs took 34 GB.
    #[test]
    fn the_largest_level_costs_what_it_has_entries() {
        let size = 65_536;
        let entries = (0..size).map(|row| ((row, (row * 3 + 1) % size), 2));
        let columns = assignment(entries.chain([((0, 0), 1)]), size);
        assert!(columns.iter().enumerate().all(|(row, column)| *column == (row * 3 + 1) % size));
    }

    proptest! {
        /// Goal: as much weight as the best of all permutations; greedy at least half of it.
        #[test]
        fn no_permutation_has_more_weight(
            (size, weights) in (1usize..7)
                .prop_flat_map(|n| (Just(n), prop::collection::vec(0i64..20, n * n)))
        ) {
            let most = best(&weights, size, 0, &mut vec![false; size]);
            let entries = || {
                let all = weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
                all.map(|(at, weight)| ((at / size, at % size), *weight))
            };
            prop_assert_eq!(assignment(entries(), size), exact(&weights, size));
            for (columns, share) in [(exact(&weights, size), 1), (greedy(entries(), size), 2)] {
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.into_iter().eq(0..size));
                let sum: i64 =
                    columns.iter().enumerate().map(|(row, c)| weights[row * size + c]).sum();
                prop_assert!(sum * share >= most, "{} of {}", sum, most);
            }
        }
    }
}
