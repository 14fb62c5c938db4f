//! Ask: a boosted question to all parts of a snapshot, each by thresholds or by a pass.

use super::{pass::pass, sum::Sum, threshold};
use crate::{
    error::Result,
    store::{
        Hit, Snapshot,
        nearest::{self, Depth},
        sieve::Sieve,
    },
};

/// What to find, checked.
pub(super) struct Ask<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) sum: &'a Sum,
    pub(super) limit: usize,
    pub(super) depth: Depth,
    pub(super) threads: usize,
}

/// What a boosted search has done to find its answer.
///
/// ```
/// assert_eq!(bowerbird::recommend::Looked::default().scored, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looked {
    /// Items whose whole score was computed.
    pub scored: u64,
    /// Items that walks over graphs were asked for, walks from anew counted anew.
    pub walked: u64,
    /// Steps into the lists, each about four times as deep as the one before.
    pub steps: u64,
    /// Parts whose best items were certain before all were looked at.
    pub stopped: u64,
    /// Parts that were passed over whole, because there was no graph, or lists led too far.
    pub passed: u64,
}

/// The best items, and what was done.
pub(super) fn search(ask: &Ask<'_>, sieves: &[Sieve<'_>]) -> Result<(Vec<Hit>, Looked)> {
    let (mut looked, mut found) = (Looked::default(), Vec::new());
    for (at, sieve) in sieves.iter().enumerate() {
        let boosts = ask.sum.boosts.iter();
        let qualities: Vec<_> =
            boosts.map(|boost| boost.of_part(ask.snapshot, at)).collect::<Result<_>>()?;
        if let Some(best) = threshold::search(ask, at, sieve, &qualities, &mut looked)? {
            looked.stopped += 1;
            found.extend(best);
            continue;
        }
        let (best, scored) = pass(ask, at, sieve, &qualities)?;
        looked.scored += scored;
        looked.passed += 1;
        found.extend(best);
    }
    Ok((nearest::order(ask.snapshot, found, ask.limit)?, looked))
}
