//! Values in the sections of an artifact. FORMAT.md chapter 8.

use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    format::{codec, columns::raw},
};
use serde::{Serialize, de::DeserializeOwned};

/// Saves a small value.
pub(crate) fn put<T: Serialize>(out: &mut Saved, number: u16, value: &T) -> Result<()> {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes).map_err(|why| Error::invalid("model", why))?;
    out.section(number, &bytes)
}

/// Reads a small value.
pub(crate) fn take<T: DeserializeOwned>(from: &Opened, number: u16) -> Result<T> {
    let bytes = from.section(number)?;
    codec::decode(&bytes).map_err(|why| from.damage(&format!("section {number}: {why}")))
}

/// Saves numbers.
pub(crate) fn put_f32(out: &mut Saved, number: u16, values: &[f32]) -> Result<()> {
    out.section(number, raw(values))
}

/// Saves whole numbers.
pub(crate) fn put_u32(out: &mut Saved, number: u16, values: &[u32]) -> Result<()> {
    out.section(number, raw(values))
}

/// Reads exactly so many finite numbers.
pub(crate) fn take_f32(from: &Opened, number: u16, count: usize) -> Result<Vec<f32>> {
    let values: Vec<f32> = words(from, number, count)?.map(f32::from_le_bytes).collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(from.damage(&format!("section {number}: a number that is not finite"))),
    }
}

/// Reads exactly so many whole numbers, each below a limit.
pub(crate) fn take_u32(from: &Opened, number: u16, count: usize, below: u32) -> Result<Vec<u32>> {
    let values: Vec<u32> = words(from, number, count)?.map(u32::from_le_bytes).collect();
    match values.iter().all(|value| *value < below) {
        true => Ok(values),
        false => Err(from.damage(&format!("section {number}: a number that is too large"))),
    }
}

/// How many four-byte words a section has.
pub(crate) fn count(from: &Opened, number: u16) -> Result<usize> {
    Ok(from.section(number)?.len() / 4)
}

fn words(from: &Opened, number: u16, count: usize) -> Result<impl Iterator<Item = [u8; 4]>> {
    let bytes = from.section(number)?;
    if Some(bytes.len()) != count.checked_mul(4) {
        let what = format!("section {number}: {} bytes for {count} numbers", bytes.len());
        return Err(from.damage(&what));
    }
    let words: Vec<[u8; 4]> = bytes.as_chunks::<4>().0.to_vec();
    Ok(words.into_iter())
}
