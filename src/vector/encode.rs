//! From numbers to the bytes of a row, and back. Chapter 6 of FORMAT.md describes the bytes.
//!
//! ```text
//!   F32      4 bytes per number, little-endian
//!   F16      2 bytes per number, IEEE 754 half precision, little-endian
//!   I8       1 byte per number, then the scale: an f32, little-endian. number = code * scale
//!   Binary   bit i % 8 of byte i / 8 is set if number i is not negative; bits left over are zero
//!   U8       1 byte per number, which is whole and 0 to 255
//! ```

use crate::{
    defects::{self, Defect},
    error::{Error, Result},
    limits::{COMPONENT_F16_MAX, COMPONENT_MAX},
    schema::{Encoding, Metric, Space},
};
use half::f16;

/// The largest code of [`Encoding::I8`]. Codes are symmetric: -128 is not used.
const CODE_MAX: f32 = 127.0;

/// Why `vector` cannot be compared with what is in `space`, or `Ok`.
///
/// The text follows a colon after what the vector is: "the query: has 384 numbers, but ...".
/// Numbers are counted from zero.
pub(crate) fn check(space: &Space, vector: &[f32]) -> Result<(), String> {
    if vector.len() != space.dim as usize {
        return Err(format!(
            "has {} numbers, but space {:?} has {}. Was it made with another embedding model?",
            vector.len(),
            space.name,
            space.dim
        ));
    }
    if defects::on(Defect::NotFinite) {
        return Ok(());
    }
    // Under cosine it is the normalized vector that must fit, and that always does.
    let max = match (space.encoding, space.metric) {
        (Encoding::F16, Metric::Dot | Metric::L2) => COMPONENT_F16_MAX,
        _ => COMPONENT_MAX,
    };
    // Written so that NaN is bad too: kernels may call it identical to everything. All at once first:
    // to stop at a bad one costs a step for each that is good.
    let fits = |x: &f32| x.abs() <= max;
    if !vector.iter().fold(true, |fit, x| fit & fits(x)) {
        let bad = vector.iter().position(|x| !fits(x)).unwrap_or_default();
        let number = vector[bad];
        return Err(if number.is_finite() {
            format!("number {bad} is {number:e}. Here it must be within -{max:e} and {max:e}.")
        } else {
            format!("number {bad} is {number}. Vectors must be finite.")
        });
    }
    if space.metric == Metric::Cosine && vector.iter().all(|&x| x == 0.0) {
        return Err("is all zeros, which have no direction and so no cosine.".into());
    }
    Ok(())
}

/// Why `vector` cannot be stored in `space`, or `Ok`: as [`check`], and what the encoding asks for.
fn check_stored(space: &Space, vector: &[f32]) -> Result<(), String> {
    check(space, vector)?;
    let whole = |x: &f32| (0.0..=255.0).contains(x) && x.fract() == 0.0;
    if space.encoding != Encoding::U8 || vector.iter().fold(true, |all, x| all & whole(x)) {
        return Ok(());
    }
    let bad = vector.iter().position(|x| !whole(x)).unwrap_or_default();
    Err(format!(
        "number {bad} is {}. Encoding U8 keeps whole numbers from 0 to 255; others go into a space of \
         another encoding.",
        vector[bad]
    ))
}

/// Bytes that [`encode`] appends for a vector: a row, and the scale where there is one.
pub(crate) fn stored_bytes(space: &Space) -> usize {
    let scale = if space.encoding == Encoding::I8 { 4 } else { 0 };
    space.encoding.row_bytes(space.dim) + scale
}

/// Appends the bytes of `vector` as `space` stores it, or appends nothing and says what is wrong.
pub(crate) fn encode(space: &Space, vector: &[f32], out: &mut Vec<u8>) -> Result<()> {
    check_stored(space, vector)
        .map_err(|why| Error::invalid(format!("vector in space {:?}", space.name), why))?;
    out.reserve(stored_bytes(space));
    let numbers = prepared(space, vector);
    match space.encoding {
        Encoding::F32 => numbers.for_each(|x| out.extend(x.to_le_bytes())),
        Encoding::F16 => numbers.for_each(|x| out.extend(f16::from_f32(x).to_le_bytes())),
        Encoding::I8 => {
            let scale = scale(prepared(space, vector));
            out.extend(numbers.map(|x| code(x, scale) as u8));
            out.extend(scale.to_le_bytes());
        }
        Encoding::Binary => out.extend(vector.chunks(8).map(|eight| {
            let bit = |(i, &x): (usize, &f32)| u8::from(x >= 0.0) << i;
            eight.iter().enumerate().map(bit).sum::<u8>()
        })),
        Encoding::U8 => out.extend(vector.iter().map(|&x| x as u8)),
    }
    Ok(())
}

