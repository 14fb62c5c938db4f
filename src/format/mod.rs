//! Bytes to values and back. FORMAT.md in code, chapter by chapter.
//!
//! | file | chapter |
//! |---|---|
//! | `names` | 0, the directory and the grammar of its names |
//! | `envelope`, `sink`, `section` | 3, what every file shares: header, sections, checksums |
//! | `columns` | 1, little-endian arrays as typed slices |
//! | `manifest` | 4, the root |
//! | `record`, `batch` | 5, the WAL: framing, the torn-tail rule, operations |
//! | `archive`, `codec` | 1, small structures: rkyv in place, bincode by copy |
//!
//! Every length, offset and count that comes from a file is checked where it is used, even after its
//! checksum was right (C3): checksums catch accidents, bounds checks catch forgers.

pub(crate) mod archive;
pub(crate) mod batch;
pub(crate) mod codec;
pub(crate) mod columns;
pub(crate) mod envelope;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod section;
pub(crate) mod sink;

#[cfg(not(target_endian = "little"))]
compile_error!("Bowerbird's files are little-endian and read in place; this target is not");

/// What a section holds. FORMAT.md has a heading for each, which a test checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind(pub(crate) u16);

macro_rules! kinds {
    ($($name:ident = $number:literal,)*) => {
        impl Kind {
            $(pub(crate) const $name: Kind = Kind($number);)*

            /// Its heading in FORMAT.md.
            pub(crate) fn name(self) -> String {
                match self.0 {
                    $($number => stringify!($name).into(),)*
                    n => format!("section kind {n}"),
                }
            }

            /// Every kind this version knows.
            #[cfg(test)]
            pub(crate) const ALL: &[(&str, u16)] = &[$((stringify!($name), $number),)*];
        }
    };
}

kinds! {
    MANIFEST = 1,
    META = 10,
    KEYS = 11,
    KEY_STARTS = 12,
    KEY_BYTES = 13,
    VECTORS = 14,
    VECTOR_ROWS = 15,
    SCALES = 16,
    PRESENT = 17,
    VALUES = 18,
    SORTED = 19,
    TRUE = 20,
    CODES = 21,
    LISTS = 22,
    TERM_STARTS = 23,
    TERM_BYTES = 24,
    POSTING_STARTS = 25,
    POSTINGS = 26,
    TEXT_STARTS = 27,
    TEXT_BYTES = 28,
    EVENT_USERS = 30,
    EVENT_STARTS = 31,
    EVENT_ITEMS = 32,
    EVENT_KINDS = 33,
    EVENT_AT = 34,
    EVENT_RECORDED = 35,
    EVENT_FLAGS = 36,
    EVENT_VALUES = 37,
    EVENT_REQUESTS = 38,
    EVENT_POSITIONS = 39,
    ITEM_KEYS = 40,
    ITEM_KEY_STARTS = 41,
    ITEM_KEY_BYTES = 42,
    DEAD_ROWS = 50,
    DEAD_EVENTS = 51,
    PROVENANCE = 60,
    ORIGIN = 70,
    BY_ITEM_STARTS = 71,
    BY_ITEM_EVENTS = 72,
    GRAPH_NODES = 74,
    GRAPH_DOORS = 75,
    GRAPH_CENTER = 76,
    ID_CODES = 77,
    ID_ROWS = 78,
    ID_SPACES = 79,
    WORD_STARTS = 80,
    WORD_BYTES = 81,
    WORD_LISTS = 82,
    WORD_ROWS = 83,
    WORD_COUNTS = 84,
    WORD_LENGTHS = 85,
    GRAPH_ROW_SUMS = 86,
    GRAPH_VECTOR_SUMS = 87,
    SEED_META = 88,
    SEED_LINKS = 89,
    SEED_ROLES = 90,
    GRAPH_SIGNS = 91,
    GRAPH_META = 92,
}

impl Kind {
    /// Sections of artifacts are numbered by the artifact, from here.
    pub(crate) const ARTIFACT_FIRST: u16 = 256;
}

#[cfg(test)]
mod tests {
    use super::*;

    // checks: F1
    #[test]
    fn every_section_kind_has_a_heading_in_format_md() {
        let format = include_str!("../../FORMAT.md");
        for (name, number) in Kind::ALL {
            let heading = format!("#### {name} ({number})");
            assert!(format.contains(&heading), "FORMAT.md has no heading {heading:?}");
        }
    }
}
