//! Products of matrices: the only file that names matrixmultiply.
#![allow(unsafe_code)] // matrixmultiply takes pointers; the shapes are checked here.

/// A matrix in row order, or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// Numbers from one row to the next, and from one column to the next.
    steps: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// `numbers` in rows of `columns`.
    pub(crate) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        assert!(numbers.len() >= rows * columns, "a matrix that is too short");
        Matrix { numbers, rows, columns, steps: (columns, 1) }
    }

    /// Rows of `columns` that begin every `stride` numbers.
    pub(crate) fn strided(
        numbers: &'a [f32],
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Matrix<'a> {
        let need = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
        assert!(columns <= stride && numbers.len() >= need, "a matrix that is too short");
        Matrix { numbers, rows, columns, steps: (stride, 1) }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Matrix<'a> {
        let (rows, columns) = (self.columns, self.rows);
        Matrix { rows, columns, steps: (self.steps.1, self.steps.0), ..self }
    }
}

/// `c = alpha * a * b + beta * c`, where `c` has rows that begin every `stride` numbers.
pub(crate) fn gemm_strided(
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    beta: f32,
    (c, stride): (&mut [f32], usize),
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "matrices that do not fit");
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= stride && c.len() >= (m - 1) * stride + n, "a product that is too short");
    let step = |number: usize| number as isize;
    // SAFETY: `Matrix` and the assertion above keep every number that the shapes and steps reach
    // within the slices, and `c` is borrowed alone.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            alpha,
            a.numbers.as_ptr(),
            step(a.steps.0),
            step(a.steps.1),
            b.numbers.as_ptr(),
            step(b.steps.0),
            step(b.steps.1),
            beta,
            c.as_mut_ptr(),
            step(stride),
            1,
        );
    }
}

/// `c = alpha * a * b + beta * c`, where the rows of `c` lie end to end.
pub(crate) fn gemm(alpha: f32, a: Matrix<'_>, b: Matrix<'_>, beta: f32, c: &mut [f32]) {
    let stride = b.columns;
    gemm_strided(alpha, a, b, beta, (c, stride));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: products of every orientation are those of the definition.
    #[test]
    fn products_are_those_of_the_definition() {
        let a: Vec<f32> = (0..6).map(|x| x as f32).collect();
        let b: Vec<f32> = (0..12).map(|x| (x * x) as f32 - 9.0).collect();
        let (m, k, n) = (2, 3, 4);
        let want: Vec<f32> = (0..m * n)
            .map(|at| (0..k).map(|i| a[at / n * k + i] * b[i * n + at % n]).sum::<f32>() + 2.0)
            .collect();
        let turn = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..x.len()).map(|at| x[at % rows * columns + at / rows]).collect()
        };
        let (at, bt) = (turn(&a, m, k), turn(&b, k, n));
        for left in [Matrix::new(&a, m, k), Matrix::new(&at, k, m).t()] {
            for right in [Matrix::new(&b, k, n), Matrix::new(&bt, n, k).t()] {
                let mut c = vec![1.0; m * n];
                gemm(1.0, left, right, 2.0, &mut c);
                assert_eq!(c, want);
            }
        }
    }
}