/// Appends the numbers that a row stands for. `scale` matters to [`Encoding::I8`] alone.
///
/// They pass [`check`] in the same space if the row was made by [`encode`], so a stored vector can
/// serve as a query.
pub(crate) fn decode(space: &Space, row: &[u8], scale: f32, out: &mut Vec<f32>) {
    let dim = space.dim as usize;
    assert_eq!(row.len(), space.encoding.row_bytes(space.dim), "a row of another space");
    match space.encoding {
        Encoding::F32 => out.extend(row.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x))),
        Encoding::F16 => {
            out.extend(row.as_chunks().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()));
        }
        // Clamped because 127 scales can be a bit more than the number they came from.
        Encoding::I8 => out.extend(
            row.iter()
                .map(|&code| (f32::from(code as i8) * scale).clamp(-COMPONENT_MAX, COMPONENT_MAX)),
        ),
        Encoding::Binary => out.extend((0..dim).map(|i| {
            let set = row[i / 8] >> (i % 8) & 1 == 1;
            if set { 1.0 } else { -1.0 }
        })),
        Encoding::U8 => out.extend(row.iter().map(|&x| f32::from(x))),
    }
}

/// The numbers that stand for a checked vector: under cosine, those of the unit vector.
///
/// In `f64`, where no square of an `f32` is lost, however small.
pub(super) fn prepared<'a>(space: &Space, vector: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    let length = match space.metric {
        Metric::Cosine => vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt(),
        Metric::Dot | Metric::L2 => 1.0,
    };
    vector.iter().map(move |&x| (f64::from(x) / length) as f32)
}

/// What one step of a code is worth, so that the largest number gets the largest code.
///
/// Zero if that is too small to divide by: then all codes are zero, and nothing of note is lost.
pub(super) fn scale(numbers: impl Iterator<Item = f32>) -> f32 {
    let scale = numbers.fold(0.0, |max: f32, x| max.max(x.abs())) / CODE_MAX;
    if scale.is_normal() { scale } else { 0.0 }
}

/// The code nearest to `x`.
pub(super) fn code(x: f32, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    rounded((x / scale).clamp(-CODE_MAX, CODE_MAX)) as i8
}

