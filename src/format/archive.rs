//! Small structures that are read in place: the only file that names rkyv.
//!
//! rkyv's layout is set by Cargo features, which Cargo unifies over a whole build: a stranger's crate
//! could change our files. The assertions below fail the build instead of the read.

use rkyv::{Archive, Deserialize, Serialize, rancor};

/// What one segment holds, in its META section.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// The first and last commit whose rows and events are here.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// The smallest and largest of all `at` and `recorded` of its events.
    pub(crate) clock_min: i64,
    pub(crate) clock_max: i64,
    pub(crate) rows: u32,
    pub(crate) events: u32,
    /// Distinct users, and distinct items of events.
    pub(crate) users: u32,
    pub(crate) event_items: u32,
    /// 0: keys are numbers; 1: names.
    pub(crate) key_kind: u32,
    /// Ascending by id.
    pub(crate) fields: Vec<Field>,
}

/// One space or attribute of a segment.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Field {
    /// As in the schema.
    pub(crate) id: u16,
    /// 0..=3: a space in that encoding; 16..=22: an attribute of that type.
    pub(crate) ty: u16,
    /// Of a space.
    pub(crate) dim: u32,
    /// Rows that have it.
    pub(crate) count: u32,
}

const _: () = {
    assert!(size_of::<ArchivedMeta>() == 64 && align_of::<ArchivedMeta>() == 8);
    assert!(size_of::<ArchivedField>() == 12 && align_of::<ArchivedField>() == 4);
    assert!(size_of::<rkyv::primitive::ArchivedUsize>() == 4, "pointer width must be 32");
    assert!(u16::from_le_bytes([1, 0]) == rkyv::rend::u16_le::from_native(1).to_native());
};

/// The bytes of a META section: the fields array first, the root at the end.
pub(crate) fn save(meta: &Meta) -> Result<Vec<u8>, String> {
    let bytes = rkyv::to_bytes::<rancor::Error>(meta).map_err(|e| e.to_string())?;
    Ok(bytes.to_vec())
}

/// Reads a META section: checked, then copied out, since a copy is small and cannot change.
pub(crate) fn load(bytes: &[u8]) -> Result<Meta, String> {
    let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    let archived = rkyv::access::<ArchivedMeta, rancor::Error>(&aligned)
        .map_err(|e| format!("not a META structure: {e}"))?;
    rkyv::deserialize::<Meta, rancor::Error>(archived).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_meta_or_an_error() {
        let field = Field { id: 3, ty: 16, dim: 0, count: 2 };
        let meta = Meta { rows: 2, fields: vec![field], ..Meta::default() };
        let bytes = save(&meta).unwrap();
        assert_eq!(load(&bytes).unwrap(), meta);
        for at in 0..bytes.len() {
            for mask in [1, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] ^= mask;
                let _ = load(&bad);
            }
            let _ = load(&bytes[..at]);
        }
    }
}
