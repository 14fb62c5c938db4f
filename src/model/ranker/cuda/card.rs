//! Card: the few things that a card computes. The plan in `forward` is written against this, so that a
//! machine without a card can test it.

use crate::error::Result;

/// Memory and kernels of one card. Matrices are row by row.
pub(super) trait Card {
    /// Numbers on the card.
    type Floats;
    /// Numbers of rows, or flags.
    type Words;

    fn floats(&self, numbers: &[f32]) -> Result<Self::Floats>;
    fn words(&self, numbers: &[u32]) -> Result<Self::Words>;
    fn zeros(&self, count: usize) -> Result<Self::Floats>;
    fn read(&self, from: &Self::Floats, count: usize) -> Result<Vec<f32>>;

    /// `out = a b + beta out`, where `a` is `[n, k]`, `b` is `[k, m]`; none of them is 0.
    fn times(
        &self,
        size: (usize, usize, usize),
        a: &Self::Floats,
        b: &Self::Floats,
        beta: f32,
        out: &mut Self::Floats,
    ) -> Result<()>;

    /// Rows of `wide` numbers become `null` where `there` is 0.
    fn nulls(
        &self,
        out: &mut Self::Floats,
        there: &Self::Words,
        null: &Self::Floats,
        size: (usize, usize),
    ) -> Result<()>;

    /// Puts rows by number into columns of `out`: those of `held`, if there is one, which has so many, and
    /// from there on those of `fresh`.
    fn pick(
        &self,
        held: Option<(&Self::Floats, usize)>,
        fresh: &Self::Floats,
        rows: &Self::Words,
        to: Place,
        out: &mut Self::Floats,
    ) -> Result<()>;

    /// Puts the products of the columns from `a` and `b` on into those of the place.
    fn product(&self, out: &mut Self::Floats, a: usize, b: usize, to: Place) -> Result<()>;

    /// `max(0, out + bias)`, row by row.
    fn relu(&self, out: &mut Self::Floats, bias: &Self::Floats, size: (usize, usize))
    -> Result<()>;

    /// `whole * (high + bias) + now`, row by row.
    fn cross(
        &self,
        size: (usize, usize),
        whole: &Self::Floats,
        high_and_bias: (&Self::Floats, &Self::Floats),
        now: &Self::Floats,
    ) -> Result<Self::Floats>;
}

/// Some columns of a matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) rows: usize,
    /// How many columns, and from which on.
    pub(super) wide: usize,
    pub(super) at: usize,
    /// How many columns the matrix has.
    pub(super) stride: usize,
}
