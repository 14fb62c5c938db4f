//! Numbers and names that must not be mixed up.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// An item's identity, chosen by the caller: a number or a name of at most 255 bytes.
///
/// One database uses one kind, set in its schema. Every `u64` is a valid key. Keys order as numbers
/// or as bytes, and equal scores are ordered by key.
///
/// ```
/// use bowerbird::Key;
/// assert_eq!(Key::from(7u64), Key::Id(7));
/// assert_eq!(Key::from("tt0133093").to_string(), "tt0133093");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A number.
    Id(u64),
    /// A name.
    Name(Box<str>),
}

impl From<u64> for Key {
    fn from(id: u64) -> Key {
        Key::Id(id)
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Key {
        Key::Name(name.into())
    }
}

impl From<String> for Key {
    fn from(name: String) -> Key {
        Key::Name(name.into())
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Key {
        key.clone()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Id(id) => id.fmt(f),
            Key::Name(name) => name.fmt(f),
        }
    }
}

/// Which kind of key a database uses.
///
/// ```
/// use bowerbird::{KeyKind, Schema};
/// let schema = Schema::new().keys(KeyKind::Name);
/// assert_eq!(schema.key_kind(), KeyKind::Name);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// `u64` numbers.
    #[default]
    Id,
    /// UTF-8 names of 1 to 255 bytes.
    Name,
}

/// Who did it. Every `u64` is valid.
///
/// ```
/// assert_eq!(bowerbird::UserId(7).to_string(), "7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserId(pub u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a commit in the history of a database. The first commit is 1.
///
/// ```
/// use bowerbird::{Db, Schema};
/// assert_eq!(Db::in_memory(Schema::new()).unwrap().snapshot().seq().0, 0);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

/// Milliseconds since the Unix epoch; any `i64`.
///
/// ```
/// use bowerbird::{Timestamp, days};
/// let noon = Timestamp::from_secs(1_700_000_000);
/// assert_eq!(noon.plus(days(1)).minus(days(1)), noon);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The latest time there is: "with everything known".
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From whole seconds since the epoch, saturating.
    pub fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1000))
    }

    /// This much later, saturating.
    pub fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This much earlier, saturating.
    pub fn minus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// That many days.
///
/// ```
/// assert_eq!(bowerbird::days(2), bowerbird::hours(48));
/// ```
pub const fn days(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(86_400))
}

/// That many hours.
///
/// ```
/// assert_eq!(bowerbird::hours(1).as_secs(), 3600);
/// ```
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(3_600))
}

/// That many milliseconds.
///
/// ```
/// assert_eq!(bowerbird::ms(1500).as_secs_f64(), 1.5);
/// ```
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A row inside one segment. Rows are ordered by key.
///
/// ```
/// assert!(bowerbird::Row(1) < bowerbird::Row(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(pub u32);

/// Where an item lives in one snapshot. Meaningless in any other snapshot.
///
/// ```
/// use bowerbird::{Addr, Row};
/// let addr = Addr { part: 0, row: Row(3) };
/// assert_eq!(addr.row, Row(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addr {
    /// Which part of the snapshot.
    pub part: u32,
    /// Which row of it.
    pub row: Row,
}

/// A hash that is the same on every machine and in every version (FNV-1a).
pub(crate) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}
