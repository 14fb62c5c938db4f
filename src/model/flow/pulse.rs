//! Pulse: the state of an entity by its last events.

use super::{HALF_LIVES, ledger::Entry};
use std::collections::HashSet;

/// What a state consists of.
pub(super) const NAMES: [&str; 5] = ["pulse", "alike", "alike by others", "newcomers", "gap"];
/// How many events it remembers.
pub(super) const EVENTS: usize = 256;
/// Values below this are as good as this, when they are compared by factors.
const SMALL: f32 = 0.01;

/// The state before an event that happens at a time, with a value and with somebody, given the last
/// events, oldest first.
pub(super) fn state(
    last: &[Entry],
    (at, value, with): (i64, Option<f32>, u64),
    half: i64,
) -> [f32; NAMES.len()] {
    let size = |value: Option<f32>| value.map(|value| value.abs().max(SMALL).log2());
    let (size_now, half) = (size(value), half as f64);
    let age = |entry: &Entry| (at as f64 - entry.at as f64) / half;
    let (mut seen, mut sums) = (HashSet::with_capacity(last.len()), [0f64; 4]);
    for entry in last {
        let newcomer = seen.insert(entry.other);
        let weight = (-age(entry)).exp2();
        let alike = match (size_now, size(entry.value)) {
            (Some(a), Some(b)) => (a - b).abs() <= 1.0,
            (a, b) => a.is_none() && b.is_none(),
        };
        let yes = [true, alike, alike && entry.other != with, newcomer];
        sums.iter_mut().zip(yes).filter(|(_, yes)| *yes).for_each(|(sum, _)| *sum += weight);
    }
    let gap = last.last().map_or(f64::from(HALF_LIVES), age).min(f64::from(HALF_LIVES));
    let [all, alike, others, new] = sums.map(|sum| sum.ln_1p() as f32);
    [all, alike, others, new, gap.ln_1p() as f32]
}
