//! Scan, skim or walk: whichever is likely to take least time.
//!
//! A scan costs by the rows that are allowed, and so does a skim, less for each and more for the first; a
//! walk by how far it goes, and more the fewer of the rows that it meets are allowed. All costs are
//! estimates, in nanoseconds on the machine on which the constants were measured; only their ratio
//! matters.

/// What is to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Rows of the part.
    pub(crate) rows: u64,
    /// About how many of them are allowed.
    pub(crate) allowed: u64,
    pub(crate) dim: u32,
    /// Vectors that are asked for together.
    pub(crate) queries: usize,
    /// Results that are wanted.
    pub(crate) k: usize,
    pub(crate) effort: u32,
}

/// How to search a part that has a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Scan,
    Skim,
    Walk,
}

// As measured on the machine of `benches/README.md`, with rows far beyond its caches.
/// To score a row: what it costs however short it is, and for each number.
const SCAN_ROW_NS: f64 = 6.0;
const SCAN_NUMBER_NS: f64 = 0.25;
/// To score a row that does not follow the one before: the cache misses it.
const SCAN_GAP_NS: f64 = 150.0;
/// To prepare a query for signs, for each of its numbers; to look at the signs of a row, what it costs
/// anyway and for each number, and at those of a row that does not follow the one before.
const SKIM_BEGIN_NS: f64 = 5.0;
const SKIM_ROW_NS: f64 = 8.0;
const SKIM_NUMBER_NS: f64 = 0.02;
const SKIM_GAP_NS: f64 = 8.0;
/// To compare a row that signs do not rule out, and for each of its numbers; of how many rows that is to be
/// done, for each that is wanted.
const COMPARE_NS: f64 = 60.0;
const COMPARE_NUMBER_NS: f64 = 0.1;
const COMPARED: f64 = 8.0;
/// To look at the neighbours of a row: what it costs anyway, and for each number of a vector.
const WALK_STEP_NS: f64 = 350.0;
const WALK_NUMBER_NS: f64 = 1.0;
/// A walk among few allowed rows goes farther by this power of one over their share.
const WALK_STRETCH: f64 = 0.9;

/// To score some rows that follow each other, with so many numbers each.
pub(crate) fn rows_ns(rows: u64, numbers: u64) -> f64 {
    rows as f64 * (SCAN_ROW_NS + SCAN_NUMBER_NS * numbers as f64)
}

/// To score some rows here and there.
pub(crate) fn scattered_ns(rows: u64, numbers: u64) -> f64 {
    rows_ns(rows, numbers) + rows as f64 * SCAN_GAP_NS
}

/// Chooses what is likely to take least time.
pub(crate) fn choose(task: &Task) -> Choice {
    let allowed = task.allowed.min(task.rows);
    let (scan, skim) = (scan_ns(task), skim_ns(task));
    let without = if skim < scan { (skim, Choice::Skim) } else { (scan, Choice::Scan) };
    // A walk that is to find most of what there is meets most of what there is.
    if allowed > (task.k as u64).saturating_mul(4) && walk_ns(task) < without.0 {
        return Choice::Walk;
    }
    without.1
}

fn share(task: &Task) -> f64 {
    task.allowed.min(task.rows) as f64 / task.rows.max(1) as f64
}

fn scan_ns(task: &Task) -> f64 {
    let allowed = task.allowed.min(task.rows) as f64;
    let gaps = if share(task) > 0.3 { 0.0 } else { SCAN_GAP_NS };
    let numbers = task.queries as f64 * f64::from(task.dim);
    allowed * (SCAN_ROW_NS + gaps + SCAN_NUMBER_NS * numbers)
}

fn skim_ns(task: &Task) -> f64 {
    let allowed = task.allowed.min(task.rows) as f64;
    let gaps = if share(task) > 0.3 { 0.0 } else { SKIM_GAP_NS };
    let (queries, dim) = (task.queries as f64, f64::from(task.dim));
    let compared = (COMPARED * task.k as f64).min(allowed);
    let compare = COMPARE_NS + COMPARE_NUMBER_NS * dim * queries;
    let look = (SKIM_ROW_NS + SKIM_NUMBER_NS * dim) * queries + gaps;
    queries * SKIM_BEGIN_NS * dim + allowed * look + compared * compare
}

pub(crate) fn walk_ns(task: &Task) -> f64 {
    let steps = f64::from(task.effort).max(task.k as f64) * task.queries as f64;
    let stretch = share(task).powf(-WALK_STRETCH);
    steps * stretch * (WALK_STEP_NS + WALK_NUMBER_NS * f64::from(task.dim))
}

#[cfg(test)]
mod tests {
    use super::{Choice::*, *};

    #[test]
    fn what_is_cheaper_is_chosen() {
        let task = Task { rows: 0, allowed: 0, dim: 384, queries: 1, k: 10, effort: 64 };
        let table = [
            // Nothing, few rows, more, many.
            (Task { ..task }, Scan),
            (Task { rows: 20, allowed: 20, ..task }, Scan),
            (Task { rows: 1000, allowed: 1000, ..task }, Skim),
            (Task { rows: 1_000_000, allowed: 1_000_000, ..task }, Walk),
            // A filter that leaves half, one in a thousand, one in a hundred thousand.
            (Task { rows: 1_000_000, allowed: 500_000, ..task }, Walk),
            (Task { rows: 1_000_000, allowed: 1000, ..task }, Skim),
            (Task { rows: 1_000_000, allowed: 10, ..task }, Scan),
            // So many results, or so much effort, that a walk is no less work.
            (Task { rows: 50_000, allowed: 50_000, k: 20_000, ..task }, Scan),
            (Task { rows: 20_000, allowed: 20_000, effort: 10_000, ..task }, Skim),
            // More rows said to be allowed than there are.
            (Task { rows: 100, allowed: u64::MAX, ..task }, Scan),
            // The most that can be asked for.
            (
                Task { rows: 1 << 31, allowed: 1, k: usize::MAX >> 8, effort: u32::MAX, ..task },
                Scan,
            ),
        ];
        for (task, expected) in table {
            assert_eq!(choose(&task), expected, "{task:?}");
        }
    }
}
