//! Every maximum, named, with its reason. FORMAT.md chapter 11 repeats the ones that bind files.
//!
//! ```
//! assert_eq!(bowerbird::limits::DIM_MAX, 4096);
//! ```

use std::time::Duration;

/// Longest key in bytes: it fits a length byte, and no identifier in use is longer.
pub const KEY_BYTES_MAX: usize = 255;
/// Longest name of a space, attribute, event kind or artifact, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most numbers in a vector: the largest embeddings in use have 4096.
pub const DIM_MAX: u32 = 4096;
/// Largest absolute value of a vector component: its square times `DIM_MAX` stays finite in `f32`.
pub const COMPONENT_MAX: f32 = 1e15;
/// Largest absolute value of a component stored as `f16`: the type's own largest number.
pub const COMPONENT_F16_MAX: f32 = 65_504.0;
/// Most spaces a schema may ever have had: field numbers are never reused.
pub const FIELDS_MAX: u16 = 4_000;
/// Most kinds of event: a kind is one byte on disk.
pub const EVENT_KINDS_MAX: usize = 255;
/// Longest text attribute in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Longest tag in bytes.
pub const TAG_BYTES_MAX: usize = 255;
/// Most tags in one `tags` attribute of one item.
pub const TAGS_MAX: usize = 1_000;
/// Most operations in one batch.
pub const BATCH_OPS_MAX: usize = 1_000_000;
/// Largest WAL record in bytes: a batch must fit, and recovery must hold one in memory.
pub const RECORD_BYTES_MAX: usize = 256 << 20;
/// Most rows, and most events, in one segment: positions are `u32` with room to spare.
pub const SEGMENT_ROWS_MAX: u64 = 1 << 31;
/// Deepest filter: it bounds recursion.
pub const FILTER_DEPTH_MAX: usize = 64;
/// Most nodes in one filter.
pub const FILTER_NODES_MAX: usize = 10_000;
/// Most values in one `in` list.
pub const FILTER_IN_MAX: usize = 1_000_000;
/// Most results of one query, one page, or one history.
pub const LIMIT_MAX: usize = 1_000_000;
/// Most levels of a codebook, and codes of a semantic ID.
pub const LEVELS_MAX: usize = 8;
/// Most codes on one level of a codebook: a code is a `u16`.
pub const LEVEL_CODES_MAX: usize = 65_536;
/// Most examples in one query by example.
pub const EXAMPLES_MAX: usize = 10_000;
/// Most spaces, and most boosts, that one boosted search adds up.
pub const TERMS_MAX: usize = 64;
/// Distinct words of a text that is asked for.
pub const WORDS_MAX: usize = 1024;
/// Farthest that a graph is walked: beyond it a scan is hardly slower.
pub const EFFORT_MAX: u32 = 10_000;
/// Most worker threads of one query, and of building one graph.
pub const THREADS_MAX: usize = 256;
/// Parts with fewer vectors than this are scanned about as fast as a graph is walked.
pub const GRAPH_ROWS_MIN: u32 = 10_000;
/// Bytes under one checksum. Small enough to check at first touch, large enough to be cheap.
pub const BLOCK_BYTES: usize = 64 << 10;
/// Sections up to this size are checked when a file is opened.
pub const SECTION_EAGER_BYTES: u64 = 1 << 20;
/// Most sections in one file.
pub const SECTIONS_MAX: usize = 65_536;
/// Heap segments are merged with their neighbour up to this size.
pub const HEAP_MERGE_BYTES: u64 = 2 << 20;
/// Heap segments together reach this size: flush.
pub const FLUSH_BYTES: u64 = 16 << 20;
/// The WAL reaches this size: flush, whatever the heap holds.
pub const WAL_FLUSH_BYTES: u64 = 64 << 20;
/// The WAL never gets longer than this, since it is read into memory when it is replayed: commits are
/// refused until a flush. Only where nobody does the housekeeping, far beyond `WAL_FLUSH_BYTES`.
pub const WAL_BYTES_MAX: u64 = 4 << 30;
/// Commits wait for the flush once the heap holds this many times `FLUSH_BYTES`.
pub const FLUSH_BACKLOG_MAX: u64 = 4;
/// Longest that a commit may wait for company: nobody wants more, and clocks cannot count for ever.
pub const GROUP_DELAY_MAX: Duration = Duration::from_secs(3600);
/// Smallest memory limit that can work: one flush and its output columns.
pub const MEMORY_LIMIT_MIN: u64 = 64 << 20;
/// No number that counts commits, files or generations is larger: they start at 1 and go up by one,
/// so there is always room to add.
pub const NUMBER_MAX: u64 = 1 << 62;
