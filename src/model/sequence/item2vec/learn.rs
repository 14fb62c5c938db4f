//! The inner loop: one pair and its negatives.

use crate::model::train::wide::wide;

wide! {
    /// Moves the in vector of an item and the out vectors of one that came near, `targets[0]`, and
    /// of others, that did not, by one step. Returns the loss if `look`, else 0. `change` has room
    /// for a vector.
    pub(super) fn learn(
        item: &mut [f32],
        out: &mut [f32],
        targets: &[u32],
        rate: f32,
        change: &mut [f32],
        look: bool,
    ) -> f64 {
        let (dim, mut loss) = (item.len(), 0.0);
        change.fill(0.0);
        for (at, target) in targets.iter().enumerate() {
            let row = &mut out[*target as usize * dim..][..dim];
            let score = dot(item, row);
            let near = 1.0 / (1.0 + (-score).exp());
            let label = if at == 0 { 1.0 } else { 0.0 };
            if look {
                // ln(1 + e^x), without overflow.
                let x = f64::from(if at == 0 { -score } else { score });
                loss += x.max(0.0) + (-x.abs()).exp().ln_1p();
            }
            let step = (label - near) * rate;
            for ((change, row), item) in change.iter_mut().zip(row).zip(&*item) {
                *change += step * *row;
                *row += step * item;
            }
        }
        item.iter_mut().zip(change).for_each(|(item, change)| *item += *change);
        loss
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
