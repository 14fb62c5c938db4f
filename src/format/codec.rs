//! Small values to bytes and back: the only file that names bincode.
//!
//! bincode is no longer maintained (RUSTSEC-2025-0141), so it is pinned, kept to this file, always
//! given a limit, and used in its simplest shape: fixed-width little-endian numbers, `u64` lengths,
//! `u32` enum variants, one byte before an option. FORMAT.md chapter 1 describes that shape.

use crate::limits::RECORD_BYTES_MAX;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// Never more than `LIMIT` bytes in all, and in each string before memory is taken for it.
const fn config<const LIMIT: usize>() -> Configuration<LittleEndian, Fixint, Limit<LIMIT>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// Appends the value's bytes; fails only if they are more than the limit.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    let fixed = bincode::config::standard().with_fixed_int_encoding();
    let before = out.len();
    bincode::serde::encode_into_std_write(value, out, fixed).map_err(|e| e.to_string())?;
    match out.len() - before {
        n if n > RECORD_BYTES_MAX => Err(format!("has {n} bytes; at most {RECORD_BYTES_MAX}")),
        _ => Ok(()),
    }
}

/// Reads a value that must use up all of the bytes.
///
/// bincode takes memory for a string as soon as its length is within the limit, so the limit is near
/// what is there: a few sizes, since it must be known when this is compiled.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.len() >> 20 {
        0 => decode_within::<T, { 1 << 20 }>(bytes),
        1..16 => decode_within::<T, { 16 << 20 }>(bytes),
        16..64 => decode_within::<T, { 64 << 20 }>(bytes),
        64..128 => decode_within::<T, { 128 << 20 }>(bytes),
        _ => decode_within::<T, RECORD_BYTES_MAX>(bytes),
    }
}

fn decode_within<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, String> {
    let read = bincode::serde::decode_from_slice(bytes, config::<LIMIT>());
    let (value, used) = read.map_err(|e| e.to_string())?;
    match used == bytes.len() {
        true => Ok(value),
        false => Err(format!("{} bytes too many", bytes.len() - used)),
    }
}

/// Bytes that are copied whole instead of one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_size_are_read_back() {
        for size in [0, 1, 1 << 20, (1 << 20) + 1, 17 << 20, 65 << 20, 129 << 20] {
            let mut bytes = Vec::new();
            encode(&Blob(vec![7; size]), &mut bytes).unwrap();
            assert_eq!(decode::<Blob>(&bytes).unwrap().0.len(), size);
            if size >= 8 {
                // The largest value that fills a limit to the last byte.
                bytes.truncate(size);
                bytes[..8].copy_from_slice(&(size as u64 - 8).to_le_bytes());
                assert_eq!(decode::<Blob>(&bytes).unwrap().0.len(), size - 8);
            }
        }
    }

    #[test]
    fn lengths_that_are_not_there_are_refused_before_memory_is_taken() {
        let mut bytes = Vec::new();
        encode(&Blob(vec![1, 2, 3]), &mut bytes).unwrap();
        assert_eq!(decode::<Blob>(&bytes).unwrap().0, [1, 2, 3]);
        for huge in [4, RECORD_BYTES_MAX as u64, u64::MAX] {
            bytes[..8].copy_from_slice(&huge.to_le_bytes());
            assert!(decode::<Blob>(&bytes).is_err());
            assert!(decode::<String>(&bytes).is_err());
            assert!(decode::<Vec<u64>>(&bytes).is_err());
        }
        assert!(decode::<u8>(&[1, 2]).is_err());
    }
}
