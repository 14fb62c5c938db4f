//! Inverse of a symmetric, positive definite matrix that fills memory.

use crate::{
    error::{Error, Result},
    model::train::gemm::{Matrix, gemm},
    progress::Progress,
};

/// A symmetric matrix as the tiles of its lower triangle: half the memory of a whole one.
///
/// Tiles at the edge are filled up with rows of the unit matrix, which stay what they are.
#[derive(Debug)]
pub(crate) struct Symmetric {
    /// The side of a tile.
    side: usize,
    /// How many tiles a column has.
    across: usize,
    /// Row by row: (0, 0), (1, 0), (1, 1), (2, 0), ...; each in row order.
    tiles: Vec<Vec<f32>>,
}

/// The side of tiles: products of them are as fast as any, and their edges cost little.
pub(crate) const SIDE: usize = 256;

impl Symmetric {
    /// Zeros.
    pub(crate) fn new(rows: usize, side: usize) -> Symmetric {
        let across = rows.div_ceil(side);
        let tiles = vec![vec![0f32; side * side]; across * (across + 1) / 2];
        let mut zeros = Symmetric { side, across, tiles };
        (rows..across * side).for_each(|row| *zeros.at_mut(row, row) = 1.0);
        zeros
    }

    fn place(&self, row: usize, column: usize) -> (usize, usize) {
        let (row, column) = (row.max(column), row.min(column));
        let (across, down) = (column / self.side, row / self.side);
        (down * (down + 1) / 2 + across, row % self.side * self.side + column % self.side)
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        let (tile, number) = self.place(row, column);
        self.tiles[tile][number]
    }

    pub(crate) fn at_mut(&mut self, row: usize, column: usize) -> &mut f32 {
        let (tile, number) = self.place(row, column);
        &mut self.tiles[tile][number]
    }

    /// Writes a row, tile by tile.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        for (across, out) in out.chunks_mut(self.side).enumerate() {
            let (tile, number) = self.place(row, across * self.side);
            let tile = &self.tiles[tile];
            match across <= row / self.side {
                // A tile on the diagonal is whole: both of its triangles were swept.
                true => out.copy_from_slice(&tile[number..number + out.len()]),
                false => {
                    let column = tile[row % self.side..].iter().step_by(self.side);
                    out.iter_mut().zip(column).for_each(|(out, number)| *out = *number);
                }
            }
        }
    }

    /// How many steps [`Symmetric::invert`] reports.
    pub(crate) fn steps(&self) -> usize {
        self.across
    }

    /// Turns it into its inverse, in place.
    ///
    /// Sweeps block after block (Beaton's operator in blocks; Goodnight, 1979): the pivot block is
    /// inverted in double precision, everything else is products of tiles, `rows^3`
    /// multiplications and additions in all. Pivots of a positive definite matrix stay so, so
    /// nothing is ever exchanged. Each tile is one worker's, so threads do not change the result.
    ///
    /// # Errors
    /// `Invalid` if it is not positive definite, in the precision there is; `Cancelled`.
    pub(crate) fn invert(&mut self, threads: usize, progress: &mut Progress<'_>) -> Result<()> {
        let (side, across) = (self.side, self.across);
        for pivot in 0..across {
            let middle = pivot * (pivot + 1) / 2 + pivot;
            let inverse = small_inverse(&self.tiles[middle], side)?;
            // The column of the pivot, as it is and times the inverse of the pivot.
            let (mut column, mut swept) = (Vec::new(), Vec::new());
            for row in 0..across {
                let (tile, _) = self.place(row * side, pivot * side);
                let mut times = vec![0f32; side * side];
                let tile = match row < pivot {
                    true => turned(&self.tiles[tile], side),
                    false => self.tiles[tile].clone(),
                };
                gemm(
                    1.0,
                    Matrix::new(&tile, side, side),
                    Matrix::new(&inverse, side, side),
                    0.0,
                    &mut times,
                );
                column.push(tile);
                swept.push(times);
            }
            let each = self.tiles.len().div_ceil(threads.max(1));
            std::thread::scope(|scope| {
                for (part, tiles) in self.tiles.chunks_mut(each).enumerate() {
                    let (column, swept) = (&column, &swept);
                    scope.spawn(move || {
                        for (number, tile) in (part * each..).zip(tiles) {
                            let (row, other) = corner(number);
                            if row != pivot && other != pivot {
                                let (a, b) = (
                                    Matrix::new(&swept[row], side, side),
                                    Matrix::new(&column[other], side, side),
                                );
                                gemm(-1.0, a, b.t(), 1.0, tile);
                            }
                        }
                    });
                }
            });
            for (row, times) in swept.into_iter().enumerate() {
                let (tile, _) = self.place(row * side, pivot * side);
                self.tiles[tile] = match row.cmp(&pivot) {
                    std::cmp::Ordering::Less => turned(&times, side),
                    std::cmp::Ordering::Equal => inverse.iter().map(|number| -number).collect(),
                    std::cmp::Ordering::Greater => times,
                };
            }
            progress.advance(1)?;
        }
        self.tiles.iter_mut().flatten().for_each(|number| *number = -*number);
        Ok(())
    }
}

