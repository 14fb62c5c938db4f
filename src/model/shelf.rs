//! Values in the sections of a model's artifact. FORMAT.md chapter 8.
//!
//! Sections below 100 belong to every model; a method's own begin at 100.

pub(crate) use crate::artifact::shelf::*;

/// The card: what the model is.
pub(crate) const CARD: u16 = 0;
/// Keys of the vocabulary that are numbers.
pub(crate) const IDS: u16 = 1;
/// Keys of the vocabulary that are names.
pub(crate) const NAMES: u16 = 2;
/// The first section that is the method's own.
pub(crate) const OWN: u16 = 100;
