//! Cells: one column of vectors, dense and aligned.

use crate::{
    format::columns::{raw, typed},
    io::AlignedBytes,
};
use std::ops::Range;

/// A column of vectors, end to end; its first number is 64-byte aligned.
#[derive(Clone, Default)]
pub(crate) struct Cells {
    pub(crate) dim: usize,
    numbers: AlignedBytes,
    /// 1 where there is a vector, 0 where there are zeros for one that is missing.
    present: Vec<u8>,
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cells({} x {})", self.present.len(), self.dim)
    }
}

impl Cells {
    pub(crate) fn new(dim: usize) -> Cells {
        Cells { dim, ..Cells::default() }
    }

    /// As they were saved; `None` if sizes do not fit.
    pub(crate) fn of(dim: usize, numbers: &[f32], present: Vec<u8>) -> Option<Cells> {
        let fits = present.len().checked_mul(dim) == Some(numbers.len());
        let mut cells = Cells { dim, numbers: AlignedBytes::default(), present };
        cells.numbers.extend(raw(numbers));
        fits.then_some(cells)
    }

    pub(crate) fn len(&self) -> usize {
        self.present.len()
    }

    /// Bytes of heap memory, about.
    pub(crate) fn weight(&self) -> u64 {
        (self.numbers.len() + self.present.len()) as u64
    }

    /// Adds a vector, or `None` for one that is missing.
    pub(crate) fn push(&mut self, vector: Option<&[f32]>) {
        match vector {
            Some(vector) => self.numbers.extend(raw(&vector[..self.dim])),
            None => self.numbers.extend_zeros(4 * self.dim),
        }
        self.present.push(u8::from(vector.is_some()));
    }

    pub(crate) fn append(&mut self, other: &Cells) {
        self.numbers.extend(&other.numbers);
        self.present.extend(&other.present);
    }

    /// Every number, row by row.
    pub(crate) fn numbers(&self) -> &[f32] {
        typed(&self.numbers).unwrap_or(&[])
    }

    pub(crate) fn rows(&self, rows: Range<usize>) -> &[f32] {
        &self.numbers()[rows.start * self.dim..rows.end * self.dim]
    }

    /// A row, if its vector is there.
    pub(crate) fn vector(&self, row: usize) -> Option<&[f32]> {
        (self.present.get(row) == Some(&1)).then(|| self.rows(row..row + 1))
    }

    /// The dimension, every number, and which rows are there.
    pub(crate) fn parts(&self) -> (usize, &[f32], &[u8]) {
        (self.dim, self.numbers(), &self.present)
    }

    pub(crate) fn present(&self) -> &[u8] {
        &self.present
    }

    /// Some of its rows.
    pub(crate) fn part(&self, rows: Range<usize>) -> Cells {
        let mut part = Cells::new(self.dim);
        part.numbers.extend(raw(self.rows(rows.clone())));
        part.present.extend(&self.present[rows]);
        part
    }
}
