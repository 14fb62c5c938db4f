//! Exp: the exponentials of a softmax, many at a time, good to about 1e-7.

use super::wide::wide;

/// Numbers added up side by side: one register of AVX-512, so sums have the same bits everywhere.
const LANES: usize = 16;

/// `e` to the power of `x`; 0 is never reached, infinity neither.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // 2^i * 2^f, where |f| <= 1/2; adding 1.5 * 2^23 rounds to a whole number.
    let i = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    // What is left, in two steps, as ln 2 has more digits than a number can hold (Cody and Waite).
    let f = x - i * 0.693_359_4 + i * 2.121_944_4e-4;
    let p = 1.0 / 720.0 * f + 1.0 / 120.0;
    let p = (((p * f + 1.0 / 24.0) * f + 1.0 / 6.0) * f + 0.5) * f * f + f + 1.0;
    f32::from_bits(((i as i32 + 127) << 23) as u32) * p
}

wide! {
    /// Turns each number of a row into `exp(number - max)`, and returns their sum. With `max` the
    /// largest, none overflows.
    pub(crate) fn exp_sub_sum(row: &mut [f32], max: f32) -> f32 {
        let mut sums = [0f32; LANES];
        let (whole, rest) = row.as_chunks_mut::<LANES>();
        for chunk in whole {
            for (number, sum) in chunk.iter_mut().zip(&mut sums) {
                *number = exp(*number - max);
                *sum += *number;
            }
        }
        for (number, sum) in rest.iter_mut().zip(&mut sums) {
            *number = exp(*number - max);
            *sum += *number;
        }
        sums.iter().sum()
    }

    /// The largest number of a row; the smallest there is for an empty one.
    pub(crate) fn row_max(row: &[f32]) -> f32 {
        let mut most = [f32::MIN; LANES];
        let (whole, rest) = row.as_chunks::<LANES>();
        for chunk in whole {
            for (number, most) in chunk.iter().zip(&mut most) {
                *most = if *number > *most { *number } else { *most };
            }
        }
        for (number, most) in rest.iter().zip(&mut most) {
            *most = if *number > *most { *number } else { *most };
        }
        most.iter().fold(f32::MIN, |a, b| a.max(*b))
    }

    /// Multiplies each number of a row.
    pub(crate) fn scale(row: &mut [f32], by: f32) {
        row.iter_mut().for_each(|number| *number *= by);
    }

    /// Adds a row to another, `by` times.
    pub(crate) fn add(to: &mut [f32], row: &[f32], by: f32) {
        to.iter_mut().zip(row).for_each(|(to, number)| *to += by * *number);
    }

    /// The inner product of two rows.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                sums[lane] += a[lane] * b[lane];
            }
        }
        a_rest.iter().zip(b_rest).zip(&mut sums).for_each(|((a, b), sum)| *sum += a * b);
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: exponentials, sums and maxima are those of `f64`, for every length around a register.
    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for at in -8600..=8600 {
            let x = at as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "exp({x}) is {}", exp(x));
        }
        for count in 0..70 {
            let row: Vec<f32> = (0..count).map(|i| ((i * 37) % 23) as f32 / 3.0 - 4.0).collect();
            let max = row.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(row_max(&row), max);
            let want: f64 = row.iter().map(|x| f64::from(x - max).exp()).sum();
            let mut turned = row.clone();
            let sum = exp_sub_sum(&mut turned, max);
            assert!((f64::from(sum) - want).abs() <= 1e-6 * want);
            let squares: f32 = row.iter().map(|x| x * x).sum();
            assert!((dot(&row, &row) - squares).abs() <= 1e-5 * squares);
        }
    }
}
