//! Little-endian arrays as typed slices, without copying and without `unsafe`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A number that a column can hold: any bit pattern is a value.
pub(crate) trait Plain:
    FromBytes + IntoBytes + Immutable + KnownLayout + Copy + 'static
{
}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for i32 {}
impl Plain for i64 {}
impl Plain for f32 {}
impl Plain for f64 {}

/// The bytes as numbers, or `None` if their length or address does not fit.
pub(crate) fn typed<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    <[T]>::ref_from_bytes(bytes).ok()
}

/// The numbers as bytes.
pub(crate) fn raw<T: Plain>(numbers: &[T]) -> &[u8] {
    numbers.as_bytes()
}
