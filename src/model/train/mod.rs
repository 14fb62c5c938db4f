//! The tools that trainers share.

pub(crate) mod adam;
pub(crate) mod draw;
pub(crate) mod epochs;
pub(crate) mod exp;
pub(crate) mod gemm;
pub(crate) mod groups;
pub(crate) mod loss;
pub(crate) mod share;
pub(crate) mod solve;
pub(crate) mod wide;

pub(crate) use crate::vector::dice;