/// Row and column of a tile.
fn corner(number: usize) -> (usize, usize) {
    let mut row = ((2.0 * number as f64 + 0.25).sqrt() - 0.5) as usize;
    while row * (row + 1) / 2 > number {
        row -= 1;
    }
    while (row + 1) * (row + 2) / 2 <= number {
        row += 1;
    }
    (row, number - row * (row + 1) / 2)
}

/// The transpose of a tile.
fn turned(tile: &[f32], side: usize) -> Vec<f32> {
    (0..side * side).map(|at| tile[at % side * side + at / side]).collect()
}

/// The inverse of one tile, of which the lower triangle counts: swept number by number.
fn small_inverse(tile: &[f32], side: usize) -> Result<Vec<f32>> {
    let mut a: Vec<f64> = vec![0.0; side * side];
    for row in 0..side {
        for column in 0..=row {
            let number = f64::from(tile[row * side + column]);
            (a[row * side + column], a[column * side + row]) = (number, number);
        }
    }
    for pivot in 0..side {
        let d = a[pivot * side + pivot];
        // NaN must not pass either.
        if !(d > 1e-30 && d.is_finite()) {
            let why = "is not positive definite: the weight of the penalty is too small";
            return Err(Error::invalid("matrix of items", why));
        }
        let line: Vec<f64> = a[pivot * side..][..side].to_vec();
        for row in (0..side).filter(|row| *row != pivot) {
            let share = a[row * side + pivot] / d;
            let numbers = &mut a[row * side..][..side];
            numbers.iter_mut().zip(&line).for_each(|(number, pivot)| *number -= share * pivot);
            numbers[pivot] = share;
        }
        for column in 0..side {
            a[pivot * side + column] = line[column] / d;
        }
        a[pivot * side + pivot] = -1.0 / d;
    }
    Ok(a.into_iter().map(|number| -number as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::train::dice::Dice;

    /// A matrix of inner products, and a bit on its diagonal.
    fn any(rows: usize, side: usize) -> Symmetric {
        let mut dice = Dice::new(5, rows as u64);
        let vectors: Vec<f32> = (0..rows * 9).map(|_| dice.normal()).collect();
        let mut matrix = Symmetric::new(rows, side);
        for row in 0..rows {
            for column in 0..=row {
                let pair = vectors[row * 9..][..9].iter().zip(&vectors[column * 9..][..9]);
                *matrix.at_mut(row, column) = pair.map(|(a, b)| a * b).sum();
            }
            *matrix.at_mut(row, row) += 3.0;
        }
        matrix
    }

    /// Goal: a matrix times its inverse is the unit matrix, for sizes around those of tiles.
    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        for (rows, side) in [(1, 4), (4, 4), (5, 4), (33, 8), (70, 16), (12, 64)] {
            let (matrix, mut inverse) = (any(rows, side), any(rows, side));
            inverse.invert(2, &mut Progress::silent()).unwrap();
            let mut line = vec![0f32; rows];
            for column in 0..rows {
                inverse.row(column, &mut line);
                for row in 0..rows {
                    let cell = |at: usize| f64::from(matrix.at(row, at)) * f64::from(line[at]);
                    let sum: f64 = (0..rows).map(cell).sum();
                    let want = f64::from(u8::from(row == column));
                    assert!((sum - want).abs() < 1e-4, "{rows}/{side} ({row}, {column}): {sum}");
                }
            }
        }
    }

    /// Goal: threads do not change a bit.
    #[test]
    fn threads_do_not_change_an_inverse() {
        let of = |threads| {
            let mut matrix = any(50, 8);
            matrix.invert(threads, &mut Progress::silent()).unwrap();
            matrix.tiles
        };
        assert_eq!(of(1), of(3));
    }

    /// Goal: a matrix without an inverse is refused.
    #[test]
    fn a_singular_matrix_is_refused() {
        let mut matrix = Symmetric::new(3, 2);
        assert!(matrix.invert(1, &mut Progress::silent()).is_err());
        let mut matrix = any(5, 2);
        *matrix.at_mut(3, 1) = f32::NAN;
        assert!(matrix.invert(1, &mut Progress::silent()).is_err());
    }
}
