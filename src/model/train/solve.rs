//! Solve: small systems of linear equations, as for each row of a factorization.

use crate::model::train::gemm::{Matrix, gemm};

/// The normal equations of a least squares problem, while they are put together.
#[derive(Debug)]
pub(crate) struct Normal {
    dim: usize,
    /// The left side, row by row.
    left: Vec<f32>,
    right: Vec<f32>,
    /// Vectors that are not on the left side yet, and as they are weighted there.
    plain: Vec<f32>,
    weighted: Vec<f32>,
}

/// Vectors added to the left side in one product.
const BATCH: usize = 256;

impl Normal {
    pub(crate) fn new(dim: usize) -> Normal {
        let (plain, weighted) = (Vec::new(), Vec::new());
        Normal { dim, left: vec![0.0; dim * dim], right: vec![0.0; dim], plain, weighted }
    }

    /// The sum of outer products of vectors, which lie end to end, with themselves.
    pub(crate) fn gram(vectors: &[f32], dim: usize) -> Vec<f32> {
        let mut gram = vec![0f32; dim * dim];
        // Parts keep the sums short, and their rounding small.
        for part in vectors.chunks(dim * 4096) {
            let part = Matrix::new(part, part.len() / dim, dim);
            gemm(1.0, part.t(), part, 1.0, &mut gram);
        }
        gram
    }

    /// Starts anew: `unobserved` times `gram`, and `ridge` on the diagonal.
    pub(crate) fn begin(&mut self, gram: &[f32], unobserved: f32, ridge: f32) {
        self.left.iter_mut().zip(gram).for_each(|(left, gram)| *left = unobserved * gram);
        (0..self.dim).for_each(|at| self.left[at * self.dim + at] += ridge);
        self.right.fill(0.0);
    }

    /// Adds a vector whose inner product with the solution should be 1.
    pub(crate) fn push(&mut self, vector: &[f32], weight: f32) {
        self.plain.extend_from_slice(vector);
        self.weighted.extend(vector.iter().map(|number| number * weight));
        self.right.iter_mut().zip(vector).for_each(|(right, number)| *right += weight * number);
        if self.plain.len() == BATCH * self.dim {
            self.settle();
        }
    }

    /// Takes from the ridge on one place of the diagonal.
    pub(crate) fn ease(&mut self, at: usize, less: f32) {
        self.left[at * self.dim + at] -= less;
    }

    /// What the left side times the solution should be, whatever was pushed.
    pub(crate) fn aim(&mut self, right: &[f32]) {
        self.right.copy_from_slice(right);
    }

    fn settle(&mut self) {
        let rows = self.plain.len() / self.dim;
        let plain = Matrix::new(&self.plain, rows, self.dim);
        gemm(1.0, Matrix::new(&self.weighted, rows, self.dim).t(), plain, 1.0, &mut self.left);
        self.plain.clear();
        self.weighted.clear();
    }
}

/// The solution, by Cholesky's method. `normal` must be begun anew afterwards.
///
/// A pivot that rounding made 0 or less is none: its number is 0.
pub(crate) fn solve(normal: &mut Normal) -> Vec<f32> {
    normal.settle();
    let (dim, a) = (normal.dim, &mut normal.left);
    let mut x = std::mem::replace(&mut normal.right, vec![0.0; dim]);
    // Row by row of the upper triangle: U' U = A, each step a run over the rest of a row.
    for pivot in 0..dim {
        let (above, below) = a.split_at_mut((pivot + 1) * dim);
        let line = &mut above[pivot * dim + pivot..];
        let root = line[0].sqrt();
        let scale = if root.is_finite() && root > 0.0 { 1.0 / root } else { 0.0 };
        line.iter_mut().for_each(|number| *number *= scale);
        // The diagonal keeps what to multiply by.
        line[0] = scale;
        x[pivot] *= scale;
        for row in pivot + 1..dim {
            let share = line[row - pivot];
            x[row] -= share * x[pivot];
            let rest = &mut below[(row - pivot - 1) * dim + row..(row - pivot) * dim];
            let line = &line[row - pivot..];
            rest.iter_mut().zip(line).for_each(|(number, line)| *number -= share * line);
        }
    }
    for row in (0..dim).rev() {
        let line = &a[row * dim + row..(row + 1) * dim];
        let known: f32 = line[1..].iter().zip(&x[row + 1..]).map(|(a, x)| a * x).sum();
        x[row] = (x[row] - known) * line[0];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::train::dice::Dice;

    /// Goal: the solution makes left and right the same.
    #[test]
    fn solutions_solve() {
        for (dim, count) in [(1, 1), (3, 0), (8, 5), (33, 700)] {
            let mut dice = Dice::new(3, dim as u64);
            let mut vector = || -> Vec<f32> { (0..dim).map(|_| dice.normal()).collect() };
            let all: Vec<f32> = (0..50).flat_map(|_| vector()).collect();
            let some: Vec<Vec<f32>> = (0..count).map(|_| vector()).collect();
            let mut normal = Normal::new(dim);
            normal.begin(&Normal::gram(&all, dim), 0.1, 2.0);
            some.iter().for_each(|vector| normal.push(vector, 0.7));
            let x = solve(&mut normal);
            let dot = |a: &[f32]| -> f64 {
                a.iter().zip(&x).map(|(a, x)| f64::from(*a) * f64::from(*x)).sum()
            };
            for at in 0..dim {
                let far: f64 = all.chunks(dim).map(|v| 0.1 * f64::from(v[at]) * dot(v)).sum();
                let near = |v: &Vec<f32>| 0.7 * f64::from(v[at]) * (dot(v) - 1.0);
                let left = far + 2.0 * f64::from(x[at]) + some.iter().map(near).sum::<f64>();
                assert!(left.abs() < 1e-3, "dim {dim}, number {at}: {left}");
            }
        }
    }
}
