//! Bowerbird is an embedded vector database that recommends.
//!
//! One crate, one directory of files, no server. It stores items (vectors in named spaces, typed
//! attributes) and the events that users produce; in process it finds, filters, scores, ranks,
//! diversifies and explains.
//!
//! ```
//! use bowerbird::*;
//!
//! # fn main() -> Result<()> {
//! let schema = Schema::new()
//!     .space("text", 3, Metric::Cosine)
//!     .attr("genre", AttrType::Tags)
//!     .event("view");
//! let db = Db::in_memory(schema)?;
//! db.batch()
//!     .put(Item::new(1u64).vector("text", [1.0, 0.0, 0.0]).attr("genre", ["jazz"]))
//!     .put(Item::new(2u64).vector("text", [0.9, 0.1, 0.0]).attr("genre", ["jazz", "live"]))
//!     .put(Item::new(3u64).vector("text", [0.0, 0.0, 1.0]).attr("genre", ["rock"]))
//!     .event(Event::new(7, 1u64, "view", Timestamp(1_000)))
//!     .commit()?;
//!
//! let snapshot = db.snapshot();
//! let jazz = snapshot.near("text", &[1.0, 0.0, 0.0]).filter(attr("genre").is("jazz")).run()?;
//! assert_eq!(jazz[1].key, Key::Id(2));
//! # Ok(()) }
//! ```
//!
//! # The words
//!
//! | noun | it is |
//! |---|---|
//! | [`Item`] | what gets found and recommended: a [`Key`], vectors, attributes |
//! | [`Space`] | a named vector field of every item |
//! | [`Event`] | a user did something to an item at a time; also what was shown |
//! | segment | immutable rows and events; the same bytes on the heap or mapped |
//! | [`Snapshot`] | the database at one commit, held by a reader |
//! | derived | a file computed from a segment; losing it costs time, never data |
//! | [`Artifact`] | a trained thing saved whole, with [`Provenance`] |
//! | [`model::Model`] | an artifact that says what comes next |
//! | [`model::ranker::Ranker`] | what orders the candidates of all surfaces, here or on a device |
//! | [`SemanticId`] | what an item is, from coarse to fine, by a [`semantic::Codebook`] |
//!
//! # The house
//!
//! ```text
//!  10  db  maintain                                the handle
//!   9  model                                       learned operators
//!   8  recommend                                   operators
//!   7  store                                       time
//!   6  semantic                                    codes for items
//!   5  search  artifact
//!   4  segment                                     one immutable thing
//!   3  format                                      bytes
//!   2  io  vector                                  the machine: files, arithmetic
//!   1  schema  item  filter  options  eval         values
//!   0  error  key  limits  progress  defects       words
//! ```
//!
//! # What is always true
//!
//! | | tests and comments cite these numbers; FORMAT.md has those of the promises |
//! |---|---|
//! | V1 | a file is never modified after it became visible, except that the active WAL grows |
//! | V2 | MANIFEST names only files that are complete and durable |
//! | V3 | a commit that returned is there after a crash; one that did not is there whole or not at all |
//! | V4 | a snapshot never changes |
//! | V5 | in any version a key has at most one live row |
//! | V6 | removing `derived/` changes no exact answer |
//! | V7 | no result is dead, disallowed, excluded or repeated |
//! | V8 | every returned score is finite; equal scores are ordered by key |
//! | V9 | same snapshot, request and CPU: same answer |
//! | V10 | any bytes may be opened and searched: a value or an [`Error`], never a panic, in bounded memory |
//! | V11 | a module uses only the layers below it |
//!
//! A module uses the lines below its own; `tests/suite/architecture.rs` enforces it. Three ideas keep
//! it small: everything that can be searched is immutable, and a commit swaps a list; bytes are truth,
//! derived or root; and the law of each recommendation operator is in its signature. FORMAT.md
//! describes every byte on disk, README.md every promise.

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod artifact;
mod db;
#[cfg(not(feature = "testing"))]
mod defects;
#[cfg(feature = "testing")]
pub mod defects;
mod error;
pub mod eval;
mod filter;
mod format;
pub mod io;
mod item;
mod key;
pub mod limits;
mod maintain;
pub mod model;
mod options;
mod progress;
pub mod recommend;
mod schema;
mod search;
mod segment;
pub mod semantic;
mod store;
mod vector;

pub use artifact::{Artifact, ArtifactRef, Bytes, Opened, Provenance, Saved};
pub use db::{Batch, Db};
pub use error::{Corruption, Error, Result};
pub use filter::{AttrRef, Where, attr};
pub use item::{Event, Item, Value};
pub use key::{Addr, Key, KeyKind, Row, Seq, Timestamp, UserId, days, hours, ms};
pub use maintain::Chore;
pub use options::{Durability, Graphs, IoMode, Maintenance, Options, Verify};
pub use progress::Progress;
pub use schema::{Attr, AttrType, Encoding, Metric, Schema, Space};
pub use semantic::SemanticId;
pub use store::{
    Cursor, Debt, Deed, Fusion, History, HistoryQuery, Hit, Hybrid, Interaction, Leg, Like,
    Matching, Near, NearBatch, Page, RecallCheck, RecallReport, Report, Selection, Snapshot, Stats,
    verify_dir,
};
