//! Small values to bytes and back: the only file that names bincode.
//!
//! bincode is no longer maintained (RUSTSEC-2025-0141), so it is pinned, kept to this file, always
//! given a limit, and used in its simplest shape: fixed-width little-endian numbers, `u64` lengths,
//! `u32` enum variants, one byte before an option. FORMAT.md chapter 1 describes that shape.

use crate::limits::RECORD_BYTES_MAX;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

const CONFIG: Configuration<LittleEndian, Fixint, Limit<RECORD_BYTES_MAX>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<RECORD_BYTES_MAX>();

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
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|e| e.to_string())?;
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
