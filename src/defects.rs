//! Seeded defects: mistakes that a storage engine could make, one switch each.
//!
//! A test that never fails proves nothing. With the feature "testing", `tests/suite/defects.rs`
//! switches each of these on and shows that some test then fails. Without the feature, `on` is the
//! constant `false` and the mistakes do not exist.

/// A mistake, named after what is done wrong.
///
/// ```
/// # #[cfg(feature = "testing")]
/// assert!(bowerbird::defects::Defect::ALL.len() >= 12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[cfg_attr(not(feature = "testing"), allow(dead_code, unreachable_pub))]
pub enum Defect {
    AckBeforeSync,
    FolderNotSynced,
    FileNotSynced,
    WalRemovedBeforeManifest,
    DurableMarkIgnored,
    DeathsNotCarried,
    ReplayStartsLate,
    ChecksumNotChecked,
    FailedSyncForgotten,
    EraseLeavesEvents,
    MergeAheadOfWal,
    PartialBatchVisible,
    TiesUnordered,
    NotFinite,
    ReplacedRowStaysAlive,
    AsOfIgnoresRecorded,
}

#[cfg(feature = "testing")]
mod switch {
    use super::Defect;
    use std::cell::Cell;

    thread_local!(static ON: Cell<Option<Defect>> = const { Cell::new(None) });

    impl Defect {
        /// Every defect.
        pub const ALL: [Defect; 16] = [
            Defect::AckBeforeSync,
            Defect::FolderNotSynced,
            Defect::FileNotSynced,
            Defect::WalRemovedBeforeManifest,
            Defect::DurableMarkIgnored,
            Defect::DeathsNotCarried,
            Defect::ReplayStartsLate,
            Defect::ChecksumNotChecked,
            Defect::FailedSyncForgotten,
            Defect::EraseLeavesEvents,
            Defect::MergeAheadOfWal,
            Defect::PartialBatchVisible,
            Defect::TiesUnordered,
            Defect::NotFinite,
            Defect::ReplacedRowStaysAlive,
            Defect::AsOfIgnoresRecorded,
        ];

        /// Makes this thread commit the mistake while `run` runs.
        pub fn during<T>(self, run: impl FnOnce() -> T) -> T {
            struct Off;
            impl Drop for Off {
                fn drop(&mut self) {
                    ON.set(None);
                }
            }
            ON.set(Some(self));
            let _off = Off;
            run()
        }
    }

    pub(crate) fn on(defect: Defect) -> bool {
        ON.get() == Some(defect)
    }
}

#[cfg(feature = "testing")]
pub(crate) use switch::on;

#[cfg(not(feature = "testing"))]
pub(crate) const fn on(_: Defect) -> bool {
    false
}
