//! The best rows so far: a total order, ties by row, never NaN.

/// Slots beyond `k`: the buffer is cut back only when they are used up.
const SLACK_MIN: usize = 64;
/// Scores that are dismissed together by one comparison.
const STRIDE: usize = 32;

/// Keeps the best `k` of many (score, row) pairs.
///
/// A higher score comes first, and of equal scores the smaller row, so what is kept does not depend
/// on the order in which pairs arrive. Zeros of either sign are equal.
///
/// Pairs are kept as integers that sort the same way, in a buffer of about `2 k` that is cut to `k`
/// by a selection when it is full. That costs a constant per kept pair where a heap costs `log k`.
pub(crate) struct Top {
    k: usize,
    /// At least the best `k`, in no order.
    keys: Vec<u64>,
    /// No pair below this one can be among the best `k`.
    floor_key: u64,
    floor: f32,
}

impl Top {
    /// Keeps the best `k`; with `k` zero, nothing.
    pub(crate) fn new(k: usize) -> Top {
        let floor = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Top { k, keys: Vec::new(), floor_key: 0, floor }
    }

    /// A score below this is not kept.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Offers one row.
    #[inline]
    pub(crate) fn push(&mut self, score: f32, row: u32) {
        debug_assert!(!score.is_nan(), "row {row} has no score");
        if score >= self.floor {
            self.keep(key(score, row));
        }
    }

    /// Offers the rows from `first_row` on, one per score.
    ///
    /// Most rows of a scan are far from the best, so strides in which no score reaches the floor
    /// are passed over by a comparison that the compiler turns into a few vector instructions.
    pub(crate) fn push_block(&mut self, first_row: u32, scores: &[f32]) {
        let mut row = first_row;
        for stride in scores.chunks(STRIDE) {
            let floor = self.floor;
            if stride.iter().fold(false, |any, &score| any | (score >= floor)) {
                for (i, &score) in stride.iter().enumerate() {
                    self.push(score, row.wrapping_add(i as u32));
                }
            }
            row = row.wrapping_add(stride.len() as u32);
        }
    }

    /// The best `k`, best first; fewer where fewer were offered.
    pub(crate) fn into_sorted(mut self) -> Vec<(f32, u32)> {
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.keys.truncate(self.k);
        self.keys.into_iter().map(pair).collect()
    }

    fn keep(&mut self, key: u64) {
        if key < self.floor_key || self.k == 0 {
            return;
        }
        self.keys.push(key);
        let first_full = self.floor_key == 0 && self.keys.len() == self.k;
        if first_full || self.keys.len() >= self.k + self.k.max(SLACK_MIN) {
            self.cut();
        }
    }

    #[cold]
    fn cut(&mut self) {
        let (_, &mut last, _) = self.keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        self.keys.truncate(self.k);
        self.floor_key = last;
        self.floor = pair(last).0;
    }
}

/// A number that is larger for the better pair: the score's bits in order, then the row reversed.
fn key(score: f32, row: u32) -> u64 {
    // Adding zero turns minus zero into zero, which would otherwise sort below it.
    let bits = (score + 0.0).to_bits();
    // Negative numbers sort backwards as bits, so all their bits are turned over.
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!row)
}

/// The pair of which `key` was made.
fn pair(key: u64) -> (f32, u32) {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    (f32::from_bits(bits), !(key as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(scores: &[f32], k: usize) -> Vec<(f32, u32)> {
        let mut pairs: Vec<(f32, u32)> = scores.iter().copied().zip(0..).collect();
        pairs.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        pairs.truncate(k);
        pairs
    }

    fn by_block(scores: &[f32], k: usize, block: usize) -> Vec<(f32, u32)> {
        let mut top = Top::new(k);
        for (i, scores) in scores.chunks(block).enumerate() {
            top.push_block((i * block) as u32, scores);
        }
        top.into_sorted()
    }

    proptest! {
        /// Goal: the best k are those of a full sort, however they are offered.
        /// Method: few distinct scores, so that most of the order is decided by ties.
        #[test]
        fn the_best_are_those_of_a_full_sort(
            scores in prop::collection::vec((-4i8..5).prop_map(|s| f32::from(s) / 2.0), 0..700),
            k in 0usize..200,
            block in 1usize..100,
        ) {
            let best = sorted(&scores, k);
            prop_assert_eq!(&by_block(&scores, k, block), &best);
            let mut backwards = Top::new(k);
            for (row, &score) in scores.iter().enumerate().rev() {
                backwards.push(score, row as u32);
            }
            prop_assert_eq!(&backwards.into_sorted(), &best);
        }

        /// Goal: the integers that are sorted order any two pairs as scores and rows do.
        #[test]
        fn keys_order_pairs(a in any::<f32>(), b in any::<f32>(), rows in any::<(u32, u32)>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            let expected = a.partial_cmp(&b).unwrap().then(rows.1.cmp(&rows.0));
            prop_assert_eq!(key(a, rows.0).cmp(&key(b, rows.1)), expected);
            prop_assert_eq!(pair(key(a, rows.0)), (a, rows.0));
        }
    }

    #[test]
    fn rising_falling_and_extreme_scores_are_kept_right() {
        for k in [1, 2, 10, 100, 999, 1000, 1001, 5000] {
            let rising: Vec<f32> = (0..3000).map(|i| i as f32).collect();
            let falling: Vec<f32> = (0..3000).map(|i| -i as f32).collect();
            assert_eq!(by_block(&rising, k, 64), sorted(&rising, k));
            assert_eq!(by_block(&falling, k, 64), sorted(&falling, k));
            let lowest = vec![f32::MIN; 3000];
            assert_eq!(by_block(&lowest, k, 64), sorted(&lowest, k));
        }
        let ends = [f32::NEG_INFINITY, f32::INFINITY, -0.0, 0.0, f32::MIN, f32::MAX];
        assert_eq!(by_block(&ends, 4, 6), sorted(&ends, 4));
    }

    #[test]
    fn the_floor_is_the_score_to_beat() {
        let mut top = Top::new(2);
        top.push(1.0, 0);
        assert_eq!(top.floor, f32::NEG_INFINITY);
        top.push(3.0, 1);
        assert_eq!(top.floor, 1.0);
        assert_eq!(Top::new(0).floor, f32::INFINITY);
    }

    #[test]
    fn the_last_row_number_can_be_kept() {
        let mut top = Top::new(3);
        top.push_block(u32::MAX - 1, &[1.0, 2.0]);
        assert_eq!(top.into_sorted(), [(2.0, u32::MAX), (1.0, u32::MAX - 1)]);
    }
}