/// The nearest whole number, of two as near the one farther from zero: `round`, of numbers so small that
/// it need not call a function for each, as it does where processors may be old.
pub(super) fn rounded(x: f32) -> i32 {
    const BELOW_HALF: f32 = 0.5f32.next_down();
    (x + BELOW_HALF.copysign(x)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use proptest::prelude::*;

    fn space(dim: u32, metric: Metric, encoding: Encoding) -> Space {
        Schema::new().space_as("text", dim, metric, encoding).spaces()[0].clone()
    }

    /// The row and its scale.
    fn encoded(space: &Space, vector: &[f32]) -> (Vec<u8>, f32) {
        let mut row = vec![7];
        encode(space, vector, &mut row).unwrap();
        assert_eq!((row.remove(0), row.len()), (7, stored_bytes(space)));
        let scale = row.split_off(space.encoding.row_bytes(space.dim));
        (row, scale.try_into().map_or(0.0, f32::from_le_bytes))
    }

    fn there_and_back(space: &Space, vector: &[f32]) -> Vec<f32> {
        let (row, scale) = encoded(space, vector);
        let mut out = Vec::new();
        decode(space, &row, scale, &mut out);
        out
    }

    #[test]
    fn numbers_are_rounded_as_round_does() {
        for whole in -127..=127 {
            for part in [0.0, 0.25, 0.5f32.next_down(), 0.5, 0.5f32.next_up(), 0.75, f32::EPSILON] {
                for x in [whole as f32 + part, whole as f32 - part] {
                    assert_eq!(rounded(x), x.round() as i32, "{x}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_stored_is_named() {
        let space32 = space(3, Metric::Cosine, Encoding::F32);
        let says = |space: &Space, vector: &[f32]| check(space, vector).unwrap_err();
        assert_eq!(
            says(&space32, &[1.0]),
            "has 1 numbers, but space \"text\" has 3. Was it made with another embedding model?"
        );
        let text = "number 2 is NaN. Vectors must be finite.";
        assert_eq!(says(&space32, &[1.0, 2.0, f32::NAN]), text);
        let text = "number 1 is -inf. Vectors must be finite.";
        assert_eq!(says(&space32, &[1.0, f32::NEG_INFINITY, 0.0]), text);
        assert!(says(&space32, &[0.0, -0.0, 0.0]).starts_with("is all zeros"));
        assert!(says(&space32, &[0.0, 0.0, 1.1e15]).starts_with("number 2 is 1.1e15. "));
        let space16 = space(3, Metric::Dot, Encoding::F16);
        assert!(says(&space16, &[0.0, -65505.0, 0.0]).starts_with("number 1 is -6.5505e4. "));
        check(&space16, &[0.0, 65504.0, 0.0]).unwrap();
        check(&space(3, Metric::Cosine, Encoding::F16), &[1e6, 0.0, 0.0]).unwrap();
        let mut out = Vec::new();
        let error = encode(&space32, &[0.0; 3], &mut out).unwrap_err();
        assert!(error.to_string().starts_with("vector in space \"text\": is all zeros"));
        assert!(out.is_empty());
        let whole = space(3, Metric::L2, Encoding::U8);
        for (bad, text) in
            [(0.5, "number 1 is 0.5. "), (-1.0, "number 1 is -1. "), (256.0, "number 1 is 256. ")]
        {
            let error = encode(&whole, &[255.0, bad, bad], &mut out).unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("whole numbers from 0 to 255"),
                "{error}"
            );
            check(&whole, &[255.0, bad, bad]).unwrap();
        }
        assert!(out.is_empty());
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let vector = [1.0, -2.0, 0.5];
        let rows = |encoding| encoded(&space(3, Metric::Dot, encoding), &vector);
        assert_eq!(rows(Encoding::F32).0, [0, 0, 128, 63, 0, 0, 0, 192, 0, 0, 0, 63]);
        assert_eq!(rows(Encoding::F16).0, [0, 60, 0, 192, 0, 56]);
        assert_eq!(rows(Encoding::I8), (vec![64, 129, 32], 2.0 / 127.0));
        assert_eq!(rows(Encoding::Binary).0, [0b101]);
        let whole = encoded(&space(3, Metric::L2, Encoding::U8), &[0.0, 1.0, 255.0]);
        assert_eq!(whole, (vec![0, 1, 255], 0.0));
        let nine = [1.0, -1.0, 0.0, -0.0, -1.0, -1.0, -1.0, 1.0, 1.0];
        let (row, _) = encoded(&space(9, Metric::Dot, Encoding::Binary), &nine);
        assert_eq!(row, [0b1000_1101, 1]);
    }

    #[test]
    fn the_smallest_and_largest_vectors_are_stored() {
        for encoding in [Encoding::F32, Encoding::F16, Encoding::I8] {
            for number in [f32::from_bits(1), f32::MIN_POSITIVE, 1.0, COMPONENT_MAX] {
                let unit = there_and_back(&space(2, Metric::Cosine, encoding), &[number, -number]);
                assert!((unit[0] - 0.5f32.sqrt()).abs() < 1e-3, "{encoding:?} {number} {unit:?}");
                assert!((unit[1] + 0.5f32.sqrt()).abs() < 1e-3, "{encoding:?} {number} {unit:?}");
            }
        }
        let space = space(2, Metric::L2, Encoding::I8);
        assert_eq!(encoded(&space, &[0.0, -0.0]), (vec![0, 0], 0.0));
        assert_eq!(encoded(&space, &[f32::from_bits(1), 0.0]), (vec![0, 0], 0.0));
        assert_eq!(there_and_back(&space, &[COMPONENT_MAX, 0.0]), [COMPONENT_MAX, 0.0]);
    }

    #[test]
    fn every_whole_number_of_a_byte_comes_back() {
        let all: Vec<f32> = (0..=255u8).map(f32::from).collect();
        assert_eq!(there_and_back(&space(256, Metric::L2, Encoding::U8), &all), all);
        assert_eq!(there_and_back(&space(1, Metric::Dot, Encoding::U8), &[-0.0]), [0.0]);
    }

    proptest! {
        /// Goal: a stored vector is near the one written, as near as the encoding promises, and can
        /// serve as a query.
        #[test]
        fn vectors_come_back(
            vector in prop::collection::vec(-1000f32..1000.0, 1..70),
            metric in prop::sample::select(vec![Metric::Dot, Metric::Cosine, Metric::L2]),
        ) {
            prop_assume!(vector.iter().any(|&x| x != 0.0));
            let in_space = |encoding| space(vector.len() as u32, metric, encoding);
            let exact: Vec<f32> = prepared(&in_space(Encoding::F32), &vector).collect();
            let max = exact.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
            for (encoding, error_max) in [
                (Encoding::F32, 0.0),
                (Encoding::F16, max / 2048.0),
                (Encoding::I8, max / 253.0),
                (Encoding::Binary, f32::INFINITY),
            ] {
                let space = in_space(encoding);
                let back = there_and_back(&space, &vector);
                prop_assert_eq!(check(&space, &back), Ok(()));
                for (a, b) in exact.iter().zip(&back) {
                    prop_assert!((a - b).abs() <= error_max, "{encoding:?}: {a} came back as {b}");
                    let sign = if *a < 0.0 { -1.0 } else { 1.0 };
                    prop_assert!(encoding != Encoding::Binary || *b == sign);
                }
            }
        }
    }
}
